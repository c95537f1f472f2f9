/* SPDX-License-Identifier: MIT
 *
 * test-inject-copies: UFFDIO_COPY answers EAGAIN hundreds of times, copies in part, finds no
 * page, or one that is not ours.
 *
 * On the pages of this run, and on small ones.  Passes when a fetch, a touch of the mapping, a
 * read and a fill of the crew give the right bytes as long as there is an end to it; when there
 * is none, the fetch says EBUSY, the read is right all the same, and the touch ends in a signal;
 * and when afterwards no page is left of what failed.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK - 5000)
#define SEED 17

enum { FOR_EVER = 1000000000 };

static struct hugelite_pool *pool;
static struct hugelite_volume *vol;
static sigjmp_buf back;

static void on_sigbus(int signal)
{
    siglongjmp(back, signal);
}

static void begin(const char *path)
{
    pool = kit_pool(test_pool_dir(), CHUNKS);
    vol = kit_volume(pool, path);
}

static void end(void)
{
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void evict(void)
{
    stop_fail_kind(STOP_K_COPY, 1, 0, 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    kit_audit(pool);
}

static void read_all(void)
{
    static char buffer[100000];

    for (uint64_t at = 0; at + sizeof buffer <= BYTES; at += CHUNK / 2) {
        EXPECT_RC(hugelite_volume_read(vol, at, sizeof buffer, buffer), 0);
        EXPECT_PATTERN(buffer, sizeof buffer, SEED, at);
    }
}

/* Each way to a chunk, while so many copies in a row do not succeed. */
static void bear(unsigned nr, int err)
{
    const char *base;

    evict();
    stop_fail_kind(STOP_K_COPY, 1, nr, err);
    kit_verify(vol, SEED);
    EXPECT(stop_failed_kind() > 0);
    evict();
    stop_fail_kind(STOP_K_COPY, 1, nr, err);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    for (uint64_t i = 0; i < CHUNKS; i++)
        EXPECT_PATTERN(base + i * CHUNK, 9000, SEED, i * CHUNK);
    EXPECT(stop_failed_kind() > 0);
    evict();
    stop_fail_kind(STOP_K_COPY, 1, nr, err);
    read_all();
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
    EXPECT(stop_failed_kind() > 0);
    evict();
}

/* There is no end to it. */
static void give_up(int err, int expected)
{
    const volatile char *base;
    char buffer[5000];
    const void *data;
    int rc;

    evict();
    stop_fail_kind(STOP_K_COPY, 1, FOR_EVER, err);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 8, &data), expected);
    EXPECT(hugelite_error()[0]);
    rc = hugelite_volume_read(vol, 99, sizeof buffer, buffer);
    if (rc == 0)
        EXPECT_PATTERN(buffer, sizeof buffer, SEED, 99);
    else
        EXPECT_EQ(rc, expected == -EBUSY ? 0 : expected);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    if (sigsetjmp(back, 1) == 0) {
        (void)base[2 * CHUNK];
        test_fail(__FILE__, __LINE__, "a chunk that cannot be copied was read");
    }
    evict();
    kit_verify(vol, SEED);
}

static void break_copy(void)
{
    stop_fail_kind(STOP_K_COPY, 1, 1, EIO);
}

/* A part is there when the rest fails for good.  A huge page has no parts. */
static void break_off(void)
{
    const void *data;

    evict();
    stop_fail_kind(STOP_K_COPY, 1, 1, STOP_SHORT);
    stop_before(STOP_COPY, 2, break_copy);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &data), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "UFFDIO_COPY");
    kit_audit(pool);
    evict();
    kit_verify(vol, SEED);
}

/* Another program writes to the image again and again. */
static void push_out(void)
{
    const void *data;

    evict();
    stop_fail_kind(STOP_K_COPY, 1, FOR_EVER, STOP_STRAY_PAGE);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 8, &data), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "another program");
    kit_audit(pool);
    evict();
    kit_verify(vol, SEED);
}

static void storm(bool small, bool first, const char *path)
{
    double start = test_now();

    alarm(3 * TEST_HANG_S);
    begin(path);
    bear(200, EAGAIN);
    bear(FOR_EVER, STOP_SHORT);
    bear(1, EEXIST);
    bear(1, STOP_STRAY_PAGE);
    bear(5, STOP_STRAY_PAGE);
    give_up(EAGAIN, -EBUSY);
    give_up(ENOMEM, -EBUSY);
    give_up(EIO, -EIO);
    if (small)
        break_off();
    if (first)
        push_out();
    end();
    fprintf(stderr, "%s pages: %.1f s\n", small ? "small" : "huge", test_now() - start);
}

int main(void)
{
    const char *path = test_path(test_dir(), "db");
    struct sigaction action = { .sa_handler = on_sigbus };
    bool huge = test_on_hugepages();

    hl_patience_ns = 500 * 1000 * 1000;
    sigaction(SIGBUS, &action, NULL);
    test_file(path, BYTES, SEED);
    kit_age(path);
    if (huge)
        storm(false, true, path);
    setenv("HUGELITE_TEST_PAGES", "shmem", 1);
    if (huge)
        unsetenv("HUGELITE_TEST_POOLS");
    storm(true, !huge, path);
    return 0;
}
