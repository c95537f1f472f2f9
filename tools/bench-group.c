/* SPDX-License-Identifier: MIT
 *
 * bench-group.c - memory cgroups for `hugelite bench`, of version 1 or 2: how much memory
 * processes take together, the page cache they have read and their part of the kernel's included,
 * and a limit to it.
 *
 * Entry points: bench_group_prepare, bench_group_make, bench_group_enter, bench_group_remove.
 * See also: bench-pressure.c (who needs one), cgroups(7).
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

/* The one at a time, in our directory. */
static void group_path(const struct bench_config *config, const char *file, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.4000s/run%s", config->group_dir, file);
}

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static bool has_word(const char *dir, const char *file, const char *word)
{
    char path[PATH_MAX], text[1024];
    FILE *f;
    bool found = false;

    snprintf(path, sizeof path, "%.4000s/%s", dir, file);
    f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fscanf(f, "%1023s", text) == 1)
        found = !strcmp(text, word);
    fclose(f);
    return found;
}

/* Where memory cgroups are mounted; of both versions at most one has the controller. */
static bool find_mount(char ret_dir[PATH_MAX], bool *ret_unified)
{
    FILE *f = setmntent("/proc/self/mounts", "r");
    struct mntent *e;
    bool found = false;

    if (!f)
        return false;
    while (!found && (e = getmntent(f))) {
        *ret_unified = !strcmp(e->mnt_type, "cgroup2");
        found = *ret_unified ? has_word(e->mnt_dir, "cgroup.controllers", "memory")
                             : !strcmp(e->mnt_type, "cgroup") && hasmntopt(e, "memory");
        if (found)
            snprintf(ret_dir, PATH_MAX, "%s", e->mnt_dir);
    }
    endmntent(f);
    return found;
}

static int allow_children(const char *dir)
{
    char path[PATH_MAX];

    if (has_word(dir, "cgroup.subtree_control", "memory"))
        return 0;
    snprintf(path, sizeof path, "%.4000s/cgroup.subtree_control", dir);
    return write_text(path, "+memory");
}

void bench_group_prepare(struct bench_config *config)
{
    char mount[PATH_MAX];
    int rc = 0;

    if (!find_mount(mount, &config->group_unified)) {
        snprintf(config->group_why, sizeof config->group_why,
                 "no memory cgroups are mounted here");
        return;
    }
    if (config->group_unified)
        rc = allow_children(mount);
    if (rc == 0)
        rc = bench_dir_make(mount, config->group_dir);
    if (rc == 0 && config->group_unified)
        rc = allow_children(config->group_dir);
    if (rc == 0)
        rc = bench_group_make(config, 0);
    if (rc == 0) {
        bench_group_remove(config);
        return;
    }
    snprintf(config->group_why, sizeof config->group_why,
             "no memory cgroup can be made in %.200s: %s", mount, strerror(-rc));
    if (config->group_dir[0])
        bench_remove_tree(config->group_dir);
    config->group_dir[0] = '\0';
}

int bench_group_make(const struct bench_config *config, uint64_t limit)
{
    char path[PATH_MAX], text[32];
    int rc = 0;

    group_path(config, "", path);
    if (mkdir(path, 0755) < 0)
        return -errno;
    group_path(config, config->group_unified ? "/memory.max" : "/memory.limit_in_bytes", path);
    snprintf(text, sizeof text, "%" PRIu64, limit);
    if (limit)
        rc = write_text(path, text);
    if (rc < 0)
        bench_group_remove(config);
    return rc;
}

int bench_group_enter(const struct bench_config *config, struct bench_reply *reply)
{
    char path[PATH_MAX];
    int rc;

    group_path(config, "/cgroup.procs", path);
    rc = write_text(path, "0");
    return rc < 0 ? bench_fail(reply, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

uint64_t bench_group_bytes(const struct bench_config *config)
{
    char path[PATH_MAX];
    uint64_t bytes = 0;
    FILE *f;

    group_path(config, config->group_unified ? "/memory.current" : "/memory.usage_in_bytes", path);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%" SCNu64, &bytes) != 1)
        bytes = 0;
    fclose(f);
    return bytes;
}

void bench_group_remove(const struct bench_config *config)
{
    char path[PATH_MAX];

    group_path(config, "", path);
    rmdir(path);
}
