/* SPDX-License-Identifier: MIT
 *
 * directory.c - where a pool lies: which directory when none is named, whether it is fit to hold
 * one, and how much it could hold.
 *
 * Entry points: pool.h ("directory.c").  See also: control.c (the file in it).
 */
#include "config.h"

#include "error.h"
#include "headroom.h"
#include "pool.h"
#include "sys.h"

#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* Is a directory one group's place, where what a member makes is the group's? */
static bool is_group_place(const struct stat *st)
{
    return (st->st_mode & S_ISGID) && (st->st_mode & S_IWGRP) && !(st->st_mode & S_IWOTH);
}

/* A directory that anybody may write, or that a stranger made, could hold
 * anything.  Only a pool that was named is opened without asking that. */
static bool is_ours(const struct stat *st, bool in_group_place)
{
    return S_ISDIR(st->st_mode) && !(st->st_mode & S_IWOTH) &&
           (st->st_uid == geteuid() || st->st_uid == 0 || in_group_place);
}

static bool is_trustworthy(const char *dir, const char *parent)
{
    struct stat st, up;

    return lstat(dir, &st) == 0 && stat(parent, &up) == 0 &&
           is_ours(&st, is_group_place(&up)) && access(dir, W_OK) == 0;
}

static uint64_t huge_pages(const char *which)
{
    unsigned long long nr = 0;
    char path[80];
    FILE *f;

    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", which);
    f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%llu", &nr) != 1)
            nr = 0;
        fclose(f);
    }
    return nr;
}

/* Free chunks of a hugetlbfs mount.  Reserved pages are promised to somebody: to
 * others, or to this very mount by min_size=, and then its own count includes them. */
static uint64_t free_chunks(const struct statfs *fs)
{
    uint64_t nr = huge_pages("free_hugepages");
    uint64_t promised = huge_pages("resv_hugepages");

    if (fs->f_blocks)
        return fs->f_bfree < nr ? fs->f_bfree : nr;
    return nr > promised ? nr - promised : 0;
}

int hl_directory_choose(char dir[PATH_MAX])
{
    const char *named = getenv("HUGELITE_POOL");
    struct mntent *mount, entry;
    char line[4096];
    bool found = false;
    FILE *mounts;

    if (named && *named) {
        snprintf(dir, PATH_MAX, "%s", named);
        return 0;
    }

    mounts = setmntent("/proc/self/mounts", "re");
    while (mounts && !found && (mount = getmntent_r(mounts, &entry, line, sizeof line))) {
        char control[PATH_MAX + 16];
        struct statfs fs;

        if (strcmp(mount->mnt_type, "hugetlbfs") || statfs(mount->mnt_dir, &fs) < 0 ||
            fs.f_bsize != HL_CHUNK_BYTES)
            continue;
        if (snprintf(dir, PATH_MAX, "%s/hugelite", mount->mnt_dir) >= PATH_MAX)
            continue;
        /* A pool that is there may well have taken all free pages. */
        snprintf(control, sizeof control, "%s/" HL_CONTROL_NAME, dir);
        if (access(dir, F_OK) == 0)
            found = is_trustworthy(dir, mount->mnt_dir) &&
                    (free_chunks(&fs) || access(control, R_OK | W_OK) == 0);
        else
            found = free_chunks(&fs) && access(mount->mnt_dir, W_OK) == 0;
    }
    if (mounts)
        endmntent(mounts);
    if (found)
        return 0;

    snprintf(dir, PATH_MAX, "/dev/shm/hugelite-%u", (unsigned)geteuid());
    if (access(dir, F_OK) == 0 && !is_trustworthy(dir, "/dev/shm"))
        return hl_error(EACCES, "pool '%s': belongs to somebody else or is writable by anybody; "
                        "name one with HUGELITE_POOL", dir);
    return 0;
}

/* What kind of pages it gives, and how large they are. */
static int look_at_pages(struct hugelite_pool *pool)
{
    struct statfs fs;

    if (hl_sys.fstatfs(pool->dir_fd, &fs) < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir, strerror(errno));
    if (fs.f_type == HUGETLBFS_MAGIC) {
        if (fs.f_bsize != HL_CHUNK_BYTES)
            return hl_error(EINVAL, "pool '%s': the huge pages of this mount are %lld bytes, not 2 MiB; "
                            "mount with pagesize=2M", pool->dir, (long long)fs.f_bsize);
        pool->hugetlb = true;
        pool->page_bytes = HL_CHUNK_BYTES;
        return 0;
    }
    if (fs.f_type == TMPFS_MAGIC) {
        pool->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
        return 0;
    }
    return hl_error(EMEDIUMTYPE, "pool '%s': is neither on hugetlbfs nor on tmpfs", pool->dir);
}

int hl_directory_open(struct hugelite_pool *pool, bool existing, bool chosen)
{
    struct stat st;
    bool made = false;
    int rc;

    if (!existing)
        made = hl_sys.mkdir(pool->dir, 0700) == 0;
    if (!existing && !made && errno != EEXIST)
        return hl_error(errno, "pool '%s': cannot make the directory: %s", pool->dir,
                        strerror(errno));
    pool->dir_fd = hl_sys.openat(AT_FDCWD, pool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (pool->dir_fd < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir,
                        errno == ENOENT ? "no pool is there" : strerror(errno));
    if (hl_sys.fstat(pool->dir_fd, &st) < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir, strerror(errno));

    if (made || chosen) {
        bool in_group_place;
        struct stat up;
        int fd = hl_sys.openat(pool->dir_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);

        in_group_place = fd >= 0 && hl_sys.fstat(fd, &up) == 0 && is_group_place(&up);
        if (fd >= 0)
            hl_sys.close(fd);
        /* Private, unless it was made where `hugelite setup --group` makes a place. */
        if (made && in_group_place && hl_sys.fchmod(pool->dir_fd, 02770) == 0)
            st.st_mode |= S_IWGRP;
        /* Once more, since somebody may have been quicker than our mkdir. */
        if (chosen && !is_ours(&st, in_group_place))
            return hl_error(EACCES, "pool '%s': belongs to somebody else or is writable by "
                            "anybody; name one with HUGELITE_POOL", pool->dir);
    }

    pool->dev = st.st_dev;
    pool->ino = st.st_ino;
    /* The directory says whether the pool is one user's or a group's. */
    pool->file_mode = st.st_mode & S_IWGRP ? 0660 : 0600;
    rc = look_at_pages(pool);
    if (rc < 0 && made)
        hl_sys.unlinkat(AT_FDCWD, pool->dir, AT_REMOVEDIR);
    return rc;
}

int hl_directory_budget(struct hugelite_pool *pool, uint64_t *ret_bytes)
{
    const char *text = getenv("HUGELITE_POOL_SIZE");
    struct statfs fs;
    struct sysinfo info;
    uint64_t headroom;

    if (text && *text) {
        int rc = hugelite_parse_size(text, ret_bytes);

        return rc < 0 ? hl_error(EINVAL, "HUGELITE_POOL_SIZE: '%s' is not a size; write one as in "
                                 "320M or 4G", text)
                      : 0;
    }
    if (hl_sys.fstatfs(pool->dir_fd, &fs) < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir, strerror(errno));
    if (pool->hugetlb) {
        /* All there is, but for the segment itself. */
        uint64_t nr = free_chunks(&fs), control = 1 + nr * 17 * 8 / HL_CHUNK_BYTES + 1;

        *ret_bytes = nr > control ? (nr - control) << HL_CHUNK_SHIFT : 0;
        return 0;
    }
    sysinfo(&info);
    *ret_bytes = (uint64_t)info.freeram * info.mem_unit / 4;
    if (fs.f_blocks && *ret_bytes > fs.f_bavail * (uint64_t)fs.f_bsize / 2)
        *ret_bytes = fs.f_bavail * (uint64_t)fs.f_bsize / 2;
    /* Small pages are charged to the cgroups of those who fill them. */
    headroom = hl_headroom_bytes();
    if (*ret_bytes > headroom / 4)
        *ret_bytes = headroom / 4;
    return 0;
}
