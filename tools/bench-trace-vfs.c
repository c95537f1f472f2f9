/* SPDX-License-Identifier: MIT
 *
 * bench-trace-vfs.c - a VFS that writes down which chunks SQLite reads.
 *
 * It has no xFetch, so that each page comes by xRead and can be seen.  With a page cache of one page SQLite
 * asks again for every page that a cursor gets to, as it does when it has a pointer from xFetch.
 * Hidden are, there as here, page 1, which a transaction holds, and the pages on which a cursor stands.
 *
 * Entry points: bench_recorder_*().  See also: bench-trace.c (what is read).
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "bench-trace.h"

#define CHUNK_SHIFT 21
#define PAGE_MIN 512
#define FILE_HEADER 100u /* of page 1, before the page's own */

enum { INTERIOR_INDEX = 2, INTERIOR_TABLE = 5 };

struct recorded {
    sqlite3_file base;
    uint32_t reader, first_chunk;
    sqlite3_file stock[]; /* the stock VFS's file */
};

static struct bench_recorder *recorder;

void bench_recorder_flush(struct bench_recorder *r)
{
    const struct bench_visit *v = &r->visit;

    if (!v->leaves && !v->interiors)
        return;
    fprintf(r->file, "%u %u %u %u\n", v->reader, v->chunk, v->leaves, v->interiors);
    r->visits++;
    r->visit.leaves = r->visit.interiors = 0;
}

static void note(const struct recorded *file, const unsigned char *page, sqlite3_int64 offset)
{
    struct bench_visit *v = &recorder->visit;
    unsigned char type = page[offset == 0 ? FILE_HEADER : 0];
    uint32_t chunk = file->first_chunk + (uint32_t)(offset >> CHUNK_SHIFT);

    if (v->chunk != chunk || v->reader != file->reader)
        bench_recorder_flush(recorder);
    v->chunk = chunk;
    v->reader = file->reader;
    if (type == INTERIOR_INDEX || type == INTERIOR_TABLE)
        v->interiors++;
    else
        v->leaves++;
    recorder->touches++;
}

/* ---- the file ---------------------------------------------------------------- */

static sqlite3_file *stock_of(sqlite3_file *file)
{
    return ((struct recorded *)file)->stock;
}

static int file_close(sqlite3_file *file)
{
    return stock_of(file)->pMethods->xClose(stock_of(file));
}

/* Less than a page is the header of the file. */
static int file_read(sqlite3_file *file, void *buffer, int length, sqlite3_int64 offset)
{
    int rc = stock_of(file)->pMethods->xRead(stock_of(file), buffer, length, offset);

    if (rc == SQLITE_OK && length >= PAGE_MIN && recorder->file)
        note((struct recorded *)file, buffer, offset);
    return rc;
}

static int file_write(sqlite3_file *file, const void *buffer, int length, sqlite3_int64 offset)
{
    return stock_of(file)->pMethods->xWrite(stock_of(file), buffer, length, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return stock_of(file)->pMethods->xTruncate(stock_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    return stock_of(file)->pMethods->xSync(stock_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return stock_of(file)->pMethods->xFileSize(stock_of(file), ret_size);
}

static int file_lock(sqlite3_file *file, int lock)
{
    return stock_of(file)->pMethods->xLock(stock_of(file), lock);
}

static int file_unlock(sqlite3_file *file, int lock)
{
    return stock_of(file)->pMethods->xUnlock(stock_of(file), lock);
}

static int file_check_lock(sqlite3_file *file, int *ret_locked)
{
    return stock_of(file)->pMethods->xCheckReservedLock(stock_of(file), ret_locked);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return stock_of(file)->pMethods->xFileControl(stock_of(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
    return stock_of(file)->pMethods->xSectorSize(stock_of(file));
}

static int file_characteristics(sqlite3_file *file)
{
    return stock_of(file)->pMethods->xDeviceCharacteristics(stock_of(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- the VFS ------------------------------------------------------------------ */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    sqlite3_vfs *stock = vfs->pAppData;
    struct recorded *recorded = (struct recorded *)file;
    int rc;

    /* Temporary files are the stock VFS's, and no part of the trace. */
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return stock->xOpen(stock, name, file, flags, ret_flags);
    memset(recorded, 0, (size_t)vfs->szOsFile);
    rc = stock->xOpen(stock, name, recorded->stock, flags, ret_flags);
    if (rc != SQLITE_OK)
        return rc;
    recorded->reader = (uint32_t)sqlite3_uri_int64(name, "reader", 0);
    recorded->first_chunk = (uint32_t)sqlite3_uri_int64(name, "base", 0);
    recorded->base.pMethods = &methods;
    return SQLITE_OK;
}

int bench_recorder_register(struct bench_recorder *r)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *stock = sqlite3_vfs_find("unix");

    if (!stock)
        return SQLITE_NOTFOUND;
    recorder = r;
    vfs = *stock; /* its other functions do not look at pAppData */
    vfs.pNext = NULL;
    vfs.zName = BENCH_RECORDER_VFS;
    vfs.pAppData = stock;
    vfs.szOsFile = stock->szOsFile + (int)sizeof(struct recorded);
    vfs.xOpen = vfs_open;
    return sqlite3_vfs_register(&vfs, 0);
}
