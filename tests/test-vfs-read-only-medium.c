/* SPDX-License-Identifier: MIT
 *
 * test-vfs-read-only-medium: a file on a medium that cannot be written is immutable
 * without being told.
 *
 * The kinds of file system are played by a statfs() of this program. Passes when squashfs,
 * iso9660, erofs, cramfs and romfs make the volume immutable, and ext4, also one that is
 * mounted read-only, does not.
 */
#include "test-vfs-common.h"

#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

static const char *path;
static long type, flags;

/* In place of the C library's. */
int statfs(const char *file, struct statfs *ret_fs)
{
    int rc = (int)syscall(SYS_statfs, file, ret_fs);

    if (rc == 0 && path && strcmp(file, path) == 0) {
        ret_fs->f_type = type;
        ret_fs->f_flags = flags;
    }
    return rc;
}

static void expect_mode(long fs_type, long fs_flags, const char *mode)
{
    sqlite3 *db;

    type = fs_type;
    flags = fs_flags;
    db = vfs_open(path, "");
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), 100);
    EXPECT_STR(sql_text(db, "PRAGMA hugelite_mode"), mode);
    sqlite3_close(db);
}

int main(void)
{
    vfs_begin();
    path = test_path(test_dir(), "x.db");
    test_db(path, 100);
    expect_mode(0x73717368, ST_RDONLY, "immutable"); /* squashfs */
    expect_mode(0x9660, ST_RDONLY, "immutable");
    expect_mode((int)0xe0f5e1e2, ST_RDONLY, "immutable"); /* erofs, as a signed type shows it */
    expect_mode(0x28cd3d45, ST_RDONLY, "immutable"); /* cramfs */
    expect_mode(0x7275, ST_RDONLY, "immutable"); /* romfs */
    expect_mode(0xef53, 0, "cached"); /* ext4 */
    expect_mode(0xef53, ST_RDONLY, "cached");
    return 0;
}
