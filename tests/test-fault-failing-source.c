/* SPDX-License-Identifier: MIT
 *
 * test-fault-failing-source: a source that cannot be read for a while.
 *
 * Passes when the error is returned to the filler, with the call that failed in the
 * message, and to a process that waited for the same fill; when other chunks work
 * meanwhile and the next try after it is well succeeds; when a reader by plain
 * pointer gets SIGBUS and not a hang or a wrong byte; and when fetch in that very
 * process works again afterwards, for the poisoned chunk too.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define CHUNKS 5
#define BYTES (CHUNKS * CHUNK - 3)
#define SEED 13

static const char *path, *dir;
static struct {
    _Atomic unsigned filling, go, waiting;
} *shared;
static sigjmp_buf back;

static void on_sigbus(int signal)
{
    siglongjmp(back, signal);
}

static void hold(void)
{
    atomic_store(&shared->filling, 1);
    kit_await(&shared->go, 1);
}

/* Claims chunk 2, then fails to read it. */
static void filler(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    stop_fail_reads(EIO, 2 * CHUNK, CHUNK);
    stop_before(STOP_PREAD, 1, hold);
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 1, &data), -EIO);
    EXPECT_CONTAINS(hugelite_error(), path);
    EXPECT_CONTAINS(hugelite_error(), "reading at 4194304");
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void waiter(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    atomic_store(&shared->waiting, 1);
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 1, &data), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "another process could not fill it");
    /* It did not wait in vain only: this time it fills. */
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 1, &data), 0);
    EXPECT_PATTERN(data, CHUNK, SEED, 2 * CHUNK);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void by_pointer(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    struct sigaction action = { .sa_handler = on_sigbus };
    const void *data;
    const volatile char *base;
    double start;

    (void)arg;
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    EXPECT_PATTERN((const char *)base, 100, SEED, 0);
    stop_fail_reads(EIO, 3 * CHUNK, CHUNK);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (unsigned i = 0; i < 3; i++) {
        start = test_now();
        if (sigsetjmp(back, 1) == 0) {
            (void)base[3 * CHUNK + 10 + i * 5000];
            test_fail(__FILE__, __LINE__, "a chunk that cannot be read was read");
        }
        EXPECT(test_now() - start < TEST_HANG_S);
    }
    EXPECT_PATTERN((const char *)base + 4 * CHUNK, 100, SEED, 4 * CHUNK);
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 1, &data), -EIO);

    /* Well again: first for another process, then here. */
    if (arg) {
        stop_fail_reads(0, 0, 0);
    } else {
        atomic_store(&shared->go, 2);
        kit_await(&shared->go, 3);
    }
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 1, &data), 0);
    EXPECT_PATTERN(data, CHUNK, SEED, 3 * CHUNK);
    hugelite_volume_release(vol, data);
    EXPECT_PATTERN((const char *)base, BYTES, SEED, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    pid_t fills, waits;

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);

    fills = kit_fork(filler, NULL);
    kit_await(&shared->filling, 1);
    waits = kit_fork(waiter, NULL);
    kit_await(&shared->waiting, 1);
    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    while (kit_stat(vol).waits == 0)
        test_sleep_ms(1);
    kit_verify_chunk(vol, SEED, 1); /* others are not held up */
    atomic_store(&shared->go, 1);
    EXPECT_CHILD(fills, 0);
    EXPECT_CHILD(waits, 0);
    EXPECT_EQ(kit_stat(vol).errors, 1);
    EXPECT_EQ(kit_stat(vol).fills, 2);
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);

    EXPECT_CHILD(kit_fork(by_pointer, (void *)1), 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);

    fills = kit_fork(by_pointer, NULL);
    kit_await(&shared->go, 2);
    kit_verify(vol, SEED);
    atomic_store(&shared->go, 3);
    EXPECT_CHILD(fills, 0);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
