/* SPDX-License-Identifier: MIT
 *
 * vfs.h - what the files of this directory share.  Each is compiled twice: into the
 * loadable extension, where SQLite is reached through the table that the
 * host hands over, and with -DSQLITE_CORE for programs that link SQLite.
 */
#ifndef HL_VFS_H
#define HL_VFS_H

#include <sqlite3ext.h>
#ifndef SQLITE_CORE
extern const sqlite3_api_routines *sqlite3_api;
#endif

#include "hugelite.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- uri.c ---- */

struct hl_uri {
    const char *pool; /* the directory, in the name's own memory; NULL = the engine decides */
    bool immutable;
    bool remote; /* https://, s3://, ...: no file of this machine.  Its name may hold credentials:
                  * no message of ours repeats it, the engine's have it without them */
};

/* A name as xOpen gets it.  Returns 0 or -EINVAL, with *ret_bad the parameter that is wrong. */
int hl_uri_parse(const char *name, struct hl_uri *ret_uri, const char **ret_bad);
bool hl_uri_is_remote(const char *name);

/* ---- vfs.c ---- */

extern sqlite3_vfs hl_vfs;
sqlite3_vfs *hl_vfs_below(void);

/* Fill hl_vfs to stand on below, once. */
void hl_vfs_stack(sqlite3_vfs *below);

/* errno (negative) to SQLite's code, the one place where this is decided. */
enum hl_during { HL_DURING_OPEN, HL_DURING_READ, HL_DURING_REMOTE_READ };
int hl_vfs_code(int rc, enum hl_during during);

/* For sqlite3_system_errno(): the cause of this thread's last failure here; 0 = none of ours. */
void hl_vfs_set_errno(int err);

/* Pools that files of this process have open, for hugelite_stat. */
int hl_pools_open(const char *dir, struct hugelite_pool **ret_pool);
void hl_pools_close(struct hugelite_pool *pool);

/* The directories of them: strings in an array that ends with NULL, all of
 * sqlite3_malloc().  NULL when there is no memory. */
char **hl_pools_list(void);

/* ---- file.c ---- */

extern const sqlite3_io_methods hl_file_methods;
size_t hl_file_bytes(void); /* of our part of an sqlite3_file; the VFS below adds its own */
int hl_file_open(const char *name, sqlite3_file *base, int flags, int *ret_flags);

/* Why the file could not be opened, or NULL; *ret_code is set with it. */
const char *hl_file_open_error(sqlite3_file *base, int *ret_code);

/* Does the pager use xFetch already? */
bool hl_file_fetches(sqlite3_file *base);

/* ---- stat-table.c ---- */

int hl_stat_table_register(sqlite3 *db);

#endif
