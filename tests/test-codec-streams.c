/* SPDX-License-Identifier: MIT
 *
 * test-codec-streams: frames too large to be decoded in one go.
 *
 * Passes when a scan of such a frame decodes it twice and no more (once to check it, once to give
 * it out), by what is read from the source; when a second scan decodes it once; when random reads
 * between the steps of a scan do not make it start anew each time; when random reads are right;
 * and when a frame with a wrong last byte gives out nothing at all.
 */
#include "config.h"

#include "codec-kit.h"

#include "decoder.h"

#include <errno.h>

#define FRAME (9u << 20)
#define STEP (512u << 10)

static struct ck_image image;

static uint64_t scan(struct hl_codec *codec, uint64_t from, uint64_t to, unsigned random)
{
    uint64_t state = from, cost = 0;

    for (uint64_t at = from; at < to; at += STEP) {
        cost += ck_read(codec, &image, at, STEP).source_bytes;
        for (unsigned i = 0; i < random; i++)
            ck_read(codec, &image, from + ck_random(&state, to - from - 100), 100);
    }
    return cost;
}

static void damaged(uint32_t encoded)
{
    struct hl_codec_work work = { 0 };
    struct hl_codec *codec;
    unsigned char buffer[10];

    image.bytes[encoded - 5] ^= 1;
    codec = ck_open(ck_memory(image.bytes, image.length));
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_RC(codec->ops->read(codec, i, 10, buffer, &work), -EBADMSG);
        EXPECT_CONTAINS(hugelite_error(), "frame 0 (decoded bytes 0 to 9437183)");
    }
    ck_read(codec, &image, FRAME + 5, 10);
    ck_close(codec);
    image.bytes[encoded - 5] ^= 1;

    /* It breaks after it was found right: the next pass notices at the end. */
    codec = ck_open(ck_memory(image.bytes, image.length));
    ck_read(codec, &image, 0, 10);
    image.bytes[encoded - 5] ^= 1;
    EXPECT_RC(codec->ops->read(codec, FRAME - 10, 10, buffer, &work), -EBADMSG);
    EXPECT_RC(codec->ops->read(codec, 0, 10, buffer, &work), -EBADMSG);
    ck_close(codec);
    image.bytes[encoded - 5] ^= 1;
}

int main(void)
{
    for (unsigned kind = 0; kind < 3; kind++) { /* checksum in the frame, the table, nowhere */
        uint32_t encoded, margin = 64 << 10;
        struct hl_codec *codec;
        uint64_t cost, state = kind;

        ck_free(&image);
        ck_frame(&image, FRAME, kind == 0 ? CK_CHECKSUM : 0, 0);
        ck_frame(&image, FRAME, (kind == 0 ? CK_CHECKSUM : 0) | CK_NO_SIZE, 0);
        encoded = image.entries[0].encoded;
        ck_table(&image, kind == 1);
        codec = ck_open(ck_memory(image.bytes, image.length));
        EXPECT_EQ(codec->unit, FRAME);

        cost = scan(codec, 0, FRAME, 0);
        EXPECT(cost <= 2 * encoded + margin);
        cost = scan(codec, 0, FRAME, 0);
        EXPECT(cost <= encoded + margin);
        EXPECT(cost >= encoded);
        cost = scan(codec, 0, FRAME, 1);
        EXPECT(cost <= 2 * encoded + margin);

        for (unsigned i = 0; i < 10; i++)
            ck_read(codec, &image, ck_random(&state, 2 * FRAME - 70000), 70000);
        ck_read(codec, &image, FRAME - 100, 200);
        cost = scan(codec, FRAME, 2 * FRAME, 0);
        EXPECT(cost <= image.entries[1].encoded + margin);
        ck_close(codec);

        /* What is no longer used is given back. */
        hl_decoder_trim();
        EXPECT_EQ(hl_decoder_trim(), 0);
        if (kind < 2)
            damaged(encoded);
    }
    ck_free(&image);
    return 0;
}
