/* SPDX-License-Identifier: MIT
 *
 * test-pool-attach-fails: where a pool may lie, whose it is, how large, and what it takes to attach to it,
 * when all of that is not as it should be.
 *
 * Passes when the modes of a group's place are passed on, and of no other; when what cannot be
 * looked at is private; when budgets are cut to what there is, and wrong ones, damaged segments and
 * locks that fail are errors with a sentence; when a lock is let go of whatever the kernel says first;
 * and when the choice without a name passes over what cannot be trusted or used.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "chunk.h"
#include "layout.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 6
#define STRANGER 4242

static uint64_t memory_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int try_open(const char *dir, uint64_t budget, bool existing, struct hugelite_pool **ret_pool)
{
    struct hugelite_pool_opts opts = {
        .size = sizeof opts, .budget_bytes = budget, .existing = existing
    };

    *ret_pool = NULL;
    return hugelite_pool_open(dir, &opts, ret_pool);
}

static void fails(const char *dir, uint64_t budget, bool existing, int rc, const char *why)
{
    struct hugelite_pool *pool;

    EXPECT_RC(try_open(dir, budget, existing, &pool), rc);
    EXPECT(pool == NULL);
    EXPECT_CONTAINS(hugelite_error(), why);
}

static void remove_pool(const char *dir)
{
    EXPECT_EQ(unlink(test_path(dir, "control")), 0);
    EXPECT_EQ(rmdir(dir), 0);
}

/* ---- whose it is ------------------------------------------------------------------- */

static void made_in(const char *parent, mode_t mode, bool is_groups)
{
    const char *dir = test_path(parent, "pool");
    struct hugelite_pool *pool;
    struct stat st;

    EXPECT_EQ(chmod(parent, mode), 0);
    pool = kit_pool(dir, 2);
    EXPECT_EQ(stat(dir, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, is_groups ? 0770 : 0700);
    EXPECT_EQ(stat(test_path(dir, "control"), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, is_groups ? 0660 : 0600);
    hugelite_pool_close(pool);
    remove_pool(dir);
}

static void modes(const char *parent)
{
    made_in(parent, 02775, true);
    made_in(parent, 02777, false); /* everybody's */
    made_in(parent, 02755, false); /* one user's */
    made_in(parent, 0775, false);  /* what is made there is not the group's */
    /* Who cannot look says no. */
    stop_fail_kind(STOP_K_OPENAT, 2, 1, EACCES);
    made_in(parent, 02775, false);
    EXPECT_EQ(stop_failed_kind(), 1);
    stop_fail_kind(STOP_K_FSTAT, 2, 1, EIO);
    made_in(parent, 02775, false);
    EXPECT_EQ(stop_failed_kind(), 1);
    stop_fail_kind(STOP_K_FCHMOD, 1, 1, EPERM);
    made_in(parent, 02775, false);
    EXPECT_EQ(stop_failed_kind(), 1);
    stop_fail_kind(STOP_K_OPENAT, 0, 0, 0);
    EXPECT_EQ(chmod(parent, 0700), 0);
}

/* ---- how large ---------------------------------------------------------------------- */

static void budgets(const char *parent)
{
    const char *dir = test_path(parent, "pool");
    uint64_t memory = memory_bytes() & ~(CHUNK - 1);
    struct hugelite_pool *pool;

    fails(dir, CHUNK - 1, false, -EINVAL, "2M at least");
    fails(dir, 1ull << 49, false, -EINVAL, "too large");
    setenv("HUGELITE_POOL_SIZE", "1M", 1);
    fails(dir, 0, false, -EINVAL, "2M at least");
    setenv("HUGELITE_POOL_SIZE", "many", 1);
    fails(dir, 0, false, -EINVAL, "not a size");
    setenv("HUGELITE_POOL_SIZE", "", 1); /* as if there were none */
    EXPECT_RC(try_open(dir, 0, false, &pool), 0);
    EXPECT(!hugelite_pool_uncached(pool));
    hugelite_pool_close(pool);
    remove_pool(dir);
    unsetenv("HUGELITE_POOL_SIZE");
    stop_fail_kind(STOP_K_FSTATFS, 2, 1, EIO);
    fails(dir, 0, false, -EIO, dir);
    EXPECT_EQ(stop_failed_kind(), 1);

    /* It may grow to eight times that, but not beyond the machine's memory, if it is not larger itself. */
    EXPECT_RC(try_open(dir, CHUNK, false, &pool), 0);
    EXPECT_EQ(pool->nr_tickets, 8);
    EXPECT_RC(hugelite_pool_resize(pool, 9 * CHUNK, NULL), -EFBIG);
    EXPECT_RC(hugelite_pool_resize(pool, CHUNK - 1, NULL), -EINVAL);
    hugelite_pool_close(pool);
    remove_pool(dir);
    if (test_on_hugepages() && geteuid() != 0)
        return;
    EXPECT_RC(try_open(dir, memory / 4, false, &pool), 0);
    EXPECT_EQ(pool->nr_tickets, memory / CHUNK);
    hugelite_pool_close(pool);
    remove_pool(dir);
    EXPECT_RC(try_open(dir, 2 * memory, false, &pool), 0);
    EXPECT_EQ(pool->nr_tickets, 2 * memory / CHUNK);
    EXPECT(pool->nr_words >= 16ull * pool->nr_tickets);
    hugelite_pool_close(pool);
    remove_pool(dir);
}

/* ---- the segment --------------------------------------------------------------------- */

static void free_outside(struct hl_control *c) { c->free_at = c->control_bytes; }
static void fresh_unaligned(struct hl_control *c) { c->fresh_at += 8; }

static void damaged(const char *dir, void (*change)(struct hl_control *))
{
    struct hugelite_pool *pool;
    struct hl_control *c;
    int fd;

    EXPECT_RC(try_open(dir, 2 * CHUNK, false, &pool), 0);
    hugelite_pool_close(pool);
    fd = open(test_path(dir, "control"), O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    c = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(c != MAP_FAILED);
    change(c);
    munmap(c, CHUNK);
    close(fd);
    fails(dir, 2 * CHUNK, false, -EBADMSG, "damaged");
    remove_pool(dir);
}

static void segments(const char *parent)
{
    const char *dir = test_path(parent, "pool"), *control = test_path(parent, "pool/control");
    struct hugelite_pool *pool;

    damaged(dir, free_outside);
    damaged(dir, fresh_unaligned);

    EXPECT_EQ(mkdir(dir, 0700), 0);
    fails(dir, 0, true, -ENOENT, "no pool is there");
    EXPECT_EQ(mkdir(control, 0700), 0);
    fails(dir, 2 * CHUNK, true, -EISDIR, "directory");
    EXPECT_EQ(rmdir(control), 0);
    EXPECT_EQ(mkfifo(control, 0600), 0);
    fails(dir, 2 * CHUNK, false, -EBADMSG, "control file");
    EXPECT_EQ(unlink(control), 0);
    /* No room for it, and no memory for one of our own. */
    stop_fail_kind(STOP_K_MMAP, 1, 1, ENOMEM);
    stop_fail_call(0, 0);
    fails(dir, 2 * CHUNK, false, -ENOMEM, "control file");
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT_RC(try_open(dir, 2 * CHUNK, false, &pool), 0);
    hugelite_pool_close(pool);
    remove_pool(dir);
}

/* ---- locks ---------------------------------------------------------------------------- */

static int (*real_lock)(int fd, int command, struct flock *lock);
static struct {
    short type;         /* of these */
    off_t start;        /* at this byte */
    int errnos[6];      /* the next ones fail with these, until one is 0 */
    unsigned nr;
} refusing;

static int refuse(int fd, int command, struct flock *lock)
{
    if (command == F_OFD_SETLK && lock->l_type == refusing.type &&
        lock->l_start == refusing.start && refusing.errnos[refusing.nr]) {
        errno = refusing.errnos[refusing.nr++];
        return -1;
    }
    return real_lock(fd, command, lock);
}

static void refusals(short type, off_t start, int a, int b, int c, int d)
{
    memset(&refusing, 0, sizeof refusing);
    refusing.type = type;
    refusing.start = start;
    refusing.errnos[0] = a;
    refusing.errnos[1] = b;
    refusing.errnos[2] = c;
    refusing.errnos[3] = d;
}

static void locks(const char *parent)
{
    const char *dir = test_path(parent, "pool");
    struct hugelite_pool *pool;
    uint32_t generation;

    real_lock = hl_sys.lock;
    hl_sys.lock = refuse;
    pool = kit_pool(dir, 2);

    refusals(F_WRLCK, HL_LOCK_POOL, EACCES, EINTR, EAGAIN, 0);
    EXPECT_RC(hl_pool_lock(pool), 0);
    EXPECT_EQ(refusing.nr, 3);
    /* Until it is let go of; nothing is known of another errno, and so nothing done. */
    refusals(F_UNLCK, HL_LOCK_POOL, ENOLCK, ENOMEM, EINTR, 0);
    hl_pool_unlock(pool);
    EXPECT_EQ(refusing.nr, 3);
    refusals(F_WRLCK, HL_LOCK_POOL, EIO, 0, 0, 0);
    EXPECT_RC(hl_pool_lock(pool), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "cannot lock");
    EXPECT_RC(hl_pool_lock(pool), 0);
    refusals(F_UNLCK, HL_LOCK_POOL, EBADF, 0, 0, 0);
    hl_pool_unlock(pool);
    EXPECT_EQ(refusing.nr, 1);
    EXPECT_RC(hl_pool_lock(pool), 0); /* it is ours still */
    hl_pool_unlock(pool);
    stop_fail_kind(STOP_K_FSTAT, 1, 1, EIO);
    EXPECT_RC(hugelite_pool_set_share(pool, "/x", 0), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "control file");
    EXPECT_RC(hugelite_pool_set_share(pool, "/x", 0), -ENOENT);

    /* A seat whose generations have run out begins anew, but for 0. */
    generation = HL_OWNER_GENERATION(pool->owner);
    EXPECT(generation != 0);
    atomic_store(&pool->members[HL_OWNER_MEMBER(pool->owner)].generation, UINT32_MAX);
    hugelite_pool_close(pool);
    pool = kit_pool(dir, 2);
    EXPECT_EQ(HL_OWNER_GENERATION(pool->owner), 1);
    hugelite_pool_close(pool);

    /* Seats that are taken are passed over; a kernel that has no locks left is none of them. */
    refusals(F_WRLCK, HL_LOCK_MEMBER, EAGAIN, 0, 0, 0);
    pool = kit_pool(dir, 2);
    EXPECT_EQ(HL_OWNER_MEMBER(pool->owner), 1);
    hugelite_pool_close(pool);
    refusals(F_WRLCK, HL_LOCK_MEMBER, ENOLCK, 0, 0, 0);
    fails(dir, 2 * CHUNK, false, -ENOLCK, "seat");
    hl_sys.lock = real_lock;
    remove_pool(dir);
}

/* A child of fork() has no pool, and may have its own. */
static void in_a_child(void *arg)
{
    struct hugelite_pool *pool = arg;
    char dir[4096];

    snprintf(dir, sizeof dir, "%s", pool->dir);
    EXPECT_RC(hugelite_pool_resize(pool, 4 * CHUNK, NULL), -ECHILD);
    EXPECT_RC(hugelite_pool_set_share(pool, "/x", CHUNK), -ECHILD);
    hugelite_pool_close(pool);
    pool = kit_pool(dir, 2);
    hugelite_pool_close(pool);
}

static void forks(const char *parent)
{
    struct hugelite_pool *pools[2] = { kit_pool(test_path(parent, "pool"), 2),
                                       kit_pool(test_path(parent, "other"), 2) };
    const char *path = test_path(test_dir(), "db");
    struct hugelite_volume *vol;

    test_file(path, CHUNK, 5);
    vol = kit_volume(pools[0], path);
    kit_verify(vol, 5);
    EXPECT_RC(hugelite_pool_set_share(pools[0], path, UINT64_MAX / 2), 0);
    EXPECT_EQ(vol->volume->slot->share, 0); /* that is none */
    EXPECT_CHILD(kit_fork(in_a_child, pools[1]), 0);
    kit_verify(vol, 5);
    hugelite_volume_close(vol);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_RC(hugelite_pool_evict(pools[i], NULL, NULL), 0);
        hugelite_pool_close(pools[i]);
    }
}

/* ---- the choice ------------------------------------------------------------------------- */

static char huge[4096], shm[64];

static void chooses(const char *want)
{
    char dir[PATH_MAX];

    EXPECT_RC(hl_directory_choose(dir), 0);
    EXPECT_STR(dir, want);
}

static void without_root(void *arg)
{
    (void)arg;
    EXPECT_EQ(setgid(STRANGER), 0);
    EXPECT_EQ(setuid(STRANGER), 0);
    snprintf(shm, sizeof shm, "/dev/shm/hugelite-%u", STRANGER);
    chooses(shm);
}

static void choices(const char *mount_dir)
{
    const char *closed = test_path("/dev/shm", "closed"), *inside = test_path(closed, "huge");
    const char *counts = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    FILE *f;

    setenv("HUGELITE_POOL", "", 1); /* as if there were none */
    snprintf(huge, sizeof huge, "%s/hugelite", mount_dir);
    snprintf(shm, sizeof shm, "/dev/shm/hugelite-%u", (unsigned)geteuid());
    kit_mount("tmpfs", "size=64M,mode=1777", "/dev/shm");
    kit_unmount_hugepages_but(mount_dir);
    chooses(huge);

    /* A stranger's, but in a group's place. */
    EXPECT_EQ(mkdir(huge, 0770), 0);
    EXPECT_EQ(chown(huge, STRANGER + 1, STRANGER), 0);
    chooses(shm);
    EXPECT_EQ(chmod(mount_dir, 02775), 0);
    chooses(huge);
    EXPECT_EQ(chmod(mount_dir, 0755), 0);
    EXPECT_EQ(chown(huge, 0, 0), 0);
    chooses(huge);
    EXPECT_EQ(chmod(huge, 0755), 0);
    EXPECT_CHILD(kit_fork(without_root, NULL), 0); /* root's, and not to be written */
    EXPECT_EQ(rmdir(huge), 0);
    EXPECT_CHILD(kit_fork(without_root, NULL), 0); /* no place to make one */

    /* A mount that is covered by another, and one that cannot be looked into. */
    kit_mount("tmpfs", "size=1M", mount_dir);
    chooses(shm);
    EXPECT_EQ(umount(mount_dir), 0);
    EXPECT_EQ(mkdir(closed, 0700), 0);
    EXPECT_EQ(mkdir(inside, 0700), 0);
    kit_mount("hugetlbfs", "pagesize=2M", inside);
    EXPECT_CHILD(kit_fork(without_root, NULL), 0);
    chooses(huge);

    /* The counts of free pages: not there, nonsense, all of them promised.  Of the mount without a size. */
    EXPECT_EQ(umount2(mount_dir, MNT_DETACH), 0);
    chooses(test_path(inside, "hugelite"));
    kit_mount("tmpfs", "size=1M", "/sys/kernel/mm/hugepages");
    chooses(shm);
    EXPECT_EQ(mkdir(counts, 0755), 0);
    f = fopen(test_path(counts, "free_hugepages"), "we");
    EXPECT(f != NULL);
    fputs("none\n", f);
    fclose(f);
    chooses(shm);
    f = fopen(test_path(counts, "free_hugepages"), "we");
    EXPECT(f != NULL);
    fputs("5\n", f);
    fclose(f);
    chooses(test_path(inside, "hugelite"));
    f = fopen(test_path(counts, "resv_hugepages"), "we");
    EXPECT(f != NULL);
    fputs("7\n", f);
    fclose(f);
    chooses(shm);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!getenv("HUGELITE_TEST_OWN_PAGES")) {
        const char *parent = test_pool_dir();

        EXPECT_EQ(mkdir(parent, 0700), 0);
        stop_count(STOP_ANY);
        modes(parent);
        budgets(parent);
        segments(parent);
        locks(parent);
        forks(parent);
        if (geteuid() != 0 || !test_on_hugepages())
            return 0; /* the choice is among places with huge pages */
    }
    kit_own_hugepages(argv, PAGES);
    choices(getenv("HUGELITE_TEST_MOUNT"));
    return 0;
}
