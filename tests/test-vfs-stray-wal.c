/* SPDX-License-Identifier: MIT
 *
 * test-vfs-stray-wal: a write-ahead log beside a database that is not in WAL mode.
 *
 * Stock SQLite reads such a log. Passes when we answer as it does, whether the log was
 * there at the first read or came later.
 */
#include "test-vfs-common.h"

static void copy(const char *from, const char *to)
{
    static char buffer[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t n;

    EXPECT(in && out);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        EXPECT_EQ(fwrite(buffer, 1, n, out), n);
    fclose(in);
    fclose(out);
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db"), *wal = test_path(dir, "x.db-wal");
    const char *src = test_path(dir, "w.db"), *src_wal = test_path(dir, "w.db-wal");
    struct peer peer = peer_start(), stock = peer_start();
    int64_t expected;
    sqlite3 *db;

    vfs_begin();
    /* A log whose frames fit the database: both begin as one file. */
    test_db(path, 1000);
    copy(path, src);
    peer_open(peer, src);
    peer_sql(peer, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
                   "DELETE FROM t WHERE id > 600");

    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    copy(src_wal, wal);
    peer_open(stock, path);
    expected = peer_int(stock, "SELECT count(*) FROM t");
    EXPECT_EQ(expected, 600); /* or the log is none */
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), expected);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "write-ahead log");
    sqlite3_close(db);

    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), expected);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "direct");
    sqlite3_close(db);
    peer_stop(peer);
    peer_stop(stock);
    return 0;
}
