/* SPDX-License-Identifier: MIT
 *
 * pool.h - a pool as one process sees it, and the parts of pool.c, member.c and slots.c that
 * the rest of the engine uses.
 */
#ifndef HL_POOL_H
#define HL_POOL_H

#include "crew.h"
#include "hugelite.h"
#include "layout.h"
#include "lock.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct hl_volume;

struct hugelite_pool {
    struct hugelite_pool *next; /* in the registry */
    unsigned opens;
    bool dead; /* we are a forked child: nothing below may be touched */
    bool uncached; /* the kernel refuses what the cache needs: no image is mapped, nothing is pinned */
    bool alone; /* uncached, as there was no room for the segment: ours is private, and there are no images */

    char *dir;
    dev_t dev;
    ino_t ino; /* of the directory: the pool's identity in this process */
    int dir_fd;
    int control_fd; /* the mapping's, and the one that carries our locks */
    bool hugetlb;
    uint32_t page_bytes;
    mode_t file_mode;

    /* The control segment.  The bounds are our own copy, checked at attach, so
     * that damage done later cannot send us out of the mapping. */
    struct hl_control *control;
    uint64_t control_bytes;
    uint32_t nr_tickets, nr_words;
    bool light_pins;
    struct hl_member *members;
    struct hl_reader *readers;
    struct hl_slot *slots;
    _Atomic uint64_t *tickets;
    _Atomic uint64_t *free_entries, *fresh_entries;
    _Atomic uint64_t *words;

    uint64_t owner; /* HL_OWNER of this process */
    struct hl_lock lock;

    struct hl_lock list_lock;
    struct hl_volume *volumes; /* open in this process */
    pthread_cond_t fault_served;

    struct hl_crew crew;
    _Atomic uint64_t lost_hand;     /* replacement.c: hints, of this process */
    _Atomic uint64_t drained_ns;
    _Atomic uint64_t full_until_ns;
    _Atomic uint64_t held_until_ns;
    _Atomic uint32_t room_pause;

    int uffd;
    bool has_poison;
    int stop_fd;
    pthread_t fault_thread;
    bool fault_thread_runs;
    char uncached_why[480];
};

#define HL_CONTROL_NAME "control"

/* ---- directory.c ---- */

/* The directory of the default pool (HUGELITE_POOL, hugetlbfs, /dev/shm). */
int hl_directory_choose(char dir[PATH_MAX]);

/* Open pool->dir, made when it is not there, and learn what kind of pages it gives.
 * chosen: by hl_directory_choose(), so it must be ours. */
int hl_directory_open(struct hugelite_pool *pool, bool existing, bool chosen);

/* The budget of a pool made now, when the caller names none.  0 = no free pages. */
int hl_directory_budget(struct hugelite_pool *pool, uint64_t *ret_bytes);

/* ---- control.c ---- */

/* Open, or make, and check and map the control segment, and become a member. */
int hl_control_open(struct hugelite_pool *pool, const struct hugelite_pool_opts *opts);

/* The lock byte alone: it tells processes apart, not threads. */
int hl_control_lock(struct hugelite_pool *pool);
void hl_control_unlock(struct hugelite_pool *pool);

/* ---- pool.c ---- */

/* The lock of the pool's tables: one thread of one process.  0, or -ETIMEDOUT
 * when another process sits on it, or -EIO. */
int hl_pool_lock(struct hugelite_pool *pool);
void hl_pool_unlock(struct hugelite_pool *pool);

/* Go on without the cache: the last error says why. */
void hl_pool_do_without(struct hugelite_pool *pool);

/* hugelite_pool_evict() by the key of the name; NULL = all.  -ENOENT without the name in its sentence. */
int hl_pool_evict_key(struct hugelite_pool *pool, const uint64_t *name_key, uint64_t *ret_bytes);

/* ---- member.c ---- */

int hl_member_attach(struct hugelite_pool *pool);
void hl_member_detach(struct hugelite_pool *pool);

/* Does the process that made this claim still run?  Asks the kernel for its lock; ~1 us. */
bool hl_member_alive(struct hugelite_pool *pool, uint64_t owner);

/* Bytes of huge pages that live members use as heap (hugelite_pool_set_heap). */
uint64_t hl_member_heap(struct hugelite_pool *pool);

/* A reader entry for a volume.  Call under the pool lock.  0 or -EUSERS. */
int hl_reader_claim(struct hugelite_pool *pool, uint32_t slot, struct hl_reader **ret_reader);
void hl_reader_release(struct hl_reader *reader);

/* Does a live reader use the volume?  Under the pool lock. */
bool hl_reader_of_volume(struct hugelite_pool *pool, uint32_t slot);

/* Which of these chunks (at most 32) do live readers hold?  Bit i is chunks[i].  The
 * caller has claimed them (seq_cst) before.  One pass over all pins. */
uint32_t hl_reader_holds(struct hugelite_pool *pool, const uint32_t *chunks, unsigned nr);

/* Live processes that have a volume open. */
uint64_t hl_reader_processes(struct hugelite_pool *pool);

/* ---- slots.c ---- */

struct hl_codec;

/* Find the volume of a codec's source, or make it.  Under the pool lock. */
int hl_slot_open(struct hugelite_pool *pool, const struct hl_codec *codec, uint32_t *ret_slot);

/* Take down what nobody needs: superseded volumes without readers, and volumes
 * that died half way down.  Under the pool lock. */
void hl_slot_collect(struct hugelite_pool *pool);

/* Take a volume down, if no live reader has it, whose image has been removed by a stranger.
 * Under the pool lock. */
void hl_slot_discard(struct hugelite_pool *pool, uint32_t slot);

/* Which chunk ids a slot has.  False when what it says is no place in the tables. */
bool hl_slot_place(const struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t *ret_first,
                   uint32_t *ret_capacity);

/* The slot whose chunks include this one, or NULL. */
struct hl_slot *hl_slot_of_chunk(struct hugelite_pool *pool, uint32_t chunk);

/* Bytes resident, counted from the chunk words. */
uint64_t hl_slot_resident(struct hugelite_pool *pool, const struct hl_slot *slot);

/* Evict all of a volume that no reader holds; returns the bytes that went.  Under the pool lock. */
uint64_t hl_slot_evict(struct hugelite_pool *pool, const struct hl_slot *slot);

void hl_slot_stat(struct hugelite_pool *pool, const struct hl_slot *slot,
                  struct hugelite_volume_stat *ret_stat);

#define HL_IMAGE_NAME_BYTES 48
void hl_slot_image_name(const struct hugelite_pool *pool, const struct hl_slot *slot,
                        char name[HL_IMAGE_NAME_BYTES]);

#endif
