/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-wal: a database that was in WAL mode when it was compressed.
 *
 * Passes when it opens and reads like any other, from the cache, and neither a log nor its index
 * appears beside it.
 */
#include "test-vfs-common.h"

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    unsigned char *image;
    sqlite3 *stock, *db;
    uint64_t hash;
    size_t n;

    vfs_begin();
    test_db(plain, 20000);
    stock = stock_open(plain);
    sql_exec(stock, "PRAGMA journal_mode=WAL; DELETE FROM t WHERE id % 7 = 0");
    hash = sql_hash(stock, "SELECT * FROM t");
    sqlite3_close(stock); /* all is in the file now */
    image = file_load(plain, &n);
    EXPECT_EQ(image[18], 2);
    free(image);
    zst_make(plain, zst, 64 << 10, NULL);

    for (int round = 0; round < 2; round++) { /* cold, warm */
        db = vfs_open(zst, "");
        sql_misses(db);
        EXPECT(sql_hash(db, "SELECT * FROM t") == hash);
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "immutable, zstd-seekable");
        if (round == 1)
            EXPECT(sql_misses(db) <= 4);
        EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
        EXPECT_EQ(sql_rc(db, "DELETE FROM t"), SQLITE_READONLY);
        sqlite3_close(db);
    }
    EXPECT(access(test_path(dir, "x.db.zst-wal"), F_OK) < 0);
    EXPECT(access(test_path(dir, "x.db.zst-shm"), F_OK) < 0);
    EXPECT_EQ(vfs_log_count("hugelite"), 0);
    return 0;
}
