/* SPDX-License-Identifier: MIT
 *
 * test-scout-lookups: after the scout has been out, a lookup by SQLite that finds nothing in any
 * cache costs one request, that for its leaf; before, it costs one for each level.
 *
 * Passes when ten lookups far from each other send twelve requests at most, and before that a
 * lookup has sent more than one.
 */
#include "config.h"

#include "hugelite-vfs.h"
#include "kit-origin.h"
#include "kit.h"
#include "pool.h"
#include "scout-kit.h"
#include "transfer.h"
#include "volume.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 200000, FIRST_MAX = 200, LOOKUPS = 10 };

static struct kit_origin *origin;

static uint64_t requests(void)
{
    return kit_origin_stat(origin).requests;
}

/* SQLite forgets all pages, so each lookup begins at the root. */
static void look_up(sqlite3 *db, sqlite3_stmt *statement, int64_t id)
{
    EXPECT_EQ(sqlite3_db_release_memory(db), SQLITE_OK);
    sqlite3_bind_int64(statement, 1, id);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int64(statement, 0), test_db_k(id));
    EXPECT_EQ(sqlite3_reset(statement), SQLITE_OK);
}

/* Here and there, in no order, until it has been seen that this is what we do. */
static void send_out(struct hl_volume *volume, sqlite3 *db, sqlite3_stmt *statement)
{
    for (int i = 1; !hl_scout_has_gone(volume); i++) {
        EXPECT(i < FIRST_MAX);
        look_up(db, statement, 1 + i * 77773ll % ROWS);
    }
    sk_await_scouts();
}

static void check(const char *name)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool *pool;
    sqlite3_stmt *statement;
    uint64_t first, before;
    char uri[1000];
    sqlite3 *db;

    snprintf(uri, sizeof uri, "file:%s?vfs=hugelite&pool=%s", kit_origin_url(origin, name), dir);
    EXPECT_EQ(sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k FROM t WHERE id = ?", -1, &statement, NULL),
              SQLITE_OK);
    first = requests();
    look_up(db, statement, ROWS / 2);
    first = requests() - first;
    pool = kit_pool(dir, 2); /* SQLite's, once more */
    send_out(pool->volumes, db, statement);
    hugelite_pool_close(pool);

    before = requests();
    for (int i = 0; i < LOOKUPS; i++)
        look_up(db, statement, 1 + (2 * i + 1) * (ROWS / LOOKUPS / 2));
    printf("%s: %llu requests for the first lookup, %llu for ten when the scout is back\n", name,
           (unsigned long long)first, (unsigned long long)(requests() - before));
    EXPECT(first > 1);
    EXPECT(requests() - before <= LOOKUPS * 12 / 10);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(void)
{
    const char *dir = test_dir();

    setenv("HUGELITE_POOL_SIZE", "4M", 1); /* no room: what is counted is lookups, not fills */
    sk_db(test_path(dir, "plain.db"), ROWS);
    sk_pack(test_path(dir, "plain.db"), test_path(dir, "packed.db.zst"));
    origin = kit_origin(dir);
    hl_stall_ns = 0; /* requests are counted */
    EXPECT_EQ(hugelite_vfs_register(0), SQLITE_OK);
    sk_use_state(true);
    check("/plain.db");
    check("/packed.db.zst");
    setenv("HUGELITE_STATE", "none", 1);
    check("/plain.db");
    check("/packed.db.zst");
    kit_origin_stop(origin);
    return 0;
}
