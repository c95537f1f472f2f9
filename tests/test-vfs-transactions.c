/* SPDX-License-Identifier: MIT
 *
 * test-vfs-transactions: three readers beside a writer that commits random transactions.
 *
 * The writer moves amounts between random rows, now and then adds, removes and rewrites
 * rows, rolls back, vacuums, spills its cache, and always keeps sum(k) and counts each
 * commit in table c. For 4 seconds, and until it has seen many states, each reader checks in
 * one transaction that the sum is the constant, the index agrees with the table, a checksum
 * comes out the same twice, and the count of commits does not go back; passes when all of that
 * holds, and all of it came through the cache. HUGELITE_TEST_SECONDS sets another time.
 */
#include "test-vfs-common.h"

#include "kit.h"

enum { ROWS = 3000, READERS = 3, STATES = TEST_SANITIZED ? 5 : 21 };

static _Atomic int *running; /* readers */

static uint64_t dice;

static unsigned roll(unsigned n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 20) % n);
}

static void write_one(sqlite3 *db)
{
    char sql[600];
    int n = 1 + (int)roll(20), rc;

    rc = sql_rc(db, "BEGIN IMMEDIATE");
    if ((rc & 0xff) == SQLITE_BUSY)
        return;
    EXPECT_EQ(rc, SQLITE_OK);
    for (int i = 0; i < n; i++) {
        int d = (int)roll(1000), from = 1 + (int)roll(ROWS), to = 1 + (int)roll(ROWS);

        if (from == to) /* one row or none may be there: move only between two that are */
            continue;
        snprintf(sql, sizeof sql,
                 "UPDATE t SET k = k + iif(id = %d, %d, %d) WHERE id IN (%d, %d) AND "
                 "(SELECT count(*) FROM t WHERE id IN (%d, %d)) = 2",
                 from, -d, d, from, to, from, to);
        sql_exec(db, sql);
    }
    if (roll(4) == 0) { /* rows of 0 do not count for the sum */
        snprintf(sql, sizeof sql,
                 "INSERT INTO t SELECT max(id) + 1, 0, hex(randomblob(%u)) FROM t;"
                 "DELETE FROM t WHERE k = 0 AND id %% 7 = %u", 1 + roll(9000), roll(7));
        sql_exec(db, sql);
    }
    if (roll(10) == 0) { /* more than its cache holds: pages go to the file before the commit */
        snprintf(sql, sizeof sql, "UPDATE t SET v = hex(randomblob(60)) WHERE id %% 3 = %u",
                 roll(3));
        sql_exec(db, sql);
    }
    sql_exec(db, "UPDATE c SET n = n + 1");
    if (roll(6) == 0) {
        sql_exec(db, "ROLLBACK");
        return;
    }
    do /* readers hold it up for a while */
        rc = sql_rc(db, "COMMIT");
    while ((rc & 0xff) == SQLITE_BUSY);
    EXPECT_EQ(rc, SQLITE_OK);
    if (roll(200) == 0)
        sql_rc(db, "VACUUM"); /* when nobody reads */
}

static void writer(const char *path)
{
    sqlite3 *db = stock_open(path);

    dice = 0x5eed;
    sqlite3_busy_timeout(db, 10000);
    sql_exec(db, "PRAGMA synchronous=off; PRAGMA cache_size=20; PRAGMA cache_spill=20");
    while (*running) {
        write_one(db);
        if (roll(3) == 0)
            test_sleep_ms(1);
    }
    printf("writer: %lld commits\n", (long long)sql_int(db, "SELECT n FROM c"));
    sqlite3_close(db);
    exit(0);
}

static void reader(const char *path, const char *pool, int which, int64_t sum)
{
    int64_t last = 0, seen = 0, rounds = 0;
    double end = test_now() + kit_seconds(4);
    sqlite3 *db;

    vfs_begin_in(pool);
    db = vfs_open(path, "");
    sqlite3_busy_timeout(db, 10000);
    while (test_now() < end || seen < STATES) {
        uint64_t hash;
        int64_t n;

        sql_exec(db, "BEGIN");
        n = sql_int(db, "SELECT n FROM c");
        EXPECT(n >= last);
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t"), sum);
        hash = sql_hash(db, "SELECT id, k, v FROM t ORDER BY id");
        EXPECT_EQ(sql_int(db, "SELECT sum(k) FROM t INDEXED BY byk WHERE k > -1e15"), sum);
        EXPECT(hash == sql_hash(db, "SELECT id, k, v FROM t ORDER BY id"));
        EXPECT_EQ(sql_int(db, "SELECT n FROM c"), n);
        if (rounds % 50 == 0)
            EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
        sql_exec(db, "COMMIT");
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
        seen += n != last;
        last = n;
        rounds++;
        test_sleep_ms(roll(4)); /* let the writer in */
    }
    printf("reader %d: %lld rounds, %lld states\n", which, (long long)rounds, (long long)seen);
    --*running;
    sqlite3_close(db);
    exit(0);
}

int main(void)
{
    const char *path = test_path(test_dir(), "x.db"), *pool = test_pool_dir();
    pid_t pids[READERS + 1];
    int64_t sum = 0;

    running = kit_shared(sizeof *running);
    *running = READERS;
    for (int i = 1; i <= ROWS; i++)
        sum += test_db_k(i);
    pids[READERS] = fork(); /* makes the database, as SQLite must not be used before fork() */
    if (pids[READERS] == 0) {
        sqlite3 *db;

        test_db(path, ROWS);
        db = stock_open(path);
        sql_exec(db, "CREATE INDEX byk ON t(k); CREATE TABLE c(n); INSERT INTO c VALUES(0)");
        sqlite3_close(db);
        exit(0);
    }
    EXPECT_CHILD(pids[READERS], 0);

    for (int i = 0; i < READERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            dice = 77 + (uint64_t)i;
            reader(path, pool, i, sum);
        }
    }
    pids[READERS] = fork();
    if (pids[READERS] == 0)
        writer(path);
    for (int i = 0; i <= READERS; i++)
        EXPECT_CHILD(pids[i], 0);
    return 0;
}
