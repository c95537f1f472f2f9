/* SPDX-License-Identifier: MIT
 *
 * test-crew-errors: each single system call of cold readers of a compressed volume fails once, or
 * is the last before kill -9.
 *
 * A story (open a pool and a volume, read here and there, in order, whole chunks, evict, close) is
 * told once for each call that the engine, crew included, makes in it.  Passes when with that
 * call failing each call into the engine succeeds or answers a negative errno with a message, no
 * byte is wrong, nothing hangs, the same process tells the story again without an error and is
 * left with the descriptors, mappings and threads that it had; and when after a death
 * there another process reads all of it soon, from tables that agree with the images.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 4
#define BUDGET 3
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 101

static const char *path, *dir;
static _Atomic unsigned *progress;
static unsigned die_at;

/* 0, or an error that says why. */
static int said(int rc)
{
    if (rc < 0)
        EXPECT(hugelite_error()[0]);
    else
        EXPECT_EQ(rc, 0);
    return rc;
}

static void read_at(struct hugelite_volume *vol, uint64_t at, uint64_t length, bool must_succeed)
{
    static char buffer[CHUNK];
    int rc = said(hugelite_volume_read(vol, at, length, buffer));

    if (rc == 0)
        EXPECT_PATTERN(buffer, length, SEED, at);
    if (must_succeed)
        EXPECT_EQ(rc, 0);
}

static void story(bool must_succeed)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = BUDGET * CHUNK };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *data;
    int rc;

    /* A crew that gets no time is no error. */
    hl_patience_ns = must_succeed ? TEST_PATIENCE_NS : 200 * 1000 * 1000;
    rc = said(hugelite_pool_open(dir, &opts, &pool));
    if (rc < 0) {
        EXPECT(!must_succeed);
        return;
    }
    rc = said(hugelite_volume_open(pool, path, &vol));
    if (rc < 0) {
        EXPECT(!must_succeed);
        hugelite_pool_close(pool);
        return;
    }
    for (unsigned i = 0; i < 6; i++)
        read_at(vol, i * 3 % CHUNKS * CHUNK + (40 + i * 60) * 4096, 4096, must_succeed);
    for (uint64_t at = 0; at < BYTES - 4096; at += CHUNK / 4)
        read_at(vol, at, 4096, must_succeed);
    read_at(vol, CHUNK + CHUNK / 2, CHUNK, must_succeed);
    rc = said(hugelite_volume_fetch(vol, 0, 8, &data));
    if (rc == 0) {
        kit_pattern(data, 8192, SEED, 0);
        hugelite_volume_release(vol, data);
    }
    said(hugelite_pool_evict(pool, NULL, NULL));
    if (must_succeed)
        kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    EXPECT_EQ(atomic_load(&pool->crew.nr_reserved), 0);
    if (must_succeed)
        kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void fails(void *arg)
{
    static const int errors[] = { EIO, ENOMEM, EMFILE };
    unsigned fds, maps, threads;
    bool came = true;

    (void)arg;
    story(true);
    story(true); /* what is kept for good is there now */
    fds = kit_count_fds();
    maps = kit_count_maps();
    threads = kit_count_threads();
    for (unsigned nth = 1; came; nth++) {
        alarm(TEST_HANG_S);
        atomic_store(progress, nth);
        stop_fail_call(nth, errors[nth % 3]);
        story(false);
        came = stop_failed();
        stop_fail_call(0, 0);
        if (nth % 4 == 0)
            story(true);
        EXPECT_EQ(kit_count_threads(), threads);
        if (kit_count_fds() > fds + 2)
            test_fail(__FILE__, __LINE__, "%u descriptors, %u before", kit_count_fds(), fds);
        if (!TEST_SANITIZED && kit_count_maps() > maps + 10)
            test_fail(__FILE__, __LINE__, "%u mappings, %u before", kit_count_maps(), maps);
    }
    story(true);
}

static void dies(void *arg)
{
    (void)arg;
    alarm(TEST_HANG_S);
    stop_before(STOP_ANY, die_at, stop_die);
    story(false);
    _exit(5); /* came to its end */
}

static void looks(void *arg)
{
    double start = test_now();
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    alarm(TEST_HANG_S);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    if (die_at % 2)
        read_at(vol, 2 * CHUNK + 99 * 4096, 4096, true);
    kit_verify(vol, SEED);
    EXPECT(test_now() - start < TEST_HANG_S);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    int status;
    pid_t pid;

    kit_use_cpus(2);
    progress = kit_shared(sizeof *progress);
    dir = test_pool_dir();
    path = test_path(test_dir(), "db.zst");
    kit_zst(path, BYTES, SEED, 256 * 1024, 0);

    pid = kit_fork(fails, NULL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (status)
        test_fail(__FILE__, __LINE__, "status %x when call %u fails", (unsigned)status,
                  atomic_load(progress));
    fprintf(stderr, "each of %u calls failed once\n", atomic_load(progress) - 1);
    EXPECT(atomic_load(progress) > 50);

    for (die_at = 1;; die_at += 1 + die_at / 64) {
        pid = kit_fork(dies, NULL);
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 5)
            break;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            test_fail(__FILE__, __LINE__, "before call %u: status %x", die_at, (unsigned)status);
        pid = kit_fork(looks, NULL);
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        if (status)
            test_fail(__FILE__, __LINE__, "after a death before call %u", die_at);
    }
    fprintf(stderr, "died up to call %u\n", die_at);
    EXPECT(die_at > 50);
    return 0;
}
