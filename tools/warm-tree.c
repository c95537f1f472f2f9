/* SPDX-License-Identifier: MIT
 *
 * The pages of one table or index, and the chunks that they are in.  The B-tree is gone through in
 * waves: when the chunks of one have come, the pages in them name those of the next.  All chunks of
 * a wave are on their way together, so a tree costs about as many round trips as it has levels.
 *
 * Pages are not trusted: none is looked at twice, and a number that makes no sense is passed over.
 *
 * Entry points: hl_warm_find_root(), hl_warm_tree().
 * See also: warm-chunks.c, warm-cells.c, ../engine/btree.h.
 */
#include <config.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "btree.h"
#include "error.h"
#include "hugelite-vfs.h"
#include "warm.h"

enum {
    HEADER_BYTES = 100,        /* of a database */
    CHILDREN_MAX = 65536 / 6 + 1,
};

struct tree {
    struct hl_warming *warming;
    struct hl_btree_format format;
    uint32_t per_chunk;        /* pages */

    /* A bit for each page. */
    uint64_t *seen;
    uint64_t *branches;        /* to be looked at: interior and leaf pages */
    uint64_t *overflows;

    /* A byte for each chunk. */
    unsigned char *listed;     /* in `wave` and not come yet, or in `next` */
    unsigned char *counted;    /* in warming->total */

    uint32_t *wave, *next;     /* chunks */
    uint32_t nr_wave, nr_next;
    uint32_t numbers[CHILDREN_MAX];
};

static bool test_bit(const uint64_t *bits, uint32_t page)
{
    return bits[page / 64] >> page % 64 & 1;
}

static void set_bit(uint64_t *bits, uint32_t page)
{
    bits[page / 64] |= UINT64_C(1) << page % 64;
}

static bool take_bit(uint64_t *bits, uint32_t page)
{
    bool is_set = test_bit(bits, page);

    bits[page / 64] &= ~(UINT64_C(1) << page % 64);
    return is_set;
}

static void add(struct tree *tree, uint64_t *bits, uint32_t page)
{
    struct hl_warming *warming = tree->warming;
    uint32_t chunk = (page - 1) / tree->per_chunk;

    if (test_bit(tree->seen, page))
        return;
    if (!tree->counted[chunk]) {
        if (warming->total >= warming->most)
            return;
        tree->counted[chunk] = 1;
        warming->total += hl_warm_chunk_bytes(warming, chunk);
    }
    set_bit(tree->seen, page);
    set_bit(bits, page);
    warming->pages++;
    if (!tree->listed[chunk]) {
        tree->listed[chunk] = 1;
        tree->next[tree->nr_next++] = chunk;
    }
}

static void look_at_page(struct tree *tree, const unsigned char *page, uint32_t number)
{
    const struct hl_btree_format *format = &tree->format;
    unsigned nr;

    if (hl_btree_kind(format, page, number) == HL_BTREE_INTERIOR) {
        nr = hl_btree_children(format, page, number, tree->numbers, CHILDREN_MAX);
        for (unsigned i = 0; i < nr; i++)
            add(tree, tree->branches, tree->numbers[i]);
    }
    nr = hl_warm_overflows(format, page, number, tree->numbers, CHILDREN_MAX);
    for (unsigned i = 0; i < nr; i++)
        add(tree, tree->overflows, tree->numbers[i]);
}

/* A chunk is there: look at its pages that are wanted, and at those that they lead to in it. */
static int look_at_chunk(void *arg, uint32_t chunk)
{
    struct tree *tree = arg;
    struct hugelite_volume *vol = tree->warming->vol;
    uint32_t first = chunk * tree->per_chunk + 1, page_bytes = tree->format.page_bytes;
    const void *data;
    bool again;
    int rc = hugelite_volume_fetch(vol, (uint64_t)chunk * HUGELITE_CHUNK_BYTES, page_bytes, &data);

    if (rc < 0)
        return rc;
    do {
        again = false;
        for (uint32_t page = first; page < first + tree->per_chunk; page++) {
            const unsigned char *bytes = (const unsigned char *)data +
                                         (size_t)(page - first) * page_bytes;
            uint32_t follows;

            if (page > tree->format.nr_pages)
                break;
            if (take_bit(tree->branches, page)) {
                look_at_page(tree, bytes, page);
                again = true;
            }
            if (take_bit(tree->overflows, page)) {
                follows = hl_warm_overflow_next(&tree->format, bytes);
                if (follows)
                    add(tree, tree->overflows, follows);
                again = true;
            }
        }
    } while (again);
    tree->listed[chunk] = 0;
    hugelite_volume_release(vol, data);
    return 0;
}

static int compare_chunks(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int one_wave(struct tree *tree)
{
    uint32_t *wave = tree->next;

    tree->next = tree->wave;
    tree->wave = wave;
    tree->nr_wave = tree->nr_next;
    tree->nr_next = 0;
    qsort(wave, tree->nr_wave, sizeof *wave, compare_chunks);
    return hl_warm_chunks(tree->warming, wave, tree->nr_wave, look_at_chunk, tree);
}

static int begin(struct tree *tree, uint32_t root)
{
    struct hl_warming *warming = tree->warming;
    unsigned char header[HEADER_BYTES] = { 0 };
    size_t words, chunks = (size_t)((warming->bytes - 1) / HUGELITE_CHUNK_BYTES) + 1;
    int rc = hugelite_volume_read(warming->vol, 0, sizeof header, header);

    if (rc < 0)
        return rc;
    if (hl_btree_format(header, warming->bytes, &tree->format) < 0 || root < 1 ||
        root > tree->format.nr_pages)
        return hl_error(EBADMSG, "%s: is not a database, or has become another", warming->name);
    tree->per_chunk = HUGELITE_CHUNK_BYTES / tree->format.page_bytes;
    words = tree->format.nr_pages / 64 + 1;
    tree->seen = calloc(words, sizeof *tree->seen);
    tree->branches = calloc(words, sizeof *tree->branches);
    tree->overflows = calloc(words, sizeof *tree->overflows);
    tree->listed = calloc(chunks, 1);
    tree->counted = calloc(chunks, 1);
    tree->wave = calloc(chunks, sizeof *tree->wave);
    tree->next = calloc(chunks, sizeof *tree->next);
    if (!tree->seen || !tree->branches || !tree->overflows || !tree->listed || !tree->counted ||
        !tree->wave || !tree->next)
        return hl_error(ENOMEM, "%s: no memory for its list of pages", warming->name);
    return 0;
}

int hl_warm_tree(struct hl_warming *warming, uint32_t root)
{
    struct tree *tree = calloc(1, sizeof *tree);
    int rc = tree ? 0 : hl_error(ENOMEM, "%s: no memory for its list of pages", warming->name);

    if (rc == 0) {
        tree->warming = warming;
        rc = begin(tree, root);
    }
    if (rc == 0)
        add(tree, tree->branches, root);
    while (rc == 0 && tree->nr_next)
        rc = one_wave(tree);
    if (tree) {
        free(tree->seen);
        free(tree->branches);
        free(tree->overflows);
        free(tree->listed);
        free(tree->counted);
        free(tree->wave);
        free(tree->next);
    }
    free(tree);
    return rc;
}

/* ---- the root, by its name ------------------------------------------------- */

/* Why a database cannot be asked: the VFS's sentence if it has one. */
static void complain(const char *source, sqlite3 *db)
{
    static const char at_open[] = "automatic extension loading failed: ";
    const char *message = db ? sqlite3_errmsg(db) : strerror(ENOMEM);
    char *pragma[4] = { NULL, (char *)"hugelite_error", NULL, NULL };

    if (strncmp(message, at_open, strlen(at_open)) == 0)
        hl_tool_error("warm", "%s", message + strlen(at_open));
    else if (db && sqlite3_file_control(db, "main", SQLITE_FCNTL_PRAGMA, pragma) == SQLITE_OK &&
             pragma[0] && *pragma[0])
        hl_tool_error("warm", "%s", pragma[0]);
    else
        hl_tool_error("warm", "'%s': %s", hl_tool_name(source), message);
    sqlite3_free(pragma[0]);
}

static int ask_root(sqlite3 *db, const char *source, const char *table, uint32_t *ret_root)
{
    static const char sql[] = "SELECT rootpage, type FROM sqlite_schema "
                              "WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), code = 1;

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE) {
        hl_tool_error("warm", "'%s': has no table or index '%s'", hl_tool_name(source), table);
    } else if (rc != SQLITE_ROW) {
        complain(source, db);
    } else if (sqlite3_column_int64(stmt, 0) <= 0) {
        hl_tool_error("warm", "'%s': '%s' has no pages of its own: it is a %s",
                      hl_tool_name(source), table,
                      strcmp((const char *)sqlite3_column_text(stmt, 1), "view") == 0
                          ? "view" : "virtual table, whose data is in other tables");
    } else {
        *ret_root = (uint32_t)sqlite3_column_int64(stmt, 0);
        code = 0;
    }
    sqlite3_finalize(stmt);
    return code;
}

int hl_warm_find_root(const char *source, const char *pool, const char *table, uint32_t *ret_root)
{
    char *uri = hl_tool_uri(source, pool, false);
    sqlite3 *db = NULL;
    int code = 1;

    if (!uri)
        return hl_tool_error("warm", "%s", strerror(ENOMEM));
    if (hugelite_vfs_register(0) != SQLITE_OK)
        hl_tool_error("warm", "cannot register the VFS");
    else if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
        complain(source, db);
    else
        code = ask_root(db, source, table, ret_root);
    sqlite3_close(db);
    free(uri);
    return code;
}
