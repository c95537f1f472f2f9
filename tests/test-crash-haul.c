/* SPDX-License-Identifier: MIT
 *
 * test-crash-haul: kill -9 at each step of a haul, by a process that has claimed three chunks of a
 * remote volume at once.
 *
 * While another waits for the last of them, it dies: with nothing come yet; with the first chunk
 * published; with a chunk published, dropped because the origin refused, or dropped because the
 * volume was closed, and nobody woken.  Passes when the waiter then brings what is missing himself
 * and reads every byte right without an error, and nothing is lost.
 */
#include "test-remote-common.h"

#include "chunk.h"
#include "haul.h"
#include "pool.h"
#include "stop.h"
#include "sys.h"
#include "volume.h"

#include <limits.h>
#include <sys/wait.h>

enum { CHUNKS = 3, BUDGET = 8, SEED = 19 };

static struct {
    _Atomic unsigned open, go, waiting, armed, arrived, cleared;
} *shared;

static struct kit_origin *origin;
static const char *url, *dir;
static struct hugelite_pool *pool;

static const struct point {
    const char *name;
    const char *fault;
    unsigned resident, filling; /* it dies when the words are so; 0: when it wakes somebody */
    bool closes;
} points[] = {
    { "claimed, nothing has come", "hang=yes", 0, CHUNKS, false },
    { "some has come", "stall=3000000", 1, CHUNKS - 1, false },
    { "published, nobody woken", "hold=yes", 0, 0, false },
    { "refused and dropped, nobody woken", "hold=yes status=403", 0, 0, false },
    { "closed and dropped, nobody woken", "hang=yes", 0, 0, true },
};

static const struct point *point;

/* It has settled a word for which somebody waits. */
static int arrive_and_die(const void *word, int nr)
{
    (void)word;
    (void)nr;
    atomic_store(&shared->arrived, 1);
    kit_await(&shared->cleared, 1);
    stop_die();
    return 0;
}

static void victim(void *arg)
{
    struct hugelite_volume *vol;

    (void)arg;
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, url);
    hl_crew_start(&pool->crew);
    atomic_fetch_add(&shared->open, 1);
    kit_await(&shared->go, 1);
    hl_haul_begin(vol->volume, 0, CHUNKS, false, false);
    kit_await(&shared->waiting, 1);
    if (!point->filling)
        hl_sys.futex_wake = arrive_and_die;
    atomic_store(&shared->armed, 1);
    if (point->closes)
        hugelite_volume_close(vol);
    for (;;)
        pause();
}

static int (*real_wait)(const void *word, uint32_t seen, const struct timespec *timeout);

static int note_wait(const void *word, uint32_t seen, const struct timespec *timeout)
{
    atomic_store(&shared->waiting, 1);
    return real_wait(word, seen, timeout);
}

static void waiter(void *arg)
{
    struct hugelite_volume *vol;

    (void)arg;
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, url);
    real_wait = hl_sys.futex_wait;
    hl_sys.futex_wait = note_wait;
    atomic_fetch_add(&shared->open, 1);
    kit_await(&shared->go, 2);
    for (unsigned i = CHUNKS; i-- > 0;)
        kit_verify_chunk(vol, SEED, i);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void await_words(unsigned resident, unsigned filling)
{
    double until = test_now() + TEST_HANG_S;
    unsigned nr[4];

    do {
        memset(nr, 0, sizeof nr);
        for (unsigned i = 0; i < CHUNKS; i++)
            nr[hl_chunk_state(atomic_load(&pool->words[i]))]++;
        EXPECT(test_now() < until);
        test_sleep_ms(1);
    } while (nr[HL_CHUNK_RESIDENT] != resident || nr[HL_CHUNK_FILLING] != filling);
}

static void die_there(void)
{
    pid_t dies, waits;

    shared->open = shared->go = shared->waiting = 0;
    shared->armed = shared->arrived = shared->cleared = 0;
    dir = test_pool_dir();
    pool = kit_pool(dir, BUDGET);
    dies = kit_fork(victim, NULL);
    waits = kit_fork(waiter, NULL);
    kit_await(&shared->open, 2);
    kit_origin_order(origin, "fault path=/x.db %s", point->fault);
    atomic_store(&shared->go, 1);
    await_words(point->filling ? point->resident : 0,
                point->filling ? point->filling : CHUNKS);
    atomic_store(&shared->go, 2);
    kit_await(&shared->waiting, 1);
    kit_await(&shared->armed, 1);
    if (!point->filling && !point->closes)
        kit_origin_order(origin, "clear"); /* what is held goes on now that somebody waits for it */
    if (!point->filling)
        kit_await(&shared->arrived, 1);
    kit_origin_order(origin, "clear");
    if (point->filling) {
        kit_kill(dies);
    } else {
        int status;

        atomic_store(&shared->cleared, 1);
        EXPECT_EQ(waitpid(dies, &status, 0), dies);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    EXPECT_CHILD(waits, 0);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *www = test_dir();

    remote_begin(TEST_HANG_S, false);
    shared = kit_shared(sizeof *shared);
    remote_object(www, "x.db", CHUNKS * CHUNK, SEED);
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db");
    for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
        point = &points[i];
        fprintf(stderr, "%s\n", point->name);
        die_there();
    }
    return 0;
}
