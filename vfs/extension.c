/* SPDX-License-Identifier: MIT
 *
 * extension.c - loading and registering.  The short manual; hugelite-vfs(7) is the long one.
 *
 * Building:  make; the extension is vfs/.libs/hugelite.so, the static library is
 *            libhugelite-vfs.a with hugelite-vfs.h.
 * Loading:   .load hugelite  |  SELECT load_extension('hugelite')  |  hugelite_vfs_register(0).
 *            It stays for the life of the process, for all connections.
 * Using:     file:/data/x.db?vfs=hugelite                      SQLite's locking kept
 *            file:/data/x.db?vfs=hugelite&immutable=1          no lock, no system call
 *            file:/data/x.db.zst?vfs=hugelite                  the same, see hugelite-pack(1)
 *            file:https://host/x.db.zst?vfs=hugelite           the same, see hugelite-remote(7)
 *            file:s3://bucket/x.db.zst?vfs=hugelite
 * Parameters: pool=DIR, immutable=1 (uri.c); others named hugelite_... are errors.
 * Active?    SELECT * FROM hugelite_stat;  PRAGMA hugelite_mode;  PRAGMA hugelite_error;
 * Refuses:   to write, and to create: SQLITE_READONLY, SQLITE_CANTOPEN.
 * Limits:    WAL databases are served by the default VFS unless immutable.
 *
 * Entry points: sqlite3_hugelite_init(), hugelite_vfs_register().  See also: vfs.c, file.c.
 */
#include "config.h"

#include "vfs.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

#include "hugelite-vfs.h"

#include <pthread.h>

#define HL_PUBLIC __attribute__((visibility("default")))

static pthread_once_t stacked = PTHREAD_ONCE_INIT;
static bool is_stacked;

/* The default of the moment is what we stand on, once and for all: were we
 * default later, we would stand on ourselves. */
static void stack_once(void)
{
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);

    if (!below)
        return;
    hl_vfs_stack(below);
    is_stacked = true;
}

/* The open file of a schema if it is ours; *ret_foreign tells whether there is one of another
 * VFS, rather than none, as of a database in memory. */
static sqlite3_file *our_file(sqlite3 *db, const char *schema, bool *ret_foreign)
{
    sqlite3_file *base = NULL;

    sqlite3_file_control(db, schema, SQLITE_FCNTL_FILE_POINTER, &base);
    *ret_foreign = base && base->pMethods && base->pMethods != &hl_file_methods;
    return base && base->pMethods == &hl_file_methods ? base : NULL;
}

/* The pager calls xFetch only when its mmap_size is not 0, which most builds of SQLite
 * begin with.  The unqualified PRAGMA is the one that also holds for databases
 * attached later.  It says 1 byte: for us the number is a switch, and a database that is
 * attached later through another VFS maps no more than its first page.
 * What is open through another VFS gets its own size back. */
static int turn_on_fetch(sqlite3 *db)
{
    enum { SCHEMAS_MAX = 128 }; /* SQLite's own bound is 125 and two */
    sqlite3_int64 sizes[SCHEMAS_MAX];
    const char *schema;
    bool foreign;
    int nr, rc;

    for (nr = 0; nr < SCHEMAS_MAX && (schema = sqlite3_db_name(db, nr)); nr++) {
        sqlite3_file *base = our_file(db, schema, &foreign);

        sizes[nr] = -1;
        if (foreign)
            sqlite3_file_control(db, schema, SQLITE_FCNTL_MMAP_SIZE, &sizes[nr]);
        if (sizes[nr] > 0 || (base && hl_file_fetches(base)))
            return SQLITE_OK; /* the program, or SQLite's build, has turned it on */
    }

    rc = sqlite3_exec(db, "PRAGMA mmap_size=1", NULL, NULL, NULL);
    for (int i = 0; i < nr && rc == SQLITE_OK; i++) {
        char *sql;

        if (sizes[i] < 0)
            continue;
        sql = sqlite3_mprintf("PRAGMA \"%w\".mmap_size=%lld", sqlite3_db_name(db, i), sizes[i]);
        rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    return rc;
}

static int offer(sqlite3 *db)
{
    int rc = turn_on_fetch(db);

    return rc == SQLITE_OK ? hl_stat_table_register(db) : rc;
}

/* Called for each connection when its main database is open. */
static int on_connection(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api)
{
    const char *message;
    sqlite3_file *base;
    bool foreign;
    int code;

    (void)api;
    base = our_file(db, "main", &foreign);
    if (base && (message = hl_file_open_error(base, &code))) {
        /* From here SQLite hands the sentence to whoever opens the connection;
         * from xOpen it would not (file.c, rule 6). */
        *ret_message = sqlite3_mprintf("%s", message);
        return code;
    }
    /* A connection to a file of another VFS may have nothing to do with us. */
    return foreign ? hl_stat_table_register(db) : offer(db);
}

HL_PUBLIC int hugelite_vfs_register(int make_default)
{
    sqlite3_vfs *present;
    int rc;

#ifndef SQLITE_CORE
    if (!sqlite3_api) /* dlopen()ed, not loaded by SQLite: there is no SQLite yet */
        return SQLITE_MISUSE;
#endif
    present = sqlite3_vfs_find(hl_vfs.zName);
    if (present && present != &hl_vfs) /* linked in and loaded besides: one is enough */
        return make_default ? sqlite3_vfs_register(present, 1) : SQLITE_OK;

    pthread_once(&stacked, stack_once);
    if (!is_stacked)
        return SQLITE_ERROR;
    rc = sqlite3_vfs_register(&hl_vfs, make_default);
    if (rc == SQLITE_OK)
        rc = sqlite3_auto_extension((void (*)(void))on_connection);
    return rc;
}

#ifndef SQLITE_CORE
HL_PUBLIC int sqlite3_hugelite_init(sqlite3 *db, char **ret_message,
                                    const sqlite3_api_routines *api);

HL_PUBLIC int sqlite3_hugelite_init(sqlite3 *db, char **ret_message,
                                    const sqlite3_api_routines *api)
{
    int rc;

    (void)ret_message;
    SQLITE_EXTENSION_INIT2(api);
    rc = hugelite_vfs_register(0);
    if (rc == SQLITE_OK && sqlite3_vfs_find(hl_vfs.zName) == &hl_vfs)
        rc = offer(db); /* this one was open before */
    return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}
#endif
