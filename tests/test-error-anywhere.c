/* SPDX-License-Identifier: MIT
 *
 * test-error-anywhere: each single system call fails once.
 *
 * A story (make a pool, read more than the budget, replace the file, evict, close) is
 * told once for each call that the engine makes in it, and that call fails, with EIO,
 * ENOMEM or EMFILE in turn.  Passes when each call into the engine then succeeds or
 * answers a negative errno with a message, no byte is wrong, nothing crashes or
 * hangs; when the same process tells the story again without an error; and when it
 * has no more descriptors and mappings than before.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 3
#define BUDGET 2
#define BYTES (CHUNKS * CHUNK - 12)
#define SMALL 10000

static const char *path, *other, *fresh, *dir;
static _Atomic unsigned *progress;

/* 0, or an error that says why. */
static int said(int rc)
{
    if (rc < 0)
        EXPECT(hugelite_error()[0]);
    else
        EXPECT_EQ(rc, 0);
    return rc;
}

static void read_all(struct hugelite_pool *pool, const char *name, uint64_t seed)
{
    struct hugelite_volume *vol;
    const void *data;
    char buffer[5000];

    if (said(hugelite_volume_open(pool, name, &vol)) < 0)
        return;
    for (uint64_t i = 0; i * CHUNK < hugelite_volume_bytes(vol); i++) {
        if (said(hugelite_volume_fetch(vol, i * CHUNK, 8, &data)) == 0) {
            kit_pattern(data, SMALL - 16, seed, i * CHUNK);
            hugelite_volume_release(vol, data);
        }
        if (said(hugelite_volume_read(vol, i * CHUNK + 8, sizeof buffer, buffer)) == 0)
            EXPECT_PATTERN(buffer, sizeof buffer, seed, i * CHUNK + 8);
    }
    said(hugelite_volume_check(vol));
    said(hugelite_volume_warm(vol, 0, 0, NULL, NULL));
    hugelite_volume_close(vol);
}

static void story(bool must_succeed)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = BUDGET * CHUNK };
    struct hugelite_volume_stat st[4];
    struct hugelite_pool_stat pool_st;
    struct hugelite_pool *pool;
    size_t nr;

    test_file(fresh, SMALL, 1);
    EXPECT_EQ(rename(fresh, other), 0);
    if (said(hugelite_pool_open(dir, &opts, &pool)) < 0) {
        EXPECT(!must_succeed);
        return;
    }
    read_all(pool, path, 2);
    read_all(pool, other, 1);
    test_file(fresh, SMALL, 3);
    EXPECT_EQ(rename(fresh, other), 0);
    read_all(pool, other, 3);
    said(hugelite_pool_stat(pool, &pool_st));
    said(hugelite_pool_volumes(pool, st, 4, &nr));
    said(hugelite_pool_evict(pool, path, NULL));
    said(hugelite_pool_evict(pool, NULL, NULL));
    if (must_succeed) {
        struct hugelite_volume *vol = kit_volume(pool, other);

        EXPECT_EQ(kit_resident_chunks(pool), 0);
        kit_verify(vol, 3);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
    }
    hugelite_pool_close(pool);
}

static void teller(void *arg)
{
    static const int errors[] = { EIO, ENOMEM, EMFILE };
    unsigned fds, maps;
    bool came = true;

    (void)arg;
    hl_patience_ns = 200 * 1000 * 1000;
    story(true); /* what is kept for good is there now */
    fds = kit_count_fds();
    maps = kit_count_maps();
    for (unsigned nth = 1; came; nth++) {
        alarm(TEST_HANG_S);
        atomic_store(progress, nth);
        unlink(test_path(dir, "control"));
        stop_fail_call(nth, errors[nth % 3]);
        story(false);
        came = stop_failed();
        stop_fail_call(0, 0);
        story(true);
        /* A source that is parked is a descriptor, and there were two of them. */
        if (kit_count_fds() > fds + 4)
            test_fail(__FILE__, __LINE__, "%u descriptors, %u before", kit_count_fds(), fds);
        if (!TEST_SANITIZED && kit_count_maps() > maps + 4)
            test_fail(__FILE__, __LINE__, "%u mappings, %u before", kit_count_maps(), maps);
    }
}

int main(void)
{
    const char *files = test_dir();
    int status;
    pid_t pid;

    progress = kit_shared(sizeof *progress);
    dir = test_pool_dir();
    path = test_path(files, "db");
    other = test_path(files, "other");
    fresh = test_path(files, "fresh");
    test_file(path, BYTES, 2);
    pid = kit_fork(teller, NULL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (status)
        test_fail(__FILE__, __LINE__, "status %x when call %u fails", (unsigned)status,
                  atomic_load(progress));
    fprintf(stderr, "each of %u calls failed once\n", atomic_load(progress) - 1);
    EXPECT(atomic_load(progress) > 50);
    return 0;
}
