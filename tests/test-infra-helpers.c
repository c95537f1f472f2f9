/* SPDX-License-Identifier: MIT
 *
 * test-infra-helpers: the helpers of test.h do what they say.
 *
 * Passes when files of the pattern read back as test_pattern() tells, at any
 * offset; when a wrong byte, a wrong value and a wrong exit status do fail a
 * child; when a failed child leaves its parent's directories alone; and when
 * two databases made alike are alike.
 */
#include "config.h"

#include "test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (300 * 1024 + 5)

static unsigned char *read_file(const char *path, size_t *ret_bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char *data;

    EXPECT(fd >= 0);
    EXPECT_EQ(fstat(fd, &st), 0);
    data = malloc(st.st_size);
    EXPECT(data != NULL);
    EXPECT_EQ(read(fd, data, st.st_size), st.st_size);
    close(fd);
    *ret_bytes = st.st_size;
    return data;
}

enum wrong { WRONG_BYTE, WRONG_VALUE, WRONG_RC, WRONG_STRING, WRONG_CHILD, NR_WRONG };

/* Run one expectation that must fail, in a child with its stderr closed. */
static void expect_failure(enum wrong what, unsigned char *data)
{
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT(freopen("/dev/null", "w", stderr) != NULL);
        switch (what) {
        case WRONG_BYTE:
            data[77777] ^= 1;
            EXPECT_PATTERN(data, BYTES, 7, 0);
            break;
        case WRONG_VALUE:
            EXPECT_EQ(BYTES, 1);
            break;
        case WRONG_RC:
            EXPECT_RC(-EOF, 0);
            break;
        case WRONG_STRING:
            EXPECT_STR("a", "b");
            break;
        default:
            pid = fork();
            if (pid == 0)
                _exit(3);
            EXPECT_CHILD(pid, 0);
        }
        _exit(0);
    }
    EXPECT_CHILD(pid, 1);
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "pattern");
    const char *pool = test_pool_dir(), *slash = strrchr(pool, '/');
    char parent[4096];
    unsigned char *data, *other;
    size_t bytes, other_bytes;
    sqlite3 *db;
    sqlite3_stmt *stmt;

    test_file(path, BYTES, 7);
    data = read_file(path, &bytes);
    EXPECT_EQ(bytes, BYTES);
    EXPECT_PATTERN(data, bytes, 7, 0);
    EXPECT_PATTERN(data + 4099, bytes - 4099, 7, 4099);
    EXPECT(test_pattern(7, 0) != test_pattern(8, 0));
    EXPECT(test_pattern(7, 0) != test_pattern(7, 8));

    for (int what = 0; what < NR_WRONG; what++)
        expect_failure(what, data);
    EXPECT_EQ(access(path, F_OK), 0);

    EXPECT_EQ(access(pool, F_OK), -1);
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - pool), pool);
    EXPECT_EQ(access(parent, W_OK), 0);

    test_db(test_path(dir, "a.db"), 1000);
    test_db(test_path(dir, "b.db"), 1000);
    free(data);
    data = read_file(test_path(dir, "a.db"), &bytes);
    other = read_file(test_path(dir, "b.db"), &other_bytes);
    EXPECT_EQ(bytes, other_bytes);
    EXPECT_MEM(data, other, bytes);
    free(data);
    free(other);

    EXPECT_EQ(sqlite3_open_v2(test_path(dir, "a.db"), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k, v, (SELECT count(*) FROM t) FROM t WHERE id = 999",
                                 -1, &stmt, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int64(stmt, 0), test_db_k(999));
    EXPECT_EQ(strncmp((const char *)sqlite3_column_text(stmt, 1), "row 999 ", 8), 0);
    EXPECT_EQ(sqlite3_column_int64(stmt, 2), 1000);
    sqlite3_finalize(stmt);
    EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
    return 0;
}
