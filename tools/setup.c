/* SPDX-License-Identifier: MIT
 *
 * hugelite setup: reserve huge pages and mount hugetlbfs with them, or undo that.  The
 * mount owns its pages (size= and min_size=), so nobody else's appetite takes them away.
 *
 * Steps: lock; add the pages that are missing; note what was added, for --undo; mount;
 * persist when asked.  A step that fails takes back those before it.
 *
 * Entry point: cmd_setup().
 * See also: persist.c, hugepages.c, mounts.c, doctor.c (says when this is needed),
 * hugelite-setup.pod.
 */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

#define DEFAULT_MOUNT "/mnt/hugelite"
#define RECORD "/run/hugelite-setup"

static const char help[] =
    "usage: hugelite setup --size SIZE [--mount DIR] [--mode MODE] [--group GROUP] [--persist]\n"
    "       hugelite setup --undo [--mount DIR]\n"
    "\n"
    "Reserve huge pages and mount them where readers find them (root).  A second run\n"
    "with the same size changes nothing; a larger size makes the mount anew.\n"
    "\n"
    "  --size SIZE     bytes for the cache, as in 4G or 512M\n"
    "  --mount DIR     where to mount (default " DEFAULT_MOUNT ")\n"
    "  --mode MODE     octal mode of the mount (default 1777; with --group 1770)\n"
    "  --group GROUP   one pool for the members of this group\n"
    "  --persist       keep it over a reboot: sysctl.d and fstab\n"
    "  --undo          unmount, give the huge pages back, forget what was persisted\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

/* What set-ups added, one line each: PAGES MADE_DIR PATH. */
struct record {
    uint64_t pages;
    bool made_dir;             /* the directory was made by us: --undo removes it */
    bool found;
};

/* ---- the record in /run ------------------------------------------------ */

static bool parse_record(const char *line, const char *dir, struct record *ret)
{
    unsigned long long pages;
    int made, at = 0;

    if (sscanf(line, "%llu %d %n", &pages, &made, &at) != 2 || at == 0 ||
        strcmp(line + at, dir) != 0)
        return false;
    if (ret)
        *ret = (struct record){ .pages = pages, .made_dir = made != 0, .found = true };
    return true;
}

static bool is_record(const char *line, const char *dir)
{
    return parse_record(line, dir, NULL);
}

static struct record load_record(const char *dir)
{
    struct record record = { 0 };
    char *text = hl_lines_read(RECORD), *save = text;

    for (char *line; text && (line = strsep(&save, "\n")) != NULL;)
        parse_record(line, dir, &record);
    free(text);
    return record;
}

static int save_record(const char *dir, const struct record *record)
{
    char line[PATH_MAX + 64];

    snprintf(line, sizeof line, "%" PRIu64 " %d %s", record->pages, record->made_dir, dir);
    return hl_lines_rewrite(RECORD, is_record, dir, line, true);
}

static int forget_record(const char *dir)
{
    return hl_lines_rewrite(RECORD, is_record, dir, NULL, true);
}

/* ---- pages ------------------------------------------------------------- */

static uint64_t memory_available(void)
{
    char *text = hl_lines_read("/proc/meminfo");
    char *line = text ? strstr(text, "MemAvailable:") : NULL;
    uint64_t kib = 0;

    if (line)
        kib = strtoull(line + strlen("MemAvailable:"), NULL, 10);
    free(text);
    return kib * 1024;
}

/* Make sure that `pages` are free and promised to nobody; *ret_added counts what was
 * added for it.  On failure nothing is added.  Returns 0 or the exit code (said why). */
static int reserve(uint64_t pages, uint64_t *ret_added)
{
    char text[HL_UNITS_ROOM], more[HL_UNITS_ROOM];
    struct hl_hugepages before;
    uint64_t missing, now = 0, memory;
    int rc;

    rc = hl_hugepages_read(&before);
    if (rc == -ENOENT)
        return hl_tool_error("setup", "this kernel has no huge pages of 2 MiB "
                             "(CONFIG_HUGETLBFS); readers go on with small pages");
    if (rc < 0)
        return hl_tool_error("setup", "cannot read the number of huge pages: %s", strerror(-rc));

    *ret_added = 0;
    if (hl_hugepages_available(&before) >= pages)
        return 0;
    missing = pages - hl_hugepages_available(&before);

    /* Asking for more than there is would first squeeze every program on the machine. */
    memory = memory_available();
    if (memory && missing > memory / HUGELITE_CHUNK_BYTES)
        return hl_tool_error("setup", "%" PRIu64 " more huge pages (%s) are needed, but only %s "
                             "of memory are available; ask for less", missing,
                             hl_units_short(text, missing * HUGELITE_CHUNK_BYTES),
                             hl_units_short(more, memory));

    rc = hl_hugepages_resize(before.total + missing, &now);
    if (rc == 0 && now < before.total + missing) {
        /* Free memory is there but in pieces: compact it, then ask again. */
        int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

        if (fd >= 0) {
            if (write(fd, "1\n", 2) == 2)
                rc = hl_hugepages_resize(before.total + missing, &now);
            close(fd);
        }
    }
    if (rc < 0)
        return hl_tool_error("setup", "cannot change the number of huge pages: %s%s",
                             strerror(-rc), rc == -EROFS || rc == -EACCES || rc == -EPERM ?
                             "; in a container, do it on the host" : "");
    if (now < before.total + missing) {
        uint64_t got = now > before.total ? now - before.total : 0;

        hl_hugepages_resize(before.total, &now);
        hl_tool_error("setup", "the kernel gave %" PRIu64 " of %" PRIu64 " more huge pages; they "
                      "are given back", got, missing);
        fprintf(stderr, "Free memory is in pieces too small.  Ask for at most --size %" PRIu64
                "M, or reserve at boot:\nput hugepages=%" PRIu64 " on the kernel command line.\n",
                (hl_hugepages_available(&before) + got) * (HUGELITE_CHUNK_BYTES >> 20),
                before.total + missing);
        return 1;
    }
    *ret_added = missing;
    return 0;
}

/* Take pages out of the machine's number again, as far as they are free; returns how many. */
static uint64_t give_back(uint64_t pages)
{
    struct hl_hugepages now;
    uint64_t total;

    if (hl_hugepages_read(&now) < 0)
        return 0;
    /* Less than is in use would make surplus pages, which vanish later by themselves. */
    if (pages > hl_hugepages_available(&now))
        pages = hl_hugepages_available(&now);
    if (pages > now.total)
        pages = now.total;
    if (pages == 0 || hl_hugepages_resize(now.total - pages, &total) < 0)
        return 0;
    return now.total > total ? now.total - total : 0;
}

/* ---- mounts ------------------------------------------------------------ */

/* The mount at a directory.  *ret_found tells; free with hl_mounts_free(ret, 1). */
static int find_mount(const char *dir, struct hl_mount **ret_mount, bool *ret_found)
{
    struct hl_mount *mounts, *one;
    size_t nr;
    int rc = hl_mounts_list(&mounts, &nr);

    if (rc < 0)
        return rc;
    *ret_found = false;
    *ret_mount = NULL;
    for (size_t i = 0; i < nr; i++) {
        if (strcmp(mounts[i].path, dir) != 0)
            continue;
        one = malloc(sizeof *one);
        if (!one) {
            hl_mounts_free(mounts, nr);
            return -ENOMEM;
        }
        *one = mounts[i];
        mounts[i] = mounts[nr - 1];     /* taken out of the array */
        nr--;
        *ret_mount = one;
        *ret_found = true;
        break;
    }
    hl_mounts_free(mounts, nr);
    return 0;
}

/* Is there a process whose mappings, files or working directory lie below dir? */
static bool process_uses(const char *pid, const char *dir)
{
    static const char *const links[] = { "cwd", "root" };
    char path[PATH_MAX], target[PATH_MAX], *line = NULL;
    size_t length = strlen(dir), room = 0;
    bool found = false;
    ssize_t n;
    DIR *fds;
    FILE *maps;

    for (unsigned i = 0; i < 2 && !found; i++) {
        snprintf(path, sizeof path, "/proc/%s/%s", pid, links[i]);
        n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = '\0';
        found = strncmp(target, dir, length) == 0 && (!target[length] || target[length] == '/');
    }
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    maps = found ? NULL : fopen(path, "re");
    while (maps && !found && getline(&line, &room, maps) > 0) {
        char *name = strchr(line, '/');

        found = name && strncmp(name, dir, length) == 0 && name[length] == '/';
    }
    if (maps)
        fclose(maps);
    free(line);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    fds = found ? NULL : opendir(path);
    for (struct dirent *e; fds && !found && (e = readdir(fds)) != NULL;) {
        n = readlinkat(dirfd(fds), e->d_name, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = '\0';
        found = strncmp(target, dir, length) == 0 && target[length] == '/';
    }
    if (fds)
        closedir(fds);
    return found;
}

static void name_users(const char *dir)
{
    DIR *proc = opendir("/proc");
    unsigned nr = 0;

    for (struct dirent *e; proc && (e = readdir(proc)) != NULL && nr < 10;) {
        char path[64], *name;

        if (!isdigit((unsigned char)e->d_name[0]) || atol(e->d_name) == getpid() ||
            !process_uses(e->d_name, dir))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/comm", e->d_name);
        name = hl_lines_read(path);
        if (name)
            name[strcspn(name, "\n")] = '\0';
        fprintf(stderr, "%s process %s (%s)\n", nr ? "            " : "It is used by",
                e->d_name, name ? name : "?");
        free(name);
        nr++;
    }
    if (proc)
        closedir(proc);
}

/* Returns 0 or the exit code (said why). */
static int unmount(const char *dir)
{
    if (umount2(dir, UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno != EBUSY)
        return hl_tool_error("setup", "cannot unmount '%s': %s", dir, strerror(errno));
    hl_tool_error("setup", "'%s' is in use, nothing is changed; close its readers, then run this "
                  "again", dir);
    name_users(dir);
    return 1;
}

static int mount_it(const struct hl_setup *request, uint64_t pages)
{
    char options[160];

    snprintf(options, sizeof options, "pagesize=2M,size=%" PRIu64 ",min_size=%" PRIu64
             ",mode=%o,uid=0,gid=%u", pages * HUGELITE_CHUNK_BYTES, pages * HUGELITE_CHUNK_BYTES,
             (unsigned)request->mode, (unsigned)request->gid);
    if (mount(HL_SETUP_DEVICE, request->dir, "hugetlbfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              options) < 0)
        return hl_tool_error("setup", "cannot mount hugetlbfs on '%s': %s", request->dir,
                             strerror(errno));
    return 0;
}

/* A pool that a member makes would be that member's alone; one that root made for the
 * group is everybody's in it. */
static int make_group_pool(const struct hl_setup *request)
{
    char pool[PATH_MAX + sizeof HL_SETUP_POOL + 1];
    struct stat st;

    snprintf(pool, sizeof pool, "%s/" HL_SETUP_POOL, request->dir);
    if (mkdir(pool, 0700) == 0) {
        if (chown(pool, 0, request->gid) < 0 || chmod(pool, HL_SETUP_POOL_MODE) < 0)
            return hl_tool_error("setup", "cannot give '%s' to the group: %s", pool,
                                 strerror(errno));
        printf("%s: the pool of group %u\n", pool, (unsigned)request->gid);
        return 0;
    }
    if (errno != EEXIST || lstat(pool, &st) < 0)
        return hl_tool_error("setup", "cannot make '%s': %s", pool, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_gid != request->gid || !(st.st_mode & S_IWGRP))
        return hl_tool_error("setup", "'%s' is somebody's pool already, not the group's; remove "
                             "it, then run this again", pool);
    return 0;
}

/* mkdir -p; the last part tells whether it was made. */
static int make_dir(char *dir, bool *ret_made)
{
    *ret_made = false;
    for (char *c = dir + 1;; c++) {
        char saved = *c;

        if (saved != '/' && saved != '\0')
            continue;
        *c = '\0';
        *ret_made = mkdir(dir, 0755) == 0;
        if (!*ret_made && errno != EEXIST)
            return -errno;
        *c = saved;
        if (saved == '\0')
            return 0;
    }
}

/* ---- the command -------------------------------------------------------- */

/* An existing mount keeps its place; mode and group change while it is used. */
static int adjust_owner(struct hl_setup *request, const struct hl_mount *mount)
{
    if (!request->mode_given)
        request->mode = request->group_given ? 01770 : mount->mode;
    if (!request->group_given)
        request->gid = mount->gid;
    if (request->gid != mount->gid && chown(request->dir, (uid_t)-1, request->gid) < 0)
        return hl_tool_error("setup", "cannot change the group of '%s': %s", request->dir,
                             strerror(errno));
    if (request->mode != mount->mode && chmod(request->dir, request->mode) < 0)
        return hl_tool_error("setup", "cannot set mode %o of '%s': %s", (unsigned)request->mode,
                             request->dir, strerror(errno));
    return 0;
}

static int set_up_locked(struct hl_setup *request)
{
    char size_text[HL_UNITS_ROOM], old_text[HL_UNITS_ROOM];
    struct record record = load_record(request->dir);
    struct hl_mount *mount = NULL;
    uint64_t old_pages = 0, added = 0;
    bool mounted;
    int rc;

    rc = find_mount(request->dir, &mount, &mounted);
    if (rc < 0)
        return hl_tool_error("setup", "cannot read /proc/self/mounts: %s", strerror(-rc));
    if (mounted && strcmp(mount->device, HL_SETUP_DEVICE) != 0) {
        rc = hl_tool_error("setup", "'%s' is a hugetlbfs mount that hugelite setup did not make; "
                           "use it as it is (HUGELITE_POOL=%s/pool), or choose another --mount",
                           request->dir, request->dir);
        goto out;
    }
    if (mounted) {
        old_pages = mount->size_bytes / HUGELITE_CHUNK_BYTES;
        if (old_pages > request->pages) {
            rc = hl_tool_error("setup", "'%s' has %s already; to make it smaller: hugelite setup "
                               "--undo --mount %s, then set it up anew", request->dir,
                               hl_units_bytes(old_text, mount->size_bytes), request->dir);
            goto out;
        }
        rc = adjust_owner(request, mount);
        if (rc != 0)
            goto out;
        if (old_pages == request->pages) {
            printf("%s: %s are set up already, mode %o\n", request->dir,
                   hl_units_bytes(size_text, mount->size_bytes), (unsigned)request->mode);
            goto finish;
        }
    }

    rc = reserve(request->pages - old_pages, &added);
    if (rc != 0)
        goto out;

    /* hugetlbfs takes a remount with another size= for done and does nothing, so a
     * mount grows by making it anew.  It is a cache: what it held comes back. */
    if (mounted) {
        rc = unmount(request->dir);
        if (rc != 0) {
            give_back(added);
            goto out;
        }
    }
    /* Noted before the mount: whoever is killed from here on can be undone. */
    record.pages += added;
    record.made_dir |= request->made_dir;
    rc = save_record(request->dir, &record);
    if (rc < 0) {
        hl_tool_error("setup", "cannot write %s: %s", RECORD, strerror(-rc));
        rc = 1;
    } else {
        rc = mount_it(request, request->pages);
    }
    if (rc != 0) {
        umount2(request->dir, UMOUNT_NOFOLLOW);
        give_back(added);
        record.pages -= added;
        if (mounted)
            mount_it(request, old_pages);
        if (record.pages || mounted)
            save_record(request->dir, &record);
        else
            forget_record(request->dir);
        goto out;
    }
    printf("%s: %s on huge pages of 2 MiB, mode %o, group %u\n", request->dir,
           hl_units_bytes(size_text, request->pages * HUGELITE_CHUNK_BYTES),
           (unsigned)request->mode, (unsigned)request->gid);
    printf("%" PRIu64 " huge pages were added, %" PRIu64 " were free already\n", added,
           request->pages - old_pages - added);
    if (mounted)
        printf("the mount was made anew with more room, so the cache is empty now\n");

finish:
    if (request->group_given)
        rc = make_group_pool(request);
    if (rc == 0 && request->persist)
        rc = hl_persist_save(request);
out:
    if (mount)
        hl_mounts_free(mount, 1);
    return rc;
}

static int undo_locked(const char *dir)
{
    struct record record = load_record(dir);
    struct hl_mount *mount = NULL;
    uint64_t owed, given;
    bool mounted;
    int rc;

    rc = find_mount(dir, &mount, &mounted);
    if (rc < 0)
        return hl_tool_error("setup", "cannot read /proc/self/mounts: %s", strerror(-rc));
    if (mounted && strcmp(mount->device, HL_SETUP_DEVICE) != 0) {
        rc = hl_tool_error("setup", "'%s' was not mounted by hugelite setup; it stays", dir);
        goto out;
    }
    if (!mounted && !record.found) {
        rc = hl_persist_forget(dir);
        if (rc == 0)
            printf("%s: nothing is set up there\n", dir);
        goto out;
    }
    /* /run is empty after a reboot: then all pages of the mount came by sysctl.d. */
    owed = record.found ? record.pages : mount->size_bytes / HUGELITE_CHUNK_BYTES;
    if (mounted) {
        rc = unmount(dir);
        if (rc != 0)
            goto out;
        printf("unmounted %s\n", dir);
    }
    given = give_back(owed);
    printf("gave back %" PRIu64 " huge pages\n", given);
    if (given < owed)
        printf("%" PRIu64 " huge pages stay: others use them now\n", owed - given);
    if (record.made_dir)
        rmdir(dir);              /* it stays when somebody put something there */
    rc = forget_record(dir);
    if (rc < 0)
        rc = hl_tool_error("setup", "cannot write %s: %s", RECORD, strerror(-rc));
    else
        rc = hl_persist_forget(dir);
out:
    if (mount)
        hl_mounts_free(mount, 1);
    return rc;
}

/* The whole of a text as octal mode bits. */
static bool parse_mode(const char *text, mode_t *ret_mode)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (!isdigit((unsigned char)*text) || *end || mode > 01777)
        return false;
    *ret_mode = (mode_t)mode;
    return true;
}

static bool parse_group(const char *text, gid_t *ret_gid)
{
    struct group *group = getgrnam(text);
    char *end;
    unsigned long gid;

    if (group) {
        *ret_gid = group->gr_gid;
        return true;
    }
    gid = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || gid >= UINT32_MAX)
        return false;
    *ret_gid = (gid_t)gid;
    return true;
}

int cmd_setup(int argc, char **argv)
{
    static const struct option options[] = {
        { "size", required_argument, NULL, 's' },
        { "mount", required_argument, NULL, 'm' },
        { "mode", required_argument, NULL, 'o' },
        { "group", required_argument, NULL, 'g' },
        { "persist", no_argument, NULL, 'p' },
        { "undo", no_argument, NULL, 'u' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    const char *dir = DEFAULT_MOUNT, *size_text = NULL, *group_text = NULL;
    struct hl_setup request = { .mode = 01777 };
    char wanted[PATH_MAX], *resolved;
    bool undo = false;
    uint64_t bytes = 0;
    sigset_t signals;
    int c, rc, lock;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 's': size_text = optarg; break;
        case 'm': dir = optarg; break;
        case 'o':
            if (!parse_mode(optarg, &request.mode))
                return hl_tool_usage("setup", "--mode '%s': not an octal mode up to 1777", optarg);
            request.mode_given = true;
            break;
        case 'g': group_text = optarg; break;
        case 'p': request.persist = true; break;
        case 'u': undo = true; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("setup", argv, c);
        }
    }
    if (optind < argc)
        return hl_tool_usage("setup", "unexpected argument '%s'", argv[optind]);
    if (undo && (size_text || group_text || request.mode_given || request.persist))
        return hl_tool_usage("setup", "--undo goes with --mount only");
    if (!undo && !size_text)
        return hl_tool_usage("setup", "how much? say --size, as in --size 4G");
    if (size_text && hugelite_parse_size(size_text, &bytes) < 0)
        return hl_tool_usage("setup", "--size '%s': not a size, as in 512M or 4G", size_text);
    if (!undo && bytes == 0)
        return hl_tool_usage("setup", "--size must be more than 0");
    if (dir[0] != '/' || strchr(dir, '\n') || strlen(dir) >= sizeof wanted)
        return hl_tool_usage("setup", "--mount '%s': not an absolute path", dir);
    if (group_text && !parse_group(group_text, &request.gid))
        return hl_tool_error("setup", "--group '%s': there is no such group", group_text);

    if (geteuid() != 0)
        return hl_tool_error("setup", "only root may do this; run it with sudo");

    request.group_given = group_text != NULL;
    if (request.group_given && !request.mode_given)
        request.mode = 01770;
    /* Whole pages: a byte more than a page is two. */
    request.pages = bytes / HUGELITE_CHUNK_BYTES + (bytes % HUGELITE_CHUNK_BYTES != 0);

    strcpy(wanted, dir);
    rc = undo ? 0 : make_dir(wanted, &request.made_dir);
    if (rc < 0)
        return hl_tool_error("setup", "cannot make '%s': %s", wanted, strerror(-rc));
    /* /proc/mounts tells resolved names.  What is gone already may still be on record. */
    resolved = realpath(dir, request.dir);
    if (!resolved && undo && errno == ENOENT)
        strcpy(request.dir, dir);
    else if (!resolved)
        return hl_tool_error("setup", "'%s': %s", dir, strerror(errno));

    rc = hl_hugepages_lock(&lock);
    if (rc == -ETIMEDOUT)
        return hl_tool_error("setup", "another set-up has been at work for a minute (lock %s); "
                             "try again later", HL_HUGEPAGES_LOCK);
    if (rc < 0)
        return hl_tool_error("setup", "cannot lock %s: %s", HL_HUGEPAGES_LOCK, strerror(-rc));
    /* Short, and not to be left half done by a Ctrl-C. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    rc = undo ? undo_locked(request.dir) : set_up_locked(&request);
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
    close(lock);
    if (rc != 0 && request.made_dir)
        rmdir(request.dir);      /* fails, rightly, when something is mounted on it */
    return rc;
}
