/* SPDX-License-Identifier: MIT
 *
 * test-vfs-replaced: a file put in place by rename() is served by the next read
 * transaction, also when its change counter and schema cookie equal the old one's.
 *
 * The second file has the same tables in another order, so that a statement prepared on
 * the first would read the wrong table, were it not prepared anew.
 */
#include "test-vfs-common.h"

#include <sys/stat.h>

static void make(const char *path, const char *sql)
{
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"), 0);
    sql_exec(db, sql);
    sqlite3_close(db);
}

static void read_header(const char *path, unsigned char header[100])
{
    FILE *f = fopen(path, "rb");

    EXPECT(f);
    EXPECT_EQ(fread(header, 1, 100, f), 100);
    fclose(f);
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db"), *next = test_path(dir, "y.db");
    unsigned char before[100], after[100];
    sqlite3_stmt *stmt;
    sqlite3 *db;

    vfs_begin();
    make(path, "BEGIN; CREATE TABLE a(v); CREATE TABLE b(v);"
               "INSERT INTO a VALUES('old a'); INSERT INTO b VALUES('old b'); COMMIT");
    make(next, "BEGIN; CREATE TABLE b(v); CREATE TABLE a(v);"
               "INSERT INTO a VALUES('new a'); INSERT INTO b VALUES('new b'); COMMIT");
    read_header(path, before);
    read_header(next, after);
    EXPECT_MEM(before, after, 100); /* or the test shows nothing */

    db = vfs_open(path, "");
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT v FROM a", -1, &stmt, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
    EXPECT_STR((const char *)sqlite3_column_text(stmt, 0), "old a");

    /* In mid-transaction: the old file to its end. */
    EXPECT_EQ(rename(next, path), 0);
    EXPECT_STR(sql_text(db, "SELECT v FROM b"), "old b");
    sqlite3_reset(stmt);

    EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
    EXPECT_STR((const char *)sqlite3_column_text(stmt, 0), "new a");
    sqlite3_reset(stmt);
    EXPECT_STR(sql_text(db, "SELECT v FROM b"), "new b");
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");

    /* And once more, with other tables and another page size. */
    make(next, "PRAGMA page_size=16384; CREATE TABLE c(v); INSERT INTO c VALUES('c')");
    EXPECT_EQ(rename(next, path), 0);
    EXPECT_STR(sql_text(db, "SELECT v FROM c"), "c");
    EXPECT_EQ(sqlite3_step(stmt), SQLITE_ERROR); /* no table a any more */
    sqlite3_finalize(stmt);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    sqlite3_close(db);
    return 0;
}
