/* SPDX-License-Identifier: MIT
 *
 * test-codec-seekable: seekable files as others make them.
 *
 * Passes when frames from 1 byte to 5 MiB, even and uneven, with and without checksums in the
 * table and in themselves, with and without their size, in many small blocks,
 * between empty and skippable ones and across several segments of the table, are read
 * right in chunks and at random; when size, unit and grain are told right; and
 * when a chunk decodes each of its frames once.
 */
#include "config.h"

#include "codec-kit.h"

#include <string.h>

#define CHUNK (2u << 20)

static const char *path;

/* All combinations of where checksums are and sizes are not. */
static void all_kinds(const uint32_t *sizes, unsigned nr, unsigned flags, int window_log)
{
    for (unsigned kind = 0; kind < 8; kind++) {
        struct ck_image image = { .seed = kind };
        struct hl_codec *codec;
        uint64_t state = kind;

        for (unsigned i = 0; i < nr; i++)
            ck_frame(&image, sizes[i], flags | (kind & 1 ? CK_CHECKSUM : 0) |
                                           (kind & 2 ? CK_NO_SIZE : 0), window_log);
        ck_table(&image, kind & 4);
        codec = ck_open(ck_file(&image, path));
        EXPECT_STR(codec->ops->name, "zstd-seekable");
        ck_read_all(codec, &image, CHUNK);
        for (unsigned i = 0; i < 15; i++) {
            uint64_t offset = ck_random(&state, codec->bytes);
            uint64_t most = codec->bytes - offset < 9000 ? codec->bytes - offset : 9000;

            ck_read(codec, &image, offset, 1 + (uint32_t)ck_random(&state, most));
        }
        ck_close(codec);
        ck_free(&image);
    }
}

static void grain_of(const uint32_t *sizes, unsigned nr, uint64_t grain, uint64_t unit)
{
    struct ck_image image = { 0 };
    struct hl_codec *codec;

    for (unsigned i = 0; i < nr; i++)
        if (sizes[i])
            ck_frame(&image, sizes[i], CK_CHECKSUM, 0);
        else if (i % 2)
            ck_frame(&image, 0, 0, 0);
        else
            ck_skippable(&image, 100 * i);
    ck_table(&image, true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    EXPECT_EQ(codec->grain, grain);
    EXPECT_EQ(codec->unit, unit);
    ck_read_all(codec, &image, 777);
    ck_read_all(codec, &image, CHUNK);
    ck_close(codec);
    ck_free(&image);
}

/* 700 small frames and as many empty entries are many segments; a run of empty ones fills some. */
static void many_segments(void)
{
    struct ck_image image = { 0 };
    struct hl_codec *codec;
    struct hl_codec_work work;
    uint64_t state = 5;

    for (unsigned i = 0; i < 700; i++) {
        ck_frame(&image, 1 + (uint32_t)ck_random(&state, 3000), i % 2 ? CK_CHECKSUM : 0, 0);
        if (i % 3 == 0)
            ck_skippable(&image, i);
        for (unsigned k = 0; i == 300 && k < 600; k++)
            ck_bytes(&image, NULL, 0, 0);
    }
    ck_table(&image, true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    work = ck_read_all(codec, &image, CHUNK);
    EXPECT_EQ(work.frames, 700);
    ck_read_all(codec, &image, 4096);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t offset = ck_random(&state, codec->bytes);

        ck_read(codec, &image, offset, 1);
    }
    ck_close(codec);
    ck_free(&image);
}

/* What hugelite pack makes: each frame of a chunk is decoded once, neighbours are read together. */
static void chunk_work(void)
{
    struct ck_image image = { 0 };
    struct hl_codec_work work;
    struct hl_source *source;
    struct hl_codec *codec;
    uint64_t reads;

    for (unsigned i = 0; i < 80; i++)
        ck_frame(&image, 64 << 10, CK_CHECKSUM, 0);
    ck_table(&image, true);
    source = ck_memory(image.bytes, image.length);
    codec = ck_open(source);
    reads = ck_reads(source);
    work = ck_read(codec, &image, CHUNK, CHUNK);
    EXPECT_EQ(work.frames, 32);
    EXPECT(ck_reads(source) - reads <= 8);
    EXPECT(work.source_bytes < image.length);
    work = ck_read(codec, &image, 3 * (64 << 10) + 100, 4096);
    EXPECT_EQ(work.frames, 1);
    EXPECT(work.source_bytes < (64 << 10) + 2048);
    ck_close(codec);
    ck_free(&image);
}

int main(void)
{
    static const uint32_t odd[] = { 1, 100000, 7, 2, 300001, 65536, 1, 131073 };
    static const uint32_t straddling[25] = { [0 ... 24] = 100000 };
    static const uint32_t limits[] = { (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5 << 20, 12345 };
    static const uint32_t small[] = { 30000, 200000 };

    path = test_path(test_dir(), "x.zst");
    all_kinds(odd, 8, 0, 0);
    all_kinds(straddling, 25, 0, 0);
    all_kinds(limits, 5, 0, 0);
    all_kinds(limits, 5, CK_RANDOM, 0);
    all_kinds(limits, 5, CK_ZEROS, 20);
    all_kinds(small, 2, CK_FLUSHED, 0);

    grain_of((uint32_t[]){ 4096 }, 1, 4096, 4096);
    grain_of((uint32_t[]){ 4096, 4096, 4096 }, 3, 4096, 4096);
    grain_of((uint32_t[]){ 4096, 4096, 100 }, 3, 4096, 4096);
    grain_of((uint32_t[]){ 4096, 4096, 4097 }, 3, 0, 4097);
    grain_of((uint32_t[]){ 4096, 100, 4096 }, 3, 0, 4096);
    grain_of((uint32_t[]){ 0, 4096, 0, 4096, 0, 0, 100, 0, 0 }, 9, 4096, 4096);
    many_segments();
    chunk_work();
    return 0;
}
