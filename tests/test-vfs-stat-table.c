/* SPDX-License-Identifier: MIT
 *
 * test-vfs-stat-table: the table hugelite_stat tells what the pool holds.
 *
 * Passes when its figures are those of the C interface, "pool" chooses another pool, a
 * stock connection sees it too, joins with it work, it cannot be written, and the manual page has
 * all of its columns, in order.
 */
#include "test-vfs-common.h"

static void manual_has_columns(sqlite3 *db)
{
    size_t bytes;
    char *manual = file_load(TEST_SRCDIR "/../vfs/hugelite-vfs.pod", &bytes), *at;
    sqlite3_stmt *stmt;

    manual[bytes] = '\0';
    at = strstr(manual, "\n source ");
    EXPECT(at);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info('hugelite_stat')", -1,
                                 &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        size_t n = strlen(name);

        EXPECT_MEM(at, "\n ", 2);
        EXPECT_MEM(at + 2, name, n);
        EXPECT_EQ(at[2 + n], ' ');
        at = strchr(at + 1, '\n');
        EXPECT(at);
    }
    EXPECT_EQ(at[1], '\n'); /* and no other */
    sqlite3_finalize(stmt);
    free(manual);
}

int main(void)
{
    const char *dir = test_dir(), *a = test_path(dir, "a.db"), *b = test_path(dir, "b.db");
    const char *pool_b = test_pool_dir();
    struct hugelite_volume_stat vol;
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    sqlite3 *one, *two, *stock;
    char text[5000];
    size_t nr;

    vfs_begin();
    test_db(a, 40000);
    test_db(b, 1000);
    stock = stock_open(a);
    EXPECT_EQ(sql_int(stock, "SELECT count(*) FROM hugelite_stat"), 0); /* and makes none */
    manual_has_columns(stock);

    one = vfs_open(a, "");
    EXPECT_EQ(sql_int(one, "SELECT count(v) FROM t"), 40000);
    snprintf(text, sizeof text, "&pool=%s", pool_b);
    two = vfs_open(b, text);
    EXPECT_EQ(sql_int(two, "SELECT count(v) FROM t"), 1000);
    EXPECT_EQ(sql_int(stock, "SELECT count(*) FROM hugelite_stat"), 2);

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_stat(pool, &stat), 0);
    EXPECT_RC(hugelite_pool_volumes(pool, &vol, 1, &nr), 0);
    EXPECT_EQ(nr, 1);
    snprintf(text, sizeof text,
             "SELECT printf('%%s %%d %%d %%d %%d %%d %%d %%d %%d %%d %%d %%d %%d %%d %%s %%s %%d"
             " %%d %%d %%d %%d%%s',"
             " source, bytes, resident_bytes, fills, source_bytes, evictions, waits, errors,"
             " frames_decoded, early_reads, requests, tier_bytes, unvalidated, superseded,"
             " pool_dir, pool_pages, page_bytes, budget_bytes, pool_resident_bytes, readers, heap_bytes,"
             " notice)"
             " FROM hugelite_stat WHERE source = '%s'", a);
    {
        char *expected = sqlite3_mprintf(
            "%s %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %s %s %llu %llu "
            "%llu %llu %llu%s",
            vol.source, vol.bytes, vol.resident_bytes, vol.fills, vol.source_bytes, vol.evictions,
            vol.waits, vol.errors, vol.frames_decoded, vol.early_reads, vol.requests,
            vol.tier_bytes, vol.unvalidated, vol.superseded, stat.dir, stat.pages,
            stat.page_bytes, stat.budget_bytes, stat.resident_bytes, stat.readers,
            stat.heap_bytes, stat.notice);

        EXPECT_STR(sql_text(stock, text), expected);
        sqlite3_free(expected);
    }
    EXPECT(vol.fills >= 2 && vol.resident_bytes == vol.fills * HUGELITE_CHUNK_BYTES);
    hugelite_pool_close(pool);

    snprintf(text, sizeof text, "SELECT source FROM hugelite_stat('%s')", pool_b);
    EXPECT_STR(sql_text(stock, text), b);
    snprintf(text, sizeof text, "SELECT count(*) FROM (SELECT '%s' AS p UNION SELECT '%s') "
             "JOIN hugelite_stat ON pool = p", pool_b, getenv("HUGELITE_POOL"));
    EXPECT_EQ(sql_int(stock, text), 2);
    EXPECT_EQ(sql_int(stock, "SELECT count(*) FROM hugelite_stat WHERE pool IS NULL"), 0);
    EXPECT_EQ(sql_rc(stock, "SELECT * FROM hugelite_stat('/no/such/pool')"), SQLITE_ERROR);
    EXPECT_CONTAINS(sqlite3_errmsg(stock), "/no/such/pool");
    EXPECT_EQ(sql_rc(stock, "DELETE FROM hugelite_stat") != SQLITE_OK, 1);

    sqlite3_close(one);
    sqlite3_close(two);
    /* No pool is open now: the default one is looked at, which is still there. */
    EXPECT_EQ(sql_int(stock, "SELECT count(*) FROM hugelite_stat"), 1);
    sqlite3_close(stock);
    return 0;
}
