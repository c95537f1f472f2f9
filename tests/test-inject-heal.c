/* SPDX-License-Identifier: MIT
 *
 * test-inject-heal: a fault has failed and left its mark in the mapping, and when the chunk is
 * there again the mark cannot be removed.
 *
 * The chunk is filled by another process meanwhile, so that only the mark is in the way.  Passes
 * when a fetch then says so instead of giving a pointer that kills, reads are right all the
 * same, and the next fetch works; with UFFDIO_POISON, and without it.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#define BYTES (2 * CHUNK)
#define SEED 5

static const char *path, *dir;
static _Atomic unsigned *steps;
static sigjmp_buf back;

static void on_signal(int signal)
{
    siglongjmp(back, signal);
}

/* Fills chunk 1 while it is a wound of the other. */
static void fill(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 2);
    struct hugelite_volume *vol = kit_volume(pool, path);

    (void)arg;
    kit_verify_chunk(vol, SEED, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void wound(struct hugelite_volume *vol)
{
    const volatile char *base;

    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    stop_fail_reads(EIO, CHUNK, CHUNK);
    if (sigsetjmp(back, 1) == 0) {
        (void)base[CHUNK];
        test_fail(__FILE__, __LINE__, "a chunk that cannot be read was read");
    }
    stop_fail_reads(0, 0, 0);
}

static void heal(enum stop_kind obstacle)
{
    struct hugelite_pool *pool = kit_pool(dir, 2);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const char *volatile data = NULL;
    char buffer[100];

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    wound(vol);
    EXPECT_CHILD(kit_fork(fill, NULL), 0);
    stop_fail_kind(obstacle, 1, 2, ENOMEM);
    for (int i = 0; i < 2; i++) {
        if (sigsetjmp(back, 1))
            test_fail(__FILE__, __LINE__, "a fetched pointer that kills");
        if (hugelite_volume_fetch(vol, CHUNK, 8, (const void **)&data) == 0) {
            EXPECT_PATTERN(data, 100, SEED, CHUNK);
            test_fail(__FILE__, __LINE__, "nothing was in the way");
        }
        EXPECT(hugelite_error()[0]);
        EXPECT_EQ(stop_failed_kind(), i + 1);
    }
    stop_fail_kind(obstacle, 1, 1, ENOMEM);
    EXPECT_RC(hugelite_volume_read(vol, CHUNK, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, CHUNK);
    stop_fail_kind(obstacle, 1, 0, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    atomic_fetch_add(steps, 1);
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    steps = kit_shared(sizeof *steps);
    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    heal(STOP_K_MADVISE);
    stop_fail_kind(STOP_K_API, 1, 1, EINVAL); /* as a kernel without poison says */
    heal(STOP_K_MPROTECT);
    EXPECT_EQ(atomic_load(steps), 2);
    return 0;
}
