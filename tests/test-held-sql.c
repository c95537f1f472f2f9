/* SPDX-License-Identifier: MIT
 *
 * test-held-sql: a statement in mid-scan holds its pages while another process sends a larger file
 * through the pool and evicts all that can go, and the database is deleted, cut, overwritten
 * or replaced.
 *
 * Passes when the row at hand stays what it is, each later row is right, and the scan ends with all
 * rows (where the old file still exists under its descriptor) or with SQLITE_IOERR_READ and a sentence
 * that names the file; and when the connection answers other statements afterwards, with the right rows
 * or that error.  No signal comes.
 */
#include "test-vfs-common.h"

#include "held.h"
#include "kit.h"

enum {
    ROWS = 60000, /* some 7 MiB */
    ROWS_BEFORE = 1000,
    OTHER_CHUNKS = 12,
    OTHER_SEED = 5,
};

static const char *path, *second, *other, *dir;
static struct {
    _Atomic unsigned asked, done;
} *shared;

/* Another process, for as long as the test: SQLite is not used in a forked child. */
static void presser(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 1);

    (void)arg;
    for (unsigned nr = 1;; nr++) {
        struct hugelite_volume *vol;

        while (atomic_load(&shared->asked) < nr)
            test_sleep_ms(1);
        vol = kit_volume(pool, other);
        for (unsigned i = 0; i < 2; i++)
            kit_verify(vol, OTHER_SEED);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        hugelite_volume_close(vol);
        atomic_store(&shared->done, nr);
    }
}

static void press(void)
{
    unsigned nr = atomic_fetch_add(&shared->asked, 1) + 1;

    kit_await(&shared->done, nr);
}

static void delete(void)
{
    EXPECT_EQ(unlink(path), 0);
}

static void cut(void)
{
    EXPECT_EQ(truncate(path, 0), 0);
}

static void overwrite(void)
{
    size_t bytes;
    char *all = file_load(path, &bytes);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    memset(all, 0x55, bytes);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, all, bytes, 0), bytes);
    close(fd);
    free(all);
}

static void replace(void)
{
    test_db(second, 10);
    EXPECT_EQ(rename(second, path), 0);
}

static void expect_row(sqlite3_stmt *stmt, int64_t id)
{
    char start[32];

    EXPECT_EQ(sqlite3_column_int64(stmt, 0), id);
    EXPECT_EQ(sqlite3_column_int64(stmt, 1), test_db_k(id));
    snprintf(start, sizeof start, "row %lld ", (long long)id);
    EXPECT_MEM(sqlite3_column_text(stmt, 2), start, strlen(start));
}

static void try(struct hugelite_pool *pool, void (*go)(void), bool stays)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t id;
    int rc;

    test_db(path, ROWS);
    kit_age(path);
    db = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT id, k, v FROM t ORDER BY id", -1, &stmt, NULL),
              SQLITE_OK);
    for (id = 1; id <= ROWS_BEFORE; id++) {
        EXPECT_EQ(sqlite3_step(stmt), SQLITE_ROW);
        expect_row(stmt, id);
    }
    press();
    expect_row(stmt, ROWS_BEFORE);
    held_await_crew(pool);
    go();
    press();
    expect_row(stmt, ROWS_BEFORE);
    for (; (rc = sqlite3_step(stmt)) == SQLITE_ROW; id++) {
        expect_row(stmt, id);
        if (id % (ROWS / 6) == 0)
            press();
    }
    if (stays) {
        EXPECT_EQ(rc, SQLITE_DONE);
        EXPECT_EQ(id, ROWS + 1);
    } else {
        EXPECT_EQ(rc & 0xff, SQLITE_IOERR);
        EXPECT_EQ(sqlite3_extended_errcode(db), SQLITE_IOERR_READ);
        EXPECT(id > ROWS_BEFORE && id < ROWS);
        EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), path);
    }
    sqlite3_finalize(stmt);
    press();
    EXPECT_EQ(sql_rc(db, "SELECT sum(length(v)) FROM t"), stays ? SQLITE_OK : SQLITE_IOERR_READ);
    EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
    unlink(path);
}

int main(void)
{
    const char *files = test_dir();
    struct hugelite_pool *pool;
    pid_t pid;

    dir = test_pool_dir();
    path = test_path(files, "x.db");
    second = test_path(files, "x.db.new");
    other = test_path(files, "other");
    test_file(other, OTHER_CHUNKS * CHUNK, OTHER_SEED);
    kit_age(other);
    shared = kit_shared(sizeof *shared);
    hugelite_pool_close(kit_pool(dir, 4));
    pid = kit_fork(presser, NULL);
    vfs_begin_in(dir);
    pool = kit_pool(dir, 1);
    try(pool, delete, true);
    try(pool, cut, false);
    try(pool, overwrite, false);
    try(pool, replace, true);
    hugelite_pool_close(pool);
    kit_kill(pid);
    return 0;
}
