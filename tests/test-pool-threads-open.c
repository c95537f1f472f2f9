/* SPDX-License-Identifier: MIT
 *
 * test-pool-threads-open: threads that open and close the same two pools over and
 * over.
 *
 * Passes when each open gives a pool that works (whether it is the process's present
 * attachment or a new one), volumes open and close beside one another, stat and list
 * agree with what is there, and no thread and no descriptor is left at the end.
 */
#include "config.h"

#include "kit.h"

#include <pthread.h>

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK - 16)
#define BUDGET 6 /* each thread holds one, and one more comes */
#define THREADS 4
#define ROUNDS (TEST_SANITIZED ? 60 : 250)

static const char *paths[2], *dirs[2];

static void *opens(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = (me + i) % 2, file = (me + i / 2) % 2;
        struct hugelite_pool *pool = kit_pool(dirs[which], BUDGET);
        struct hugelite_volume *vol = kit_volume(pool, paths[file]);
        struct hugelite_volume_stat st[4];
        struct hugelite_pool_stat pool_st;
        size_t nr;

        kit_verify_chunk(vol, file, i % CHUNKS);
        EXPECT_RC(hugelite_pool_stat(pool, &pool_st), 0);
        EXPECT_STR(pool_st.dir, dirs[which]);
        EXPECT_EQ(pool_st.readers, 1);
        EXPECT_RC(hugelite_pool_volumes(pool, st, 4, &nr), 0);
        EXPECT(nr == 1 || nr == 2);
        EXPECT_RC(hugelite_pool_volumes(pool, NULL, 0, &nr), 0);
        EXPECT(nr == 1 || nr == 2);
        if (i % 5 == 0)
            EXPECT_RC(hugelite_pool_evict(pool, paths[file], NULL), 0);
        hugelite_volume_close(vol);
        hugelite_pool_close(pool);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    unsigned fds;

    for (unsigned i = 0; i < 2; i++) {
        struct hugelite_pool *pool;

        dirs[i] = test_pool_dir();
        paths[i] = test_path(test_dir(), "db");
        test_file(paths[i], BYTES, i);
        pool = kit_pool(dirs[i], BUDGET);
        hugelite_pool_close(pool);
    }
    opens((void *)0);
    fds = kit_count_fds();
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, opens, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(TEST_SANITIZED || kit_count_threads() == 1);
    /* Two threads may open a source at once, and both descriptors are kept. */
    EXPECT(kit_count_fds() <= fds + 2);
    for (unsigned i = 0; i < 2; i++) {
        struct hugelite_pool *pool = kit_pool(dirs[i], BUDGET);

        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
    return 0;
}
