/* SPDX-License-Identifier: MIT
 *
 * test-inject-vfs: through SQLite, the Nth call of each kind fails, and the Nth allocation: of the
 * engine and the VFS, of SQLite itself, and of the VFS below.
 *
 * A database, raw or compressed, is opened with its pool, queried here and there and whole, and
 * closed.  Passes when each row is right or the statement ends with an error that does not blame
 * the file (SQLITE_CORRUPT, SQLITE_NOTADB); when the same process then gets every row; when
 * nobody is kept from writing by a statement that failed, nor afterwards; and when descriptors,
 * threads, pools and memory are as before.  The pool is empty each time, so that fills fail, too.
 * In CI thinned, as inject-kit.h says; all with HUGELITE_TEST_SECONDS.
 */
#include "test-vfs-common.h"

#include "inject-kit.h"
#include "kit.h"
#include "stop.h"

#include <dirent.h>
#include <stdarg.h>

#define ROWS 25000

static const char *pools[2];
static struct peer peer;
static unsigned nr_runs, nr_failed;

/* ---- SQLite's own memory, and the VFS below --------------------------------- */

enum below { BELOW_MEMORY, BELOW_OPEN, BELOW_STAT, BELOW_FCNTL, BELOW_READ, BELOWS };

static const char *const below_names[] = { "allocation of SQLite", "open below", "stat below",
                                           "fcntl below", "read below" };
static const int below_ways[BELOWS][3] = {
    { ENOMEM }, { EMFILE, EACCES, EINTR }, { EIO, ENOMEM }, { ENOLCK, EINTR, EAGAIN },
    { EIO, EINTR, STOP_SHORT },
};
static struct {
    _Atomic unsigned left; /* 0 = none is to fail */
    _Atomic unsigned came;
    enum below below;
    int err;
} below;
static sqlite3_mem_methods memory;

static int fails_below(enum below which)
{
    if (below.below != which || !atomic_load(&below.left) ||
        atomic_fetch_sub(&below.left, 1) != 1)
        return 0;
    atomic_fetch_add(&below.came, 1);
    errno = below.err;
    return below.err;
}

static void *mem_malloc(int bytes)
{
    return fails_below(BELOW_MEMORY) ? NULL : memory.xMalloc(bytes);
}

static void *mem_realloc(void *block, int bytes)
{
    return fails_below(BELOW_MEMORY) ? NULL : memory.xRealloc(block, bytes);
}

static int below_open(const char *path, int flags, int mode)
{
    return fails_below(BELOW_OPEN) ? -1 : open(path, flags, mode);
}

static int below_stat(const char *path, struct stat *st)
{
    return fails_below(BELOW_STAT) ? -1 : stat(path, st);
}

static int below_fstat(int fd, struct stat *st)
{
    return fails_below(BELOW_STAT) ? -1 : fstat(fd, st);
}

static int below_fcntl(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return fails_below(BELOW_FCNTL) ? -1 : fcntl(fd, command, arg);
}

static ssize_t below_pread(int fd, void *buffer, size_t length, off_t offset)
{
    int err = fails_below(BELOW_READ);

    return err > 0 ? -1 : pread(fd, buffer, err == STOP_SHORT ? (length + 1) / 2 : length, offset);
}

static ssize_t below_read(int fd, void *buffer, size_t length)
{
    int err = fails_below(BELOW_READ);

    return err > 0 ? -1 : read(fd, buffer, err == STOP_SHORT ? (length + 1) / 2 : length);
}

static void hook_below(void)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        { "open", (sqlite3_syscall_ptr)below_open }, { "stat", (sqlite3_syscall_ptr)below_stat },
        { "fstat", (sqlite3_syscall_ptr)below_fstat },
        { "fcntl", (sqlite3_syscall_ptr)below_fcntl },
        { "pread", (sqlite3_syscall_ptr)below_pread },
        { "pread64", (sqlite3_syscall_ptr)below_pread },
        { "read", (sqlite3_syscall_ptr)below_read },
    };
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (vfs->xGetSystemCall(vfs, calls[i].name))
            EXPECT_EQ(vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call), SQLITE_OK);
}

static void hook_memory(void)
{
    sqlite3_mem_methods mine;

    EXPECT_EQ(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
    mine = memory;
    mine.xMalloc = mem_malloc;
    mine.xRealloc = mem_realloc;
    EXPECT_EQ(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
}

/* ---- the story ------------------------------------------------------------- */

/* An error of a kind that may come of a call that failed. */
static void expect_honest(sqlite3 *db, int rc, const char *during)
{
    int primary = rc & 0xff;

    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_INTERNAL ||
        primary == SQLITE_MISUSE || primary == SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %d, %s", during, rc, db ? sqlite3_errmsg(db) : "");
}

/* Steps to the end; what a row must be is asked of check. */
static bool query(sqlite3 *db, const char *sql, void (*check)(sqlite3_stmt *stmt, int nr), int nr)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), rows = 0;

    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
            check(stmt, nr);
            rows++;
        }
        if (rc == SQLITE_DONE) {
            EXPECT_EQ(rows, 1);
            rc = SQLITE_OK;
        }
    }
    if (rc != SQLITE_OK)
        expect_honest(db, sqlite3_extended_errcode(db), sql);
    sqlite3_finalize(stmt);
    return rc == SQLITE_OK;
}

static void check_row(sqlite3_stmt *stmt, int id)
{
    const char *text = (const char *)sqlite3_column_text(stmt, 1);
    char expected[32];

    if (!text) /* no memory to show it */
        return;
    snprintf(expected, sizeof expected, "row %d ", id);
    EXPECT_EQ(sqlite3_column_int64(stmt, 0), test_db_k(id));
    EXPECT_EQ(strncmp(text, expected, strlen(expected)), 0);
}

static void check_sums(sqlite3_stmt *stmt, int nr)
{
    (void)nr;
    EXPECT_EQ(sqlite3_column_int64(stmt, 0), ROWS);
    EXPECT_EQ(sqlite3_column_int64(stmt, 1), (int64_t)ROWS * (ROWS + 1) / 2);
}

static bool raw; /* may others write it, too? */

static bool tell(const char *path, int pool)
{
    static const int ids[] = { 1, 24000, 9000, 17000, 300 };
    char params[4200], sql[100];
    bool well = true;
    sqlite3 *db = NULL;
    int rc;

    snprintf(params, sizeof params, "&pool=%s", pools[pool]);
    rc = vfs_try(path, "hugelite", params, &db);
    if (rc != SQLITE_OK) {
        expect_honest(db, db ? sqlite3_extended_errcode(db) : rc, "open");
        sqlite3_close(db);
        return false;
    }
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        snprintf(sql, sizeof sql, "SELECT k, v FROM t WHERE id = %d", ids[i]);
        if (query(db, sql, check_row, ids[i]))
            continue;
        well = false;
        /* It has no lock any more, unless the VFS below has failed to let go of one. */
        if (raw && below.below != BELOW_FCNTL)
            peer_sql(peer, "BEGIN EXCLUSIVE; ROLLBACK");
    }
    well = query(db, "SELECT count(*), sum(id) FROM t WHERE length(v) > 5", check_sums, 0) && well;
    EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
    return well;
}

/* ---- the sweeps ------------------------------------------------------------ */

static int64_t noted;

/* So that what is read then has to be filled. */
static void empty(const char *dir)
{
    struct hugelite_pool *pool = kit_pool(dir, 4);

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    hugelite_pool_close(pool);
}

/* Pools that this process has open. */
static unsigned nr_attached(void)
{
    char target[4096];
    struct dirent *entry;
    DIR *fds = opendir("/proc/self/fd");
    unsigned nr = 0;

    EXPECT(fds != NULL);
    while ((entry = readdir(fds))) {
        ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1);

        target[length > 0 ? length : 0] = '\0';
        nr += length > 8 && strcmp(target + length - 8, "/control") == 0;
    }
    closedir(fds);
    return nr;
}

/* One pool is kept open, so the other is attached anew. */
static bool run(const char *path, void (*arm)(void *arg), bool (*disarm)(void), void *arg)
{
    bool failed;

    EXPECT(tell(path, 1));
    empty(pools[0]);
    arm(arg);
    tell(path, 0);
    failed = disarm();
    vfs_log_clear();
    EXPECT(tell(path, 0));
    if (raw)
        peer_sql(peer, "BEGIN EXCLUSIVE; ROLLBACK");
    EXPECT(tell(path, 1));
    EXPECT_EQ(nr_attached(), 1);
    ik_balance(false);
    EXPECT_EQ(sqlite3_memory_used(), noted);
    nr_runs++;
    nr_failed += failed;
    return failed;
}

static void settle(const char *path)
{
    for (int i = 0; i < 3; i++) {
        EXPECT(tell(path, 1));
        EXPECT(tell(path, 0));
    }
    EXPECT(tell(path, 1));
    ik_balance(true);
    noted = sqlite3_memory_used();
}

struct failure {
    int what, err;
    unsigned nth;
};

static void arm_call(void *arg)
{
    struct failure *failure = arg;

    stop_fail_kind((enum stop_kind)failure->what, failure->nth, 1, failure->err);
}

/* And all that follow. */
static void arm_calls(void *arg)
{
    struct failure *failure = arg;

    stop_fail_kind((enum stop_kind)failure->what, failure->nth, 1000000, failure->err);
}

static bool disarm_call(void)
{
    bool failed = stop_failed_kind();

    stop_fail_kind(STOP_K_OPENAT, 1, 0, 0);
    return failed;
}

static void arm_below(void *arg)
{
    struct failure *failure = arg;

    below.below = (enum below)failure->what;
    below.err = failure->err;
    atomic_store(&below.came, 0);
    atomic_store(&below.left, failure->nth);
}

static bool disarm_below(void)
{
    atomic_store(&below.left, 0);
    return atomic_load(&below.came);
}

static void arm_memory(void *arg)
{
    struct failure *failure = arg;

    ik_deny((enum ik_want)failure->what, failure->nth, 1);
}

static bool disarm_memory(void)
{
    bool denied = ik_denied();

    ik_deny(IK_MEMORY, 1, 0);
    return denied;
}

static void sweep_one(const char *path, const char *name, int what, const int *errs,
                      unsigned nr_errs, void (*arm)(void *arg), bool (*disarm)(void))
{
    bool came = true;

    for (unsigned nth = 1; came; nth = ik_next(nth)) {
        came = false;
        for (unsigned way = 0; way < nr_errs; way++) {
            struct failure failure = { what, errs[way], nth };

            if (!ik_takes(nth + !raw, way, nr_errs))
                continue;
            ik_say("%s: %s number %u fails with %s", path, name, nth, stop_err_name(errs[way]));
            came = run(path, arm, disarm, &failure) || came;
        }
    }
}

static void sweep(const char *path)
{
    static const int errs[] = { EIO, ENOMEM, EINTR };

    ik_say("%s: nothing fails", path);
    settle(path);
    for (int what = 0; what < BELOWS; what++) {
        unsigned nr = 1;

        while (nr < 3 && below_ways[what][nr])
            nr++;
        sweep_one(path, below_names[what], what, below_ways[what], nr, arm_below, disarm_below);
    }
    for (int what = 0; what < IK_WANTS; what++)
        sweep_one(path, ik_want_name((enum ik_want)what), what, &errs[1], 1, arm_memory,
                  disarm_memory);
    for (int what = 0; what < STOP_KINDS; what++)
        if (what != STOP_K_COPY) /* test-inject-copies has what it may say */
            sweep_one(path, stop_kind_name((enum stop_kind)what), what, errs, 3, arm_call,
                      disarm_call);
    sweep_one(path, "pread with all that follow", STOP_K_PREAD, errs, 2, arm_calls,
              disarm_call);
    ik_say("%s", "");
}

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "plain.db");
    const char *packed = test_path(dir, "packed.db.zst");

    hook_memory(); /* before SQLite is used */
    test_db(path, ROWS);
    zst_make(path, packed, 65536, NULL);
    kit_age(path);
    kit_age(packed);
    peer = peer_start();
    peer_open(peer, path);
    pools[0] = test_pool_dir();
    pools[1] = test_pool_dir();
    setenv("HUGELITE_POOL_SIZE", "8M", 1);
    vfs_begin_in(pools[0]);
    setenv("HUGELITE_POOL_SIZE", "8M", 1);
    hook_below();
    raw = true;
    sweep(path);
    raw = false;
    sweep(packed);
    peer_stop(peer);
    fprintf(stderr, "%u runs, in %u of them something failed\n", nr_runs, nr_failed);
    EXPECT(nr_failed > 80);
    return 0;
}
