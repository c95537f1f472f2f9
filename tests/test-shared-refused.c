/* SPDX-License-Identifier: MIT
 *
 * test-shared-refused: a process whose seccomp filter refuses userfaultfd(2), or membarrier(2), beside
 * one that may do all.
 *
 * Passes when, with EPERM and with ENOSYS, the pool opens, hugelite_pool_uncached() and the stat's notice
 * name the call; when read gives every byte of a plain and a compressed file, and fetch, map and warm say
 * -EPERM with that sentence and try_fetch -EAGAIN; when SQLite reads a plain file through the VFS below, and
 * an immutable and a compressed one uncached, and PRAGMA hugelite_mode, hugelite_error, the log and
 * hugelite_stat say so; when nothing of that has filled a chunk; and when the other process notices
 * nothing.  As a user who may not open /dev/userfaultfd.
 */
#include "test-vfs-common.h"

#include "kit.h"
#include "seccomp.h"

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK - 12344)
#define SEED 89

enum { ROWS = 20000 };

static const char *dir, *raw, *packed, *db_path, *db_packed;

struct refusal {
    const char *name;
    unsigned number, err;
};

static void read_it(struct hugelite_pool *pool, const char *path, const char *call)
{
    struct hugelite_volume *vol = kit_volume(pool, path);
    uint64_t fills = kit_stat(vol).fills, early = kit_stat(vol).early_reads;
    const void *data = &data;

    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 16, &data), -EPERM);
    EXPECT_CONTAINS(hugelite_error(), path);
    EXPECT_CONTAINS(hugelite_error(), call);
    EXPECT_RC(hugelite_volume_try_fetch(vol, 0, 16, &data), -EAGAIN);
    EXPECT_RC(hugelite_volume_map(vol, &data), -EPERM);
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), -EPERM);
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES, 16, &data), -ERANGE);
    EXPECT_EQ((uintptr_t)data, (uintptr_t)&data);
    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), 0);
    EXPECT_EQ(kit_stat(vol).fills, fills);
    EXPECT(kit_stat(vol).early_reads > early);
    hugelite_volume_close(vol);
}

static void query(const char *path, const char *params, const char *mode, const char *call)
{
    sqlite3 *db;

    vfs_log_clear();
    db = vfs_open(path, params);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE v LIKE 'row %'"), ROWS);
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_mode"), mode);
    EXPECT_CONTAINS(sql_text(db, "SELECT DISTINCT notice FROM hugelite_stat"), call);
    EXPECT_EQ(vfs_log_count("not cached"), 1);
    EXPECT(vfs_log_count(call) > 0);
    if (strncmp(mode, "immutable", 9) == 0)
        EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), call);
    sqlite3_close(db);
}

static void refused(void *arg)
{
    const struct refusal *r = arg;
    struct hugelite_pool_stat *st = malloc(sizeof *st);
    struct hugelite_pool *pool;

    EXPECT(st != NULL);
    if (geteuid() == 0)
        kit_become(65534, 65534);
    else if (access("/dev/userfaultfd", W_OK) == 0)
        test_skip("this user may use /dev/userfaultfd");
    seccomp_refuse(r->number, r->err);

    pool = kit_pool(dir, 4);
    EXPECT(hugelite_pool_uncached(pool) != NULL);
    EXPECT_CONTAINS(hugelite_pool_uncached(pool), r->name);
    EXPECT_RC(hugelite_pool_stat(pool, st), 0);
    EXPECT_CONTAINS(st->notice, r->name);
    read_it(pool, raw, r->name);
    read_it(pool, packed, r->name);
    free(st);

    vfs_begin_in(dir);
    query(db_path, "", "direct: ", r->name);
    query(db_path, "&immutable=1", "immutable, uncached", r->name);
    query(db_packed, "", "immutable, zstd-seekable, uncached", r->name);
    hugelite_pool_close(pool);
}

static void make_databases(void *arg)
{
    struct zst zst;

    (void)arg;
    test_db(db_path, ROWS);
    zst_make(db_path, db_packed, 64 * 1024, &zst);
}

/* Of the same user, but free to do all: makes the pool, and goes on with it meanwhile. */
static void unhindered(void *arg)
{
    static const struct refusal refusals[] = {
        { "userfaultfd", SYS_userfaultfd, EPERM },
        { "userfaultfd", SYS_userfaultfd, ENOSYS },
        { "userfaultfd", SYS_userfaultfd, EACCES },
        { "membarrier", SYS_membarrier, EPERM },
        { "membarrier", SYS_membarrier, ENOSYS },
    };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    if (geteuid() == 0)
        kit_become(65534, 65534);
    pool = kit_pool(dir, 4);
    EXPECT(hugelite_pool_uncached(pool) == NULL);
    vol = kit_volume(pool, raw);
    for (unsigned i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        uint64_t fills;

        kit_verify(vol, SEED);
        fills = kit_stat(vol).fills;
        EXPECT_CHILD(kit_fork(refused, (void *)(uintptr_t)&refusals[i]), 0);
        kit_verify(vol, SEED);
        EXPECT_EQ(kit_stat(vol).fills, fills);
        kit_audit(pool);
    }
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *files = test_dir();
    char *parent;

    raw = test_path(files, "raw");
    packed = test_path(files, "raw.zst");
    db_path = test_path(files, "x.db");
    db_packed = test_path(files, "x.db.zst");
    test_file(raw, BYTES, SEED);
    kit_age(raw);
    kit_zst(packed, BYTES, SEED, 256 * 1024, 0);
    /* Not by SQLite here: it must not be used on both sides of a fork(). */
    EXPECT_CHILD(kit_fork(make_databases, NULL), 0);
    dir = test_pool_dir();
    parent = strdup(dir);
    *strrchr(parent, '/') = '\0';
    if (geteuid() == 0)
        EXPECT_EQ(chmod(parent, 01777), 0);
    free(parent);
    EXPECT_CHILD(kit_fork(unhindered, NULL), 0);
    return 0;
}
