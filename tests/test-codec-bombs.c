/* SPDX-License-Identifier: MIT
 *
 * test-codec-bombs: frames that decode to much more than they should, or never end.
 *
 * Passes when frames that hold more or less than the table says, two frames behind one entry, a
 * skippable frame behind an entry with content, a frame of a million empty blocks, legacy frames
 * and garbage are refused by an error that names the frame, in memory and time that do not grow
 * with what they claim; when other frames are read right beside them; and when 100 MB of zeros in
 * 3 kB, which is honest, is read.
 */
#include "config.h"

#include "codec-kit.h"

#include "decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static struct ck_image image;
static uint64_t in_use, most;

static void *take(void *arg, size_t bytes)
{
    (void)arg;
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

/* The image is a good frame of 1000 bytes, the bad one, and a good one of 1000 bytes. */
static void refused(const char *why)
{
    struct hl_codec_work work = { 0 };
    uint64_t end = image.decoded_length;
    struct hl_codec *codec;
    char buffer[4096];

    most = in_use;
    codec = ck_open(ck_memory(image.bytes, image.length));
    for (uint64_t at = 1000; at < end - 1000; at += 1 + (end - 2001) / 2) {
        uint32_t length = end - 1000 - at < sizeof buffer ? (uint32_t)(end - 1000 - at)
                                                          : sizeof buffer;

        EXPECT_RC(codec->ops->read(codec, at, length, buffer, &work), -EBADMSG);
        EXPECT_CONTAINS(hugelite_error(), "memory.zst: frame 1 (decoded bytes 1000 to ");
        EXPECT_CONTAINS(hugelite_error(), why);
    }
    ck_read(codec, &image, 0, 1000);
    ck_read(codec, &image, end - 1000, 1000);
    ck_close(codec);
    ck_free(&image);
    EXPECT(most < 8 << 20);
}

static void bad_frame(const void *bytes, size_t length, uint32_t decoded, const char *why)
{
    ck_frame(&image, 1000, CK_CHECKSUM, 0);
    ck_bytes(&image, bytes, (uint32_t)length, decoded);
    ck_frame(&image, 1000, CK_CHECKSUM, 0);
    ck_table(&image, false);
    refused(why);
}

/* A frame of zeros that does not say how many. */
static size_t zeros(unsigned char *frame, size_t room, uint32_t decoded)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_outBuffer out = { frame, room, 0 };
    unsigned char *from = calloc(1, decoded);
    ZSTD_inBuffer in = { from, decoded, 0 };

    EXPECT(context != NULL && from != NULL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    free(from);
    return out.pos;
}

int main(void)
{
    static const struct hugelite_memory memory = { sizeof memory, take, give, NULL };
    static const unsigned char head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 0x58 }; /* window of 2 MiB */
    static unsigned char frame[4 << 20];
    struct hl_codec *codec;
    size_t length;

    EXPECT_RC(hugelite_set_memory(&memory), 0);

    length = zeros(frame, sizeof frame, 40 << 20);
    bad_frame(frame, length, 1000000, "it is longer than the seek table says");
    bad_frame(frame, length, 20 << 20, "it is longer than the seek table says");
    bad_frame(frame, length, (40 << 20) + 1, "decodes to 41943040 bytes only");
    bad_frame(frame, length - 1, 40 << 20, "it is cut short");
    bad_frame(frame, length + 1, 40 << 20, "ends before the seek table says");

    length = zeros(frame, sizeof frame, 1000);
    bad_frame(frame, length, 999, "it is longer than the seek table says");
    bad_frame(frame, length, 1001, "decodes to 1000 bytes only");
    bad_frame(frame, length - 1, 1000, "it does not end where the seek table says");
    memcpy(frame + length, frame, length);
    bad_frame(frame, 2 * length, 2000, "ends before the seek table says");
    bad_frame("\x50\x2a\x4d\x18\x05\0\0\0hello", 13, 5, "is a skippable frame");
    bad_frame("no frame at all", 15, 5, "does not begin as a Zstandard frame");
    bad_frame("\x25\xb5\x2f\xfd-legacy-", 12, 5, "does not begin as a Zstandard frame");
    bad_frame("\x28\xb5\x2f\xfd\xe0\0\0\0\0\0", 10, 5, "ends in its header");

    /* A million empty blocks, and then nothing. */
    memcpy(frame, head, sizeof head);
    memset(frame + sizeof head, 0, 3000000);
    bad_frame(frame, sizeof head + 3000000, 5, "it is cut short");
    bad_frame(frame, sizeof head + 300000, 5, "it does not end where the seek table says");

    /* 100 MiB claimed, 32 MiB there. */
    length = zeros(frame, sizeof frame, 32 << 20);
    memset(frame + length, 0, 200000);
    bad_frame(frame, length + 200000, 100 << 20, "decodes to 33554432 bytes only");

    ck_frame(&image, 100 << 20, CK_ZEROS | CK_CHECKSUM, 21);
    ck_table(&image, true);
    EXPECT(image.length < 8000);
    most = in_use;
    codec = ck_open(ck_memory(image.bytes, image.length));
    ck_read(codec, &image, (100 << 20) - 5, 5);
    ck_read(codec, &image, 0, 5);
    EXPECT(most < 8 << 20);
    ck_close(codec);
    ck_free(&image);
    hl_decoder_trim();
    hl_decoder_trim();
    EXPECT_EQ(in_use, 0);
    return 0;
}
