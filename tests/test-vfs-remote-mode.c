/* SPDX-License-Identifier: MIT
 *
 * test-vfs-remote-mode: how a remote database is served can be seen in SQL.
 *
 * Passes when PRAGMA hugelite_mode says remote, how it is encoded, and "unvalidated" while the origin is
 * down, and hugelite_stat has the same, with the requests that the origin has seen; when what was
 * read before is read then, and what was not is SQLITE_IOERR_READ with the cause in PRAGMA
 * hugelite_error; and when an origin that hangs is that, too, and not a reason to call a busy handler.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#define ROWS 60000

static int busy_calls;

static int on_busy(void *arg, int n)
{
    (void)arg, (void)n;
    busy_calls++;
    return 0;
}

/* In a fresh process, so that nothing of the database is in memory but what the pool has. */
static void check(const char *url, const char *mode, int unvalidated)
{
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        char text[4400];
        sqlite3 *db;

        vfs_begin_in(getenv("HUGELITE_POOL"));
        db = vfs_open(url, "");
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), mode);
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
        snprintf(text, sizeof text, "SELECT unvalidated FROM hugelite_stat WHERE source = '%s'",
                 url);
        EXPECT_EQ(sql_int(db, text), unvalidated);
        sqlite3_close(db);
        _exit(0);
    }
    EXPECT_CHILD(pid, 0);
}

static void expect_ioerr(const char *url, const char *why)
{
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        sqlite3 *db;

        vfs_begin_in(getenv("HUGELITE_POOL"));
        db = vfs_open(url, "");
        sqlite3_busy_handler(db, on_busy, NULL);
        EXPECT_EQ(sql_rc(db, "SELECT sum(k) FROM t"), SQLITE_IOERR_READ);
        EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), why);
        EXPECT_EQ(busy_calls, 0);
        sqlite3_close(db);
        _exit(0);
    }
    EXPECT_CHILD(pid, 0);
}

static void evict_all(void)
{
    struct hugelite_pool *pool;

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *www = test_dir(), *plain, *zst;
    struct hugelite_volume_stat volumes[4];
    struct hugelite_pool *pool;
    struct kit_origin *origin;
    uint64_t requests = 0;
    size_t nr;

    remote_begin(TEST_HANG_S, true);
    setenv("HUGELITE_TIER_SIZE", "0", 1);
    setenv("HUGELITE_POOL", test_pool_dir(), 1);
    setenv("HUGELITE_POOL_SIZE", "32M", 1);
    test_db(test_path(www, "x.db"), ROWS);
    zst_make(test_path(www, "x.db"), test_path(www, "x.db.zst"), 64 << 10, NULL);
    kit_age(test_path(www, "x.db"));
    kit_age(test_path(www, "x.db.zst"));
    origin = kit_origin(www);
    plain = kit_origin_url(origin, "/x.db");
    zst = kit_origin_url(origin, "/x.db.zst");

    check(plain, "immutable, remote", 0);
    check(zst, "immutable, remote, zstd-seekable", 0);
    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_volumes(pool, volumes, 4, &nr), 0);
    hugelite_pool_close(pool);
    EXPECT_EQ(nr, 2);
    for (size_t i = 0; i < nr; i++)
        requests += volumes[i].requests;
    EXPECT_EQ(requests, kit_origin_stat(origin).requests);

    kit_origin_order(origin, "down");
    check(plain, "immutable, remote, unvalidated", 1);
    check(zst, "immutable, remote, zstd-seekable, unvalidated", 1);
    evict_all();
    expect_ioerr(plain, "127.0.0.1");

    kit_origin_order(origin, "up");
    check(plain, "immutable, remote", 0);
    evict_all();
    remote_timeout(2);
    kit_origin_order(origin, "fault path=/x.db skip=1 hang=yes");
    expect_ioerr(plain, "127.0.0.1");
    kit_origin_stop(origin);
    return 0;
}
