/* SPDX-License-Identifier: MIT
 *
 * test-early-read: a read here and there of a compressed volume costs one frame, not a chunk.
 *
 * With the crew held back, passes when the first read of a cold chunk decodes just its frame (or two,
 * across their border), as frames_decoded, source_bytes and early_reads tell, and a second
 * one of the same chunk just its own; when the crew, let go, makes the chunk resident and decodes
 * each frame that is left, none twice; when what is long is not read early; and when every
 * byte is right, across chunks too.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>

#define CHUNKS 4
#define BYTES (CHUNKS * CHUNK - 4096 - 8)
#define SEED 51
#define FRAME (64 * 1024)

static struct kit_frames frames;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

/* Decoded and read since before: so many frames, exactly these bytes of them, and of the table what
 * it takes to find them. */
static struct hugelite_volume_stat expect_cost(const struct hugelite_volume_stat *before,
                                               uint64_t nr, uint64_t src_bytes)
{
    struct hugelite_volume_stat st = kit_stat(vol);
    uint64_t table = st.source_bytes - before->source_bytes - src_bytes;

    EXPECT_EQ(st.frames_decoded - before->frames_decoded, nr);
    EXPECT(st.source_bytes >= before->source_bytes + src_bytes);
    EXPECT(table <= nr * frames.table_bytes); /* looked up for each at most */
    EXPECT_EQ(st.errors, 0);
    EXPECT_EQ(st.evictions, 0);
    return st;
}

static void read_at(uint64_t at, uint32_t length)
{
    static char buffer[2 * CHUNK];

    EXPECT_RC(hugelite_volume_read(vol, at, length, buffer), 0);
    EXPECT_PATTERN(buffer, length, SEED, at);
}

/* Two early reads of a chunk, and then its fill. */
static void one_chunk(void)
{
    const uint64_t at = 2 * CHUNK + 10 * FRAME + 1000, second = 2 * CHUNK + 20 * FRAME;
    struct hugelite_volume_stat st = kit_stat(vol), start = st;
    uint64_t src_bytes, rest;
    const void *data = NULL;

    EXPECT_EQ(st.frames_decoded + st.early_reads + st.fills + st.source_bytes, 0);
    stop_hold_reads();
    EXPECT_RC(hugelite_volume_try_fetch(vol, at, 4096, &data), -EAGAIN);
    EXPECT(data == NULL);
    EXPECT_EQ(kit_stat(vol).source_bytes, 0); /* nothing was done for it */
    read_at(at, 4096);
    EXPECT_EQ(kit_frames_in(&frames, at, 4096, &src_bytes), 1);
    st = expect_cost(&st, 1, src_bytes);
    EXPECT_EQ(st.early_reads, 1);
    EXPECT_EQ(st.fills + st.resident_bytes + st.waits, 0);

    stop_await_held(1);

    /* The chunk is claimed, and at work: whoever comes waits a little, and then reads for
     * himself. */
    read_at(second, 4096);
    EXPECT_EQ(kit_frames_in(&frames, second, 4096, &src_bytes), 1);
    st = expect_cost(&st, 1, src_bytes);
    EXPECT_EQ(st.early_reads, 2);
    EXPECT_EQ(st.fills + st.resident_bytes, 0);
    EXPECT(st.waits > 0);

    stop_resume_reads();
    kit_await_resident(pool, 1);
    EXPECT_EQ(kit_frames_in(&frames, 2 * CHUNK, CHUNK, &rest), CHUNK / FRAME);
    st = expect_cost(&start, CHUNK / FRAME + 1, rest + src_bytes);
    EXPECT_EQ(st.fills, 1);
    EXPECT_EQ(st.early_reads, 2);

    kit_verify_chunk(vol, SEED, 2);
    EXPECT_RC(hugelite_volume_try_fetch(vol, at, 4096, &data), 0);
    EXPECT_PATTERN(data, 4096, SEED, at);
    hugelite_volume_release(vol, data);
    EXPECT_EQ(kit_stat(vol).frames_decoded, st.frames_decoded);
}

/* Across the border of two frames, which are both whole for the fill. */
static void two_frames(void)
{
    const uint64_t at = 7 * FRAME - 100;
    struct hugelite_volume_stat st = kit_stat(vol), start = st;
    uint64_t src_bytes;

    stop_hold_reads();
    read_at(at, 4096);
    EXPECT_EQ(kit_frames_in(&frames, at, 4096, &src_bytes), 2);
    expect_cost(&st, 2, src_bytes);
    stop_resume_reads();
    kit_await_resident(pool, 2);
    kit_frames_in(&frames, 0, CHUNK, &src_bytes);
    expect_cost(&start, CHUNK / FRAME, src_bytes);
}

int main(void)
{
    const char *path = test_path(test_dir(), "db.zst");
    struct hugelite_volume_stat st;

    kit_use_cpus(2);
    hl_patience_ns = 20 * 1000 * 1000;
    frames = kit_zst(path, BYTES, SEED, FRAME, 0);
    pool = kit_pool(test_pool_dir(), 2 * CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_STR(hugelite_volume_encoding(vol), "zstd-seekable");
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    one_chunk();
    two_frames();

    /* A long one wants the chunk. */
    hl_patience_ns = TEST_PATIENCE_NS;
    st = kit_stat(vol);
    read_at(3 * CHUNK + 3 * FRAME + 8, 3 * FRAME);
    EXPECT_EQ(kit_stat(vol).early_reads, st.early_reads);
    EXPECT_EQ(kit_stat(vol).resident_bytes, 3 * CHUNK);

    /* Across chunks, one of them cold. */
    read_at(CHUNK - 1000, 3000);
    read_at(CHUNK - 1000, CHUNK + 2000);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
