/* SPDX-License-Identifier: MIT
 *
 * test-vfs-wal-switch: WAL mode turned on and off while we have the database open.
 *
 * Passes when each state shows at once what was committed, and it is cached before and
 * after, served directly between.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    struct peer peer = peer_start();
    sqlite3 *db;

    vfs_begin();
    test_db(path, 1000);
    peer_open(peer, path);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");

    peer_sql(peer, "PRAGMA journal_mode=wal; DELETE FROM t WHERE id > 900");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 900);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "WAL");
    peer_sql(peer, "DELETE FROM t WHERE id > 800");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 800);
    peer_sql(peer, "PRAGMA wal_checkpoint(TRUNCATE)");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 800);
    sqlite3_close(db); /* a reader of a WAL database keeps others from leaving it */

    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 800);
    sqlite3_close(db);
    peer_sql(peer, "PRAGMA journal_mode=delete; DELETE FROM t WHERE id > 700");
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 700);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
    peer_stop(peer);
    return 0;
}
