/* SPDX-License-Identifier: MIT
 *
 * test.c - the expectations and helpers that test programs share.
 * What a test makes is removed at exit by the process that made it (a forked
 * child leaves it alone), and by run-one when the test was killed.
 *
 * Entry points and their promises: test.h.
 */
#include "config.h"

#include "test.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Before main(), and so in all children, too. */
__attribute__((constructor)) static void be_patient(void)
{
    char seconds[16];

    hl_patience_ns = TEST_PATIENCE_NS;
    snprintf(seconds, sizeof seconds, "%d", 2 * TEST_HANG_S);
    setenv("HUGELITE_HTTP_TIMEOUT", seconds, 0);
}

/* ---- expectations ------------------------------------------------------ */

/* Ends the process, or the forked child, in which the expectation failed. */
static void print_and_exit(const char *file, int line, const char *format, va_list args)
{
    char message[4096];
    const char *slash = strrchr(file, '/');

    vsnprintf(message, sizeof message, format, args);
    /* One write, so that lines of several processes do not mix. */
    fprintf(stderr, "%s:%d: %s\n    hugelite_error(): \"%s\"\n",
            slash ? slash + 1 : file, line, message, hugelite_error());
    fflush(NULL);
    exit(1);
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_and_exit(file, line, format, args);
    va_end(args);
    abort();
}

void test_expect_eq(const char *file, int line, const char *a_text, long long a,
                    const char *b_text, long long b)
{
    if (a != b)
        test_fail(file, line, "%s is %lld (0x%llx), expected %s = %lld (0x%llx)",
                  a_text, a, (unsigned long long)a, b_text, b, (unsigned long long)b);
}

static const char *rc_name(int rc)
{
    const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;

    return rc == 0 ? "success" : name ? name : "not an errno";
}

void test_expect_rc(const char *file, int line, const char *call, int rc, int expected)
{
    if (rc != expected)
        test_fail(file, line, "%s returned %d (%s), expected %d (%s)",
                  call, rc, rc_name(rc), expected, rc_name(expected));
}

void test_expect_mem(const char *file, int line, const char *p_text, const void *p,
                     const char *q_text, const void *q, size_t n)
{
    const unsigned char *a = p, *b = q;
    size_t i;

    for (i = 0; i < n; i++)
        if (a[i] != b[i])
            test_fail(file, line, "%s and %s differ at byte %zu of %zu: 0x%02x, 0x%02x",
                      p_text, q_text, i, n, a[i], b[i]);
}

void test_expect_str(const char *file, int line, const char *a_text, const char *a,
                     const char *b_text, const char *b)
{
    if (!a || !b ? a != b : strcmp(a, b) != 0)
        test_fail(file, line, "%s is \"%s\", expected %s = \"%s\"", a_text,
                  a ? a : "(null)", b_text, b ? b : "(null)");
}

void test_expect_contains(const char *file, int line, const char *text,
                          const char *haystack, const char *needle)
{
    if (!haystack || !strstr(haystack, needle))
        test_fail(file, line, "%s is \"%s\", expected it to contain \"%s\"", text,
                  haystack ? haystack : "(null)", needle);
}

void test_expect_pattern(const char *file, int line, const void *p, size_t n,
                         uint64_t seed, uint64_t offset)
{
    const unsigned char *data = p;
    size_t done = 0;

    while (done < n) {
        uint64_t at = offset + done, word = test_pattern(seed, at & ~7ull);
        size_t skip = at & 7, part = 8 - skip < n - done ? 8 - skip : n - done;

        if (memcmp(data + done, (const char *)&word + skip, part) != 0) {
            uint64_t got = 0;

            memcpy(&got, data + done, part);
            test_fail(file, line, "wrong bytes at offset %llu (byte %zu of %zu): "
                      "0x%016llx, expected 0x%016llx",
                      (unsigned long long)at, done, n, (unsigned long long)got,
                      (unsigned long long)word >> (8 * skip));
        }
        done += part;
    }
}

void test_expect_child(const char *file, int line, pid_t pid, int status)
{
    int got;

    while (waitpid(pid, &got, 0) < 0)
        if (errno != EINTR)
            test_fail(file, line, "waitpid(%d): %s", (int)pid, strerror(errno));
    if (WIFSIGNALED(got))
        test_fail(file, line, "child %d was killed by signal %d, expected exit status %d",
                  (int)pid, WTERMSIG(got), status);
    if (WEXITSTATUS(got) == 77 && status != 77)
        exit(77);                       /* it has printed what it misses */
    if (WEXITSTATUS(got) != status)
        test_fail(file, line, "child %d ended with exit status %d, expected %d",
                  (int)pid, WEXITSTATUS(got), status);
}

/* ---- requirements ------------------------------------------------------ */

void test_skip(const char *format, ...)
{
    va_list args;

    fputs("skipped: ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(NULL);
    exit(77);
}

/* The hugetlbfs mount of this run, or NULL. */
static const char *hugepage_mount(void)
{
    const char *mount = getenv("HUGELITE_TEST_MOUNT"), *pages = getenv("HUGELITE_TEST_PAGES");
    struct statfs fs;

    if (!mount || !*mount || (pages && strcmp(pages, "shmem") == 0))
        return NULL;
    if (statfs(mount, &fs) < 0 || fs.f_type != HUGETLBFS_MAGIC)
        test_fail(__FILE__, __LINE__, "HUGELITE_TEST_MOUNT=%s is no hugetlbfs mount", mount);
    return mount;
}

bool test_on_hugepages(void)
{
    return hugepage_mount() != NULL;
}

static unsigned long read_number(const char *path)
{
    unsigned long number = 0;
    FILE *f = fopen(path, "re");

    if (f) {
        if (fscanf(f, "%lu", &number) != 1)
            number = 0;
        fclose(f);
    }
    return number;
}

void requires_hugepages(unsigned pages)
{
    static const char *const sys = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    const char *mount = hugepage_mount();
    unsigned long free_pages;
    struct statfs fs;
    char path[128];

    if (!mount)
        test_skip("needs %u huge pages; run as root through tests/run-tests", pages);
    if (statfs(mount, &fs) < 0)
        test_fail(__FILE__, __LINE__, "statfs %s: %s", mount, strerror(errno));
    free_pages = fs.f_bfree;
    if (fs.f_blocks == 0) {             /* a mount without size= draws on the machine's pool */
        snprintf(path, sizeof path, "%s/free_hugepages", sys);
        free_pages = read_number(path);
        snprintf(path, sizeof path, "%s/resv_hugepages", sys);
        free_pages -= read_number(path);
    }
    if (free_pages < pages)
        test_skip("needs %u free huge pages on %s, has %lu", pages, mount, free_pages);
}

void requires_root(void)
{
    if (geteuid() != 0)
        test_skip("needs root");
}

/* ---- directories ------------------------------------------------------- */

struct kept {                           /* removed or freed at exit, newest first */
    struct kept *next;
    bool remove;
    char path[];
};
static struct kept *all_kept;
static pid_t keeper;                    /* the process that removes; not its children */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static void remove_kept(void)
{
    struct kept *k;

    while ((k = all_kept)) {
        all_kept = k->next;
        if (k->remove && keeper == getpid())
            nftw(k->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(k);
    }
}

static char *keep(bool remove_it, const char *format, const char *a, const char *b)
{
    size_t room = strlen(format) + strlen(a) + strlen(b) + 1;
    struct kept *k = malloc(sizeof *k + room);

    if (!k)
        test_fail(__FILE__, __LINE__, "no memory");
    if (!all_kept && !keeper) {
        keeper = getpid();
        atexit(remove_kept);
    }
    k->next = all_kept;
    k->remove = remove_it && keeper == getpid();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(k->path, room, format, a, b);
#pragma GCC diagnostic pop
    all_kept = k;
    return k->path;
}

static const char *fresh_dir(const char *parent)
{
    char *path = keep(true, "%s/%sXXXXXX", parent, "hugelite-test.");

    if (!mkdtemp(path)) {
        int saved = errno;

        all_kept->remove = false;
        test_fail(__FILE__, __LINE__, "mkdtemp %s: %s", path, strerror(saved));
    }
    chmod(path, 0755);
    return path;
}

const char *test_dir(void)
{
    const char *parent = getenv("TMPDIR");

    return fresh_dir(parent && *parent ? parent : "/var/tmp");
}

const char *test_pool_dir(void)
{
    const char *parent = getenv("HUGELITE_TEST_POOLS"), *mount = hugepage_mount();

    if (!parent || !*parent)            /* run by hand, not by run-one */
        parent = mount ? mount : "/dev/shm";
    return test_path(fresh_dir(parent), "pool");
}

const char *test_path(const char *dir, const char *name)
{
    return keep(false, "%s/%s", dir, name);
}

/* ---- files and databases ----------------------------------------------- */

uint64_t test_pattern(uint64_t seed, uint64_t offset)
{
    /* splitmix64: neighbours share nothing, so a shifted or torn word shows. */
    uint64_t x = seed * 0x9e3779b97f4a7c15u + offset + 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) | 1;
}

void test_file(const char *path, uint64_t bytes, uint64_t seed)
{
    enum { WORDS = 32768 };
    uint64_t *words = malloc(WORDS * sizeof *words), offset = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (!words || fd < 0)
        test_fail(__FILE__, __LINE__, "open %s: %s", path, strerror(errno));
    while (offset < bytes) {
        uint64_t left = bytes - offset, part = WORDS * sizeof *words;
        ssize_t done;
        size_t i;

        for (i = 0; i < WORDS; i++)
            words[i] = test_pattern(seed, offset + i * sizeof *words);
        done = write(fd, words, left < part ? left : part);
        if (done <= 0 || (done & 7 && (uint64_t)done != left))
            test_fail(__FILE__, __LINE__, "write %s: %s", path,
                      done < 0 ? strerror(errno) : "short write");
        offset += done;
    }
    if (close(fd) < 0)
        test_fail(__FILE__, __LINE__, "close %s: %s", path, strerror(errno));
    free(words);
}

int64_t test_db_k(int64_t id)
{
    return id * 7919 % 1000003;
}

void test_db(const char *path, unsigned rows)
{
    char *sql, *message = NULL;
    sqlite3 *db;

    unlink(path);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix")
        != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "open %s: %s", path, sqlite3_errmsg(db));
    sql = sqlite3_mprintf(
        "PRAGMA page_size=4096; PRAGMA journal_mode=delete; PRAGMA synchronous=off;"
        "BEGIN;"
        "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
        "INSERT INTO t SELECT i, i * 7919 %% 1000003,"
        " printf('row %%d %%020d%%020d%%020d%%020d', i, i * 2654435761, i * 40503,"
        " i * 2246822519, i * 3266489917) FROM n WHERE i <= %u;"
        "COMMIT;", rows, rows);
    if (!sql || sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", path, message ? message : "no memory");
    sqlite3_free(sql);
    if (sqlite3_close(db) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "close %s", path);
}

/* ---- time -------------------------------------------------------------- */

double test_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void test_sleep_ms(unsigned ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}
