/* SPDX-License-Identifier: MIT
 *
 * test-fork-child: what a forked child has of its parent's handles: nothing.
 *
 * Passes when every call on an inherited handle says -ECHILD and a touch of fetched
 * data ends the child (not its parent's data), when the child closes them and opens
 * anew, reads, forks again, and when the parent is undisturbed; when a parent that is
 * killed is noticed as dead although its child lives on; and when a child that only
 * execs leaves no descriptor.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 9)
#define SEED 23

static const char *path, *dir;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;
static const void *held;
static struct {
    _Atomic unsigned claimed, grandchild;
} *shared;

static int never(void *arg, uint64_t done, uint64_t total)
{
    (void)arg, (void)done, (void)total;
    return 0;
}

static void child(void *arg)
{
    struct hugelite_pool *old_pool = pool;
    struct hugelite_volume *old = vol, *other = NULL;
    struct hugelite_volume_stat st;
    struct hugelite_pool_stat pool_st;
    const void *data = NULL;
    char byte;
    size_t nr;

    EXPECT_RC(hugelite_volume_fetch(old, 0, 1, &data), -ECHILD);
    EXPECT_CONTAINS(hugelite_error(), "fork()");
    EXPECT_RC(hugelite_volume_read(old, 0, 1, &byte), -ECHILD);
    EXPECT_RC(hugelite_volume_map(old, &data), -ECHILD);
    EXPECT_RC(hugelite_volume_check(old), -ECHILD);
    EXPECT_RC(hugelite_volume_warm(old, 0, 0, never, NULL), -ECHILD);
    EXPECT_RC(hugelite_volume_stat(old, &st), -ECHILD);
    EXPECT_RC(hugelite_volume_open(old_pool, path, &other), -ECHILD);
    EXPECT_RC(hugelite_pool_stat(old_pool, &pool_st), -ECHILD);
    EXPECT_RC(hugelite_pool_volumes(old_pool, NULL, 0, &nr), -ECHILD);
    EXPECT_RC(hugelite_pool_evict(old_pool, NULL, NULL), -ECHILD);
    EXPECT(!data && !other);
    EXPECT_EQ(hugelite_volume_bytes(old), BYTES);
    hugelite_volume_release(old, held);

    /* Anew, before or after the old ones are closed. */
    if ((uintptr_t)arg % 2) {
        hugelite_volume_close(old);
        hugelite_pool_close(old_pool);
    }
    pool = kit_pool(dir, CHUNKS);
    EXPECT(pool != old_pool || (uintptr_t)arg % 2);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_fetch(vol, 8, 8, &held), 0);
    kit_verify(vol, SEED);
    if (!((uintptr_t)arg % 2)) {
        hugelite_volume_close(old);
        hugelite_pool_close(old_pool);
    }
    kit_verify_read(vol, SEED);
    if ((uintptr_t)arg >= 2)
        EXPECT_CHILD(kit_fork(child, (void *)((uintptr_t)arg - 2)), 0);
    EXPECT_PATTERN(held, 8, SEED, 8);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void toucher(void *arg)
{
    (void)arg;
    signal(SIGSEGV, SIG_DFL);
    (void)*(const volatile char *)held;
}

static void sleeper(void)
{
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        atomic_store(&shared->grandchild, (unsigned)getpid());
        for (;;)
            pause();
    }
    kit_await(&shared->grandchild, 1);
    atomic_store(&shared->claimed, 1);
    for (;;)
        pause();
}

/* Forks in the middle of a fill: the child inherits everything but the claim. */
static void parent_in_fill(void *arg)
{
    struct hugelite_pool *mine = kit_pool(dir, CHUNKS);
    struct hugelite_volume *my_vol = kit_volume(mine, path);
    const void *data;

    (void)arg;
    EXPECT_RC(hugelite_volume_fetch(my_vol, CHUNK, 1, &data), 0); /* and a pin */
    stop_before(STOP_COPY, 1, sleeper);
    (void)hugelite_volume_fetch(my_vol, 3 * CHUNK, 1, &data);
}

static void lists_descriptors(void *arg)
{
    (void)arg;
    close(2);
    EXPECT_EQ(dup2(1, 2), 2);
    execl("/bin/sh", "sh", "-c",
          "for f in /proc/self/fd/*; do t=$(readlink \"$f\");"
          " case $t in *userfaultfd*|*.image*|*/control|*eventfd*|*/pool|*/db)"
          " echo \"$t\"; exit 3;; esac; done", (char *)NULL);
    _exit(99);
}

int main(void)
{
    double start;
    pid_t pid;
    int status;

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &held), 0);

    for (uintptr_t i = 0; i < 6; i++)
        EXPECT_CHILD(kit_fork(child, (void *)i), 0);
    EXPECT_PATTERN(held, CHUNK, SEED, 0);
    kit_verify(vol, SEED);

    pid = kit_fork(toucher, NULL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
#ifndef __SANITIZE_ADDRESS__
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
#else
    EXPECT(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
#endif
    EXPECT_PATTERN(held, CHUNK, SEED, 0);

    pid = kit_fork(lists_descriptors, NULL);
    EXPECT_CHILD(pid, 0);

    /* A parent dies, its child does not. */
    hugelite_volume_release(vol, held);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    pid = kit_fork(parent_in_fill, NULL);
    kit_await(&shared->claimed, 1);
    kit_kill(pid);
    start = test_now();
    kit_verify(vol, SEED);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_EQ(kill((pid_t)atomic_load(&shared->grandchild), 0), 0); /* it does live */
    kit_audit(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0); /* its pin is void */
    kill((pid_t)atomic_load(&shared->grandchild), SIGKILL);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
