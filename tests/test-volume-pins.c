/* SPDX-License-Identifier: MIT
 *
 * test-volume-pins: a chunk that somebody holds is never evicted, however close the
 * race.
 *
 * Four processes fetch a chunk, look at its word again and again and release it, as
 * fast as they can, while one evicts all and the budget makes the fetchers evict each
 * other's.  Passes when no word of a held chunk ever says empty or filling; once with
 * the evictor's membarrier() ordering the pins, once with fences on both sides.
 */
#include "config.h"

#include "kit.h"

#include "chunk.h"
#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>

#define CHUNKS 6
#define BUDGET 5
#define BYTES (CHUNKS * CHUNK)
#define SEED 67
#define READERS 4

static const char *path, *dir;
static struct {
    _Atomic unsigned stop;
    _Atomic unsigned long holds, evictions;
} *shared;

static void reader(void *arg)
{
    unsigned state = (unsigned)(uintptr_t)arg * 7919 + 3;
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    unsigned long holds = 0;
    uint32_t first = UINT32_MAX;

    for (uint32_t i = 0; i < HL_SLOTS && first == UINT32_MAX; i++)
        if (atomic_load(&pool->slots[i].state) == HL_SLOT_LIVE)
            first = pool->slots[i].first;
    EXPECT(first != UINT32_MAX);

    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        uint32_t chunk = (state = state * 1103515245 + 12345) / 65536 % CHUNKS;
        const void *data;

        EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, 8, &data), 0);
        /* Some for a moment, some for as long as several evictions take. */
        for (unsigned i = 0; i < (state >> 24 & 1 ? 5 : 2000); i++) {
            uint64_t word = atomic_load(&pool->words[first + chunk]);

            if (hl_chunk_state(word) == HL_CHUNK_EMPTY || hl_chunk_state(word) == HL_CHUNK_FILLING)
                test_fail(__FILE__, __LINE__, "chunk %u is held, and its word is %016llx after "
                          "%lu rounds", chunk, (unsigned long long)word, holds);
        }
        EXPECT_PATTERN(data, 8, SEED, chunk * CHUNK);
        hugelite_volume_release(vol, data);
        holds++;
    }
    atomic_fetch_add(&shared->holds, holds);
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
        atomic_fetch_add(&shared->evictions, gone / CHUNK);
    }
    hugelite_pool_close(pool);
}

static void race(bool light)
{
    struct hugelite_pool *pool;
    pid_t pids[READERS + 1];

    dir = test_pool_dir();
    pool = kit_pool(dir, BUDGET);
    EXPECT_EQ(pool->light_pins, light);
    atomic_store(&shared->stop, 0);
    atomic_store(&shared->holds, 0);
    atomic_store(&shared->evictions, 0);
    for (uintptr_t i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, (void *)i);
    pids[READERS] = kit_fork(evictor, NULL);
    test_sleep_ms((unsigned)(kit_seconds(4) * 500));
    while (atomic_load(&shared->evictions) <= 50)
        test_sleep_ms(1);
    atomic_store(&shared->stop, 1);
    for (unsigned i = 0; i <= READERS; i++)
        EXPECT_CHILD(pids[i], 0);
    fprintf(stderr, "%s: held %lu times, evicted %lu\n", light ? "membarrier" : "fences",
            atomic_load(&shared->holds), atomic_load(&shared->evictions));
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static int no_membarrier(int command)
{
    (void)command;
    errno = ENOSYS;
    return -1;
}

int main(void)
{
    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    if (hl_sys.membarrier(MEMBARRIER_CMD_QUERY) & MEMBARRIER_CMD_GLOBAL_EXPEDITED)
        race(true);
    hl_sys.membarrier = no_membarrier;
    race(false);
    return 0;
}
