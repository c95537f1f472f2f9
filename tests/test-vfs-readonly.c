/* SPDX-License-Identifier: MIT
 *
 * test-vfs-readonly: nothing is written and nothing is made.
 *
 * Passes when every kind of write gives SQLITE_READONLY, a missing file SQLITE_CANTOPEN
 * with a sentence that reaches the caller, and the file and its folder are as before.
 */
#include "test-vfs-common.h"

#include <dirent.h>
#include <sys/stat.h>

static int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;

    EXPECT(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

int main(void)
{
    static const char *const writes[] = {
        "INSERT INTO t VALUES(0, 0, 0)", "UPDATE t SET k = 0", "DELETE FROM t", "DROP TABLE t",
        "CREATE TABLE u(v)", "CREATE INDEX i ON t(k)", "VACUUM", "ANALYZE",
        "PRAGMA user_version=7", "PRAGMA application_id=7", "BEGIN EXCLUSIVE",
    };
    static const char *const params[] = { "", "&immutable=1" };
    const char *dir = test_dir(), *path = test_path(dir, "x.db");
    struct stat before, after;
    sqlite3 *db;

    vfs_begin();
    test_db(path, 1000);
    EXPECT_EQ(stat(path, &before), 0);
    for (unsigned p = 0; p < 2; p++) {
        db = vfs_open(path, params[p]);
        EXPECT_EQ(sqlite3_db_readonly(db, "main"), 1);
        for (unsigned i = 0; i < sizeof writes / sizeof *writes; i++) {
            int rc = sql_rc(db, writes[i]);

            /* Stock SQLite lets a reader begin exclusively; it writes nothing. */
            if (rc == SQLITE_OK && strcmp(writes[i], "BEGIN EXCLUSIVE") == 0)
                sql_exec(db, "ROLLBACK");
            else if ((rc & 0xff) != SQLITE_READONLY)
                test_fail(__FILE__, __LINE__, "%s: %d %s", writes[i], rc, sqlite3_errstr(rc));
        }
        sql_exec(db, "CREATE TEMP TABLE u AS SELECT * FROM t; UPDATE temp.u SET k = 1");
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM temp.u"), 1000);
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 1000);
        sqlite3_close(db);
    }
    EXPECT_EQ(stat(path, &after), 0);
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    EXPECT_EQ(before.st_size, after.st_size);

    EXPECT_EQ(vfs_try(test_path(dir, "none.db"), "hugelite", "", &db), SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), "none.db: No such file or directory");
    EXPECT_EQ(sqlite3_system_errno(db), ENOENT);
    sqlite3_close(db);
    EXPECT_EQ(sqlite3_open_v2(test_path(dir, "none.db"), &db,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "hugelite"),
              SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), "hugelite makes no databases");
    sqlite3_close(db);
    EXPECT_EQ(count_files(dir), 1);
    return 0;
}
