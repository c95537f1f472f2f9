/* SPDX-License-Identifier: MIT
 *
 * seekable.h - the seek table of the Zstandard seekable format, version 0.1.0, as bytes: nothing
 * here reads a file or decodes a frame.
 *
 * Such a file is a row of Zstandard frames, each decodable by itself, and then the table in a
 * skippable frame, which plain `zstd -d` passes over:
 *
 *   frame 0 | frame 1 | ... | 0x184d2a5e | size of the rest, 4 | entries | footer
 *
 *   entry:  encoded bytes, 4 | decoded bytes, 4 | checksum, 4 if the footer says so
 *   footer: number of frames, 4 | descriptor, 1 | 0x8f92eab1
 *
 * All numbers are little-endian.  A checksum is the low half of the XXH64 of the decoded frame, as in the
 * frame's own last four bytes when it has a checksum.  Descriptor: bit 7 checksums, bits
 * 2 to 6 must be 0, bits 0 and 1 may be anything.
 *
 * Source: contrib/seekable_format/zstd_seekable_compression_format.md of the zstd distribution.
 */
#ifndef HL_SEEKABLE_H
#define HL_SEEKABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HL_SEEKABLE_HEADER_BYTES = 8,
    HL_SEEKABLE_FOOTER_BYTES = 9,
    HL_SEEKABLE_ENTRY_BYTES = 12, /* at most, and what we write */
};

/* "A seekable file has at most this many frames." */
#define HL_SEEKABLE_MAX_FRAMES 0x8000000u

struct hl_seekable {
    uint32_t nr_frames;
    uint32_t entry_bytes;  /* 8, or 12 with checksums */
    bool has_checksums;
    uint64_t frames_bytes; /* encoded: where the table's skippable frame begins */
    uint64_t entries_at;   /* offset in the source of entry 0 */
};

struct hl_seekable_entry {
    uint32_t encoded_bytes;
    uint32_t decoded_bytes;
    uint32_t checksum; /* 0 without checksums */
};

/* Read the last HL_SEEKABLE_FOOTER_BYTES of a source of src_bytes.  Returns 0; -EMEDIUMTYPE when it
 * has no seek table; -EBADMSG with *ret_wrong (a static sentence) when the table cannot be right. */
int hl_seekable_parse_footer(const unsigned char *footer, uint64_t src_bytes,
                             struct hl_seekable *ret_table, const char **ret_wrong);

/* Does the header in front of the entries, 8 bytes at frames_bytes, fit the footer?  0 or -EBADMSG. */
int hl_seekable_check_header(const struct hl_seekable *table, const unsigned char *header,
                             const char **ret_wrong);

/* Entry from its entry_bytes bytes. */
struct hl_seekable_entry hl_seekable_entry(const struct hl_seekable *table,
                                           const unsigned char *bytes);

/* Bytes of a whole table, from header to footer, with checksums. */
uint64_t hl_seekable_table_bytes(uint32_t nr_frames);

/* Write it: header, entries, footer, hl_seekable_table_bytes() of them. */
void hl_seekable_write(const struct hl_seekable_entry *entries, uint32_t nr_frames,
                       unsigned char *table);

#endif
