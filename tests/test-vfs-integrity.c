/* SPDX-License-Identifier: MIT
 *
 * test-vfs-integrity: a rich database (indexes, large and small rows, FTS5, WITHOUT ROWID,
 * free pages, every page size) reads the same through us, plain and compressed, as through stock
 * SQLite.
 */
#include "test-vfs-common.h"

int main(void)
{
    static const int page_sizes[] = { 512, 1024, 4096, 16384, 65536 };
    static const char *const queries[] = {
        "SELECT * FROM t", "SELECT * FROM w", "SELECT length(b), hex(substr(b, -20)) FROM big",
        "SELECT rowid FROM f WHERE f MATCH 'seven'", "SELECT * FROM t WHERE x > 300 ORDER BY x",
        "SELECT count(*), total(x) FROM t JOIN w USING(id)", "SELECT * FROM sqlite_schema",
        "PRAGMA integrity_check", "PRAGMA freelist_count", "PRAGMA page_count",
    };
    const char *dir = test_dir();

    vfs_begin();
    for (unsigned p = 0; p < sizeof page_sizes / sizeof *page_sizes; p++) {
        sqlite3 *stock, *db, *frozen, *packed;
        char name[30], sql[100];
        const char *path, *zst = test_path(dir, "x.zst");

        snprintf(name, sizeof name, "%d.db", page_sizes[p]);
        path = test_path(dir, name);
        EXPECT_EQ(sqlite3_open_v2(path, &stock, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                  "unix"), SQLITE_OK);
        snprintf(sql, sizeof sql, "PRAGMA page_size=%d; PRAGMA synchronous=off", page_sizes[p]);
        sql_exec(stock, sql);
        sql_exec(stock,
            "BEGIN; CREATE TABLE t(id INTEGER PRIMARY KEY, x REAL, s TEXT);"
            "CREATE INDEX ix ON t(x);"
            "CREATE TABLE w(id INT, y, PRIMARY KEY(id, y)) WITHOUT ROWID; CREATE TABLE big(b);"
            "CREATE VIRTUAL TABLE f USING fts5(words);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
            "INSERT INTO t SELECT i, i * 7 % 1009 / 3.0, printf('%0*d', i % 300, i) FROM n;"
            "INSERT INTO w SELECT id % 500, s FROM t;"
            "INSERT INTO big SELECT zeroblob(1500000)"
            " UNION ALL SELECT CAST(printf('%.*c', 3000000, 'x') AS BLOB);"
            "INSERT INTO f SELECT 'six ' || s || iif(id % 7 = 0, ' seven', ' eight') FROM t;"
            "DELETE FROM t WHERE id % 5 = 0; COMMIT");
        db = vfs_open(path, "");
        frozen = vfs_open(path, "&immutable=1");
        zst_make(path, zst, 100000, NULL);
        packed = vfs_open(zst, "");
        for (unsigned q = 0; q < sizeof queries / sizeof *queries; q++) {
            uint64_t hash = sql_hash(stock, queries[q]);

            EXPECT(sql_hash(db, queries[q]) == hash);
            EXPECT(sql_hash(frozen, queries[q]) == hash);
            EXPECT(sql_hash(packed, queries[q]) == hash);
        }
        EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
        EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
        sqlite3_close(stock);
        sqlite3_close(db);
        sqlite3_close(frozen);
        sqlite3_close(packed);
        EXPECT_EQ(unlink(zst), 0);
    }
    return 0;
}
