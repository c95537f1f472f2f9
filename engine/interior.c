/* SPDX-License-Identifier: MIT
 *
 * interior.c - a lookup reads one page of each level of its B-tree, and each may cost a round
 * trip.  But all pages above the leaves are a hundredth of a database or less, and the same for
 * all its readers.
 *
 * The walk, once for each version of a source, many requests at a time:
 *
 *   page 1 ──> the schema table ──> root pages
 *     ──> down the left edge of all trees together, which tells how many levels each has
 *     ──> all trees level by level, down to the last that is interior
 *
 * The leaves of a tree are all at one depth, so nothing but its left edge costs a leaf.  What
 * the walk has found is in the catalog then, and the next one is a list.
 *
 * Pages are not trusted (btree.c): each is gone to once, and a wrong one costs a look in vain.
 *
 * Entry point: hl_interior_bring().  See also: forage.c (brings the bytes), scout.c (asks).
 */
#include "config.h"

#include "interior.h"

#include "btree.h"
#include "catalog.h"
#include "chunk.h"
#include "cleanup.h"
#include "codec.h"
#include "error.h"
#include "fill.h"
#include "forage.h"
#include "pool.h"
#include "source.h"
#include "state.h"
#include "sys.h"
#include "volume.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 64,         /* pages that are brought and looked at together */
    LEVELS_MAX = 20,     /* SQLite's own limit */
    TREES_MAX = 4096,
    PAGES_MAX = 1 << 18, /* a list of a MiB */
    CHILDREN_MAX = 65536 / 6 + 1,
    HEADER_BYTES = 100,
};

struct entry {
    uint32_t page, tree;
};

/* Grows. */
struct row {
    struct entry *entries;
    uint32_t nr, room;
};

struct tree {
    uint32_t root;
    unsigned levels; /* the leaves' too; 0 = not known */
};

struct walk {
    struct hl_volume *volume;
    struct hl_forage *forage;
    struct hl_btree_format format;
    unsigned char *page;
    unsigned char *seen; /* bit per page: it is in a row or has been */
    uint32_t *children;  /* CHILDREN_MAX */
    struct tree *trees;
    uint32_t nr_trees;
    struct row found;    /* the interior pages */
    struct row next;     /* to be gone to */
    unsigned level;
};

/* ---- rows ------------------------------------------------------------------- */

static int row_add(struct row *row, uint32_t page, uint32_t tree)
{
    if (row->nr == row->room) {
        uint32_t room = row->room ? 2 * row->room : 64;
        struct entry *entries = realloc(row->entries, room * sizeof *entries);

        if (!entries)
            return -ENOMEM;
        row->entries = entries;
        row->room = room;
    }
    row->entries[row->nr++] = (struct entry){ page, tree };
    return 0;
}

static void row_freep(struct row *row)
{
    free(row->entries);
}

static int by_page(const void *a, const void *b)
{
    uint32_t x = ((const struct entry *)a)->page, y = ((const struct entry *)b)->page;

    return x < y ? -1 : x > y;
}

static void row_sort(struct row *row)
{
    if (row->nr)
        qsort(row->entries, row->nr, sizeof row->entries[0], by_page);
}

/* Take what is to be gone to next; the walk has an empty row then. */
static struct row take_next(struct walk *walk)
{
    struct row row = walk->next;

    walk->next = (struct row){ 0 };
    row_sort(&row);
    return row;
}

/* Go to a page, if it has not been gone to. */
static int add_next(struct walk *walk, uint32_t page, uint32_t tree)
{
    unsigned char *byte = &walk->seen[page / 8], bit = (unsigned char)(1 << page % 8);

    if (*byte & bit || walk->next.nr + walk->found.nr >= PAGES_MAX)
        return 0;
    *byte |= bit;
    return row_add(&walk->next, page, tree);
}

/* ---- pages -------------------------------------------------------------------- */

static uint64_t page_offset(const struct walk *walk, uint32_t number)
{
    return (uint64_t)(number - 1) * walk->format.page_bytes;
}

static enum hl_chunk_state chunk_state(const struct walk *walk, uint32_t number)
{
    uint64_t index = page_offset(walk, number) >> HL_CHUNK_SHIFT;

    return hl_chunk_state(atomic_load_explicit(
        &walk->volume->pool->words[walk->volume->first + index], memory_order_relaxed));
}

/* We hold no pin, so the chunk may leave meanwhile, and the file has zeros there: no page. */
static bool read_resident(struct walk *walk, uint32_t number)
{
    return chunk_state(walk, number) == HL_CHUNK_RESIDENT &&
           hl_sys.pread(walk->volume->image.fd, walk->page, walk->format.page_bytes,
                        (off_t)page_offset(walk, number)) == (ssize_t)walk->format.page_bytes &&
           hl_btree_kind(&walk->format, walk->page, number) != HL_BTREE_NONE;
}

/* Read a page if that costs no request.  One that cannot be had, or is damaged, is passed over. */
static bool read_page(struct walk *walk, uint32_t number)
{
    return read_resident(walk, number) ||
           (hl_forage_has(walk->forage, page_offset(walk, number), walk->format.page_bytes) &&
            hl_fill_decode(walk->volume, page_offset(walk, number), walk->format.page_bytes,
                           walk->page) == 0);
}

/* Bring pages, and look at each of them that can be had. */
static int look_at(struct walk *walk, const struct entry *entries, uint32_t nr, unsigned use,
                   int (*each)(struct walk *walk, struct entry entry))
{
    int rc = 0;

    for (uint32_t first = 0; rc == 0 && first < nr; first += WINDOW) {
        uint32_t end = nr - first < WINDOW ? nr : first + WINDOW;

        for (uint32_t i = first; rc == 0 && i < end; i++)
            if (chunk_state(walk, entries[i].page) != HL_CHUNK_RESIDENT)
                rc = hl_forage_want(walk->forage, page_offset(walk, entries[i].page),
                                    walk->format.page_bytes, use);
        if (rc == 0)
            rc = hl_forage_await(walk->forage);
        for (uint32_t i = first; rc == 0 && i < end; i++)
            if (read_page(walk, entries[i].page))
                rc = each(walk, entries[i]);
    }
    return rc;
}

static unsigned children_of_page(struct walk *walk, uint32_t number)
{
    return hl_btree_children(&walk->format, walk->page, number, walk->children, CHILDREN_MAX);
}

/* ---- the schema ------------------------------------------------------------------ */

static int see_schema_page(struct walk *walk, struct entry entry)
{
    unsigned nr;
    int rc = 0;

    if (hl_btree_kind(&walk->format, walk->page, entry.page) == HL_BTREE_INTERIOR) {
        nr = children_of_page(walk, entry.page);
        rc = row_add(&walk->found, entry.page, 0);
        for (unsigned i = 0; rc == 0 && i < nr; i++)
            rc = add_next(walk, walk->children[i], 0);
        return rc;
    }
    nr = hl_btree_roots(&walk->format, walk->page, entry.page, walk->children, CHILDREN_MAX);
    for (unsigned i = 0; i < nr && walk->nr_trees < TREES_MAX; i++)
        walk->trees[walk->nr_trees++].root = walk->children[i];
    return rc;
}

/* Find the trees.  Page 1 came with the open. */
static int walk_schema(struct walk *walk)
{
    int rc = hl_fill_decode(walk->volume, 0, walk->format.page_bytes, walk->page);

    if (rc == 0)
        rc = see_schema_page(walk, (struct entry){ 1, 0 });
    for (unsigned level = 0; rc == 0 && walk->next.nr && level < LEVELS_MAX; level++) {
        HL_CLEANUP(row_freep) struct row row = take_next(walk);

        rc = look_at(walk, row.entries, row.nr, HL_FORAGE_LOOK, see_schema_page);
    }
    return rc;
}

/* ---- left edges ------------------------------------------------------------------- */

static int see_edge_page(struct walk *walk, struct entry entry)
{
    if (hl_btree_kind(&walk->format, walk->page, entry.page) == HL_BTREE_LEAF)
        walk->trees[entry.tree].levels = walk->level + 1;
    else if (children_of_page(walk, entry.page))
        return row_add(&walk->next, walk->children[0], entry.tree);
    return 0;
}

/* Find out how many levels each tree has. */
static int walk_edges(struct walk *walk)
{
    int rc = 0;

    free(walk->next.entries);
    walk->next = (struct row){ 0 };
    for (uint32_t i = 0; rc == 0 && i < walk->nr_trees; i++)
        rc = row_add(&walk->next, walk->trees[i].root, i);
    for (walk->level = 0; rc == 0 && walk->next.nr && walk->level < LEVELS_MAX; walk->level++) {
        HL_CLEANUP(row_freep) struct row row = take_next(walk);

        rc = look_at(walk, row.entries, row.nr, HL_FORAGE_LOOK, see_edge_page);
    }
    return rc;
}

/* ---- all levels -------------------------------------------------------------------- */

static int see_level_page(struct walk *walk, struct entry entry)
{
    unsigned nr = children_of_page(walk, entry.page);
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < nr; i++)
        rc = add_next(walk, walk->children[i], entry.tree);
    return rc;
}

/* Leave those that are above the last interior level of their trees; bring the others, which
 * nobody needs to look at. */
static int bring_last(struct walk *walk, struct row *row)
{
    uint32_t nr = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < row->nr; i++) {
        struct entry entry = row->entries[i];

        if (walk->trees[entry.tree].levels > walk->level + 2)
            row->entries[nr++] = entry;
        else if (chunk_state(walk, entry.page) == HL_CHUNK_EMPTY)
            rc = hl_forage_want(walk->forage, page_offset(walk, entry.page),
                                walk->format.page_bytes, HL_FORAGE_LATER);
    }
    row->nr = nr;
    return rc;
}

static int walk_levels(struct walk *walk)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < walk->nr_trees; i++)
        if (walk->trees[i].levels > 1)
            rc = add_next(walk, walk->trees[i].root, i);
    for (walk->level = 0; rc == 0 && walk->next.nr && walk->level < LEVELS_MAX; walk->level++) {
        HL_CLEANUP(row_freep) struct row row = take_next(walk);

        for (uint32_t i = 0; rc == 0 && i < row.nr; i++)
            rc = row_add(&walk->found, row.entries[i].page, 0);
        if (rc == 0)
            rc = bring_last(walk, &row);
        if (rc == 0)
            rc = look_at(walk, row.entries, row.nr, HL_FORAGE_LOOK | HL_FORAGE_LATER,
                         see_level_page);
    }
    return rc;
}

/* ---- the catalog --------------------------------------------------------------------- */

static void post_found(struct walk *walk, struct hl_state *state)
{
    HL_CLEANUP(hl_freep) unsigned char *bytes = NULL;

    if (!state->catalog || hl_forage_has_failed(walk->forage))
        return;
    bytes = malloc(walk->found.nr * 4 + 1);
    for (uint32_t i = 0; bytes && i < walk->found.nr; i++)
        for (unsigned b = 0; b < 4; b++)
            bytes[4 * i + b] = (unsigned char)(walk->found.entries[i].page >> 8 * b);
    if (bytes)
        hl_catalog_post(state, walk->volume->source->key, HL_BLOB_ROOTS, 0, bytes,
                        walk->found.nr * 4);
}

/* Bring what the catalog lists; -ENOENT when it has no list. */
static int bring_known(struct walk *walk, struct hl_state *state)
{
    HL_CLEANUP(hl_freep) void *list = NULL;
    uint32_t length;
    int rc = -ENOENT;

    if (state->catalog)
        rc = hl_catalog_read(state->catalog, walk->volume->source->key, HL_BLOB_ROOTS, 0, &list,
                             &length);
    if (rc < 0)
        return -ENOENT;
    for (uint32_t at = 0; rc == 0 && at + 4 <= length && at / 4 < PAGES_MAX; at += 4) {
        const unsigned char *four = (const unsigned char *)list + at;
        uint32_t number = four[0] | (uint32_t)four[1] << 8 | (uint32_t)four[2] << 16 |
                          (uint32_t)four[3] << 24;

        if (number && number <= walk->format.nr_pages &&
            chunk_state(walk, number) == HL_CHUNK_EMPTY)
            rc = hl_forage_want(walk->forage, page_offset(walk, number), walk->format.page_bytes,
                                HL_FORAGE_LATER);
    }
    return rc == 0 ? hl_forage_await(walk->forage) : rc;
}

/* ---- the whole ------------------------------------------------------------------------- */

static void free_walk(struct walk *walk)
{
    free(walk->page);
    free(walk->seen);
    free(walk->children);
    free(walk->trees);
    free(walk->found.entries);
    free(walk->next.entries);
}

static int walk_all(struct walk *walk, struct hl_state *state)
{
    int rc;

    walk->seen = calloc(walk->format.nr_pages / 8 + 1, 1);
    walk->children = malloc(CHILDREN_MAX * sizeof *walk->children);
    walk->trees = calloc(TREES_MAX, sizeof *walk->trees);
    if (!walk->seen || !walk->children || !walk->trees)
        return -ENOMEM;
    rc = walk_schema(walk);
    if (rc == 0)
        rc = walk_edges(walk);
    if (rc == 0)
        rc = walk_levels(walk);
    if (rc == 0)
        rc = hl_forage_await(walk->forage);
    if (rc == 0 || rc == -ENOSPC)
        post_found(walk, state);
    return rc;
}

int hl_interior_bring(struct hl_volume *volume, struct hl_state *state, struct hl_forage *forage)
{
    HL_CLEANUP(free_walk) struct walk walk = { .volume = volume, .forage = forage };
    unsigned char header[HEADER_BYTES];
    int rc;

    if (volume->bytes < sizeof header)
        return 0;
    rc = hl_fill_decode(volume, 0, sizeof header, header);
    if (rc < 0)
        return rc;
    if (hl_btree_format(header, volume->bytes, &walk.format) < 0)
        return 0;
    walk.page = malloc(walk.format.page_bytes);
    if (!walk.page)
        return -ENOMEM;
    rc = bring_known(&walk, state);
    if (rc == -ENOENT)
        rc = walk_all(&walk, state);
    hl_forage_settle(forage);
    return rc == -ENOSPC ? 0 : rc;
}
