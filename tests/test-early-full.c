/* SPDX-License-Identifier: MIT
 *
 * test-early-full: a full pool is not stirred by reads here and there, and lets in what is hot.
 *
 * The pool has room for a third of the volume.  Passes when of some thousand uniform reads of single
 * pages next to none makes a chunk leave, and the others are read early, plain and compressed; when
 * a cold chunk that is read far more often than others comes in soon; when a scan passes
 * all the same; and when with room again the next chunk asked for is filled.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>

#define CHUNKS 24
#define BUDGET 8
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 67
#define READS 3000
#define PAGE 4096

static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static uint64_t random_below(uint64_t limit)
{
    static uint64_t state = 7;

    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % limit;
}

static void read_page(uint64_t at)
{
    char page[PAGE];

    EXPECT_RC(hugelite_volume_read(vol, at, PAGE, page), 0);
    EXPECT_PATTERN(page, PAGE, SEED, at);
}

static bool is_resident(uint64_t chunk)
{
    const void *data;

    if (hugelite_volume_try_fetch(vol, chunk * CHUNK + CHUNK / 2, 1, &data) < 0)
        return false;
    hugelite_volume_release(vol, data);
    return true;
}

static void stir(const char *path)
{
    struct hugelite_volume_stat before, after;
    unsigned reads = 0;

    pool = kit_pool(test_pool_dir(), BUDGET);
    vol = kit_volume(pool, path);
    for (unsigned i = 0; i < BUDGET; i++)
        kit_verify_chunk(vol, SEED, 2 * i);
    kit_await_resident(pool, BUDGET);
    before = kit_stat(vol);
    for (unsigned i = 0; i < READS; i++)
        read_page(random_below(BYTES / PAGE) * PAGE);
    after = kit_stat(vol);
    fprintf(stderr, "%s: of %u reads %llu were early, and %llu chunks left\n",
            hugelite_volume_encoding(vol), (unsigned)READS,
            (unsigned long long)(after.early_reads - before.early_reads),
            (unsigned long long)(after.evictions - before.evictions));
    EXPECT(after.evictions - before.evictions < READS / 20);
    EXPECT(after.early_reads - before.early_reads > READS / 2);
    EXPECT_EQ(after.errors, 0);

    /* Most reads are of one chunk: the first that is not there. */
    for (uint64_t hot = 1;; hot += 2) {
        EXPECT(hot < CHUNKS);
        if (is_resident(hot))
            continue;
        while (!is_resident(hot)) {
            EXPECT(reads < 200 * CHUNKS);
            for (unsigned i = 0; i < 7; i++)
                read_page(hot * CHUNK + (32 + random_below(400)) * PAGE);
            read_page(random_below(BYTES / PAGE) * PAGE);
            reads += 8;
            if (reads > 4 * CHUNKS)
                kit_await_idle(pool); /* the crew is at it */
        }
        break;
    }
    fprintf(stderr, "a hot chunk came after %u reads\n", reads);
    EXPECT(kit_resident_chunks(pool) <= BUDGET);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);

    kit_await_idle(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (unsigned i = 0; i < 100; i++) /* a plain file's chunk has its price */
        read_page(11 * CHUNK + (32 + random_below(400)) * PAGE);
    kit_await_resident(pool, 1);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *dir = test_dir();
    const char *plain = test_path(dir, "db"), *packed = test_path(dir, "db.zst");

    kit_use_cpus(2);
    test_file(plain, BYTES, SEED);
    kit_age(plain);
    stir(plain);
    kit_zst(packed, BYTES, SEED, 256 * 1024, 0);
    stir(packed);
    return 0;
}
