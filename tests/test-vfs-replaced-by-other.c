/* SPDX-License-Identifier: MIT
 *
 * test-vfs-replaced-by-other: in place of the database comes what is none.
 *
 * A directory, a FIFO and an empty file by that name, one after another: passes when each
 * gives an error or an empty database at the next read transaction, none holds us, and a
 * database that comes back is read.
 */
#include "test-vfs-common.h"

#include <fcntl.h>
#include <sys/stat.h>

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *db;
    int fd;

    vfs_begin();
    test_db(path, 100);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);

    alarm(TEST_HANG_S); /* ends the test by a signal */
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(mkdir(path, 0755), 0);
    EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_CANTOPEN_ISDIR);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), "has been replaced: is a directory");
    EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_CANTOPEN_ISDIR);
    EXPECT_EQ(rmdir(path), 0);

    EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_CANTOPEN);
    EXPECT_EQ(mkfifo(path, 0644), 0);
    EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_CANTOPEN);
    EXPECT_EQ(unlink(path), 0);

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM sqlite_schema"), 0);

    EXPECT_EQ(unlink(path), 0);
    test_db(path, 70);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 70);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);
    return 0;
}
