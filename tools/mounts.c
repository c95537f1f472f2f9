/* SPDX-License-Identifier: MIT
 *
 * Where hugetlbfs is mounted in this mount namespace, and what each place offers to
 * this process.
 *
 * Entry points: hl_mounts_list(), hl_mounts_free().
 * See also: hugepages.c, doctor.c, setup.c.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "tools.h"

/* The number behind NAME= in a list of options; 0 when it is not there. */
static uint64_t option_bytes(const char *options, const char *name)
{
    size_t length = strlen(name);
    uint64_t bytes = 0;
    char text[32];

    for (const char *o = options; o; o = strchr(o, ',')) {
        size_t n;

        o += *o == ',';
        if (strncmp(o, name, length) != 0 || o[length] != '=')
            continue;
        n = strcspn(o + length + 1, ",");
        if (n < sizeof text) {
            memcpy(text, o + length + 1, n);
            text[n] = '\0';
            if (hugelite_parse_size(text, &bytes) == 0)
                return bytes;
        }
    }
    return 0;
}

static void look(struct hl_mount *mount)
{
    struct hl_hugepages pages;
    struct statfs fs;
    struct stat st;

    mount->size_bytes = option_bytes(mount->options, "size");
    mount->min_bytes = option_bytes(mount->options, "min_size");
    mount->page_bytes = option_bytes(mount->options, "pagesize");
    if (stat(mount->path, &st) == 0) {
        mount->mode = st.st_mode & 07777;
        mount->uid = st.st_uid;
        mount->gid = st.st_gid;
    }
    if (statfs(mount->path, &fs) == 0) {
        mount->page_bytes = (uint64_t)fs.f_bsize;
        if (fs.f_blocks)
            mount->free_bytes = (uint64_t)fs.f_bfree * mount->page_bytes;
    }
    /* With min_size= the pages are the mount's own (the machine counts them as
     * reserved).  Else what the machine has left matters too: all of it without
     * size=, and with size= it may be less than the limit. */
    if (mount->page_bytes == HUGELITE_CHUNK_BYTES &&
        (!mount->size_bytes || mount->min_bytes < mount->size_bytes) &&
        hl_hugepages_read(&pages) == 0) {
        uint64_t left = hl_hugepages_available(&pages) * mount->page_bytes;

        if (!mount->size_bytes || left < mount->free_bytes)
            mount->free_bytes = left;
    }
    /* faccessat knows a mount that is read-only; the effective ids count. */
    mount->writable = faccessat(AT_FDCWD, mount->path, W_OK | X_OK, AT_EACCESS) == 0;
}

int hl_mounts_list(struct hl_mount **ret_mounts, size_t *ret_nr)
{
    struct hl_mount *mounts = NULL;
    struct mntent entry;
    char buffer[8192];
    size_t nr = 0;
    FILE *file;

    file = setmntent("/proc/self/mounts", "re");
    if (!file)
        return -errno;
    while (getmntent_r(file, &entry, buffer, sizeof buffer)) {
        struct hl_mount *grown;
        size_t at;

        if (strcmp(entry.mnt_type, "hugetlbfs") != 0)
            continue;
        for (at = 0; at < nr; at++)
            if (strcmp(mounts[at].path, entry.mnt_dir) == 0)
                break;
        if (at == nr) {
            grown = realloc(mounts, (nr + 1) * sizeof *mounts);
            if (!grown)
                goto no_memory;
            mounts = grown;
            nr++;
        } else {
            free(mounts[at].path);
            free(mounts[at].device);
            free(mounts[at].options);
        }
        mounts[at] = (struct hl_mount){
            .path = strdup(entry.mnt_dir),
            .device = strdup(entry.mnt_fsname),
            .options = strdup(entry.mnt_opts),
        };
        if (!mounts[at].path || !mounts[at].device || !mounts[at].options)
            goto no_memory;
    }
    endmntent(file);
    for (size_t i = 0; i < nr; i++)
        look(&mounts[i]);
    *ret_mounts = mounts;
    *ret_nr = nr;
    return 0;

no_memory:
    endmntent(file);
    hl_mounts_free(mounts, nr);
    return -ENOMEM;
}

void hl_mounts_free(struct hl_mount *mounts, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        free(mounts[i].path);
        free(mounts[i].device);
        free(mounts[i].options);
    }
    free(mounts);
}
