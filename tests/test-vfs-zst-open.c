/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-open: a compressed database is opened by its name alone, and reads as the plain
 * one that it was made of.
 *
 * In frames of 4 KiB, of a size that fits no page, of 256 KiB, and in one for all: passes when, by
 * URI, by plain name, and with immutable=1 and pool= that change nothing, all rows are those of
 * stock SQLite over the plain file, by pointer and by copy; when the mode tells it, no lock is
 * on the file in mid-transaction, and nothing can be written.
 */
#include "test-vfs-common.h"

enum { ROWS = 40000 };

/* By anybody, this process included. */
static bool is_locked(const char *path)
{
    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDWR | O_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(fcntl(fd, F_OFD_GETLK, &probe), 0);
    close(fd);
    return probe.l_type != F_UNLCK;
}

static void check(sqlite3 *db, const char *path, uint64_t hash)
{
    EXPECT(sql_hash(db, "SELECT * FROM t") == hash);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "immutable, zstd-seekable");
    EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 12345"), test_db_k(12345));
    EXPECT_STR(sql_text(db, "PRAGMA integrity_check"), "ok");
    sql_exec(db, "PRAGMA mmap_size=0");
    EXPECT(sql_hash(db, "SELECT * FROM t") == hash);
    EXPECT_EQ(sql_rc(db, "DELETE FROM t"), SQLITE_READONLY);

    sql_exec(db, "BEGIN");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    EXPECT(!is_locked(path));
    sql_exec(db, "COMMIT");
    sqlite3_close(db);
}

int main(void)
{
    static const uint32_t frame_bytes[] = { 4096, 77777, 256 << 10, 1 << 30 };
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst"), *odd = test_path(dir, "named as you like");
    const char *pool = test_pool_dir();
    char params[5000];
    sqlite3 *db;
    uint64_t hash;

    vfs_begin();
    test_db(plain, ROWS);
    db = stock_open(plain);
    hash = sql_hash(db, "SELECT * FROM t");
    sqlite3_close(db);
    db = vfs_open(plain, "");
    sql_exec(db, "BEGIN");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    EXPECT(is_locked(plain)); /* or the test of it shows nothing */
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), "cached");
    sqlite3_close(db);

    for (unsigned i = 0; i < sizeof frame_bytes / sizeof *frame_bytes; i++) {
        EXPECT(unlink(zst) == 0 || i == 0);
        zst_make(plain, zst, frame_bytes[i], NULL);
        check(vfs_open(zst, ""), zst, hash);
        check(vfs_open(zst, "&immutable=1"), zst, hash);
    }
    snprintf(params, sizeof params, "&pool=%s&mode=ro", pool);
    check(vfs_open(zst, params), zst, hash);

    EXPECT_EQ(sqlite3_open_v2(zst, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "hugelite"), 0);
    check(db, zst, hash);
    EXPECT_EQ(rename(zst, odd), 0);
    EXPECT_EQ(sqlite3_open_v2(odd, &db, SQLITE_OPEN_READONLY, "hugelite"), 0);
    check(db, odd, hash);
    return 0;
}
