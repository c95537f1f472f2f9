/* SPDX-License-Identifier: MIT
 *
 * test-vfs-parameters: what a database name may ask for.
 *
 * Passes when pool= chooses the pool, a parameter named hugelite_... that nobody knows and
 * an empty pool= are refused by name, parameters of SQLite's pass, and the name of an object of a kind
 * that nobody knows reaches the engine, which says so.
 */
#include "test-vfs-common.h"

static void refused(const char *path, const char *params, const char *why)
{
    sqlite3 *db;

    EXPECT_EQ(vfs_try(path, "hugelite", params, &db), SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), why);
    sqlite3_close(db);
}

int main(void)
{
    const char *path = test_path(test_dir(), "x.db"), *pool = test_pool_dir();
    char params[5000];
    sqlite3 *db;

    vfs_begin();
    test_db(path, 100);
    snprintf(params, sizeof params, "&pool=%s", pool);
    db = vfs_open(path, params);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);
    EXPECT_STR(sql_text(db, "SELECT pool_dir FROM hugelite_stat"), pool);
    EXPECT_STR(sql_text(db, "SELECT source FROM hugelite_stat"), path);
    sqlite3_close(db);

    refused(path, "&hugelite_frobnicate=1", "hugelite_frobnicate: not known");
    refused(path, "&pool=", "pool: wants a directory");
    db = vfs_open(path, "&mode=ro&cache=private&psow=1&nolock=1");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);
    sqlite3_close(db);
    EXPECT_STR(sqlite3_vfs_find("hugelite")->zName, "hugelite");
    EXPECT(sqlite3_vfs_find(NULL) != sqlite3_vfs_find("hugelite"));

    EXPECT_EQ(sqlite3_open_v2("ftp://127.0.0.1/x.db", &db, SQLITE_OPEN_READONLY, "hugelite"),
              SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), "ftp: there are files, http://, https:// and s3:// only");
    EXPECT_EQ(sqlite3_system_errno(db), EPROTONOSUPPORT);
    sqlite3_close(db);
    return 0;
}
