/* SPDX-License-Identifier: MIT
 *
 * test-replacement-cgroup: a process whose hugetlb cgroup allows it fewer pages than
 * the pool has.
 *
 * Passes when the limited process reads everything right within a few seconds, gets
 * -EBUSY (and no SIGBUS, no hang) when all that it may use is held, is served by
 * read() then, and when nobody outside of the cgroup notices anything.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 16
#define LIMIT 4
#define CHUNKS 12
#define BYTES (CHUNKS * CHUNK - 50)
#define SEED 59

static const char *path, *dir, *group;

static void write_file(const char *name, const char *text)
{
    int fd = open(test_path(group, name), O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        test_fail(__FILE__, __LINE__, "%s/%s: %s", group, name, strerror(errno));
    close(fd);
}

static void limited(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *held[LIMIT + 1], *data;
    char buffer[1000];
    unsigned nr = 0;
    double start;
    int rc;

    (void)arg;
    write_file("cgroup.procs", "0");
    pool = kit_pool(dir, 1);
    vol = kit_volume(pool, path);
    start = test_now();
    kit_verify(vol, SEED);
    kit_verify(vol, SEED);
    EXPECT(test_now() - start < TEST_HANG_S);
    /* Nothing is resident that it did not pay for. */
    kit_await_idle(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    /* Not in sequence: the crew is to have no part in it. */
    while ((rc = hugelite_volume_fetch(vol, nr * 5 % CHUNKS * CHUNK, 8, &data)) == 0) {
        EXPECT(nr < LIMIT);
        held[nr++] = data;
        start = test_now();
    }
    EXPECT_RC(rc, -EBUSY);
    EXPECT(test_now() - start < TEST_HANG_S);
    EXPECT_EQ(nr, LIMIT);
    EXPECT_RC(hugelite_volume_read(vol, 6 * CHUNK + 7, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, SEED, 6 * CHUNK + 7);
    while (nr)
        hugelite_volume_release(vol, held[--nr]);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(int argc, char **argv)
{
    const char *cgroups, *files;
    char limit[32];
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)argc;
    kit_own_hugepages(argv, PAGES);
    files = test_dir();
    path = test_path(files, "db");
    cgroups = test_path(files, "cgroup");
    EXPECT_EQ(mkdir(cgroups, 0755), 0);
    kit_mount("cgroup", "hugetlb", cgroups);
    group = test_path(cgroups, "hugelite-test");
    if (mkdir(group, 0755) < 0 && errno != EEXIST)
        test_skip("cannot make a hugetlb cgroup: %s", strerror(errno));
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)(LIMIT * CHUNK));
    write_file("hugetlb.2MB.limit_in_bytes", limit);

    test_file(path, BYTES, SEED);
    dir = test_path(getenv("HUGELITE_TEST_MOUNT"), "pool");
    pool = kit_pool(dir, PAGES - 2);
    vol = kit_volume(pool, path);
    kit_verify_chunk(vol, SEED, 0); /* paid for by us */
    kit_verify_chunk(vol, SEED, 1);
    EXPECT_CHILD(kit_fork(limited, NULL), 0);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    EXPECT_EQ(rmdir(group), 0);
    EXPECT_EQ(umount2(cgroups, MNT_DETACH), 0);
    return 0;
}
