/* SPDX-License-Identifier: MIT
 *
 * test-vfs-default: registered as the default VFS, for programs that name none.
 *
 * Passes when a plain path is read through the cache, temporary files and databases in
 * memory work, vfs=unix still writes, and registering again or loading a second copy
 * changes nothing.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *db;

    vfs_begin();
    test_db(path, 1000);
    EXPECT_EQ(hugelite_vfs_register(1), SQLITE_OK);
    EXPECT_EQ(hugelite_vfs_register(1), SQLITE_OK);
    EXPECT_STR(sqlite3_vfs_find(NULL)->zName, "hugelite");

    EXPECT_EQ(sqlite3_open(path, &db), SQLITE_OK);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sql_exec(db, "PRAGMA temp_store=file; CREATE TEMP TABLE u AS SELECT * FROM t");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM u"), 1000);
    EXPECT_EQ(sql_rc(db, "DELETE FROM t"), SQLITE_READONLY);
    sqlite3_close(db);

    EXPECT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    sql_exec(db, "CREATE TABLE m(v); INSERT INTO m VALUES(1)");
    sqlite3_close(db);
    EXPECT_EQ(sqlite3_open("", &db), SQLITE_OK); /* a temporary file */
    sql_exec(db, "PRAGMA cache_size=1; CREATE TABLE m(v);"
                 "INSERT INTO m SELECT randomblob(100000) FROM (VALUES(1), (2), (3))");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM m"), 3);
    sqlite3_close(db);

    db = stock_open(path);
    sql_exec(db, "DELETE FROM t WHERE id > 10");
    sqlite3_close(db);
    EXPECT_EQ(sqlite3_open(path, &db), SQLITE_OK);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 10);
    sqlite3_close(db);
    return 0;
}
