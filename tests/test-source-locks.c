/* SPDX-License-Identifier: MIT
 *
 * test-source-locks: the engine never drops a lock of its host.
 *
 * POSIX record locks go when the process closes any descriptor of the file. Passes
 * when a process that holds such a lock (as SQLite does) on a file, and then opens
 * and closes volumes of it 1,000 times, with the file opened first by the host or by
 * the engine, and beside more other files than the engine keeps open, still holds it
 * in the eyes of another process.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *path;

static void expect_locked(void *arg)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
    int fd = open(path, O_RDWR | O_CLOEXEC);

    (void)arg;
    EXPECT(fd >= 0);
    EXPECT_EQ(fcntl(fd, F_SETLK, &lock), -1);
    EXPECT(errno == EAGAIN || errno == EACCES);
}

static void check_lock(void)
{
    EXPECT_CHILD(kit_fork(expect_locked, NULL), 0);
}

static int lock_it(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
    int fd = open(path, O_RDWR | O_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(fcntl(fd, F_SETLK, &lock), 0);
    return fd;
}

int main(void)
{
    const char *dir = test_dir();
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 4);
    struct hugelite_volume *vol;
    unsigned fds;

    path = test_path(dir, "db");
    test_file(path, CHUNK + 5, 1);
    lock_it();
    for (unsigned i = 0; i < 500; i++) {
        vol = kit_volume(pool, path);
        if (i % 100 == 0)
            kit_verify(vol, 1);
        hugelite_volume_close(vol);
    }
    check_lock();

    path = test_path(dir, "db2"); /* the engine first */
    test_file(path, CHUNK + 5, 2);
    vol = kit_volume(pool, path);
    kit_verify(vol, 2);
    lock_it();
    hugelite_volume_close(vol);
    check_lock();
    for (unsigned i = 0; i < 500; i++) {
        vol = kit_volume(pool, path);
        hugelite_volume_close(vol);
    }
    check_lock();

    /* Pushed out by others: what is locked must not be closed. */
    fds = kit_count_fds();
    for (unsigned i = 0; i < 60; i++) {
        char name[32];

        snprintf(name, sizeof name, "other%u", i);
        test_file(test_path(dir, name), 100, i);
        vol = kit_volume(pool, test_path(dir, name));
        kit_verify(vol, i);
        hugelite_volume_close(vol);
    }
    check_lock();
    path = test_path(dir, "db");
    check_lock();
    EXPECT(kit_count_fds() - fds <= 20); /* what is not locked is closed in time */

    /* Sources that are refused. */
    EXPECT_EQ(truncate(path, 0), 0);
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), -ENODATA);
    check_lock();
    hugelite_pool_close(pool);
    return 0;
}
