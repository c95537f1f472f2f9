/* SPDX-License-Identifier: MIT
 *
 * btree.h - SQLite's B-tree pages as bytes: which are interior, and where their children
 * are.  Nothing here reads a file; pages are not trusted.
 *
 * Source: https://sqlite.org/fileformat2.html (b-tree pages, the schema table).
 */
#ifndef HL_BTREE_H
#define HL_BTREE_H

#include <stdbool.h>
#include <stdint.h>

/* From the first 100 bytes of a database: page size, and how much of a page is used.  0 or
 * -EBADMSG. */
struct hl_btree_format {
    uint32_t page_bytes, usable_bytes;
    uint32_t nr_pages; /* by the volume's size */
};
int hl_btree_format(const unsigned char *header, uint64_t bytes,
                    struct hl_btree_format *ret_format);

enum hl_btree_kind { HL_BTREE_NONE, HL_BTREE_INTERIOR, HL_BTREE_LEAF };

/* number: of the page, from 1; page 1 begins with the database header. */
enum hl_btree_kind hl_btree_kind(const struct hl_btree_format *format, const unsigned char *page,
                                 uint32_t number);

/* Page numbers of the children of an interior page, in order; at most room of them, all of them
 * valid (1 < n <= nr_pages).  Returns how many; 0 when the page makes no sense. */
unsigned hl_btree_children(const struct hl_btree_format *format, const unsigned char *page,
                           uint32_t number, uint32_t *ret_children, unsigned room);

/* Root pages named by a leaf page of the schema table. */
unsigned hl_btree_roots(const struct hl_btree_format *format, const unsigned char *page,
                        uint32_t number, uint32_t *ret_roots, unsigned room);

#endif
