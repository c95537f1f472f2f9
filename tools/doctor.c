/* SPDX-License-Identifier: MIT
 *
 * hugelite doctor: what this machine offers to this user, what is missing, and the
 * command that mends it.  It looks and tries; it changes nothing and makes no pool.
 *
 * Each look_at_...() reports findings; a finding is a topic, a state, a sentence and,
 * where something is to be done, the command.  The machine is ready when the pool that
 * would be used is on huge pages and no finding is a problem.
 *
 * Entry point: cmd_doctor().
 * See also: doctor-audit.c (the books of a pool), setup.c, hugepages.c, mounts.c; the engine's use of all this: engine/directory.c.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "curl.h"
#include "doctor.h"
#include "pool.h"
#include "state.h"
#include "tier.h"
#include "tools.h"

/* Newer than the headers may be; fixed numbers of the kernel's interface. */
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)            /* Linux 6.6 */
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)      /* Linux 6.1 */
#endif
#define HUGETLBFS_SUPER 0x958458f6
#define TMPFS_SUPER 0x01021994

static const char help[] =
    "usage: hugelite doctor [--json]\n"
    "       hugelite doctor --audit [--repair] [--pool DIR] [--json]\n"
    "\n"
    "Say what this machine offers to Hugelite and to you, what is missing, and the\n"
    "command that mends it.  Exit 0 when databases would be read from huge pages.\n"
    "\n"
    "  --audit         account for all that is in a pool, which may be in use, instead;\n"
    "                  exit 0 when nothing is wrong\n"
    "  --repair        and put right what is not; exit 0 when nothing is wrong any more\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  --json          the same for programs, one line of JSON\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

enum state { OK, NOTE, PROBLEM };

static const char *const state_names[] = { "ok", "note", "problem" };

struct finding {
    const char *topic;
    enum state state;
    char *text;
    char *fix;                 /* NULL = nothing to do */
};

struct report {
    struct finding *findings;
    size_t nr, room;
    bool failed;               /* no memory for one of them */

    char kernel[sizeof((struct utsname *)0)->release];
    struct hl_hugepages pages;
    bool has_pages;            /* the kernel knows huge pages of 2 MiB */
    struct hl_mount *mounts;
    size_t nr_mounts;

    char *pool_dir;            /* which would be used; NULL = none */
    const char *pool_pages;    /* "hugetlb", "shmem", or NULL = neither */
    bool pool_exists;

    const char *uffd_how;      /* "syscall", "device", NULL = refused */
    bool uffd_user_mode;
    bool uffd_hugetlb, uffd_shmem, uffd_continue, uffd_poison;

    const char *curl_version;  /* NULL = it cannot be loaded */
    char state_dir[PATH_MAX];  /* "" = none */
    const char *state_fs;      /* its file system; NULL = not known */
    bool state_usable;
    uint64_t tier_bytes, tier_size;
};

static void report(struct report *r, const char *topic, enum state state, const char *fix,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void report(struct report *r, const char *topic, enum state state, const char *fix,
                   const char *fmt, ...)
{
    struct finding *f;
    va_list args;

    if (r->nr == r->room) {
        size_t room = r->room ? r->room * 2 : 32;

        f = realloc(r->findings, room * sizeof *f);
        if (!f) {
            r->failed = true;
            return;
        }
        r->findings = f;
        r->room = room;
    }
    f = &r->findings[r->nr];
    *f = (struct finding){ .topic = topic, .state = state };
    va_start(args, fmt);
    if (vasprintf(&f->text, fmt, args) < 0)
        f->text = NULL;
    va_end(args);
    if (fix)
        f->fix = strdup(fix);
    if (!f->text || (fix && !f->fix)) {
        free(f->text);
        free(f->fix);
        r->failed = true;
        return;
    }
    r->nr++;
}

/* The first line of a small file, without its newline; false = not there. */
static bool read_line(const char *path, char *text, size_t room)
{
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    n = read(fd, text, room - 1);
    close(fd);
    if (n < 0)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}

/* ---- the kernel and its huge pages -------------------------------------- */

static void look_at_kernel(struct report *r)
{
    struct utsname name;
    unsigned major = 0, minor = 0;

    uname(&name);
    memcpy(r->kernel, name.release, sizeof r->kernel);
    if (sscanf(name.release, "%u.%u", &major, &minor) != 2)
        report(r, "kernel", NOTE, NULL, "%s %s: not a version that can be judged", name.sysname,
               name.release);
    else if (major < 5 || (major == 5 && minor < 13))
        report(r, "kernel", PROBLEM, "install a kernel of version 5.13 or later",
               "Linux %s is older than 5.13, which brought UFFDIO_CONTINUE", name.release);
    else
        report(r, "kernel", OK, NULL, "Linux %s", name.release);
}

static void look_at_huge_pages(struct report *r)
{
    char free_text[HL_UNITS_ROOM], total_text[HL_UNITS_ROOM];
    const struct hl_hugepages *p = &r->pages;
    int rc = hl_hugepages_read(&r->pages);

    r->has_pages = rc == 0;
    if (rc == -ENOENT) {
        report(r, "huge pages", PROBLEM, NULL,
               "this kernel has no huge pages of 2 MiB, or /sys is not mounted here");
        return;
    }
    if (rc < 0) {
        report(r, "huge pages", PROBLEM, NULL, "cannot read their number: %s", strerror(-rc));
        return;
    }
    if (p->total == 0)
        report(r, "huge pages", PROBLEM, "sudo hugelite setup --size 1G", "none are reserved");
    else if (p->free == 0)
        report(r, "huge pages", NOTE, "sudo hugelite setup --size 1G --mount /mnt/hugelite",
               "all %" PRIu64 " of 2 MiB are in use (%s)", p->total,
               hl_units_short(total_text, p->total * HUGELITE_CHUNK_BYTES));
    else
        report(r, "huge pages", OK, NULL, "%" PRIu64 " of 2 MiB (%s): %" PRIu64 " free (%s), %"
               PRIu64 " of them reserved by mounts and mappings", p->total,
               hl_units_short(total_text, p->total * HUGELITE_CHUNK_BYTES), p->free,
               hl_units_short(free_text, p->free * HUGELITE_CHUNK_BYTES), p->reserved);
    if (p->overcommit)
        report(r, "huge pages", NOTE,
               "echo 0 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/"
               "nr_overcommit_hugepages",
               "overcommit is on (%" PRIu64 "): surplus pages go back to the kernel at each "
               "eviction, which is slow", p->overcommit);
}

static void look_at_mounts(struct report *r)
{
    char free_text[HL_UNITS_ROOM], size_text[HL_UNITS_ROOM + 16];
    int rc = hl_mounts_list(&r->mounts, &r->nr_mounts);

    if (rc < 0) {
        report(r, "mount", PROBLEM, NULL, "cannot read /proc/self/mounts: %s", strerror(-rc));
        return;
    }
    if (r->nr_mounts == 0)
        report(r, "mount", PROBLEM, "sudo hugelite setup --size 1G",
               "hugetlbfs is not mounted here");
    for (size_t i = 0; i < r->nr_mounts; i++) {
        const struct hl_mount *m = &r->mounts[i];

        if (m->page_bytes != HUGELITE_CHUNK_BYTES) {
            report(r, "mount", NOTE, NULL, "%s: pages of %s, not of 2 MiB; not used", m->path,
                   hl_units_short(free_text, m->page_bytes));
            continue;
        }
        if (m->size_bytes) {
            char text[HL_UNITS_ROOM];

            snprintf(size_text, sizeof size_text, "size %s", hl_units_short(text, m->size_bytes));
        } else {
            strcpy(size_text, "no size limit");
        }
        /* A place for others is no fault: systemd mounts /dev/hugepages for root. */
        report(r, "mount", m->writable && m->free_bytes ? OK : NOTE, NULL,
               "%s: mode %04o, %s, %s free, %s", m->path, (unsigned)m->mode, size_text,
               hl_units_short(free_text, m->free_bytes),
               m->writable ? "writable by you" : "not writable by you");
    }
}

/* ---- the pool that would be used ----------------------------------------- */

/* A mount that would have been taken, were not the pool on it somebody else's; or NULL. */
static const struct hl_mount *passed_over(const struct report *r)
{
    for (size_t i = 0; i < r->nr_mounts; i++) {
        const struct hl_mount *m = &r->mounts[i];
        char dir[PATH_MAX + 16];
        struct stat st;

        snprintf(dir, sizeof dir, "%s/hugelite", m->path);
        if (m->page_bytes == HUGELITE_CHUNK_BYTES && m->writable && m->free_bytes &&
            lstat(dir, &st) == 0)
            return m;
    }
    return NULL;
}

/* What kind of pages a directory, or the place it would be made in, has. */
static const char *pages_of(const char *dir, uint64_t *ret_page_bytes)
{
    char parent[PATH_MAX];
    struct statfs fs;
    char *slash;

    if (statfs(dir, &fs) < 0) {
        if (errno != ENOENT || strlen(dir) >= sizeof parent)
            return NULL;
        strcpy(parent, dir);
        for (slash = parent + strlen(parent); slash > parent && slash[-1] == '/'; slash--)
            slash[-1] = '\0';
        slash = strrchr(parent, '/');
        if (slash == parent)
            slash++;
        if (slash)
            *slash = '\0';
        if (statfs(slash ? parent : ".", &fs) < 0)
            return NULL;
    }
    *ret_page_bytes = (uint64_t)fs.f_bsize;
    switch ((unsigned long)fs.f_type) {
    case HUGETLBFS_SUPER: return "hugetlb";
    case TMPFS_SUPER: return "shmem";
    default: return NULL;
    }
}

static const char *owner_name(const char *dir, char *text, size_t room)
{
    struct passwd *user;
    struct stat st;

    if (stat(dir, &st) < 0)
        return "somebody else";
    user = getpwuid(st.st_uid);
    if (user)
        snprintf(text, room, "%s", user->pw_name);
    else
        snprintf(text, room, "uid %u", (unsigned)st.st_uid);
    return text;
}

static void look_at_pool(struct report *r)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    char used[HL_UNITS_ROOM], budget[HL_UNITS_ROOM], owner[64], dir[PATH_MAX];
    const char *named = getenv("HUGELITE_POOL");
    const struct hl_mount *passed;
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    uint64_t page_bytes = 0;
    int rc;

    rc = hl_directory_choose(dir);
    r->pool_dir = strdup(dir);
    if (!r->pool_dir) {
        r->failed = true;
        return;
    }
    if (rc < 0) {
        report(r, "pool", PROBLEM, "export HUGELITE_POOL=DIR, a directory of your own", "%s",
               hugelite_error());
        return;
    }
    r->pool_pages = pages_of(r->pool_dir, &page_bytes);
    if (!r->pool_pages) {
        report(r, "pool", PROBLEM, "unset HUGELITE_POOL, or name a directory on hugetlbfs",
               "%s%s: not on hugetlbfs or tmpfs, or its parent is missing", r->pool_dir,
               named && *named ? " (HUGELITE_POOL)" : "");
        return;
    }
    if (strcmp(r->pool_pages, "hugetlb") == 0 && page_bytes != HUGELITE_CHUNK_BYTES) {
        r->pool_pages = NULL;
        report(r, "pool", PROBLEM, "unset HUGELITE_POOL, or name a directory on hugetlbfs",
               "%s: its huge pages are not of 2 MiB", r->pool_dir);
        return;
    }

    rc = hugelite_pool_open(r->pool_dir, &opts, &pool);
    if (rc == 0) {
        r->pool_exists = true;
        if (hugelite_pool_stat(pool, &stat) == 0)
            report(r, "pool", OK, NULL, "%s: %s of %s in use, readers: %" PRIu64, r->pool_dir,
                   hl_units_short(used, stat.resident_bytes),
                   hl_units_short(budget, stat.budget_bytes), stat.readers);
        hugelite_pool_close(pool);
    } else if (rc == -ENOENT) {
        report(r, "pool", OK, NULL, "%s: the first reader makes it", r->pool_dir);
    } else if (rc == -EACCES) {
        report(r, "pool", PROBLEM,
               "export HUGELITE_POOL=DIR, a directory of your own on the mount",
               "%s belongs to %s: %s", r->pool_dir,
               owner_name(r->pool_dir, owner, sizeof owner), hugelite_error());
    } else {
        report(r, "pool", PROBLEM, NULL, "%s", hugelite_error());
    }
    if (strcmp(r->pool_pages, "shmem") != 0)
        return;
    passed = named && *named ? NULL : passed_over(r);
    if (passed) {
        char fix[PATH_MAX + 64], theirs[PATH_MAX + 16];

        snprintf(theirs, sizeof theirs, "%s/hugelite", passed->path);
        snprintf(fix, sizeof fix, "export HUGELITE_POOL=%s/hugelite-%u   (or root: hugelite setup "
                 "--group)", passed->path, (unsigned)geteuid());
        report(r, "pool", PROBLEM, fix,
               "small pages (tmpfs) would be used, since %s belongs to %s", theirs,
               owner_name(theirs, owner, sizeof owner));
    } else {
        report(r, "pool", PROBLEM, named && *named ? "unset HUGELITE_POOL" :
               "sudo hugelite setup --size 1G",
               "small pages (tmpfs) would be used: it works, but each reader pays more for page "
               "tables and misses");
    }
}

/* ---- userfaultfd --------------------------------------------------------- */

/* Is UFFDIO_CONTINUE there for a MISSING registration of these pages?  It is not in any
 * feature bit, so ask about a hole: EFAULT says yes, EINVAL says no.  Uses no page. */
static bool has_continue(int uffd, bool hugetlb)
{
    size_t length = hugetlb ? HUGELITE_CHUNK_BYTES : (size_t)sysconf(_SC_PAGESIZE);
    struct uffdio_register reg;
    struct uffdio_continue go;
    bool answer = false;
    void *map;
    int fd;

    fd = memfd_create("hugelite-doctor", MFD_CLOEXEC | (hugetlb ? MFD_HUGETLB : 0));
    if (fd < 0)
        return false;
    map = MAP_FAILED;
    if (ftruncate(fd, (off_t)length) == 0)
        map = mmap(NULL, length, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map != MAP_FAILED) {
        memset(&reg, 0, sizeof reg);
        reg.range.start = (uintptr_t)map;
        reg.range.len = length;
        reg.mode = UFFDIO_REGISTER_MODE_MISSING;
        memset(&go, 0, sizeof go);
        go.range = reg.range;
        if (ioctl(uffd, UFFDIO_REGISTER, &reg) == 0)
            answer = ioctl(uffd, UFFDIO_CONTINUE, &go) == 0 || errno == EFAULT;
        munmap(map, length);
    }
    close(fd);
    return answer;
}

static int open_uffd_device(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), uffd, rc;

    if (device < 0)
        return -errno;
    uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    rc = uffd < 0 ? -errno : uffd;
    close(device);
    return rc;
}

static void look_at_userfaultfd(struct report *r)
{
    struct uffdio_api api = { .api = UFFD_API };
    int uffd, by_call, by_device;
    bool huge = r->pool_pages && strcmp(r->pool_pages, "hugetlb") == 0;

    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    by_call = uffd < 0 ? -errno : 0;
    r->uffd_user_mode = uffd >= 0;
    if (uffd >= 0) {
        r->uffd_how = "syscall";
        report(r, "userfaultfd", OK, NULL,
               "allowed by system call, for faults of user mode");
    } else {
        uffd = open_uffd_device();
        by_device = uffd < 0 ? uffd : 0;
        if (uffd < 0) {
            if (by_call == -ENOSYS)
                report(r, "userfaultfd", PROBLEM, "use a kernel with CONFIG_USERFAULTFD=y",
                       "this kernel has none");
            else
                report(r, "userfaultfd", PROBLEM, by_device == -EACCES ?
                       "sudo chmod 0666 /dev/userfaultfd" :
                       "allow the system call userfaultfd in the container's seccomp profile, or "
                       "pass it the device: --device /dev/userfaultfd",
                       "refused: system call: %s; /dev/userfaultfd: %s", strerror(-by_call),
                       strerror(-by_device));
            return;
        }
        r->uffd_how = "device";
        report(r, "userfaultfd", OK, NULL, "allowed by /dev/userfaultfd (system call: %s)",
               strerror(-by_call));
    }

    if (ioctl(uffd, UFFDIO_API, &api) < 0) {
        report(r, "userfaultfd", PROBLEM, NULL, "its interface is another one: %s",
               strerror(errno));
        close(uffd);
        return;
    }
    r->uffd_hugetlb = api.features & UFFD_FEATURE_MISSING_HUGETLBFS;
    r->uffd_shmem = api.features & UFFD_FEATURE_MISSING_SHMEM;
    r->uffd_poison = api.features & UFFD_FEATURE_POISON;
    r->uffd_continue = has_continue(uffd, huge);
    close(uffd);

    if (huge && !r->uffd_hugetlb)
        report(r, "userfaultfd", PROBLEM, "use a kernel of version 5.13 or later",
               "it does not serve hugetlbfs (MISSING_HUGETLBFS)");
    if (!huge && !r->uffd_shmem)
        report(r, "userfaultfd", PROBLEM, "use a kernel of version 5.13 or later",
               "it does not serve tmpfs (MISSING_SHMEM)");
    if (!r->uffd_continue)
        report(r, "userfaultfd", NOTE, NULL,
               "no UFFDIO_CONTINUE here: residency is asked in a slower way");
    if (!r->uffd_poison)
        report(r, "userfaultfd", NOTE, NULL, "no UFFDIO_POISON (Linux 6.6): a source that "
               "fails under hugelite_volume_map() ends the thread with SIGSEGV, not SIGBUS");
    if (r->uffd_continue && r->uffd_poison)
        report(r, "userfaultfd", OK, NULL, "features:%s%s CONTINUE POISON",
               r->uffd_hugetlb ? " MISSING_HUGETLBFS" : "", r->uffd_shmem ? " MISSING_SHMEM" : "");
}

/* ---- limits --------------------------------------------------------------- */

/* The path of this process in a cgroup hierarchy: controller NULL = version 2. */
static bool cgroup_path(const char *controller, char *path, size_t room)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char *line = NULL;
    size_t line_room = 0;
    bool found = false;

    while (file && !found && getline(&line, &line_room, file) > 0) {
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;

        if (!where)
            continue;
        *where++ = '\0';
        names++;
        where[strcspn(where, "\n")] = '\0';
        if (!controller) {
            found = *names == '\0';
        } else {
            size_t length = strlen(controller);

            for (char *n = names; n && !found; n = strchr(n, ',')) {
                n += *n == ',';
                found = strncmp(n, controller, length) == 0 &&
                        (n[length] == ',' || n[length] == '\0');
            }
        }
        if (found)
            snprintf(path, room, "%s", where);
    }
    free(line);
    if (file)
        fclose(file);
    return found;
}

/* The smallest limit from this cgroup up to the root; UINT64_MAX = none. */
static uint64_t cgroup_limit(const char *root, const char *where, const char *name,
                             char *ret_file, size_t room)
{
    uint64_t least = UINT64_MAX;
    char dir[PATH_MAX], file[PATH_MAX + 64], text[64];

    snprintf(dir, sizeof dir, "%s", where);
    for (;;) {
        char *slash;

        snprintf(file, sizeof file, "%s%s/%s", root, strcmp(dir, "/") == 0 ? "" : dir, name);
        if (read_line(file, text, sizeof text) && isdigit((unsigned char)*text)) {
            uint64_t limit = strtoull(text, NULL, 10);

            /* Version 1 says "no limit" by a number near 2^63. */
            if (limit < least && limit < (UINT64_C(1) << 62)) {
                least = limit;
                snprintf(ret_file, room, "%s", file);
            }
        }
        slash = strrchr(dir, '/');
        if (!slash || dir[1] == '\0')
            return least;
        slash[slash == dir] = '\0';
    }
}

static void look_at_cgroups(struct report *r)
{
    static const struct {
        const char *controller, *root, *name;
    } places[] = {
        { NULL, "/sys/fs/cgroup", "hugetlb.2MB.max" },
        { NULL, "/sys/fs/cgroup", "hugetlb.2MB.rsvd.max" },
        { NULL, "/sys/fs/cgroup/unified", "hugetlb.2MB.max" },
        { "hugetlb", "/sys/fs/cgroup/hugetlb", "hugetlb.2MB.limit_in_bytes" },
        { "hugetlb", "/sys/fs/cgroup/hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes" },
    };
    char path[PATH_MAX], file[PATH_MAX + 64], fix[PATH_MAX + 128], text[HL_UNITS_ROOM];

    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint64_t limit;

        if (!cgroup_path(places[i].controller, path, sizeof path))
            continue;
        limit = cgroup_limit(places[i].root, path, places[i].name, file, sizeof file);
        if (limit == UINT64_MAX)
            continue;
        snprintf(fix, sizeof fix, "raise %s (Kubernetes: resources.limits.hugepages-2Mi)", file);
        report(r, "limits", limit < 8 * HUGELITE_CHUNK_BYTES ? PROBLEM : NOTE, fix,
               "huge pages of this cgroup: at most %s", hl_units_bytes(text, limit));
    }
}

static void look_at_limits(struct report *r)
{
    char text[HL_UNITS_ROOM];
    struct rlimit files = { 0 }, space = { 0 };
    bool fine = true;

    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &space);
    if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < 256) {
        fine = false;
        report(r, "limits", NOTE, "ulimit -n 1024", "only %" PRIu64 " open files (RLIMIT_NOFILE)",
               (uint64_t)files.rlim_cur);
    }
    if (space.rlim_cur != RLIM_INFINITY) {
        fine = false;
        report(r, "limits", PROBLEM, "ulimit -v unlimited",
               "address space is limited to %s (RLIMIT_AS), and a database is mapped whole with "
               "room to grow", hl_units_short(text, space.rlim_cur));
    }
    if (fine) {
        if (files.rlim_cur == RLIM_INFINITY)
            report(r, "limits", OK, NULL, "address space and open files: unlimited");
        else
            report(r, "limits", OK, NULL, "address space: unlimited, open files: %" PRIu64,
                   (uint64_t)files.rlim_cur);
    }
    look_at_cgroups(r);
}

/* ---- container ------------------------------------------------------------ */

static void look_at_container(struct report *r)
{
    static const char *const words[] = { "docker", "kubepods", "containerd", "libpod", "lxc" };
    char path[PATH_MAX] = "", *line = NULL;
    const char *kind = NULL;
    int seccomp = -1;
    size_t room = 0;
    FILE *file;

    if (access("/.dockerenv", F_OK) == 0)
        kind = "Docker (/.dockerenv)";
    else if (access("/run/.containerenv", F_OK) == 0)
        kind = "Podman (/run/.containerenv)";
    else if (getenv("KUBERNETES_SERVICE_HOST"))
        kind = "Kubernetes (KUBERNETES_SERVICE_HOST)";
    else if (cgroup_path(NULL, path, sizeof path) || cgroup_path("memory", path, sizeof path))
        for (unsigned i = 0; i < sizeof words / sizeof words[0] && !kind; i++)
            if (strstr(path, words[i]))
                kind = path;

    file = fopen("/proc/self/status", "re");
    while (file && getline(&line, &room, file) > 0)
        sscanf(line, "Seccomp: %d", &seccomp);
    free(line);
    if (file)
        fclose(file);

    if (kind)
        report(r, "container", NOTE, r->uffd_how ? NULL :
               "a seccomp profile that allows userfaultfd, or --device /dev/userfaultfd",
               "this looks like a container: %s; huge pages, mounts and limits come from its host",
               kind);
    if (seccomp > 0)
        report(r, "container", NOTE, NULL, "a seccomp filter is on (mode %d); it %s", seccomp,
               r->uffd_how && strcmp(r->uffd_how, "syscall") == 0 ?
               "lets userfaultfd pass" : "may be what refuses userfaultfd");
    if (!kind && seccomp <= 0)
        report(r, "container", OK, NULL, "none seen, no seccomp filter");
}

/* ---- SQLite ---------------------------------------------------------------- */

static void look_at_sqlite(struct report *r)
{
    const char *most = "0x7fff0000", *standard = "0";

    for (int i = 0;; i++) {
        const char *option = sqlite3_compileoption_get(i);

        if (!option)
            break;
        if (strncmp(option, "MAX_MMAP_SIZE=", 14) == 0)
            most = option + 14;
        if (strncmp(option, "DEFAULT_MMAP_SIZE=", 18) == 0)
            standard = option + 18;
    }
    if (sqlite3_libversion_number() < 3040000)
        report(r, "sqlite", PROBLEM, "install SQLite 3.40 or later",
               "SQLite %s is older than 3.40", sqlite3_libversion());
    else if (strtoull(most, NULL, 0) == 0)
        report(r, "sqlite", PROBLEM, "use an SQLite built without MAX_MMAP_SIZE=0",
               "SQLite %s is built with MAX_MMAP_SIZE=0: it never asks for pointers",
               sqlite3_libversion());
    else
        report(r, "sqlite", OK, NULL, "SQLite %s, MAX_MMAP_SIZE=%s, DEFAULT_MMAP_SIZE=%s",
               sqlite3_libversion(), most, standard);
    if (sqlite3_compileoption_used("OMIT_LOAD_EXTENSION"))
        report(r, "sqlite", NOTE, NULL, "it cannot load extensions (OMIT_LOAD_EXTENSION): use "
               "hugelite sql, or link the extension into your program");
    else if (access(HUGELITE_EXTENSION, R_OK) == 0)
        report(r, "sqlite", OK, NULL, "loads extensions: .load %s", HUGELITE_EXTENSION);
    else
        report(r, "sqlite", NOTE, "sudo make install",
               "loads extensions, but %s is not installed", HUGELITE_EXTENSION);
}

/* ---- remote databases ------------------------------------------------------- */

static const char *fs_name(const struct statfs *fs)
{
    static const struct {
        uint32_t type;
        const char *name;
    } known[] = {
        { 0xef53, "ext4" },        { 0x58465342, "xfs" },   { 0x9123683e, "btrfs" },
        { TMPFS_SUPER, "tmpfs" },  { 0x794c7630, "overlay" }, { 0x2fc12fc1, "zfs" },
        { 0xf2f52010, "f2fs" },    { 0x6969, "nfs" },       { 0xff534d42, "cifs" },
        { 0xfe534d42, "smb2" },    { 0x65735546, "fuse" },  { 0x01021997, "9p" },
        { HUGETLBFS_SUPER, "hugetlbfs" },
    };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((uint32_t)fs->f_type == known[i].type)
            return known[i].name;
    return NULL;
}

/* The directory, or the nearest one above it that is there. */
static void existing_part(char *dir)
{
    char *slash;

    while (access(dir, F_OK) < 0 && (slash = strrchr(dir, '/')) != NULL)
        slash[slash == dir] = '\0';
}

/* It is there, so that opening it makes nothing new. */
static void try_state(struct report *r)
{
    char notice[512] = "", used[HL_UNITS_ROOM], size[HL_UNITS_ROOM];
    struct hl_state *state = hl_state_get();

    hl_state_notice(state, notice, sizeof notice);
    hl_tier_stat(state, &r->tier_bytes, &r->tier_size);
    r->state_usable = state->catalog != NULL;
    if (!r->state_usable)
        report(r, "state", NOTE, "export HUGELITE_STATE=DIR, a directory of your own on a disk",
               "%s: %s", r->state_dir, *notice ? notice : "cannot be used");
    else if (*notice)
        report(r, "state", NOTE, NULL, "%s: %s", r->state_dir, notice);
    else
        report(r, "state", OK, NULL, "%s (%s): disk tier of %s, %s in use", r->state_dir,
               r->state_fs ? r->state_fs : "unknown file system",
               hl_units_short(size, r->tier_size), hl_units_short(used, r->tier_bytes));
    hl_state_put(state);
}

static void look_at_state(struct report *r)
{
    char there[PATH_MAX], free_text[HL_UNITS_ROOM];
    struct statfs fs;

    if (!hl_tool_state_dir(r->state_dir, sizeof r->state_dir)) {
        *r->state_dir = '\0';
        report(r, "state", NOTE, "unset HUGELITE_STATE",
               "no state directory: nothing of a remote database is kept over a restart");
        return;
    }
    snprintf(there, sizeof there, "%s", r->state_dir);
    existing_part(there);
    if (statfs(there, &fs) == 0)
        r->state_fs = fs_name(&fs);
    if (strcmp(there, r->state_dir) == 0) {
        try_state(r);
    } else if (access(there, W_OK | X_OK) < 0) {
        report(r, "state", NOTE, "export HUGELITE_STATE=DIR, a directory of your own on a disk",
               "%s: cannot be made: %s: %s", r->state_dir, there, strerror(errno));
    } else {
        r->state_usable = true;
        report(r, "state", OK, NULL, "%s (%s, %s free): the first remote database makes it",
               r->state_dir, r->state_fs ? r->state_fs : "unknown file system",
               hl_units_short(free_text, (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize));
    }
    if (r->state_fs && (strcmp(r->state_fs, "tmpfs") == 0))
        report(r, "state", NOTE, "export HUGELITE_STATE=DIR, on a disk",
               "%s is on tmpfs: it takes memory, and is empty after a reboot", r->state_dir);
    else if (r->state_fs && (strcmp(r->state_fs, "nfs") == 0 || strcmp(r->state_fs, "cifs") == 0 ||
                             strcmp(r->state_fs, "smb2") == 0))
        report(r, "state", NOTE, "export HUGELITE_STATE=DIR, on a disk of this machine",
               "%s is on a network file system (%s), where a catalog may be damaged",
               r->state_dir, r->state_fs);
}

static void look_at_remote(struct report *r)
{
    if (hl_curl_load() == 0) {
        r->curl_version = hl_curl.version_info(CURLVERSION_NOW)->version;
        report(r, "remote", OK, NULL, "libcurl %s: http://, https:// and s3:// databases",
               r->curl_version);
    } else {
        report(r, "remote", NOTE, NULL, "%s", hugelite_error());
    }
    look_at_state(r);
}

/* ---- the report ------------------------------------------------------------ */

static bool is_ready(const struct report *r)
{
    if (!r->pool_pages || strcmp(r->pool_pages, "hugetlb") != 0 || !r->uffd_how)
        return false;
    for (size_t i = 0; i < r->nr; i++)
        if (r->findings[i].state == PROBLEM)
            return false;
    return true;
}

static void print_text(const struct report *r, bool ready)
{
    static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
                  strcmp(term, "dumb") != 0;
    const char *topic = "";

    for (size_t i = 0; i < r->nr; i++) {
        const struct finding *f = &r->findings[i];

        printf("%-12s %s%-8s%s %s\n", strcmp(topic, f->topic) == 0 ? "" : f->topic,
               colour ? colours[f->state] : "", state_names[f->state], colour ? "\033[0m" : "",
               f->text);
        if (f->fix)
            printf("%22s-> %s\n", "", f->fix);
        topic = f->topic;
    }
    putchar('\n');
    if (ready)
        printf("ready: databases are read from huge pages\n");
    else if (r->uffd_how && r->pool_pages && strcmp(r->pool_pages, "shmem") == 0)
        printf("not ready: databases would be read from small pages\n");
    else
        printf("not ready\n");
}

static void print_json(const struct report *r, bool ready)
{
    struct hl_json json;

    hl_json_begin(&json, stdout);
    hl_json_open(&json, NULL, '{');
    hl_json_number(&json, "version", 1);
    hl_json_bool(&json, "ready", ready);
    hl_json_string(&json, "kernel", r->kernel);

    hl_json_open(&json, "hugepages", '{');
    hl_json_number(&json, "page_bytes", r->has_pages ? HUGELITE_CHUNK_BYTES : 0);
    hl_json_number(&json, "total", r->pages.total);
    hl_json_number(&json, "free", r->pages.free);
    hl_json_number(&json, "reserved", r->pages.reserved);
    hl_json_close(&json, '}');

    hl_json_open(&json, "mounts", '[');
    for (size_t i = 0; i < r->nr_mounts; i++) {
        const struct hl_mount *m = &r->mounts[i];
        char mode[8];

        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "path", m->path);
        hl_json_number(&json, "page_bytes", m->page_bytes);
        hl_json_number(&json, "size_bytes", m->size_bytes);
        hl_json_number(&json, "free_bytes", m->free_bytes);
        snprintf(mode, sizeof mode, "%04o", (unsigned)m->mode & 07777);
        hl_json_string(&json, "mode", mode);
        hl_json_bool(&json, "writable", m->writable);
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');

    hl_json_open(&json, "pool", '{');
    hl_json_string(&json, "dir", r->pool_dir);
    hl_json_string(&json, "pages", r->pool_pages);
    hl_json_bool(&json, "exists", r->pool_exists);
    hl_json_close(&json, '}');

    hl_json_open(&json, "userfaultfd", '{');
    hl_json_string(&json, "how", r->uffd_how);
    hl_json_bool(&json, "missing_hugetlbfs", r->uffd_hugetlb);
    hl_json_bool(&json, "missing_shmem", r->uffd_shmem);
    hl_json_bool(&json, "continue", r->uffd_continue);
    hl_json_bool(&json, "poison", r->uffd_poison);
    hl_json_close(&json, '}');

    hl_json_open(&json, "sqlite", '{');
    hl_json_string(&json, "version", sqlite3_libversion());
    hl_json_bool(&json, "load_extension", !sqlite3_compileoption_used("OMIT_LOAD_EXTENSION"));
    hl_json_close(&json, '}');

    hl_json_open(&json, "remote", '{');
    hl_json_string(&json, "libcurl", r->curl_version);
    hl_json_close(&json, '}');

    hl_json_open(&json, "state", '{');
    hl_json_string(&json, "dir", r->state_dir);
    hl_json_string(&json, "file_system", r->state_fs);
    hl_json_bool(&json, "usable", r->state_usable);
    hl_json_number(&json, "tier_bytes", r->tier_bytes);
    hl_json_number(&json, "tier_size", r->tier_size);
    hl_json_close(&json, '}');

    hl_json_open(&json, "findings", '[');
    for (size_t i = 0; i < r->nr; i++) {
        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "topic", r->findings[i].topic);
        hl_json_string(&json, "state", state_names[r->findings[i].state]);
        hl_json_string(&json, "text", r->findings[i].text);
        hl_json_string(&json, "fix", r->findings[i].fix);
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');
    hl_json_close(&json, '}');
}

static int examine(bool json)
{
    struct report r = { .failed = false };
    bool ready;

    look_at_kernel(&r);
    look_at_huge_pages(&r);
    look_at_mounts(&r);
    look_at_pool(&r);
    look_at_userfaultfd(&r);
    look_at_limits(&r);
    look_at_container(&r);
    look_at_sqlite(&r);
    look_at_remote(&r);

    ready = is_ready(&r);
    if (r.failed)
        hl_tool_error("doctor", "%s", strerror(ENOMEM));
    else if (json)
        print_json(&r, ready);
    else
        print_text(&r, ready);

    for (size_t i = 0; i < r.nr; i++) {
        free(r.findings[i].text);
        free(r.findings[i].fix);
    }
    free(r.findings);
    free(r.pool_dir);
    hl_mounts_free(r.mounts, r.nr_mounts);
    return ready && !r.failed ? 0 : 1;
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        { "audit", no_argument, NULL, 'a' },
        { "repair", no_argument, NULL, 'r' },
        { "pool", required_argument, NULL, 'p' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    bool audit = false, repair = false, json = false;
    const char *dir = NULL;
    int c;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'a': audit = true; break;
        case 'r': repair = true; break;
        case 'p': dir = optarg; break;
        case 'j': json = true; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("doctor", argv, c);
        }
    }
    if (optind < argc)
        return hl_tool_usage("doctor", "unexpected argument '%s'", hl_tool_name(argv[optind]));
    if (!audit && (repair || dir))
        return hl_tool_usage("doctor", "%s goes with --audit", repair ? "--repair" : "--pool");
    return audit ? hl_doctor_audit(dir, repair, json) : examine(json);
}
