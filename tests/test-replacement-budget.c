/* SPDX-License-Identifier: MIT
 *
 * test-replacement-budget: a database larger than the pool, and a pool full of held
 * chunks.
 *
 * Passes when a volume of five times the budget is read right, twice, in either
 * order, never with more resident than the budget; when with all of it held a fetch
 * says -EBUSY soon and read() still answers; when one release lets it go
 * on; and when chunks that are used again and again survive a scan of others better
 * than chance.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <stdio.h>

#define BUDGET 12
#define CHUNKS 60
#define BYTES ((CHUNKS - 1) * CHUNK + 99)
#define SEED 21

/* Bytes of address space. */
static uint64_t mapped_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    EXPECT(f && fscanf(f, "%llu", &pages) == 1);
    fclose(f);
    return pages * 4096;
}

int main(void)
{
    const char *path = test_path(test_dir(), "db");
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), BUDGET);
    struct hugelite_volume *vol;
    const void *held[BUDGET], *data = NULL;
    char buffer[4096];
    uint64_t fills, mapped;
    double start;

    test_file(path, BYTES, SEED);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    EXPECT(kit_resident_chunks(pool) <= BUDGET);
    EXPECT(kit_resident_chunks(pool) >= BUDGET / 2); /* it does cache */
    mapped = mapped_bytes();
    for (unsigned i = CHUNKS; i-- > 0;)
        kit_verify_chunk(vol, SEED, i);
    EXPECT(TEST_SANITIZED || mapped_bytes() < mapped + 4 * CHUNK); /* no fill buffer is lost */
    EXPECT(kit_resident_chunks(pool) <= BUDGET);
    kit_audit(pool);

    /* All of it held. */
    for (unsigned i = 0; i < BUDGET; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, (2 * i) * CHUNK, 100, &held[i]), 0);
    kit_await_idle(pool);
    EXPECT_EQ(kit_resident_chunks(pool), BUDGET);
    start = test_now();
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 100, &data), -EBUSY);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_CONTAINS(hugelite_error(), "in use");
    EXPECT(data == NULL);
    EXPECT_RC(hugelite_volume_warm(vol, CHUNK, 10, NULL, NULL), -EBUSY);
    start = test_now();
    EXPECT_RC(hugelite_volume_read(vol, CHUNK + 5, sizeof buffer, buffer), 0);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, CHUNK + 5);
    for (unsigned i = 0; i < BUDGET; i++)
        EXPECT_PATTERN(held[i], CHUNK, SEED, 2 * i * CHUNK);

    hugelite_volume_release(vol, held[3]);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 100, &data), 0);
    EXPECT_PATTERN(data, 100, SEED, CHUNK);
    EXPECT_RC(hugelite_volume_fetch(vol, 6 * CHUNK, 100, &held[3]), -EBUSY);
    hugelite_volume_release(vol, data);
    EXPECT_RC(hugelite_volume_fetch(vol, 6 * CHUNK, 100, &held[3]), 0);
    for (unsigned i = 0; i < BUDGET; i++)
        hugelite_volume_release(vol, held[i]);

    /* Two chunks in constant use beside a scan: filled once each, now and then again. */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    fills = kit_stat(vol).fills;
    for (unsigned i = 2; i < CHUNKS; i++) {
        kit_verify_chunk(vol, SEED, 0);
        kit_verify_chunk(vol, SEED, 1);
        kit_verify_chunk(vol, SEED, i);
    }
    fills = kit_stat(vol).fills - fills;
    EXPECT(fills < CHUNKS + CHUNKS / 2); /* no reuse at all would be three times CHUNKS */

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
