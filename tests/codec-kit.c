/* SPDX-License-Identifier: MIT
 *
 * codec-kit.c - makes seekable files for tests, from nothing but libzstd, libxxhash and the
 * format's description: no code of the engine writes what the engine then reads.
 *
 * Entry points: codec-kit.h.
 */
#include "config.h"

#include "codec-kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

static void grow(unsigned char **bytes, size_t *room, size_t needed)
{
    if (*room >= needed)
        return;
    *room = needed + needed / 8;
    *bytes = realloc(*bytes, *room);
    EXPECT(*bytes != NULL);
}

void ck_free(struct ck_image *image)
{
    free(image->bytes);
    free(image->decoded);
    free(image->entries);
    *image = (struct ck_image){ 0 };
}

uint64_t ck_random(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (*state >> 33) % limit;
}

static void make_content(unsigned char *p, uint32_t length, unsigned flags, uint64_t seed)
{
    uint64_t state = seed * 77 + 1;

    if (flags & CK_ZEROS) {
        memset(p, 0, length);
        return;
    }
    for (uint32_t i = 0; i < length; i++) {
        uint64_t any = ck_random(&state, 1 << 20);

        p[i] = (unsigned char)(flags & CK_RANDOM ? any : 'a' + any % 7);
        if (!(flags & CK_RANDOM) && i >= 64 && any & 0x100)
            p[i] = p[i - 64]; /* something to match */
    }
}

static void put_le32(struct ck_image *image, uint32_t value)
{
    grow(&image->bytes, &image->room, image->length + 4);
    for (unsigned i = 0; i < 4; i++)
        image->bytes[image->length++] = (unsigned char)(value >> (8 * i));
}

static void add_entry(struct ck_image *image, uint32_t encoded, uint32_t decoded,
                      uint32_t checksum)
{
    image->entries = realloc(image->entries, (image->nr + 1) * sizeof *image->entries);
    EXPECT(image->entries != NULL);
    image->entries[image->nr++] = (struct ck_entry){ encoded, decoded, checksum };
}

/* Many blocks: each piece is flushed by itself. */
static size_t compress_flushed(ZSTD_CCtx *context, ZSTD_outBuffer *out, const unsigned char *from,
                               uint32_t length)
{
    uint32_t done = 0;

    while (done < length) {
        uint32_t part = length - done < 500 ? length - done : 500;
        ZSTD_inBuffer in = { from + done, part, 0 };

        EXPECT_EQ(ZSTD_compressStream2(context, out, &in, ZSTD_e_flush), 0);
        done += part;
    }
    EXPECT_EQ(ZSTD_compressStream2(context, out, &(ZSTD_inBuffer){ from, 0, 0 }, ZSTD_e_end), 0);
    return out->pos;
}

void ck_frame(struct ck_image *image, uint32_t decoded, unsigned flags, int window_log)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(decoded) + (flags & CK_FLUSHED ? decoded / 10 : 0) + 64;
    ZSTD_outBuffer out;
    unsigned char *from;

    grow(&image->decoded, &image->decoded_room, image->decoded_length + decoded);
    grow(&image->bytes, &image->room, image->length + bound);
    from = image->decoded + image->decoded_length;
    make_content(from, decoded, flags, ++image->seed);
    EXPECT(context != NULL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, !!(flags & CK_CHECKSUM));
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, !(flags & CK_NO_SIZE));
    if (window_log)
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    if (!(flags & CK_NO_SIZE))
        ZSTD_CCtx_setPledgedSrcSize(context, decoded);

    out = (ZSTD_outBuffer){ image->bytes + image->length, bound, 0 };
    if (flags & CK_FLUSHED) {
        compress_flushed(context, &out, from, decoded);
    } else {
        ZSTD_inBuffer in = { from, decoded, 0 };

        EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    }
    ZSTD_freeCCtx(context);
    add_entry(image, (uint32_t)out.pos, decoded, (uint32_t)XXH64(from, decoded, 0));
    image->length += out.pos;
    image->decoded_length += decoded;
}

void ck_bytes(struct ck_image *image, const void *bytes, uint32_t length, uint32_t decoded)
{
    grow(&image->bytes, &image->room, image->length + length + 1);
    if (length)
        memcpy(image->bytes + image->length, bytes, length);
    image->length += length;
    grow(&image->decoded, &image->decoded_room, image->decoded_length + decoded + 1);
    memset(image->decoded + image->decoded_length, 0, decoded);
    image->decoded_length += decoded;
    add_entry(image, length, decoded, 0);
}

void ck_skippable(struct ck_image *image, uint32_t content)
{
    size_t before = image->length;

    put_le32(image, 0x184d2a53);
    put_le32(image, content);
    grow(&image->bytes, &image->room, image->length + content + 1);
    memset(image->bytes + image->length, 0x5a, content);
    image->length += content;
    add_entry(image, (uint32_t)(image->length - before), 0, 0);
}

void ck_table(struct ck_image *image, bool checksums)
{
    put_le32(image, 0x184d2a5e);
    put_le32(image, image->nr * (checksums ? 12 : 8) + 9);
    for (uint32_t i = 0; i < image->nr; i++) {
        put_le32(image, image->entries[i].encoded);
        put_le32(image, image->entries[i].decoded);
        if (checksums)
            put_le32(image, image->entries[i].checksum);
    }
    put_le32(image, image->nr);
    grow(&image->bytes, &image->room, image->length + 1);
    image->bytes[image->length++] = checksums ? 0x80 : 0;
    put_le32(image, 0x8f92eab1);
}

/* ---- sources and codecs -------------------------------------------------- */

struct memory_source {
    struct hl_source base;
    const unsigned char *bytes;
    _Atomic uint64_t reads;
};

static int memory_read(struct hl_source *base, uint64_t src_offset, uint32_t length, void *buffer)
{
    struct memory_source *source = (struct memory_source *)base;

    source->reads++;
    EXPECT(src_offset <= base->src_bytes && length <= base->src_bytes - src_offset);
    memcpy(buffer, source->bytes + src_offset, length);
    return 0;
}

static int memory_check(struct hl_source *base)
{
    (void)base;
    return 0;
}

static void memory_close(struct hl_source *base)
{
    free(base->name);
    free(base);
}

static const struct hl_source_ops memory_ops = {
    .prefix = "memory:",
    .read = memory_read,
    .check = memory_check,
    .close = memory_close,
};

struct hl_source *ck_memory(const void *bytes, size_t length)
{
    struct memory_source *source = calloc(1, sizeof *source);

    EXPECT(source != NULL);
    source->base.ops = &memory_ops;
    source->base.name = strdup("memory.zst");
    source->base.src_bytes = length;
    source->bytes = bytes;
    return &source->base;
}

uint64_t ck_reads(const struct hl_source *source)
{
    return ((const struct memory_source *)source)->reads;
}

struct hl_source *ck_file(const struct ck_image *image, const char *path)
{
    struct hl_source *source;
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, image->bytes, image->length), image->length);
    close(fd);
    EXPECT_RC(hl_source_open(path, &source), 0);
    return source;
}

struct hl_codec *ck_open(struct hl_source *source)
{
    struct hl_codec *codec;

    EXPECT_RC(hl_codec_open(source, &codec), 0);
    return codec;
}

void ck_close(struct hl_codec *codec)
{
    struct hl_source *source = codec->source;

    codec->ops->close(codec);
    hl_source_close(source);
}

struct hl_codec_work ck_read(struct hl_codec *codec, const struct ck_image *image, uint64_t offset,
                             uint32_t length)
{
    struct hl_codec_work work = { 0 };
    unsigned char *buffer = malloc(length + 1);

    EXPECT(buffer != NULL);
    memset(buffer, 0xee, length + 1);
    EXPECT_RC(codec->ops->read(codec, offset, length, buffer, &work), 0);
    EXPECT_EQ(memcmp(buffer, image->decoded + offset, length), 0);
    EXPECT_EQ(buffer[length], 0xee);
    free(buffer);
    return work;
}

struct hl_codec_work ck_read_all(struct hl_codec *codec, const struct ck_image *image,
                                 uint32_t piece)
{
    struct hl_codec_work sum = { 0 };

    EXPECT_EQ(codec->bytes, image->decoded_length);
    for (uint64_t at = 0; at < codec->bytes; at += piece) {
        uint64_t left = codec->bytes - at;
        struct hl_codec_work work = ck_read(codec, image, at,
                                            left < piece ? (uint32_t)left : piece);

        sum.source_bytes += work.source_bytes;
        sum.frames += work.frames;
    }
    return sum;
}
