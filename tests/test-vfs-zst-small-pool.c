/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-small-pool: a compressed database several times larger than the pool.
 *
 * Passes when integrity_check, scans and lookups in the order of an index give what stock
 * SQLite gives over the plain file, the pool stays within its budget, and chunks were evicted.
 */
#include "test-vfs-common.h"

enum { ROWS = 300000 }; /* 42 MiB with its index; the pool holds 12 */

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    uint64_t scan, by_k;
    sqlite3 *stock, *db;

    vfs_begin();
    setenv("HUGELITE_POOL_SIZE", "12M", 1);
    test_db(plain, ROWS);
    stock = stock_open(plain);
    sql_exec(stock, "PRAGMA synchronous=off; CREATE INDEX byk ON t(k)");
    scan = sql_hash(stock, "SELECT * FROM t");
    by_k = sql_hash(stock, "SELECT * FROM t WHERE k >= 0 ORDER BY k LIMIT 500");
    sqlite3_close(stock);
    zst_make(plain, zst, 64 << 10, NULL);

    db = vfs_open(zst, "");
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    EXPECT(sql_hash(db, "SELECT * FROM t WHERE k >= 0 ORDER BY k LIMIT 500") == by_k);
    EXPECT(sql_hash(db, "SELECT * FROM t") == scan);
    EXPECT_EQ(sql_int(db, "SELECT budget_bytes FROM hugelite_stat"), 12 << 20);
    EXPECT(sql_int(db, "SELECT pool_resident_bytes FROM hugelite_stat") <= 12 << 20);
    EXPECT(sql_int(db, "SELECT evictions FROM hugelite_stat") > 10);
    EXPECT_EQ(sql_int(db, "SELECT errors FROM hugelite_stat"), 0);
    sqlite3_close(db);
    return 0;
}
