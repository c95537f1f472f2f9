/* SPDX-License-Identifier: MIT
 *
 * test-volume-attach: pools and volumes that are opened, used and closed when what they stand on is
 * not as it was left, or not at all.
 *
 * Passes when an image that somebody has removed is made anew and filled, of a file and of a remote object;
 * when a pool whose control file has been removed says so to who opens a volume; when two pools in
 * file systems of their own are two; when a fault at an address that is no volume's leaves the others
 * served; when a kernel whose userfaultfd is refused, or does not know the pages, leaves reads without a
 * cache, of files and of remote objects, and any other error of it is told; when an old version can
 * be closed though the pool cannot be locked; and when a child that fork() makes in the middle of
 * things reads nothing by its parent's handles.
 */
#include "test-remote-common.h"

#include "stop.h"

#include "pool.h"
#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK - 77)
#define SEED 31

static const char *path, *url;

/* ---- what has been removed ------------------------------------------------------------ */

static unsigned images(const char *dir, bool removes)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(d != NULL);
    while ((entry = readdir(d)))
        if (strstr(entry->d_name, ".image")) {
            if (removes)
                EXPECT_EQ(unlinkat(dirfd(d), entry->d_name, 0), 0);
            nr++;
        }
    closedir(d);
    return nr;
}

static void image_removed(const char *source)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool *pool = kit_pool(dir, 2 * CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, source);

    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_await_idle(pool);
    EXPECT_EQ(images(dir, true), 1);
    vol = kit_volume(pool, source);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
    kit_await_idle(pool);
    kit_audit(pool);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void control_removed(void)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path), *other = NULL;

    kit_verify(vol, SEED);
    EXPECT_EQ(unlink(test_path(dir, "control")), 0);
    EXPECT_RC(hugelite_volume_open(pool, path, &other), -ESTALE);
    EXPECT_CONTAINS(hugelite_error(), "has been removed");
    EXPECT(!other);
    kit_verify(vol, SEED); /* what is open stays so */
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    EXPECT_EQ(images(dir, true), 1);
}

/* ---- which pool ------------------------------------------------------------------------- */

static void two_file_systems(void)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool *pool, *small, *again;
    char name[] = "/dev/shm/test-volume-attach.XXXXXX";

    EXPECT(mkdtemp(name) != NULL);
    pool = kit_pool(dir, 2);
    small = kit_pool(name, 2);
    again = kit_pool(dir, 2);
    EXPECT(small != pool && again == pool);
    hugelite_pool_close(again);
    hugelite_pool_close(small);
    hugelite_pool_close(pool);
    EXPECT_EQ(unlink(test_path(name, "control")), 0);
    EXPECT_EQ(rmdir(name), 0);
}

/* A pool for which there was no room is found again by who makes none, unless it fails otherwise. */
static void no_room(void)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = true };
    struct hugelite_pool *none, *again = NULL;
    struct hugelite_volume *vol;

    stop_fail_kind(STOP_K_FALLOCATE, 1, 1, ENOSPC);
    none = kit_pool(dir, CHUNKS);
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT(hugelite_pool_uncached(none) != NULL);
    vol = kit_volume(none, path);
    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_pool_open(dir, &opts, &again), 0);
    EXPECT(again == none);
    hugelite_pool_close(again);
    again = NULL;
    stop_fail_kind(STOP_K_LOCK, 1, 1, EIO);
    EXPECT_RC(hugelite_pool_open(dir, &opts, &again), -EIO);
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT(!again);
    hugelite_volume_close(vol);
    hugelite_pool_close(none);
}

/* ---- faults ------------------------------------------------------------------------------- */

static void *toucher(void *at)
{
    return (void *)(uintptr_t)*(const volatile char *)at;
}

static void stray_fault(void)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char *stray = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = { .range = { (uintptr_t)stray, page },
                                     .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct uffdio_zeropage zeros = { .range = range.range };
    const void *base;
    pthread_t thread;
    void *seen;

    EXPECT(stray != MAP_FAILED);
    EXPECT(hl_volume_enter(pool, (uintptr_t)stray) == NULL);
    EXPECT_EQ(ioctl(pool->uffd, UFFDIO_REGISTER, &range), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, toucher, stray), 0);
    /* Faults are served one after the other: behind the stray one, these. */
    EXPECT_RC(hugelite_volume_map(vol, &base), 0);
    kit_pattern(base, BYTES / 8 * 8, SEED, 0);
    EXPECT_RC(hugelite_volume_fault(vol, 0, 0), 0);
    EXPECT_EQ(ioctl(pool->uffd, UFFDIO_ZEROPAGE, &zeros), 0);
    EXPECT_EQ(pthread_join(thread, &seen), 0);
    EXPECT(!seen);
    munmap(stray, page);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

/* ---- a kernel that refuses ------------------------------------------------------------------ */

static void reads_uncached(void *arg)
{
    struct hugelite_volume *vol = arg;
    char byte;

    EXPECT_RC(hugelite_volume_read(vol, 0, 1, &byte), -ECHILD);
}

static void goes_without(enum stop_kind kind, unsigned nr, int err, const char *source)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *base;

    stop_fail_kind(kind, 1, nr, err);
    pool = kit_pool(test_pool_dir(), CHUNKS);
    EXPECT_EQ(stop_failed_kind(), nr);
    EXPECT(hugelite_pool_uncached(pool) != NULL);
    vol = kit_volume(pool, source);
    kit_verify_read(vol, SEED);
    EXPECT(hugelite_volume_map(vol, &base) < 0);
    EXPECT_CHILD(kit_fork(reads_uncached, vol), 0);
    kit_verify_read(vol, SEED);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void says(enum stop_kind kind, unsigned nr, int err, const char *why)
{
    const char *dir = test_pool_dir();
    struct hugelite_pool *pool = NULL;

    stop_fail_kind(kind, 1, nr, err);
    EXPECT_RC(hugelite_pool_open(dir, NULL, &pool), -err);
    EXPECT_EQ(stop_failed_kind(), nr);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(!pool);
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void old_version(void)
{
    const char *dir = test_pool_dir(), *name = test_path(test_dir(), "versions");
    struct hugelite_pool *pool = kit_pool(dir, 2 * CHUNKS);
    struct hugelite_volume *old, *new;

    test_file(name, BYTES, SEED);
    old = kit_volume(pool, name);
    kit_verify(old, SEED);
    EXPECT_EQ(unlink(name), 0);
    test_file(name, BYTES, SEED + 1);
    new = kit_volume(pool, name);
    stop_fail_kind(STOP_K_LOCK, 1, 1, EIO);
    hugelite_volume_close(old);
    EXPECT_EQ(stop_failed_kind(), 1);
    kit_verify(new, SEED + 1);
    hugelite_volume_close(new);
    /* Its image is not lost: whoever opens next collects it. */
    EXPECT_EQ(images(dir, false), 2);
    new = kit_volume(pool, name);
    EXPECT_EQ(images(dir, false), 1);
    hugelite_volume_close(new);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static bool in_child;

static int forks(void *arg, uint64_t done, uint64_t total)
{
    pid_t *child = arg;

    (void)done, (void)total;
    if (!*child) {
        *child = fork();
        EXPECT(*child >= 0);
        in_child = *child == 0;
        if (in_child)
            *child = -1;
    }
    return 0;
}

static void refused_read(void *arg)
{
    char bytes[8];

    EXPECT_RC(hugelite_volume_read(arg, CHUNK, sizeof bytes, bytes), -ECHILD);
    EXPECT_RC(hugelite_volume_fault(arg, 0, 0), -ECHILD);
    EXPECT_CONTAINS(hugelite_error(), "fork()");
}

static void forks_in_the_middle(void)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;
    pid_t child = 0;
    int rc;

    /* The next read of the same would not ask again. */
    EXPECT_RC(hugelite_volume_try_fetch(vol, CHUNK, 8, &data), -EAGAIN);
    EXPECT_CHILD(kit_fork(refused_read, vol), 0);
    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    if (!TEST_SANITIZED) { /* fork() beside a busy crew meets a sanitizer's own locks */
        rc = hugelite_volume_warm(vol, 0, 0, forks, &child);
        if (in_child)
            _exit(rc == -ECHILD ? 0 : 3);
        EXPECT_RC(rc, 0);
        EXPECT_CHILD(child, 0);
    }
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *www = test_dir();
    struct kit_origin *origin;

    remote_begin(TEST_HANG_S, true);
    path = test_path(www, "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/db");
    stop_count(STOP_ANY);

    image_removed(path);
    image_removed(url);
    control_removed();
    two_file_systems();
    no_room();
    stray_fault();
    goes_without(STOP_K_USERFAULTFD, 1, EPERM, path);
    goes_without(STOP_K_USERFAULTFD, 1, EACCES, path);
    goes_without(STOP_K_USERFAULTFD, 1, ENOSYS, url);
    goes_without(STOP_K_API, 2, EINVAL, path);
    says(STOP_K_USERFAULTFD, 1, EMFILE, "userfaultfd is refused");
    says(STOP_K_API, 2, ENOMEM, test_on_hugepages() ? "cannot serve hugetlbfs" : "cannot serve tmpfs");
    old_version();
    forks_in_the_middle();
    kit_origin_stop(origin);
    return 0;
}
