/* SPDX-License-Identifier: MIT
 *
 * test-replacement-no-pages: the file system has fewer pages than the budget
 * promises.
 *
 * On a hugetlbfs mount with size= and on a tmpfs with size=.  Passes when a budget
 * beyond the mount still reads everything right; when with every page held a fetch
 * says -EBUSY soon, read() still serves, and one release lets it go on;
 * when another program that takes the free pages, some or all, is lived with the same
 * way; and when a pool on a full mount opens without a cache, reads, says why, and is made
 * as soon as there is room.
 */
#include "config.h"

#include "kit.h"

#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PAGES 12 /* of 2 MiB */
#define CHUNKS 30
#define BYTES (CHUNKS * CHUNK - 50)
#define SEED 53

static struct {
    _Atomic unsigned taken, go;
} *shared;
static const char *mount_dir, *path;

static uint64_t free_bytes(void)
{
    struct statfs fs;

    EXPECT_EQ(statfs(mount_dir, &fs), 0);
    return fs.f_bfree * (uint64_t)fs.f_bsize;
}

static int fill_up(uint64_t bytes)
{
    int fd = open(test_path(mount_dir, "other"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, (off_t)bytes), 0);
    if (bytes)
        EXPECT_EQ(fallocate(fd, 0, 0, (off_t)bytes), 0);
    return fd;
}

/* In the control file of the pool that is made when there is no room. */
static bool is_seat_taken(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_start = HL_LOCK_MEMBER, .l_len = HL_MEMBERS };
    char control[4096];
    int fd;

    snprintf(control, sizeof control, "%s/new/control", mount_dir);
    fd = open(control, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(fcntl(fd, F_OFD_GETLK, &lock), 0);
    close(fd);
    return lock.l_type != F_UNLCK;
}

/* Another program: maps and touches, waits, and goes. */
static void other_program(void *arg)
{
    uint64_t bytes = (uint64_t)(uintptr_t)arg;
    int fd = fill_up(bytes);
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    EXPECT(at != MAP_FAILED);
    memset(at, 0xee, bytes);
    atomic_store(&shared->taken, 1);
    kit_await(&shared->go, 1);
    unlink(test_path(mount_dir, "other"));
}

static pid_t take(uint64_t bytes)
{
    pid_t pid;

    atomic_store(&shared->taken, 0);
    atomic_store(&shared->go, 0);
    pid = kit_fork(other_program, (void *)(uintptr_t)bytes);
    kit_await(&shared->taken, 1);
    return pid;
}

/* Not in sequence: the crew is to have no part in it. */
static uint64_t held_at(unsigned nr)
{
    return nr * 7 % (CHUNKS - 1) * CHUNK;
}

static void full_of_held(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    const void *held[PAGES + 1], *data = NULL;
    unsigned nr = 0;
    char buffer[1000];
    double start;
    int rc;

    kit_await_idle(pool);
    start = test_now();
    while ((rc = hugelite_volume_fetch(vol, held_at(nr), 8, &data)) == 0) {
        held[nr++] = data;
        EXPECT(nr <= PAGES);
        start = test_now();
    }
    EXPECT_RC(rc, -EBUSY);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_CONTAINS(hugelite_error(), "no free page");
    EXPECT_RC(hugelite_volume_read(vol, held_at(nr) + 7, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, held_at(nr) + 7);
    for (unsigned i = 0; i < nr; i++)
        kit_pattern(held[i], CHUNK, SEED, held_at(i));
    if (nr) {
        hugelite_volume_release(vol, held[--nr]);
        EXPECT_RC(hugelite_volume_fetch(vol, (CHUNKS - 1) * CHUNK, 8, &data), 0);
        EXPECT_PATTERN(data, 8, SEED, (CHUNKS - 1) * CHUNK);
        hugelite_volume_release(vol, data);
    }
    while (nr)
        hugelite_volume_release(vol, held[--nr]);
}

static void starve(void)
{
    struct hugelite_pool *pool = kit_pool(test_path(mount_dir, "pool"), 3 * PAGES);
    struct hugelite_pool *none = NULL, *other;
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = 2 * CHUNK };
    struct hugelite_pool_opts existing = { .size = sizeof existing, .existing = 1 };
    struct stat st;
    struct hugelite_volume *vol = kit_volume(pool, path);
    uint64_t room = free_bytes();
    const void *data;
    pid_t pid;
    int fd;

    EXPECT(room / CHUNK >= 8 && room / CHUNK < PAGES);
    kit_verify(vol, SEED);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    kit_await_idle(pool);
    /* One may have left for a fill ahead that then found no page. */
    EXPECT(kit_resident_chunks(pool) >= room / CHUNK - 1);
    EXPECT(kit_resident_chunks(pool) <= room / CHUNK);
    kit_audit(pool);
    full_of_held(pool, vol);
    kit_verify(vol, SEED);

    /* Some of it goes to another program. */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    pid = take((room / CHUNK - 3) * CHUNK);
    kit_verify(vol, SEED);
    EXPECT(kit_resident_chunks(pool) <= 3);
    full_of_held(pool, vol);
    /* ... and comes back. */
    atomic_store(&shared->go, 1);
    EXPECT_CHILD(pid, 0);
    kit_verify(vol, SEED);
    kit_await_idle(pool);
    EXPECT(kit_resident_chunks(pool) >= room / CHUNK - 1);

    /* All of it. */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    pid = take(free_bytes() / CHUNK * CHUNK);
    full_of_held(pool, vol);
    kit_verify_read(vol, SEED);
    atomic_store(&shared->go, 1);
    EXPECT_CHILD(pid, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);

    /* No page for the segment of a new pool. */
    fd = fill_up(free_bytes());
    EXPECT_RC(hugelite_pool_open(test_path(mount_dir, "new"), NULL, &none), 0);
    EXPECT(hugelite_pool_uncached(none) != NULL);
    hugelite_pool_close(none);
    EXPECT_RC(hugelite_pool_open(test_path(mount_dir, "new"), &opts, &none), 0);
    EXPECT_CONTAINS(hugelite_pool_uncached(none), "no room");
    /* There is one of it, and it has no seat in the file, which may become a real pool's. */
    EXPECT_RC(hugelite_pool_open(test_path(mount_dir, "new"), NULL, &pool), 0);
    EXPECT(pool == none);
    hugelite_pool_close(pool);
    EXPECT(!is_seat_taken());
    EXPECT_EQ(fstat(none->control_fd, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, none->file_mode);
    vol = kit_volume(none, path);
    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &data), -ENOSPC);
    EXPECT_CONTAINS(hugelite_error(), "no room");
    /* What was there before still opens and reads. */
    hugelite_volume_close(vol);
    pool = kit_pool(test_path(mount_dir, "pool"), 1);
    vol = kit_volume(pool, path);
    kit_verify_read(vol, SEED);
    close(fd);
    unlink(test_path(mount_dir, "other"));
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    /* The one that opened when there was no room goes on as it was. */
    EXPECT_RC(hugelite_pool_open(test_path(mount_dir, "new"), &opts, &pool), 0);
    EXPECT(pool != none && !hugelite_pool_uncached(pool) && hugelite_pool_uncached(none));
    EXPECT(is_seat_taken());
    EXPECT_RC(hugelite_pool_open(test_path(mount_dir, "new"), &existing, &other), 0);
    EXPECT(other == pool);
    hugelite_pool_close(other);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    vol = kit_volume(none, path);
    kit_verify_read(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(none);
    hugelite_pool_close(pool);
}

static void on_tmpfs(void *arg)
{
    char options[64];

    (void)arg;
    snprintf(options, sizeof options, "size=%u", PAGES * HUGELITE_CHUNK_BYTES);
    kit_mount("tmpfs", options, mount_dir);
    starve();

    /* No room for one more file. */
    {
        struct hugelite_pool *pool;
        struct hugelite_volume *vol;

        snprintf(options, sizeof options, "size=64M,nr_inodes=3");
        kit_mount("tmpfs", options, mount_dir);
        pool = kit_pool(test_path(mount_dir, "pool"), 8);
        EXPECT_RC(hugelite_volume_open(pool, path, &vol), -ENOSPC);
        EXPECT_CONTAINS(hugelite_error(), "cannot make an image");
        hugelite_pool_close(pool);
    }
}

int main(int argc, char **argv)
{
    const char *dir;

    (void)argc;
    requires_root();
    dir = test_dir();
    shared = kit_shared(sizeof *shared);
    path = test_path(dir, "db");
    test_file(path, BYTES, SEED);
    if (!getenv("HUGELITE_TEST_OWN_PAGES")) {
        mount_dir = test_path(dir, "tmpfs");
        EXPECT_EQ(mkdir(mount_dir, 0755), 0);
        EXPECT_CHILD(kit_fork(on_tmpfs, NULL), 0);
        unlink(path); /* no exit() comes after the exec below */
        rmdir(mount_dir);
        rmdir(dir);
    }
    kit_own_hugepages(argv, PAGES);
    mount_dir = getenv("HUGELITE_TEST_MOUNT");
    starve();
    return 0;
}
