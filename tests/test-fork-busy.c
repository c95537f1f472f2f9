/* SPDX-License-Identifier: MIT
 *
 * test-fork-busy: fork from a process whose other threads are busy in the engine.
 *
 * Passes when a thread forks 80 times while three others fetch, open, close and evict
 * over a small budget, each child opens the pool anew, reads right and ends (no lock
 * is inherited taken), and the threads see every byte right.
 */
#include "config.h"

#include "kit.h"

#include <pthread.h>
#include <unistd.h>

#define CHUNKS 8
#define BYTES (CHUNKS * CHUNK - 77)
#define SEED 29
#define FORKS 80

static const char *path, *dir;
static struct hugelite_pool *pool;
static _Atomic unsigned stop;

static void *busy(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; !atomic_load(&stop); i++) {
        struct hugelite_volume *vol = kit_volume(pool, path);

        kit_verify_chunk(vol, SEED, i * 5 % CHUNKS);
        kit_verify_chunk(vol, SEED, i * 3 % CHUNKS);
        if (i % 7 == 0)
            EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        hugelite_volume_close(vol);
    }
    return NULL;
}

static void child(void *arg)
{
    struct hugelite_volume *vol;
    struct hugelite_pool *mine;

    alarm(TEST_HANG_S); /* a lock that was inherited taken would hold us for ever */
    mine = kit_pool(dir, 4);
    vol = kit_volume(mine, path);
    kit_verify_chunk(vol, SEED, (uintptr_t)arg % CHUNKS);
    hugelite_volume_close(vol);
    if ((uintptr_t)arg % 2)
        hugelite_pool_close(mine);
}

int main(void)
{
    pthread_t threads[3];

    if (TEST_SANITIZED)
        test_skip("fork() beside busy threads meets the sanitizer's own locks");
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, 6);
    for (uintptr_t i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, busy, (void *)i), 0);
    for (uintptr_t i = 0; i < FORKS; i++)
        EXPECT_CHILD(kit_fork(child, (void *)i), 0);
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
