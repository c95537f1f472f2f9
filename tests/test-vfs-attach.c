/* SPDX-License-Identifier: MIT
 *
 * test-vfs-attach: hugelite databases beside each other and beside stock ones.
 *
 * Passes when joins across them are right, temporary tables and journals go where they
 * always went, and a stock main database can be written while a cached one is read.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *dir = test_dir(), *a = test_path(dir, "a.db"), *b = test_path(dir, "b.db");
    const char *c = test_path(dir, "c.db");
    sqlite3 *db;
    char *sql;

    vfs_begin();
    test_db(a, 5000);
    test_db(b, 3000);
    test_db(c, 1);
    db = vfs_open(a, "&immutable=1");
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=hugelite' AS b", b);
    sql_exec(db, sql);
    sqlite3_free(sql);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t JOIN b.t AS u ON t.id = u.id AND t.k = u.k"),
              3000);
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=unix' AS c", c);
    EXPECT_EQ(sql_rc(db, sql), SQLITE_OK);
    sqlite3_free(sql);
    sql_exec(db, "CREATE TABLE c.sums AS SELECT k % 10 AS d, sum(k) AS s FROM b.t GROUP BY 1");
    EXPECT_EQ(sql_int(db, "SELECT sum(s) FROM c.sums"), sql_int(db, "SELECT sum(k) FROM b.t"));
    sql_exec(db, "PRAGMA temp_store=file; CREATE TEMP TABLE big AS SELECT * FROM t");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM big"), 5000);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM (SELECT v FROM t ORDER BY k DESC, v)"), 5000);
    sql_exec(db, "DETACH b");
    sqlite3_close(db);

    /* The same file twice, cached and stock, in one connection that writes. */
    db = stock_open(a);
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=hugelite' AS h", a);
    sql_exec(db, sql);
    sqlite3_free(sql);
    sql_exec(db, "UPDATE main.t SET k = -1 WHERE id <= 10");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM h.t WHERE k = -1"), 10);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM main.t JOIN h.t AS u USING(id, k, v)"), 5000);
    sqlite3_close(db);

    db = vfs_open(b, "");
    sql = sqlite3_mprintf("ATTACH 'file:%s/none.db?vfs=hugelite' AS n", dir);
    EXPECT_EQ(sql_rc(db, sql) & 0xff, SQLITE_CANTOPEN);
    sqlite3_free(sql);
    sql = sqlite3_mprintf("ATTACH 'file:%s/none.db?vfs=hugelite&immutable=1' AS n", dir);
    EXPECT_EQ(sql_rc(db, sql) & 0xff, SQLITE_CANTOPEN);
    sqlite3_free(sql);
    EXPECT_EQ(vfs_log_count("none.db: No such file or directory"), 2);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 3000);
    sqlite3_close(db);
    return 0;
}
