/* SPDX-License-Identifier: MIT
 *
 * test-vfs-evicted: a database several times larger than the pool, read in every order.
 *
 * Passes when scans, random lookups and a scan in mid-lookup through two connections give
 * what stock SQLite gives, the pool stays within its budget, and chunks have been evicted.
 */
#include "test-vfs-common.h"

enum { ROWS = 400000 }; /* 50 MiB with its index; the pool holds 16 */

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *stock, *db, *other;
    sqlite3_stmt *stmt;
    uint64_t hash;
    int rows = 0;

    vfs_begin();
    setenv("HUGELITE_POOL_SIZE", "16M", 1);
    test_db(path, ROWS);
    stock = stock_open(path);
    sql_exec(stock, "CREATE INDEX byk ON t(k)");
    hash = sql_hash(stock, "SELECT * FROM t");

    db = vfs_open(path, "&immutable=1");
    other = vfs_open(path, "");
    EXPECT(sql_hash(db, "SELECT * FROM t") == hash);
    EXPECT(sql_hash(other, "SELECT * FROM t") == hash);
    for (uint64_t i = 0; i < 400; i++) {
        int64_t id = 1 + (int64_t)(test_pattern(i, 0) % ROWS);
        char sql[100];

        snprintf(sql, sizeof sql, "SELECT k FROM t WHERE id = %lld", (long long)id);
        EXPECT_EQ(sql_int(i % 2 ? db : other, sql), test_db_k(id));
    }
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k, id, v FROM t WHERE k >= 0 ORDER BY k LIMIT 400",
                                 -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        EXPECT_EQ(sqlite3_column_int64(stmt, 0), test_db_k(sqlite3_column_int64(stmt, 1)));
        if (rows++ % 200 == 0)
            EXPECT_EQ(sql_int(other, "SELECT count(v) FROM t"), ROWS);
    }
    EXPECT_EQ(rows, 400);
    sqlite3_finalize(stmt);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    EXPECT_EQ(sql_int(db, "SELECT budget_bytes FROM hugelite_stat"), 16 << 20);
    EXPECT(sql_int(db, "SELECT pool_resident_bytes FROM hugelite_stat") <= 16 << 20);
    EXPECT(sql_int(db, "SELECT evictions FROM hugelite_stat") > 20);
    EXPECT_EQ(sql_int(db, "SELECT errors FROM hugelite_stat"), 0);
    sqlite3_close(stock);
    sqlite3_close(db);
    sqlite3_close(other);
    return 0;
}
