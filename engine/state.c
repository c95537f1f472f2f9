/* SPDX-License-Identifier: MIT
 *
 * state.c - the state directory: which one, whether it is fit, and what this process has open in it.
 * One struct for each directory, whoever asks: LMDB must not be opened twice in a process.
 *
 * A directory is used when it is the user's own, or a place that its group shares on purpose (setgid,
 * writable by the group), and when only they can write it.  Of network file systems those are refused that
 * are known by name: LMDB needs locks and mappings that are the same for everybody.
 *
 * Entry points: state.h.  See also: clerk.c, catalog.c, tier.c.
 */
#include "config.h"

#include "state.h"

#include "catalog.h"
#include "clerk.h"
#include "error.h"
#include "hugelite.h"
#include "sys.h"
#include "tier.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTICE_BYTES = 1024 };

struct state {
    struct hl_state base;
    struct state *next;
    unsigned refs;
    bool busy;  /* is being opened or closed; then wait */
    bool dead;  /* of the parent */
    int dir_fd; /* -1: it cannot be used */
    dev_t dev;
    ino_t ino;
    mode_t file_mode;
    char dir[PATH_MAX];
    struct hl_clerk clerk;
    struct hl_lock notice_lock;
    char notice[NOTICE_BYTES];
};

static struct hl_lock registry_lock = HL_LOCK_INIT(HL_RANK_STATE);
static pthread_cond_t registry_change = PTHREAD_COND_INITIALIZER;
static struct state *registry;

/* ---- which directory ----------------------------------------------------- */

/* 0; 1: none is wanted; or -errno. */
static int choose(char dir[PATH_MAX], bool *ret_named)
{
    const char *named = getenv("HUGELITE_STATE"), *base = getenv("XDG_STATE_HOME");
    int length;

    *ret_named = named && *named;
    if (*ret_named)
        length = snprintf(dir, PATH_MAX, "%s", named);
    else if (geteuid() == 0)
        length = snprintf(dir, PATH_MAX, "/var/lib/hugelite");
    else if (base && *base == '/')
        length = snprintf(dir, PATH_MAX, "%s/hugelite", base);
    else if ((base = getenv("HOME")) && *base == '/')
        length = snprintf(dir, PATH_MAX, "%s/.local/state/hugelite", base);
    else
        return hl_error(ENOENT, "there is no home directory to keep state in; name a directory with "
                        "HUGELITE_STATE");
    if (length >= PATH_MAX)
        return hl_error(ENAMETOOLONG, "the name of the state directory is too long");
    return strcmp(dir, "none") == 0;
}

/* Of a default, the directories above it may be missing too. */
static int make(char *dir, bool with_parents)
{
    if (with_parents)
        for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
            *p = '\0';
            hl_sys.mkdir(dir, 0700);
            *p = '/';
        }
    if (hl_sys.mkdir(dir, 0700) < 0 && errno != EEXIST)
        return hl_error(errno, "cannot make the directory: %s", strerror(errno));
    return 0;
}

static bool is_network(const struct statfs *fs)
{
    static const uint32_t magics[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFE534D42, /* SMB2 */
        0xFF534D42, /* CIFS */
        0x564C,     /* NCP */
        0x5346414F, /* AFS */
        0x6B414653, /* kAFS */
        0x73757245, /* Coda */
        0x00C36400, /* Ceph */
        0x01021997, /* 9P */
        0x0BD00BD0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
        0x7461636F, /* OCFS2 */
        0x01161970, /* GFS2 */
        0x786F4256, /* VirtualBox's shared folders */
    };

    for (unsigned i = 0; i < sizeof magics / sizeof *magics; i++)
        if ((uint32_t)fs->f_type == magics[i])
            return true;
    return false;
}

static int check(struct state *state)
{
    struct statfs fs;
    struct stat st;

    if (hl_sys.fstat(state->dir_fd, &st) < 0 || hl_sys.fstatfs(state->dir_fd, &fs) < 0)
        return hl_error(errno, "%s", strerror(errno));
    if (st.st_mode & S_IWOTH)
        return hl_error(EACCES, "it is writable by anybody");
    if (st.st_uid != geteuid() && !(st.st_mode & S_ISGID && st.st_mode & S_IWGRP))
        return hl_error(EACCES, "it belongs to another user, number %u, and is not shared by its "
                        "group", (unsigned)st.st_uid);
    if (is_network(&fs))
        return hl_error(EMEDIUMTYPE, "it is on a network file system, where LMDB is not safe");
    if (faccessat(state->dir_fd, ".", W_OK, AT_EACCESS) < 0)
        return hl_error(errno, "it cannot be written: %s", strerror(errno));
    state->dev = st.st_dev;
    state->ino = st.st_ino;
    state->file_mode = st.st_mode & S_ISGID && st.st_mode & S_IWGRP ? 0660 : 0600;
    return 0;
}

/* Make and open the directory.  When it is not to be used, dir_fd is -1 and a notice says why. */
static void open_directory(struct state *state)
{
    char path[PATH_MAX];
    bool named;
    int rc;

    rc = choose(state->dir, &named);
    if (rc == 0)
        rc = make(state->dir, !named);
    if (rc == 0 && realpath(state->dir, path))
        snprintf(state->dir, sizeof state->dir, "%s", path);
    if (rc == 0) {
        state->dir_fd = hl_sys.openat(AT_FDCWD, state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        rc = state->dir_fd < 0 ? hl_error(errno, "cannot open it: %s", strerror(errno))
                               : check(state);
    }
    if (rc < 0) {
        hl_state_note(&state->base, "state directory %s: done without: %s", state->dir,
                      hugelite_error());
        if (state->dir_fd >= 0)
            hl_sys.close(state->dir_fd);
        state->dir_fd = -1;
    }
}

/* ---- the clerk ----------------------------------------------------------- */

static void run_one(void *arg)
{
    struct hl_errand *errand = arg;

    errand->run(errand);
}

static void run_errand(void *arg, struct hl_errand *errand)
{
    struct state *state = arg;

    if (state->base.catalog)
        hl_catalog_guard(state->base.catalog, run_one, errand);
    else
        errand->run(errand);
}

/* What went wrong with a batch is noted at once: the next may go well. */
static bool settle(void *arg)
{
    struct state *state = arg;
    bool whole = !state->base.catalog || hl_catalog_settle(state->base.catalog);
    int trouble = state->base.catalog && whole ? hl_catalog_trouble(state->base.catalog) : 0;

    if (trouble < 0 && trouble != -ENOENT)
        hl_state_note(&state->base, "the catalog could not be written: %s", strerror(-trouble));
    return whole;
}

static int post(struct hl_state *base, struct hl_errand *errand, uint32_t bytes, bool must)
{
    struct state *state = (struct state *)base;
    bool posted = false;

    hl_quiet_begin();
    if (!state->dead)
        posted = hl_clerk_post(&state->clerk, errand, bytes, must);
    hl_quiet_end();
    return posted;
}

int hl_state_post(struct hl_state *state, struct hl_errand *errand)
{
    return post(state, errand, 0, false);
}

int hl_state_post_bytes(struct hl_state *state, struct hl_errand *errand, uint32_t bytes)
{
    return post(state, errand, bytes, false);
}

int hl_state_post_must(struct hl_state *state, struct hl_errand *errand)
{
    return post(state, errand, 0, true);
}

int hl_state_flush(struct hl_state *base, uint64_t patience_ns)
{
    struct state *state = (struct state *)base;

    return state->dead || hl_clerk_flush(&state->clerk, patience_ns);
}

/* ---- notices ------------------------------------------------------------- */

const char *hl_state_dir(const struct hl_state *base)
{
    return ((const struct state *)base)->dir;
}

void hl_state_note(struct hl_state *base, const char *format, ...)
{
    struct state *state = (struct state *)base;
    char text[NOTICE_BYTES];
    size_t length;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hl_lock(&state->notice_lock);
    length = strlen(state->notice);
    if (!strstr(state->notice, text))
        snprintf(state->notice + length, sizeof state->notice - length, "%s%s",
                 length ? "; " : "", text);
    hl_unlock(&state->notice_lock);
}

void hl_state_notice(const struct hl_state *base, char *buffer, uint32_t room)
{
    struct state *state = (struct state *)base;
    int trouble = base->catalog ? hl_catalog_trouble(base->catalog) : 0;

    if (state->dead) {
        snprintf(buffer, room, "it was opened before fork(), or there is no memory for it");
        return;
    }
    if (trouble == -EBADMSG)
        hl_state_note(&state->base, "the catalog was damaged while it was in use, and is done "
                      "without");
    hl_lock(&state->notice_lock);
    snprintf(buffer, room, "%s", state->notice);
    hl_unlock(&state->notice_lock);
}

/* ---- open and close ------------------------------------------------------ */

static struct state *new_state(void)
{
    struct state *state = calloc(1, sizeof *state);

    if (!state)
        return NULL;
    state->dir_fd = -1;
    state->refs = 1;
    state->notice_lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_STATE);
    hl_clerk_init(&state->clerk, run_errand, settle, state);
    return state;
}

static void free_state(struct state *state)
{
    if (state->dir_fd >= 0)
        hl_sys.close(state->dir_fd);
    free(state);
}

/* Under the lock. */
static struct state *find(const struct state *same)
{
    for (struct state *state = registry; state; state = state->next)
        if (same->dir_fd < 0 ? state->dir_fd < 0 && strcmp(state->dir, same->dir) == 0
                             : state->dir_fd >= 0 && state->dev == same->dev &&
                                   state->ino == same->ino)
            return state;
    return NULL;
}

/* Where files may not grow (RLIMIT_FSIZE) LMDB's first write sends a signal that would end the host.
 * The clerk blocks it, as all others. */
static int open_catalog(struct state *state, char *note, uint32_t room)
{
    const struct timespec no_time = { 0 };
    sigset_t pending, too_large;
    int rc;

    sigpending(&pending);
    rc = hl_catalog_open(state->dir, state->dir_fd, state->file_mode, &state->base.catalog, note,
                         room);
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    if (!sigismember(&pending, SIGXFSZ))
        sigtimedwait(&too_large, NULL, &no_time);
    return rc;
}

static void fill(struct state *state)
{
    char note[512];
    int rc;

    if (state->dir_fd < 0)
        return;
    rc = open_catalog(state, note, sizeof note);
    if (note[0])
        hl_state_note(&state->base, "%s", note);
    if (rc < 0) {
        hl_state_note(&state->base, "state directory %s: done without: %s", state->dir,
                      hugelite_error());
        return;
    }
    state->base.tier = hl_tier_open(&state->base, state->dir_fd, state->file_mode);
    hl_catalog_share(state->base.catalog);
}

/* Ours when nobody has it open, else the one that somebody has. */
static struct state *enter(struct state *mine)
{
    struct state *state;

    hl_lock(&registry_lock);
    while ((state = find(mine)) && state->busy)
        pthread_cond_wait(&registry_change, &registry_lock.mutex);
    if (state) {
        state->refs++;
    } else {
        mine->busy = true;
        mine->next = registry;
        registry = mine;
    }
    hl_unlock(&registry_lock);
    return state ? state : mine;
}

/* There is no memory for one. */
static struct hl_state *no_state(void)
{
    static struct state none = { .dir_fd = -1, .dead = true };

    return &none.base;
}

struct hl_state *hl_state_get(void)
{
    struct state *mine = new_state(), *state;

    if (!mine)
        return no_state();
    hl_quiet_begin();
    open_directory(mine);
    state = enter(mine);
    if (state != mine) {
        free_state(mine);
    } else {
        fill(mine);
        hl_lock(&registry_lock);
        mine->busy = false;
        pthread_cond_broadcast(&registry_change);
        hl_unlock(&registry_lock);
    }
    hl_quiet_end();
    return &state->base;
}

struct hl_state *hl_state_peek(void)
{
    struct state *state;

    hl_lock(&registry_lock);
    for (state = registry; state && (state->busy || state->dead); state = state->next)
        ;
    if (state)
        state->refs++;
    hl_unlock(&registry_lock);
    return state ? &state->base : NULL;
}

/* Under the lock. */
static void leave(struct state *state)
{
    for (struct state **link = &registry; *link; link = &(*link)->next)
        if (*link == state) {
            *link = state->next;
            break;
        }
    pthread_cond_broadcast(&registry_change);
}

void hl_state_put(struct hl_state *base)
{
    struct state *state = (struct state *)base;
    bool last, ended;

    /* The parent's is left as it is. */
    if (!state || state->dead)
        return;
    hl_quiet_begin();
    hl_lock(&registry_lock);
    last = --state->refs == 0;
    state->busy = last;
    hl_unlock(&registry_lock);
    if (last) {
        /* Should the clerk be held up for long it goes on, and who comes next joins it. */
        ended = hl_clerk_stop(&state->clerk, hl_patience_ns);
        if (ended) {
            hl_tier_close(state->base.tier);
            hl_catalog_close(state->base.catalog);
        }
        hl_lock(&registry_lock);
        state->busy = false;
        if (ended)
            leave(state);
        pthread_cond_broadcast(&registry_change);
        hl_unlock(&registry_lock);
        if (ended)
            free_state(state);
    }
    hl_quiet_end();
}

/* ---- fork ---------------------------------------------------------------- */

void hl_state_fork_prepare(void)
{
    hl_lock(&registry_lock);
}

void hl_state_fork_parent(void)
{
    hl_unlock(&registry_lock);
}

void hl_state_fork_child(void)
{
    for (struct state *state = registry; state; state = state->next) {
        state->dead = true;
        state->notice_lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_STATE);
        hl_clerk_init(&state->clerk, run_errand, settle, state); /* its thread is not here */
        if (state->base.catalog)
            hl_catalog_abandon(state->base.catalog);
        if (state->base.tier)
            hl_tier_abandon(state->base.tier);
        if (state->dir_fd >= 0)
            hl_sys.close(state->dir_fd);
    }
    registry = NULL;
    pthread_cond_init(&registry_change, NULL);
    hl_unlock(&registry_lock);
}
