/* SPDX-License-Identifier: MIT
 *
 * codec-raw.c - no encoding: the source's bytes are the image.
 *
 * Entry point: hl_codec_raw (ops).  See also: codec.h.
 */
#include "config.h"

#include "codec.h"
#include "error.h"
#include "source.h"

#include <stdlib.h>

static int raw_open(struct hl_source *source, struct hl_codec **ret_codec)
{
    struct hl_codec *codec = malloc(sizeof *codec);

    if (!codec)
        return hl_error(ENOMEM, "%s: no memory to open it", source->name);
    *codec = (struct hl_codec){ .ops = &hl_codec_raw, .source = source,
                                .bytes = source->src_bytes, .unit = 1 };
    *ret_codec = codec;
    return 0;
}

static int raw_read(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                    struct hl_codec_work *work)
{
    work->source_bytes += length;
    return codec->source->ops->read(codec->source, offset, length, buffer);
}

static void raw_close(struct hl_codec *codec)
{
    free(codec);
}

const struct hl_codec_ops hl_codec_raw = {
    .name = "raw",
    .open = raw_open,
    .read = raw_read,
    .close = raw_close,
};
