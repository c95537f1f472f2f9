/* SPDX-License-Identifier: MIT
 *
 * seekable.c - the seek table of the Zstandard seekable format, taken apart and put together.
 * Whoever reads one trusts none of it: the codec compares the sums of its entries with the file.
 *
 * Entry points: seekable.h.  See also: codec-zstd.c.
 */
#include "config.h"

#include "seekable.h"

#include "error.h"

#define FOOTER_MAGIC 0x8f92eab1u
#define TABLE_MAGIC 0x184d2a5eu /* of a skippable frame */

enum { CHECKSUMS = 0x80, RESERVED = 0x7c };

static uint32_t get_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static unsigned char *put_le32(unsigned char *p, uint32_t value)
{
    p[0] = (unsigned char)value;
    p[1] = (unsigned char)(value >> 8);
    p[2] = (unsigned char)(value >> 16);
    p[3] = (unsigned char)(value >> 24);
    return p + 4;
}

/* What the skippable frame's header counts: all behind it.  Fits, as nr_frames is limited. */
static uint32_t content_bytes(uint32_t nr_frames, uint32_t entry_bytes)
{
    return nr_frames * entry_bytes + HL_SEEKABLE_FOOTER_BYTES;
}

static int wrong(const char **ret_wrong, const char *why)
{
    *ret_wrong = why;
    return -EBADMSG;
}

int hl_seekable_parse_footer(const unsigned char *footer, uint64_t src_bytes,
                             struct hl_seekable *ret_table, const char **ret_wrong)
{
    uint32_t nr_frames = get_le32(footer);
    unsigned char descriptor = footer[4];
    bool has_checksums = descriptor & CHECKSUMS;
    uint32_t entry_bytes = has_checksums ? 12 : 8;
    uint64_t table_bytes;

    if (get_le32(footer + 5) != FOOTER_MAGIC)
        return -EMEDIUMTYPE;
    if (descriptor & RESERVED)
        return wrong(ret_wrong, "reserved bits of its descriptor are set");
    if (nr_frames > HL_SEEKABLE_MAX_FRAMES)
        return wrong(ret_wrong, "it claims more frames than the format allows");

    table_bytes = HL_SEEKABLE_HEADER_BYTES + (uint64_t)content_bytes(nr_frames, entry_bytes);
    if (table_bytes > src_bytes)
        return wrong(ret_wrong, "it claims more frames than the file has room for");

    *ret_table = (struct hl_seekable){
        .nr_frames = nr_frames,
        .entry_bytes = entry_bytes,
        .has_checksums = has_checksums,
        .frames_bytes = src_bytes - table_bytes,
        .entries_at = src_bytes - table_bytes + HL_SEEKABLE_HEADER_BYTES,
    };
    return 0;
}

int hl_seekable_check_header(const struct hl_seekable *table, const unsigned char *header,
                             const char **ret_wrong)
{
    if (get_le32(header) != TABLE_MAGIC)
        return wrong(ret_wrong, "it does not begin where its footer says");
    if (get_le32(header + 4) != content_bytes(table->nr_frames, table->entry_bytes))
        return wrong(ret_wrong, "its header and its footer disagree about its size");
    return 0;
}

struct hl_seekable_entry hl_seekable_entry(const struct hl_seekable *table,
                                           const unsigned char *bytes)
{
    return (struct hl_seekable_entry){
        .encoded_bytes = get_le32(bytes),
        .decoded_bytes = get_le32(bytes + 4),
        .checksum = table->has_checksums ? get_le32(bytes + 8) : 0,
    };
}

uint64_t hl_seekable_table_bytes(uint32_t nr_frames)
{
    return HL_SEEKABLE_HEADER_BYTES + (uint64_t)nr_frames * HL_SEEKABLE_ENTRY_BYTES +
           HL_SEEKABLE_FOOTER_BYTES;
}

void hl_seekable_write(const struct hl_seekable_entry *entries, uint32_t nr_frames,
                       unsigned char *table)
{
    unsigned char *p = table;

    HL_ASSERT(nr_frames <= HL_SEEKABLE_MAX_FRAMES);
    p = put_le32(p, TABLE_MAGIC);
    p = put_le32(p, content_bytes(nr_frames, HL_SEEKABLE_ENTRY_BYTES));
    for (uint32_t i = 0; i < nr_frames; i++) {
        p = put_le32(p, entries[i].encoded_bytes);
        p = put_le32(p, entries[i].decoded_bytes);
        p = put_le32(p, entries[i].checksum);
    }
    p = put_le32(p, nr_frames);
    *p++ = CHECKSUMS;
    put_le32(p, FOOTER_MAGIC);
}
