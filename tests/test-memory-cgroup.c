/* SPDX-License-Identifier: MIT
 *
 * test-memory-cgroup: a process whose cgroup allows it less memory, or fewer huge pages, than
 * the pool has.
 *
 * Passes when what is left is read off both kinds of cgroups, as a host and as a container
 * sees them; when a process of a memory cgroup that is smaller than a pool on small pages
 * reads everything right and is not killed for it, gets -EBUSY for a chunk when all that it
 * may use is held, and its bytes all the same, and makes pools that fit; and when a process
 * with few huge pages takes its own, and not those of others, again and again.
 */
#include "config.h"

#include "kit.h"

#include "headroom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define SEED 83
#define OTHER_SEED 84

/* Of small pages. */
#define LIMIT ((TEST_SANITIZED ? 96 : 32) * MIB)
#define CHUNKS (TEST_SANITIZED ? 66u : 24u)
#define BYTES (CHUNKS * CHUNK - 50)

/* Of huge ones. */
#define PAGES 40
#define FEW 4
#define OTHERS 20

static const char *dir, *path, *other_path, *pool_dir, *group;

static void write_text(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", name, strerror(errno));
    close(fd);
}

/* ---- what the files say ------------------------------------------------------ */

static const char *fake(const char *name)
{
    return test_path(dir, name);
}

static void fake_proc(const char *type, const char *root, const char *options, const char *cgroups)
{
    char line[5000];

    snprintf(line, sizeof line,
             "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
             "30 22 0:26 %s %s rw,nosuid shared:9 master:2 - %s none %s\n",
             root, fake("cg"), type, options);
    unlink(fake("proc/mountinfo"));
    unlink(fake("proc/cgroup"));
    write_text(fake("proc/mountinfo"), line);
    write_text(fake("proc/cgroup"), cgroups);
}

static void fake_group(const char *name, const char *file, const char *text)
{
    char full[200];

    snprintf(full, sizeof full, "cg%s", name);
    mkdir(fake(full), 0755);
    snprintf(full, sizeof full, "cg%s/%s", name, file);
    unlink(fake(full));
    write_text(fake(full), text);
}

static void expect_left(uint64_t bytes)
{
    EXPECT_EQ(hl_headroom_of(fake("proc")), bytes);
}

static void version_2(void)
{
    fake_proc("cgroup2", "/", "rw", "0::/a/b\n");
    expect_left(UINT64_MAX); /* no controller */
    fake_group("/a", "memory.max", "max\n");
    fake_group("/a/b", "memory.max", "100000000\n");
    fake_group("/a/b", "memory.current", "60000000\n");
    expect_left(40000000);
    fake_group("/a", "memory.max", "90000000\n");
    fake_group("/a", "memory.current", "80000000\n");
    expect_left(10000000);
    fake_group("/a", "memory.high", "85000000\n");
    expect_left(5000000);
    /* What the kernel can take back; and only that. */
    fake_group("/a", "memory.stat", "anon 1000\nfile 40000000\nshmem 9000000\n"
               "inactive_file 3000000\nactive_file 4000000\nslab 1\n");
    expect_left(12000000);
    fake_group("/a", "memory.current", "99000000\n");
    expect_left(0);
    /* The group by another name, as in a namespace that has it for its root. */
    fake_proc("cgroup2", "/", "rw", "0::/\n");
    expect_left(UINT64_MAX);
    fake_proc("cgroup2", "/a", "rw", "0::/a/b\n");
    fake_group("", "memory.max", "50000000\n");
    fake_group("", "memory.current", "1\n");
    fake_group("/b", "memory.max", "max\n");
    expect_left(49999999);
}

static void version_1(void)
{
    fake_proc("cgroup", "/", "rw,cpu,memoryless", "5:memoryless:/x\n4:cpu,memory:/x\n0::/\n");
    expect_left(UINT64_MAX);
    fake_proc("cgroup", "/", "rw,cpu,memory", "5:cpuset:/\n4:cpu,memory:/x\n0::/\n");
    expect_left(UINT64_MAX);
    fake_group("/x", "memory.limit_in_bytes", "9223372036854771712\n");
    fake_group("/x", "memory.usage_in_bytes", "7000\n");
    expect_left(UINT64_MAX);
    fake_group("/x", "memory.limit_in_bytes", "20000000\n");
    expect_left(19993000);
    fake_group("/x", "memory.usage_in_bytes", "19000000\n");
    fake_group("/x", "memory.stat", "cache 1\ninactive_file 1\ntotal_inactive_file 1500000\n"
               "total_active_file 500000\n");
    expect_left(3000000);
    /* A container that sees its own group as the top, by the name that it has outside. */
    fake_group("", "memory.limit_in_bytes", "30000000\n");
    fake_group("", "memory.usage_in_bytes", "10000000\n");
    fake_proc("cgroup", "/docker/1", "rw,memory", "4:memory:/docker/1\n");
    expect_left(20000000);
    fake_proc("cgroup", "/docker/1", "rw,memory", "4:memory:/docker/1/x\n");
    expect_left(3000000);
    /* ... and one that is in another than it sees. */
    fake_proc("cgroup", "/docker/12", "rw,memory", "4:memory:/docker/1\n");
    expect_left(20000000);
    unlink(fake("proc/cgroup"));
    expect_left(UINT64_MAX);
    unlink(fake("proc/mountinfo"));
    expect_left(UINT64_MAX);
}

static void said_by_files(void)
{
    mkdir(fake("proc"), 0755);
    mkdir(fake("cg"), 0755);
    version_2();
    version_1();
}

/* ---- a group ------------------------------------------------------------------ */

/* Of runs that were killed: nobody is in them. */
static void remove_stale(const char *mount)
{
    char command[600];

    snprintf(command, sizeof command,
             "for g in '%s'/hugelite-memory-*; do [ -d /proc/${g##*-} ] || rmdir \"$g\"; done "
             "2>/dev/null",
             mount);
    if (system(command) < 0)
        test_fail(__FILE__, __LINE__, "sh: %s", strerror(errno));
}

static void make_group(const char *controller, const char *limit_file, uint64_t limit)
{
    const char *mount = test_path(dir, controller);
    char name[64], text[32];

    EXPECT_EQ(mkdir(mount, 0755), 0);
    kit_mount("cgroup", controller, mount);
    remove_stale(mount);
    snprintf(name, sizeof name, "hugelite-memory-%d", (int)getpid());
    group = test_path(mount, name);
    if (mkdir(group, 0755) < 0)
        test_skip("cannot make a %s cgroup: %s", controller, strerror(errno));
    snprintf(text, sizeof text, "%llu", (unsigned long long)limit);
    write_text(test_path(group, limit_file), text);
}

static void remove_group(const char *controller)
{
    EXPECT_EQ(rmdir(group), 0);
    EXPECT_EQ(umount2(test_path(dir, controller), MNT_DETACH), 0);
}

static void join(void)
{
    write_text(test_path(group, "cgroup.procs"), "0");
}

/* Hold until there is no more; the rest is read.  Not in sequence: the crew is to have no part
 * in it. */
static unsigned hold_all(struct hugelite_volume *vol, uint64_t seed, unsigned chunks,
                         const char *why)
{
    const void *held[64], *data;
    char buffer[1000];
    unsigned nr = 0, kept;
    uint64_t at = 0;
    int rc = 0;

    while (rc == 0 && nr < chunks - 1 && nr < 63) {
        at = nr * 7 % (chunks - 1) * CHUNK;
        rc = hugelite_volume_fetch(vol, at, 8, &held[nr]);
        nr += rc == 0;
    }
    EXPECT_RC(rc, -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT_RC(hugelite_volume_read(vol, at + 7, sizeof buffer, buffer), 0);
    EXPECT_PATTERN(buffer, sizeof buffer, seed, at + 7);
    kit_verify_read(vol, seed);
    for (unsigned i = 0; i < nr; i++)
        kit_pattern(held[i], 4096, seed, i * 7 % (chunks - 1) * CHUNK);
    EXPECT(nr > 4);
    kept = nr;
    /* What is not the pool's may have grown by one or two meanwhile. */
    for (unsigned i = 0; i < 4; i++)
        hugelite_volume_release(vol, held[--nr]);
    EXPECT_RC(hugelite_volume_fetch(vol, at, 8, &data), 0);
    EXPECT_PATTERN(data, 8, seed, at);
    hugelite_volume_release(vol, data);
    while (nr)
        hugelite_volume_release(vol, held[--nr]);
    return kept;
}

/* ---- small pages ------------------------------------------------------------------ */

static void little_memory(void *arg)
{
    struct hugelite_pool *pool, *fits;
    struct hugelite_pool_stat stat;
    struct hugelite_volume *vol;

    (void)arg;
    join();
    pool = kit_pool(pool_dir, 1);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    kit_verify(vol, SEED);
    kit_await_idle(pool);
    EXPECT(hold_all(vol, SEED, CHUNKS, "cgroup") <= LIMIT / CHUNK);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    EXPECT_RC(hugelite_pool_evict(pool, path, NULL), 0);
    hugelite_pool_close(pool);

    EXPECT_RC(hugelite_pool_open(test_path(dir, "tmpfs/fits"), NULL, &fits), 0);
    EXPECT_RC(hugelite_pool_stat(fits, &stat), 0);
    EXPECT(stat.budget_bytes >= CHUNK && stat.budget_bytes <= LIMIT / 4);
    vol = kit_volume(fits, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(fits);
}

static void on_small_pages(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *held[3];

    unsetenv("HUGELITE_POOL_SIZE");
    EXPECT_EQ(mkdir(test_path(dir, "tmpfs"), 0755), 0);
    kit_mount("tmpfs", "size=1G", test_path(dir, "tmpfs"));
    make_group("memory", "memory.limit_in_bytes", LIMIT);
    pool_dir = test_path(dir, "tmpfs/pool");
    pool = kit_pool(pool_dir, 2 * CHUNKS);
    vol = kit_volume(pool, other_path);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, 5 * i * CHUNK, 8, &held[i]), 0);
    EXPECT_CHILD(kit_fork(little_memory, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        kit_pattern(held[i], CHUNK, OTHER_SEED, 5 * i * CHUNK);
        hugelite_volume_release(vol, held[i]);
    }
    kit_verify(vol, OTHER_SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    remove_group("memory");
}

/* ---- huge pages ------------------------------------------------------------------- */

static void few_pages(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    join();
    pool = kit_pool(pool_dir, 1);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    kit_verify(vol, SEED);
    kit_await_idle(pool);
    EXPECT(kit_stat(vol).resident_bytes <= FEW * CHUNK);
    EXPECT(kit_stat(vol).resident_bytes > 0);
    EXPECT(kit_stat(vol).fills > CHUNKS); /* ours made room for ours */
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void on_huge_pages(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    uint64_t left;

    make_group("hugetlb", "hugetlb.2MB.limit_in_bytes", FEW * CHUNK);
    pool_dir = test_path(getenv("HUGELITE_TEST_MOUNT"), "pool");
    pool = kit_pool(pool_dir, PAGES - 2);
    vol = kit_volume(pool, other_path);
    kit_verify(vol, OTHER_SEED);
    kit_await_idle(pool);
    EXPECT_EQ(kit_resident_chunks(pool), OTHERS);
    EXPECT_CHILD(kit_fork(few_pages, NULL), 0);
    left = kit_stat(vol).resident_bytes / CHUNK;
    printf("%u of %u chunks of others are left\n", (unsigned)left, OTHERS);
    if (left < OTHERS / 2)
        test_fail(__FILE__, __LINE__, "of %u chunks of others %u are left", OTHERS,
                  (unsigned)left);
    kit_verify(vol, OTHER_SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    remove_group("hugetlb");
}

static void begin(void)
{
    dir = test_dir();
    path = test_path(dir, "db");
    other_path = test_path(dir, "other");
    test_file(path, BYTES, SEED);
    test_file(other_path, OTHERS * CHUNK, OTHER_SEED);
}

int main(int argc, char **argv)
{
    (void)argc;
    requires_root();
    if (!getenv("HUGELITE_TEST_OWN_PAGES")) {
        pid_t pid = fork();

        EXPECT(pid >= 0);
        if (pid == 0) {
            begin();
            said_by_files();
            on_small_pages();
            exit(0); /* no exit() comes after the exec below */
        }
        EXPECT_CHILD(pid, 0);
    }
    kit_own_hugepages(argv, PAGES);
    begin();
    on_huge_pages();
    return 0;
}
