/* SPDX-License-Identifier: MIT
 *
 * test-crew-close: a volume is closed while the crew works for it.
 *
 * With the crew held back, early reads leave it chunks to finish, and more are wished for.  Passes
 * when the close waits for the first and drops the others: what was claimed is resident then and nothing
 * else, and nothing is on the move; when it neither waits for nor disturbs what the crew does for another
 * volume; when the pool can be closed at once, its threads are gone then and were no
 * more than the CPUs; and when a process that ends without a close harms nobody.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "chunk.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNKS 16
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 73
#define FRAME (128 * 1024)
#define CPUS 2

static const char *path, *other, *dir;
static struct hugelite_pool *pool;

static void read_at(struct hugelite_volume *vol, uint64_t chunk, unsigned page)
{
    char buffer[4096];

    EXPECT_RC(hugelite_volume_read(vol, chunk * CHUNK + page * 4096, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, chunk * CHUNK + page * 4096);
}

static unsigned nr_wishes(void)
{
    return pool->crew.queues[HL_JOB_AHEAD].nr + pool->crew.queues[HL_JOB_WISH].nr;
}

static unsigned nr_wishes_of(const struct hl_volume *volume)
{
    unsigned nr = 0;

    hl_lock(&pool->crew.lock);
    for (enum hl_job_kind kind = HL_JOB_AHEAD; kind <= HL_JOB_WISH; kind++) {
        const struct hl_queue *queue = &pool->crew.queues[kind];

        for (unsigned i = 0; i < queue->nr; i++)
            nr += queue->jobs[(queue->first + i) % HL_CREW_QUEUE].volume == volume;
    }
    hl_unlock(&pool->crew.lock);
    return nr;
}

static bool is_busy(void)
{
    bool busy = nr_wishes() || atomic_load(&pool->crew.nr_reserved);

    hl_lock(&pool->crew.lock);
    for (unsigned i = 0; i < pool->crew.nr_threads; i++)
        busy |= pool->crew.busy[i] != NULL;
    hl_unlock(&pool->crew.lock);
    return busy;
}

/* Reads held back, until the crew has its hands full and much is wished for.  Returns how many
 * chunks are claimed; *ret_fills: how many were filled before. */
static unsigned fill_queues(struct hugelite_volume *vol, uint64_t *ret_fills)
{
    unsigned claimed = 0;

    /* First get known for one who reads here and there, and so does not wait. */
    for (unsigned i = 1; i < CHUNKS; i += 2)
        read_at(vol, i, 200);
    while (is_busy())
        test_sleep_ms(1);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    *ret_fills = kit_stat(vol).fills;

    hl_patience_ns = 1000 * 1000;
    stop_hold_reads();
    for (unsigned i = 2; i < CHUNKS; i += 2)
        read_at(vol, i, 200);
    for (uint32_t c = 0; c < pool->nr_words; c++)
        claimed += hl_chunk_state(atomic_load(&pool->words[c])) == HL_CHUNK_FILLING;
    EXPECT(nr_wishes() > 0);
    EXPECT_EQ(claimed, HL_CREW_DUE_EACH * pool->crew.nr_threads);
    hl_patience_ns = TEST_PATIENCE_NS;
    return claimed;
}

/* The volumes of the process, of which the first is being closed; the other may be NULL. */
struct closing {
    const struct hl_volume *volume, *beside;
};

/* Once the close has dropped the volume's wishes, and not before: what it would drop may be filled.  A
 * close that does not wait for what is held back is over by then. */
static void *resume(void *arg)
{
    const struct closing *closing = arg;
    double until = test_now() + TEST_HANG_S;

    while (nr_wishes_of(closing->volume)) {
        EXPECT(test_now() < until);
        test_sleep_ms(1);
    }
    test_sleep_ms(30);
    if (closing->beside)
        EXPECT(nr_wishes_of(closing->beside) > 0);
    stop_resume_reads();
    return NULL;
}

/* With wishes for what comes next, which are not dropped. */
static void *warm(void *arg)
{
    EXPECT_RC(hugelite_volume_warm(arg, 0, 0, NULL, NULL), 0);
    return NULL;
}

/* All is right, and cold afterwards.  Returns the fills so far. */
static uint64_t look(void)
{
    struct hugelite_volume *vol;
    uint64_t fills;

    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    fills = kit_stat(vol).fills;
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return fills;
}

static void close_with_work(bool with_other)
{
    struct hugelite_volume *vol, *beside = NULL;
    unsigned claimed, threads = kit_count_threads();
    struct closing closing = { 0 };
    pthread_t thread, warmer;
    uint64_t fills;

    pool = kit_pool(dir, CHUNKS);
    if (with_other)
        beside = kit_volume(pool, other);
    vol = kit_volume(pool, path);
    claimed = fill_queues(vol, &fills);
    EXPECT(kit_count_threads() <= threads + 1 + CPUS);
    if (with_other) {
        EXPECT_EQ(pthread_create(&warmer, NULL, warm, beside), 0);
        stop_await_held(CPUS + 1);
        closing.beside = beside->volume;
    }
    closing.volume = vol->volume;
    EXPECT_EQ(pthread_create(&thread, NULL, resume, &closing), 0);
    hugelite_volume_close(vol);
    for (uint32_t c = 0; !with_other && c < pool->nr_words; c++)
        EXPECT(hl_chunk_state(atomic_load(&pool->words[c])) != HL_CHUNK_FILLING);
    if (!with_other) {
        EXPECT_EQ(kit_resident_chunks(pool), claimed);
        EXPECT_EQ(nr_wishes(), 0);
        EXPECT_EQ(atomic_load(&pool->crew.nr_reserved), 0);
    }
    pthread_join(thread, NULL);
    if (with_other)
        pthread_join(warmer, NULL);

    vol = kit_volume(pool, path);
    EXPECT_EQ(kit_stat(vol).fills - fills, claimed);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    if (with_other) {
        kit_verify(beside, SEED + 1);
        hugelite_volume_close(beside);
    }
    hugelite_pool_close(pool);
    EXPECT_EQ(kit_count_threads(), threads);

    EXPECT_EQ(look() - fills, CHUNKS); /* what was filled was still there */
    EXPECT_EQ(kit_count_threads(), threads);
}

/* The crew is in the middle of everything. */
static void exits(void *arg)
{
    struct hugelite_volume *vol;
    uint64_t fills;

    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    fill_queues(vol, &fills);
    if (arg)
        stop_resume_reads();
}

/* Nothing cold, no crew. */
static void warm_reader(void *arg)
{
    struct hugelite_volume *vol;
    unsigned threads;

    (void)arg;
    pool = kit_pool(dir, CHUNKS);
    threads = kit_count_threads();
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    EXPECT_EQ(kit_count_threads(), threads);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_volume *vol;
    const char *files = test_dir();

    kit_use_cpus(CPUS);
    path = test_path(files, "db.zst");
    other = test_path(files, "other.zst");
    dir = test_pool_dir();
    kit_zst(path, BYTES, SEED, FRAME, 0);
    kit_zst(other, 3 * CHUNK, SEED + 1, FRAME, 0);
    for (unsigned i = 0; i < 3; i++) {
        close_with_work(false);
        close_with_work(true);
        EXPECT_CHILD(kit_fork(exits, NULL), 0);
        look();
        EXPECT_CHILD(kit_fork(exits, (void *)1), 0);
        look();
    }

    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    EXPECT_CHILD(kit_fork(warm_reader, NULL), 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
