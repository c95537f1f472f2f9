/* SPDX-License-Identifier: MIT
 *
 * test-vfs-truncated: a file cut short or deleted under an open connection.
 *
 * Passes when what is cut gives an SQLite error or, at 0 bytes, an empty database, in a
 * plain and in an immutable file; when a deleted plain file is served to its last reader,
 * as stock SQLite does; and when nothing gets a signal.
 */
#include "test-vfs-common.h"

enum { ROWS = 60000 }; /* some 6 MiB: four chunks */

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *db, *frozen;
    int rc;

    vfs_begin();
    test_db(path, ROWS);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE id < 100"), 99);
    frozen = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sql_int(frozen, "SELECT count(*) FROM t WHERE id < 100"), 99);

    EXPECT_EQ(truncate(path, 3 << 20), 0);
    rc = sql_rc(db, "SELECT sum(k), sum(length(v)) FROM t");
    if (rc != SQLITE_CORRUPT && (rc & 0xff) != SQLITE_IOERR)
        test_fail(__FILE__, __LINE__, "plain, cut: %d %s", rc, sqlite3_errstr(rc));
    /* What the cache had not read is gone; the reader is told so. */
    rc = sql_rc(frozen, "SELECT sum(k), sum(length(v)) FROM t");
    EXPECT_EQ(rc, SQLITE_IOERR_READ);
    EXPECT(vfs_log_count("has changed") + vfs_log_count("it was longer") > 0);
    EXPECT_CONTAINS(sql_text(frozen, "PRAGMA hugelite_error"), path);
    sqlite3_close(frozen);

    EXPECT_EQ(truncate(path, 0), 0);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM sqlite_schema"), 0);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "empty");
    sqlite3_close(db);

    test_db(path, ROWS);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE id < 100"), 99);
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "deleted");
    EXPECT_EQ(vfs_log_count("not cached: the file has been deleted"), 1);
    test_db(path, 10); /* another file of that name */
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 10);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
    return 0;
}
