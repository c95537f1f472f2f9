/* SPDX-License-Identifier: MIT
 *
 * test-source-changes: a source that is replaced, rewritten in place, grown,
 * truncated or deleted under its readers.
 *
 * Passes when check() says -ESTALE after each; when chunks that are resident still
 * give the old bytes and a cold chunk gives -ESTALE (or, where the old file still
 * exists under its descriptor, the old bytes), never a mixture; when a new open
 * serves the new version beside; when the old volume is reported as superseded and
 * its image goes with its last reader, also when a forked child of that reader lives
 * on; and when touching a file without a change of its state changes nothing.
 */
#include "config.h"

#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define CHUNKS 4
#define BYTES (CHUNKS * CHUNK - 1000)

static struct hugelite_pool *pool;
static const char *path, *other, *pool_dir;

static unsigned images(void)
{
    DIR *dir = opendir(pool_dir);
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(dir != NULL);
    while ((entry = readdir(dir)))
        nr += strstr(entry->d_name, ".image") != NULL;
    closedir(dir);
    return nr;
}

static unsigned volumes(bool superseded)
{
    struct hugelite_volume_stat st[16];
    unsigned found = 0;
    size_t nr;

    EXPECT_RC(hugelite_pool_volumes(pool, st, 16, &nr), 0);
    EXPECT(nr <= 16);
    for (unsigned i = 0; i < nr; i++)
        found += st[i].superseded == superseded;
    return found;
}

static void replace(void)
{
    test_file(other, BYTES, 2);
    EXPECT_EQ(rename(other, path), 0);
}

static void in_place(void)
{
    test_file(path, BYTES, 2); /* same inode, same size */
}

static void one_byte(void)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, "!", 1, BYTES - 1), 1);
    close(fd);
}

static void grow(void)
{
    EXPECT_EQ(truncate(path, (off_t)(BYTES + 4096)), 0);
}

static void cut(void)
{
    EXPECT_EQ(truncate(path, (off_t)CHUNK + 5), 0);
}

static void delete(void)
{
    EXPECT_EQ(unlink(path), 0);
}

/* The counter in SQLite's header changes and all else stays the same. */
static void counter_only(void)
{
    struct stat st;
    struct timespec times[2];
    int fd;

    EXPECT_EQ(stat(path, &st), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, "\0\0\0\7", 4, 24), 4);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    EXPECT_EQ(futimens(fd, times), 0);
    close(fd);
}

/* old_served: cold chunks of the old version can still be read. */
static void changed_by(const char *what, void (*change)(void), bool old_served, int new_seed)
{
    struct hugelite_volume *vol, *now;
    const void *data, *cold;
    char buffer[512];
    int rc;

    fprintf(stderr, "%s\n", what);
    unlink(path);
    test_file(path, BYTES, 1);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_check(vol), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 4096, &data), 0);
    change();
    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    EXPECT_CONTAINS(hugelite_error(), "db");

    /* What is held stays as it was. */
    EXPECT_PATTERN(data, CHUNK, 1, 0);
    rc = hugelite_volume_fetch(vol, 2 * CHUNK, 4096, &cold);
    if (old_served) {
        EXPECT_RC(rc, 0);
        EXPECT_PATTERN(cold, 4096, 1, 2 * CHUNK);
        hugelite_volume_release(vol, cold);
    } else {
        EXPECT_RC(rc, -ESTALE);
        EXPECT_RC(hugelite_volume_read(vol, 3 * CHUNK - 10, 20, buffer), -ESTALE);
        EXPECT_EQ(kit_stat(vol).errors, 2);
    }

    if (new_seed) {
        now = kit_volume(pool, path);
        EXPECT_RC(hugelite_volume_check(now), 0);
        kit_verify(now, (uint64_t)new_seed);
        EXPECT_EQ(kit_stat(vol).superseded, 1);
        EXPECT_EQ(kit_stat(now).superseded, 0);
        EXPECT_EQ(volumes(true), 1);
        EXPECT_EQ(images(), 2);
        EXPECT_PATTERN(data, CHUNK, 1, 0);
        hugelite_volume_release(vol, data);
        hugelite_volume_close(vol);
        EXPECT_EQ(images(), 1); /* at once: nobody has asked for anything since */
        EXPECT_EQ(volumes(true), 0);
        kit_verify(now, (uint64_t)new_seed);
        hugelite_volume_close(now);
    } else {
        hugelite_volume_release(vol, data);
        hugelite_volume_close(vol);
    }
    kit_audit(pool);
}

static uint64_t free_blocks(void)
{
    struct statfs fs;

    EXPECT_EQ(statfs(pool_dir, &fs), 0);
    return fs.f_bfree;
}

static void live_on(void *arg)
{
    atomic_store((_Atomic unsigned *)arg, 1);
    for (;;)
        pause();
}

/* The pages of an old version come back even while a forked child still has
 * what it inherited from a reader of it. */
static void child_of_a_reader(void)
{
    char options[] = "size=64M";
    struct hugelite_volume *vol;
    _Atomic unsigned *up = kit_shared(sizeof *up);
    const char *mount_dir = test_path(test_dir(), "mount");
    uint64_t before;
    pid_t pid;

    if (geteuid() != 0)
        return;
    /* A mount of our own, whose free space nobody else changes. */
    EXPECT_EQ(mkdir(mount_dir, 0755), 0);
    kit_mount("tmpfs", options, mount_dir);
    pool_dir = test_path(mount_dir, "pool");
    pool = kit_pool(pool_dir, 8);
    unlink(path);
    test_file(path, BYTES, 1);
    before = free_blocks();
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    EXPECT(before - free_blocks() >= CHUNKS * CHUNK / 4096);
    pid = kit_fork(live_on, (void *)up);
    kit_await(up, 1);
    replace();
    hugelite_volume_close(vol);
    vol = kit_volume(pool, path); /* supersedes and collects */
    EXPECT_EQ(volumes(true), 0);
    EXPECT(before - free_blocks() < 64);
    kit_kill(pid);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *dir = test_dir();
    struct hugelite_volume *vol, *again;

    path = test_path(dir, "db");
    other = test_path(dir, "other");
    pool_dir = test_pool_dir();
    pool = kit_pool(pool_dir, 4 * CHUNKS);

    changed_by("replaced by rename", replace, true, 2);
    changed_by("rewritten in place", in_place, false, 2);
    changed_by("one byte in place", one_byte, false, 0);
    changed_by("grown", grow, false, 0);
    changed_by("cut", cut, false, 1);
    changed_by("deleted", delete, true, 0);
    {
        /* Here a cold chunk cannot tell: only check() and a new open look at the head. */
        unlink(path);
        test_file(path, BYTES, 1);
        vol = kit_volume(pool, path);
        EXPECT_RC(hugelite_volume_check(vol), 0);
        counter_only();
        EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
        again = kit_volume(pool, path);
        EXPECT_EQ(kit_stat(vol).superseded, 1);
        hugelite_volume_close(again);
        hugelite_volume_close(vol);
    }

    /* A version that comes back is served, and warm where it still is. */
    unlink(path);
    test_file(path, BYTES, 1);
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    EXPECT_EQ(rename(path, other), 0);
    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    EXPECT_EQ(rename(other, path), 0);
    EXPECT_EQ(chmod(path, 0600), 0); /* changes ctime only */
    EXPECT_RC(hugelite_volume_check(vol), 0);
    again = kit_volume(pool, path);
    kit_verify(again, 1);
    EXPECT_EQ(kit_stat(again).fills, CHUNKS);
    hugelite_volume_close(again);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);

    child_of_a_reader();
    return 0;
}
