/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-attach: a compressed and a plain database in one connection.
 *
 * Passes when joins between them are right whichever is main, also from a connection of
 * another VFS; and when a commit to the plain one by another program is seen while the compressed
 * one stays what it was.
 */
#include "test-vfs-common.h"

enum { ROWS = 20000 };

static const char join[] =
    "SELECT count(*) FROM p.t AS a JOIN z.t AS b USING(id) WHERE a.k = b.k AND a.v = b.v";

static void attach(sqlite3 *db, const char *path, const char *name)
{
    char *sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=hugelite' AS %s", path, name);

    sql_exec(db, sql);
    sqlite3_free(sql);
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    sqlite3 *db[3];
    struct peer peer = peer_start();

    vfs_begin();
    test_db(plain, ROWS);
    zst_make(plain, zst, 64 << 10, NULL);
    peer_open(peer, plain);

    db[0] = vfs_open(plain, "");
    db[1] = vfs_open(zst, "");
    EXPECT_EQ(sqlite3_open_v2(":memory:", &db[2], SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, "unix"),
              SQLITE_OK);
    for (int i = 0; i < 3; i++) {
        attach(db[i], plain, "p");
        attach(db[i], zst, "z");
        EXPECT_EQ(sql_int(db[i], join), ROWS);
        EXPECT_STR(sql_text(db[i], "PRAGMA p.hugelite_mode"), "cached");
        EXPECT_STR(sql_text(db[i], "PRAGMA z.hugelite_mode"), "immutable, zstd-seekable");
    }

    peer_sql(peer, "UPDATE t SET k = -1 WHERE id <= 100");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(sql_int(db[i], join), ROWS - 100);
        EXPECT_EQ(sql_int(db[i], "SELECT k FROM z.t WHERE id = 7"), test_db_k(7));
        EXPECT_EQ(sql_rc(db[i], "DELETE FROM z.t"), SQLITE_READONLY);
        sql_exec(db[i], "DETACH z");
        EXPECT_EQ(sql_int(db[i], "SELECT k FROM p.t WHERE id = 7"), -1);
        sqlite3_close(db[i]);
    }
    peer_stop(peer);
    return 0;
}
