/* SPDX-License-Identifier: MIT
 *
 * test-memory-short: a pool of one chunk or two that others hold, a mount that is made smaller
 * in use, a process with small limits of its own.
 *
 * Passes when, while some processes hold all there is, each other gets -EBUSY for a pointer
 * and every byte by reading; when a tmpfs that is cut down to what is used serves on, and one
 * that grows again is used again; when a process that may have few descriptors or little
 * address space gets -EMFILE and -ENOMEM where it wants more, right bytes otherwise, and all
 * of it once it may; and when nobody is killed by a signal.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define CHUNKS 9
#define BYTES (CHUNKS * CHUNK - 50)
#define SEED 91
#define PROCESSES 3

static struct {
    _Atomic unsigned fetched, held, read;
} *shared;
static const char *path, *pool_dir;

/* ---- held by others ------------------------------------------------------------ */

static void reader(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct hugelite_pool *pool = kit_pool(pool_dir, 1);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data = NULL;
    int rc = hugelite_volume_fetch(vol, 2 * self * CHUNK, 8, &data);

    if (rc == 0)
        atomic_fetch_add(&shared->held, 1);
    else
        EXPECT_CONTAINS(hugelite_error(), "of the budget are in use");
    atomic_fetch_add(&shared->fetched, 1);
    kit_await(&shared->fetched, PROCESSES);
    kit_verify_read(vol, SEED);
    if (rc == 0)
        kit_pattern(data, CHUNK, SEED, 2 * self * CHUNK);
    else
        EXPECT_RC(rc, -EBUSY);
    atomic_fetch_add(&shared->read, 1);
    kit_await(&shared->read, PROCESSES);
    if (rc == 0)
        hugelite_volume_release(vol, data);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void held_by_others(unsigned budget)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    pid_t pids[PROCESSES];

    pool_dir = test_pool_dir();
    pool = kit_pool(pool_dir, budget);
    memset(shared, 0, sizeof *shared);
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = kit_fork(reader, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);
    EXPECT_EQ(shared->held, budget);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

/* ---- a mount that changes ----------------------------------------------------- */

static int remount(const char *dir, uint64_t bytes)
{
    char options[64];

    snprintf(options, sizeof options, "size=%llu", (unsigned long long)bytes);
    return mount("none", dir, "tmpfs", MS_REMOUNT, options) < 0 ? -errno : 0;
}

static uint64_t used_bytes(const char *dir)
{
    struct statfs fs;

    EXPECT_EQ(statfs(dir, &fs), 0);
    return (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
}

static void remounted(void *arg)
{
    const char *dir = arg;
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    uint64_t some;

    kit_mount("tmpfs", "size=64M", dir);
    pool = kit_pool(test_path(dir, "pool"), CHUNKS);
    vol = kit_volume(pool, path);
    for (unsigned i = 0; i < 3; i++)
        kit_verify_chunk(vol, SEED, 2 * i);
    kit_await_idle(pool);
    some = kit_resident_chunks(pool);
    EXPECT(some >= 3 && some < CHUNKS);
    EXPECT_EQ(remount(dir, CHUNK), -EINVAL); /* the kernel takes away nothing that is used */
    EXPECT_RC(remount(dir, used_bytes(dir)), 0);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    kit_await_idle(pool);
    EXPECT(kit_resident_chunks(pool) <= some && kit_resident_chunks(pool) >= some - 1);
    EXPECT_RC(remount(dir, 64 << 20), 0);
    kit_verify(vol, SEED);
    kit_await_idle(pool);
    EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

/* ---- limits of the process ------------------------------------------------------ */

static void limit(int what, uint64_t value)
{
    struct rlimit limits;

    EXPECT_EQ(getrlimit(what, &limits), 0);
    limits.rlim_cur = value < limits.rlim_max ? value : limits.rlim_max;
    EXPECT_EQ(setrlimit(what, &limits), 0);
}

/* Whatever can be had is right; returns the first error. */
static int read_somehow(const char *dir)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *data;
    char buffer[100];
    int rc = hugelite_pool_open(dir, NULL, &pool), last;

    if (rc < 0)
        return rc;
    rc = hugelite_volume_open(pool, path, &vol);
    if (rc == 0) {
        rc = hugelite_volume_fetch(vol, 3 * CHUNK, 8, &data);
        if (rc == 0) {
            kit_pattern(data, 4096, SEED, 3 * CHUNK);
            hugelite_volume_release(vol, data);
        }
        last = hugelite_volume_read(vol, 5 * CHUNK, sizeof buffer, buffer);
        if (last == 0)
            EXPECT_PATTERN(buffer, sizeof buffer, SEED, 5 * CHUNK);
        rc = rc ? rc : last;
        hugelite_volume_close(vol);
    }
    hugelite_pool_close(pool);
    return rc;
}

static void few_descriptors(void *arg)
{
    unsigned more = 0;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC), rc;

    EXPECT(lowest >= 0);
    close(lowest);
    do {
        limit(RLIMIT_NOFILE, (unsigned)lowest + more++);
        rc = read_somehow(arg);
        EXPECT(more < 40);
        if (rc < 0)
            EXPECT_RC(rc, -EMFILE);
    } while (rc < 0);
    EXPECT(more > 3);
}

static uint64_t address_space(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    EXPECT(f && fscanf(f, "%llu", &pages) == 1);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void little_space(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    EXPECT_RC(hugelite_pool_open(arg, NULL, &pool), 0);
    limit(RLIMIT_AS, address_space() + 8 * CHUNK);
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), -ENOMEM);
    EXPECT_CONTAINS(hugelite_error(), "cannot map image");
    limit(RLIMIT_AS, UINT64_MAX);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void nothing_locked(void *arg)
{
    limit(RLIMIT_MEMLOCK, 0);
    EXPECT_RC(read_somehow(arg), 0);
}

static void limits_of_the_process(void)
{
    const char *dir = test_pool_dir();

    hugelite_pool_close(kit_pool(dir, 8));
    EXPECT_CHILD(kit_fork(few_descriptors, (void *)dir), 0);
    if (!TEST_SANITIZED) /* whose shadow has more address space than any limit */
        EXPECT_CHILD(kit_fork(little_space, (void *)dir), 0);
    EXPECT_CHILD(kit_fork(nothing_locked, (void *)dir), 0);
}

int main(void)
{
    const char *dir = test_dir(), *mount_dir;

    shared = kit_shared(sizeof *shared);
    path = test_path(dir, "db");
    test_file(path, BYTES, SEED);
    held_by_others(1);
    held_by_others(2);
    limits_of_the_process();
    requires_root();
    mount_dir = test_path(dir, "tmpfs");
    EXPECT_EQ(mkdir(mount_dir, 0755), 0);
    EXPECT_CHILD(kit_fork(remounted, (void *)mount_dir), 0);
    return 0;
}
