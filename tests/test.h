/* SPDX-License-Identifier: MIT
 *
 * test.h - what every test program includes: expectations, requirements, and
 * things to test with (directories, files of a known pattern, databases).
 *
 * A failing expectation prints both values and hugelite_error(), and ends the
 * program with status 1; in a forked child it ends that child, so the parent
 * must look at its status (EXPECT_CHILD).  Status 77 is "skipped", with the
 * reason printed.  All helpers end the test when they cannot do their work.
 *
 * See also README.md; functions.sh.in has the same for shell scripts.
 */
#ifndef HUGELITE_TEST_H
#define HUGELITE_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hugelite.h"

/* Is this build slowed down by a sanitizer?  Tests of time have no meaning there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#else
#define TEST_SANITIZED 0
#endif

/* Seconds.  Who has waited so long for what must come has found a hang; on a machine with ten times
 * the work it can do, all comes before.  The engine's own patience is twice that in tests
 * (hl_patience_ns and HUGELITE_HTTP_TIMEOUT, elsewhere ten seconds and thirty), unless a test says
 * otherwise: so who has waited in vain there is found out as well. */
#define TEST_HANG_S (TEST_SANITIZED ? 120 : 60)
#define TEST_PATIENCE_NS (2 * TEST_HANG_S * 1000000000ull)

#define TEST_NORETURN __attribute__((noreturn))
#define TEST_PRINTF(a, b) __attribute__((format(printf, a, b)))

/* ---- expectations ------------------------------------------------------ */

#define EXPECT(cond) \
    do { \
        if (!(cond)) \
            test_fail(__FILE__, __LINE__, "expected %s", #cond); \
    } while (0)

/* Two integers (or pointers); each is evaluated once. */
#define EXPECT_EQ(a, b) \
    test_expect_eq(__FILE__, __LINE__, #a, (long long)(a), #b, (long long)(b))

/* A call that returns 0 or a negative errno. */
#define EXPECT_RC(call, rc) test_expect_rc(__FILE__, __LINE__, #call, (call), (rc))

/* n bytes at p equal n bytes at q. */
#define EXPECT_MEM(p, q, n) test_expect_mem(__FILE__, __LINE__, #p, (p), #q, (q), (n))

#define EXPECT_STR(a, b) test_expect_str(__FILE__, __LINE__, #a, (a), #b, (b))

/* haystack contains needle: for messages, of which the gist matters. */
#define EXPECT_CONTAINS(haystack, needle) \
    test_expect_contains(__FILE__, __LINE__, #haystack, (haystack), (needle))

/* n bytes at p are what test_file(..., seed) wrote at offset. */
#define EXPECT_PATTERN(p, n, seed, offset) \
    test_expect_pattern(__FILE__, __LINE__, (p), (n), (seed), (offset))

/* The child process pid has ended, or ends now, with this exit status.  A child that
 * skips (77) skips the test. */
#define EXPECT_CHILD(pid, status) test_expect_child(__FILE__, __LINE__, (pid), (status))

void test_fail(const char *file, int line, const char *format, ...)
    TEST_NORETURN TEST_PRINTF(3, 4);
void test_expect_eq(const char *file, int line, const char *a_text, long long a,
                    const char *b_text, long long b);
void test_expect_rc(const char *file, int line, const char *call, int rc, int expected);
void test_expect_mem(const char *file, int line, const char *p_text, const void *p,
                     const char *q_text, const void *q, size_t n);
void test_expect_str(const char *file, int line, const char *a_text, const char *a,
                     const char *b_text, const char *b);
void test_expect_contains(const char *file, int line, const char *text,
                          const char *haystack, const char *needle);
void test_expect_pattern(const char *file, int line, const void *p, size_t n,
                         uint64_t seed, uint64_t offset);
void test_expect_child(const char *file, int line, pid_t pid, int status);

/* ---- requirements ------------------------------------------------------ */

/* End the test as skipped, for a reason that a person can mend. */
void test_skip(const char *format, ...) TEST_NORETURN TEST_PRINTF(1, 2);

/* Skip unless the test mount has this many free huge pages. */
void requires_hugepages(unsigned pages);

/* Skip unless the effective user is root. */
void requires_root(void);

/* Are pools of this run on huge pages? */
bool test_on_hugepages(void);

/* ---- things to test with ----------------------------------------------- */

/* A fresh directory on disk, mode 0755, removed with all it holds at exit.
 * The string lives until then. */
const char *test_dir(void);

/* The name of a fresh pool directory on the test mount (or on /dev/shm with
 * HUGELITE_TEST_PAGES=shmem or without huge pages).  It does not exist yet, its
 * parent does; both are removed at exit. */
const char *test_pool_dir(void);

/* "dir/name", kept until exit. */
const char *test_path(const char *dir, const char *name);

/* Write a file of the pattern; bytes need not be a multiple of 8. */
void test_file(const char *path, uint64_t bytes, uint64_t seed);

/* The word at an offset, a multiple of 8, of a file of that seed; in the byte
 * order of the machine.  Never 0, so a hole never passes for data. */
uint64_t test_pattern(uint64_t seed, uint64_t offset);

/* Write an SQLite database (pages of 4096 bytes, journal_mode delete) with
 *      CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT)
 * ids 1..rows, k = test_db_k(id), v of about 100 bytes that starts with
 * "row ID ".  The same arguments make the same file. */
void test_db(const char *path, unsigned rows);
int64_t test_db_k(int64_t id);

/* Monotonic seconds. */
double test_now(void);

/* Sleep, through EINTR. */
void test_sleep_ms(unsigned ms);

#endif
