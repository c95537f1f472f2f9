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

/* What a read cost. */
struct hl_codec_work {
    uint64_t source_bytes; /* asked of the source */
    uint64_t frames;       /* decoded, whole or in part */
};

struct hl_codec_ops {
    const char *name; /* as hugelite_volume_encoding() tells it */

    int (*open)(struct hl_source *source, struct hl_codec **ret_codec);

    /* Decode length bytes at offset of the decoded image, which lie inside it.  What has been
     * checked, and nothing else, is in the buffer after success; after a failure, anything.
     * Adds to work, on failure too. */
    int (*read)(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                struct hl_codec_work *work);

    /* Where the encoded bytes of a decoded range, which lies inside the image, are. */
    int (*extent)(struct hl_codec *codec, uint64_t offset, uint32_t length, uint64_t *ret_from,
                  uint64_t *ret_to);

    void (*close)(struct hl_codec *codec);
};

/* A variant embeds this first. */
struct hl_codec {
    const struct hl_codec_ops *ops;
    struct hl_source *source;
    uint64_t bytes; /* decoded size */
    uint64_t grain; /* a read cut into parts at multiples of this decodes nothing twice, and is
                     * worth it; 0: do not cut it */
    uint64_t unit;  /* decoded bytes that a read of one byte decodes, at most */
};

extern const struct hl_codec_ops hl_codec_raw, hl_codec_zstd;

/* Open a source with the codec that its first bytes ask for.  -EMEDIUMTYPE when they are those
 * of a compressed file that cannot be read at an offset. */
int hl_codec_open(struct hl_source *source, struct hl_codec **ret_codec);

#endif
