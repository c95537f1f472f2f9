/* SPDX-License-Identifier: MIT
 *
 * test-vfs-stat-table: the table hugelite_stat tells what the pool holds.
 *
 * Passes when its figures are those of the C interface, "pool" chooses another pool, a
 * stock connection sees it too, joins with it work, and it cannot be written.
 */
#include "test-vfs-common.h"

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
             "SELECT printf('%%s %%d %%d %%d %%d %%d %%d %%d %%d %%s %%s %%d %%d %%d %%d',"
             " source, bytes, resident_bytes, fills, source_bytes, evictions, waits, errors,"
             " superseded, pool_dir, pool_pages, page_bytes, budget_bytes, pool_resident_bytes,"
             " readers) FROM hugelite_stat WHERE source = '%s'", a);
    {
        char *expected = sqlite3_mprintf(
            "%s %llu %llu %llu %llu %llu %llu %llu %llu %s %s %llu %llu %llu %llu", vol.source,
            vol.bytes, vol.resident_bytes, vol.fills, vol.source_bytes, vol.evictions, vol.waits,
            vol.errors, vol.superseded, stat.dir, stat.pages, stat.page_bytes, stat.budget_bytes,
            stat.resident_bytes, stat.readers);

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
