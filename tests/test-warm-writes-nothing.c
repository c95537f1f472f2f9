/* SPDX-License-Identifier: MIT
 *
 * test-warm-writes-nothing: a warm lookup writes no line of the shared tables but its own reader's.
 *
 * The handle, once warm, is given a reader entry in memory of its own, and the control segment is
 * made read-only, so that whoever writes to it otherwise dies of it.  Passes when fetch and
 * release of all chunks, and statements through the VFS, do well then, and the pins have gone to that
 * entry; and, so that we know that a write would be found, when a child in which one chunk's word
 * says that it has not been used ends by SIGSEGV in that word.
 */
#include "test-vfs-common.h"

#include "chunk.h"
#include "kit.h"
#include "pool.h"
#include "volume.h"

#include <sys/mman.h>

enum { ROWS = 60000, LOOKUPS = 2000 };

#define SEED 29
#define CHUNKS 5

static struct hugelite_volume *opened; /* the last one, by whomever */
static struct hl_reader own;
static const volatile void *expected; /* where a child is to write */

int __real_hugelite_volume_open(struct hugelite_pool *pool, const char *source,
                                struct hugelite_volume **ret_vol);
int __wrap_hugelite_volume_open(struct hugelite_pool *pool, const char *source,
                                struct hugelite_volume **ret_vol);

/* The VFS keeps its handle to itself. */
int __wrap_hugelite_volume_open(struct hugelite_pool *pool, const char *source,
                                struct hugelite_volume **ret_vol)
{
    int rc = __real_hugelite_volume_open(pool, source, ret_vol);

    if (rc == 0)
        opened = *ret_vol;
    return rc;
}

static void protect(struct hugelite_pool *pool, int prot)
{
    EXPECT_EQ(mprotect(pool->control, pool->control_bytes, prot), 0);
}

/* Nobody evicts here, so nobody looks for the pins that are missing from the tables meanwhile. */
static struct hl_reader *begin(struct hugelite_volume *vol)
{
    struct hl_reader *published = vol->reader;

    memset(&own, 0, sizeof own);
    vol->reader = &own;
    protect(vol->pool, PROT_READ);
    return published;
}

static void end(struct hugelite_volume *vol, struct hl_reader *published)
{
    protect(vol->pool, PROT_READ | PROT_WRITE);
    vol->reader = published;
}

/* Not one after the other: what goes on with a sequence marks nothing. */
static uint64_t nth(unsigned i)
{
    return i * 3 % CHUNKS;
}

static void warm(struct hugelite_volume *vol)
{
    for (unsigned i = 0; i < 3 * CHUNKS; i++)
        kit_verify_chunk(vol, SEED, nth(i));
    kit_await_idle(vol->pool);
}

static void fetch_all(struct hugelite_volume *vol)
{
    for (unsigned i = 0; i < 3 * CHUNKS; i++) {
        const void *data, *again;
        uint64_t c = nth(i);

        EXPECT_RC(hugelite_volume_fetch(vol, c * CHUNK + 4096, 4096, &data), 0);
        EXPECT_EQ(own.pins[c], vol->first + c + 1);
        EXPECT_RC(hugelite_volume_try_fetch(vol, c * CHUNK, 100, &again), 0);
        kit_pattern(data, 4096, SEED, c * CHUNK + 4096);
        hugelite_volume_release(vol, again);
        hugelite_volume_release(vol, data);
        EXPECT_EQ(own.pins[c], 0);
    }
}

static void found(int sig, siginfo_t *info, void *context)
{
    (void)context;
    _exit(sig == SIGSEGV && info->si_addr == expected ? 7 : 8);
}

/* Its own pool and handle: those of the parent are not for a child. */
static void write_once(void *arg)
{
    struct sigaction act = { .sa_sigaction = found, .sa_flags = SA_SIGINFO };
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS + 2);
    struct hugelite_volume *vol = kit_volume(pool, arg);

    warm(vol);
    atomic_fetch_and_explicit(&vol->words[2], ~(uint64_t)HL_CHUNK_REFERENCED,
                              memory_order_seq_cst);
    expected = &vol->words[2];
    sigaction(SIGSEGV, &act, NULL);
    begin(vol);
    fetch_all(vol);
}

static void by_handle(void)
{
    const char *path = test_path(test_dir(), "file");
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hl_reader *published;

    test_file(path, CHUNKS * CHUNK, SEED);
    EXPECT_CHILD(kit_fork(write_once, (void *)path), 7);
    pool = kit_pool(test_pool_dir(), CHUNKS + 2);
    vol = kit_volume(pool, path);
    warm(vol);
    published = begin(vol);
    fetch_all(vol);
    end(vol, published);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static int64_t look_up(sqlite3_stmt *lookup)
{
    int64_t sum = 0;

    for (int i = 0; i < LOOKUPS; i++) {
        sqlite3_bind_int(lookup, 1, 1 + i * 7919 % ROWS);
        EXPECT_EQ(sqlite3_step(lookup), SQLITE_ROW);
        sum += sqlite3_column_int64(lookup, 0);
        sqlite3_reset(lookup);
    }
    return sum;
}

static void by_sql(void)
{
    const char *path = test_path(test_dir(), "db");
    struct hl_reader *published;
    sqlite3_stmt *lookup;
    sqlite3 *db;
    int64_t sum;

    test_db(path, ROWS);
    kit_age(path);
    vfs_begin();
    db = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k FROM t WHERE id = ?", -1, &lookup, NULL), 0);
    EXPECT_RC(hugelite_volume_warm(opened, 0, 0, NULL, NULL), 0);
    sum = look_up(lookup);
    EXPECT_EQ(look_up(lookup), sum); /* the first touches mark */
    kit_await_idle(opened->pool);
    opened->visited = 0;
    published = begin(opened);
    EXPECT_EQ(look_up(lookup), sum);
    end(opened, published);
    EXPECT(opened->visited); /* it was no other handle, nor SQLite's own cache */
    sqlite3_finalize(lookup);
    sqlite3_close(db);
}

int main(void)
{
    by_handle();
    by_sql();
    return 0;
}
