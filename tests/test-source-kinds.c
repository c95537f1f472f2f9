/* SPDX-License-Identifier: MIT
 *
 * test-source-kinds: files of all sizes, and what is no database file.
 *
 * Passes when files of 1 byte, of a page more or less than a chunk, and of no round
 * size at all are served to the last byte; and when an empty file, a directory, a
 * FIFO, a device, an unreadable, a missing and an impossible name, and sources of
 * later versions are each refused with their own code and a message that names them,
 * without hanging and without leaving a descriptor.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct hugelite_pool *pool;
static const char *dir, *secret, *pool_dir;

static void refused(const char *source, int rc, const char *why)
{
    struct hugelite_volume *vol = NULL;

    EXPECT_RC(hugelite_volume_open(pool, source, &vol), rc);
    EXPECT(vol == NULL);
    EXPECT_CONTAINS(hugelite_error(), why);
}

static void stranger(void *arg)
{
    (void)arg;
    kit_become(65534, 65534);
    pool = kit_pool(pool_dir, 4);
    refused(secret, -EACCES, "secret");
}

int main(void)
{
    static const uint64_t sizes[] = {
        1, 7, 99, 100, 101, 4095, 4096, 4097, CHUNK - 4096, CHUNK - 1, CHUNK, CHUNK + 1,
        2 * CHUNK + 4096, 3 * CHUNK - 5,
    };
    char longer[PATH_MAX + 100], component[NAME_MAX + 10];
    unsigned fds;
    int fd;

    dir = test_dir();
    pool = kit_pool(test_pool_dir(), 4);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *path = test_path(dir, "sized");
        struct hugelite_volume *vol;

        unlink(path);
        test_file(path, sizes[i], 100 + i);
        vol = kit_volume(pool, path);
        EXPECT_EQ(hugelite_volume_bytes(vol), sizes[i]);
        kit_verify(vol, 100 + i);
        kit_verify_read(vol, 100 + i);
        EXPECT_EQ(kit_stat(vol).source_bytes, sizes[i]);
        hugelite_volume_close(vol);
    }

    fds = kit_count_fds();
    refused(dir, -EISDIR, "directory");
    EXPECT_EQ(mkfifo(test_path(dir, "fifo"), 0644), 0);
    refused(test_path(dir, "fifo"), -EINVAL, "not a regular file");
    refused("/dev/zero", -EINVAL, "not a regular file");
    refused(test_path(dir, "missing"), -ENOENT, "missing");
    refused(test_path(dir, "sized/below"), -ENOTDIR, "below");
    refused("", -ENOENT, "");
    EXPECT_EQ(symlink("loop", test_path(dir, "loop")), 0);
    refused(test_path(dir, "loop"), -ELOOP, "loop");
    memset(component, 'x', sizeof component);
    component[sizeof component - 1] = '\0';
    snprintf(longer, sizeof longer, "%s/%s", dir, component);
    refused(longer, -ENAMETOOLONG, "xxx");
    refused("ftp://example.org/x.db", -EPROTONOSUPPORT, "s3://");
    EXPECT_EQ(kit_count_fds(), fds);

    fd = open(test_path(dir, "empty"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    EXPECT(fd >= 0);
    close(fd);
    refused(test_path(dir, "empty"), -ENODATA, "is empty");
    /* It grows up. */
    test_file(test_path(dir, "empty"), 5000, 9);
    {
        struct hugelite_volume *vol = kit_volume(pool, test_path(dir, "empty"));

        kit_verify(vol, 9);
        hugelite_volume_close(vol);
    }
    hugelite_pool_close(pool);

    if (geteuid() == 0) {
        const char *slash;
        char parent[PATH_MAX];

        secret = test_path(dir, "secret");
        test_file(secret, 5000, 1);
        EXPECT_EQ(chmod(secret, 0600), 0);
        pool_dir = test_pool_dir();
        slash = strrchr(pool_dir, '/');
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - pool_dir), pool_dir);
        EXPECT_EQ(chmod(parent, 01777), 0);
        EXPECT_CHILD(kit_fork(stranger, NULL), 0);
    }
    return 0;
}
