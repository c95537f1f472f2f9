/* SPDX-License-Identifier: MIT
 *
 * catalog-check.c - a walk through an LMDB file, version 1 of its format, as LMDB 0.9 writes it on a
 * little-endian machine of 64 bits.  Reads only; time and memory are bounded by the file's size.
 *
 * What is looked at: both meta pages; each page of the two B-trees of the newest one (the free list and
 * the table; there are no named ones), which must lie inside the file, be used once, and be what its
 * place asks for; each node, which must lie inside its page and overlap no other; the order of keys; the
 * lists of free pages, which must not name one in use.  Values are the records' own affair (record.h).
 *
 * Entry point: hl_catalog_check().  See also: catalog.c, tests/fuzz-catalog.c.
 * Source: the structs MDB_page, MDB_node, MDB_meta and MDB_db of LMDB 0.9.
 */
#include "config.h"

#include "catalog-check.h"

#include "cleanup.h"
#include "record.h"
#include "sys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PAGE_HEADER = 16,
    NODE_HEADER = 8,
    BRANCH = 0x01, LEAF = 0x02, OVERFLOW = 0x04, META = 0x08,
    NODE_BIG = 0x01,
    FREE_LIST = 0, TABLE = 1,
    INTEGER_KEY = 0x08,
    KEY_MAX = 511,
    DEPTH_MAX = 16,
    META_BYTES = 136,
    DB_BYTES = 48,
    PAGE_MAX = 32768,
};

#define MAGIC 0xBEEFC0DEu
#define NO_PAGE UINT64_MAX
#define TXN_MAX (1ull << 62)

struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct meta {
    struct tree trees[2];
    uint64_t last_page, txn;
};

struct walk {
    int fd;
    uint32_t page_bytes;
    uint64_t file_pages; /* whole ones */
    uint64_t last_page;
    uint64_t txn;
    uint8_t *used;       /* a bit for each page */
    uint8_t *pages;      /* one for each level of a tree, and one */
    const char *why;

    /* Of the tree that is walked: what has been seen of it. */
    unsigned which;
    unsigned depth;
    uint64_t branches, leaves, overflows, entries;
    uint8_t key[KEY_MAX]; /* the last one */
    uint32_t key_length;
    bool has_key, may_equal; /* the last one was a branch's: the next may be the same */
};

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static int wrong(struct walk *walk, const char *why)
{
    walk->why = why;
    return -EBADMSG;
}

static int read_at(struct walk *walk, uint64_t offset, void *buffer, uint32_t length)
{
    ssize_t got = hl_sys.pread(walk->fd, buffer, length, (off_t)offset);

    if (got < 0)
        return -errno;
    return got == (ssize_t)length ? 0 : wrong(walk, "it is cut short");
}

/* ---- meta pages ---------------------------------------------------------- */

static struct tree parse_tree(const uint8_t *p)
{
    return (struct tree){
        .pad = hl_get_u32(p),
        .flags = get_u16(p + 4),
        .depth = get_u16(p + 6),
        .branches = hl_get_u64(p + 8),
        .leaves = hl_get_u64(p + 16),
        .overflows = hl_get_u64(p + 24),
        .entries = hl_get_u64(p + 32),
        .root = hl_get_u64(p + 40),
    };
}

static int parse_meta(struct walk *walk, unsigned which, struct meta *ret_meta)
{
    uint8_t page[PAGE_HEADER + META_BYTES];
    const uint8_t *p = page + PAGE_HEADER;
    struct meta meta;
    int rc;

    rc = read_at(walk, (uint64_t)which * walk->page_bytes, page, sizeof page);
    if (rc < 0)
        return rc;
    if (hl_get_u64(page) != which || get_u16(page + 10) != META)
        return wrong(walk, "a meta page is none");
    if (hl_get_u32(p) != MAGIC || hl_get_u32(p + 4) != 1)
        return wrong(walk, "it is not LMDB's, or of another version of its format");
    for (unsigned i = 0; i < 2; i++)
        meta.trees[i] = parse_tree(p + 24 + i * DB_BYTES);
    meta.last_page = hl_get_u64(p + 120);
    meta.txn = hl_get_u64(p + 128);
    if (meta.trees[FREE_LIST].pad != walk->page_bytes)
        return wrong(walk, "its pages have another size");
    if (meta.trees[FREE_LIST].flags != INTEGER_KEY || meta.trees[TABLE].flags ||
        meta.trees[TABLE].pad)
        return wrong(walk, "it has flags that ours have not");
    if (meta.txn > TXN_MAX)
        return wrong(walk, "a meta page's number is out of range");
    *ret_meta = meta;
    return 0;
}

static int find_meta(struct walk *walk, uint64_t map_bytes, struct meta *ret_meta)
{
    struct meta metas[2];
    unsigned newest;
    int rc;

    for (unsigned i = 0; i < 2; i++) {
        rc = parse_meta(walk, i, &metas[i]);
        if (rc < 0)
            return rc;
        /* LMDB makes its map as large as either says. */
        if (metas[i].last_page < 1 || metas[i].last_page >= map_bytes / walk->page_bytes)
            return wrong(walk, "it has more pages than may be");
    }
    newest = metas[0].txn < metas[1].txn;
    /* Readers find theirs by this. */
    if ((metas[newest].txn & 1) != newest)
        return wrong(walk, "the newest meta page is in the place of the other");
    *ret_meta = metas[newest];
    return 0;
}

/* ---- pages --------------------------------------------------------------- */

static int use_pages(struct walk *walk, uint64_t page, uint64_t nr)
{
    if (page < 2 || page > walk->last_page || nr > walk->last_page - page + 1)
        return wrong(walk, "a page number is out of bounds");
    for (uint64_t i = page; i < page + nr; i++) {
        if (walk->used[i / 8] & 1u << (i % 8))
            return wrong(walk, "a page is used twice");
        walk->used[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    return 0;
}

/* Its first page's header, and where its bytes begin. */
static int use_overflow(struct walk *walk, uint64_t page, uint64_t bytes, uint64_t *ret_offset)
{
    uint64_t needed = (PAGE_HEADER - 1 + bytes) / walk->page_bytes + 1, nr;
    uint8_t header[PAGE_HEADER];
    int rc;

    if (page >= walk->file_pages)
        return wrong(walk, "it is cut short");
    rc = read_at(walk, page * walk->page_bytes, header, sizeof header);
    if (rc < 0)
        return rc;
    nr = hl_get_u32(header + 12);
    if (hl_get_u64(header) != page || get_u16(header + 10) != OVERFLOW || nr < needed)
        return wrong(walk, "an overflow page is none");
    rc = use_pages(walk, page, nr);
    if (rc < 0)
        return rc;
    if (page + nr > walk->file_pages)
        return wrong(walk, "it is cut short");
    walk->overflows += nr;
    *ret_offset = page * walk->page_bytes + PAGE_HEADER;
    return 0;
}

/* ---- nodes --------------------------------------------------------------- */

struct node {
    uint32_t at, key_length, flags;
    uint32_t data_length; /* of a leaf's */
    uint64_t child;       /* of a branch's */
};

static struct node parse_node(const uint8_t *page, uint32_t at, bool is_leaf)
{
    const uint8_t *p = page + at;
    uint32_t low = hl_get_u32(p);
    struct node node = { .at = at, .key_length = get_u16(p + 6), .flags = get_u16(p + 4) };

    if (is_leaf)
        node.data_length = low;
    else
        node.child = low | (uint64_t)node.flags << 32;
    return node;
}

static uint64_t node_bytes(const struct node *node, bool is_leaf)
{
    uint64_t bytes = NODE_HEADER + (uint64_t)node->key_length;

    if (is_leaf)
        bytes += node->flags & NODE_BIG ? 8 : node->data_length;
    return (bytes + 1) & ~1ull;
}

static uint32_t nr_nodes(const uint8_t *page)
{
    return (get_u16(page + 12) - PAGE_HEADER) / 2u;
}

static uint32_t node_at(const uint8_t *page, uint32_t i)
{
    return get_u16(page + PAGE_HEADER + 2 * i);
}

/* Take the bytes of a node, in steps of two; false when another has some of them. */
static bool take_bytes(uint64_t *taken, uint32_t from, uint32_t to)
{
    for (uint32_t i = from / 2; i < to / 2;) {
        uint32_t n = 64 - i % 64 < to / 2 - i ? 64 - i % 64 : to / 2 - i;
        uint64_t mask = (n == 64 ? UINT64_MAX : (1ull << n) - 1) << (i % 64);

        if (taken[i / 64] & mask)
            return false;
        taken[i / 64] |= mask;
        i += n;
    }
    return true;
}

/* Each node inside the page, and in a place of its own. */
static int check_nodes(struct walk *walk, const uint8_t *page, bool is_leaf)
{
    uint32_t lower = get_u16(page + 12), upper = get_u16(page + 14);
    uint64_t taken[PAGE_MAX / 2 / 64], total = 0;
    uint32_t nr;

    if (lower < PAGE_HEADER || lower % 2 || lower > upper || upper > walk->page_bytes ||
        upper % 2)
        return wrong(walk, "a page's bounds are not right");
    nr = nr_nodes(page);
    /* LMDB insists on two in a branch, but of the free list. */
    if (nr < (is_leaf || walk->which == FREE_LIST ? 1 : 2))
        return wrong(walk, "a page has too few nodes");
    memset(taken, 0, walk->page_bytes / 16);
    for (uint32_t i = 0; i < nr; i++) {
        uint32_t at = node_at(page, i);
        struct node node;
        uint64_t bytes;

        if (at < upper || at % 2 || at > walk->page_bytes - NODE_HEADER)
            return wrong(walk, "a node is out of its page's bounds");
        node = parse_node(page, at, is_leaf);
        bytes = node_bytes(&node, is_leaf);
        if (bytes > walk->page_bytes - at || node.key_length > KEY_MAX)
            return wrong(walk, "a node is out of its page's bounds");
        if (is_leaf && (node.flags & ~(uint32_t)NODE_BIG))
            return wrong(walk, "a node has flags that ours have not");
        if (!take_bytes(taken, at, at + (uint32_t)bytes))
            return wrong(walk, "two nodes overlap");
        total += bytes;
    }
    return total == walk->page_bytes - upper ? 0 : wrong(walk, "a page has gaps between its nodes");
}

static int compare(const struct walk *walk, const uint8_t *key, uint32_t length)
{
    uint32_t n = length < walk->key_length ? length : walk->key_length;
    int way;

    if (walk->which == FREE_LIST) {
        uint64_t a = hl_get_u64(walk->key), b = hl_get_u64(key);

        return a < b ? -1 : a > b;
    }
    way = memcmp(walk->key, key, n);
    if (way)
        return way;
    return walk->key_length < length ? -1 : walk->key_length > length;
}

/* Keys rise from left to right; what a branch says of its child is not above the child's first. */
static int check_order(struct walk *walk, const uint8_t *key, uint32_t length, bool is_leaf)
{
    int way;

    if (walk->which == FREE_LIST ? length != 8 : length == 0)
        return wrong(walk, "a key has another length");
    way = walk->has_key ? compare(walk, key, length) : -1;
    if (way > 0 || (way == 0 && !(walk->may_equal && is_leaf)))
        return wrong(walk, "keys are out of order");
    memcpy(walk->key, key, length);
    walk->key_length = length;
    walk->has_key = true;
    walk->may_equal = !is_leaf;
    return 0;
}

/* ---- the free list ------------------------------------------------------- */

/* The pages that a transaction has freed: how many, and their numbers, falling. */
static int use_free(struct walk *walk, const uint8_t *numbers, uint64_t nr, uint64_t *above)
{
    for (uint64_t i = 0; i < nr; i++) {
        uint64_t page = hl_get_u64(numbers + 8 * i);
        int rc;

        if (page >= *above)
            return wrong(walk, "free pages are out of order");
        rc = use_pages(walk, page, 1);
        if (rc < 0)
            return rc;
        *above = page;
    }
    return 0;
}

static int check_free_big(struct walk *walk, uint64_t offset, uint64_t nr)
{
    uint8_t numbers[4096];
    uint64_t above = UINT64_MAX;

    for (uint64_t i = 0; i < nr;) {
        uint64_t n = nr - i < sizeof numbers / 8 ? nr - i : sizeof numbers / 8;
        int rc = read_at(walk, offset + 8 + 8 * i, numbers, (uint32_t)(8 * n));

        if (rc == 0)
            rc = use_free(walk, numbers, n, &above);
        if (rc < 0)
            return rc;
        i += n;
    }
    return 0;
}

static int check_value(struct walk *walk, const uint8_t *page, const struct node *node)
{
    const uint8_t *data = page + node->at + NODE_HEADER + node->key_length;
    uint64_t offset = 0, above = UINT64_MAX, nr, txn;
    uint8_t first[8];
    int rc;

    if (node->flags & NODE_BIG) {
        rc = use_overflow(walk, hl_get_u64(data), node->data_length, &offset);
        if (rc < 0)
            return rc;
    }
    if (walk->which == TABLE)
        return 0;
    /* Having read the list of transaction 0 LMDB would believe it had read none. */
    txn = hl_get_u64(page + node->at + NODE_HEADER);
    if (txn == 0 || txn > walk->txn)
        return wrong(walk, "pages were freed by no transaction");
    if (node->data_length < 8 || node->data_length % 8)
        return wrong(walk, "a list of free pages has another length");
    if (offset) {
        rc = read_at(walk, offset, first, sizeof first);
        if (rc < 0)
            return rc;
    } else {
        memcpy(first, data, sizeof first);
    }
    nr = hl_get_u64(first);
    if (nr != node->data_length / 8 - 1)
        return wrong(walk, "a list of free pages has another length");
    return offset ? check_free_big(walk, offset, nr) : use_free(walk, data + 8, nr, &above);
}

/* ---- trees --------------------------------------------------------------- */

static int check_page(struct walk *walk, uint64_t number, unsigned level);

static int check_leaf(struct walk *walk, const uint8_t *page)
{
    for (uint32_t i = 0; i < nr_nodes(page); i++) {
        struct node node = parse_node(page, node_at(page, i), true);
        int rc = check_order(walk, page + node.at + NODE_HEADER, node.key_length, true);

        if (rc == 0)
            rc = check_value(walk, page, &node);
        if (rc < 0)
            return rc;
    }
    walk->leaves++;
    walk->entries += nr_nodes(page);
    return 0;
}

static int check_branch(struct walk *walk, const uint8_t *page, unsigned level)
{
    for (uint32_t i = 0; i < nr_nodes(page); i++) {
        struct node node = parse_node(page, node_at(page, i), false);
        int rc = 0;

        /* The key of the first is never looked at. */
        if (i)
            rc = check_order(walk, page + node.at + NODE_HEADER, node.key_length, false);
        if (rc == 0)
            rc = check_page(walk, node.child, level + 1);
        if (rc < 0)
            return rc;
    }
    walk->branches++;
    return 0;
}

static int check_page(struct walk *walk, uint64_t number, unsigned level)
{
    uint8_t *page = walk->pages + (size_t)level * walk->page_bytes;
    bool is_leaf = level + 1 == walk->depth;
    int rc;

    rc = use_pages(walk, number, 1);
    if (rc < 0)
        return rc;
    if (number >= walk->file_pages)
        return wrong(walk, "it is cut short");
    rc = read_at(walk, number * walk->page_bytes, page, walk->page_bytes);
    if (rc < 0)
        return rc;
    if (hl_get_u64(page) != number || get_u16(page + 10) != (is_leaf ? LEAF : BRANCH))
        return wrong(walk, "a page is not what its place asks for");
    rc = check_nodes(walk, page, is_leaf);
    if (rc < 0)
        return rc;
    return is_leaf ? check_leaf(walk, page) : check_branch(walk, page, level);
}

static int check_tree(struct walk *walk, const struct tree *tree, unsigned which)
{
    int rc;

    walk->which = which;
    walk->depth = tree->depth;
    walk->branches = walk->leaves = walk->overflows = walk->entries = 0;
    walk->has_key = false;
    if (tree->depth > DEPTH_MAX || (tree->depth == 0) != (tree->root == NO_PAGE))
        return wrong(walk, "a tree's depth is not right");
    rc = tree->depth ? check_page(walk, tree->root, 0) : 0;
    if (rc < 0)
        return rc;
    if (walk->branches != tree->branches || walk->leaves != tree->leaves ||
        walk->overflows != tree->overflows || walk->entries != tree->entries)
        return wrong(walk, "a tree's counts are not right");
    return 0;
}

static int check_file(struct walk *walk, uint64_t map_bytes)
{
    struct meta meta;
    int rc;

    rc = find_meta(walk, map_bytes, &meta);
    if (rc < 0)
        return rc;
    walk->last_page = meta.last_page;
    walk->txn = meta.txn;
    walk->used = calloc(1, meta.last_page / 8 + 1);
    walk->pages = malloc((size_t)DEPTH_MAX * walk->page_bytes);
    if (!walk->used || !walk->pages)
        return -ENOMEM;
    rc = check_tree(walk, &meta.trees[TABLE], TABLE);
    return rc < 0 ? rc : check_tree(walk, &meta.trees[FREE_LIST], FREE_LIST);
}

int hl_catalog_check(int fd, uint64_t map_bytes, const char **ret_why)
{
    struct walk walk = { .fd = fd, .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE) };
    struct stat st;
    int rc;

    if (hl_sys.fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return 0; /* LMDB begins anew */
    /* Pages may be larger than LMDB's can be: then its own are smaller. */
    if (walk.page_bytes > PAGE_MAX)
        walk.page_bytes = PAGE_MAX;
    walk.file_pages = (uint64_t)st.st_size / walk.page_bytes;
    /* Page by page from a cold disk would take long. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    rc = check_file(&walk, map_bytes);
    free(walk.used);
    free(walk.pages);
    if (rc == -EBADMSG)
        *ret_why = walk.why;
    return rc;
}
