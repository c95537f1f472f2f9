/* SPDX-License-Identifier: MIT
 *
 * test-vfs-locks-kept: opening, reading and closing through us drops no lock that a stock
 * connection of the same process holds on the file.
 *
 * POSIX locks go when the process closes any descriptor of the file; so one careless
 * close() here would let another program write into our stock writer's transaction. Passes
 * when a peer is kept out until the stock connection commits.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db");
    struct peer peer = peer_start();
    sqlite3 *stock, *db;

    vfs_begin();
    test_db(path, 1000);
    peer_open(peer, path);
    peer_sql(peer, "PRAGMA busy_timeout=0");

    stock = stock_open(path);
    sql_exec(stock, "BEGIN IMMEDIATE; UPDATE t SET k = -1 WHERE id = 1");
    EXPECT_EQ(peer_rc(peer, "BEGIN IMMEDIATE") & 0xff, SQLITE_BUSY);
    for (int i = 0; i < 40; i++) {
        char name[20];

        db = vfs_open(path, i % 2 ? "&immutable=1" : "");
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
        sqlite3_close(db);
        EXPECT_EQ(peer_rc(peer, "BEGIN IMMEDIATE") & 0xff, SQLITE_BUSY);

        /* Many other files, so that descriptors kept for later have to go. */
        snprintf(name, sizeof name, "%d.db", i);
        test_db(test_path(dir, name), 10);
        db = vfs_open(test_path(dir, name), "");
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 10);
        sqlite3_close(db);
        EXPECT_EQ(peer_rc(peer, "BEGIN IMMEDIATE") & 0xff, SQLITE_BUSY);
    }
    sql_exec(stock, "COMMIT");

    /* Our own lock: a version is left for another while a stock reader is inside. */
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    peer_sql(peer, "UPDATE t SET k = -2 WHERE id = 2");
    sql_exec(stock, "BEGIN; SELECT count(*) FROM t");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE k < 0"), 2);
    EXPECT_EQ(peer_rc(peer, "UPDATE t SET k = -3 WHERE id = 3") & 0xff, SQLITE_BUSY);
    sql_exec(stock, "COMMIT");
    peer_rc(peer, "ROLLBACK");
    peer_sql(peer, "UPDATE t SET k = -3 WHERE id = 3");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE k < 0"), 3);
    sqlite3_close(db);
    sqlite3_close(stock);
    peer_stop(peer);
    return 0;
}
