/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-damaged: one damaged frame costs its own pages, and no others.
 *
 * Passes when the rows of all other frames, in the same chunk and elsewhere, are read, those on
 * its pages end with SQLITE_IOERR_DATA and the number of the frame in PRAGMA hugelite_error and in
 * the log, so does a scan, nothing gets a signal, and a mended file is read in full.
 */
#include "test-vfs-common.h"

enum { ROWS = 60000, PAGE_BYTES = 4096, FRAME_BYTES = 64 << 10 }; /* 8 MiB: 4 chunks */
enum { LEAF_TABLE = 13, INTERIOR_TABLE = 5 };

static unsigned char frame_of[ROWS + 1]; /* where the row lies */

static uint64_t get_varint(const unsigned char **p)
{
    uint64_t value = 0;

    do
        value = value << 7 | (**p & 0x7f);
    while (*(*p)++ & 0x80);
    return value;
}

/* Note where the rows of t are; the number of interior pages of each frame is counted. */
static void find_rows(const unsigned char *image, size_t bytes, unsigned interior[])
{
    for (size_t at = PAGE_BYTES; at < bytes; at += PAGE_BYTES) {
        const unsigned char *page = image + at;

        interior[at / FRAME_BYTES] += page[0] == INTERIOR_TABLE;
        for (int i = 0; page[0] == LEAF_TABLE && i < (page[3] << 8 | page[4]); i++) {
            const unsigned char *cell = page + (page[8 + 2 * i] << 8 | page[9 + 2 * i]);

            get_varint(&cell); /* payload */
            frame_of[get_varint(&cell)] = (unsigned char)(at / FRAME_BYTES);
        }
    }
}

static int look_up(sqlite3_stmt *stmt, int id)
{
    int rc;

    sqlite3_bind_int(stmt, 1, id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        EXPECT_EQ(sqlite3_column_int64(stmt, 0), test_db_k(id));
    sqlite3_reset(stmt);
    return rc;
}

static void check(const char *zst, const char *params, int bad)
{
    sqlite3 *db = vfs_open(zst, params);
    char name[30];
    sqlite3_stmt *stmt;
    int nr_bad = 0;

    snprintf(name, sizeof name, "frame %d", bad);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT k FROM t WHERE id = ?", -1, &stmt, NULL), SQLITE_OK);
    vfs_log_clear();
    for (int id = 1; id <= ROWS; id += 97) {
        int rc = look_up(stmt, id);

        if (frame_of[id] == bad) {
            EXPECT_EQ(rc, SQLITE_IOERR_DATA);
            EXPECT_EQ(sqlite3_system_errno(db), EBADMSG);
            EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), name);
            EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), zst);
            nr_bad++;
        } else {
            EXPECT_EQ(rc, SQLITE_ROW);
        }
    }
    EXPECT(nr_bad > 3);
    EXPECT(vfs_log_count(name) >= nr_bad);
    sqlite3_finalize(stmt);
    EXPECT_EQ(sql_rc(db, "SELECT sum(length(v)) FROM t"), SQLITE_IOERR_DATA);
    EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), name);
    sqlite3_close(db);
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    unsigned interior[256] = { 0 };
    int bad = 40; /* of frames 32 to 63, which are the second chunk */
    unsigned char *image;
    struct zst packed;
    uint64_t spot;
    sqlite3 *db;
    size_t n;

    vfs_begin();
    test_db(plain, ROWS);
    image = file_load(plain, &n);
    find_rows(image, n, interior);
    free(image);
    while (interior[bad])
        bad++;
    EXPECT(bad < 60);
    zst_make(plain, zst, FRAME_BYTES, &packed);
    spot = (packed.at[bad] + packed.at[bad + 1]) / 2;
    file_spoil(zst, spot);

    check(zst, "", bad);
    check(zst, "&immutable=1", bad);

    file_spoil(zst, spot); /* well again */
    db = vfs_open(zst, "");
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    sqlite3_close(db);
    return 0;
}
