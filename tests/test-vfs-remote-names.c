/* SPDX-License-Identifier: MIT
 *
 * test-vfs-remote-names: the ways to write the name of a remote database.
 *
 * Passes when a URL opens as a URI and as a bare string, with a query, with a '#' and '%' of its own,
 * with doubled slashes and with a name of 7000 bytes; when ATTACH takes both forms; when pool= is
 * obeyed; when what is wrong is told without the credentials in the name; and when nobody can write.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#define ROWS 20000

static const char count[] = "SELECT count(*) FROM t";

static sqlite3 *open_bare(const char *name, int flags)
{
    sqlite3 *db;

    if (sqlite3_open_v2(name, &db, flags, "hugelite") != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", name, sqlite3_errmsg(db));
    return db;
}

/* name: what follows "file:", escaped. */
static void expect_uri(const char *name)
{
    sqlite3 *db = vfs_open(name, "");

    EXPECT_EQ(sql_int(db, count), ROWS);
    sqlite3_close(db);
}

static void expect_bare(const char *name)
{
    for (int uri = 0; uri < 2; uri++) {
        sqlite3 *db = open_bare(name, uri ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI
                                          : SQLITE_OPEN_READONLY);

        EXPECT_EQ(sql_int(db, count), ROWS);
        EXPECT_EQ(sqlite3_db_readonly(db, "main"), 1);
        sqlite3_close(db);
    }
}

static void attaches(const char *url)
{
    char *bare = sqlite3_mprintf("ATTACH '%s?q=1#frag' AS a", url);
    char *uri = sqlite3_mprintf("ATTACH 'file:%s%%3fq=%%2523?vfs=hugelite' AS b", url);
    sqlite3 *db = open_bare(url, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI), *memory;

    sql_exec(db, bare); /* by the VFS of main */
    sql_exec(db, uri);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM a.t JOIN b.t USING (id) JOIN main.t USING (id)"),
              ROWS);
    EXPECT_STR(sql_text(db, "PRAGMA b.hugelite_mode"), "immutable, remote");
    sqlite3_close(db);

    EXPECT_EQ(sqlite3_open_v2(":memory:", &memory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL),
              SQLITE_OK);
    sql_exec(memory, uri);
    EXPECT_EQ(sql_int(memory, "SELECT count(*) FROM b.t"), ROWS);
    EXPECT_EQ(sql_rc(memory, "INSERT INTO b.t VALUES (1, 2, 3)") & 0xff, SQLITE_READONLY);
    sqlite3_close(memory);
    sqlite3_free(bare);
    sqlite3_free(uri);
}

static void expect_refused(const char *name, const char *params, const char *why)
{
    sqlite3 *db;

    vfs_log_clear();
    EXPECT_EQ(vfs_try(name, "hugelite", params, &db), SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), why);
    EXPECT(!strstr(sqlite3_errmsg(db), "hunter2") && !strstr(sqlite3_errmsg(db), "c0ffee"));
    EXPECT(!strstr(vfs_log_text, "hunter2") && !strstr(vfs_log_text, "c0ffee"));
    sqlite3_close(db);
}

static void is_refused(struct kit_origin *origin)
{
    char secret[200];

    snprintf(secret, sizeof secret, "http://joe:hunter2@127.0.0.1:%u/none.db%%3fsig=c0ffee",
             kit_origin_port(origin));
    expect_refused(secret, "", "/none.db?...");
    expect_refused(secret, "&hugelite_x=1", "URI parameter hugelite_x: not known");
    expect_refused(secret, "&pool=", "URI parameter pool: wants a directory");
    expect_refused(secret, "&pool=/proc/none", "/proc/none");
    expect_refused("ftp://joe:hunter2@127.0.0.1/x.db", "", "https:// and s3:// only");
    expect_refused("http://joe:hun/ter2@127.0.0.1:99/x.db", "", "no URL");
}

/* Nothing is created by a name, whatever the flags. */
static void is_read_only(const char *url)
{
    sqlite3 *db = open_bare(url, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

    EXPECT_EQ(sql_rc(db, "DELETE FROM t") & 0xff, SQLITE_READONLY);
    EXPECT_EQ(sql_rc(db, "CREATE TABLE u(x)") & 0xff, SQLITE_READONLY);
    EXPECT_EQ(sql_rc(db, "VACUUM") & 0xff, SQLITE_READONLY);
    EXPECT_EQ(sql_int(db, count), ROWS);
    sqlite3_close(db);
}

int main(void)
{
    const char *www = test_dir(), *pool_b = test_pool_dir(), *url;
    char text[16384], *end;
    struct kit_origin *origin;
    struct hugelite_volume_stat vol;
    struct hugelite_pool *pool;
    sqlite3 *db;
    size_t nr;

    remote_begin(TEST_HANG_S, false);
    test_db(test_path(www, "x.db"), ROWS);
    kit_age(test_path(www, "x.db"));
    vfs_begin();
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db");

    expect_bare(url);
    expect_uri(url);
    snprintf(text, sizeof text, "%s?part=1&X-Amz-Credential=AK%%2F2026#page", url);
    expect_bare(text);
    snprintf(text, sizeof text, "%s%%3fpart=1&X-Amz-Credential=AK%%252F2026%%23page", url);
    expect_uri(text);
    EXPECT(kit_origin_count(origin, "/x.db?part=1&X-Amz-Credential=AK%2F2026") > 0);
    EXPECT_EQ(kit_origin_count(origin, "page"), 0); /* a fragment is not sent */

    /* The slash is not folded, the host no authority. */
    snprintf(text, sizeof text, "%s", kit_origin_url(origin, "//x.db"));
    expect_bare(text);
    expect_uri(text);
    EXPECT(kit_origin_count(origin, "GET //x.db ") > 0);

    /* A token may be long; what is too long is an error and no overrun. */
    end = text + snprintf(text, sizeof text, "%s?X-Amz-Security-Token=", url);
    memset(end, 'x', 7000);
    strcpy(end + 7000, "&X-Amz-Signature=1");
    expect_bare(text);
    memset(end, 'x', 9000);
    strcpy(end + 9000, "&X-Amz-Signature=1");
    EXPECT_EQ(sqlite3_open_v2(text, &db, SQLITE_OPEN_READONLY, "hugelite"), SQLITE_CANTOPEN);
    sqlite3_close(db);

    attaches(url);
    is_read_only(url);
    is_refused(origin);

    snprintf(text, sizeof text, "&pool=%s", pool_b);
    db = vfs_open(url, text);
    EXPECT_EQ(sql_int(db, count), ROWS);
    sqlite3_close(db);
    EXPECT_RC(hugelite_pool_open(pool_b, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_volumes(pool, &vol, 1, &nr), 0);
    EXPECT_EQ(nr, 1);
    EXPECT_STR(vol.source, url);
    hugelite_pool_close(pool);
    kit_origin_stop(origin);
    return 0;
}
