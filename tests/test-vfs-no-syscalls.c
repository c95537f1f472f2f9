/* SPDX-License-Identifier: MIT
 *
 * test-vfs-no-syscalls: a warm statement on an immutable, compressed or remote database makes no
 * system call.
 *
 * The program runs itself under strace. Passes when between two markers, with 10,000 point
 * lookups and 20 scans in autocommit between them, the trace has no line; and, so that we
 * know the tracer works, when a tenth of the lookups on a plain file has thousands.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#include <sys/syscall.h>

enum { ROWS = 50000 };

static void mark(const char *text)
{
    if (write(-1, text, strlen(text)) >= 0) /* fails, but is traced */
        abort();
}

static void traced(const char *path, const char *params, int lookups)
{
    sqlite3 *db = vfs_open(path, params);
    sqlite3_stmt *lookup, *scan;
    int64_t sum = 0;

    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k FROM t WHERE id = ?", -1, &lookup, NULL), 0);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT sum(k) FROM t", -1, &scan, NULL), 0);
    for (int round = 0; round < 2; round++) { /* the first warms */
        if (round == 1)
            mark("marker one");
        for (int i = 0; i < lookups; i++) {
            sqlite3_bind_int(lookup, 1, 1 + (i * 7919) % ROWS);
            if (sqlite3_step(lookup) != SQLITE_ROW)
                abort();
            sum += sqlite3_column_int64(lookup, 0);
            sqlite3_reset(lookup);
        }
        for (int i = 0; i < 20; i++) {
            if (sqlite3_step(scan) != SQLITE_ROW)
                abort();
            sum += sqlite3_column_int64(scan, 0);
            sqlite3_reset(scan);
        }
    }
    mark("marker two");
    EXPECT(sum != 0);
    sqlite3_finalize(lookup);
    sqlite3_finalize(scan);
    sqlite3_close(db);
    exit(0);
}

/* Lines between the markers; of this thread, as strace does not follow others. */
static long count_calls(const char *trace)
{
    FILE *f = fopen(trace, "re");
    char line[1000];
    bool inside = false;
    long n = 0;

    EXPECT(f);
    while (fgets(line, sizeof line, f)) {
        if (strstr(line, "marker two")) {
            fclose(f);
            EXPECT(inside);
            return n;
        }
        if (inside && ++n <= 5)
            printf("%s", line);
        if (strstr(line, "marker one"))
            inside = true;
    }
    test_fail(__FILE__, __LINE__, "%s does not hold both markers", trace);
}

static long run(const char *self, const char *path, const char *params, const char *lookups)
{
    const char *trace = test_path(test_dir(), "trace");
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        execlp("strace", "strace", "-o", trace, self, path, params, lookups,
               (char *)NULL);
        _exit(126);
    }
    EXPECT_CHILD(pid, 0);
    return count_calls(trace);
}

int main(int argc, char **argv)
{
    const char *path = test_path(test_dir(), "x.db");
    const char *zst = test_path(test_dir(), "x.db.zst"), *www;
    struct kit_origin *origin;
    long plain;

    if (TEST_SANITIZED)
        test_skip("a sanitizer makes system calls of its own");
    if (argc == 4) {
        vfs_begin();
        traced(argv[1], argv[2], atoi(argv[3]));
    }
    if (system("strace -o /dev/null true 2>/dev/null") != 0)
        test_skip("needs strace, and the right to trace");
    test_db(path, ROWS);
    zst_make(path, zst, 64 << 10, NULL);
    EXPECT_EQ(run(argv[0], path, "&immutable=1", "10000"), 0);
    EXPECT_EQ(run(argv[0], zst, "", "10000"), 0);
    www = test_dir();
    EXPECT_EQ(rename(zst, test_path(www, "x.db.zst")), 0);
    EXPECT_EQ(link(path, test_path(www, "x.db")), 0);
    remote_begin(TEST_HANG_S, false);
    origin = kit_origin(www);
    EXPECT_EQ(run(argv[0], kit_origin_url(origin, "/x.db"), "", "10000"), 0);
    EXPECT_EQ(run(argv[0], kit_origin_url(origin, "/x.db.zst"), "", "10000"), 0);
    kit_origin_stop(origin);
    plain = run(argv[0], path, "", "1000");
    printf("plain: %ld system calls for 1,020 statements\n", plain);
    EXPECT(plain > 2000);
    return 0;
}
