/* SPDX-License-Identifier: MIT
 *
 * codec.c - which codec a source wants, by its first bytes.  What is compressed in a way that must
 * be read from its beginning is refused, with the command that makes it seekable.
 *
 * Entry point: hl_codec_open().  See also: codec.h, codec-zstd.c, refusal.c.
 */
#include "config.h"

#include "codec.h"

#include "refusal.h"
#include "source.h"

#include <stdbool.h>
#include <string.h>

enum { HEAD_BYTES = 10 };

#define AT_AN_OFFSET ", which cannot be read at an offset"

/* None of these begins an SQLite database, which begins with "SQLite format 3". */
static const struct format {
    unsigned char magic[8];
    unsigned magic_bytes;
    struct hl_refusal refusal;
} refused[] = {
    { { 0x1f, 0x8b, 8 }, 3,
      { "is compressed by gzip" AT_AN_OFFSET, "gunzip -c", ">", ".gz", ".zst" } },
    { { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6,
      { "is compressed by xz" AT_AN_OFFSET, "xz -dc", ">", ".xz", ".zst" } },
    { { 'B', 'Z', 'h' }, 3,
      { "is compressed by bzip2" AT_AN_OFFSET, "bzip2 -dc", ">", ".bz2", ".zst" } },
    { { 4, 0x22, 0x4d, 0x18 }, 4,
      { "is compressed by lz4" AT_AN_OFFSET, "lz4 -dc", ">", ".lz4", ".zst" } },
};

static bool is_zstd(const unsigned char *head)
{
    return memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0 ||
           ((head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0);
}

/* A level, and the magic of a block or of the end: three letters alone are text. */
static bool is_bzip2(const unsigned char *head)
{
    return head[3] >= '1' && head[3] <= '9' &&
           (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
            memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static const struct format *find_refused(const unsigned char *head)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (memcmp(head, refused[i].magic, refused[i].magic_bytes) == 0 &&
            (refused[i].magic[0] != 'B' || is_bzip2(head)))
            return &refused[i];
    return NULL;
}

int hl_codec_open(struct hl_source *source, struct hl_codec **ret_codec)
{
    unsigned char head[HEAD_BYTES] = { 0 };
    const struct format *format;
    int rc;

    rc = source->ops->read(source, 0, source->src_bytes < HEAD_BYTES ? (uint32_t)source->src_bytes
                                                                     : HEAD_BYTES, head);
    if (rc < 0)
        return rc;

    if (is_zstd(head))
        return hl_codec_zstd.open(source, ret_codec);
    format = find_refused(head);
    if (format)
        return hl_refuse(source, &format->refusal);
    return hl_codec_raw.open(source, ret_codec);
}
