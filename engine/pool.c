/* SPDX-License-Identifier: MIT
 *
 * pool.c - a pool's directory and its control segment: choosing, making, checking and
 * mapping them; the pool lock; the pools of this process, and what fork() does to them.
 *
 * Entry points: hugelite_pool_*(), hl_pool_lock().
 * See also: layout.h (what is in the segment), member.c, slots.c, fault.c.
 */
#include "config.h"

#include "pool.h"

#include "buffer.h"
#include "chunk.h"
#include "cleanup.h"
#include "error.h"
#include "fault.h"
#include "source.h"
#include "sys.h"
#include "volume.h"

#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <xxhash.h>

#define CONTROL_NAME "control"

_Thread_local unsigned hl_locks_held;

static struct hl_lock registry_lock = HL_LOCK_INIT(HL_RANK_REGISTRY);
static struct hugelite_pool *registry;

/* ---- fork ---------------------------------------------------------------- */

static void fork_prepare(void)
{
    hl_lock(&registry_lock);
    hl_source_file_fork_prepare();
    hl_buffer_fork_prepare();
}

static void fork_parent(void)
{
    hl_buffer_fork_done();
    hl_source_file_fork_done();
    hl_unlock(&registry_lock);
}

/* The child has neither the mappings (MADV_DONTFORK) nor the fault thread, and must
 * let go of two descriptors: the userfaultfd acts on the parent's memory, and the
 * control file carries the parent's locks, which would outlive it here. */
static void fork_child(void)
{
    for (struct hugelite_pool *pool = registry; pool; pool = pool->next) {
        pool->dead = true;
        /* A thread that is not here any more may have held it. */
        pool->list_lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_LIST);
        hl_sys.close(pool->uffd);
        hl_sys.close(pool->control_fd);
        hl_sys.close(pool->stop_fd);
    }
    registry = NULL;
    hl_buffer_fork_done();
    hl_source_file_fork_done();
    hl_unlock(&registry_lock);
}

static void install_fork_handlers(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- which directory ----------------------------------------------------- */

/* A directory that anybody may write, or that a stranger made, could hold
 * anything.  Only a pool that was named is opened without asking that. */
static bool is_trustworthy(const char *dir)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && !(st.st_mode & S_IWOTH) &&
           (st.st_uid == geteuid() || st.st_uid == 0) && access(dir, W_OK) == 0;
}

static uint64_t free_huge_pages(void)
{
    FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    unsigned long long nr = 0;

    if (f) {
        if (fscanf(f, "%llu", &nr) != 1)
            nr = 0;
        fclose(f);
    }
    return nr;
}

/* Free chunks of a hugetlbfs mount: its own size= or the machine's pages, whichever is less. */
static uint64_t free_chunks(const struct statfs *fs)
{
    uint64_t nr = free_huge_pages();

    return fs->f_blocks && fs->f_bfree < nr ? fs->f_bfree : nr;
}

static int choose_dir(char dir[PATH_MAX])
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
        snprintf(control, sizeof control, "%s/" CONTROL_NAME, dir);
        if (access(dir, F_OK) == 0)
            found = is_trustworthy(dir) && (free_chunks(&fs) || access(control, R_OK | W_OK) == 0);
        else
            found = free_chunks(&fs) && access(mount->mnt_dir, W_OK) == 0;
    }
    if (mounts)
        endmntent(mounts);
    if (found)
        return 0;

    snprintf(dir, PATH_MAX, "/dev/shm/hugelite-%u", (unsigned)geteuid());
    if (access(dir, F_OK) == 0 && !is_trustworthy(dir))
        return hl_error(EACCES, "pool '%s': belongs to somebody else or is writable by anybody; "
                        "name one with HUGELITE_POOL", dir);
    return 0;
}

/* ---- the control segment ------------------------------------------------- */

static uint64_t layout_signature(void)
{
    const uint64_t facts[] = {
        HL_LAYOUT_VERSION, HL_CHUNK_BYTES, HL_MEMBERS, HL_READERS, HL_SLOTS, HL_PINS,
        HL_NAME_BYTES, sizeof(struct hl_control), offsetof(struct hl_control, take_hand),
        offsetof(struct hl_control, sweep_hand), offsetof(struct hl_control, readers_top),
        sizeof(struct hl_member), sizeof(struct hl_reader), offsetof(struct hl_reader, pins),
        sizeof(struct hl_slot), offsetof(struct hl_slot, key), offsetof(struct hl_slot, fills),
        offsetof(struct hl_slot, source),
    };

    return XXH3_64bits(facts, sizeof facts);
}

/* Where each part lies, for a budget. */
static void lay_out(struct hl_control *c, uint64_t budget_bytes, uint32_t page_bytes)
{
    uint64_t at = 4096, words;

    c->version = HL_LAYOUT_VERSION;
    c->signature = layout_signature();
    c->page_bytes = page_bytes;
    c->nr_tickets = (uint32_t)(budget_bytes >> HL_CHUNK_SHIFT);
    c->budget_bytes = (uint64_t)c->nr_tickets << HL_CHUNK_SHIFT;
    c->members_at = at;
    at += HL_MEMBERS * sizeof(struct hl_member);
    c->readers_at = at;
    at += HL_READERS * sizeof(struct hl_reader);
    c->slots_at = at;
    at += (HL_SLOTS * sizeof(struct hl_slot) + 63) & ~63ull;
    c->tickets_at = at;
    at += (c->nr_tickets * sizeof(uint64_t) + 63) & ~63ull;
    c->words_at = at;
    /* Databases of sixteen times the budget, and at least 160 GiB of them; then whatever is left of the
     * last chunk. */
    words = 16ull * c->nr_tickets;
    if (words < 80 * 1024)
        words = 80 * 1024;
    at += words * sizeof(uint64_t);
    at = (at + HL_CHUNK_MASK) & ~(uint64_t)HL_CHUNK_MASK;
    c->control_bytes = at;
    c->nr_words = (uint32_t)((at - c->words_at) / sizeof(uint64_t));
}

/* A region of the segment: aligned, inside, behind the header. */
static bool lies_inside(const struct hl_control *c, uint64_t at, uint64_t bytes)
{
    return at >= sizeof *c && at % 64 == 0 && at <= c->control_bytes &&
           bytes <= c->control_bytes - at;
}

static int check_control(struct hugelite_pool *pool, const struct hl_control *c, uint64_t bytes)
{
    if (atomic_load_explicit(&c->magic, memory_order_acquire) != HL_MAGIC)
        return hl_error(EBADMSG, "pool '%s': its control file is not one; remove the directory",
                        pool->dir);
    if (c->version != HL_LAYOUT_VERSION || c->signature != layout_signature())
        return hl_error(EPROTO, "pool '%s': made by another build of hugelite (layout %u, here %u); "
                        "close the programs that use it and remove the directory, or name "
                        "another with HUGELITE_POOL", pool->dir, c->version, HL_LAYOUT_VERSION);
    if (c->control_bytes != bytes || c->page_bytes != pool->page_bytes || c->nr_tickets == 0 ||
        c->budget_bytes != (uint64_t)c->nr_tickets << HL_CHUNK_SHIFT ||
        !lies_inside(c, c->members_at, HL_MEMBERS * sizeof(struct hl_member)) ||
        !lies_inside(c, c->readers_at, HL_READERS * sizeof(struct hl_reader)) ||
        !lies_inside(c, c->slots_at, HL_SLOTS * sizeof(struct hl_slot)) ||
        !lies_inside(c, c->tickets_at, c->nr_tickets * sizeof(uint64_t)) ||
        !lies_inside(c, c->words_at, c->nr_words * sizeof(uint64_t)))
        return hl_error(EBADMSG, "pool '%s': its control file is damaged; close the programs that "
                        "use it and remove the directory", pool->dir);
    return 0;
}

static int map_control(struct hugelite_pool *pool, uint64_t bytes)
{
    void *at = hl_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                           pool->control_fd, 0);

    if (at == MAP_FAILED)
        return hl_error(errno, "pool '%s': cannot map its control file: %s", pool->dir,
                        strerror(errno));
    pool->control = at;
    pool->control_bytes = bytes;
    hl_sys.madvise(at, bytes, MADV_DONTFORK);
    return 0;
}

static int default_budget(struct hugelite_pool *pool, uint64_t *ret_bytes)
{
    const char *text = getenv("HUGELITE_POOL_SIZE");
    struct statfs fs;
    struct sysinfo info;

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
    return 0;
}

/* Images without a control segment that knows them are of an earlier life. */
static void remove_images(struct hugelite_pool *pool)
{
    int fd = hl_sys.openat(pool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            hl_sys.close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);

        if (length == 32 + 6 && strcmp(entry->d_name + 32, ".image") == 0)
            hl_sys.unlinkat(pool->dir_fd, entry->d_name, 0);
    }
    closedir(dir);
}

/* Under the pool's lock byte: nobody else makes or reads the segment now. */
static int make_control(struct hugelite_pool *pool, const struct hugelite_pool_opts *opts)
{
    struct hl_control plan = { 0 };
    uint64_t budget = opts->budget_bytes;
    int rc = 0;

    if (!budget)
        rc = default_budget(pool, &budget);
    if (rc < 0)
        return rc;
    if (budget < HL_CHUNK_BYTES) {
        if (opts->budget_bytes || (getenv("HUGELITE_POOL_SIZE") && *getenv("HUGELITE_POOL_SIZE")))
            return hl_error(EINVAL, "pool '%s': the budget must be 2M at least", pool->dir);
        return hl_error(ENOSPC, "pool '%s': no free huge pages; `hugelite setup --size SIZE` "
                        "reserves some", pool->dir);
    }
    if (budget >> HL_CHUNK_SHIFT > 1u << 27)
        return hl_error(EINVAL, "pool '%s': a budget of %llu bytes is too large", pool->dir,
                        (unsigned long long)budget);
    lay_out(&plan, budget, pool->page_bytes);

    remove_images(pool);
    if (hl_sys.fchmod(pool->control_fd, pool->file_mode) < 0 ||
        hl_sys.ftruncate(pool->control_fd, 0) < 0 ||
        hl_sys.ftruncate(pool->control_fd, (off_t)plan.control_bytes) < 0)
        return hl_error(errno, "pool '%s': cannot make its control file: %s", pool->dir,
                        strerror(errno));
    /* All of it now, where it can be refused, and not by SIGBUS at a touch. */
    if (hl_sys.fallocate(pool->control_fd, 0, 0, (off_t)plan.control_bytes) < 0) {
        rc = errno == ENOMEM ? ENOSPC : errno;
        hl_sys.ftruncate(pool->control_fd, 0);
        return hl_error(rc, "pool '%s': no room for its control file of %llu bytes: %s%s", pool->dir,
                        (unsigned long long)plan.control_bytes, strerror(rc),
                        pool->hugetlb ? "; `hugelite setup --size SIZE` reserves huge pages" : "");
    }
    rc = map_control(pool, plan.control_bytes);
    if (rc < 0)
        return rc;

    /* Fresh pages are zeros: no member, no volume, all tickets free. */
    pool->control->version = plan.version;
    pool->control->page_bytes = plan.page_bytes;
    pool->control->signature = plan.signature;
    pool->control->control_bytes = plan.control_bytes;
    pool->control->budget_bytes = plan.budget_bytes;
    pool->control->nr_tickets = plan.nr_tickets;
    pool->control->nr_words = plan.nr_words;
    pool->control->members_at = plan.members_at;
    pool->control->readers_at = plan.readers_at;
    pool->control->slots_at = plan.slots_at;
    pool->control->tickets_at = plan.tickets_at;
    pool->control->words_at = plan.words_at;
    /* The sweep hand starts a round ahead: all tickets behind it are free. */
    atomic_store_explicit(&pool->control->sweep_hand, plan.nr_tickets, memory_order_relaxed);
    atomic_store_explicit(&pool->control->magic, HL_MAGIC, memory_order_release);
    return 0;
}

static int take_lock_byte(struct hugelite_pool *pool)
{
    uint64_t deadline_ns = hl_now_ns() + hl_patience_ns;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = HL_LOCK_POOL, .l_len = 1 };
    uint64_t nap_ns = 50 * 1000;

    /* F_OFD_SETLKW has no time-out, so ask again and again. */
    while (hl_sys.lock(pool->control_fd, F_OFD_SETLK, &lock) < 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return hl_error(errno, "pool '%s': cannot lock it: %s", pool->dir, strerror(errno));
        if (hl_now_ns() >= deadline_ns)
            return hl_error(ETIMEDOUT, "pool '%s': another process holds the pool lock and makes no "
                            "progress", pool->dir);
        nanosleep(&(struct timespec){ 0, (long)nap_ns }, NULL);
        if (nap_ns < 5 * 1000 * 1000)
            nap_ns *= 2;
    }
    return 0;
}

static void give_lock_byte(struct hugelite_pool *pool)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = HL_LOCK_POOL, .l_len = 1 };

    hl_sys.lock(pool->control_fd, F_OFD_SETLK, &lock);
}

int hl_pool_lock(struct hugelite_pool *pool)
{
    int rc;

    hl_lock(&pool->lock);
    rc = take_lock_byte(pool);
    if (rc < 0)
        hl_unlock(&pool->lock);
    return rc;
}

void hl_pool_unlock(struct hugelite_pool *pool)
{
    give_lock_byte(pool);
    hl_unlock(&pool->lock);
}

/* ---- open and close ------------------------------------------------------ */

static void free_pool(struct hugelite_pool *pool)
{
    if (!pool->dead) {
        hl_fault_stop(pool);
        if (pool->control)
            hl_sys.munmap(pool->control, pool->control_bytes);
        if (pool->control_fd >= 0)
            hl_sys.close(pool->control_fd); /* and with it our locks */
    }
    if (pool->dir_fd >= 0)
        hl_sys.close(pool->dir_fd);
    free(pool->dir);
    free(pool);
}

static void free_poolp(struct hugelite_pool **pool)
{
    if (*pool)
        free_pool(*pool);
}

static int open_dir(struct hugelite_pool *pool, bool existing)
{
    struct statfs fs;
    struct stat st;

    if (!existing && hl_sys.mkdir(pool->dir, 0700) < 0 && errno != EEXIST)
        return hl_error(errno, "pool '%s': cannot make the directory: %s", pool->dir,
                        strerror(errno));
    pool->dir_fd = hl_sys.openat(AT_FDCWD, pool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (pool->dir_fd < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir,
                        errno == ENOENT ? "no pool is there" : strerror(errno));
    if (hl_sys.fstat(pool->dir_fd, &st) < 0 || hl_sys.fstatfs(pool->dir_fd, &fs) < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir, strerror(errno));

    pool->dev = st.st_dev;
    pool->ino = st.st_ino;
    /* The directory says whether the pool is one user's or a group's. */
    pool->file_mode = st.st_mode & S_IWGRP ? 0660 : 0600;
    if (fs.f_type == HUGETLBFS_MAGIC) {
        if (fs.f_bsize != HL_CHUNK_BYTES)
            return hl_error(EINVAL, "pool '%s': the huge pages of this mount are %lld bytes, not 2 MiB; "
                            "mount with pagesize=2M", pool->dir, (long long)fs.f_bsize);
        pool->hugetlb = true;
        pool->page_bytes = HL_CHUNK_BYTES;
    } else if (fs.f_type == TMPFS_MAGIC) {
        pool->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    } else {
        return hl_error(EMEDIUMTYPE, "pool '%s': is neither on hugetlbfs nor on tmpfs", pool->dir);
    }
    return 0;
}

static int open_control(struct hugelite_pool *pool, const struct hugelite_pool_opts *opts)
{
    _Atomic uint64_t magic = 0;
    struct stat st;
    void *head;
    int rc;

    pool->control_fd = hl_sys.openat(pool->dir_fd, CONTROL_NAME,
                                     O_RDWR | O_CLOEXEC | O_NOFOLLOW |
                                         (opts->existing ? 0 : O_CREAT), 0600);
    if (pool->control_fd < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir,
                        errno == ENOENT ? "no pool is there" : strerror(errno));
    rc = take_lock_byte(pool);
    if (rc < 0)
        return rc;

    rc = hl_sys.fstat(pool->control_fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EBADMSG;
    /* Whoever made it may have died before it was done: then its magic is 0. */
    if (rc == 0 && st.st_size >= 4096) {
        head = hl_sys.mmap(NULL, pool->page_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE,
                           pool->control_fd, 0);
        if (head == MAP_FAILED) {
            rc = -errno;
        } else {
            struct statfs fs;

            /* On hugetlbfs a hole would have to be filled by a page that may not be there. */
            if (st.st_blocks > 0 && hl_sys.fstatfs(pool->control_fd, &fs) == 0)
                magic = atomic_load_explicit(&((struct hl_control *)head)->magic,
                                             memory_order_acquire);
            hl_sys.munmap(head, pool->page_bytes);
        }
    }
    if (rc < 0)
        rc = hl_error(-rc, "pool '%s': its control file: %s", pool->dir, strerror(-rc));
    else if (magic)
        rc = map_control(pool, (uint64_t)st.st_size);
    else if (opts->existing)
        rc = hl_error(ENOENT, "pool '%s': no pool is there", pool->dir);
    else
        rc = make_control(pool, opts);
    if (rc == 0)
        rc = check_control(pool, pool->control, pool->control_bytes);
    if (rc == 0) {
        struct hl_control *c = pool->control;
        char *base = (char *)c;

        pool->nr_tickets = c->nr_tickets;
        pool->nr_words = c->nr_words;
        pool->members = (struct hl_member *)(base + c->members_at);
        pool->readers = (struct hl_reader *)(base + c->readers_at);
        pool->slots = (struct hl_slot *)(base + c->slots_at);
        pool->tickets = (_Atomic uint64_t *)(base + c->tickets_at);
        pool->words = (_Atomic uint64_t *)(base + c->words_at);
        rc = hl_member_attach(pool);
    }
    give_lock_byte(pool);
    return rc;
}

static int attach(const char *dir, const struct hugelite_pool_opts *opts,
                  struct hugelite_pool **ret_pool)
{
    HL_CLEANUP(free_poolp) struct hugelite_pool *pool = calloc(1, sizeof *pool);
    int rc;

    if (!pool)
        return hl_error(ENOMEM, "pool '%s': no memory to open it", dir);
    pool->dir_fd = pool->control_fd = pool->uffd = pool->stop_fd = -1;
    pool->opens = 1;
    pool->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_POOL);
    pool->list_lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_LIST);
    pool->dir = strdup(dir);
    if (!pool->dir)
        return hl_error(ENOMEM, "pool '%s': no memory to open it", dir);

    rc = open_dir(pool, opts->existing);
    if (rc < 0)
        return rc;
    for (struct hugelite_pool *other = registry; other; other = other->next)
        if (other->dev == pool->dev && other->ino == pool->ino) {
            other->opens++;
            *ret_pool = other;
            return 0;
        }

    rc = open_control(pool, opts);
    if (rc == 0)
        rc = hl_fault_start(pool);
    if (rc < 0)
        return rc;
    pool->next = registry;
    registry = pool;
    *ret_pool = HL_TAKE(pool);
    return 0;
}

int hugelite_pool_open(const char *dir, const struct hugelite_pool_opts *opts,
                       struct hugelite_pool **ret_pool)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct hugelite_pool_opts plain = { .size = sizeof plain };
    char chosen[PATH_MAX];
    int rc;

    if (opts && opts->size < sizeof plain)
        return hl_error(EINVAL, "hugelite_pool_opts: its size is not set");
    pthread_once(&once, install_fork_handlers);
    if (!dir) {
        rc = choose_dir(chosen);
        if (rc < 0)
            return rc;
        dir = chosen;
    }
    hl_lock(&registry_lock);
    rc = attach(dir, opts ? opts : &plain, ret_pool);
    hl_unlock(&registry_lock);
    return rc;
}

void hugelite_pool_close(struct hugelite_pool *pool)
{
    if (!pool)
        return;
    hl_lock(&registry_lock);
    if (--pool->opens == 0) {
        for (struct hugelite_pool **link = &registry; *link; link = &(*link)->next)
            if (*link == pool) {
                *link = pool->next;
                break;
            }
        HL_ASSERT(!pool->volumes || pool->dead);
        free_pool(pool);
    }
    hl_unlock(&registry_lock);
}

/* ---- looking ------------------------------------------------------------- */

static int refuse_dead(const struct hugelite_pool *pool)
{
    return pool->dead ? hl_error(ECHILD, "pool '%s': was opened before fork(); open it again here",
                                 pool->dir)
                      : 0;
}

int hugelite_pool_stat(struct hugelite_pool *pool, struct hugelite_pool_stat *ret_stat)
{
    int rc = refuse_dead(pool);

    if (rc < 0)
        return rc;
    *ret_stat = (struct hugelite_pool_stat){
        .page_bytes = pool->page_bytes,
        .budget_bytes = (uint64_t)pool->nr_tickets << HL_CHUNK_SHIFT,
        .readers = hl_reader_processes(pool),
    };
    snprintf(ret_stat->dir, sizeof ret_stat->dir, "%s", pool->dir);
    snprintf(ret_stat->pages, sizeof ret_stat->pages, "%s", pool->hugetlb ? "hugetlb" : "shmem");
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        ret_stat->resident_bytes += hl_slot_resident(pool, &pool->slots[i]);
    return 0;
}

int hugelite_pool_volumes(struct hugelite_pool *pool, struct hugelite_volume_stat *array,
                          size_t room, size_t *ret_nr)
{
    size_t nr = 0;
    int rc = refuse_dead(pool);

    if (rc == 0)
        rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    hl_slot_collect(pool);
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        if (atomic_load_explicit(&pool->slots[i].state, memory_order_acquire) != HL_SLOT_LIVE)
            continue;
        if (nr < room)
            hl_slot_stat(pool, &pool->slots[i], &array[nr]);
        nr++;
    }
    hl_pool_unlock(pool);
    *ret_nr = nr;
    return 0;
}

static uint64_t evict_slot(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    struct hl_victim victims[HL_VICTIMS];
    uint64_t gone = 0;
    unsigned nr = 0;

    for (uint32_t i = 0; i < slot->capacity; i++) {
        uint32_t chunk = slot->first + i;
        uint64_t word = atomic_load_explicit(&pool->words[chunk], memory_order_acquire);
        uint32_t ticket = hl_chunk_ticket(word);

        if (hl_chunk_state(word) == HL_CHUNK_RESIDENT && ticket < pool->nr_tickets &&
            hl_chunk_claim_victim(pool, chunk, word))
            victims[nr++] = (struct hl_victim){
                chunk, ticket,
                atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire), word,
            };
        if (nr == HL_VICTIMS || (nr && i + 1 == slot->capacity)) {
            gone += hl_chunk_evict(pool, victims, nr);
            nr = 0;
        }
    }
    return gone << HL_CHUNK_SHIFT;
}

int hugelite_pool_evict(struct hugelite_pool *pool, const char *source, uint64_t *ret_bytes)
{
    uint64_t name_key[2] = { 0 }, gone = 0;
    bool found = !source;
    int rc = refuse_dead(pool);

    if (rc == 0)
        rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    if (source)
        hl_source_name_key(source, name_key);
    hl_slot_collect(pool);
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (atomic_load_explicit(&slot->state, memory_order_acquire) != HL_SLOT_LIVE ||
            (source && memcmp(slot->name_key, name_key, sizeof name_key)))
            continue;
        gone += evict_slot(pool, slot);
        found = true;
    }
    hl_pool_unlock(pool);
    if (!found)
        return hl_error(ENOENT, "pool '%s': has no volume of %s", pool->dir, source);
    if (ret_bytes)
        *ret_bytes = gone;
    return 0;
}
