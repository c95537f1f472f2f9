/* SPDX-License-Identifier: MIT
 *
 * scout-kit.c - databases for tests of the scout, and a look at what it does.
 *
 * Entry points and their promises: scout-kit.h.
 */
#include "config.h"

#include "scout-kit.h"

#include "catalog.h"
#include "kit.h"
#include "layout.h"
#include "seekable.h"
#include "source.h"
#include "state.h"
#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { FRAME = 32 << 10, PAGE = 4096 };

void sk_use_state(bool tier)
{
    setenv("HUGELITE_STATE", test_dir(), 1);
    setenv("HUGELITE_TIER_SIZE", tier ? "256M" : "0", 1);
}

void sk_db(const char *path, unsigned rows)
{
    sqlite3 *db;

    test_db(path, rows);
    EXPECT_EQ(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, "PRAGMA synchronous=off; CREATE INDEX by_k ON t(k);"
                     "CREATE TABLE other AS SELECT v FROM t", NULL, NULL, NULL) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    kit_age(path);
}

void sk_pack(const char *path, const char *zst)
{
    static unsigned char plain[FRAME], encoded[2 * FRAME];
    struct hl_seekable_entry *entries = NULL;
    FILE *in = fopen(path, "rb"), *out = fopen(zst, "wb");
    ZSTD_CCtx *context = ZSTD_createCCtx();
    unsigned char *table;
    uint32_t nr = 0;
    size_t length;

    EXPECT(in && out && context);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    while ((length = fread(plain, 1, FRAME, in)) > 0) {
        size_t n = ZSTD_compress2(context, encoded, sizeof encoded, plain, length);

        EXPECT(!ZSTD_isError(n));
        if (nr % 1024 == 0)
            entries = realloc(entries, (nr + 1024) * sizeof *entries);
        EXPECT(entries);
        entries[nr].encoded_bytes = (uint32_t)n;
        entries[nr].decoded_bytes = (uint32_t)length;
        memcpy(&entries[nr++].checksum, encoded + n - 4, 4);
        EXPECT_EQ(fwrite(encoded, 1, n, out), n);
    }
    table = malloc(hl_seekable_table_bytes(nr));
    EXPECT(table);
    hl_seekable_write(entries, nr, table);
    EXPECT_EQ(fwrite(table, 1, hl_seekable_table_bytes(nr), out), hl_seekable_table_bytes(nr));
    EXPECT(fclose(out) == 0);
    fclose(in);
    ZSTD_freeCCtx(context);
    free(entries);
    free(table);
    kit_age(zst);
}

unsigned sk_interior(const char *path, uint32_t **ret_pages)
{
    sqlite3_stmt *statement;
    uint32_t *pages = NULL;
    unsigned nr = 0;
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, "SELECT pageno FROM dbstat WHERE pagetype = 'internal'", -1,
                           &statement, NULL) != SQLITE_OK)
        test_skip("this SQLite has no dbstat table");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        pages = realloc(pages, (nr + 1) * sizeof *pages);
        EXPECT(pages);
        pages[nr++] = (uint32_t)sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    *ret_pages = pages;
    return nr;
}

bool sk_is_root(const char *path, uint32_t page)
{
    sqlite3_stmt *statement;
    sqlite3 *db;
    bool found;

    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE rootpage = ?", -1,
                                 &statement, NULL), SQLITE_OK);
    sqlite3_bind_int64(statement, 1, page);
    found = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return found;
}

bool sk_is_out(struct hugelite_volume *vol)
{
    return atomic_load(&vol->volume->slot->scout) != 0;
}

static void flush(void)
{
    struct hl_state *state = hl_state_get();

    hl_state_flush(state, 20000000000ull);
    hl_state_put(state);
}

void sk_await_back(struct hugelite_volume *vol)
{
    double end = test_now() + TEST_HANG_S;

    while (sk_is_out(vol)) {
        EXPECT(test_now() < end);
        test_sleep_ms(2);
    }
    flush();
}

/* No two near each other, so that nothing looks like a sequence. */
static void stray(struct hugelite_volume *vol, uint32_t page, unsigned i)
{
    uint64_t pages = hugelite_volume_bytes(vol) / PAGE;
    unsigned char bytes[PAGE];

    EXPECT_RC(hugelite_volume_read(vol, (page + i * (pages / 7 + 4001)) % pages * PAGE, PAGE,
                                   bytes), 0);
}

void sk_stray(struct hugelite_volume *vol, uint32_t page)
{
    for (unsigned i = 0; i < 16; i++)
        stray(vol, page, i);
}

void sk_send_out(struct hugelite_volume *vol, uint32_t page)
{
    for (unsigned i = 0; !sk_is_out(vol); i++) {
        EXPECT(i < 100);
        stray(vol, page, i);
    }
}

static unsigned count_threads(pid_t pid, const char *wanted)
{
    char path[100], name[32];
    struct dirent *entry;
    unsigned nr = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    dir = opendir(path);
    EXPECT(dir);
    while ((entry = readdir(dir))) {
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", (int)pid, entry->d_name);
        file = fopen(path, "r");
        nr += file && fgets(name, sizeof name, file) && strcmp(name, wanted) == 0;
        if (file)
            fclose(file);
    }
    closedir(dir);
    return nr;
}

unsigned sk_count_scouts(pid_t pid)
{
    return count_threads(pid, "hugelite-scout\n");
}

void sk_await_scouts(void)
{
    double end = test_now() + TEST_HANG_S;
    char own[32];

    snprintf(own, sizeof own, "%.15s\n", program_invocation_short_name);
    while (sk_count_scouts(getpid()) || count_threads(getpid(), own) > 1) {
        EXPECT(test_now() < end);
        test_sleep_ms(2);
    }
    flush();
}

unsigned sk_list(const char *name, bool interior, uint32_t **ret_numbers)
{
    struct hl_state *state = hl_state_get();
    uint64_t key[2];
    struct hl_known known;
    void *bytes = NULL;
    uint32_t length = 0;

    EXPECT(state->catalog);
    hl_state_flush(state, 5000000000ull);
    hl_source_name_key(name, key);
    if (interior && hl_catalog_find(state->catalog, key, &known) == 0)
        memcpy(key, known.key, sizeof key);
    if (hl_catalog_read(state->catalog, key, interior ? HL_BLOB_ROOTS : HL_BLOB_WARM, 0, &bytes,
                        &length) < 0)
        length = 0;
    hl_state_put(state);
    *ret_numbers = bytes;
    return length / 4;
}
