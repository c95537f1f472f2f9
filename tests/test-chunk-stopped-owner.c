/* SPDX-License-Identifier: MIT
 *
 * test-chunk-stopped-owner: a process that is alive and makes no progress.
 *
 * Passes when with a filler stopped by SIGSTOP in the middle of its fill a fetch says
 * -ETIMEDOUT after about the patience that is set and names what it waited for,
 * read() still serves, a reader by pointer gets SIGBUS rather than hang; when with
 * the holder of the pool lock stopped an open says -ETIMEDOUT; and when after SIGCONT
 * all is well in both.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 5
#define BYTES (CHUNKS * CHUNK)
#define SEED 17
#define PATIENCE_MS 300
#define PATIENCE_NS (PATIENCE_MS * 1000000ull)

static const char *path, *dir;

static void filler(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 3);
    struct hugelite_volume *vol = kit_volume(pool, path);

    if (arg)
        stop_before(STOP_COPY, 1, stop_freeze);
    else
        stop_before(STOP_PUNCH, 1, stop_freeze);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void opener(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 3);
    struct hugelite_volume *vol;

    (void)arg;
    stop_after(STOP_LOCK, 1, stop_freeze);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void by_pointer(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 3);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const volatile char *base;

    (void)arg;
    signal(SIGBUS, SIG_DFL);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    (void)base[0];
    test_fail(__FILE__, __LINE__, "a chunk that is not filled was read");
}

static void await_stop(pid_t pid)
{
    int status;

    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));
}

static void expect_patience(double start)
{
    double took = test_now() - start;

    if (took < PATIENCE_MS * 1e-3 * 0.9 || took > PATIENCE_MS * 1e-3 + TEST_HANG_S)
        test_fail(__FILE__, __LINE__, "took %.3f s, expected about %.3f", took,
                  PATIENCE_MS * 1e-3);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol, *second;
    const void *data;
    char buffer[100];
    const uint64_t patience_ns = hl_patience_ns;
    uint64_t waits;
    double start;
    pid_t pid, child;
    int status;

    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, 3);
    vol = kit_volume(pool, path);

    /* In the middle of a fill. */
    pid = kit_fork(filler, (void *)1);
    await_stop(pid);
    hl_patience_ns = PATIENCE_NS;
    start = test_now();
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 1, &data), -ETIMEDOUT);
    EXPECT_CONTAINS(hugelite_error(), "filling");
    expect_patience(start);
    waits = kit_stat(vol).waits;
    EXPECT_RC(hugelite_volume_read(vol, 5, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, 5);
    if (test_now() - start < 2 * PATIENCE_MS * 1e-3) /* that long it is known */
        EXPECT_EQ(kit_stat(vol).waits, waits); /* it has been waited for, once */
    child = kit_fork(by_pointer, NULL);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status));
    EXPECT(WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV);
    hl_patience_ns = patience_ns;
    for (unsigned i = 1; i < CHUNKS; i++) /* the budget goes on with one less */
        kit_verify_chunk(vol, SEED, i);
    kill(pid, SIGCONT);
    EXPECT_CHILD(pid, 0);
    kit_verify(vol, SEED);
    kit_audit(pool);

    /* In the middle of an eviction. */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    pid = kit_fork(filler, NULL);
    await_stop(pid);
    hl_patience_ns = PATIENCE_NS;
    for (unsigned i = 0; i < CHUNKS; i++) {
        int rc = hugelite_volume_fetch(vol, i * CHUNK, 1, &data);

        if (rc == 0)
            hugelite_volume_release(vol, data);
        else
            EXPECT(rc == -ETIMEDOUT || rc == -EBUSY);
        EXPECT_RC(hugelite_volume_read(vol, i * CHUNK, sizeof buffer, buffer), 0);
        EXPECT_PATTERN(buffer, sizeof buffer, SEED, i * CHUNK);
    }
    hl_patience_ns = patience_ns;
    kill(pid, SIGCONT);
    EXPECT_CHILD(pid, 0);
    kit_verify(vol, SEED);
    kit_audit(pool);

    /* With the pool lock. */
    pid = kit_fork(opener, NULL);
    await_stop(pid);
    hl_patience_ns = PATIENCE_NS;
    start = test_now();
    EXPECT_RC(hugelite_volume_open(pool, path, &second), -ETIMEDOUT);
    EXPECT_CONTAINS(hugelite_error(), "pool lock");
    expect_patience(start);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), -ETIMEDOUT);
    hl_patience_ns = patience_ns;
    kit_verify(vol, SEED); /* readers need no lock */
    kill(pid, SIGCONT);
    EXPECT_CHILD(pid, 0);
    second = kit_volume(pool, path);
    hugelite_volume_close(second);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
