/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-lookups: random lookups in cold databases, plain and compressed, by four processes
 * while chunks fill beside them and others are evicted.
 *
 * Passes when each answer is right, some were served before a fill, some chunks were
 * filled and evicted, and no fill failed.
 */
#include "test-vfs-common.h"

enum { ROWS = 150000, LOOKUPS = 1200, PROCESSES = 4 }; /* 20 MiB twice; the pool holds 12 */

/* A third stays in one corner, which so earns its place. */
static int64_t choose(uint64_t seed, uint64_t i)
{
    uint64_t noise = test_pattern(seed, 8 * i);

    return 1 + (int64_t)(noise % 3 ? (noise >> 8) % ROWS : (noise >> 8) % (ROWS / 20));
}

static void look_up(const char *plain, const char *zst, unsigned process, int gate)
{
    sqlite3_stmt *stmt[3];
    sqlite3 *db[3];
    char byte;

    vfs_begin_in(getenv("HUGELITE_POOL"));
    setenv("HUGELITE_POOL_SIZE", "12M", 1);
    EXPECT_EQ(read(gate, &byte, 1), 1);
    db[0] = vfs_open(plain, "");
    db[1] = vfs_open(plain, "&immutable=1");
    db[2] = vfs_open(zst, "");
    for (int d = 0; d < 3; d++)
        EXPECT_EQ(sqlite3_prepare_v2(db[d], "SELECT k, v FROM t WHERE id = ?", -1, &stmt[d], NULL),
                  SQLITE_OK);
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        sqlite3_stmt *one = stmt[i % 3];
        int64_t id = choose(process + 1, i);
        char expected[40];

        sqlite3_bind_int64(one, 1, id);
        if (sqlite3_step(one) != SQLITE_ROW)
            sql_fail(db[i % 3], "lookup");
        EXPECT_EQ(sqlite3_column_int64(one, 0), test_db_k(id));
        snprintf(expected, sizeof expected, "row %lld ", (long long)id);
        EXPECT_MEM(sqlite3_column_text(one, 1), expected, strlen(expected));
        sqlite3_reset(one);
    }
    for (int d = 0; d < 3; d++) {
        sqlite3_finalize(stmt[d]);
        sqlite3_close(db[d]);
    }
    exit(0);
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    struct hugelite_volume_stat vol[2];
    struct hugelite_pool *pool;
    pid_t pids[PROCESSES];
    int gate[2];
    size_t nr;

    setenv("HUGELITE_POOL", test_pool_dir(), 1);
    EXPECT_EQ(pipe(gate), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        EXPECT(pids[i] >= 0);
        if (pids[i] == 0)
            look_up(plain, zst, i, gate[0]);
    }
    test_db(plain, ROWS);
    zst_make(plain, zst, 64 << 10, NULL);
    EXPECT_EQ(write(gate[1], "12345678", PROCESSES), PROCESSES);
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_volumes(pool, vol, 2, &nr), 0);
    EXPECT_EQ(nr, 2);
    for (unsigned i = 0; i < 2; i++) {
        printf("%s: %llu early, %llu fills, %llu evictions, %llu frames, %llu source bytes\n",
               strstr(vol[i].source, "x.db"), (unsigned long long)vol[i].early_reads,
               (unsigned long long)vol[i].fills, (unsigned long long)vol[i].evictions,
               (unsigned long long)vol[i].frames_decoded,
               (unsigned long long)vol[i].source_bytes);
        EXPECT(vol[i].early_reads > 0);
        EXPECT(vol[i].fills > 0);
        EXPECT_EQ(vol[i].errors, 0);
    }
    EXPECT(vol[0].evictions + vol[1].evictions > 0);
    hugelite_pool_close(pool);
    return 0;
}
