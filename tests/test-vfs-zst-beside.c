/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-beside: a journal or a write-ahead log beside a compressed database is not its own.
 *
 * The files are those that a killed writer of the plain database has left, under the name of the
 * compressed one. Passes when nothing of them is read, nothing is warned of, and they stay as
 * they are.
 */
#include "test-vfs-common.h"

static void copy(const char *from, const char *to)
{
    size_t n;
    void *bytes = file_load(from, &n);

    EXPECT(n > 0);
    file_store(to, bytes, n);
    free(bytes);
}

static void check(const char *zst, const char *beside)
{
    static const char *const params[] = { "", "&immutable=1" };
    size_t n, m;
    char *before = file_load(beside, &n), *after;

    for (int p = 0; p < 2; p++) {
        sqlite3 *db = vfs_open(zst, params[p]);

        EXPECT_EQ(sql_int(db, "SELECT sum(k = -1) FROM t"), 0);
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 3000);
        EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "immutable, zstd-seekable");
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_error"), "");
        sqlite3_close(db);
    }
    after = file_load(beside, &m);
    EXPECT_EQ(m, n);
    EXPECT_MEM(after, before, n);
    free(before);
    free(after);
    EXPECT_STR(vfs_log_text, "");
    EXPECT_EQ(unlink(beside), 0);
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    const char *journal = test_path(dir, "x.db.zst-journal");
    const char *wal = test_path(dir, "x.db.zst-wal");
    struct peer peer = peer_start(), other = peer_start();

    vfs_begin();
    test_db(plain, 3000);
    zst_make(plain, zst, 64 << 10, NULL);

    peer_open(peer, plain);
    peer_sql(peer, "PRAGMA cache_size=2; PRAGMA cache_spill=2; BEGIN; UPDATE t SET k = -1");
    peer_kill(peer);
    copy(test_path(dir, "x.db-journal"), journal);
    check(zst, journal);

    peer_open(other, plain); /* rolls back */
    peer_sql(other, "SELECT count(*) FROM t; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                    "UPDATE t SET k = -1");
    peer_kill(other);
    copy(test_path(dir, "x.db-wal"), wal);
    check(zst, wal);
    return 0;
}
