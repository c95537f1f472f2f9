/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-replaced: a compressed database is replaced, overwritten, cut or deleted under a
 * connection that has it open.
 *
 * Passes when a connection finishes on its version as long as that has its bytes somewhere
 * (renamed over, deleted), and else gets SQLITE_IOERR_READ and a sentence for what is not in the
 * cache; when a new one gets the new version, or the sentence that refuses it; and when a
 * connection to a plain database that has become a compressed one is told so, and goes on when
 * it is plain again.
 */
#include "test-vfs-common.h"

enum { ROWS = 45000 }; /* 6 MiB: 3 chunks */

static const char *dir, *plain, *zst, *other;

/* A plain one whose k are all this. */
static void make(const char *path, int k)
{
    sqlite3 *stock;
    char sql[100];

    test_db(path, ROWS);
    stock = stock_open(path);
    snprintf(sql, sizeof sql, "PRAGMA synchronous=off; UPDATE t SET k = %d", k);
    sql_exec(stock, sql);
    sqlite3_close(stock);
}

static void make_zst(const char *path, int k)
{
    const char *image = test_path(dir, "image");

    make(image, k);
    zst_make(image, path, 64 << 10, NULL);
    EXPECT_EQ(unlink(image), 0);
}

/* Open, with the first chunk in the cache and the others not. */
static sqlite3 *open_a_little(int k)
{
    struct hugelite_pool *pool;
    sqlite3 *db;

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    hugelite_pool_close(pool);
    db = vfs_open(zst, "");
    EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 3"), k);
    return db;
}

static void is_whole(sqlite3 *db, int k)
{
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    EXPECT_EQ(sql_int(db, "SELECT min(k) FROM t"), k);
    EXPECT_EQ(sql_int(db, "SELECT max(k) FROM t"), k);
}

/* What is cached is served, a scan fails, and it is said why. */
static void is_cut_off(sqlite3 *db, int k)
{
    EXPECT_EQ(sql_rc(db, "SELECT sum(length(v)) FROM t"), SQLITE_IOERR_READ);
    EXPECT_EQ(sqlite3_system_errno(db), ESTALE);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), zst);
    EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 3"), k);
    sqlite3_close(db);
}

static void new_ones_get(int k)
{
    sqlite3 *db = vfs_open(zst, "");

    is_whole(db, k);
    sqlite3_close(db);
}

static void new_ones_are_refused(const char *why)
{
    sqlite3 *db;

    EXPECT_EQ(vfs_try(zst, "hugelite", "", &db), SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), zst);
    EXPECT_CONTAINS(sqlite3_errmsg(db), why);
    sqlite3_close(db);
}

static void renamed(void)
{
    sqlite3 *db = open_a_little(1);

    EXPECT_EQ(rename(other, zst), 0);
    new_ones_get(2);
    is_whole(db, 1);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    new_ones_get(2);
    sqlite3_close(db);
}

static void deleted(void)
{
    sqlite3 *db = open_a_little(2);

    EXPECT_EQ(unlink(zst), 0);
    new_ones_are_refused("No such file");
    is_whole(db, 2);
    sqlite3_close(db);
}

static void overwritten(void)
{
    sqlite3 *db;
    void *bytes;
    size_t n;

    make_zst(zst, 3);
    make_zst(other, 4);
    db = open_a_little(3);
    bytes = file_load(other, &n);
    file_store(zst, bytes, n);
    free(bytes);
    is_cut_off(db, 3);
    new_ones_get(4);
}

static void truncated(void)
{
    struct stat st;
    sqlite3 *db = open_a_little(4);

    EXPECT_EQ(stat(zst, &st), 0);
    EXPECT_EQ(truncate(zst, st.st_size / 2), 0);
    is_cut_off(db, 4);
    new_ones_are_refused("");
}

/* The other way round: plain files under rules 8 to 10. */
static void under_a_plain_one(void)
{
    sqlite3 *db;

    make(plain, 5);
    make_zst(zst, 6);
    db = vfs_open(plain, "");
    is_whole(db, 5);
    EXPECT_EQ(rename(zst, plain), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_IOERR_READ);
        EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), "compressed now");
    }
    make(other, 7);
    EXPECT_EQ(rename(other, plain), 0);
    is_whole(db, 7);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
}

int main(void)
{
    dir = test_dir();
    plain = test_path(dir, "x.db");
    zst = test_path(dir, "x.db.zst");
    other = test_path(dir, "y.db.zst");
    vfs_begin();
    make_zst(zst, 1);
    make_zst(other, 2);
    renamed();
    deleted();
    overwritten();
    truncated();
    under_a_plain_one();
    return 0;
}
