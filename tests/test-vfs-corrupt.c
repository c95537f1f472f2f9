/* SPDX-License-Identifier: MIT
 *
 * test-vfs-corrupt: damaged files give the error that stock SQLite gives, never a signal.
 *
 * Text, noise, a file that ends 1 byte or half a page early, and 150 databases with random
 * bytes overwritten: passes when queries and integrity_check end as with stock SQLite over
 * the same file, in both modes.
 */
#include "test-vfs-common.h"

#include <fcntl.h>
#include <sys/stat.h>

static void spoil(const char *path, uint64_t offset, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, bytes, n, (off_t)offset), (ssize_t)n);
    close(fd);
}

/* The outcome of a few queries, as text. */
static void outcome(const char *path, const char *vfs, const char *params, char *text, size_t room)
{
    static const char *const queries[] = {
        "SELECT count(*) FROM t", "SELECT sum(k), sum(length(v)) FROM t",
        "SELECT v FROM t WHERE id = 777", "SELECT sum(k) FROM t WHERE k BETWEEN 5 AND 500000",
        "PRAGMA integrity_check(20)", "SELECT * FROM sqlite_schema",
    };
    size_t used = 0;
    sqlite3 *db;
    int rc;

    rc = vfs_try(path, vfs, params, &db);
    used += (size_t)snprintf(text, room, "open %d\n", rc);
    for (unsigned i = 0; rc == SQLITE_OK && i < sizeof queries / sizeof *queries; i++) {
        sqlite3_stmt *stmt;
        int end = sqlite3_prepare_v2(db, queries[i], -1, &stmt, NULL);

        while (end == SQLITE_OK || end == SQLITE_ROW) {
            end = sqlite3_step(stmt);
            for (int c = 0; end == SQLITE_ROW && used < room && c < sqlite3_column_count(stmt); c++)
                used += (size_t)snprintf(text + used, room - used, "%s|",
                                         (const char *)sqlite3_column_text(stmt, c));
        }
        if (used < room)
            used += (size_t)snprintf(text + used, room - used, "%d\n", end);
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
}

static void compare(const char *path)
{
    static char stock[20000], cached[20000];

    outcome(path, "unix", "", stock, sizeof stock);
    outcome(path, "hugelite", "", cached, sizeof cached);
    EXPECT_STR(cached, stock);
    outcome(path, "hugelite", "&immutable=1", cached, sizeof cached);
    EXPECT_STR(cached, stock);
}

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    struct stat st;
    sqlite3 *db;
    int rc;

    vfs_begin();
    test_file(path, 100000, 7);
    compare(path);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_rc(db, "SELECT count(*) FROM t"), SQLITE_NOTADB);
    sqlite3_close(db);
    test_file(path, 5, 7);
    compare(path);

    test_db(path, 40000); /* more than two chunks */
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(truncate(path, st.st_size - 1), 0);
    compare(path);
    EXPECT_EQ(truncate(path, st.st_size - 2048), 0);
    compare(path);
    EXPECT_EQ(truncate(path, 4096 * 300 + 100), 0);
    compare(path);
    db = vfs_open(path, "");
    rc = sql_rc(db, "SELECT sum(length(v)) FROM t");
    EXPECT_EQ(rc & 0xff, SQLITE_CORRUPT);
    sqlite3_close(db);

    for (unsigned round = 0; round < 150; round++) {
        if (round % 10 == 0) {
            test_db(path, 4000);
            EXPECT_EQ(stat(path, &st), 0);
        }
        for (unsigned i = 0; i < 6; i++) {
            uint64_t noise = test_pattern(round * 100 + i, 0), place = test_pattern(noise, 8);
            /* Page headers and the first pages are where it hurts. */
            uint64_t offset = i % 2 ? place % ((uint64_t)st.st_size - 8)
                                    : (place % ((uint64_t)st.st_size / 4096)) * 4096 + noise % 64;

            if (offset < 100) /* the header: WAL mode and sizes would end the comparison early */
                offset += 100;
            spoil(path, offset, &noise, 1 + noise % 4);
        }
        compare(path);
    }

    return 0;
}
