/* SPDX-License-Identifier: MIT
 *
 * test-shared-namespaces: one pool in several containers.
 *
 * Each member has a user, a mount and a pid namespace of its own (it is process 1 in its own) and reaches the pool
 * by its own bind mount, at another path, as a user of the pool's group that has no privilege outside.  Passes when what
 * one fills the other finds, without reading the source again; when the pins of one hold against the evictions of
 * the other; when a filler that is killed in mid-fill in one is noticed and taken over in the other, although
 * neither sees the other's processes, and a live one is not; when each counts the others as readers; and when a
 * user of another namespace that is not of the pool's group is told -EACCES.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 6
#define BUDGET 6
#define BYTES (CHUNKS * CHUNK - 99)
#define SEED 97
#define GROUP 54321
#define FIRST_ID 200000 /* what root of each namespace is outside */

static const char *path, *dir, *mounts[2];
static struct {
    _Atomic unsigned a, b; /* steps done by either */
} *shared;

/* ---- a container ------------------------------------------------------------ */

struct container {
    void (*run)(const char *pool);
    const char *mount; /* where it sees the pool */
    unsigned uid, gid; /* outside */
    bool dies;
};

static void write_map(const char *name, pid_t pid, const char *text)
{
    char file[64];
    int fd;

    snprintf(file, sizeof file, "/proc/%d/%s", pid, name);
    fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", file, strerror(errno));
    close(fd);
}

/* Process 1 of its pid namespace, root of its user namespace and, but for one group, nobody outside. */
static void inside(const struct container *c)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    EXPECT_EQ(getpid(), 1);
    EXPECT_EQ(geteuid(), 0);
    c->run(c->mount);
    fflush(NULL);
    _exit(0);
}

static void enter(void *arg)
{
    const struct container *c = arg;
    int ready[2], mapped[2], status;
    char text[64], byte = 0;
    pid_t self = getpid(), mapper, pid;

    /* The mount while we may: the same file system at another path, in a mount namespace of our own. */
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(dir, c->mount, NULL, MS_BIND, NULL) < 0)
        test_skip("no mount namespace: %s", strerror(errno));
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(mapped, O_CLOEXEC), 0);
    mapper = fork();
    EXPECT(mapper >= 0);
    if (mapper == 0) { /* its ids are given to it from outside */
        if (read(ready[0], &byte, 1) != 1)
            _exit(0);
        snprintf(text, sizeof text, "0 %u 1\n", c->uid);
        write_map("uid_map", self, text);
        snprintf(text, sizeof text, "0 %u 1\n", c->gid);
        write_map("gid_map", self, text);
        _exit(write(mapped[1], "x", 1) != 1);
    }
    kit_become(c->uid, c->gid);
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) {
        kill(mapper, SIGKILL);
        test_skip("no user namespace: %s", strerror(errno));
    }
    EXPECT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    EXPECT_EQ(write(ready[1], "x", 1), 1);
    EXPECT_EQ(read(mapped[0], &byte, 1), 1);
    EXPECT_CHILD(mapper, 0);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        inside(c);
    if (c->dies) {
        kit_await(&shared->a, 4);
        EXPECT_EQ(kill(pid, SIGKILL), 0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* ---- the members -------------------------------------------------------------- */

/* Process 1 cannot kill itself: who is outside does. */
static void die(void)
{
    atomic_store(&shared->a, 4);
    for (;;)
        pause();
}

static void hold(void)
{
    atomic_store(&shared->a, 3);
    kit_await(&shared->b, 3);
}

/* Fills, holds a chunk, fills slowly, and dies in mid-fill. */
static void first(const char *pool_dir)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *held;

    EXPECT(hugelite_pool_uncached(pool) == NULL);
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 1, &held), 0);
    atomic_store(&shared->a, 1);
    kit_await(&shared->b, 1);
    kit_pattern(held, CHUNK, SEED, 2 * CHUNK);
    hugelite_volume_release(vol, held);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    atomic_store(&shared->a, 2);
    kit_await(&shared->b, 2);
    stop_before(STOP_PREAD, 1, hold);
    kit_verify_chunk(vol, SEED, 0);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    stop_after(STOP_COPY, 1, die);
    kit_verify_chunk(vol, SEED, 4);
}

static struct hugelite_pool_stat *stat_of(struct hugelite_pool *pool)
{
    static struct hugelite_pool_stat st;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    return &st;
}

static void second(const char *pool_dir)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    uint64_t fills, bytes;

    kit_await(&shared->a, 1);
    EXPECT(kill(2, 0) < 0); /* nobody else is to be seen */
    pool = kit_pool(pool_dir, BUDGET);
    vol = kit_volume(pool, path);
    fills = kit_stat(vol).fills;
    bytes = kit_stat(vol).source_bytes;
    EXPECT_EQ(fills, CHUNKS);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, fills);
    EXPECT_EQ(kit_stat(vol).source_bytes, bytes);
    EXPECT_EQ(stat_of(pool)->readers, 2);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 1); /* which the other holds */
    atomic_store(&shared->b, 1);

    kit_await(&shared->a, 2);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    atomic_store(&shared->b, 2);
    kit_await(&shared->a, 3); /* it fills chunk 0, alive: nobody takes that over */
    {
        const void *data;

        hl_patience_ns = 20 * 1000 * 1000;
        EXPECT_RC(hugelite_volume_fetch(vol, 0, 1, &data), -ETIMEDOUT);
        hl_patience_ns = TEST_PATIENCE_NS;
    }
    atomic_store(&shared->b, 3);
    kit_await(&shared->a, 4); /* and dies */
    kit_verify(vol, SEED);
    while (stat_of(pool)->readers != 1) /* the kernel closes its files in a moment */
        test_sleep_ms(1);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void stranger(const char *pool_dir)
{
    struct hugelite_pool *pool;

    EXPECT_RC(hugelite_pool_open(pool_dir, NULL, &pool), -EACCES);
    EXPECT_CONTAINS(hugelite_error(), pool_dir);
    EXPECT_CONTAINS(hugelite_error(), "Permission denied");
}

int main(void)
{
    const char *files = test_dir();
    struct container containers[3];
    pid_t a, b;
    int status;

    requires_root();
    shared = kit_shared(sizeof *shared);
    path = test_path(files, "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    dir = test_pool_dir();
    EXPECT_EQ(mkdir(dir, 0770), 0);
    EXPECT_EQ(chown(dir, 0, GROUP), 0);
    EXPECT_EQ(chmod(dir, 02770), 0);
    for (unsigned i = 0; i < 2; i++) {
        mounts[i] = test_path(files, i ? "second" : "first");
        EXPECT_EQ(mkdir(mounts[i], 0755), 0);
    }
    containers[0] = (struct container){ first, mounts[0], FIRST_ID, GROUP, true };
    containers[1] = (struct container){ second, mounts[1], FIRST_ID + 1, GROUP, false };
    containers[2] = (struct container){ stranger, mounts[1], FIRST_ID + 2, FIRST_ID + 2, false };
    a = kit_fork(enter, &containers[0]);
    b = kit_fork(enter, &containers[1]);
    EXPECT_EQ(waitpid(a, &status, 0), a);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        kit_kill(b);
    EXPECT(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        test_skip("no namespaces here");
    if (WEXITSTATUS(status) != 128 + SIGKILL)
        kit_kill(b);
    EXPECT_EQ(WEXITSTATUS(status), 128 + SIGKILL);
    EXPECT_CHILD(b, 0);
    EXPECT_CHILD(kit_fork(enter, &containers[2]), 0);
    return 0;
}
