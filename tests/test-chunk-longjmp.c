/* SPDX-License-Identifier: MIT
 *
 * test-chunk-longjmp: a signal handler that leaves the engine by siglongjmp(), or
 * touches the mapping.
 *
 * The signal comes in the middle of a fill, and of an eviction, as ^C does to an
 * interactive shell.  Passes when no claim stays behind: this process and another
 * read every chunk right at once afterwards; and when a handler that reads by pointer
 * the very chunk its thread is filling gets its bytes.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include <setjmp.h>
#include <signal.h>

#define CHUNKS 13
#define BUDGET 4
#define BYTES (CHUNKS * CHUNK)
#define SEED 73

static const char *path, *dir;
static sigjmp_buf back;
static const volatile uint64_t *base;
static volatile sig_atomic_t touched;

static void leave_engine(int signal)
{
    siglongjmp(back, signal);
}

static void touch(int signal)
{
    (void)signal;
    touched = base[3 * CHUNK / 8] == test_pattern(SEED, 3 * CHUNK) ? 1 : 2;
}

static void interrupt(void)
{
    raise(SIGUSR1);
}

static void reader(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    double start = test_now();

    (void)arg;
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    EXPECT(test_now() - start < TEST_HANG_S);
}

int main(void)
{
    static const enum stop_call calls[] = { STOP_COPY, STOP_PUNCH, STOP_PREAD, STOP_FENCE };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *data;

    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);

    signal(SIGUSR1, leave_engine);
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        volatile bool left = false;

        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        stop_before(calls[i], 1, interrupt);
        if (sigsetjmp(back, 1) == 0)
            for (uint64_t k = 0; k < CHUNKS; k++) {
                /* Not in sequence, and patiently: so that this thread fills, not the crew. */
                EXPECT_RC(hugelite_volume_fetch(vol, k * 5 % CHUNKS * CHUNK, 8, &data), 0);
                /* What a host has in hand when it leaves, it holds until it closes. */
                hugelite_volume_release(vol, data);
            }
        else
            left = true;
        EXPECT(left);
        hugelite_volume_close(vol);
        EXPECT_CHILD(kit_fork(reader, NULL), 0);
        vol = kit_volume(pool, path);
        kit_verify(vol, SEED);
    }

    signal(SIGUSR1, touch);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    stop_before(STOP_COPY, 1, interrupt);
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 8, &data), 0);
    hugelite_volume_release(vol, data);
    EXPECT_EQ(touched, 1);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
