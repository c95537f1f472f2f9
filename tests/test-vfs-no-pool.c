/* SPDX-License-Identifier: MIT
 *
 * test-vfs-no-pool: no pool can be had, for several reasons.
 *
 * Passes when each open fails with SQLITE_CANTOPEN and sqlite3_errmsg() says which pool
 * and why; when stock databases of the process go on working; and when the next open
 * succeeds once the reason is gone.
 */
#include "test-vfs-common.h"

#include <sys/stat.h>

int main(void)
{
    const char *dir = test_dir(), *path = test_path(dir, "x.db"), *good;
    const char *wrong[2] = { test_path(dir, "on-disk"), test_path(dir, "no/such/parent") };
    sqlite3 *db;

    vfs_begin();
    test_db(path, 100);
    EXPECT_EQ(mkdir(wrong[0], 0755), 0);
    good = getenv("HUGELITE_POOL");
    good = test_path(good, "");
    for (int i = 0; i < 2; i++) {
        setenv("HUGELITE_POOL", wrong[i], 1);
        EXPECT_EQ(vfs_try(path, "hugelite", i ? "&immutable=1" : "", &db), SQLITE_CANTOPEN);
        EXPECT_CONTAINS(sqlite3_errmsg(db), i ? "no/such" : wrong[i]);
        EXPECT(sqlite3_system_errno(db) != 0);
        sqlite3_close(db);
    }
    EXPECT_EQ(rmdir(wrong[0]), 0); /* nothing was left in it */

    db = stock_open(path);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);
    EXPECT_EQ(sql_rc(db, "SELECT * FROM hugelite_stat") == SQLITE_OK, 1); /* no pool, no rows */
    sqlite3_close(db);

    setenv("HUGELITE_POOL", good, 1);
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);
    sqlite3_close(db);

    setenv("HUGELITE_POOL", test_pool_dir(), 1); /* another one, that is not there yet */
    setenv("HUGELITE_POOL_SIZE", "a lot", 1);
    EXPECT_EQ(vfs_try(path, "hugelite", "", &db), SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), "a lot");
    sqlite3_close(db);
    return 0;
}
