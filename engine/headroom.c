/* SPDX-License-Identifier: MIT
 *
 * headroom.c - how much more memory this process may use before its cgroup is full.  A page of
 * tmpfs is charged to the group of whoever makes it resident, and when the group is full, the
 * kernel does not answer UFFDIO_COPY with an error: it kills (measured on Linux 6.18).  So we
 * look first.
 *
 * Both kinds of cgroups: memory.limit_in_bytes (version 1), memory.max and memory.high
 * (version 2).  All groups above count, as far as they can be seen from here.
 *
 * Entry points: headroom.h.  See also: fill.c (asks before it populates small pages).
 */
#include "config.h"

#include "headroom.h"

#include "layout.h"
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a process that nothing limits is taken to remain so: a look costs a twentieth of a
 * fill. */
enum { UNLIMITED_NS = 100 * 1000 * 1000 };

/* What is left for everything else: a sixteenth of the limit, within these. */
#define KEEP_MIN (2ull * HL_CHUNK_BYTES)
#define KEEP_MAX (32ull * HL_CHUNK_BYTES)

/* Where the hierarchy that limits memory is mounted, and which group is its top there. */
struct mount {
    bool found, unified;
    char dir[PATH_MAX], root[PATH_MAX];
};

static const struct names {
    const char *limit, *lower, *usage, *inactive, *active;
} names[2] = {
    { "memory.limit_in_bytes", NULL, "memory.usage_in_bytes", "\ntotal_inactive_file ",
      "\ntotal_active_file " },
    { "memory.max", "memory.high", "memory.current", "\ninactive_file ", "\nactive_file " },
};

static struct mount memory_mount;
static _Atomic uint64_t unlimited_until_ns, promised;
static _Atomic bool limited; /* as the last look said */

/* ---- where ------------------------------------------------------------------ */

/* Is `word` one of a list with commas? */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* One line of mountinfo(5): "36 35 98:0 /root /dir options [more]... - type source options".
 * The hierarchy of version 1 that has the controller goes before that of version 2, which then
 * has not. */
static void look_at_mount(char *line, struct mount *mount)
{
    char *tail = strstr(line, " - "), root[PATH_MAX], dir[PATH_MAX], type[32], options[1024];
    bool unified;

    if (!tail || mount->found > mount->unified ||
        sscanf(line, "%*s %*s %*s %4095s %4095s", root, dir) != 2 ||
        sscanf(tail, " - %31s %*s %1023s", type, options) != 2)
        return;
    unified = strcmp(type, "cgroup2") == 0;
    if (unified ? mount->found : strcmp(type, "cgroup") != 0 || !lists(options, "memory"))
        return;
    mount->found = true;
    mount->unified = unified;
    snprintf(mount->dir, sizeof mount->dir, "%s", dir);
    snprintf(mount->root, sizeof mount->root, "%s", strcmp(root, "/") ? root : "");
}

static void find_mount(const char *proc, struct mount *ret_mount)
{
    char path[PATH_MAX], *line = NULL;
    size_t room = 0;
    FILE *f;

    *ret_mount = (struct mount){ 0 };
    snprintf(path, sizeof path, "%s/mountinfo", proc);
    f = fopen(path, "re");
    while (f && getline(&line, &room, f) > 0)
        look_at_mount(line, ret_mount);
    free(line);
    if (f)
        fclose(f);
}

/* ---- how much ------------------------------------------------------------------ */

/* Read a small file to its end, at most room - 1 bytes, as a string.  False: there is none, or errno
 * says that it cannot be read now. */
static bool read_text(const char *path, char *text, size_t room)
{
    int fd = hl_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    size_t length = 0;
    ssize_t got = 1;

    if (fd >= 0)
        errno = 0;
    while (fd >= 0 && got > 0 && length < room - 1) {
        got = hl_sys.read(fd, text + length, room - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        hl_sys.close(fd);
    text[length] = '\0';
    return length;
}

static uint64_t read_number(const char *dir, const char *name)
{
    char path[PATH_MAX + 64], text[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    /* "max", and what version 1 says when there is no limit, is too much to matter. */
    return read_text(path, text, sizeof text) && text[0] >= '0' && text[0] <= '9'
               ? strtoull(text, NULL, 10)
               : UINT64_MAX;
}

/* Cached files, which the kernel takes back before a limit is felt. */
static uint64_t reclaimable(const char *dir, const struct names *name)
{
    char path[PATH_MAX + 64], text[8192] = "\n";
    uint64_t bytes = 0;
    const char *at;

    snprintf(path, sizeof path, "%s/memory.stat", dir);
    if (!read_text(path, text + 1, sizeof text - 1))
        return 0;
    if ((at = strstr(text, name->inactive)))
        bytes += strtoull(at + strlen(name->inactive), NULL, 10);
    if ((at = strstr(text, name->active)))
        bytes += strtoull(at + strlen(name->active), NULL, 10);
    return bytes;
}

/* What one group has left; *keep: what of it is not for us. */
static uint64_t left_in(const char *dir, const struct names *name, uint64_t *keep)
{
    uint64_t limit = read_number(dir, name->limit), used, lower;

    if (name->lower && (lower = read_number(dir, name->lower)) < limit)
        limit = lower;
    if (limit >= INT64_MAX / 2)
        return UINT64_MAX;
    used = read_number(dir, name->usage);
    *keep = limit / 16;
    *keep = *keep < KEEP_MIN ? KEEP_MIN : *keep > KEEP_MAX ? KEEP_MAX : *keep;
    if (used >= limit || limit - used < *keep + HL_CHUNK_BYTES) {
        uint64_t cached = reclaimable(dir, name);

        used -= used < cached ? used : cached;
    }
    return used < limit ? limit - used : 0;
}

/* The group's path below the mount, as proc/cgroup has it: "4:cpu,memory:/path", version 2
 * "0::/path". */
static bool find_group(const struct mount *mount, const char *proc, char *dir, size_t room)
{
    char path[PATH_MAX], text[4096], *next;
    size_t top = strlen(mount->root);

    snprintf(path, sizeof path, "%s/cgroup", proc);
    if (!read_text(path, text, sizeof text))
        return false;
    for (char *line = text; line && *line; line = next) {
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;

        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        if (!group || (next && group > next))
            continue;
        *group++ = '\0';
        if (mount->unified ? list[1] != '\0' : !lists(list + 1, "memory"))
            continue;
        /* A container sees its own group mounted as the top, under the name that it has outside. */
        if (strncmp(group, mount->root, top) == 0 && (group[top] == '/' || group[top] == '\0'))
            group += top;
        else if (top)
            group = "";
        return snprintf(dir, room, "%s%s", mount->dir, group) < (int)room;
    }
    return false;
}

/* Least of what the group and those above have left, and of that what is for us.  False: there is no
 * descriptor or memory to look with, now. */
static bool look(const struct mount *mount, const char *proc, uint64_t *ret_left,
                 uint64_t *ret_ours)
{
    char dir[2 * PATH_MAX];

    *ret_left = *ret_ours = UINT64_MAX;
    if (!mount->found)
        return true;
    errno = 0;
    if (!find_group(mount, proc, dir, sizeof dir))
        return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
    while (strlen(dir) >= strlen(mount->dir)) {
        uint64_t keep = 0, left = left_in(dir, &names[mount->unified], &keep);
        char *last = strrchr(dir, '/');

        if (left < *ret_left)
            *ret_left = left;
        if (left != UINT64_MAX && (left > keep ? left - keep : 0) < *ret_ours)
            *ret_ours = left > keep ? left - keep : 0;
        if (!last)
            break;
        *last = '\0';
    }
    return true;
}

/* What is ours of it.  Who cannot look goes by what was last seen: a full group must not pass for none, nor
 * none for a full one. */
static uint64_t ours_now(void)
{
    uint64_t left, ours;

    if (look(&memory_mount, "/proc/self", &left, &ours))
        atomic_store_explicit(&limited, ours != UINT64_MAX, memory_order_relaxed);
    else if (atomic_load_explicit(&limited, memory_order_relaxed))
        ours = 0;
    return ours;
}

/* ---- asking --------------------------------------------------------------------- */

static void find_memory_mount(void)
{
    find_mount("/proc/self", &memory_mount);
}

void hl_headroom_settle(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_memory_mount);
    /* A child of fork() may be in another group than its parent was. */
    atomic_store_explicit(&unlimited_until_ns, 0, memory_order_relaxed);
    ours_now();
}

uint64_t hl_headroom_of(const char *proc)
{
    struct mount mount;
    uint64_t left, ours;

    find_mount(proc, &mount);
    look(&mount, proc, &left, &ours);
    return left;
}

uint64_t hl_headroom_bytes(void)
{
    uint64_t left, ours;

    hl_headroom_settle();
    look(&memory_mount, "/proc/self", &left, &ours);
    return left;
}

bool hl_headroom_take(uint64_t bytes)
{
    uint64_t ours, now = hl_now_ns();
    uint64_t all = atomic_fetch_add_explicit(&promised, bytes, memory_order_relaxed) + bytes;

    if (now < atomic_load_explicit(&unlimited_until_ns, memory_order_relaxed))
        return true;
    ours = ours_now();
    if (ours == UINT64_MAX)
        atomic_store_explicit(&unlimited_until_ns, now + UNLIMITED_NS, memory_order_relaxed);
    if (ours >= all)
        return true;
    hl_headroom_give(bytes);
    return false;
}

void hl_headroom_give(uint64_t bytes)
{
    atomic_fetch_sub_explicit(&promised, bytes, memory_order_relaxed);
}

void hl_headroom_fork_child(void)
{
    atomic_store_explicit(&promised, 0, memory_order_relaxed);
}
