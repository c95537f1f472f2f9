/* SPDX-License-Identifier: MIT
 *
 * test-pool-place: directories that cannot hold a pool, and the one that is taken
 * when none is named.
 *
 * Passes when a directory on a disk, a plain file and huge pages of another size are
 * refused with a message; and when without a name the choice falls on a hugetlbfs
 * mount with free pages, on a pool that is there already although it took all pages,
 * on /dev/shm when there is none or when what is there is not to be trusted.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PAGES 6

static const char *chosen(void)
{
    static struct hugelite_pool_stat st;
    struct hugelite_pool *pool;

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    hugelite_pool_close(pool);
    return st.dir;
}

static void refused(const char *files)
{
    struct hugelite_pool *pool = NULL;
    struct statfs fs;
    int fd;

    EXPECT_EQ(statfs(files, &fs), 0);
    if (fs.f_type != TMPFS_MAGIC) {
        EXPECT_RC(hugelite_pool_open(test_path(files, "pool"), NULL, &pool), -EMEDIUMTYPE);
        EXPECT_CONTAINS(hugelite_error(), "neither on hugetlbfs nor on tmpfs");
    }
    fd = open(test_path(files, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_RC(hugelite_pool_open(test_path(files, "file"), NULL, &pool), -ENOTDIR);
    EXPECT_RC(hugelite_pool_open(test_path(files, "no/pool"), NULL, &pool), -ENOENT);
    EXPECT(pool == NULL);
    if (access("/sys/kernel/mm/hugepages/hugepages-1048576kB", F_OK) == 0 && geteuid() == 0) {
        const char *big = test_path(files, "1G");

        EXPECT_EQ(mkdir(big, 0755), 0);
        kit_mount("hugetlbfs", "pagesize=1G", big);
        EXPECT_RC(hugelite_pool_open(test_path(big, "pool"), NULL, &pool), -EINVAL);
        EXPECT_CONTAINS(hugelite_error(), "pagesize=2M");
        EXPECT_EQ(umount2(big, MNT_DETACH), 0);
    }
}

int main(int argc, char **argv)
{
    const char *mount_dir, *files;
    char shm[64], huge[4096];
    struct hugelite_pool *pool;
    int fd;

    (void)argc;
    if (!getenv("HUGELITE_TEST_OWN_PAGES")) {
        pid_t pid = fork();

        EXPECT(pid >= 0);
        if (pid == 0) {
            refused(test_dir());
            exit(0);
        }
        EXPECT_CHILD(pid, 0);
    }
    kit_own_hugepages(argv, PAGES);
    mount_dir = getenv("HUGELITE_TEST_MOUNT");
    files = test_dir();
    unsetenv("HUGELITE_POOL");
    unsetenv("HUGELITE_POOL_SIZE");
    kit_mount("tmpfs", "size=64M,mode=1777", "/dev/shm");
    kit_unmount_hugepages_but(mount_dir);
    snprintf(shm, sizeof shm, "/dev/shm/hugelite-%u", (unsigned)geteuid());
    snprintf(huge, sizeof huge, "%s/hugelite", mount_dir);

    /* A mount with free pages; then the same, full, by name of the pool that is there. */
    EXPECT_STR(chosen(), huge);
    fd = open(test_path(mount_dir, "other"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(fallocate(fd, 0, 0, (PAGES - 1) * (off_t)CHUNK), 0);
    EXPECT_STR(chosen(), huge);

    /* Full, and no pool there. */
    EXPECT_EQ(truncate(test_path(huge, "control"), 0), 0);
    EXPECT_EQ(unlink(test_path(huge, "control")), 0);
    EXPECT_EQ(fallocate(fd, 0, 0, PAGES * (off_t)CHUNK), 0);
    EXPECT_STR(chosen(), shm);
    unlink(test_path(mount_dir, "other"));
    close(fd);
    EXPECT_STR(chosen(), huge);

    /* Anybody may write it, or it is a stranger's. */
    EXPECT_EQ(chmod(huge, 0777), 0);
    EXPECT_STR(chosen(), shm);
    EXPECT_EQ(chmod(huge, 0700), 0);
    EXPECT_EQ(chown(huge, 4242, 4242), 0);
    EXPECT_STR(chosen(), shm);
    EXPECT_EQ(chown(shm, 4242, 4242), 0);
    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), -EACCES);
    EXPECT_CONTAINS(hugelite_error(), "HUGELITE_POOL");
    EXPECT_EQ(rename(shm, test_path("/dev/shm", "elsewhere")), 0);
    EXPECT_EQ(symlink("/dev/shm/elsewhere", shm), 0);
    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), -EACCES);
    EXPECT_EQ(unlink(shm), 0);

    /* None at all. */
    EXPECT_EQ(umount2(mount_dir, MNT_DETACH), 0);
    EXPECT_STR(chosen(), shm);
    /* But a name is a name. */
    setenv("HUGELITE_POOL", test_path("/dev/shm", "named"), 1);
    EXPECT_STR(chosen(), "/dev/shm/named");
    setenv("HUGELITE_POOL", files, 1);
    if (hugelite_pool_open(NULL, NULL, &pool) == 0)
        hugelite_pool_close(pool); /* files are kept on a tmpfs here */
    else
        EXPECT_CONTAINS(hugelite_error(), "neither");
    return 0;
}
