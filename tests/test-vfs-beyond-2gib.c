/* SPDX-License-Identifier: MIT
 *
 * test-vfs-beyond-2gib: a page far behind SQLite's own bound for mmap is fetched, not
 * copied.
 *
 * The file is a real database, made sparse: a table's pages are moved to 2.5, 3 and 5 GiB,
 * with nothing between. Passes when the rows come from there and, as the chunks are resident,
 * the pager copied no page for them.
 */
#include "test-vfs-common.h"

enum { PAGE = 65536 };

static void put_be32(int fd, uint64_t offset, uint32_t value)
{
    unsigned char bytes[4] = { value >> 24, value >> 16, value >> 8, value };

    EXPECT_EQ(pwrite(fd, bytes, 4, (off_t)offset), 4);
}

/* Else a page that is touched for the first time may be copied. */
static void warm(const char *path, uint64_t offset)
{
    struct hugelite_volume *vol;
    struct hugelite_pool *pool;

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), 0);
    EXPECT_RC(hugelite_volume_warm(vol, offset, PAGE, NULL, NULL), 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    static const uint32_t places[3] = { 40961, 49153, 81921 }; /* pages at 2.5, 3, 5 GiB */
    const char *path = test_path(test_dir(), "x.db");
    static char page[PAGE];
    sqlite3 *db;
    int fd;

    vfs_begin();
    db = NULL;
    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"), 0);
    sql_exec(db, "PRAGMA page_size=65536; PRAGMA writable_schema=ON;");
    for (int i = 0; i < 3; i++) {
        char *sql = sqlite3_mprintf(
            "CREATE TABLE t%d(id INTEGER PRIMARY KEY, v TEXT);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
            "INSERT INTO t%d SELECT i, 'table %d row ' || i FROM n;"
            "UPDATE sqlite_schema SET rootpage = %u WHERE name = 't%d'",
            i, i, i, places[i], i);

        sql_exec(db, sql);
        sqlite3_free(sql);
    }
    sqlite3_close(db);

    fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    for (int i = 0; i < 3; i++) { /* page 2 + i is the root of t i */
        EXPECT_EQ(pread(fd, page, PAGE, (off_t)(1 + i) * PAGE), PAGE);
        EXPECT_EQ(pwrite(fd, page, PAGE, (off_t)(places[i] - 1) * PAGE), PAGE);
    }
    EXPECT_EQ(ftruncate(fd, (off_t)(places[2] + 1) * PAGE), 0);
    put_be32(fd, 28, places[2] + 1); /* the header's count of pages */
    close(fd);

    warm(path, 0);
    for (int i = 0; i < 3; i++)
        warm(path, (uint64_t)(places[i] - 1) * PAGE);
    db = vfs_open(path, "&immutable=1");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM sqlite_schema"), 3);
    EXPECT_EQ(sql_int(db, "PRAGMA mmap_size"), (int64_t)(places[2] + 1) * PAGE);
    sql_misses(db);
    EXPECT_STR(sql_text(db, "SELECT v FROM t0 WHERE id = 77"), "table 0 row 77");
    EXPECT_STR(sql_text(db, "SELECT v FROM t1 WHERE id = 78"), "table 1 row 78");
    EXPECT_STR(sql_text(db, "SELECT v FROM t2 WHERE id = 79"), "table 2 row 79");
    EXPECT_EQ(sql_misses(db), 0);
    EXPECT_EQ(sql_int(db, "SELECT fills FROM hugelite_stat"), 4); /* and chunk 0 */
    sqlite3_close(db);
    return 0;
}
