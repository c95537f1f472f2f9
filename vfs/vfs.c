/* SPDX-License-Identifier: MIT
 *
 * vfs.c - the VFS "hugelite".  Main databases are ours (file.c); every other file and every other
 * service belongs to the VFS below, which was the default before.
 *
 * Entry points: hl_vfs, hl_vfs_stack(), hl_vfs_code(), hl_pools_*().
 * See also: extension.c, file.c.
 */
#include "config.h"

#include "vfs.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SQLite puts a journal's or WAL's suffix behind the name within this bound.  A presigned URL has a
 * signature of some hundred bytes, and with temporary credentials a token of a few thousand. */
enum { NAME_MAX_BYTES = 8192 };

static sqlite3_vfs *below;
static _Thread_local int last_errno;

sqlite3_vfs *hl_vfs_below(void)
{
    return below;
}

void hl_vfs_set_errno(int err)
{
    last_errno = err;
}

int hl_vfs_code(int rc, enum hl_during during)
{
    switch (-rc) {
    case 0:
        return SQLITE_OK;
    case ECHILD: /* a connection carried over a fork() */
        return SQLITE_MISUSE;
    case ENOMEM:
        return SQLITE_IOERR_NOMEM;
    case EISDIR:
        return SQLITE_CANTOPEN_ISDIR;
    case EINVAL:
        return during == HL_DURING_OPEN ? SQLITE_CANTOPEN : SQLITE_IOERR_READ;
    case EBADMSG: /* a checksum did not match */
        return during == HL_DURING_OPEN ? SQLITE_CANTOPEN : SQLITE_IOERR_DATA;
    case EBUSY:
    case EMFILE:
        return during == HL_DURING_OPEN ? SQLITE_CANTOPEN : SQLITE_BUSY;
    case ETIMEDOUT: /* of a lock in the pool, or of the network, which no busy handler mends */
        if (during == HL_DURING_READ)
            return SQLITE_BUSY;
        return during == HL_DURING_OPEN ? SQLITE_CANTOPEN : SQLITE_IOERR_READ;
    default:
        return during == HL_DURING_OPEN ? SQLITE_CANTOPEN : SQLITE_IOERR_READ;
    }
}

/* ---- pools of this process ---------------------------------------------- */

struct pool_entry {
    struct pool_entry *next;
    struct hugelite_pool *pool;
    unsigned opens; /* 0: kept */
    bool chosen;    /* by the engine's rules, as nobody named it */
    char dir[];
};

/* Guards what follows.  Never held across a call into the engine, whose own locks are
 * taken around fork() too. */
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool_entry *pools;

/* The pool that was closed last stays open once: programs that open a connection for each
 * request would else attach and detach each time, which costs twice what the rest does. */
static struct pool_entry *kept;

static void lock_pools(void)
{
    pthread_mutex_lock(&pools_lock);
}

static void unlock_pools(void)
{
    pthread_mutex_unlock(&pools_lock);
}

static struct pool_entry *find_pool(struct hugelite_pool *pool)
{
    for (struct pool_entry *entry = pools; entry; entry = entry->next)
        if (entry->pool == pool)
            return entry;
    return NULL;
}

/* Count one more open of a pool.  *fresh is its entry if it has none yet, and is taken
 * then; NULL makes that false.  *ret_was_kept: the open that kept it is to be given back. */
static bool count_open(struct hugelite_pool *pool, struct pool_entry **fresh, bool *ret_was_kept)
{
    struct pool_entry *entry;

    lock_pools();
    entry = find_pool(pool);
    if (!entry && *fresh) {
        entry = *fresh;
        *fresh = NULL;
        entry->next = pools;
        pools = entry;
        entry->opens = 1;
        *ret_was_kept = false;
    } else if (entry) {
        *ret_was_kept = entry->opens++ == 0;
        if (entry == kept)
            kept = NULL;
    }
    unlock_pools();
    return entry != NULL;
}

static struct pool_entry *make_entry(struct hugelite_pool *pool, bool chosen)
{
    struct hugelite_pool_stat *stat = malloc(sizeof *stat);
    struct pool_entry *entry = malloc(sizeof *entry + sizeof stat->dir);

    if (!stat || !entry || hugelite_pool_stat(pool, stat) < 0) {
        free(stat);
        free(entry);
        return NULL;
    }
    *entry = (struct pool_entry){ .pool = pool, .chosen = chosen };
    memcpy(entry->dir, stat->dir, sizeof stat->dir);
    free(stat);
    return entry;
}

static int note_pool(struct hugelite_pool *pool, bool chosen)
{
    struct pool_entry *fresh = NULL;
    bool was_kept;

    if (!count_open(pool, &fresh, &was_kept)) {
        fresh = make_entry(pool, chosen);
        if (!fresh)
            return -ENOMEM;
        count_open(pool, &fresh, &was_kept);
        free(fresh); /* left over when another thread was faster */
    }
    if (was_kept)
        hugelite_pool_close(pool);
    return 0;
}

/* To look for the default pool takes longer than to open it, so it is looked for once. */
static bool find_chosen(char dir[], size_t room)
{
    bool found = false;

    if (getenv("HUGELITE_POOL"))
        return false;
    lock_pools();
    for (struct pool_entry *entry = pools; entry && !found; entry = entry->next)
        if (entry->chosen)
            found = snprintf(dir, room, "%s", entry->dir) < (int)room;
    unlock_pools();
    return found;
}

int hl_pools_open(const char *dir, struct hugelite_pool **ret_pool)
{
    struct hugelite_pool *pool;
    char chosen[PATH_MAX];
    int rc = -ENOENT;

    if (!dir && find_chosen(chosen, sizeof chosen))
        rc = hugelite_pool_open(chosen, NULL, &pool);
    if (rc < 0)
        rc = hugelite_pool_open(dir, NULL, &pool);
    if (rc < 0)
        return rc;
    rc = note_pool(pool, !dir && !getenv("HUGELITE_POOL"));
    if (rc < 0) {
        hugelite_pool_close(pool);
        return rc;
    }
    *ret_pool = pool;
    return 0;
}

void hl_pools_close(struct hugelite_pool *pool)
{
    struct pool_entry *entry, *former = NULL;

    if (!pool)
        return;
    lock_pools();
    entry = find_pool(pool);
    if (--entry->opens == 0) {
        former = kept;
        kept = entry;
        for (struct pool_entry **link = &pools; former && *link; link = &(*link)->next)
            if (*link == former) {
                *link = former->next;
                break;
            }
        pool = former ? former->pool : NULL;
    }
    unlock_pools();
    free(former);
    hugelite_pool_close(pool);
}

char **hl_pools_list(void)
{
    size_t nr = 0, i = 0;
    char **dirs;

    lock_pools();
    for (struct pool_entry *entry = pools; entry; entry = entry->next)
        nr++;
    dirs = sqlite3_malloc64((nr + 1) * sizeof *dirs);
    for (struct pool_entry *entry = pools; dirs && entry; entry = entry->next) {
        size_t same = 0;

        /* A forked child may have one of its own and one of its parent's. */
        while (same < i && strcmp(dirs[same], entry->dir) != 0)
            same++;
        if (same == i && (dirs[i] = sqlite3_mprintf("%s", entry->dir)))
            i++;
    }
    if (dirs)
        dirs[i] = NULL;
    unlock_pools();
    return dirs;
}

/* ---- the method table ---------------------------------------------------- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    (void)vfs;
    if (name && !(flags & SQLITE_OPEN_MAIN_DB) && hl_uri_is_remote(name)) {
        file->pMethods = NULL;
        return SQLITE_CANTOPEN; /* a journal beside an object: nothing is made of that name here */
    }
    /* The file of another kind lives in the caller's memory as the VFS below
     * made it: nothing of ours is in its way. */
    if (!(flags & SQLITE_OPEN_MAIN_DB) || !name)
        return below->xOpen(below, name, file, flags, ret_flags);
    return hl_file_open(name, file, flags, ret_flags);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    if (hl_uri_is_remote(name))
        return SQLITE_IOERR_DELETE_NOENT;
    return below->xDelete(below, name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_yes)
{
    (void)vfs;
    if (name && hl_uri_is_remote(name)) { /* no journal beside an object */
        *ret_yes = 0;
        return SQLITE_OK;
    }
    return below->xAccess(below, name, flags, ret_yes);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int room, char *ret_path)
{
    (void)vfs;
    if (!hl_uri_is_remote(name))
        return below->xFullPathname(below, name, room, ret_path);
    if (snprintf(ret_path, (size_t)room, "%s", name) >= room)
        return SQLITE_CANTOPEN_FULLPATH;
    return SQLITE_OK;
}

static void *vfs_dl_open(sqlite3_vfs *vfs, const char *path)
{
    (void)vfs;
    return below->xDlOpen(below, path);
}

static void vfs_dl_error(sqlite3_vfs *vfs, int room, char *message)
{
    (void)vfs;
    below->xDlError(below, room, message);
}

static void (*vfs_dl_sym(sqlite3_vfs *vfs, void *library, const char *name))(void)
{
    (void)vfs;
    return below->xDlSym(below, library, name);
}

static void vfs_dl_close(sqlite3_vfs *vfs, void *library)
{
    (void)vfs;
    below->xDlClose(below, library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int room, char *bytes)
{
    (void)vfs;
    return below->xRandomness(below, room, bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return below->xSleep(below, microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_time)
{
    (void)vfs;
    return below->xCurrentTime(below, ret_time);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int room, char *message)
{
    (void)vfs;
    if (!last_errno)
        return below->xGetLastError ? below->xGetLastError(below, room, message) : 0;
    if (room > 0 && message)
        snprintf(message, (size_t)room, "%s", strerror(last_errno));
    return last_errno;
}

static int vfs_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret_time)
{
    (void)vfs;
    return below->xCurrentTimeInt64(below, ret_time);
}

static int vfs_set_system_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
    (void)vfs;
    return below->xSetSystemCall(below, name, call);
}

static sqlite3_syscall_ptr vfs_get_system_call(sqlite3_vfs *vfs, const char *name)
{
    (void)vfs;
    return below->xGetSystemCall(below, name);
}

static const char *vfs_next_system_call(sqlite3_vfs *vfs, const char *name)
{
    (void)vfs;
    return below->xNextSystemCall(below, name);
}

/* Not const: SQLite links registered VFSes through pNext. */
sqlite3_vfs hl_vfs = {
    .zName = "hugelite",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_pathname,
    .xDlOpen = vfs_dl_open,
    .xDlError = vfs_dl_error,
    .xDlSym = vfs_dl_sym,
    .xDlClose = vfs_dl_close,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_current_time,
    .xGetLastError = vfs_get_last_error,
    .xCurrentTimeInt64 = vfs_current_time_int64,
    .xSetSystemCall = vfs_set_system_call,
    .xGetSystemCall = vfs_get_system_call,
    .xNextSystemCall = vfs_next_system_call,
};

void hl_vfs_stack(sqlite3_vfs *under)
{
    below = under;
    hl_vfs.iVersion = under->iVersion < 3 ? under->iVersion : 3;
    hl_vfs.szOsFile = (int)hl_file_bytes() + under->szOsFile;
    hl_vfs.mxPathname = under->mxPathname > NAME_MAX_BYTES ? under->mxPathname : NAME_MAX_BYTES;
    /* A slot that the VFS below leaves empty tells SQLite to do without. */
    if (!under->xDlOpen) {
        hl_vfs.xDlOpen = NULL;
        hl_vfs.xDlError = NULL;
        hl_vfs.xDlSym = NULL;
        hl_vfs.xDlClose = NULL;
    }
    pthread_atfork(lock_pools, unlock_pools, unlock_pools);
}
