/* SPDX-License-Identifier: MIT
 *
 * pool.c - the pools of this process: opening and closing, the pool lock, what fork() does to them,
 * and looking at a pool from outside.
 *
 * Entry points: hugelite_pool_*(), hl_pool_lock().
 * See also: directory.c and control.c (where it lies), member.c, slots.c, fault.c.
 */
#include "config.h"

#include "pool.h"

#include "buffer.h"
#include "chunk.h"
#include "cleanup.h"
#include "decoder.h"
#include "error.h"
#include "fault.h"
#include "headroom.h"
#include "lump.h"
#include "replacement.h"
#include "s3-credentials.h"
#include "source.h"
#include "state.h"
#include "sys.h"
#include "tickets.h"
#include "tier.h"
#include "transfer.h"
#include "volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct hl_lock registry_lock = HL_LOCK_INIT(HL_RANK_REGISTRY);
static struct hugelite_pool *registry;

/* ---- fork ---------------------------------------------------------------- */

static void fork_prepare(void)
{
    hl_lock(&registry_lock);
    hl_state_fork_prepare();
    hl_transfer_fork_prepare();
    hl_source_file_fork_prepare();
    hl_buffer_fork_prepare();
    hl_decoder_fork_prepare();
    hl_s3_fork_prepare();
}

static void fork_parent(void)
{
    hl_s3_fork_parent();
    hl_decoder_fork_done();
    hl_buffer_fork_done();
    hl_source_file_fork_done();
    hl_transfer_fork_parent();
    hl_state_fork_parent();
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
        pool->crew = (struct hl_crew){ 0 }; /* its threads are not here either */
        hl_crew_init(&pool->crew);
        hl_sys.close(pool->uffd);
        hl_sys.close(pool->control_fd);
        hl_sys.close(pool->stop_fd);
        /* An open image would keep the pages of a version that is gone. */
        for (struct hl_volume *volume = pool->volumes; volume; volume = volume->next)
            hl_sys.close(volume->image.fd);
    }
    registry = NULL;
    hl_headroom_fork_child();
    hl_s3_fork_child();
    hl_decoder_fork_done();
    hl_buffer_fork_done();
    hl_source_file_fork_done();
    hl_transfer_fork_child();
    hl_state_fork_child();
    hl_unlock(&registry_lock);
}

static void install_fork_handlers(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- the lock ------------------------------------------------------------ */

int hl_pool_lock(struct hugelite_pool *pool)
{
    struct stat st;
    int rc;

    hl_lock(&pool->lock);
    rc = hl_control_lock(pool);
    if (rc < 0) {
        hl_unlock(&pool->lock);
        return rc;
    }
    if (hl_sys.fstat(pool->control_fd, &st) < 0) {
        rc = errno;
        hl_pool_unlock(pool);
        return hl_error(rc, "pool '%s': its control file: %s", pool->dir, strerror(rc));
    }
    /* Removed under us: what its directory holds now may be another pool's. */
    if (st.st_nlink == 0) {
        hl_pool_unlock(pool);
        return hl_error(ESTALE, "pool '%s': has been removed; close it and open it again",
                        pool->dir);
    }
    return 0;
}

void hl_pool_unlock(struct hugelite_pool *pool)
{
    hl_control_unlock(pool);
    hl_unlock(&pool->lock);
}

/* ---- open and close ------------------------------------------------------ */

static void free_pool(struct hugelite_pool *pool)
{
    if (!pool->dead) {
        hl_crew_stop(&pool->crew);
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

/* The one that this process has open already, in the same directory. */
static struct hugelite_pool *find_attached(const struct hugelite_pool *pool, bool alone)
{
    struct hugelite_pool *other = registry;

    while (other &&
           !(other->dev == pool->dev && other->ino == pool->ino && other->alone == alone))
        other = other->next;
    return other;
}

static int share(struct hugelite_pool *pool, struct hugelite_pool **ret_pool)
{
    pool->opens++;
    *ret_pool = pool;
    return 0;
}

static int attach(const char *dir, bool chosen, const struct hugelite_pool_opts *opts,
                  struct hugelite_pool **ret_pool)
{
    HL_CLEANUP(free_poolp) struct hugelite_pool *pool = calloc(1, sizeof *pool);
    struct hugelite_pool *other;
    int rc;

    if (!pool)
        return hl_error(ENOMEM, "pool '%s': no memory to open it", dir);
    pool->dir_fd = pool->control_fd = pool->uffd = pool->stop_fd = -1;
    pool->opens = 1;
    pool->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_POOL);
    pool->list_lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_LIST);
    pthread_cond_init(&pool->fault_served, NULL);
    hl_crew_init(&pool->crew);
    pool->dir = strdup(dir);
    if (!pool->dir)
        return hl_error(ENOMEM, "pool '%s': no memory to open it", dir);

    rc = hl_directory_open(pool, opts->existing, chosen);
    if (rc < 0)
        return rc;
    other = find_attached(pool, false);
    if (other)
        return share(other, ret_pool);

    rc = hl_control_open(pool, opts);
    /* As long as there is no room for one. */
    other = find_attached(pool, true);
    if (other && (rc == 0 ? pool->alone : rc == -ENOENT && opts->existing))
        return share(other, ret_pool);
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
    char default_dir[PATH_MAX];
    bool chosen = !dir;
    int rc;

    if (opts && opts->size < sizeof plain)
        return hl_error(EINVAL, "hugelite_pool_opts: its size is not set");
    pthread_once(&once, install_fork_handlers);
    if (chosen) {
        rc = hl_directory_choose(default_dir);
        if (rc < 0)
            return rc;
        dir = default_dir;
        chosen = !getenv("HUGELITE_POOL") || !*getenv("HUGELITE_POOL");
    }
    hl_lock(&registry_lock);
    rc = attach(dir, chosen, opts ? opts : &plain, ret_pool);
    hl_unlock(&registry_lock);
    return rc;
}

/* No fault thread is left to do it.  Twice, as the first look only notes what has been in use. */
static void give_memory_back(void)
{
    for (unsigned i = 0; i < 2; i++) {
        hl_buffer_trim();
        hl_lump_trim();
        hl_decoder_trim();
    }
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
    if (!registry)
        give_memory_back();
    hl_unlock(&registry_lock);
}

/* ---- without the cache ---------------------------------------------------- */

void hl_pool_do_without(struct hugelite_pool *pool)
{
    snprintf(pool->uncached_why, sizeof pool->uncached_why, "%s", hugelite_error());
    pool->uncached = true;
}

const char *hugelite_pool_uncached(const struct hugelite_pool *pool)
{
    return pool->uncached ? pool->uncached_why : NULL;
}

/* ---- looking ------------------------------------------------------------- */

static int refuse_dead(const struct hugelite_pool *pool)
{
    return pool->dead ? hl_error(ECHILD, "pool '%s': was opened before fork(); open it again here",
                                 pool->dir)
                      : 0;
}

/* A process that has opened no remote volume has no state directory open. */
static void stat_state(struct hugelite_pool_stat *ret_stat)
{
    struct hl_state *state = hl_state_peek();

    if (!state)
        return;
    snprintf(ret_stat->state_dir, sizeof ret_stat->state_dir, "%s", hl_state_dir(state));
    hl_state_notice(state, ret_stat->notice, sizeof ret_stat->notice);
    if (state->tier)
        hl_tier_stat(state, &ret_stat->tier_bytes, &ret_stat->tier_size);
    hl_state_put(state);
}

int hugelite_pool_stat(struct hugelite_pool *pool, struct hugelite_pool_stat *ret_stat)
{
    int rc = refuse_dead(pool);

    if (rc < 0)
        return rc;
    *ret_stat = (struct hugelite_pool_stat){
        .page_bytes = pool->page_bytes,
        .budget_bytes = (uint64_t)hl_ticket_limit(pool) << HL_CHUNK_SHIFT,
        .readers = hl_reader_processes(pool),
        .heap_bytes = hl_member_heap(pool),
    };
    snprintf(ret_stat->dir, sizeof ret_stat->dir, "%s", pool->dir);
    snprintf(ret_stat->pages, sizeof ret_stat->pages, "%s", pool->hugetlb ? "hugetlb" : "shmem");
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        ret_stat->resident_bytes += hl_slot_resident(pool, &pool->slots[i]);
    stat_state(ret_stat);
    if (pool->uncached)
        snprintf(ret_stat->notice, sizeof ret_stat->notice, "not cached: %s", pool->uncached_why);
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

int hl_pool_evict_key(struct hugelite_pool *pool, const uint64_t *name_key, uint64_t *ret_bytes)
{
    bool found = !name_key;
    uint64_t gone = 0;
    int rc = refuse_dead(pool);

    if (rc == 0)
        rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    hl_slot_collect(pool);
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (atomic_load_explicit(&slot->state, memory_order_acquire) != HL_SLOT_LIVE ||
            (name_key && memcmp(slot->name_key, name_key, sizeof slot->name_key)))
            continue;
        gone += hl_slot_evict(pool, slot);
        found = true;
    }
    hl_pool_unlock(pool);
    if (!found)
        return hl_error(ENOENT, "pool '%s': has no such volume", pool->dir);
    if (ret_bytes)
        *ret_bytes = gone;
    return 0;
}

int hugelite_pool_evict(struct hugelite_pool *pool, const char *source, uint64_t *ret_bytes)
{
    char shown[HL_NAME_BYTES];
    uint64_t name_key[2];
    int rc;

    if (source)
        hl_source_name_key(source, name_key);
    rc = hl_pool_evict_key(pool, source ? name_key : NULL, ret_bytes);
    if (rc != -ENOENT)
        return rc;
    hl_source_name_show(source, shown, sizeof shown);
    return hl_error(ENOENT, "pool '%s': has no volume of %s", pool->dir, shown);
}

int hugelite_pool_resize(struct hugelite_pool *pool, uint64_t budget_bytes,
                         uint64_t *ret_held_bytes)
{
    uint64_t limit = budget_bytes >> HL_CHUNK_SHIFT;
    uint32_t held;
    int rc = refuse_dead(pool);

    if (rc == 0 && !limit)
        rc = hl_error(EINVAL, "pool '%s': the budget must be 2M at least", pool->dir);
    if (rc == 0 && limit > pool->nr_tickets)
        rc = hl_error(EFBIG, "pool '%s': it was made to grow to %llu bytes, and no further", pool->dir,
                      (unsigned long long)pool->nr_tickets << HL_CHUNK_SHIFT);
    if (rc == 0)
        rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    held = hl_replacement_resize(pool, (uint32_t)limit);
    hl_pool_unlock(pool);
    if (ret_held_bytes)
        *ret_held_bytes = (uint64_t)held << HL_CHUNK_SHIFT;
    return 0;
}

int hugelite_pool_set_share(struct hugelite_pool *pool, const char *source, uint64_t bytes)
{
    uint64_t chunks = (bytes + HL_CHUNK_MASK) >> HL_CHUNK_SHIFT, name_key[2];
    char shown[HL_NAME_BYTES];
    bool found = false;
    int rc = refuse_dead(pool);

    if (rc == 0)
        rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    hl_source_name_key(source, name_key);
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (atomic_load_explicit(&slot->state, memory_order_acquire) != HL_SLOT_LIVE ||
            memcmp(slot->name_key, name_key, sizeof slot->name_key))
            continue;
        atomic_store_explicit(&slot->share, chunks < UINT32_MAX ? (uint32_t)chunks : 0,
                              memory_order_relaxed);
        found = true;
    }
    hl_pool_unlock(pool);
    if (found)
        return 0;
    hl_source_name_show(source, shown, sizeof shown);
    return hl_error(ENOENT, "pool '%s': has no volume of %s", pool->dir, shown);
}
