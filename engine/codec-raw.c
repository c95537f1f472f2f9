/* SPDX-License-Identifier: MIT
 *
 * codec-raw.c - no encoding: the source's bytes are the image.  From a remote source nothing smaller
 * than a block is read: a page alone is not worth a round trip.
 *
 * Entry point: hl_codec_raw (ops).  See also: codec.h.
 */
#include "config.h"

#include "cleanup.h"
#include "codec.h"
#include "error.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

enum { REMOTE_BLOCK = 32 * 1024 };

static int raw_open(struct hl_source *source, struct hl_codec **ret_codec)
{
    struct hl_codec *codec = malloc(sizeof *codec);

    if (!codec)
        return hl_error(ENOMEM, "%s: no memory to open it", source->name);
    *codec = (struct hl_codec){ .ops = &hl_codec_raw, .source = source,
                                .bytes = source->src_bytes, .unit = 1 };
    if (source->remote)
        codec->unit = codec->grain = REMOTE_BLOCK;
    *ret_codec = codec;
    return 0;
}

/* The blocks that a short read lies in: two at most. */
static int read_blocks(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer)
{
    HL_CLEANUP(hl_freep) char *blocks = malloc(2 * REMOTE_BLOCK);
    uint64_t from = offset / REMOTE_BLOCK * REMOTE_BLOCK;
    uint64_t to = (offset + length + REMOTE_BLOCK - 1) / REMOTE_BLOCK * REMOTE_BLOCK;
    int rc;

    if (!blocks)
        return hl_error(ENOMEM, "%s: no memory to read it", codec->source->name);
    if (to > codec->bytes)
        to = codec->bytes;
    rc = codec->source->ops->read(codec->source, from, (uint32_t)(to - from), blocks);
    if (rc == 0)
        memcpy(buffer, blocks + (offset - from), length);
    return rc;
}

static int raw_read(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                    struct hl_codec_work *work)
{
    work->source_bytes += length;
    if (codec->source->remote && length < REMOTE_BLOCK)
        return read_blocks(codec, offset, length, buffer);
    return codec->source->ops->read(codec->source, offset, length, buffer);
}

static int raw_extent(struct hl_codec *codec, uint64_t offset, uint32_t length, uint64_t *ret_from,
                      uint64_t *ret_to)
{
    (void)codec;
    *ret_from = offset;
    *ret_to = offset + length;
    return 0;
}

static void raw_close(struct hl_codec *codec)
{
    free(codec);
}

const struct hl_codec_ops hl_codec_raw = {
    .name = "raw",
    .open = raw_open,
    .read = raw_read,
    .extent = raw_extent,
    .close = raw_close,
};
