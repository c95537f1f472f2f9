/* SPDX-License-Identifier: MIT
 *
 * test-crash-points: kill -9 of a process at each step of a fill and of an eviction.
 *
 * One process dies exactly there; before that another waits for the chunk it claimed,
 * and afterwards a third one reads everything.  Passes when both finish soon, with
 * every byte right, the tables agree with the images, and nothing is leaked.  Also: the
 * holder of the pool lock, a reader with chunks in hand, and an evictor of a chunk that
 * somebody holds, whose holder must not depend on the source any more.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 10
#define BUDGET 6
#define BYTES (CHUNKS * CHUNK - 4097)
#define SEED 31

static const char *path, *dir;
static struct {
    _Atomic unsigned arrived, waiting, go;
} *shared;

static const struct point {
    const char *name;
    enum stop_call call;
    int after;
    unsigned nth;
} points[] = {
    { "claimed, before reading the source", STOP_PREAD, 0, 1 },
    { "read, before the ticket", STOP_PREAD, 1, 1 },
    { "before UFFDIO_COPY", STOP_COPY, 0, 1 },
    { "after UFFDIO_COPY, before publishing", STOP_COPY, 1, 1 },
    { "third fill, before UFFDIO_COPY", STOP_COPY, 0, 3 },
    { "third fill, after UFFDIO_COPY", STOP_COPY, 1, 3 },
    { "claimed victims, before the look at the pins", STOP_FENCE, 0, 2 },
    { "claimed victims, before the punch", STOP_PUNCH, 0, 1 },
    { "punched, before the word says so", STOP_PUNCH, 1, 1 },
    { "second eviction, before the punch", STOP_PUNCH, 0, 2 },
    { "second eviction, punched", STOP_PUNCH, 1, 2 },
};

static void arrive_and_die(void)
{
    atomic_store(&shared->arrived, 1);
    kit_await(&shared->waiting, 1);
    test_sleep_ms(20); /* let the waiter sleep on the word */
    stop_die();
}

static void victim(void *arg)
{
    const struct point *point = arg;
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);

    (point->after ? stop_after : stop_before)(point->call, point->nth, arrive_and_die);
    kit_verify(vol, SEED);
    kit_verify(vol, SEED);
    test_fail(__FILE__, __LINE__, "the point '%s' was never reached", point->name);
}

static void waiter(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    double start = test_now();

    (void)arg;
    atomic_store(&shared->waiting, 1);
    for (unsigned i = 0; i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, i);
    EXPECT(test_now() - start < TEST_HANG_S);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void at_each_point(void)
{
    for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
        struct hugelite_pool *pool = kit_pool(dir, BUDGET);
        struct hugelite_volume *vol = kit_volume(pool, path);
        pid_t dies, waits;
        double start;

        fprintf(stderr, "%s\n", points[i].name);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        atomic_store(&shared->arrived, 0);
        atomic_store(&shared->waiting, 0);
        dies = kit_fork(victim, (void *)&points[i]);
        kit_await(&shared->arrived, 1);
        waits = kit_fork(waiter, NULL);
        {
            int status;

            EXPECT_EQ(waitpid(dies, &status, 0), dies);
            EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        EXPECT_CHILD(waits, 0);
        start = test_now();
        kit_verify(vol, SEED);
        kit_verify_read(vol, SEED);
        EXPECT(test_now() - start < TEST_HANG_S);
        EXPECT_EQ(kit_stat(vol).errors, 0);
        kit_audit(pool);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
}

static void dies_with_lock(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);

    (void)arg;
    stop_after(STOP_LOCK, 1, stop_die);
    kit_volume(pool, path);
}

static void holds_pins(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    for (unsigned i = 0; i < BUDGET; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK, 1, &data), 0);
    kit_await_resident(pool, BUDGET); /* the crew has seen that all of them are held */
    stop_die();
}

static void evicts_and_dies(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);

    /* Before the punch; or when it has claimed them and not yet seen who holds some. */
    stop_before(arg ? STOP_FENCE : STOP_PUNCH, 1, stop_die);
    (void)hugelite_pool_evict(pool, NULL, NULL);
}

/* Takes over what the evictor left, and cannot read the source. */
static void takes_over(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    stop_fail_reads(EIO, 0, BYTES);
    if (hugelite_volume_fetch(vol, 0, 1, &data) == 0)
        EXPECT_PATTERN(data, CHUNK, SEED, 0);
    stop_die();
}

static void killed(pid_t pid)
{
    int status;

    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *data;
    double start;

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    at_each_point();

    /* With the pool lock. */
    pool = kit_pool(dir, BUDGET);
    killed(kit_fork(dies_with_lock, NULL));
    start = test_now();
    vol = kit_volume(pool, path);
    EXPECT(test_now() - start < TEST_HANG_S);

    /* With all of the budget in hand. */
    killed(kit_fork(holds_pins, NULL));
    EXPECT_EQ(kit_resident_chunks(pool), BUDGET);
    start = test_now();
    kit_verify(vol, SEED);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0);

    /* An evictor, beside a reader that holds one chunk. */
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 1, &data), 0);
    kit_verify_chunk(vol, SEED, 1);
    killed(kit_fork(evicts_and_dies, NULL));
    EXPECT_PATTERN(data, CHUNK, SEED, 0);
    killed(kit_fork(evicts_and_dies, (void *)1));
    killed(kit_fork(takes_over, NULL));
    stop_fail_reads(EIO, 0, BYTES);
    EXPECT_PATTERN(data, CHUNK, SEED, 0); /* SIGBUS when it was taken away */
    stop_fail_reads(0, 0, 0);
    hugelite_volume_release(vol, data);
    kit_verify(vol, SEED);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
