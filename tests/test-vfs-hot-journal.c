/* SPDX-License-Identifier: MIT
 *
 * test-vfs-hot-journal: a writer was killed in mid-transaction, with pages in the file and
 * their former content in the journal.
 *
 * Passes when the reader, whether it opened before or after, refuses with
 * SQLITE_READONLY_ROLLBACK and the log says what to do; when it reads on after that was
 * done; and when immutable=1 warns.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    struct peer peer = peer_start(), healer = peer_start();
    sqlite3 *db, *late;
    int64_t sum;

    vfs_begin();
    test_db(path, 20000);
    db = vfs_open(path, "");
    sum = sql_int(db, "SELECT sum(k) FROM t");
    EXPECT_EQ(vfs_log_count("hot journal"), 0);

    peer_open(peer, path);
    peer_sql(peer, "PRAGMA cache_size=10; PRAGMA cache_spill=10; BEGIN;"
                   "UPDATE t SET k = k + 1, v = 'half done ' || id");
    peer_kill(peer);

    EXPECT_EQ(sql_rc(db, "SELECT sum(k) FROM t"), SQLITE_READONLY_ROLLBACK);
    EXPECT_EQ(sql_rc(db, "SELECT sum(k) FROM t"), SQLITE_READONLY_ROLLBACK);
    EXPECT_EQ(vfs_log_count("left a hot journal; open the database once"), 1);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), "with a program that may write it");
    late = vfs_open(path, "");
    EXPECT_EQ(sql_rc(late, "SELECT sum(k) FROM t"), SQLITE_READONLY_ROLLBACK);
    sqlite3_close(late);
    late = vfs_open(path, "&immutable=1");
    EXPECT_EQ(vfs_log_count("may be inconsistent"), 1);
    sqlite3_close(late);

    peer_open(healer, path);
    EXPECT_EQ(peer_int(healer, "SELECT sum(k) FROM t"), sum);
    EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t"), sum);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE v LIKE 'half%'"), 0);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
    peer_stop(healer);
    return 0;
}
