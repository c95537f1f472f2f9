/* SPDX-License-Identifier: MIT
 *
 * test-chunk-single-flight: eight cold readers read each source byte once.
 *
 * Passes when eight processes that start together on a cold volume see every byte
 * right, the source was read exactly once (source_bytes is the file's size, fills its
 * chunks), and somebody waited for somebody.
 */
#include "config.h"

#include "kit.h"

#define READERS 8
#define CHUNKS 25
#define BYTES ((CHUNKS - 1) * CHUNK + 4096 * 3 + 5)
#define SEED 5

static struct {
    _Atomic unsigned ready, go;
} *shared;
static const char *path, *dir;

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);

    atomic_fetch_add(&shared->ready, 1);
    kit_await(&shared->go, 1);
    if ((uintptr_t)arg % 2)
        kit_verify_read(vol, SEED);
    else
        kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hugelite_pool_stat pool_st;
    struct hugelite_volume_stat st;
    pid_t pids[READERS];

    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    shared = kit_shared(sizeof *shared);
    test_file(path, BYTES, SEED);
    for (uintptr_t i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, (void *)i);
    kit_await(&shared->ready, READERS);
    pool = kit_pool(dir, CHUNKS);
    EXPECT_RC(hugelite_pool_stat(pool, &pool_st), 0);
    EXPECT_EQ(pool_st.readers, READERS);
    EXPECT_EQ(pool_st.resident_bytes, 0);
    EXPECT_STR(pool_st.pages, test_on_hugepages() ? "hugetlb" : "shmem");
    EXPECT_EQ(pool_st.budget_bytes, CHUNKS * CHUNK);
    atomic_store(&shared->go, 1);
    for (int i = 0; i < READERS; i++)
        EXPECT_CHILD(pids[i], 0);

    vol = kit_volume(pool, path);
    st = kit_stat(vol);
    EXPECT_EQ(st.source_bytes, BYTES);
    EXPECT_EQ(st.fills, CHUNKS);
    EXPECT_EQ(st.errors, 0);
    EXPECT_EQ(st.resident_bytes, CHUNKS * CHUNK);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
