/* SPDX-License-Identifier: MIT
 *
 * test-vfs-changed: what another program commits is seen by the next read transaction, and
 * by no earlier one.
 *
 * Passes when each of 30 commits shows at once, when a transaction that is open keeps the
 * writer out (SQLite's own locks are taken), and when a growing file is read to its end.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    struct peer peer = peer_start();
    sqlite3_stmt *stmt;
    sqlite3 *db;
    char sql[300];

    vfs_begin();
    test_db(path, 2000);
    peer_open(peer, path);
    db = vfs_open(path, "");
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k FROM t WHERE id = 1000", -1, &stmt, NULL), 0);

    for (int i = 1; i <= 30; i++) {
        snprintf(sql, sizeof sql, "UPDATE t SET k = %d WHERE id = 1000", 5000000 + i);
        peer_sql(peer, sql);
        EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
        EXPECT_EQ(sqlite3_column_int64(stmt, 0), 5000000 + i);
        EXPECT_EQ(sqlite3_step(stmt), SQLITE_DONE);
        sqlite3_reset(stmt);
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    }

    sql_exec(db, "BEGIN");
    EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 1000"), 5000030);
    peer_sql(peer, "PRAGMA busy_timeout=50");
    EXPECT_EQ(peer_rc(peer, "UPDATE t SET k = 1 WHERE id = 1000") & 0xff, SQLITE_BUSY);
    EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 1000"), 5000030);
    sql_exec(db, "COMMIT");

    peer_sql(peer, "INSERT INTO t SELECT id + 2000, id, v FROM t");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 4000);
    EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t WHERE id > 2000"), 2001000);
    peer_sql(peer, "CREATE TABLE u AS SELECT id FROM t; DROP TABLE t; VACUUM");
    EXPECT_EQ(sql_int(db, "SELECT max(id) FROM u"), 4000);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");

    sqlite3_finalize(stmt);
    sqlite3_close(db);
    peer_stop(peer);
    return 0;
}
