/* SPDX-License-Identifier: MIT
 *
 * test-crew-ahead: what is read in order is filled ahead.
 *
 * Readers go from chunk to chunk, up and down, by fetch, by read and by pointer.  Passes when the crew
 * fills what lies ahead of each, a window and no more, although nobody touches it; when a reader who
 * comes to what was filled ahead has more filled; when after touches here and there, and in a full pool
 * at first, nothing is; and when what was filled ahead is still
 * there when the reader comes.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>

#define CHUNKS 40
#define BUDGET 64
#define BYTES (CHUNKS * CHUNK - 4096)
#define SEED 107
#define CPUS 2
#define WINDOW 8 /* 4 for each thread */

static const char *path;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static void by_fetch(uint64_t at)
{
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, at, 4096, &data), 0);
    EXPECT_PATTERN(data, 4096, SEED, at);
    hugelite_volume_release(vol, data);
}

static void by_read(uint64_t at)
{
    char page[4096];

    EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, at);
}

static void by_pointer(uint64_t at)
{
    const char *base;

    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    EXPECT_PATTERN(base + at, 4096, SEED, at);
}

static void begin(void)
{
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    vol = kit_volume(pool, path);
}

static void end(void)
{
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit(pool);
}

static void up(void (*touch)(uint64_t at))
{
    uint64_t fills;

    begin();
    fills = kit_stat(vol).fills;
    for (unsigned i = 0; i < 12; i++)
        touch(i * CHUNK);
    kit_await_resident(pool, 12 + WINDOW);
    for (unsigned i = 12; i < 16; i++) { /* each of them resident by now */
        uint64_t waits = kit_stat(vol).waits;

        touch(i * CHUNK);
        EXPECT_EQ(kit_stat(vol).waits, waits);
        kit_await_resident(pool, i + 1 + WINDOW);
    }
    for (unsigned i = 16; i < CHUNKS; i++)
        touch(i * CHUNK);
    kit_await_resident(pool, CHUNKS);
    EXPECT_EQ(kit_stat(vol).fills - fills, CHUNKS);
    end();
}

static void down(void (*touch)(uint64_t at))
{
    begin();
    for (unsigned i = 0; i < 12; i++)
        touch((CHUNKS - i) * CHUNK - 8192);
    kit_await_resident(pool, 12 + WINDOW);
    touch((CHUNKS - 12) * CHUNK - 8192);
    kit_await_resident(pool, 13 + WINDOW);
    for (unsigned i = 13; i < CHUNKS; i++)
        touch((CHUNKS - i) * CHUNK - 8192);
    kit_await_resident(pool, CHUNKS);
    end();
}

/* Only faults are seen, so it comes in leaps: the next is at the first chunk that was not filled ahead. */
static void pointer(void)
{
    unsigned leaps = 0;

    begin();
    for (unsigned i = 0; i < CHUNKS; i++) {
        uint64_t resident;

        by_pointer(i * CHUNK);
        kit_await_idle(pool);
        resident = kit_resident_chunks(pool);
        EXPECT(resident <= i + 1 + WINDOW);
        leaps += resident > i + 1;
    }
    EXPECT(leaps > 0);
    end();
}

static void here_and_there(void)
{
    begin();
    for (unsigned i = 0; i < 12; i++) {
        by_fetch((i * 7 + 1) % CHUNKS * CHUNK + CHUNK / 2);
        kit_await_idle(pool);
    }
    EXPECT_EQ(kit_resident_chunks(pool), 12);
    end();
}

/* A full pool of others' chunks: a short run makes none leave but its own, a long one does. */
static void full(void)
{
    struct hugelite_pool *small = kit_pool(test_pool_dir(), 32);
    struct hugelite_volume *own = kit_volume(small, path);
    uint64_t gone;

    for (unsigned i = 0; i < 32; i++)
        kit_verify_chunk(own, SEED, i * 5 % 32);
    kit_await_resident(small, 32);
    hugelite_volume_close(own);
    own = vol = kit_volume(small, path);
    gone = kit_stat(own).evictions;
    for (unsigned i = 32; i < 34; i++) {
        by_fetch(i * CHUNK);
        kit_await_idle(small);
    }
    EXPECT(kit_stat(own).evictions - gone <= 2 + 2); /* one each, in batches of two */
    for (unsigned i = 34; i < 38; i++)
        by_fetch(i * CHUNK);
    /* What was dropped for want of room is not asked for again, but what came later is. */
    for (unsigned i = 0; i < 20000 && kit_stat(own).fills < 32 + 6 + 1; i++)
        test_sleep_ms(1);
    EXPECT(kit_stat(own).fills >= 32 + 6 + 1 && kit_stat(own).fills <= CHUNKS);
    EXPECT_EQ(kit_stat(own).errors, 0);
    hugelite_volume_close(own);
    kit_audit_empty(small);
    hugelite_pool_close(small);
}

int main(void)
{
    kit_use_cpus(CPUS);
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    pool = kit_pool(test_pool_dir(), BUDGET);
    up(by_fetch);
    down(by_fetch);
    up(by_read);
    down(by_read);
    pointer();
    here_and_there();
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    full();
    return 0;
}
