/* SPDX-License-Identifier: MIT
 *
 * test-remote-open-rounds: what an open asks the origin, and what it does without.
 *
 * Passes when an unknown source is opened by two requests side by side, a known one by one
 * request of a byte, a fresh one by none; when a frame index larger than the tail costs one
 * request more, once; when another version is opened by three and has another key; when with the
 * origin down a known source is opened unvalidated, reads what the tier has, and is validated by
 * the first answer; and when the bytes are right each time.  Both plain and compressed; with a
 * state directory.
 */
#include "stage-common.h"

#include "codec.h"
#include "state.h"
#include "stats.h"

#define BYTES (12ull * MIB)
#define SEED 41
#define FRAMES 45000 /* 8 bytes each: an index of 351 KiB */

static struct kit_origin *origin;
static const char *dir;

/* A source as a volume opens it. */
struct opened {
    struct hl_source *source;
    struct hl_codec *codec;
    struct hl_stats stats;
};

static void open_it(const char *url, struct opened *opened)
{
    *opened = (struct opened){ 0 };
    EXPECT_RC(hl_source_open(url, &opened->source), 0);
    EXPECT_RC(hl_codec_open(opened->source, &opened->codec), 0);
    hl_remote_remember(opened->source, opened->codec->bytes);
    hl_remote_count_in(opened->source, &opened->stats);
}

static void close_it(struct opened *opened)
{
    struct hl_state *state = hl_state_get();

    opened->codec->ops->close(opened->codec);
    hl_source_close(opened->source);
    hl_state_flush(state, 5000000000ull);
    hl_state_put(state);
}

static void read_it(struct opened *opened, uint64_t offset, uint32_t length)
{
    struct hl_codec_work work = { 0 };
    char *bytes = malloc(length);

    EXPECT(bytes != NULL);
    EXPECT_RC(opened->codec->ops->read(opened->codec, offset, length, bytes, &work), 0);
    EXPECT_PATTERN(bytes, length, SEED, offset);
    free(bytes);
}

static void expect_asked(uint64_t requests, uint64_t bytes)
{
    uint64_t sent;

    EXPECT_EQ(stage_requests(origin, &sent), requests);
    EXPECT_EQ(sent, bytes);
}

/* Unknown, known, fresh, unreachable, replaced. */
static void rounds(const char *path, uint64_t src_bytes)
{
    const char *url = kit_origin_url(origin, path);
    uint64_t first = src_bytes < 64 * KIB ? src_bytes : 64 * KIB;
    uint64_t last = src_bytes < 256 * KIB ? src_bytes : 256 * KIB;
    struct opened it;
    uint64_t key[2];

    kit_origin_order(origin, "fault beside=2"); /* one alone is not answered */
    stage_requests(origin, NULL);
    open_it(url, &it);
    expect_asked(2, first + last);
    EXPECT_EQ(it.stats.requests, 2);
    EXPECT_EQ(it.stats.source_bytes, first + last);
    kit_origin_order(origin, "clear");
    memcpy(key, it.source->key, sizeof key);
    EXPECT_EQ(it.source->settled_ns, 0);
    read_it(&it, it.codec->bytes / 2 / 8 * 8, 128 * KIB);
    read_it(&it, 0, 4096);
    close_it(&it);

    stage_requests(origin, NULL);
    open_it(url, &it);
    expect_asked(1, 1);
    EXPECT_MEM(it.source->key, key, sizeof key);
    EXPECT(!it.source->unvalidated);
    EXPECT_RC(it.source->ops->check(it.source), 0);
    expect_asked(1, 1);
    read_it(&it, 0, 4096);
    read_it(&it, it.codec->bytes / 2 / 8 * 8, 128 * KIB); /* the tier has it */
    if (it.codec->bytes == src_bytes) /* a compressed one's last frame begins before the tail */
        read_it(&it, it.codec->bytes - 4096, 4096);
    expect_asked(0, 0);
    EXPECT(it.stats.tier_bytes > 0);
    close_it(&it);

    setenv("HUGELITE_FRESH", "100", 1);
    open_it(url, &it);
    read_it(&it, 0, 4096);
    expect_asked(0, 0);
    close_it(&it);
    unsetenv("HUGELITE_FRESH");

    kit_origin_order(origin, "down");
    open_it(url, &it);
    EXPECT(it.source->unvalidated);
    EXPECT_MEM(it.source->key, key, sizeof key);
    read_it(&it, 0, 4096);
    read_it(&it, it.codec->bytes / 2 / 8 * 8, 128 * KIB);
    EXPECT_RC(it.source->ops->check(it.source), -ECONNREFUSED);
    EXPECT(it.source->unvalidated);
    kit_origin_order(origin, "up");
    EXPECT_RC(it.source->ops->check(it.source), 0);
    EXPECT(!it.source->unvalidated);
    close_it(&it);

    kit_origin_order(origin, "replace %s", path);
    stage_requests(origin, NULL);
    open_it(url, &it);
    EXPECT_EQ(stage_requests(origin, NULL), 3);
    EXPECT(memcmp(it.source->key, key, sizeof key));
    read_it(&it, it.codec->bytes / 2 / 8 * 8, 128 * KIB);
    EXPECT_EQ(it.stats.tier_bytes, 0); /* that is of the other version */
    close_it(&it);
}

/* An object with an index of many frames: one byte each, but the index counts. */
static void long_index(void)
{
    struct kit_frames frames = kit_zst(test_path(dir, "part.zst"), 8, SEED, 8, 0);
    uint32_t each = (uint32_t)frames.src_bytes;
    unsigned char *bytes = calloc(1, FRAMES * (each + 12) + 17), *p = bytes, word[64];
    FILE *f = fopen(test_path(dir, "part.zst"), "rbe");
    const char *url;
    struct opened it;

    EXPECT(bytes && f && each <= sizeof word);
    EXPECT_EQ(fread(word, 1, each, f), each);
    fclose(f);
    for (unsigned i = 0; i < FRAMES; i++, p += each)
        memcpy(p, word, each);
    memcpy(p, "\x5e\x2a\x4d\x18", 4);
    *(uint32_t *)(p + 4) = FRAMES * 8 + 9;
    p += 8;
    for (unsigned i = 0; i < FRAMES; i++, p += 8) {
        *(uint32_t *)p = each;
        *(uint32_t *)(p + 4) = 8;
    }
    *(uint32_t *)p = FRAMES;
    memcpy(p + 5, "\xb1\xea\x92\x8f", 4);
    f = fopen(test_path(dir, "many.zst"), "wbe");
    EXPECT(f && fwrite(bytes, 1, (size_t)(p + 9 - bytes), f) == (size_t)(p + 9 - bytes));
    fclose(f);
    free(bytes);

    url = kit_origin_url(origin, "/many.zst");
    stage_requests(origin, NULL);
    open_it(url, &it);
    EXPECT_EQ(it.codec->bytes, FRAMES * 8);
    expect_asked(3, 64 * KIB + FRAMES * 8 + 17 + 128 * KIB); /* and a margin before it */
    close_it(&it);
    open_it(url, &it);
    EXPECT_EQ(it.codec->bytes, FRAMES * 8);
    expect_asked(1, 1);
    close_it(&it);
    kit_origin_order(origin, "down");
    open_it(url, &it);
    EXPECT(it.source->unvalidated);
    close_it(&it);
    kit_origin_order(origin, "up");
}

int main(void)
{
    uint64_t plain, packed, small;

    dir = test_dir();
    remote_begin(TEST_HANG_S, true);
    hl_stall_ns = 0; /* requests are counted */
    plain = remote_object(dir, "x.db", BYTES, SEED);
    packed = remote_object(dir, "x.db.zst", BYTES, SEED);
    small = remote_object(dir, "small.db", 256 * KIB + 8, SEED);
    origin = kit_origin(dir);
    rounds("/x.db", plain);
    rounds("/x.db.zst", packed);
    rounds("/small.db", small);
    long_index();
    return 0;
}
