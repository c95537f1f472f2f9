/* SPDX-License-Identifier: MIT
 *
 * test-btree-dbstat: the interior pages that are found from page 1 on, by their bytes alone, are
 * those that SQLite's own dbstat table lists: for small and large pages, reserved bytes, rowid
 * tables, tables WITHOUT ROWID, indexes, auto_vacuum, a schema of several levels, and records of
 * it that overflow.
 *
 * Passes when the two sets are equal, and the roots are those of the schema table.
 */
#include "btree.h"
#include "test.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 20000 };

static unsigned char *image;
static struct hl_btree_format format;
static unsigned char *found; /* byte per page: 1 = interior */
static uint32_t roots[ROOM];
static unsigned nr_roots;

static unsigned char *page_at(uint32_t number)
{
    return image + (uint64_t)(number - 1) * format.page_bytes;
}

static void walk(uint32_t number, bool schema)
{
    enum hl_btree_kind kind = hl_btree_kind(&format, page_at(number), number);
    uint32_t children[ROOM];
    unsigned nr;

    EXPECT(kind != HL_BTREE_NONE);
    if (kind == HL_BTREE_LEAF) {
        if (schema)
            nr_roots += hl_btree_roots(&format, page_at(number), number, roots + nr_roots,
                                       ROOM - nr_roots);
        return;
    }
    EXPECT_EQ(found[number], 0);
    found[number] = 1;
    nr = hl_btree_children(&format, page_at(number), number, children, ROOM);
    EXPECT(nr >= 1);
    for (unsigned i = 0; i < nr; i++)
        walk(children[i], schema);
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    long bytes;

    EXPECT(file && fseek(file, 0, SEEK_END) == 0);
    bytes = ftell(file);
    rewind(file);
    image = malloc((size_t)bytes);
    EXPECT(image && fread(image, 1, (size_t)bytes, file) == (size_t)bytes);
    fclose(file);
    EXPECT_RC(hl_btree_format(image, (uint64_t)bytes, &format), 0);
    EXPECT_EQ((uint64_t)format.nr_pages * format.page_bytes, bytes);
    found = calloc(format.nr_pages + 1, 1);
    EXPECT(found);
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%.80s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3_int64 number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    sqlite3_int64 value;

    EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static sqlite3 *make(const char *path, unsigned page_bytes, int reserved, bool auto_vacuum)
{
    char sql[4000];
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open(path, &db), SQLITE_OK);
    if (reserved)
        EXPECT_EQ(sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved),
                  SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA page_size=%u; PRAGMA auto_vacuum=%d; PRAGMA synchronous=off;"
             "BEGIN;", page_bytes, auto_vacuum);
    run(db, sql);
    run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);"
            "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
            "CREATE VIEW seen AS SELECT * FROM t;"
            "CREATE TABLE none(x);");
    for (unsigned i = 0; i < 300; i++) { /* the schema has several levels, and overflows */
        unsigned at = (unsigned)snprintf(sql, sizeof sql, "CREATE TABLE \"part %u\"(x", i);

        for (unsigned column = 0; i % 5 == 0 && column < 150; column++)
            at += (unsigned)snprintf(sql + at, sizeof sql - at, ",\n  column%u TEXT", column);
        snprintf(sql + at, sizeof sql - at, ")");
        run(db, sql);
    }
    run(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)"
            "INSERT INTO t SELECT i, i * 7919 % 10007, hex(randomblob(20)) FROM n;"
            "INSERT INTO t SELECT id + 100000, a, hex(zeroblob(id * 37 % 3000)) FROM t"
            " WHERE id % 9 = 0;"
            "INSERT INTO w SELECT b || id, a FROM t WHERE id < 100000;"
            "CREATE INDEX by_a ON t(a);"
            "CREATE UNIQUE INDEX by_b ON t(b, id);"
            "DELETE FROM t WHERE id % 7 = 0 AND id > 5000;"
            "COMMIT;");
    return db;
}

static void compare_roots(sqlite3 *db)
{
    char sql[100];

    EXPECT_EQ(nr_roots, number_of(db, "SELECT count(*) FROM sqlite_schema WHERE rootpage > 0"));
    for (unsigned i = 0; i < nr_roots; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE rootpage = %u",
                 roots[i]);
        EXPECT_EQ(number_of(db, sql), 1);
    }
}

static void compare_interior(sqlite3 *db)
{
    sqlite3_stmt *statement;
    unsigned nr = 0;

    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT pageno FROM dbstat WHERE pagetype = 'internal'", -1,
                                 &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        uint32_t number = (uint32_t)sqlite3_column_int64(statement, 0);

        EXPECT(number <= format.nr_pages);
        if (!found[number])
            test_fail(__FILE__, __LINE__, "page %u is interior and was not found", number);
        nr++;
    }
    sqlite3_finalize(statement);
    for (uint32_t number = 1; number <= format.nr_pages; number++)
        nr -= found[number];
    EXPECT_EQ(nr, 0);
}

static void check(unsigned page_bytes, int reserved, bool auto_vacuum)
{
    char name[100];
    const char *path;
    sqlite3 *db;

    snprintf(name, sizeof name, "%u-%d-%d.db", page_bytes, reserved, auto_vacuum);
    path = test_path(test_dir(), name);
    db = make(path, page_bytes, reserved, auto_vacuum);
    load(path);
    EXPECT_EQ(format.page_bytes, page_bytes);
    EXPECT_EQ(format.usable_bytes, page_bytes - (unsigned)reserved);
    nr_roots = 0;
    walk(1, true);
    for (unsigned i = 0; i < nr_roots; i++)
        walk(roots[i], false);
    compare_roots(db);
    compare_interior(db);
    if (page_bytes <= 4096)
        EXPECT_EQ(found[1], 1); /* the schema has several levels here */
    sqlite3_close(db);
    free(image);
    free(found);
}

int main(void)
{
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    if (sqlite3_exec(db, "SELECT 1 FROM dbstat", NULL, NULL, NULL) != SQLITE_OK)
        test_skip("this SQLite has no dbstat table");
    sqlite3_close(db);
    check(512, 0, false);
    check(512, 0, true);
    check(1024, 32, false);
    check(4096, 0, false);
    check(4096, 12, true);
    check(65536, 0, false);
    return 0;
}
