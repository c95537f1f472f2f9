/* SPDX-License-Identifier: MIT
 *
 * test-vfs-fetch: pages come by xFetch, without any PRAGMA from the user.
 *
 * Passes when a full scan of thousands of pages, cold, makes the pager read only the first and a
 * few with which it begins, before it is known for a scan, for a plain, an immutable and a
 * compressed file; when mmap_size=0 turns that off and the answer stays the same; and when it
 * also holds for a database attached to a connection of another VFS.
 */
#include "test-vfs-common.h"

enum { ROWS = 60000, SUM_PAGES_MIN = 1000 };

static void check(sqlite3 *db, const char *schema, int64_t sum)
{
    char sql[200];
    int64_t pages;
    int misses;

    snprintf(sql, sizeof sql, "PRAGMA %s.page_count", schema);
    pages = sql_int(db, sql);
    EXPECT(pages > SUM_PAGES_MIN);
    snprintf(sql, sizeof sql, "PRAGMA %s.mmap_size", schema);
    EXPECT_EQ(sql_int(db, sql), pages * 4096);

    snprintf(sql, sizeof sql, "SELECT sum(k) FROM %s.t", schema);
    sql_misses(db);
    EXPECT_EQ(sql_int(db, sql), sum);
    misses = sql_misses(db);
    if (misses > pages / 100)
        test_fail(__FILE__, __LINE__, "%s: %d of %lld pages were copied", schema, misses,
                  (long long)pages);

    snprintf(sql, sizeof sql, "PRAGMA %s.mmap_size=0", schema);
    sql_exec(db, sql);
    snprintf(sql, sizeof sql, "SELECT sum(k) FROM %s.t", schema);
    EXPECT_EQ(sql_int(db, sql), sum);
    EXPECT(sql_misses(db) > SUM_PAGES_MIN);
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    int64_t sum = 0;
    sqlite3 *db;
    char *sql;

    vfs_begin();
    test_db(path, ROWS);
    for (int i = 1; i <= ROWS; i++)
        sum += test_db_k(i);

    db = vfs_open(path, "");
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "not read yet");
    check(db, "main", sum);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);

    db = vfs_open(path, "&immutable=1");
    check(db, "main", sum);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "immutable");
    sqlite3_close(db);

    zst_make(path, zst, 64 << 10, NULL);
    db = vfs_open(zst, "");
    check(db, "main", sum);
    sqlite3_close(db);

    EXPECT_EQ(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL),
              SQLITE_OK);
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=hugelite' AS other", path);
    sql_exec(db, sql);
    sqlite3_free(sql);
    check(db, "other", sum);
    sqlite3_close(db);
    return 0;
}
