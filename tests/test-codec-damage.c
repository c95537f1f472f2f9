/* SPDX-License-Identifier: MIT
 *
 * test-codec-damage: a small file with each of its bytes changed in turn, and cut after each.
 *
 * Passes when a file with checksums, of which any one byte is inverted or one bit flipped, either
 * is refused with a sentence that names the file, or fails in one of its frames with a sentence
 * that names the frame, or gives right bytes; when frames that are not damaged are read right
 * beside one that is; and when each truncation is refused.  A wrong size in the table is noticed
 * when the file is opened, or by the reader of a frame that does not say its size.  The same for a
 * file whose frame is streamed, and one whose checksums are in the table only.
 */
#include "config.h"

#include "codec-kit.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static unsigned refused, failed, harmless, shifted;

/* Read each piece by itself.  What is given out must be right. */
static void try_reads(struct hl_codec *codec, const struct ck_image *image, uint32_t piece,
                      unsigned most_bad)
{
    unsigned char *buffer = malloc(piece);
    unsigned bad = 0;

    EXPECT(buffer != NULL);
    shifted += codec->bytes != image->decoded_length;
    for (uint64_t at = 0; at < codec->bytes; at += piece) {
        uint64_t left = codec->bytes - at;
        uint32_t length = left < piece ? (uint32_t)left : piece;
        struct hl_codec_work work = { 0 };
        int rc = codec->ops->read(codec, at, length, buffer, &work);

        if (rc == 0) {
            EXPECT(codec->bytes != image->decoded_length ||
                   memcmp(buffer, image->decoded + at, length) == 0);
            continue;
        }
        EXPECT_RC(rc, -EBADMSG);
        EXPECT_CONTAINS(hugelite_error(), "memory.zst: frame ");
        EXPECT_CONTAINS(hugelite_error(), "(decoded bytes ");
        bad++;
    }
    free(buffer);
    EXPECT(bad <= most_bad || codec->bytes != image->decoded_length);
    EXPECT(bad > 0 || codec->bytes == image->decoded_length);
    failed += bad > 0;
    harmless += bad == 0;
}

static void try_image(const struct ck_image *image, unsigned char *bytes, size_t length,
                      uint32_t piece, unsigned most_bad)
{
    struct hl_source *source = ck_memory(bytes, length);
    struct hl_codec *codec = NULL;
    int rc = hl_codec_open(source, &codec);

    if (rc < 0) {
        EXPECT(rc == -EBADMSG || rc == -EMEDIUMTYPE || rc == -ENODATA);
        EXPECT_CONTAINS(hugelite_error(), "memory.zst: ");
        EXPECT(codec == NULL);
        refused++;
    } else if (codec->ops == &hl_codec_raw) {
        EXPECT_EQ(codec->bytes, length); /* the magic is gone: what was asked for is the file */
        refused++;
    } else {
        try_reads(codec, image, piece, most_bad);
    }
    if (codec)
        codec->ops->close(codec);
    hl_source_close(source);
}

/* most_bad: pieces that one frame can spoil.  sizeless: frames that do not say how
 * long they are, so that only their own readers notice when the table has another size for them. */
static void each_byte(const struct ck_image *image, uint32_t piece, unsigned most_bad,
                      unsigned sizeless)
{
    unsigned char *bytes = malloc(image->length);

    EXPECT(bytes != NULL);
    refused = failed = harmless = shifted = 0;
    for (size_t i = 0; i < image->length; i++) {
        memcpy(bytes, image->bytes, image->length);
        bytes[i] ^= 0xff;
        try_image(image, bytes, image->length, piece, most_bad);
        bytes[i] = image->bytes[i] ^ (unsigned char)(1u << i % 8);
        try_image(image, bytes, image->length, piece, most_bad);
    }
    /* Unused bits of the descriptors, and of block headers, are free to change. */
    EXPECT(refused > 0 && failed > 0);
    EXPECT(shifted <= 8 * sizeless);
    EXPECT(harmless <= image->length / 20);
    for (size_t i = 1; i < image->length; i++) {
        unsigned before = refused;

        memcpy(bytes, image->bytes, image->length);
        try_image(image, bytes, i, piece, 0);
        EXPECT_EQ(refused, before + 1);
    }
    free(bytes);
}

static void *take(void *arg, size_t bytes)
{
    (void)arg;
    return aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
}

static void give(void *arg, void *memory, size_t bytes)
{
    (void)arg;
    (void)bytes;
    free(memory);
}

int main(void)
{
    static const struct hugelite_memory memory = { sizeof memory, take, give, NULL };

    /* Thousands of codecs come and go here: keep the kernel out of it. */
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 28);
    EXPECT_RC(hugelite_set_memory(&memory), 0);
    for (unsigned kind = 1; kind < 4; kind++) { /* checksums in the frames, the table, both */
        struct ck_image image = { .seed = kind };
        unsigned flags = kind & 1 ? CK_CHECKSUM : 0;

        ck_frame(&image, 300, flags, 0);
        ck_frame(&image, 500, flags | CK_RANDOM, 0);
        ck_frame(&image, 400, flags | CK_NO_SIZE, 0);
        ck_frame(&image, 1000, flags | CK_ZEROS, 0);
        ck_table(&image, kind & 2);
        each_byte(&image, 100, 10, 1);
        ck_free(&image);

        if (kind == 3)
            break; /* the same code as before */
        ck_frame(&image, (2 << 20) + 70000, flags | CK_ZEROS, 17);
        ck_frame(&image, 1000, flags, 0);
        ck_table(&image, kind & 2);
        each_byte(&image, 1 << 20, 4, 0);
        ck_free(&image);
    }
    return 0;
}
