/* SPDX-License-Identifier: MIT
 *
 * test-vfs-replaced-often: a reader beside a program that renames a new database into
 * place all the time.
 *
 * Every row of a file holds the number of the file. Passes when each query of 3 seconds, and
 * until some files have been seen, sees one number only, and numbers never go back.
 */
#include "test-vfs-common.h"

#include <sys/mman.h>

enum { ROWS = 3000, FILES = 6 };

static _Atomic int *seen; /* files, by the reader */

static void replacer(const char *dir, const char *path)
{
    const char *next = test_path(dir, "next.db");
    double end = test_now() + 3;
    char sql[400];

    for (int i = 1; test_now() < end || *seen < FILES; i++) {
        sqlite3 *db;

        EXPECT_EQ(sqlite3_open_v2(next, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
                  SQLITE_OK);
        snprintf(sql, sizeof sql,
                 "PRAGMA journal_mode=off; PRAGMA synchronous=off; CREATE TABLE t(n, v);"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                 "INSERT INTO t SELECT %d, randomblob(200) FROM n", ROWS, i);
        sql_exec(db, sql);
        sqlite3_close(db);
        EXPECT_EQ(rename(next, path), 0);
    }
    exit(0);
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db");
    int64_t last = 0, queries = 0;
    sqlite3 *db;
    int status;
    pid_t pid;

    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(seen != MAP_FAILED);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        replacer(dir, path);
    while (access(path, F_OK) < 0)
        test_sleep_ms(5);

    vfs_begin();
    db = vfs_open(path, "");
    while (waitpid(pid, &status, WNOHANG) == 0) {
        sqlite3_stmt *stmt = sql_first_row(db, "SELECT min(n), max(n), count(*) FROM t");
        int64_t low = sqlite3_column_int64(stmt, 0), high = sqlite3_column_int64(stmt, 1);

        EXPECT_EQ(low, high);
        EXPECT_EQ(sqlite3_column_int64(stmt, 2), ROWS);
        EXPECT(low >= last);
        *seen += low != last;
        last = low;
        queries++;
        sqlite3_finalize(stmt);
    }
    EXPECT_EQ(status, 0);
    printf("%lld queries, %d files\n", (long long)queries, *seen);
    sqlite3_close(db);
    return 0;
}
