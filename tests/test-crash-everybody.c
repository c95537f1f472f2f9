/* SPDX-License-Identifier: MIT
 *
 * test-crash-everybody: kill -9 of every process of a pool, then a new one attaches.
 *
 * Passes when the newcomer is served what was resident without one refill, every byte
 * right; the dead count neither as readers nor as holders; and 300 processes that die
 * attached, with handles open, use up no seats for members or readers for good.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 8
#define BYTES (CHUNKS * CHUNK - 1)
#define SEED 41

static const char *path, *dir;
static struct {
    _Atomic unsigned ready;
} *shared;

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    kit_verify(vol, SEED);
    for (unsigned i = 0; i < CHUNKS; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK, 1, &data), 0);
    atomic_fetch_add(&shared->ready, 1);
    for (;;)
        pause();
}

/* Takes the next seat, and no more. */
static void idle(void *arg)
{
    (void)arg;
    kit_pool(dir, CHUNKS);
    atomic_fetch_add(&shared->ready, 1);
    for (;;)
        pause();
}

/* Dies with a chunk claimed. */
static void half_way(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);

    (void)arg;
    stop_before(STOP_COPY, 1, stop_die);
    kit_verify(vol, SEED);
}

/* Ends with ten handles open, without a close. */
static void careless(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);

    (void)arg;
    for (unsigned i = 0; i < 10; i++)
        kit_volume(pool, path);
    stop_die();
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hugelite_pool_stat st;
    pid_t pids[4];

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    for (unsigned i = 0; i < 4; i++)
        pids[i] = kit_fork(reader, NULL);
    kit_await(&shared->ready, 4);
    for (unsigned i = 0; i < 4; i++)
        kit_kill(pids[i]);

    pool = kit_pool(dir, CHUNKS);
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.readers, 0);
    EXPECT_EQ(st.resident_bytes, CHUNKS * CHUNK);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    EXPECT_EQ(kit_stat(vol).source_bytes, BYTES);
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.readers, 1);

    /* The seats of the dead are taken by others, whose they are not. */
    atomic_store(&shared->ready, 0);
    for (unsigned i = 0; i < 4; i++)
        pids[i] = kit_fork(idle, NULL);
    kit_await(&shared->ready, 4);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0); /* the dead hold nothing */
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.readers, 1);
    kit_kill(pids[2]);
    {
        pid_t pid = kit_fork(half_way, NULL); /* in its seat */
        double start;

        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        atomic_store(&shared->ready, 0);
        pids[2] = kit_fork(idle, NULL); /* and in the same again */
        kit_await(&shared->ready, 1);
        start = test_now();
        kit_verify(vol, SEED);
        EXPECT(test_now() - start < TEST_HANG_S);
    }
    for (unsigned i = 0; i < 4; i++)
        kit_kill(pids[i]);

    for (unsigned i = 0; i < 300; i++) { /* 3,000 handles; there are 2,048 seats */
        pid_t pid = kit_fork(careless, NULL);

        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    }
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.readers, 1);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
