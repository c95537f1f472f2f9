/* SPDX-License-Identifier: MIT
 *
 * test-remote-sql: SQL over http:// gives what it gives over the file, plain and compressed, and
 * what is wrong with the origin is an SQLite error: SQLITE_CANTOPEN when the database is opened,
 * SQLITE_IOERR later, never a wrong row; afterwards the same connection goes on.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#define ROWS 60000

static const char *const queries[] = {
    "SELECT count(*), sum(k) FROM t",
    "SELECT * FROM t WHERE id % 5003 = 7",
    "SELECT v FROM t WHERE id = 31234",
    "SELECT * FROM t",
};

/* The first thing that is read of a database is read by its first statement. */
static int open_and_ask(const char *url, sqlite3 **ret_db)
{
    int rc = vfs_try(url, "hugelite", "", ret_db);

    return rc == SQLITE_OK ? sql_rc(*ret_db, "SELECT count(*) FROM t") & 0xff : rc;
}

static void expect_cannot_open(struct kit_origin *origin, const char *url, const char *fault)
{
    double began = test_now();
    sqlite3 *db = NULL;

    remote_timeout(1);
    kit_origin_order(origin, "fault %s", fault);
    EXPECT_EQ(open_and_ask(url, &db), SQLITE_CANTOPEN);
    fprintf(stderr, "%s: %.1f s, %s\n", fault, test_now() - began, sqlite3_errmsg(db));
    EXPECT_CONTAINS(sqlite3_errmsg(db), "127.0.0.1");
    EXPECT(test_now() - began < TEST_HANG_S);
    sqlite3_close(db);
    kit_origin_order(origin, "clear");
    remote_timeout(TEST_HANG_S);
}

static void expect_ioerr(struct kit_origin *origin, const char *url, const char *fault)
{
    sqlite3 *db = NULL;
    double began, until;
    int rc;

    EXPECT_EQ(hugelite_pool_evict(kit_pool(getenv("HUGELITE_POOL"), 16), NULL, NULL), 0);
    EXPECT_EQ(vfs_try(url, "hugelite", "", &db), SQLITE_OK);
    remote_timeout(1);
    kit_origin_order(origin, "fault %s", fault);
    began = test_now();
    rc = sql_rc(db, "SELECT sum(k), max(v) FROM t");
    fprintf(stderr, "%s: %d after %.1f s, %s; %s\n", fault, rc, test_now() - began,
            sqlite3_errmsg(db), hugelite_error());
    EXPECT_EQ(rc & 0xff, SQLITE_IOERR);
    EXPECT_CONTAINS(hugelite_error(), "127.0.0.1");
    EXPECT(test_now() - began < TEST_HANG_S);
    kit_origin_order(origin, "clear");
    remote_timeout(TEST_HANG_S);
    /* What was begun before that, by whomever, may fail still, until its deadline. */
    until = test_now() + TEST_HANG_S;
    while (sql_rc(db, "SELECT count(*) FROM t") != SQLITE_OK && test_now() < until)
        test_sleep_ms(10);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    sqlite3_close(db);
}

static const char *www;

/* The plain object, or the compressed one, in a process and with an origin of its own. */
static void run(void *arg)
{
    static const char *const opening[] = { "status=404", "status=403", "status=200",
                                           "ignore_range=yes", "hang=yes", "reset=-1",
                                           "gzip=yes" };
    static const char *const reading[] = { "status=403", "content_range=shift", "stall=5000",
                                           "status=503", "truncate=10" };
    struct kit_origin *origin = kit_origin(www);
    const char *url = kit_origin_url(origin, arg ? "/x.db.zst" : "/x.db");
    sqlite3 *stock, *db;

    vfs_begin();
    stock = stock_open(test_path(www, "x.db"));
    for (size_t i = 0; i < sizeof opening / sizeof *opening; i++)
        expect_cannot_open(origin, url, opening[i]);
    db = vfs_open(url, "");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        EXPECT_EQ(sql_hash(db, queries[i]), sql_hash(stock, queries[i]));
    EXPECT_EQ(sql_rc(db, "INSERT INTO t VALUES(0, 0, 0)"), SQLITE_READONLY);
    sqlite3_close(db);
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
        expect_ioerr(origin, url, reading[i]);
    sqlite3_close(stock);
}

/* SQLite is not used before a fork: the database is made in a child, too. */
static void make(void *arg)
{
    (void)arg;
    test_db(test_path(www, "x.db"), ROWS);
    kit_age(test_path(www, "x.db"));
    zst_make(test_path(www, "x.db"), test_path(www, "x.db.zst"), 128 * 1024, NULL);
}

int main(void)
{
    pid_t plain, compressed;

    remote_begin(TEST_HANG_S, false);
    www = test_dir();
    EXPECT_CHILD(kit_fork(make, NULL), 0);
    plain = kit_fork(run, NULL);
    compressed = kit_fork(run, (void *)1);
    EXPECT_CHILD(plain, 0);
    EXPECT_CHILD(compressed, 0);
    return 0;
}
