/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-threads: many threads, each with connections of its own to one compressed database.
 *
 * Passes when six threads that open, look up, scan and close get the answers of one version, while
 * a seventh puts another version in its place and back, and makes the cache forget what it has.
 */
#include "test-vfs-common.h"

enum { THREADS = 6, ROUNDS = 12, ROWS = 30000, VERSIONS = 2 };

static const char *path, *packed[VERSIONS];
static int64_t sums[VERSIONS];
static _Atomic int running = THREADS;

static void *reader(void *arg)
{
    uint64_t seed = (uint64_t)(intptr_t)arg;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        sqlite3 *db = vfs_open(path, "");
        int64_t sum;
        int version;

        for (uint64_t i = 0; i < 40; i++) {
            int64_t id = 1 + (int64_t)(test_pattern(seed, 8 * (40 * round + i)) % ROWS);
            char sql[100];

            snprintf(sql, sizeof sql, "SELECT id FROM t WHERE id = %lld", (long long)id);
            EXPECT_EQ(sql_int(db, sql), id);
        }
        sum = sql_int(db, "SELECT sum(k) FROM t");
        version = sum == sums[1];
        EXPECT_EQ(sum, sums[version]);
        EXPECT_EQ(sql_int(db, "SELECT max(k) FROM t WHERE id = 77"), version ? -1 : test_db_k(77));
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t WHERE length(v) > 0"), sum);
        sqlite3_close(db);
    }
    running--;
    return NULL;
}

static void *replacer(void *arg)
{
    const char *other = arg;
    struct hugelite_pool *pool;

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    for (unsigned turn = 1; running; turn++) {
        unlink(other);
        EXPECT_EQ(link(packed[turn % VERSIONS], other), 0);
        EXPECT_EQ(rename(other, path), 0);
        test_sleep_ms(7);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    }
    hugelite_pool_close(pool);
    return NULL;
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    pthread_t threads[THREADS + 1];
    sqlite3 *stock;

    vfs_begin();
    path = test_path(dir, "x.db.zst");
    packed[0] = test_path(dir, "0.zst");
    packed[1] = test_path(dir, "1.zst");
    test_db(plain, ROWS);
    stock = stock_open(plain);
    for (int i = 0; i < VERSIONS; i++) {
        sums[i] = sql_int(stock, "SELECT sum(k) FROM t");
        zst_make(plain, packed[i], 64 << 10, NULL);
        sql_exec(stock, "UPDATE t SET k = -1 WHERE id % 7 = 0");
    }
    sqlite3_close(stock);
    EXPECT_EQ(link(packed[0], path), 0);

    for (int i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, reader, (void *)(intptr_t)(i + 1)), 0);
    EXPECT_EQ(pthread_create(&threads[THREADS], NULL, replacer,
                             (void *)(uintptr_t)test_path(dir, "other")), 0);
    for (int i = 0; i <= THREADS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
