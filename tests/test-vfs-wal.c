/* SPDX-License-Identifier: MIT
 *
 * test-vfs-wal: a database in WAL mode is read right while another process commits and
 * checkpoints in a loop.
 *
 * Each transaction of the writer keeps the sum of all k and raises a counter. Passes when
 * for 4 seconds, and until many states have been seen, every read transaction sees the same sum
 * twice, a counter that never goes back and is as new as what a stock connection saw before; when PRAGMA hugelite_mode and
 * the log say why nothing is cached; and when with immutable=1 the file is cached and the
 * log warns of what is not seen.
 */
#include "test-vfs-common.h"

#include <sys/mman.h>

enum { ROWS = 500, SECONDS = 4, STATES = 21 };

static _Atomic int *seen; /* states, by the reader */

static void writer(const char *path, int ready)
{
    double end = test_now() + SECONDS;
    char sql[400];
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    sql_exec(db, "PRAGMA synchronous=off; PRAGMA wal_autocheckpoint=5");
    EXPECT_EQ(write(ready, "x", 1), 1);
    for (int i = 1; test_now() < end || *seen < STATES; i++) {
        snprintf(sql, sizeof sql,
                 "BEGIN IMMEDIATE; UPDATE t SET k = k + 7 WHERE id = %d;"
                 "UPDATE t SET k = k - 7 WHERE id = %d; UPDATE c SET n = n + 1; COMMIT;"
                 "PRAGMA wal_checkpoint(%s)",
                 1 + i % ROWS, 1 + (i * 31 + 5) % ROWS,
                 i % 10 == 0 ? "TRUNCATE" : "PASSIVE");
        sql_exec(db, sql);
    }
    _exit(0);
}

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    int64_t sum, last = 0, queries = 0;
    sqlite3 *db, *stock;
    int ready[2], status;
    char byte;
    pid_t pid;

    test_db(path, ROWS);
    EXPECT_EQ(pipe(ready), 0);
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(seen != MAP_FAILED);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
        sql_exec(db, "PRAGMA journal_mode=wal; CREATE TABLE c(n); INSERT INTO c VALUES(0)");
        sqlite3_close(db);
        writer(path, ready[1]);
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);

    sqlite3_shutdown();
    vfs_begin();
    db = vfs_open(path, "");
    stock = stock_open(path);
    sum = sql_int(stock, "SELECT sum(k) FROM t");
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t before = sql_int(stock, "SELECT n FROM c"), n;

        sql_exec(db, "BEGIN");
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t"), sum);
        n = sql_int(db, "SELECT n FROM c");
        EXPECT(n >= last && n >= before);
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t"), sum);
        EXPECT_EQ(sql_int(db, "SELECT n FROM c"), n);
        sql_exec(db, "COMMIT");
        *seen += n != last;
        last = n;
        queries++;
    }
    EXPECT_EQ(status, 0);
    printf("%lld transactions, %d states\n", (long long)queries, *seen);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), "WAL");
    EXPECT_EQ(vfs_log_count("not cached: the database is in WAL mode"), 1);

    vfs_log_clear();
    sqlite3_close(db);
    sqlite3_close(stock);
    stock = stock_open(path);
    sqlite3_busy_timeout(stock, 5000);
    sql_exec(stock, "UPDATE c SET n = n + 1"); /* now there is a -wal */
    db = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t"), sum);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "immutable");
    EXPECT_EQ(vfs_log_count("is not seen"), 1);
    sqlite3_close(db);
    sqlite3_close(stock);
    return 0;
}
