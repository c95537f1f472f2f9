/* SPDX-License-Identifier: MIT
 *
 * test-vfs-read-error: the disk fails under a cold page.
 *
 * Reads of the file fail with EIO by way of the engine's table of system calls. Passes
 * when the query ends with SQLITE_IOERR, the cause is in the log, in PRAGMA hugelite_error
 * and in sqlite3_system_errno(), nothing gets a signal, and the query succeeds when the
 * disk is well again.
 */
#include "test-vfs-common.h"

#include "sys.h"

static ssize_t (*real_pread)(int, void *, size_t, off_t);
static bool broken;

static ssize_t failing_pread(int fd, void *buffer, size_t n, off_t offset)
{
    if (broken && offset >= 2 << 20) {
        errno = EIO;
        return -1;
    }
    return real_pread(fd, buffer, n, offset);
}

int main(void)
{
    static const char *const params[] = { "", "&immutable=1" };
    const char *path = test_path(test_dir(), "x.db");
    sqlite3 *db;

    vfs_begin();
    test_db(path, 60000);
    real_pread = hl_sys.pread;
    hl_sys.pread = failing_pread;
    for (int p = 0; p < 2; p++) {
        db = vfs_open(path, params[p]);
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE id < 10"), 9);
        broken = true;
        vfs_log_clear();
        EXPECT_EQ(sql_rc(db, "SELECT count(v) FROM t"), SQLITE_IOERR_READ);
        EXPECT_EQ(sqlite3_system_errno(db), EIO);
        EXPECT(vfs_log_count("Input/output error") > 0);
        EXPECT_CONTAINS(sql_text(db, "PRAGMA hugelite_error"), "Input/output error");
        EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t WHERE id < 10"), 9);
        broken = false;
        EXPECT_EQ(sql_int(db, "SELECT count(v) FROM t"), 60000);
        sqlite3_close(db);
        {
            struct hugelite_pool *pool;

            EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
            EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
            hugelite_pool_close(pool);
        }
    }
    return 0;
}
