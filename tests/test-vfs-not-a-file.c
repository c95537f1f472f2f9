/* SPDX-License-Identifier: MIT
 *
 * test-vfs-not-a-file: a directory, a FIFO, a device or an unreadable file as a database.
 *
 * Passes when each is refused at once with SQLITE_CANTOPEN and a sentence; a FIFO without
 * a writer does not hold us.
 */
#include "test-vfs-common.h"

#include <libgen.h>
#include <sys/stat.h>

static void refused(const char *path, const char *params, int code, const char *why)
{
    sqlite3 *db;
    int rc;

    alarm(TEST_HANG_S); /* ends the test by a signal */
    rc = vfs_try(path, "hugelite", params, &db);
    EXPECT_EQ(rc, code & 0xff);
    EXPECT_EQ(sqlite3_extended_errcode(db), code);
    EXPECT_CONTAINS(sqlite3_errmsg(db), why);
    EXPECT_CONTAINS(sqlite3_errmsg(db), path);
    sqlite3_close(db);
}

int main(void)
{
    static const char *const params[] = { "", "&immutable=1" };
    const char *dir = test_dir(), *fifo = test_path(dir, "fifo");

    vfs_begin();
    EXPECT_EQ(mkfifo(fifo, 0666), 0);
    for (unsigned p = 0; p < 2; p++) {
        refused(dir, params[p], SQLITE_CANTOPEN_ISDIR, "is a directory");
        refused(fifo, params[p], SQLITE_CANTOPEN, "not a regular file");
        refused("/dev/null", params[p], SQLITE_CANTOPEN, "not a regular file");
    }


    if (geteuid() == 0) { /* root reads everything */
        const char *path = test_path(dir, "x.db"), *pool = test_pool_dir();
        char parent[4096];

        test_db(path, 10);
        EXPECT_EQ(chmod(path, 0), 0);
        EXPECT_EQ(chmod(dir, 0777), 0);
        setenv("HUGELITE_POOL", pool, 1);
        snprintf(parent, sizeof parent, "%s", pool);
        EXPECT_EQ(chmod(dirname(parent), 0777), 0);
        EXPECT_EQ(seteuid(65534), 0);
        for (unsigned p = 0; p < 2; p++)
            refused(path, params[p], SQLITE_CANTOPEN, "Permission denied");
        EXPECT_EQ(seteuid(0), 0);
    }
    return 0;
}
