/* SPDX-License-Identifier: MIT
 *
 * test-early-grain: frames that do not fit chunks.
 *
 * Frames that straddle chunks, frames of two sizes, frames of a quarter and of half a chunk, and
 * frames larger than a chunk.  Passes when early reads, sequences and fetches see every byte
 * right in each; when a frame is decoded once for each chunk that it reaches into, and once more for an
 * early read only where sizes differ; and when frames that are large are never read
 * early.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>

#define SEED 59

static const struct shape {
    const char *name;
    uint32_t even, odd;
    unsigned chunks;
    bool early;
} shapes[] = {
    { "100,000 bytes", 100000, 0, 4, true },
    { "a chunk and a half by three", 1048576 / 2 / 3 / 8 * 8, 0, 4, true },
    { "40,000 and 72,000", 40000, 72000, 3, true },
    { "256 KiB", 256 * 1024, 0, 4, true },
    { "a little more", 256 * 1024 + 8, 0, 3, false },
    { "1 MiB", 1024 * 1024, 0, 3, false },
    { "a chunk", 2048 * 1024, 0, 3, false },
    { "5,000,000 bytes", 5000000, 0, 8, false },
};

static uint64_t sum_over_chunks(const struct kit_frames *frames, uint64_t bytes)
{
    uint64_t sum = 0, src_bytes;

    for (uint64_t at = 0; at < bytes; at += CHUNK)
        sum += kit_frames_in(frames, at, bytes - at < CHUNK ? bytes - at : CHUNK, &src_bytes);
    return sum;
}

static void read_at(struct hugelite_volume *vol, uint64_t at, uint32_t length)
{
    static char buffer[65536];

    EXPECT_RC(hugelite_volume_read(vol, at, length, buffer), 0);
    EXPECT_PATTERN(buffer, length, SEED, at);
}

static void with_shape(const struct shape *shape)
{
    const char *path = test_path(test_dir(), "db.zst");
    uint64_t bytes = shape->chunks * CHUNK - 50000;
    struct kit_frames frames = kit_zst(path, bytes, SEED, shape->even, shape->odd);
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 2 * shape->chunks);
    struct hugelite_volume *vol = kit_volume(pool, path);
    uint64_t once = sum_over_chunks(&frames, bytes), early;
    struct hugelite_volume_stat st;

    /* In order, by fetch: nothing is decoded twice, whoever of the crew helps. */
    kit_verify(vol, SEED);
    st = kit_stat(vol);
    fprintf(stderr, "%s: %u frames, %llu decoded in %llu fills\n", shape->name, frames.nr,
            (unsigned long long)st.frames_decoded, (unsigned long long)st.fills);
    EXPECT_EQ(st.fills, shape->chunks);
    EXPECT_EQ(st.early_reads, 0);
    EXPECT_EQ(st.errors, 0);
    if (shape->even <= CHUNK)
        EXPECT_EQ(st.frames_decoded, once);

    /* Here and there: at a chunk's very ends, and at the end of a frame and the beginning of the next. */
    for (unsigned turn = 0; turn < 4; turn++) {
        struct hugelite_volume *fresh = kit_volume(pool, path);

        kit_await_idle(pool);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        st = kit_stat(vol);
        for (unsigned i = 0; i < shape->chunks; i++) {
            unsigned chunk = i < shape->chunks / 2 ? 2 * i + 1 : 2 * (i - shape->chunks / 2);
            uint64_t start = chunk * CHUNK, at = start;
            uint64_t end = bytes - start < CHUNK ? bytes : start + CHUNK;

            for (uint32_t f = 0; turn >= 2 && f < frames.nr; f++)
                if (frames.offset[f] > start + 5 && frames.offset[f] < end - 4096)
                    at = frames.offset[f] - (turn == 2 ? 5 : 0);
            read_at(fresh, turn == 1 ? end - 10 : at, turn == 1 ? 10 : 4096);
            kit_verify_chunk(vol, SEED, chunk);
        }
        early = kit_stat(vol).early_reads - st.early_reads;
        EXPECT_EQ(early > 0, shape->early);
        EXPECT_EQ(kit_stat(vol).errors, 0);
        EXPECT_EQ(kit_stat(vol).fills - st.fills, shape->chunks);
        if (shape->even <= CHUNK && !shape->odd)
            EXPECT_EQ(kit_stat(vol).frames_decoded - st.frames_decoded, once);
        else if (shape->odd)
            EXPECT(kit_stat(vol).frames_decoded - st.frames_decoded <= once + 2 * early);
        hugelite_volume_close(fresh);
    }

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint64_t at = 0; at < bytes; at += 8192)
        read_at(vol, at, bytes - at < 8192 ? (uint32_t)(bytes - at) : 8192);
    kit_verify_read(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    kit_use_cpus(2);
    for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++)
        with_shape(&shapes[i]);
    return 0;
}
