/* SPDX-License-Identifier: MIT
 *
 * btree.c - SQLite's B-tree pages as bytes.  A page that contradicts itself is no page: what is
 * told of the others is only ever a page number that exists, so a wrong one costs its reader a
 * look in vain.
 *
 * Entry points: btree.h.  See also: scout.c (walks the trees).
 */
#include "config.h"

#include "btree.h"

#include <errno.h>
#include <string.h>

enum {
    HEADER_BYTES = 100,    /* of the database, at the beginning of page 1 */
    PAGE_BYTES_AT = 16,    /* in that header */
    RESERVED_AT = 20,
    USABLE_MIN = 480,

    INDEX_INTERIOR = 2,    /* first byte of a page's header */
    TABLE_INTERIOR = 5,
    INDEX_LEAF = 10,
    TABLE_LEAF = 13,

    CELLS_AT = 3,          /* in a page's header */
    RIGHT_CHILD_AT = 8,
    LEAF_HEADER = 8,       /* then the cell pointers begin */
    INTERIOR_HEADER = 12,
    CELL_MIN = 4,

    ROOT_COLUMN = 3,       /* of the schema table: type, name, tbl_name, rootpage, sql */
};

#define LOCKED_BYTE (1u << 30) /* the page with this byte is never used */

static uint32_t get16(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static uint32_t get32(const unsigned char *bytes)
{
    return get16(bytes) << 16 | get16(bytes + 2);
}

int hl_btree_format(const unsigned char *header, uint64_t bytes, struct hl_btree_format *ret_format)
{
    uint32_t page_bytes = get16(header + PAGE_BYTES_AT), reserved = header[RESERVED_AT];

    if (page_bytes == 1)
        page_bytes = 65536;
    if (memcmp(header, "SQLite format 3", 16) != 0 || page_bytes < 512 ||
        (page_bytes & (page_bytes - 1)) || page_bytes - reserved < USABLE_MIN ||
        bytes < page_bytes || bytes / page_bytes > UINT32_MAX - 1)
        return -EBADMSG;
    *ret_format = (struct hl_btree_format){
        .page_bytes = page_bytes,
        .usable_bytes = page_bytes - reserved,
        .nr_pages = (uint32_t)(bytes / page_bytes),
    };
    return 0;
}

/* Could a page of a tree, other than the schema's root, have this number? */
static bool is_page(const struct hl_btree_format *format, uint64_t number)
{
    return number > 1 && number <= format->nr_pages &&
           number != LOCKED_BYTE / format->page_bytes + 1;
}

/* A page's header, looked through. */
struct page {
    const unsigned char *bytes;
    uint32_t usable;
    uint32_t cells_at; /* the pointers */
    uint32_t nr_cells;
    unsigned char type;
};

static bool parse_page(const struct hl_btree_format *format, const unsigned char *bytes,
                       uint32_t number, struct page *ret_page)
{
    uint32_t at = number == 1 ? HEADER_BYTES : 0;
    struct page page = { .bytes = bytes, .usable = format->usable_bytes, .type = bytes[at] };
    bool leaf = page.type == INDEX_LEAF || page.type == TABLE_LEAF;

    if (!leaf && page.type != INDEX_INTERIOR && page.type != TABLE_INTERIOR)
        return false;
    page.nr_cells = get16(bytes + at + CELLS_AT);
    page.cells_at = at + (leaf ? LEAF_HEADER : INTERIOR_HEADER);
    if (page.cells_at + page.nr_cells * (2 + CELL_MIN) > page.usable)
        return false;
    *ret_page = page;
    return leaf || is_page(format, get32(bytes + at + RIGHT_CHILD_AT));
}

/* Where a cell begins; 0 when it cannot be there. */
static uint32_t cell_at(const struct page *page, uint32_t cell)
{
    uint32_t at = get16(page->bytes + page->cells_at + 2 * cell);

    return at >= page->cells_at + 2 * page->nr_cells && at <= page->usable - CELL_MIN ? at : 0;
}

enum hl_btree_kind hl_btree_kind(const struct hl_btree_format *format, const unsigned char *bytes,
                                 uint32_t number)
{
    struct page page;

    if (!parse_page(format, bytes, number, &page))
        return HL_BTREE_NONE;
    return page.type == INDEX_LEAF || page.type == TABLE_LEAF ? HL_BTREE_LEAF : HL_BTREE_INTERIOR;
}

unsigned hl_btree_children(const struct hl_btree_format *format, const unsigned char *bytes,
                           uint32_t number, uint32_t *ret_children, unsigned room)
{
    struct page page;
    unsigned nr = 0;

    if (!parse_page(format, bytes, number, &page) ||
        (page.type != INDEX_INTERIOR && page.type != TABLE_INTERIOR))
        return 0;
    for (uint32_t i = 0; i <= page.nr_cells; i++) {
        uint32_t at = i < page.nr_cells ? cell_at(&page, i)
                                        : page.cells_at - INTERIOR_HEADER + RIGHT_CHILD_AT;
        uint32_t child = at ? get32(bytes + at) : 0;

        if (!is_page(format, child))
            return 0;
        if (nr < room)
            ret_children[nr++] = child;
    }
    return nr;
}

/* ---- records of the schema table ------------------------------------------- */

/* Bytes of a record that are on its leaf page. */
struct record {
    const unsigned char *at, *end;
};

/* SQLite's variable-length integer; false when it goes on behind the end. */
static bool get_varint(struct record *record, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 9 && record->at < record->end; i++) {
        unsigned char byte = *record->at++;

        if (i == 8) {
            *ret_value = value << 8 | byte;
            return true;
        }
        value = value << 7 | (byte & 0x7f);
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* How much of a payload a leaf page of a table keeps; the rest is on overflow pages. */
static uint64_t local_bytes(uint32_t usable, uint64_t payload)
{
    uint32_t most = usable - 35, least = (usable - 12) * 32 / 255 - 23;
    uint64_t some;

    if (payload <= most)
        return payload;
    some = least + (payload - least) % (usable - 4);
    return some <= most ? some : least;
}

static bool find_record(const struct page *page, uint32_t cell, struct record *ret_record)
{
    uint32_t at = cell_at(page, cell);
    struct record record = { page->bytes + at, page->bytes + page->usable };
    uint64_t payload, rowid, local;

    if (!at || !get_varint(&record, &payload) || !get_varint(&record, &rowid))
        return false;
    local = local_bytes(page->usable, payload);
    if (local > (uint64_t)(record.end - record.at))
        return false;
    record.end = record.at + local;
    *ret_record = record;
    return true;
}

/* Bytes of a value of a serial type. */
static uint64_t value_bytes(uint64_t type)
{
    static const unsigned char numbers[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0 };

    return type < sizeof numbers ? numbers[type] : (type - 12) / 2;
}

/* The value of an integer column; 0 when it is none. */
static uint64_t integer_value(uint64_t type, const unsigned char *bytes)
{
    uint64_t value = 0;

    if (type < 1 || type > 6)
        return 0;
    for (uint64_t i = 0; i < value_bytes(type); i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The root page that a record names; 0 when it names none, or does not say so on this page. */
static uint64_t find_root(struct record record)
{
    const unsigned char *begin = record.at;
    uint64_t header, type = 0, skip = 0, room;
    struct record types;

    if (!get_varint(&record, &header) || header > (uint64_t)(record.end - begin))
        return 0;
    types = (struct record){ record.at, begin + header };
    room = (uint64_t)(record.end - types.end);
    for (unsigned column = 0; column <= ROOT_COLUMN; column++) {
        skip += column ? value_bytes(type) : 0;
        if (skip > room || !get_varint(&types, &type))
            return 0;
    }
    if (value_bytes(type) > room - skip)
        return 0;
    return integer_value(type, begin + header + skip);
}

unsigned hl_btree_roots(const struct hl_btree_format *format, const unsigned char *bytes,
                        uint32_t number, uint32_t *ret_roots, unsigned room)
{
    struct record record;
    struct page page;
    unsigned nr = 0;

    if (!parse_page(format, bytes, number, &page) || page.type != TABLE_LEAF)
        return 0;
    for (uint32_t i = 0; i < page.nr_cells && nr < room; i++) {
        uint64_t root = find_record(&page, i, &record) ? find_root(record) : 0;

        if (is_page(format, root))
            ret_roots[nr++] = (uint32_t)root;
    }
    return nr;
}
