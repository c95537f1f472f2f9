/* SPDX-License-Identifier: MIT
 *
 * test-held-map: touches of hugelite_volume_map()'s memory that cannot be served, and the way
 * back from them that hugelite(3) describes.
 *
 * Passes when a handler that compares si_addr and leaves by siglongjmp() gets the signal of each such
 * touch, in whichever thread it is made, with the address of the touch; when hugelite_volume_fault()
 * then has the error and the sentence, for that chunk and for a range that has it, and says 0 for the
 * others; when a chunk that is held stays readable beside it, and the signal never comes from fetch and
 * read; when a touch works again after a fetch that has, and not before; when a system call that
 * is given such a pointer answers EFAULT; and when it is the same past the end of the volume.
 */
#include "config.h"

#include "held.h"
#include "kit.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 4096)
#define SEED 87
#define HELD 1
#define BAD 3
#define THREADS 4

static const char *path;
static const char *base;
static uint64_t mapped; /* bytes, whole chunks */
static _Thread_local sigjmp_buf back;
static _Thread_local const char *volatile touched;

/* What hugelite(3) shows. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    const char *at = info->si_addr;

    (void)context;
    if (base && at >= base && at < base + mapped) {
        touched = at;
        siglongjmp(back, 1);
    }
    sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* Read the word there.  False when the touch failed. */
static bool touch(uint64_t offset, uint64_t *ret_word)
{
    touched = NULL;
    if (sigsetjmp(back, 1))
        return false;
    *ret_word = *(const volatile uint64_t *)(base + offset);
    return true;
}

static void expect_good(uint64_t chunk)
{
    for (uint64_t at = chunk * CHUNK; at < (chunk + 1) * CHUNK && at < BYTES; at += 4096) {
        uint64_t word = 0;

        EXPECT(touch(at, &word));
        EXPECT_EQ(word, test_pattern(SEED, at));
    }
}

static void expect_bad(uint64_t offset)
{
    uint64_t word;

    if (touch(offset, &word))
        test_fail(__FILE__, __LINE__, "a touch at %llu, which cannot be served, gave %llx",
                  (unsigned long long)offset, (unsigned long long)word);
    /* The kernel tells of a huge page by its beginning, perhaps. */
    EXPECT_EQ((uint64_t)(touched - base) / CHUNK, offset / CHUNK);
}

static void *touch_bad(void *arg)
{
    for (unsigned i = 0; i < 50; i++)
        expect_bad(BAD * CHUNK + 8 * (i + 1000 * (uintptr_t)arg));
    return NULL;
}

static void past_the_end(struct hugelite_volume *vol)
{
    expect_bad(CHUNKS * CHUNK + 16);
    EXPECT_RC(hugelite_volume_fault(vol, CHUNKS * CHUNK + 16, 1), -ERANGE);
    EXPECT_RC(hugelite_volume_fault(vol, BYTES, 0), -ERANGE);
    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), 0);
}

static void unreadable(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    pthread_t threads[THREADS];
    const void *data;
    int fds[2];

    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), 0);
    held_await_crew(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    stop_fail_reads(EIO, BAD * CHUNK, CHUNK);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, touch_bad, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    expect_good(HELD);
    expect_good(BAD - 1);
    expect_good(BAD + 1);

    EXPECT_RC(hugelite_volume_fault(vol, BAD * CHUNK + 8, 1), -EIO);
    EXPECT_CONTAINS(hugelite_error(), path);
    EXPECT_CONTAINS(hugelite_error(), "reading at 6291456");
    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), -EIO);
    EXPECT_RC(hugelite_volume_fault(vol, (BAD + 1) * CHUNK - 1, 2), -EIO);
    EXPECT_RC(hugelite_volume_fault(vol, 0, BAD * CHUNK), 0);
    EXPECT_RC(hugelite_volume_fault(vol, (BAD + 1) * CHUNK, 0), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, BAD * CHUNK, 1, &data), -EIO);
    EXPECT_EQ(pipe(fds), 0);
    EXPECT_EQ(write(fds[1], base + BAD * CHUNK, 100), -1);
    EXPECT_EQ(errno, EFAULT);
    close(fds[0]);
    close(fds[1]);

    /* Well again. */
    stop_fail_reads(0, 0, 0);
    expect_bad(BAD * CHUNK);
    EXPECT_RC(hugelite_volume_fetch(vol, BAD * CHUNK, 1, &data), 0);
    hugelite_volume_release(vol, data);
    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), 0);
    expect_good(BAD);
}

static void gone(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    const void *held, *data;

    EXPECT_RC(hugelite_volume_fetch(vol, HELD * CHUNK, 1, &held), 0);
    held_await_crew(pool);
    EXPECT_EQ(truncate(path, 0), 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        if (chunk == HELD) {
            expect_good(chunk);
            EXPECT_RC(hugelite_volume_fault(vol, chunk * CHUNK, CHUNK), 0);
            continue;
        }
        expect_bad(chunk * CHUNK + 4000);
        EXPECT_RC(hugelite_volume_fault(vol, chunk * CHUNK + 4000, 1), -ESTALE);
        EXPECT_CONTAINS(hugelite_error(), path);
        EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, 1, &data), -ESTALE);
    }
    kit_pattern(held, CHUNK, SEED, HELD * CHUNK);
    hugelite_volume_release(vol, held);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    expect_bad(HELD * CHUNK);
    EXPECT_RC(hugelite_volume_fault(vol, 0, CHUNK), -ESTALE); /* not the last one: its errno all the same */
    EXPECT_CONTAINS(hugelite_error(), "chunk 0");
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    EXPECT_EQ(sigaction(SIGBUS, &action, NULL), 0);
    EXPECT_EQ(sigaction(SIGSEGV, &action, NULL), 0); /* before Linux 6.6 */
    pool = kit_pool(test_pool_dir(), CHUNKS + 2);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    mapped = (CHUNKS + 1) * CHUNK;

    expect_good(0);
    past_the_end(vol);
    unreadable(pool, vol);
    gone(pool, vol);
    base = NULL;
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
