/* SPDX-License-Identifier: MIT
 *
 * What hugelite setup --persist keeps over a reboot, and --undo forgets: the number of
 * pages by sysctl.d, the mount by fstab, a group's pool directory by tmpfiles.d.
 *
 * Entry points: hl_persist_save(), hl_persist_forget().
 * See also: setup.c, lines.c; sysctl.d(5), fstab(5), tmpfiles.d(5).
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

#define SYSCTL_FILE "/etc/sysctl.d/60-hugelite.conf"
#define TMPFILES_FILE "/etc/tmpfiles.d/hugelite.conf"
#define FSTAB_FILE "/etc/fstab"

/* fstab writes blanks and backslashes in octal, as getmntent(3) reads them. */
static void encode_fstab(char *out, size_t room, const char *path)
{
    size_t n = 0;

    for (; *path && n + 5 < room; path++) {
        if (strchr(" \t\n\\", *path))
            n += (size_t)snprintf(out + n, room - n, "\\%03o", (unsigned char)*path);
        else
            out[n++] = *path;
    }
    out[n] = '\0';
}

static bool is_fstab_line(const char *line, const char *dir)
{
    char encoded[PATH_MAX], device[64], path[PATH_MAX];

    encode_fstab(encoded, sizeof encoded, dir);
    return sscanf(line, "%63s %4095s", device, path) == 2 &&
           strcmp(device, HL_SETUP_DEVICE) == 0 && strcmp(path, encoded) == 0;
}

static bool is_our_fstab_line(const char *line, const char *dir)
{
    char device[64], path[PATH_MAX], type[32];

    (void)dir;
    return sscanf(line, "%63s %4095s %31s", device, path, type) == 3 &&
           strcmp(device, HL_SETUP_DEVICE) == 0 && strcmp(type, "hugetlbfs") == 0;
}

/* tmpfiles.d takes a path in quotes, where % \ and " want care. */
static void start_tmpfiles(char *out, size_t room, const char *dir)
{
    size_t n = (size_t)snprintf(out, room, "d \"");

    for (; *dir && n + 16 < room; dir++) {
        if (strchr("%", *dir))
            out[n++] = '%';
        else if (strchr("\\\"", *dir))
            out[n++] = '\\';
        out[n++] = *dir;
    }
    snprintf(out + n, room - n, "/" HL_SETUP_POOL "\"");
}

static bool is_tmpfiles_line(const char *line, const char *dir)
{
    char start[2 * PATH_MAX + 32];

    start_tmpfiles(start, sizeof start, dir);
    return strncmp(line, start, strlen(start)) == 0;
}

static bool is_sysctl_line(const char *line, const char *dir)
{
    (void)dir;
    return strncmp(line, "vm.nr_hugepages", 15) == 0 || *line == '#';
}

/* vm.nr_hugepages counts pages of the default size; is that ours? */
static bool default_size_is_ours(void)
{
    char *text = hl_lines_read("/proc/meminfo");
    char *line = text ? strstr(text, "Hugepagesize:") : NULL;
    bool ours = line && strtoul(line + strlen("Hugepagesize:"), NULL, 10) == 2048;

    free(text);
    return ours;
}

static int persist_sysctl(void)
{
    char line[160];
    struct hl_hugepages pages;
    int rc = hl_hugepages_read(&pages);

    if (rc < 0)
        return rc;
    snprintf(line, sizeof line, "# Written by hugelite setup; hugelite setup --undo removes it.\n"
             "vm.nr_hugepages = %" PRIu64, pages.total);
    rc = mkdir("/etc/sysctl.d", 0755) < 0 && errno != EEXIST ? -errno : 0;
    if (rc == 0)
        rc = hl_lines_rewrite(SYSCTL_FILE, is_sysctl_line, NULL, line, true);
    if (rc == 0)
        printf("wrote %s: vm.nr_hugepages = %" PRIu64 "\n", SYSCTL_FILE, pages.total);
    return rc;
}

int hl_persist_save(const struct hl_setup *request)
{
    char line[2 * PATH_MAX + 256], path[PATH_MAX];
    const char *file = SYSCTL_FILE;
    int rc;

    if (!default_size_is_ours())
        return hl_tool_error("setup", "the default huge page of this machine is not 2 MiB, so "
                             "sysctl.d cannot keep them; put hugepagesz=2M hugepages=%" PRIu64
                             " on the kernel command line", request->pages);
    rc = persist_sysctl();
    if (rc == 0) {
        /* After the pages are there, since min_size= wants them at once; and nofail,
         * since a machine without its cache must still boot. */
        encode_fstab(path, sizeof path, request->dir);
        snprintf(line, sizeof line, HL_SETUP_DEVICE " %s hugetlbfs pagesize=2M,size=%" PRIu64
                 ",min_size=%" PRIu64 ",mode=%o,uid=0,gid=%u,nosuid,nodev,noexec,nofail,"
                 "x-systemd.after=systemd-sysctl.service,"
                 "x-systemd.before=systemd-tmpfiles-setup.service 0 0", path,
                 request->pages * HUGELITE_CHUNK_BYTES, request->pages * HUGELITE_CHUNK_BYTES,
                 (unsigned)request->mode, (unsigned)request->gid);
        file = FSTAB_FILE;
        rc = hl_lines_rewrite(FSTAB_FILE, is_fstab_line, request->dir, line, false);
        if (rc == 0)
            printf("wrote %s: %s\n", FSTAB_FILE, line);
    }
    /* What is on the mount is gone with a reboot, the group's pool directory too. */
    if (rc == 0 && request->group_given) {
        size_t n;

        start_tmpfiles(line, sizeof line, request->dir);
        n = strlen(line);
        snprintf(line + n, sizeof line - n, " %o root %u -", HL_SETUP_POOL_MODE,
                 (unsigned)request->gid);
        file = TMPFILES_FILE;
        rc = mkdir("/etc/tmpfiles.d", 0755) < 0 && errno != EEXIST ? -errno : 0;
        if (rc == 0)
            rc = hl_lines_rewrite(TMPFILES_FILE, is_tmpfiles_line, request->dir, line, true);
        if (rc == 0)
            printf("wrote %s: %s\n", TMPFILES_FILE, line);
    }
    if (rc < 0)
        return hl_tool_error("setup", "it is set up now, but will not outlive a reboot: cannot "
                             "write %s: %s", file, strerror(-rc));
    return 0;
}

int hl_persist_forget(const char *dir)
{
    const char *file = FSTAB_FILE;
    int rc = 0;

    if (hl_lines_any(FSTAB_FILE, is_fstab_line, dir)) {
        rc = hl_lines_rewrite(FSTAB_FILE, is_fstab_line, dir, NULL, false);
        if (rc == 0)
            printf("removed the line of %s from %s\n", dir, FSTAB_FILE);
    }
    if (rc == 0 && hl_lines_any(TMPFILES_FILE, is_tmpfiles_line, dir)) {
        file = TMPFILES_FILE;
        rc = hl_lines_rewrite(TMPFILES_FILE, is_tmpfiles_line, dir, NULL, true);
        if (rc == 0)
            printf("removed the line of %s from %s\n", dir, TMPFILES_FILE);
    }
    if (rc == 0 && hl_lines_any(SYSCTL_FILE, is_sysctl_line, NULL)) {
        file = SYSCTL_FILE;
        /* Another persisted mount still wants its pages at boot. */
        if (hl_lines_any(FSTAB_FILE, is_our_fstab_line, NULL)) {
            rc = persist_sysctl();
        } else {
            rc = hl_lines_rewrite(SYSCTL_FILE, is_sysctl_line, NULL, NULL, true);
            if (rc == 0)
                printf("removed %s\n", SYSCTL_FILE);
        }
    }
    if (rc < 0)
        return hl_tool_error("setup", "cannot change %s: %s", file, strerror(-rc));
    return 0;
}
