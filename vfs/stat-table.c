/* SPDX-License-Identifier: MIT
 *
 * stat-table.c - the read-only table hugelite_stat: one row for each volume of the pools that this
 * process has open, or of the default pool when it has none open.
 *
 *      SELECT source, resident_bytes, fills FROM hugelite_stat;
 *      SELECT * FROM hugelite_stat('/mnt/huge/hugelite');
 *
 * A query takes a snapshot; nothing is locked while its rows are read.
 * Entry point: hl_stat_table_register().  See also: extension.c.
 */
#include "config.h"

#include "vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum column {
    COL_SOURCE, COL_BYTES, COL_RESIDENT_BYTES, COL_FILLS, COL_SOURCE_BYTES, COL_EVICTIONS,
    COL_WAITS, COL_ERRORS, COL_FRAMES_DECODED, COL_EARLY_READS, COL_REQUESTS, COL_TIER_BYTES,
    COL_UNVALIDATED, COL_SUPERSEDED, COL_POOL_DIR, COL_POOL_PAGES, COL_PAGE_BYTES,
    COL_BUDGET_BYTES, COL_POOL_RESIDENT_BYTES, COL_READERS, COL_HEAP_BYTES, COL_NOTICE,
    COL_POOL,
};

static const char schema[] =
    "CREATE TABLE hugelite_stat(source TEXT, bytes INTEGER, resident_bytes INTEGER, "
    "fills INTEGER, source_bytes INTEGER, evictions INTEGER, waits INTEGER, errors INTEGER, "
    "frames_decoded INTEGER, early_reads INTEGER, requests INTEGER, tier_bytes INTEGER, "
    "unvalidated INTEGER, superseded INTEGER, pool_dir TEXT, pool_pages TEXT, "
    "page_bytes INTEGER, budget_bytes INTEGER, pool_resident_bytes INTEGER, readers INTEGER, "
    "heap_bytes INTEGER, notice TEXT, pool TEXT HIDDEN)";

enum { BY_POOL = 1 };

/* The volumes of one pool. */
struct snapshot {
    struct snapshot *next;
    struct hugelite_pool_stat pool;
    size_t nr;
    struct hugelite_volume_stat volumes[];
};

struct cursor {
    sqlite3_vtab_cursor base;
    struct snapshot *snapshots; /* the first is the one at hand; read ones are freed */
    size_t at;                  /* its volume at hand */
    sqlite3_int64 row;
};

static void free_snapshots(struct cursor *cur)
{
    while (cur->snapshots) {
        struct snapshot *next = cur->snapshots->next;

        free(cur->snapshots);
        cur->snapshots = next;
    }
}

/* Its volumes come and go meanwhile, so the room is asked for anew until it suffices. */
static int take_volumes(struct hugelite_pool *pool, struct snapshot **ret_snapshot)
{
    struct snapshot *snap;
    size_t room = 16, nr;
    int rc;

    for (;;) {
        snap = malloc(sizeof *snap + room * sizeof snap->volumes[0]);
        if (!snap)
            return -ENOMEM;
        rc = hugelite_pool_volumes(pool, snap->volumes, room, &nr);
        if (rc < 0) {
            free(snap);
            return rc;
        }
        if (nr <= room)
            break;
        free(snap);
        room = nr + 16;
    }
    snap->nr = nr;
    snap->next = NULL;
    *ret_snapshot = snap;
    return 0;
}

/* dir NULL: the default pool.  Only a pool that is there is looked at; none is made. */
static int take_snapshot(const char *dir, struct snapshot **ret_snapshot)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    struct hugelite_pool *pool;
    struct snapshot *snap;
    int rc;

    rc = hugelite_pool_open(dir, &opts, &pool);
    if (rc < 0)
        return rc;
    rc = take_volumes(pool, &snap);
    if (rc == 0) {
        rc = hugelite_pool_stat(pool, &snap->pool);
        if (rc < 0)
            free(snap);
        else
            *ret_snapshot = snap;
    }
    hugelite_pool_close(pool);
    return rc;
}

static int fail(struct cursor *cur, int rc)
{
    sqlite3_vtab *table = cur->base.pVtab;

    if (rc == -ENOMEM)
        return SQLITE_NOMEM;
    sqlite3_free(table->zErrMsg);
    table->zErrMsg = sqlite3_mprintf("hugelite_stat: %s", hugelite_error());
    return SQLITE_ERROR;
}

static void skip_empty(struct cursor *cur)
{
    while (cur->snapshots && cur->at >= cur->snapshots->nr) {
        struct snapshot *next = cur->snapshots->next;

        free(cur->snapshots);
        cur->snapshots = next;
        cur->at = 0;
    }
}

static int take_one(struct cursor *cur, const char *dir)
{
    int rc = take_snapshot(dir, &cur->snapshots);

    return rc < 0 ? fail(cur, rc) : SQLITE_OK;
}

/* All pools of this process.  One that is closed or removed just now has no rows. */
static int take_all(struct cursor *cur)
{
    struct snapshot **end = &cur->snapshots;
    char **dirs = hl_pools_list();
    int rc = 0;

    if (!dirs)
        return SQLITE_NOMEM;
    if (!dirs[0])
        rc = take_snapshot(NULL, &cur->snapshots);
    for (char **dir = dirs; *dir; dir++) {
        if (rc == 0 || rc == -ENOENT)
            rc = take_snapshot(*dir, end);
        if (*end)
            end = &(*end)->next;
        sqlite3_free(*dir);
    }
    sqlite3_free(dirs);
    return rc < 0 && rc != -ENOENT ? fail(cur, rc) : SQLITE_OK;
}

static int stat_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                        sqlite3_vtab **ret_table, char **ret_message)
{
    sqlite3_vtab *table;
    int rc;

    (void)aux, (void)argc, (void)argv, (void)ret_message;
    rc = sqlite3_declare_vtab(db, schema);
    if (rc != SQLITE_OK)
        return rc;
    table = sqlite3_malloc(sizeof *table);
    if (!table)
        return SQLITE_NOMEM;
    memset(table, 0, sizeof *table);
    *ret_table = table;
    return SQLITE_OK;
}

static int stat_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static int stat_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn != COL_POOL ||
            info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!info->aConstraint[i].usable)
            return SQLITE_CONSTRAINT;
        info->aConstraintUsage[i].argvIndex = 1;
        info->aConstraintUsage[i].omit = 1;
        info->idxNum = BY_POOL;
        info->estimatedCost = 100;
        break;
    }
    return SQLITE_OK;
}

static int stat_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret_cursor)
{
    struct cursor *cur = sqlite3_malloc(sizeof *cur);

    (void)table;
    if (!cur)
        return SQLITE_NOMEM;
    memset(cur, 0, sizeof *cur);
    *ret_cursor = &cur->base;
    return SQLITE_OK;
}

static int stat_close(sqlite3_vtab_cursor *base)
{
    struct cursor *cur = (struct cursor *)base;

    free_snapshots(cur);
    sqlite3_free(cur);
    return SQLITE_OK;
}

static int stat_filter(sqlite3_vtab_cursor *base, int index, const char *index_name, int argc,
                       sqlite3_value **argv)
{
    struct cursor *cur = (struct cursor *)base;
    int rc;

    (void)index_name, (void)argc;
    free_snapshots(cur);
    cur->at = 0;
    cur->row = 1;
    if (index == BY_POOL) {
        const char *dir = (const char *)sqlite3_value_text(argv[0]);

        if (!dir) /* pool = NULL is true for no row */
            return SQLITE_OK;
        rc = take_one(cur, dir);
    } else {
        rc = take_all(cur);
    }
    if (rc == SQLITE_OK)
        skip_empty(cur);
    return rc;
}

static int stat_next(sqlite3_vtab_cursor *base)
{
    struct cursor *cur = (struct cursor *)base;

    cur->at++;
    cur->row++;
    skip_empty(cur);
    return SQLITE_OK;
}

static int stat_eof(sqlite3_vtab_cursor *base)
{
    return !((struct cursor *)base)->snapshots;
}

static void result_bytes(sqlite3_context *ctx, uint64_t n)
{
    sqlite3_result_int64(ctx, (sqlite3_int64)n);
}

static int stat_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column)
{
    const struct cursor *cur = (const struct cursor *)base;
    const struct hugelite_pool_stat *pool = &cur->snapshots->pool;
    const struct hugelite_volume_stat *vol = &cur->snapshots->volumes[cur->at];

    switch ((enum column)column) {
    case COL_SOURCE:
        sqlite3_result_text(ctx, vol->source, -1, SQLITE_TRANSIENT);
        break;
    case COL_BYTES:
        result_bytes(ctx, vol->bytes);
        break;
    case COL_RESIDENT_BYTES:
        result_bytes(ctx, vol->resident_bytes);
        break;
    case COL_FILLS:
        result_bytes(ctx, vol->fills);
        break;
    case COL_SOURCE_BYTES:
        result_bytes(ctx, vol->source_bytes);
        break;
    case COL_EVICTIONS:
        result_bytes(ctx, vol->evictions);
        break;
    case COL_WAITS:
        result_bytes(ctx, vol->waits);
        break;
    case COL_ERRORS:
        result_bytes(ctx, vol->errors);
        break;
    case COL_FRAMES_DECODED:
        result_bytes(ctx, vol->frames_decoded);
        break;
    case COL_EARLY_READS:
        result_bytes(ctx, vol->early_reads);
        break;
    case COL_REQUESTS:
        result_bytes(ctx, vol->requests);
        break;
    case COL_TIER_BYTES:
        result_bytes(ctx, vol->tier_bytes);
        break;
    case COL_UNVALIDATED:
        result_bytes(ctx, vol->unvalidated);
        break;
    case COL_SUPERSEDED:
        result_bytes(ctx, vol->superseded);
        break;
    case COL_POOL_DIR:
    case COL_POOL:
        sqlite3_result_text(ctx, pool->dir, -1, SQLITE_TRANSIENT);
        break;
    case COL_POOL_PAGES:
        sqlite3_result_text(ctx, pool->pages, -1, SQLITE_TRANSIENT);
        break;
    case COL_PAGE_BYTES:
        result_bytes(ctx, pool->page_bytes);
        break;
    case COL_BUDGET_BYTES:
        result_bytes(ctx, pool->budget_bytes);
        break;
    case COL_POOL_RESIDENT_BYTES:
        result_bytes(ctx, pool->resident_bytes);
        break;
    case COL_READERS:
        result_bytes(ctx, pool->readers);
        break;
    case COL_HEAP_BYTES:
        result_bytes(ctx, pool->heap_bytes);
        break;
    case COL_NOTICE:
        sqlite3_result_text(ctx, pool->notice, -1, SQLITE_TRANSIENT);
        break;
    }
    return SQLITE_OK;
}

static int stat_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_row)
{
    *ret_row = ((struct cursor *)base)->row;
    return SQLITE_OK;
}

/* No xCreate: the table is there by itself.  No xUpdate: it is read-only. */
static const sqlite3_module stat_module = {
    .xConnect = stat_connect,
    .xDisconnect = stat_disconnect,
    .xBestIndex = stat_best_index,
    .xOpen = stat_open,
    .xClose = stat_close,
    .xFilter = stat_filter,
    .xNext = stat_next,
    .xEof = stat_eof,
    .xColumn = stat_column,
    .xRowid = stat_rowid,
};

int hl_stat_table_register(sqlite3 *db)
{
    return sqlite3_create_module(db, "hugelite_stat", &stat_module, NULL);
}
