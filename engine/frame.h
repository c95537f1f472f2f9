/* SPDX-License-Identifier: MIT
 *
 * frame.h - one Zstandard frame of a seekable file: what the seek table says of it, compared with
 * what it says itself.
 */
#ifndef HL_FRAME_H
#define HL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ZSTD_DCtx_s;
struct hl_source;

enum { HL_FRAME_HEADER_BYTES = 18 }; /* at most */

/* As the seek table tells it. */
struct hl_frame {
    struct hl_source *source;
    uint32_t number;
    uint32_t encoded_bytes, decoded_bytes;
    uint64_t src_offset, offset; /* where it begins, encoded and decoded */
    uint32_t checksum;
    bool has_checksum; /* in the table */
};

/* As it says itself. */
struct hl_frame_header {
    uint64_t window_bytes;
    uint64_t decoded_bytes; /* if has_size */
    uint32_t dictionary;    /* ID; 0 = none */
    bool has_size, has_checksum;
};

/* All that return int: 0 or -EBADMSG. */

/* Could a frame with content be of these sizes?  A frame has a header of 6 bytes or more, and each
 * block of at most 128 KiB takes 4. */
static inline bool hl_frame_is_plausible(uint32_t encoded_bytes, uint32_t decoded_bytes)
{
    return encoded_bytes >= 10 && decoded_bytes <= (encoded_bytes - 6ull) / 4 * (128 << 10);
}

/* -EBADMSG, with a sentence that names the frame. */
int hl_frame_wrong(const struct hl_frame *frame, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for what libzstd answered. */
int hl_frame_zstd_error(const struct hl_frame *frame, size_t answer);

/* Read the header from the frame's first bytes: HL_FRAME_HEADER_BYTES, or all that it has. */
int hl_frame_parse(const struct hl_frame *frame, const unsigned char *bytes,
                   struct hl_frame_header *ret_header);

/* Does the header's size, if any, agree with the table's? */
int hl_frame_compare_sizes(const struct hl_frame *frame, const struct hl_frame_header *header);

/* Compare the checksum that ends the frame with the table's, if there are both. */
int hl_frame_compare_checksums(const struct hl_frame *frame, const struct hl_frame_header *header,
                               const unsigned char *last_four);

/* Decode the whole frame from memory to memory, and check everything that can be checked. */
int hl_frame_decode(const struct hl_frame *frame, struct ZSTD_DCtx_s *context,
                    const unsigned char *bytes, void *decoded);

#endif
