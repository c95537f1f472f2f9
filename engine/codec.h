/* SPDX-License-Identifier: MIT
 *
 * codec.h - how encoded bytes become decoded ones: the ops table.
 *
 * A codec reads through one source, which it does not own.  All calls may be
 * made by any thread, concurrently; they return 0 or -errno.
 */
#ifndef HL_CODEC_H
#define HL_CODEC_H

#include <stdint.h>

struct hl_codec;
struct hl_source;

struct hl_codec_ops {
    int (*open)(struct hl_source *source, struct hl_codec **ret_codec);

    /* Decode length bytes at offset of the decoded image, which lie inside it.
     * ret_source_bytes: what had to be read for it, also set on failure. */
    int (*read)(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                uint64_t *ret_source_bytes);

    void (*close)(struct hl_codec *codec);
};

/* A variant embeds this first. */
struct hl_codec {
    const struct hl_codec_ops *ops;
    struct hl_source *source;
    uint64_t bytes; /* decoded size */
};

extern const struct hl_codec_ops hl_codec_raw;

#endif
