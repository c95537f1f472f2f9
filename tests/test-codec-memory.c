/* SPDX-License-Identifier: MIT
 *
 * test-codec-memory: what decoding costs in memory.
 *
 * Passes when a warm codec allocates nothing per read, neither for whole chunks nor for single
 * pages nor where a large frame is scanned; when what it keeps is small for small frames and is
 * all given back when nothing is read for a while; when a hostile window or size does not make it
 * take more than its limit; when -ENOMEM comes where there is no memory, and reads go on when
 * there is some again; and when the sparse index of a large table is about a fiftieth of it.
 */
#include "config.h"

#include "codec-kit.h"

#include "decoder.h"
#include "stream.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (2u << 20)

static uint64_t in_use, most, calls;
static bool refusing;

static void *take(void *arg, size_t bytes)
{
    (void)arg;
    calls++;
    if (refusing)
        return NULL;
    in_use += bytes;
    most = in_use > most ? in_use : most;
    return aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
}

static void give(void *arg, void *memory, size_t bytes)
{
    (void)arg;
    in_use -= bytes;
    free(memory);
}

static void give_all_back(void)
{
    hl_decoder_trim();
    EXPECT_EQ(hl_decoder_trim(), 0);
    EXPECT_EQ(in_use, 0);
}

static void small_frames(void)
{
    struct ck_image image = { 0 };
    struct hl_codec *codec;
    uint64_t state = 1, before;

    for (unsigned i = 0; i < 100; i++)
        ck_frame(&image, 64 << 10, CK_CHECKSUM, 0);
    ck_table(&image, true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    EXPECT_EQ(in_use, 0); /* opening needs none of this */
    ck_read_all(codec, &image, CHUNK);
    ck_read(codec, &image, 5000, 4096);
    before = calls;
    for (unsigned i = 0; i < 3; i++)
        ck_read_all(codec, &image, CHUNK);
    for (unsigned i = 0; i < 200; i++)
        ck_read(codec, &image, ck_random(&state, codec->bytes - 4096), 4096);
    EXPECT_EQ(calls, before);
    EXPECT(in_use < 1 << 20);
    EXPECT(hl_decoder_trim() > 0); /* it has just been used */
    ck_read(codec, &image, 0, 1);
    EXPECT_EQ(calls, before);
    give_all_back();
    ck_read(codec, &image, 0, 1);
    EXPECT(calls > before);
    give_all_back();

    refusing = true;
    {
        struct hl_codec_work work = { 0 };
        char byte;

        EXPECT_RC(codec->ops->read(codec, 0, 1, &byte, &work), -ENOMEM);
        EXPECT_CONTAINS(hugelite_error(), "memory.zst: no memory");
    }
    refusing = false;
    ck_read_all(codec, &image, CHUNK);
    ck_close(codec);
    ck_free(&image);
    give_all_back();
}

static void large_frames(void)
{
    struct ck_image image = { 0 };
    struct hl_codec *codec;
    uint64_t before;

    ck_frame(&image, 5 << 20, CK_CHECKSUM, 0);
    ck_frame(&image, 5 << 20, CK_CHECKSUM, 0);
    ck_table(&image, true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    ck_read_all(codec, &image, 100000);
    before = calls;
    ck_read_all(codec, &image, 100000);
    EXPECT_EQ(calls, before);
    refusing = true;
    ck_read_all(codec, &image, 100000);
    refusing = false;
    ck_close(codec); /* gives its streams back */
    ck_free(&image);
    give_all_back();
}

/* Frames of zeros: one of 120 MB, whose window is as long, and one of more than can be had. */
static void windows(void)
{
    struct ck_image image = { 0 };
    struct hl_codec_work work = { 0 };
    struct hl_codec *codec;
    char byte = 1;

    most = 0;
    ck_frame(&image, 100, 0, 0);
    ck_frame(&image, 120 << 20, CK_ZEROS | CK_CHECKSUM, 27);
    ck_frame(&image, 130 << 20, CK_ZEROS | CK_NO_SIZE, 28);
    ck_table(&image, false);
    codec = ck_open(ck_memory(image.bytes, image.length));
    ck_read(codec, &image, 100 + (119 << 20), 10);
    EXPECT(most < HL_STREAM_WINDOW_MAX + (1 << 20));
    EXPECT_RC(codec->ops->read(codec, 100 + (121 << 20), 1, &byte, &work), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "needs a window of 268435456 bytes; the limit is 134217728");
    ck_close(codec);
    ck_free(&image);
    give_all_back();
}

static void sparse_index(void)
{
    enum { NR = 400000 };
    struct ck_image image = { 0 };
    struct ck_image one = { 0 };
    struct hl_codec *codec;
    size_t before, index;

    ck_frame(&one, 10, CK_CHECKSUM, 0);
    image.entries = malloc(NR * sizeof *image.entries);
    image.bytes = malloc((size_t)NR * one.length);
    image.decoded = malloc((size_t)NR * 10);
    EXPECT(image.entries && image.bytes && image.decoded);
    for (unsigned i = 0; i < NR; i++) {
        image.entries[i] = one.entries[0];
        memcpy(image.bytes + i * one.length, one.bytes, one.length);
        memcpy(image.decoded + i * 10, one.decoded, 10);
    }
    image.nr = NR;
    image.length = image.room = (size_t)NR * one.length;
    image.decoded_length = image.decoded_room = (size_t)NR * 10;
    ck_table(&image, true);
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    codec = ck_open(ck_memory(image.bytes, image.length));
    index = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    if (!TEST_SANITIZED)
        EXPECT(index < NR * 12 / 40);
    ck_read(codec, &image, 3999000, 1000);
    ck_read(codec, &image, 1234567, 3000);
    ck_close(codec);
    ck_free(&image);
    ck_free(&one);
    give_all_back();
}

int main(void)
{
    static const struct hugelite_memory memory = { sizeof memory, take, give, NULL };

    EXPECT_RC(hugelite_set_memory(&memory), 0);
    small_frames();
    large_frames();
    windows();
    sparse_index();
    return 0;
}
