/* SPDX-License-Identifier: MIT
 *
 * test-vfs-threads: many threads, each with connections of its own, one pool.
 *
 * Passes when six threads that open, query, ask hugelite_stat and close, while a seventh
 * commits through stock SQLite, get right answers throughout.
 */
#include "test-vfs-common.h"

enum { THREADS = 6, ROUNDS = 40, ROWS = 30000 };

static const char *path;
static _Atomic int running = THREADS;

static void *reader(void *arg)
{
    int which = (int)(intptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        sqlite3 *db = vfs_open(path, "");
        sqlite3_stmt *stmt;

        sqlite3_busy_timeout(db, 10000);
        EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT sum(k), count(*) FROM t WHERE id > ?", -1, &stmt,
                                     NULL), SQLITE_OK);
        sqlite3_bind_int(stmt, 1, which);
        EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
        EXPECT_EQ(sqlite3_column_int64(stmt, 1), ROWS - which);
        sqlite3_finalize(stmt);
        EXPECT_EQ(sqlite3_exec(db, "SELECT * FROM hugelite_stat", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
    running--;
    return NULL;
}

static void *writer(void *arg)
{
    sqlite3 *db = stock_open(path);

    (void)arg;
    sqlite3_busy_timeout(db, 10000);
    while (running) {
        int rc = sql_rc(db, "UPDATE t SET k = k + 1 WHERE id % 1000 = 7");

        EXPECT(rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY);
        test_sleep_ms(5);
    }
    sqlite3_close(db);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS + 1];

    vfs_begin();
    path = test_path(test_dir(), "x.db");
    test_db(path, ROWS);
    for (int i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, reader, (void *)(intptr_t)i), 0);
    EXPECT_EQ(pthread_create(&threads[THREADS], NULL, writer, NULL), 0);
    for (int i = 0; i <= THREADS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
