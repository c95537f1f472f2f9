/* SPDX-License-Identifier: MIT
 *
 * test-chunk-storm: eviction in a loop under readers that verify every byte, for some
 * seconds.
 *
 * Three processes read by fetch, one by plain pointers, one evicts all over and over;
 * the budget is half of what the file needs.  Passes when no byte is ever wrong, no
 * reader stands still, evictions really happened, and the tables agree with the image
 * at the end. HUGELITE_TEST_SECONDS sets another time.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>

#define CHUNKS 16
#define BUDGET 8
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 43
#define READERS 4

static const char *path, *dir;
static struct {
    _Atomic unsigned stop;
    _Atomic unsigned reads[READERS], evictions;
} *shared;

static void reader(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    unsigned state = me * 7919 + 1;
    const char *base;

    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    while (!atomic_load(&shared->stop)) {
        uint64_t chunk = (state = state * 1103515245 + 12345) / 65536 % CHUNKS;
        uint64_t next = (chunk + 1) % CHUNKS;
        const void *a, *b;

        if (me == 0) {
            /* Not told to anybody: may go in the middle, and must come back. */
            kit_pattern(base + chunk * CHUNK, CHUNK - 8, SEED, chunk * CHUNK);
        } else {
            /* Two at once, as a reader with a tree in hand. */
            EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, 8, &a), 0);
            EXPECT_RC(hugelite_volume_fetch(vol, next * CHUNK, 8, &b), 0);
            kit_pattern(a, CHUNK - 8, SEED, chunk * CHUNK);
            hugelite_volume_release(vol, a);
            kit_pattern(b, CHUNK - 8, SEED, next * CHUNK);
            hugelite_volume_release(vol, b);
        }
        atomic_fetch_add(&shared->reads[me], 1);
    }
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void evictor(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    uint64_t gone;

    (void)arg;
    while (!atomic_load(&shared->stop)) {
        EXPECT_RC(hugelite_pool_evict(pool, NULL, &gone), 0);
        atomic_fetch_add(&shared->evictions, (unsigned)(gone / CHUNK));
    }
    hugelite_pool_close(pool);
}

/* Each reader comes to read something. */
static void expect_life(void)
{
    unsigned before[READERS];

    for (unsigned i = 0; i < READERS; i++)
        before[i] = atomic_load(&shared->reads[i]);
    for (unsigned i = 0; i < READERS; i++)
        kit_await(&shared->reads[i], before[i] + 1);
}

int main(void)
{
    double until = test_now() + kit_seconds(6);
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    pid_t pids[READERS + 1];

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, BUDGET);
    for (uintptr_t i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, (void *)i);
    pids[READERS] = kit_fork(evictor, NULL);
    while (test_now() < until || atomic_load(&shared->evictions) <= 200) {
        test_sleep_ms(20);
        expect_life();
    }
    atomic_store(&shared->stop, 1);
    for (unsigned i = 0; i <= READERS; i++)
        EXPECT_CHILD(pids[i], 0);

    vol = kit_volume(pool, path);
    fprintf(stderr, "chunks read: %u by pointer, %u %u %u by fetch; evicted: %u; fills: %llu\n",
            atomic_load(&shared->reads[0]), 2 * atomic_load(&shared->reads[1]),
            2 * atomic_load(&shared->reads[2]), 2 * atomic_load(&shared->reads[3]),
            atomic_load(&shared->evictions), (unsigned long long)kit_stat(vol).fills);
    EXPECT(kit_stat(vol).evictions > 100);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    EXPECT_EQ(kit_stat(vol).source_bytes % 8, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
