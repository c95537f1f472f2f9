/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-refused: compressed files that cannot be read at an offset, damaged tables, and
 * what is no compressed file at all.
 *
 * Passes when each of the first is refused when it is opened, and as an attached database, with
 * SQLITE_CANTOPEN, the errno of its kind and a sentence that names the file and, where there is
 * one, the command that mends it; and when noise, text, and compressed noise are "not a database",
 * as without us.
 */
#include "test-vfs-common.h"

enum { ROWS = 5000 };

static const char *path;

static void refused(int err, const char *why)
{
    static const char *const params[] = { "", "&immutable=1" };
    sqlite3 *db;
    char *sql;

    for (int p = 0; p < 2; p++) {
        EXPECT_EQ(vfs_try(path, "hugelite", params[p], &db), SQLITE_CANTOPEN);
        EXPECT_CONTAINS(sqlite3_errmsg(db), path);
        EXPECT_CONTAINS(sqlite3_errmsg(db), why);
        EXPECT_EQ(sqlite3_system_errno(db), err);
        sqlite3_close(db);
    }
    EXPECT_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "hugelite"),
              SQLITE_CANTOPEN);
    EXPECT_CONTAINS(sqlite3_errmsg(db), why);
    sqlite3_close(db);

    EXPECT_EQ(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, "unix"),
              SQLITE_OK);
    vfs_log_clear();
    sql = sqlite3_mprintf("ATTACH 'file:%s?vfs=hugelite' AS a", path);
    EXPECT_EQ(sql_rc(db, sql), SQLITE_CANTOPEN);
    EXPECT(vfs_log_count(path) > 0); /* of a long sentence SQLite's log keeps the beginning */
    sqlite3_free(sql);
    sqlite3_close(db);
}

/* The file is these bytes and then some that are like no format. */
static void begins(const void *magic, size_t n)
{
    unsigned char bytes[5000];

    memset(bytes, 0x77, sizeof bytes);
    memcpy(bytes, magic, n);
    file_store(path, bytes, sizeof bytes);
}

static void other_formats(void)
{
    begins("\x1f\x8b\x08\x00", 4);
    refused(EMEDIUMTYPE, "gunzip");
    begins("\xfd" "7zXZ\0\0\4", 8);
    refused(EMEDIUMTYPE, "xz");
    begins("BZh91AY&SY", 10);
    refused(EMEDIUMTYPE, "bzip2");
    begins("\x04\x22\x4d\x18", 4);
    refused(EMEDIUMTYPE, "lz4");
}

static void not_seekable(const char *plain)
{
    size_t n, room;
    char *image = file_load(plain, &n), *frame;

    room = ZSTD_compressBound(n);
    frame = malloc(room);
    EXPECT(frame);
    n = ZSTD_compress(frame, room, image, n, 1);
    EXPECT(!ZSTD_isError(n));
    file_store(path, frame, n);
    refused(EMEDIUMTYPE, "hugelite pack");
    free(image);
    free(frame);
}

/* Make it well, then write these bytes so far before its end. */
static void damage(const char *plain, size_t before_end, const void *bytes, size_t n)
{
    struct stat st;
    int fd;

    zst_make(plain, path, 16 << 10, NULL);
    EXPECT_EQ(stat(path, &st), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, bytes, n, st.st_size - (off_t)before_end), (ssize_t)n);
    close(fd);
}

static void damaged_tables(const char *plain)
{
    static unsigned char table[64];
    struct stat st;

    damage(plain, 9, "\xff\xff\xff\x07", 4); /* frames */
    refused(EBADMSG, "");
    damage(plain, 5, "\xff", 1); /* descriptor */
    refused(EBADMSG, "");
    damage(plain, 9 + 12, "\xff\xff\xff\xff", 4); /* encoded bytes of the last frame */
    refused(EBADMSG, "");
    damage(plain, 9, "\1\0\0\0", 4); /* fewer frames than the header says */
    refused(EBADMSG, "");

    zst_make(plain, path, 16 << 10, NULL); /* the end is gone, and the table with it */
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(truncate(path, st.st_size - 1), 0);
    refused(EMEDIUMTYPE, "hugelite pack");
    EXPECT_EQ(truncate(path, 5), 0);
    refused(EMEDIUMTYPE, "");

    hl_seekable_write(NULL, 0, table); /* decodes to nothing */
    file_store(path, table, hl_seekable_table_bytes(0));
    refused(ENODATA, "");
}

static void no_database(void)
{
    static const char *const params[] = { "", "&immutable=1" };

    for (int p = 0; p < 2; p++) {
        sqlite3 *db = vfs_open(path, params[p]);

        EXPECT_EQ(sql_rc(db, "SELECT * FROM t"), SQLITE_NOTADB);
        sqlite3_close(db);
    }
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");

    vfs_begin();
    path = test_path(dir, "x.db.zst");
    test_db(plain, ROWS);
    other_formats();
    not_seekable(plain);
    damaged_tables(plain);

    begins("It was a dark and stormy night", 30);
    no_database();
    begins("\x28\xb5\x2f", 3);
    no_database();
    test_file(plain, 300000, 5);
    zst_make(plain, path, 64 << 10, NULL);
    no_database();
    return 0;
}
