/* SPDX-License-Identifier: MIT
 *
 * test-volume-fetch: fetch, release, read and map of a volume that fits.
 *
 * Passes when every byte is right by each of the four ways, zeros follow the last
 * byte, ranges past the end or across a chunk boundary are refused, a handle holds 64
 * chunks and is refused the next, nested fetches keep a chunk until the last release,
 * and the counters tell what was done.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNKS 66
#define BYTES ((CHUNKS - 1) * CHUNK + 12345)
#define SEED 11

int main(void)
{
    const char *path = test_path(test_dir(), "db"), *dir = test_pool_dir();
    struct hugelite_pool *pool;
    struct hugelite_volume *vol, *other;
    struct hugelite_volume_stat st;
    const void *data = NULL, *again, *base;
    const void *held[64];
    char buffer[64], *real;
    uint64_t gone;

    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);

    /* Ranges. */
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES, 1, &data), -ERANGE);
    EXPECT_CONTAINS(hugelite_error(), "past its end");
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES, 0, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES - 1, 2, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_fetch(vol, UINT64_MAX, 1, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_fetch(vol, UINT64_MAX - 4095, 4096, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, UINT32_MAX, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK - 1, 2, &data), -ERANGE);
    EXPECT_CONTAINS(hugelite_error(), "chunk boundary");
    EXPECT_RC(hugelite_volume_fetch(vol, 0, CHUNK + 1, &data), -ERANGE);
    EXPECT_RC(hugelite_volume_read(vol, BYTES - 1, 2, buffer), -ERANGE);
    EXPECT_RC(hugelite_volume_read(vol, UINT64_MAX, 2, buffer), -ERANGE);
    EXPECT(data == NULL); /* untouched on failure */
    EXPECT_EQ(kit_stat(vol).fills, 0);

    /* Edges of a chunk, and of the file. */
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK - 8, 8, &data), 0);
    EXPECT_PATTERN(data, 8, SEED, CHUNK - 8);
    hugelite_volume_release(vol, data);
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES - 1, 1, &data), 0);
    EXPECT_PATTERN(data, 1, SEED, BYTES - 1);
    hugelite_volume_release(vol, data);
    EXPECT_EQ(kit_stat(vol).fills, 2);

    /* Everything, by fetch and by a copy that crosses chunks. */
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_volume_read(vol, BYTES, 0, buffer), 0);
    st = kit_stat(vol);
    real = realpath(path, NULL);
    EXPECT_STR(st.source, real);
    free(real);
    EXPECT_EQ(st.bytes, BYTES);
    EXPECT_EQ(st.fills, CHUNKS);
    EXPECT_EQ(st.source_bytes, BYTES);
    EXPECT_EQ(st.resident_bytes, CHUNKS * CHUNK);
    EXPECT_EQ(st.errors + st.evictions + st.superseded, 0); /* waits: for the crew */

    /* 64 chunks held, and no more; the same chunk again is no more. */
    for (unsigned i = 0; i < 64; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK + i * 8, 8, &held[i]), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, 64 * CHUNK, 8, &data), -EMFILE);
    EXPECT_CONTAINS(hugelite_error(), "64 chunks");
    EXPECT_RC(hugelite_volume_fetch(vol, 63 * CHUNK, 8, &data), 0);
    hugelite_volume_release(vol, data);
    /* Without a pin left, read() still answers. */
    EXPECT_RC(hugelite_volume_read(vol, 64 * CHUNK, 8, buffer), 0);
    EXPECT_PATTERN(buffer, 8, SEED, 64 * CHUNK);
    /* Another handle has pins of its own. */
    other = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_fetch(other, 64 * CHUNK, 8, &data), 0);
    hugelite_volume_release(other, data);
    hugelite_volume_close(other);

    /* Held chunks stay, whoever evicts. */
    EXPECT_RC(hugelite_pool_evict(pool, path, &gone), 0);
    EXPECT_EQ(gone, 2 * CHUNK);
    for (unsigned i = 0; i < 64; i++) {
        EXPECT_PATTERN(held[i], 8, SEED, i * CHUNK + i * 8);
        hugelite_volume_release(vol, held[i]);
    }
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS + 0);
    EXPECT_EQ(kit_stat(vol).evictions, 2);

    /* A chunk whose home pin is another's, and nested fetches of it. */
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &held[0]), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, 64 * CHUNK, 8, &data), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, 64 * CHUNK + 8, 8, &again), 0);
    hugelite_volume_release(vol, held[0]);
    EXPECT_RC(hugelite_volume_fetch(vol, 64 * CHUNK + 16, 8, &held[1]), 0);
    hugelite_volume_release(vol, data);
    hugelite_volume_release(vol, again);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, &gone), 0);
    EXPECT_EQ(kit_stat(vol).resident_bytes, CHUNK);
    EXPECT_PATTERN(held[1], 8, SEED, 64 * CHUNK + 16);
    hugelite_volume_release(vol, held[1]);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, &gone), 0);
    EXPECT_EQ(gone, CHUNK);
    EXPECT_EQ(kit_stat(vol).resident_bytes, 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_RC(hugelite_pool_evict(pool, "/no/such/file", &gone), -ENOENT);
    EXPECT_CONTAINS(hugelite_error(), "/no/such/file");

    /* Just memory. */
    EXPECT_RC(hugelite_volume_map(vol, &base), 0);
    EXPECT_PATTERN(base, 3 * CHUNK, SEED, 0);
    EXPECT_PATTERN((const char *)base + 5 * CHUNK + 3, 1000, SEED, 5 * CHUNK + 3);
    EXPECT_PATTERN((const char *)base + BYTES - 100, 100, SEED, BYTES - 100);
    EXPECT_EQ(((const char *)base)[BYTES], 0);
    /* A toucher is awake a moment before the chunk counts as resident. */
    for (unsigned i = 0; i < 20000 && kit_stat(vol).resident_bytes < 5 * CHUNK; i++)
        test_sleep_ms(1);
    EXPECT(kit_stat(vol).resident_bytes >= 5 * CHUNK); /* and what was filled ahead of it */

    hugelite_volume_close(vol);
    hugelite_volume_close(NULL);
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    hugelite_pool_close(NULL);
    return 0;
}
