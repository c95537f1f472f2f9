/* SPDX-License-Identifier: MIT
 *
 * test-vfs-empty: a file of 0 bytes is an empty database, and one that fills later is
 * cached then.
 */
#include "test-vfs-common.h"

#include <fcntl.h>

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    struct peer peer = peer_start();
    sqlite3 *db, *frozen;
    int fd;

    vfs_begin();
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    EXPECT(fd >= 0);
    close(fd);

    frozen = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sql_int(frozen, "SELECT count(*) FROM sqlite_schema"), 0);
    EXPECT_CONTAINS(sql_text(frozen, "PRAGMA hugelite_mode"), "empty");
    sqlite3_close(frozen);

    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM sqlite_schema"), 0);
    EXPECT_EQ(sql_rc(db, "CREATE TABLE t(v)"), SQLITE_READONLY);
    peer_open(peer, path);
    peer_sql(peer, "CREATE TABLE t(v); INSERT INTO t VALUES(42)");
    EXPECT_EQ(sql_int(db, "SELECT v FROM t"), 42);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
    peer_stop(peer);
    return 0;
}
