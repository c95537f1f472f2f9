/* SPDX-License-Identifier: MIT
 *
 * Where the cells of a B-tree page go on: the first overflow page of each, and the page that
 * follows an overflow page.  Bytes are not trusted: what contradicts itself goes nowhere.
 *
 * Source: https://sqlite.org/fileformat2.html (b-tree pages, cell payload overflow pages).
 * Entry points: hl_warm_overflows(), hl_warm_overflow_next().
 * See also: warm-tree.c, ../engine/btree.h (the children).
 */
#include <config.h>

#include "btree.h"
#include "warm.h"

enum {
    HEADER_BYTES = 100,        /* of the database, on page 1 */
    INDEX_INTERIOR = 2, INDEX_LEAF = 10, TABLE_LEAF = 13,
    CELLS_AT = 3,              /* in a page's header */
    LEAF_HEADER = 8, INTERIOR_HEADER = 12,
    NUMBER_BYTES = 4,          /* of a page number */
};

static uint32_t get(const unsigned char *bytes, unsigned nr)
{
    uint32_t value = 0;

    while (nr--)
        value = value << 8 | *bytes++;
    return value;
}

/* SQLite's variable-length integer: the bytes behind it, or NULL when it goes on behind the end. */
static const unsigned char *skip_varint(const unsigned char *at, const unsigned char *end,
                                        uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 9; i++, at++) {
        if (at >= end)
            return NULL;
        if (i == 8) {
            value = value << 8 | *at;
            continue;
        }
        value = value << 7 | (*at & 0x7f);
        if (!(*at & 0x80)) {
            at++;
            break;
        }
    }
    *ret_value = value;
    return at;
}

static uint32_t checked(const struct hl_btree_format *format, uint32_t number)
{
    return number > 1 && number <= format->nr_pages ? number : 0;
}

/* The overflow page of a cell; 0 = all of it is here. */
static uint32_t overflow_of(const struct hl_btree_format *format, const unsigned char *page,
                            unsigned char type, uint32_t at)
{
    const unsigned char *end = page + format->usable_bytes, *cell = page + at;
    uint64_t usable = format->usable_bytes, payload, rowid, most, least, here;

    if (type == INDEX_INTERIOR)
        cell += NUMBER_BYTES;
    cell = skip_varint(cell, end, &payload);
    if (cell && type == TABLE_LEAF)
        cell = skip_varint(cell, end, &rowid);
    if (!cell)
        return 0;
    most = type == TABLE_LEAF ? usable - 35 : (usable - 12) * 64 / 255 - 23;
    least = (usable - 12) * 32 / 255 - 23;
    if (payload <= most)
        return 0;
    here = least + (payload - least) % (usable - NUMBER_BYTES);
    if (here > most)
        here = least;
    if ((uint64_t)(end - cell) < here + NUMBER_BYTES)
        return 0;
    return checked(format, get(cell + here, NUMBER_BYTES));
}

unsigned hl_warm_overflows(const struct hl_btree_format *format, const unsigned char *page,
                           uint32_t number, uint32_t *ret_pages, unsigned room)
{
    uint32_t header = number == 1 ? HEADER_BYTES : 0, pointers, nr_cells;
    unsigned char type = page[header];
    unsigned nr = 0;

    if (type != INDEX_INTERIOR && type != INDEX_LEAF && type != TABLE_LEAF)
        return 0;
    pointers = header + (type == INDEX_INTERIOR ? INTERIOR_HEADER : LEAF_HEADER);
    nr_cells = get(page + header + CELLS_AT, 2);
    for (uint32_t i = 0; i < nr_cells && nr < room; i++) {
        uint32_t at = pointers + 2 * i, cell, overflow;

        if (at + 2 > format->usable_bytes)
            break;
        cell = get(page + at, 2);
        if (cell < pointers || cell > format->usable_bytes - NUMBER_BYTES)
            continue;
        overflow = overflow_of(format, page, type, cell);
        if (overflow)
            ret_pages[nr++] = overflow;
    }
    return nr;
}

uint32_t hl_warm_overflow_next(const struct hl_btree_format *format, const unsigned char *page)
{
    return checked(format, get(page, NUMBER_BYTES));
}
