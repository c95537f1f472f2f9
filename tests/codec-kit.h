/* SPDX-License-Identifier: MIT
 *
 * codec-kit.h - files in the Zstandard seekable format, put together with libzstd frame by frame, as
 * others might write them, or as nobody should; and codecs that read them from memory or a file.
 */
#ifndef HUGELITE_TEST_CODEC_KIT_H
#define HUGELITE_TEST_CODEC_KIT_H

#include "test.h"

#include "codec.h"
#include "source.h"

/* How a frame is made. */
enum {
    CK_CHECKSUM = 1,  /* it has its own */
    CK_NO_SIZE = 2,   /* its header does not say how long it is */
    CK_RANDOM = 4,    /* its bytes do not compress */
    CK_ZEROS = 8,     /* they are all the same */
    CK_FLUSHED = 16,  /* made in many small blocks */
};

struct ck_entry {
    uint32_t encoded, decoded, checksum;
};

struct ck_image {
    unsigned char *bytes;   /* of the file */
    size_t length, room;
    unsigned char *decoded;
    size_t decoded_length, decoded_room;
    struct ck_entry *entries;
    uint32_t nr;
    uint32_t seed;
};

void ck_free(struct ck_image *image);

/* Append a frame and its entry; window_log 0 = as zstd chooses. */
void ck_frame(struct ck_image *image, uint32_t decoded, unsigned flags, int window_log);

/* Append bytes, and an entry that says they decode to so much. */
void ck_bytes(struct ck_image *image, const void *bytes, uint32_t length, uint32_t decoded);

/* Append a skippable frame with this much in it, listed in the table. */
void ck_skippable(struct ck_image *image, uint32_t content);

/* Append the table; the image is complete then. */
void ck_table(struct ck_image *image, bool checksums);

/* A source that is the first length bytes of an image in memory, which must outlive it. */
struct hl_source *ck_memory(const void *bytes, size_t length);
uint64_t ck_reads(const struct hl_source *source); /* made so far, of one from memory */

/* Write an image to a file and open it as a source. */
struct hl_source *ck_file(const struct ck_image *image, const char *path);

/* Expect that it opens. */
struct hl_codec *ck_open(struct hl_source *source);
void ck_close(struct hl_codec *codec); /* the source too */

/* Expect that a range reads as it should. */
struct hl_codec_work ck_read(struct hl_codec *codec, const struct ck_image *image, uint64_t offset,
                             uint32_t length);

/* The same with everything, in pieces. */
struct hl_codec_work ck_read_all(struct hl_codec *codec, const struct ck_image *image,
                                 uint32_t piece);

/* Pseudo-random, below limit. */
uint64_t ck_random(uint64_t *state, uint64_t limit);

#endif
