/* SPDX-License-Identifier: MIT
 *
 * control.c - the control segment's file: laying it out, making it, checking one that is there, and
 * its lock bytes.  What an earlier life left is not trusted: magic, layout
 * signature and bounds are checked before anything is followed.
 *
 * Entry points: pool.h ("control.c").  See also: layout.h (what is in it).
 */
#include "config.h"

#include "error.h"
#include "headroom.h"
#include "pool.h"
#include "sys.h"
#include "tickets.h"

#include <dirent.h>
#include <linux/membarrier.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

static uint64_t layout_signature(void)
{
    const uint64_t facts[] = {
        HL_LAYOUT_VERSION, HL_CHUNK_BYTES, HL_MEMBERS, HL_READERS, HL_SLOTS, HL_PINS,
        HL_NAME_BYTES, sizeof(struct hl_control), offsetof(struct hl_control, page_bytes),
        offsetof(struct hl_control, light_pins), offsetof(struct hl_control, control_bytes),
        offsetof(struct hl_control, nr_tickets),
        offsetof(struct hl_control, nr_words), offsetof(struct hl_control, members_at),
        offsetof(struct hl_control, words_at), offsetof(struct hl_control, free_at),
        offsetof(struct hl_control, limit), offsetof(struct hl_control, free),
        offsetof(struct hl_control, fresh), offsetof(struct hl_control, sweep_hand),
        offsetof(struct hl_control, readers_top), sizeof(struct hl_member),
        offsetof(struct hl_member, heap_bytes), sizeof(struct hl_reader),
        offsetof(struct hl_reader, pins),
        sizeof(struct hl_slot), offsetof(struct hl_slot, life),
        offsetof(struct hl_slot, unvalidated), offsetof(struct hl_slot, share), offsetof(struct hl_slot, contested),
        offsetof(struct hl_slot, scout),
        offsetof(struct hl_slot, first), offsetof(struct hl_slot, bytes),
        offsetof(struct hl_slot, key), offsetof(struct hl_slot, name_key),
#define X(name, unit, help) offsetof(struct hl_slot, stats.name),
#include "stats.def"
#undef X
        offsetof(struct hl_slot, source),
    };

    return XXH3_64bits(facts, sizeof facts);
}

enum { GROWTH_MAX = 8 };

/* A pool may grow later, though not beyond the machine's memory. */
static uint32_t largest_budget(uint32_t chunks)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t most = (uint64_t)chunks * GROWTH_MAX;

    if (most > memory >> HL_CHUNK_SHIFT)
        most = memory >> HL_CHUNK_SHIFT;
    return most > chunks ? (uint32_t)most : chunks;
}

/* Where each part lies, for a budget. */
static void lay_out(struct hl_control *c, uint64_t budget_bytes, uint32_t page_bytes)
{
    uint64_t at = 4096, words;

    c->version = HL_LAYOUT_VERSION;
    c->signature = layout_signature();
    c->page_bytes = page_bytes;
    c->limit = (uint32_t)(budget_bytes >> HL_CHUNK_SHIFT);
    c->nr_tickets = largest_budget(c->limit);
    c->members_at = at;
    at += HL_MEMBERS * sizeof(struct hl_member);
    c->readers_at = at;
    at += HL_READERS * sizeof(struct hl_reader);
    c->slots_at = at;
    at += (HL_SLOTS * sizeof(struct hl_slot) + 63) & ~63ull;
    c->tickets_at = at;
    at += (c->nr_tickets * sizeof(uint64_t) + 63) & ~63ull;
    c->free_at = at;
    at += (c->nr_tickets * sizeof(uint64_t) + 63) & ~63ull;
    c->fresh_at = at;
    at += (c->nr_tickets * sizeof(uint64_t) + 63) & ~63ull;
    c->words_at = at;
    /* Databases of sixteen times the budget, and at least 160 GiB of them; then whatever is left of the
     * last chunk. */
    words = 16ull * c->limit;
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
        !lies_inside(c, c->members_at, HL_MEMBERS * sizeof(struct hl_member)) ||
        !lies_inside(c, c->readers_at, HL_READERS * sizeof(struct hl_reader)) ||
        !lies_inside(c, c->slots_at, HL_SLOTS * sizeof(struct hl_slot)) ||
        !lies_inside(c, c->tickets_at, c->nr_tickets * sizeof(uint64_t)) ||
        !lies_inside(c, c->free_at, c->nr_tickets * sizeof(uint64_t)) ||
        !lies_inside(c, c->fresh_at, c->nr_tickets * sizeof(uint64_t)) ||
        !lies_inside(c, c->words_at, c->nr_words * sizeof(uint64_t)))
        return hl_error(EBADMSG, "pool '%s': its control file is damaged; close the programs that "
                        "use it and remove the directory", pool->dir);
    return 0;
}

static void take_mapping(struct hugelite_pool *pool, void *at, uint64_t bytes)
{
    pool->control = at;
    pool->control_bytes = bytes;
    hl_sys.madvise(at, bytes, MADV_DONTFORK);
}

static int map_control(struct hugelite_pool *pool, uint64_t bytes)
{
    void *at = hl_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                           pool->control_fd, 0);

    if (at == MAP_FAILED)
        return hl_error(errno, "pool '%s': cannot map its control file: %s", pool->dir,
                        strerror(errno));
    take_mapping(pool, at, bytes);
    return 0;
}

static void unmap_control(struct hugelite_pool *pool)
{
    if (pool->control)
        hl_sys.munmap(pool->control, pool->control_bytes);
    pool->control = NULL;
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

        if (length > 6 && strcmp(entry->d_name + length - 6, ".image") == 0)
            hl_sys.unlinkat(pool->dir_fd, entry->d_name, 0);
    }
    closedir(dir);
}

/* The bounds are copied, once they are checked or of our own making. */
static void find_parts(struct hugelite_pool *pool, const struct hl_control *c)
{
    char *base = (char *)pool->control;

    pool->nr_tickets = c->nr_tickets;
    pool->nr_words = c->nr_words;
    pool->light_pins = c->light_pins;
    pool->members = (struct hl_member *)(base + c->members_at);
    pool->readers = (struct hl_reader *)(base + c->readers_at);
    pool->slots = (struct hl_slot *)(base + c->slots_at);
    pool->tickets = (_Atomic uint64_t *)(base + c->tickets_at);
    pool->free_entries = (_Atomic uint64_t *)(base + c->free_at);
    pool->fresh_entries = (_Atomic uint64_t *)(base + c->fresh_at);
    pool->words = (_Atomic uint64_t *)(base + c->words_at);
}

/* From now on an evictor's membarrier() also makes the threads of this process pass a fence. */
static int register_for_fences(void)
{
    return hl_sys.membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

/* Fresh pages are zeros: no member, no volume, all tickets free. */
static void write_control(struct hugelite_pool *pool, const struct hl_control *plan)
{
    struct hl_control *c = pool->control;

    c->light_pins = register_for_fences() == 0;
    c->version = plan->version;
    c->page_bytes = plan->page_bytes;
    c->signature = plan->signature;
    c->control_bytes = plan->control_bytes;
    c->nr_tickets = plan->nr_tickets;
    c->nr_words = plan->nr_words;
    c->members_at = plan->members_at;
    c->readers_at = plan->readers_at;
    c->slots_at = plan->slots_at;
    c->tickets_at = plan->tickets_at;
    c->words_at = plan->words_at;
    c->free_at = plan->free_at;
    c->fresh_at = plan->fresh_at;
    c->limit = plan->limit;
    c->top = plan->limit;
    find_parts(pool, c);
    hl_ticket_begin(pool);
    atomic_store_explicit(&c->magic, HL_MAGIC, memory_order_release);
}

/* There is no room for the segment; the last error says why.  One in private memory, which nobody else
 * sees: volumes open, and are read past the cache. */
static int make_alone(struct hugelite_pool *pool)
{
    struct hl_control plan = { 0 };
    void *at;

    hl_pool_do_without(pool);
    pool->alone = true;
    lay_out(&plan, HL_CHUNK_BYTES, pool->page_bytes);
    at = hl_sys.mmap(NULL, plan.control_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return hl_error(ENOMEM, "pool '%s': no memory to open it", pool->dir);
    take_mapping(pool, at, plan.control_bytes);
    write_control(pool, &plan);
    return 0;
}

/* Under the pool's lock byte: nobody else makes or reads the segment now. */
static int make_control(struct hugelite_pool *pool, const struct hugelite_pool_opts *opts)
{
    struct hl_control plan = { 0 };
    uint64_t budget = opts->budget_bytes;
    int rc = 0;

    /* At once, so that it is the group's although there may be no room. */
    if (hl_sys.fchmod(pool->control_fd, pool->file_mode) < 0)
        return hl_error(errno, "pool '%s': cannot make its control file: %s", pool->dir,
                        strerror(errno));
    if (!budget)
        rc = hl_directory_budget(pool, &budget);
    if (rc < 0)
        return rc;
    if (budget < HL_CHUNK_BYTES) {
        if (opts->budget_bytes || (getenv("HUGELITE_POOL_SIZE") && *getenv("HUGELITE_POOL_SIZE")))
            return hl_error(EINVAL, "pool '%s': the budget must be 2M at least", pool->dir);
        return pool->hugetlb ? hl_error(ENOSPC, "pool '%s': no free huge pages; `hugelite setup --size "
                                        "SIZE` reserves some", pool->dir)
                             : hl_error(ENOSPC, "pool '%s': no room for a pool of 2M: its file system is full, "
                                        "or the memory cgroup of this process", pool->dir);
    }
    if (budget >> HL_CHUNK_SHIFT > 1u << 27)
        return hl_error(EINVAL, "pool '%s': a budget of %llu bytes is too large", pool->dir,
                        (unsigned long long)budget);
    lay_out(&plan, budget, pool->page_bytes);
    if (!pool->hugetlb && hl_headroom_bytes() < plan.control_bytes)
        return hl_error(ENOSPC, "pool '%s': the memory cgroup of this process has no room for its "
                        "control file of %llu bytes", pool->dir,
                        (unsigned long long)plan.control_bytes);

    remove_images(pool);
    if (hl_sys.ftruncate(pool->control_fd, 0) < 0 ||
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

    write_control(pool, &plan);
    return 0;
}

int hl_control_lock(struct hugelite_pool *pool)
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

void hl_control_unlock(struct hugelite_pool *pool)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = HL_LOCK_POOL, .l_len = 1 };

    /* Even to unlock the kernel allocates; while byte 0 stays locked, nobody gets anything done. */
    while (hl_sys.lock(pool->control_fd, F_OFD_SETLK, &lock) < 0 &&
           (errno == ENOLCK || errno == ENOMEM || errno == EINTR))
        nanosleep(&(struct timespec){ 0, 1000 * 1000 }, NULL);
}

int hl_control_open(struct hugelite_pool *pool, const struct hugelite_pool_opts *opts)
{
    struct hl_control seen;
    struct stat st;
    int rc;

    pool->control_fd = hl_sys.openat(pool->dir_fd, HL_CONTROL_NAME,
                                     O_RDWR | O_CLOEXEC | O_NOFOLLOW |
                                         (opts->existing ? 0 : O_CREAT), 0600);
    if (pool->control_fd < 0)
        return hl_error(errno, "pool '%s': %s", pool->dir,
                        errno == ENOENT ? "no pool is there" : strerror(errno));
    rc = hl_control_lock(pool);
    if (rc < 0)
        return rc;

    rc = hl_sys.fstat(pool->control_fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EBADMSG;
    if (rc < 0)
        rc = hl_error(-rc, "pool '%s': its control file: %s", pool->dir, strerror(-rc));
    /* Without a page in the file, do not touch: there may be none to be had. */
    if (rc == 0 && st.st_size >= (off_t)sizeof(struct hl_control) && st.st_blocks > 0)
        rc = map_control(pool, (uint64_t)st.st_size);
    /* Whoever made it may have died before it was done: then its magic is 0. */
    if (rc == 0 && (!pool->control || atomic_load_explicit(&pool->control->magic,
                                                           memory_order_acquire) == 0)) {
        unmap_control(pool);
        rc = opts->existing ? hl_error(ENOENT, "pool '%s': no pool is there", pool->dir)
                            : make_control(pool, opts);
        if (rc == -ENOSPC)
            rc = make_alone(pool);
    }
    if (rc == 0) {
        /* A vandal may change the segment between the check and the use. */
        memcpy(&seen, pool->control, sizeof seen);
        rc = check_control(pool, &seen, pool->control_bytes);
    }
    if (rc == 0) {
        find_parts(pool, &seen);
        if (pool->light_pins && register_for_fences() < 0) {
            hl_error(ENOSYS, "pool '%s': its members use membarrier(2), which is refused here: %s",
                     pool->dir, strerror(errno));
            hl_pool_do_without(pool);
        }
        rc = hl_member_attach(pool);
    }
    hl_control_unlock(pool);
    return rc;
}
