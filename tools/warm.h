/* SPDX-License-Identifier: MIT
 *
 * warm.h - what the files of hugelite warm share: chunks that are to come into the cache, in an
 * order, within bounds.
 */
#ifndef HL_WARM_H
#define HL_WARM_H

#include "tools.h"

struct hl_warming {
    const char *name;              /* of the database, for people */
    struct hugelite_volume *vol;
    uint64_t bytes;                /* of it, decoded */
    uint64_t rate;                 /* bytes of the source in a second, at most; 0 = no limit */
    uint64_t most;                 /* bytes of the database, at most */
    struct hl_progress progress;
    unsigned char *came;           /* a byte for each chunk: it has been counted in `done` */
    uint64_t done;                 /* bytes of the database that are warm now */
    uint64_t total;                /* as far as it is known */
    uint64_t source_bytes;         /* of the volume, when it began */
    uint64_t pages;                /* of the table or index */
};

/* ---- warm-chunks.c ------------------------------------------------------ */

/* Bytes of the database in a chunk. */
uint64_t hl_warm_chunk_bytes(const struct hl_warming *warming, uint32_t index);

/* Make chunks resident, in this order, several at a time.  landed (may be NULL) is called with
 * each as soon as it is, and answers 0 or -errno.  Adds to `done`, each chunk once, not to `total`.
 * 0, -ECANCELED when the user has stopped it, or -errno with a sentence in hugelite_error(). */
int hl_warm_chunks(struct hl_warming *warming, const uint32_t *indexes, uint32_t nr,
                   int (*landed)(void *arg, uint32_t index), void *arg);

/* ---- warm-tree.c -------------------------------------------------------- */

/* The page where a table or an index begins, by its name.  0, or the exit code 1 (said why). */
int hl_warm_find_root(const char *source, const char *pool, const char *table, uint32_t *ret_root);

/* Make the chunks resident that hold pages of the B-tree with this root: its interior, leaf and
 * overflow pages.  As hl_warm_chunks(). */
int hl_warm_tree(struct hl_warming *warming, uint32_t root);

/* ---- warm-cells.c ------------------------------------------------------- */

struct hl_btree_format;

/* First overflow pages of the cells of a page of a B-tree, leaf or interior; at most room of them.
 * Returns how many. */
unsigned hl_warm_overflows(const struct hl_btree_format *format, const unsigned char *page,
                           uint32_t number, uint32_t *ret_pages, unsigned room);

/* The overflow page that follows an overflow page; 0 = none. */
uint32_t hl_warm_overflow_next(const struct hl_btree_format *format, const unsigned char *page);

/* ---- warm-list.c -------------------------------------------------------- */

/* The chunks that readers needed first the last time, to be freed.  0, or the exit code 1 (said
 * why). */
int hl_warm_find_list(const struct hl_warming *warming, uint32_t **ret_indexes, uint32_t *ret_nr);

#endif
