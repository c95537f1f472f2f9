/* SPDX-License-Identifier: MIT
 *
 * test-vfs-mmap-size-kept: what we do to have xFetch called leaves stock files alone.
 *
 * Passes when a stock main database keeps the mmap_size it had, 0 or another, and so does
 * one attached to it; and when one attached to a database in memory maps no more than a
 * byte.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db"), *path2 = test_path(dir, "y.db");
    sqlite3 *db;
    char *sql;

    vfs_begin();
    test_db(path, 1000);
    test_db(path2, 1000);

    db = stock_open(path);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    EXPECT_EQ(sql_int(db, "PRAGMA mmap_size"), 0);
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=unix' AS other", path2);
    sql_exec(db, sql);
    sqlite3_free(sql);
    EXPECT_EQ(sql_int(db, "PRAGMA other.mmap_size"), 0);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM other.t"), 1000);
    sqlite3_close(db);

    EXPECT_EQ(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL), 0);
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=unix' AS other", path2);
    sql_exec(db, sql);
    sqlite3_free(sql);
    EXPECT_EQ(sql_int(db, "SELECT sum(length(v)) > 0 FROM other.t"), 1);
    EXPECT(sql_int(db, "PRAGMA other.mmap_size") <= 1);
    sqlite3_close(db);

    sqlite3_shutdown();
    EXPECT_EQ(sqlite3_config(SQLITE_CONFIG_MMAP_SIZE, (sqlite3_int64)1 << 20,
                             (sqlite3_int64)1 << 30), SQLITE_OK);
    EXPECT_EQ(hugelite_vfs_register(0), SQLITE_OK);
    db = stock_open(path);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    EXPECT_EQ(sql_int(db, "PRAGMA mmap_size"), 1 << 20);
    sqlite3_close(db);
    return 0;
}
