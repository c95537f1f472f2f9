/* SPDX-License-Identifier: MIT
 *
 * test-vfs-pinned-full: statements hold every chunk that the pool has room for.
 *
 * Passes when more statements than the budget has chunks, each stopped in another chunk,
 * in plain and immutable connections, all go on to the right end, as what finds no room is
 * read past the cache.
 */
#include "test-vfs-common.h"

enum { CONNECTIONS = 12, ROWS = 240000 }; /* 25 MiB; the pool holds 8 */

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    sqlite3_stmt *stmts[CONNECTIONS];
    sqlite3 *dbs[CONNECTIONS];

    vfs_begin();
    setenv("HUGELITE_POOL_SIZE", "8M", 1);
    test_db(path, ROWS);
    for (int i = 0; i < CONNECTIONS; i++) {
        dbs[i] = vfs_open(path, i % 2 ? "" : "&immutable=1");
        EXPECT_EQ(sqlite3_prepare_v2(dbs[i], "SELECT id, k FROM t WHERE id >= ?", -1, &stmts[i],
                                     NULL), SQLITE_OK);
        sqlite3_bind_int(stmts[i], 1, 1 + i * (ROWS / CONNECTIONS));
        EXPECT_EQ(sqlite3_step(stmts[i]), SQLITE_ROW);
    }
    for (int row = 0; row < 3000; row++)
        for (int i = 0; i < CONNECTIONS; i++) {
            int64_t id = 1 + i * (ROWS / CONNECTIONS) + row;

            EXPECT_EQ(sqlite3_column_int64(stmts[i], 0), id);
            EXPECT_EQ(sqlite3_column_int64(stmts[i], 1), test_db_k(id));
            EXPECT_EQ(sqlite3_step(stmts[i]), SQLITE_ROW);
        }
    EXPECT_EQ(sql_int(dbs[0], "SELECT count(v) FROM t"), ROWS);
    EXPECT(sql_int(dbs[0], "SELECT pool_resident_bytes FROM hugelite_stat") <= 8 << 20);
    for (int i = 0; i < CONNECTIONS; i++) {
        sqlite3_finalize(stmts[i]);
        sqlite3_close(dbs[i]);
    }
    return 0;
}
