/* SPDX-License-Identifier: MIT
 *
 * micro-vfs.c - what SQLite pays for a page: xFetch and xRead of the VFS "hugelite"
 * beside those of the stock VFS "unix" over the same file.
 *
 * See also: micro.h, gbench.h, micro-pool.c, tools/bench.c (whole statements).
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "hugelite-vfs.h"
#include "micro.h"

#define PAGE 4096
#define ROWS 16000                 /* of a page each */

static sqlite3 *dbs[2];            /* hugelite, unix */
static int64_t nr_pages;
static char path[PATH_MAX];

static bool fail(sqlite3 *db, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
    sqlite3_close(db);
    return false;
}

static bool make_database(void)
{
    char sql[512];
    sqlite3 *db;

    snprintf(path, sizeof path, "%.4000s/micro.db", micro.disk_dir);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%d; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
             "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d)"
             " INSERT INTO t SELECT i, randomblob(3000) FROM n", PAGE, ROWS);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") != SQLITE_OK
        || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, path);
    return sqlite3_close(db) == SQLITE_OK;
}

/* Open, and read the whole once, so that everything is resident, mapped, and the
 * VFS knows that the pager wants pointers. */
static bool open_database(int which)
{
    char uri[3 * PATH_MAX];
    sqlite3_stmt *stmt;
    sqlite3 *db;

    if (which == 0)
        snprintf(uri, sizeof uri, "file:%s?vfs=hugelite&immutable=1&pool=%s", path,
                 micro.pool_dir);
    else
        snprintf(uri, sizeof uri, "file:%s?immutable=1", path);
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                        which == 0 ? NULL : "unix") != SQLITE_OK)
        return fail(db, uri);
    if (which == 1
        && sqlite3_exec(db, "PRAGMA mmap_size=1073741824", NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, uri);
    if (sqlite3_exec(db, "SELECT sum(length(v)) FROM t", NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &stmt, NULL) != SQLITE_OK)
        return fail(db, uri);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        nr_pages = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    dbs[which] = db;
    return true;
}

static sqlite3_file *file_of(struct gbench *g, int which)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(dbs[which], "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK
        && file && file->pMethods && file->pMethods->iVersion >= 3)
        return file;
    gbench_fail(g, "no file to call");
    return NULL;
}

/* Pages in random order, the same for both. */
static void xfetch(struct gbench *g, int which)
{
    sqlite3_file *file = file_of(g, which);
    uint64_t random = 0x9e3779b97f4a7c15u, sum = 0, missed = 0, pages = 0;

    if (!file)
        return;
    for (; gbench_loop(g, 64); pages += 64)
        for (int i = 0; i < 64; i++) {
            sqlite3_int64 offset = (sqlite3_int64)(micro_xorshift(&random)
                                                   % (uint64_t)nr_pages) * PAGE;
            void *page = NULL;

            if (file->pMethods->xFetch(file, offset, PAGE, &page) != SQLITE_OK || !page) {
                missed++;
                continue;
            }
            sum += *(const volatile unsigned char *)page;
            file->pMethods->xUnfetch(file, offset, page);
        }
    /* The last page of a chunk is one for xRead, see vfs/file.c; more would be a fault. */
    if (sum == 0 || missed * 100 > pages)
        gbench_fail(g, "xFetch gave no pointer for %llu of %llu pages",
                    (unsigned long long)missed, (unsigned long long)pages);
    else
        gbench_counter(g, "no_pointer", (double)missed / (double)pages);
}

static void xread(struct gbench *g, int which)
{
    sqlite3_file *file = file_of(g, which);
    uint64_t random = 0x9e3779b97f4a7c15u;
    static char page[PAGE];
    int64_t bytes = 0;
    int rc = 0;

    if (!file)
        return;
    while (gbench_loop(g, 64))
        for (int i = 0; i < 64; i++) {
            sqlite3_int64 offset = (sqlite3_int64)(micro_xorshift(&random)
                                                   % (uint64_t)nr_pages) * PAGE;

            rc |= file->pMethods->xRead(file, page, PAGE, offset);
            bytes += PAGE;
        }
    if (rc)
        gbench_fail(g, "xRead: %d", rc);
    gbench_set_bytes(g, bytes);
}

static void xfetch_hugelite(struct gbench *g)
{
    xfetch(g, 0);
}

static void xfetch_unix(struct gbench *g)
{
    xfetch(g, 1);
}

static void xread_hugelite(struct gbench *g)
{
    xread(g, 0);
}

static void xread_unix(struct gbench *g)
{
    xread(g, 1);
}

static int run(int argc, char **argv)
{
    static const struct gbench_case cases[] = {
        { .name = "BM_xfetch/hugelite", .fn = xfetch_hugelite },
        { .name = "BM_xfetch/unix", .fn = xfetch_unix },
        { .name = "BM_xread/4KiB/hugelite", .fn = xread_hugelite },
        { .name = "BM_xread/4KiB/unix", .fn = xread_unix },
    };
    struct hugelite_pool *pool = micro_pool(MICRO_CHUNKS + 8);
    int rc;

    if (!pool || !make_database())
        return 1;
    if (hugelite_vfs_register(0) != SQLITE_OK || !open_database(0) || !open_database(1))
        return 1;
    micro_context();
    gbench_context("sqlite", "%s", sqlite3_libversion());
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        gbench_register(&cases[i]);
    rc = gbench_main(argc, argv);
    sqlite3_close(dbs[0]);
    sqlite3_close(dbs[1]);
    hugelite_pool_close(pool);
    return rc;
}

int main(int argc, char **argv)
{
    return micro_main(argc, argv, run);
}
