/* SPDX-License-Identifier: MIT
 *
 * micro.c - scratch places and context of the micro-benchmarks.  The benchmarks run
 * in a child, so that the parent can clean up after a crash or Ctrl-C as well.
 *
 * Entry points: micro_main, micro_pool, micro_context.
 * See also: micro-pool.c, micro-vfs.c.
 */
#include <config.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"

/* For the pool, a scratch image of the same size, and the control segment. */
#define WANTED_PAGES (2 * MICRO_CHUNKS + 16)

struct micro micro;
static pid_t child;

static uint64_t read_number(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    uint64_t value = 0;
    char line[256];

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) {
            value = strtoull(line + strlen(key), NULL, 10);
            break;
        }
    fclose(f);
    return value;
}

static uint64_t free_pages(const char *dir)
{
    uint64_t free = read_number("/proc/meminfo", "HugePages_Free:");
    uint64_t reserved = read_number("/proc/meminfo", "HugePages_Rsvd:");
    struct statfs fs;

    if (statfs(dir, &fs) < 0 || (uint32_t)fs.f_type != 0x958458f6
        || fs.f_bsize != HUGELITE_CHUNK_BYTES)
        return 0;
    /* a mount with size= counts its own, and may have set pages aside */
    if (fs.f_blocks > 0)
        return (uint64_t)fs.f_bfree < free ? (uint64_t)fs.f_bfree : free;
    return free - (reserved < free ? reserved : free);
}

/* Where the test run wants it; else the mount of HUGELITE_POOL; else any with room. */
static void find_place(char place[PATH_MAX])
{
    const char *test = getenv("HUGELITE_TEST_POOLS"), *pool = getenv("HUGELITE_POOL");
    FILE *mounts;
    struct mntent *m;

    if (test && *test && strlen(test) < PATH_MAX / 2) {
        strcpy(place, test);
        return;
    }
    if (pool && strrchr(pool, '/') && strlen(pool) < PATH_MAX / 2) {
        strcpy(place, pool);
        *strrchr(place, '/') = '\0';
        if (free_pages(place) >= WANTED_PAGES)
            return;
    }
    mounts = setmntent("/proc/self/mounts", "re");
    while (mounts && (m = getmntent(mounts)))
        if (!strcmp(m->mnt_type, "hugetlbfs") && access(m->mnt_dir, W_OK | X_OK) == 0
            && strlen(m->mnt_dir) < PATH_MAX / 2 && free_pages(m->mnt_dir) >= WANTED_PAGES) {
            strcpy(place, m->mnt_dir);
            endmntent(mounts);
            return;
        }
    if (mounts)
        endmntent(mounts);
    strcpy(place, "/dev/shm");
}

static void remove_tree(const char *path)
{
    char name[PATH_MAX];
    struct dirent *e;
    DIR *dir = *path ? opendir(path) : NULL;

    if (!dir)
        return;
    while ((e = readdir(dir)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")
            && (size_t)snprintf(name, sizeof name, "%s/%s", path, e->d_name) < sizeof name
            && unlink(name) < 0)
            remove_tree(name);
    closedir(dir);
    rmdir(path);
}

static void pass_on(int sig)
{
    if (child > 0)
        kill(child, sig);
}

int micro_main(int argc, char **argv, int (*run)(int argc, char **argv))
{
    const char *tmp = getenv("TMPDIR");
    char place[PATH_MAX];
    int status = 0;

    find_place(place);
    micro.hugetlb = free_pages(place) > 0;
    if (snprintf(micro.huge_dir, sizeof micro.huge_dir, "%s/hugelite-micro-XXXXXX", place) < 0
        || !mkdtemp(micro.huge_dir)) {
        fprintf(stderr, "%s: no scratch directory in %s: %s\n", argv[0], place, strerror(errno));
        return 1;
    }
    snprintf(micro.disk_dir, sizeof micro.disk_dir, "%.4000s/hugelite-micro-XXXXXX",
             tmp && *tmp == '/' ? tmp : "/var/tmp");
    if (!mkdtemp(micro.disk_dir)) {
        fprintf(stderr, "%s: no scratch directory %s: %s\n", argv[0], micro.disk_dir,
                strerror(errno));
        rmdir(micro.huge_dir);
        return 1;
    }
    snprintf(micro.pool_dir, sizeof micro.pool_dir, "%.4000s/pool", micro.huge_dir);

    signal(SIGINT, pass_on);
    signal(SIGTERM, pass_on);
    signal(SIGHUP, pass_on);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        exit(run(argc, argv));
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    remove_tree(micro.huge_dir);
    remove_tree(micro.disk_dir);
    if (child < 0)
        return 1;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s: ended by signal %d\n", argv[0], WTERMSIG(status));
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status);
}

struct hugelite_pool *micro_pool(uint64_t chunks)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts,
                                       .budget_bytes = chunks * HUGELITE_CHUNK_BYTES };
    struct hugelite_pool *pool;

    if (hugelite_pool_open(micro.pool_dir, &opts, &pool) == 0)
        return pool;
    fprintf(stderr, "%s\n", hugelite_error());
    return NULL;
}

void micro_context(void)
{
    uint64_t total = read_number("/proc/meminfo", "HugePages_Total:");
    struct utsname u;

    uname(&u);
    gbench_context("kernel", "%s", u.release);
    gbench_context("huge_pages", "%" PRIu64 " of 2 MiB", total);
    gbench_context("pool", "%s", micro.hugetlb ? "hugetlb" : "shmem");
    gbench_context("hugelite", "%s", hugelite_version());
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double micro_median(double *values, unsigned nr)
{
    if (nr == 0)
        return 0;
    qsort(values, nr, sizeof *values, compare);
    return values[nr / 2];
}
