/* SPDX-License-Identifier: MIT
 *
 * test-vfs-fork: a connection that was carried over a fork() answers an error code.
 *
 * Passes when the child's queries on inherited connections, plain and immutable, fail
 * without a signal and closing them is safe; when the child reads through a connection of
 * its own; and when the parent's connections go on.
 */
#include "test-vfs-common.h"

enum { ROWS = 20000 };

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *plain, *frozen, *unused;
    int64_t sum;
    pid_t pid;

#ifdef __SANITIZE_THREAD__
    test_skip("ThreadSanitizer does not allow threads in a forked child");
#endif
    vfs_begin();
    test_db(path, ROWS);
    plain = vfs_open(path, "");
    frozen = vfs_open(path, "&immutable=1");
    unused = vfs_open(path, "");
    sum = sql_int(plain, "SELECT sum(k) FROM t");
    EXPECT_EQ(sql_int(frozen, "SELECT sum(k) FROM t"), sum);

    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        sqlite3 *own;

        EXPECT(sql_rc(plain, "SELECT sum(k) FROM t") != SQLITE_OK);
        EXPECT_EQ(sql_rc(frozen, "SELECT sum(k) FROM t"), SQLITE_MISUSE);
        EXPECT(sql_rc(unused, "SELECT sum(k) FROM t") != SQLITE_OK);
        EXPECT_CONTAINS(sql_text(frozen, "PRAGMA hugelite_error"), "fork");
        own = vfs_open(path, "&immutable=1");
        EXPECT_EQ(sql_int(own, "SELECT sum(k) FROM t"), sum);
        EXPECT_EQ(sql_int(own, "SELECT count(*) FROM hugelite_stat"), 1);
        sqlite3_close(plain);
        sqlite3_close(frozen);
        sqlite3_close(unused);
        EXPECT_EQ(sql_int(own, "SELECT sum(k) FROM t"), sum);
        sqlite3_close(own);
        exit(0);
    }
    EXPECT_CHILD(pid, 0);
    EXPECT_EQ(sql_int(plain, "SELECT sum(k) FROM t"), sum);
    EXPECT_EQ(sql_int(frozen, "SELECT sum(k) FROM t"), sum);
    EXPECT_EQ(sql_int(unused, "SELECT sum(k) FROM t"), sum);
    sqlite3_close(plain);
    sqlite3_close(frozen);
    sqlite3_close(unused);
    return 0;
}
