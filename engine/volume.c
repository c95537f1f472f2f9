/* SPDX-License-Identifier: MIT
 *
 * volume.c - an open database image: offset to chunk to pointer.  The warm path is
 * hugelite_volume_fetch() and _release(); it writes this handle's own pins and nothing else.
 *
 * Entry points: hugelite_volume_*().
 * See also: cold.c and chunk.c (what happens when the chunk is not there), engine/README.md (rule 4).
 */
#include "config.h"

#include "volume.h"

#include "chunk.h"
#include "cleanup.h"
#include "cold.h"
#include "codec.h"
#include "crew.h"
#include "error.h"
#include "pool.h"
#include "remote.h"
#include "source.h"
#include "stage.h"
#include "state.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

/* ---- open and close ------------------------------------------------------ */

static void destroy(struct hl_volume *volume)
{
    /* In a forked child there is no mapping, and the handler has closed the image. */
    if (volume->image.base && !volume->pool->dead)
        hl_image_detach(&volume->image);
    else
        free(volume->image.wounds);
    hl_touches_free(&volume->touches);
    hl_sums_free(&volume->sums);
    if (volume->state)
        hl_state_put(volume->state);
    if (volume->codec)
        volume->codec->ops->close(volume->codec);
    hl_source_close(volume->source);
    free(volume);
}

static void destroyp(struct hl_volume **volume)
{
    if (*volume)
        destroy(*volume);
}

struct hl_volume *hl_volume_enter(struct hugelite_pool *pool, uintptr_t address)
{
    struct hl_volume *volume;

    hl_lock(&pool->list_lock);
    for (volume = pool->volumes; volume; volume = volume->next)
        if (address - (uintptr_t)volume->image.base < volume->image.length) {
            volume->faults++;
            break;
        }
    hl_unlock(&pool->list_lock);
    return volume;
}

void hl_volume_leave(struct hl_volume *volume)
{
    struct hugelite_pool *pool = volume->pool;

    hl_lock(&pool->list_lock);
    volume->faults--;
    pthread_cond_broadcast(&pool->fault_served);
    hl_unlock(&pool->list_lock);
}

uint64_t hl_volume_patience_ns(const struct hl_volume *volume)
{
    return volume->source->remote ? hl_stage_patience_ns(volume->source) : hl_patience_ns;
}

/* What goes on beside the readers of a remote volume, and has nobody any more whom it serves. */
static void leave_remote(struct hl_volume *volume)
{
    if (!volume->pool->dead) {
        hl_haul_forbid(volume);
        hl_stage_forbid(volume->source);
    }
    hl_scout_stop(volume);
    if (!volume->pool->dead)
        hl_haul_stop(volume);
}

/* One handle less.  With the last one the volume goes, after the fault thread has left
 * it: a toucher is awake before its fault is quite served. */
static void drop_handle(struct hl_volume *volume)
{
    struct hugelite_pool *pool = volume->pool;
    bool last;

    hl_lock(&pool->list_lock);
    last = --volume->handles == 0;
    if (last) {
        for (struct hl_volume **link = &pool->volumes; *link; link = &(*link)->next)
            if (*link == volume) {
                *link = volume->next;
                break;
            }
        while (volume->faults && !pool->dead)
            pthread_cond_wait(&pool->fault_served, &pool->list_lock.mutex);
    }
    hl_unlock(&pool->list_lock);
    if (last) {
        if (volume->source->remote)
            leave_remote(volume);
        hl_crew_leave(&pool->crew, volume);
        destroy(volume);
    }
}

/* Under the pool lock: this process's volume of a slot, if it has it open. */
static struct hl_volume *find_open(struct hugelite_pool *pool, uint32_t slot)
{
    struct hl_volume *volume;

    hl_lock(&pool->list_lock);
    for (volume = pool->volumes; volume; volume = volume->next)
        if (volume->slot_index == slot) {
            volume->handles++;
            break;
        }
    hl_unlock(&pool->list_lock);
    return volume;
}

static int open_source(struct hugelite_pool *pool, const char *name, struct hl_volume **ret_volume)
{
    HL_CLEANUP(destroyp) struct hl_volume *volume = calloc(1, sizeof *volume);
    int rc;

    if (!volume)
        return hl_error(ENOMEM, "no memory to open a volume");
    volume->pool = pool;
    volume->handles = 1;
    hl_hauls_init(&volume->hauls);
    rc = hl_source_open(name, &volume->source);
    if (rc == 0)
        rc = hl_codec_open(volume->source, &volume->codec);
    if (rc < 0)
        return rc;
    volume->bytes = volume->codec->bytes;
    if (volume->source->remote)
        hl_remote_remember(volume->source, volume->bytes);
    volume->nr_chunks = (uint32_t)((volume->bytes + HL_CHUNK_MASK) >> HL_CHUNK_SHIFT);
    *ret_volume = HL_TAKE(volume);
    return 0;
}

/* Frames have checksums of their own; those of a raw remote source's chunks are remembered.  Again is
 * fine. */
static int init_sums(struct hl_volume *volume)
{
    if (!volume->source->remote || volume->codec->ops != &hl_codec_raw || volume->state)
        return 0;
    volume->state = hl_state_get();
    return hl_sums_init(&volume->sums, volume->state, volume->source->key, volume->nr_chunks);
}

/* Under the pool lock: give the handle its reader entry, and the volume of its
 * slot, which may be one that is open already. */
static int bind(struct hugelite_pool *pool, struct hugelite_volume *handle,
                struct hl_volume **volume)
{
    char name[HL_IMAGE_NAME_BYTES];
    struct hl_volume *open;
    struct hl_slot *slot;
    uint32_t index, capacity;
    int rc;

    rc = hl_slot_open(pool, (*volume)->codec, &index);
    if (rc == 0)
        rc = hl_reader_claim(pool, index, &handle->reader);
    if (rc < 0)
        return rc;

    slot = &pool->slots[index];
    if ((*volume)->source->remote) {
        hl_remote_count_in((*volume)->source, &slot->stats);
        atomic_store_explicit(&slot->unvalidated, (*volume)->source->unvalidated,
                              memory_order_relaxed);
    }
    open = find_open(pool, index);
    if (open) {
        if (open->source->remote)
            hl_remote_renew(open->source, (*volume)->source);
        handle->volume = open;
        return 0;
    }
    (*volume)->slot = slot;
    (*volume)->slot_index = index;
    hl_slot_image_name(pool, slot, name);
    if (!hl_slot_place(pool, slot, &(*volume)->first, &capacity) ||
        capacity < (*volume)->nr_chunks)
        rc = hl_error(EBADMSG, "pool '%s': the entry of %s is damaged", pool->dir,
                      (*volume)->source->name);
    else
        rc = hl_touches_init(&(*volume)->touches, pool->words + (*volume)->first,
                             &slot->contested, (*volume)->nr_chunks);
    if (rc == 0)
        rc = init_sums(*volume);
    if (pool->uncached)
        (*volume)->image.fd = (*volume)->image.uffd = -1;
    else if (rc == 0) /* with -ENOENT we come again */
        rc = hl_image_attach(pool, name, (uint64_t)capacity << HL_CHUNK_SHIFT,
                             &(*volume)->image);
    if (rc < 0) {
        hl_reader_release(handle->reader);
        if (rc == -ENOENT)
            hl_slot_discard(pool, index);
        return rc;
    }
    handle->volume = HL_TAKE(*volume);
    hl_lock(&pool->list_lock);
    handle->volume->next = pool->volumes;
    pool->volumes = handle->volume;
    hl_unlock(&pool->list_lock);
    return 0;
}

int hugelite_volume_open(struct hugelite_pool *pool, const char *source,
                         struct hugelite_volume **ret_vol)
{
    HL_CLEANUP(destroyp) struct hl_volume *volume = NULL;
    HL_CLEANUP(hl_freep) struct hugelite_volume *handle = NULL;
    int rc;

    if (pool->dead)
        return hl_error(ECHILD, "pool '%s': was opened before fork(); open it again here",
                        pool->dir);
    handle = aligned_alloc(64, (sizeof *handle + 63) & ~(size_t)63);
    if (!handle)
        return hl_error(ENOMEM, "no memory to open a volume");
    memset(handle, 0, sizeof *handle);
    rc = open_source(pool, source, &volume);
    if (rc < 0)
        return rc;

    rc = hl_pool_lock(pool);
    if (rc < 0)
        return rc;
    rc = bind(pool, handle, &volume);
    if (rc == -ENOENT) /* the image had been removed: the slot has been, now, too */
        rc = bind(pool, handle, &volume);
    hl_pool_unlock(pool);
    if (rc < 0)
        return rc;

    handle->pool = pool;
    handle->base = handle->volume->image.base;
    handle->bytes = handle->volume->bytes;
    handle->first = handle->volume->first;
    handle->words = &pool->words[handle->first];
    handle->light_pins = pool->light_pins;
    handle->nr_wounds = &handle->volume->image.nr_wounds;
    handle->early_end = UINT64_MAX;
    if (handle->volume->source->remote && !pool->uncached)
        hl_scout_open(handle->volume);
    *ret_vol = HL_TAKE(handle);
    return 0;
}

void hugelite_volume_close(struct hugelite_volume *vol)
{
    struct hugelite_pool *pool;
    struct hl_reader *reader;
    struct hl_slot *slot;

    if (!vol)
        return;
    pool = vol->pool;
    reader = vol->reader;
    slot = vol->volume->slot;
    if (pool->dead) {
        drop_handle(vol->volume);
        free(vol);
        return;
    }
    atomic_store_explicit(&slot->used_ns, hl_now_ns(), memory_order_relaxed);
    /* The reader entry keeps the image in being, so it goes after the mapping. */
    drop_handle(vol->volume);
    free(vol);
    if (atomic_load_explicit(&slot->superseded, memory_order_relaxed) && hl_pool_lock(pool) == 0) {
        hl_reader_release(reader);
        hl_slot_collect(pool);
        hl_pool_unlock(pool);
    } else {
        hl_reader_release(reader);
    }
}

uint64_t hugelite_volume_bytes(const struct hugelite_volume *vol)
{
    return vol->bytes;
}

const char *hugelite_volume_encoding(const struct hugelite_volume *vol)
{
    return vol->volume->codec->ops->name;
}

/* ---- the warm path ------------------------------------------------------- */

static int refuse_range(const struct hugelite_volume *vol, uint64_t offset, uint64_t length)
{
    if (offset > vol->bytes || length > vol->bytes - offset)
        return hl_error(ERANGE, "%s: bytes %llu + %llu are past its end at %llu",
                        vol->volume->source->name, (unsigned long long)offset,
                        (unsigned long long)length, (unsigned long long)vol->bytes);
    return hl_error(ERANGE, "%s: bytes %llu + %llu cross a chunk boundary",
                    vol->volume->source->name, (unsigned long long)offset,
                    (unsigned long long)length);
}

static int refuse_dead(const struct hugelite_volume *vol)
{
    return hl_error(ECHILD, "%s: was opened before fork(); open it again here",
                    vol->volume->source->name);
}

/* There are no pointers to be had, in a forked child or without a cache. */
static int refuse_pointer(const struct hugelite_volume *vol)
{
    if (vol->pool->dead)
        return refuse_dead(vol);
    return hl_error(vol->pool->alone ? ENOSPC : EPERM, "%s: can be read, but not be mapped: %s",
                    vol->volume->source->name, vol->pool->uncached_why);
}

static void unpin(struct hugelite_volume *vol, unsigned p)
{
    vol->pins[p].chunk = 0;
    /* release: our reads of the chunk are done before an evictor sees it free. */
    atomic_store_explicit(&vol->reader->pins[p], 0, memory_order_release);
}

/* Rule 4: publish the pin, then look at the word; the evictor claims the word,
 * then looks at the pins.  What keeps the two in order here is the evictor's membarrier(), so that
 * only the compiler must be told; a fence would cost a sixth of a point
 * lookup.  acquire pairs with the publish, as in chunk.c. */
static inline uint64_t pin(struct hugelite_volume *vol, unsigned p, uint32_t index)
{
    _Atomic uint32_t *published = &vol->reader->pins[p];

    if (HL_LIKELY(vol->light_pins)) {
        atomic_store_explicit(published, vol->first + index + 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        return atomic_load_explicit(&vol->words[index], memory_order_acquire);
    }
    atomic_store_explicit(published, vol->first + index + 1, memory_order_seq_cst);
    return atomic_load_explicit(&vol->words[index], memory_order_seq_cst);
}

/* The chunk is pinned at p but not resident.  On failure the pin is gone.  patient: not to be answered
 * -EAGAIN. */
static __attribute__((noinline)) int pin_cold(struct hugelite_volume *vol, unsigned p,
                                              uint32_t index, uint64_t offset, bool patient)
{
    uint64_t deadline_ns = hl_now_ns() + hl_volume_patience_ns(vol->volume);
    bool sequential;
    uint64_t word;
    int rc;

    hl_crew_start(&vol->pool->crew);
    sequential = hl_cold_notice(vol->volume, &vol->sequences, offset);
    if (sequential)
        vol->strays = vol->looks = 0;
    if (!patient && hl_cold_is_early(vol, index, offset, sequential)) {
        unpin(vol, p);
        vol->refused = offset + 1;
        return -EAGAIN;
    }
    if (vol->volume->source->remote)
        hl_scout_note(vol->volume, index);

    /* With the pin up, a chunk that we make resident stays; one that another made
     * may be claimed for eviction already, and then we come round again. */
    do {
        rc = hl_chunk_make_resident(vol->volume, index, deadline_ns);
        if (rc < 0) {
            if (rc == -ETIMEDOUT)
                hl_cold_timed_out(vol, index);
            unpin(vol, p);
            return rc;
        }
        word = atomic_load_explicit(&vol->words[index], memory_order_seq_cst);
    } while (hl_chunk_state(word) != HL_CHUNK_RESIDENT);
    return 0;
}

/* The chunk does not say that it is used, or has not been touched at all.  What counts is a visit, not the pages
 * that are looked at in it: so not the touch that follows this handle's last one in the same chunk, nor a fill, and
 * nothing that a scan does. */
static __attribute__((noinline)) void touch_first(struct hugelite_volume *vol, uint64_t offset,
                                                  uint64_t word)
{
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);

    if (vol->visited == index + 1 && !(word & HL_CHUNK_AHEAD))
        return;
    if (vol->volume->source->remote)
        hl_scout_note(vol->volume, index);
    /* The life was for the time until it is used. */
    if (word & HL_CHUNK_AHEAD)
        atomic_fetch_and_explicit(&vol->words[index],
                                  ~(uint64_t)(HL_CHUNK_AHEAD |
                                              (word & HL_CHUNK_FRESH ? HL_CHUNK_LIVES : 0)),
                                  memory_order_relaxed);
    if (hl_cold_notice(vol->volume, &vol->sequences, offset)) {
        vol->strays = vol->looks = 0;
        return;
    }
    /* Only a hint, and only when it is not set: losing it costs one early eviction,
     * and the line stays shared among readers. */
    atomic_fetch_or_explicit(&vol->words[index], HL_CHUNK_REFERENCED, memory_order_relaxed);
}

/* Any pin but the home one: the home is taken by another chunk.  Sets *ret_pin. */
static __attribute__((noinline)) int pin_elsewhere(struct hugelite_volume *vol, uint32_t index,
                                                   unsigned *ret_pin)
{
    unsigned p = HL_PINS;

    for (unsigned i = 0; i < HL_PINS; i++) {
        if (vol->pins[i].chunk == index + 1) {
            *ret_pin = i;
            return 0;
        }
        if (vol->pins[i].chunk == 0 && p == HL_PINS)
            p = i;
    }
    if (p == HL_PINS)
        return hl_error(EMFILE, "%s: this handle holds %u chunks, no more can be held",
                        vol->volume->source->name, HL_PINS);
    *ret_pin = p;
    return 0;
}

static inline __attribute__((always_inline)) int fetch(struct hugelite_volume *vol,
                                                       uint64_t offset, uint32_t length,
                                                       bool patient, const void **ret_data)
{
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    unsigned p = index % HL_PINS;
    uint64_t word;
    int rc;

    if (HL_UNLIKELY(offset > vol->bytes || length > vol->bytes - offset ||
                    (offset & HL_CHUNK_MASK) + length > HL_CHUNK_BYTES || offset == vol->bytes))
        return refuse_range(vol, offset, length);
    if (HL_UNLIKELY(vol->pool->dead | vol->pool->uncached))
        return vol->pool->dead || patient ? refuse_pointer(vol) : -EAGAIN;

    if (HL_UNLIKELY(vol->pins[p].chunk && vol->pins[p].chunk != index + 1)) {
        rc = pin_elsewhere(vol, index, &p);
        if (rc < 0)
            return rc;
    }
    if (vol->pins[p].chunk == 0) {
        word = pin(vol, p, index);
        if (HL_UNLIKELY(hl_chunk_state(word) != HL_CHUNK_RESIDENT)) {
            rc = pin_cold(vol, p, index, offset, patient);
            if (rc < 0)
                return rc;
        } else if (HL_UNLIKELY((word & (HL_CHUNK_REFERENCED | HL_CHUNK_AHEAD)) !=
                               HL_CHUNK_REFERENCED)) {
            touch_first(vol, offset, word);
        }
        vol->visited = index + 1;
        if (HL_UNLIKELY(atomic_load_explicit(vol->nr_wounds, memory_order_seq_cst))) {
            rc = hl_image_heal(&vol->volume->image, index);
            if (rc < 0) {
                unpin(vol, p);
                return rc;
            }
        }
        vol->pins[p].chunk = index + 1;
        vol->pins[p].count = 0;
    }
    vol->pins[p].count++;
    *ret_data = vol->base + offset;
    return 0;
}

int hugelite_volume_fetch(struct hugelite_volume *vol, uint64_t offset, uint32_t length,
                          const void **ret_data)
{
    return fetch(vol, offset, length, true, ret_data);
}

int hugelite_volume_try_fetch(struct hugelite_volume *vol, uint64_t offset, uint32_t length,
                              const void **ret_data)
{
    return fetch(vol, offset, length, false, ret_data);
}

void hugelite_volume_release(struct hugelite_volume *vol, const void *data)
{
    uint32_t index = (uint32_t)((uint64_t)((const char *)data - vol->base) >> HL_CHUNK_SHIFT);
    unsigned p = index % HL_PINS;

    if (HL_UNLIKELY(vol->pool->dead))
        return;
    if (HL_UNLIKELY(vol->pins[p].chunk != index + 1))
        for (p = 0; p < HL_PINS && vol->pins[p].chunk != index + 1; p++)
            ;
    HL_ASSERT(p < HL_PINS);
    if (--vol->pins[p].count == 0)
        unpin(vol, p);
}

/* ---- everything else ----------------------------------------------------- */

/* A part that lies inside one chunk. */
static int read_part(struct hugelite_volume *vol, uint64_t offset, uint32_t length, void *buffer)
{
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    bool refused = vol->refused == offset + 1 && length <= HL_COLD_READ_MAX && !vol->pool->dead;
    const void *data = NULL;
    int rc;

    if (vol->pool->uncached && !vol->pool->dead)
        return hl_chunk_read_past(vol->volume, offset, length, buffer);
    vol->refused = 0;
    if (refused)
        refused = hl_chunk_state(atomic_load_explicit(&vol->words[index], memory_order_relaxed)) !=
                  HL_CHUNK_RESIDENT;
    /* A moment ago, when the caller asked, the answer was -EAGAIN. */
    rc = refused ? -EAGAIN : fetch(vol, offset, length, length > HL_COLD_READ_MAX, &data);
    if (rc == -EAGAIN) {
        rc = hl_cold_read(vol, offset, length, buffer);
        if (rc <= 0)
            return rc;
        rc = fetch(vol, offset, length, true, &data);
    }
    switch (rc) {
    case 0:
        memcpy(buffer, data, length);
        hugelite_volume_release(vol, data);
        return 0;
    case -ETIMEDOUT:
        /* The origin, not somebody who sits on the chunk: it would not answer now either. */
        if (vol->volume->source->remote && !hl_cold_is_stuck(vol, (uint32_t)(offset >> HL_CHUNK_SHIFT)))
            return rc;
        return hl_chunk_read_past(vol->volume, offset, length, buffer);
    case -EBUSY:
    case -EMFILE:
    case -EBADMSG:
    case -ENOMEM:
        /* The cache cannot have the chunk now; the reader gets its bytes all the same. */
        return hl_chunk_read_past(vol->volume, offset, length, buffer);
    }
    return rc;
}

int hugelite_volume_read(struct hugelite_volume *vol, uint64_t offset, uint64_t length,
                         void *buffer)
{
    char *p = buffer;

    if (offset > vol->bytes || length > vol->bytes - offset)
        return refuse_range(vol, offset, length);
    while (length) {
        uint64_t part = HL_CHUNK_BYTES - (offset & HL_CHUNK_MASK);
        int rc;

        if (part > length)
            part = length;
        rc = read_part(vol, offset, (uint32_t)part, p);
        if (rc < 0)
            return rc;
        p += part;
        offset += part;
        length -= part;
    }
    return 0;
}

int hugelite_volume_map(struct hugelite_volume *vol, const void **ret_base)
{
    if (vol->pool->dead || vol->pool->uncached)
        return refuse_pointer(vol);
    hl_crew_start(&vol->pool->crew); /* the fault thread cannot */
    *ret_base = vol->base;
    return 0;
}

int hugelite_volume_fault(struct hugelite_volume *vol, uint64_t offset, uint64_t length)
{
    struct hl_volume *volume = vol->volume;

    if (vol->pool->dead)
        return refuse_dead(vol);
    if (length == 0)
        length = offset < vol->bytes ? vol->bytes - offset : 1;
    if (offset > vol->bytes || length > vol->bytes - offset)
        return refuse_range(vol, offset, length);
    return hl_image_wound(&volume->image, (uint32_t)(offset >> HL_CHUNK_SHIFT),
                          (uint32_t)((offset + length - 1) >> HL_CHUNK_SHIFT),
                          volume->source->name);
}

int hugelite_volume_warm(struct hugelite_volume *vol, uint64_t offset, uint64_t length,
                         int (*progress)(void *arg, uint64_t done, uint64_t total), void *arg)
{
    struct hl_volume *volume = vol->volume;
    uint32_t ahead, nr_ahead, last;
    uint64_t total, end;

    if (vol->pool->dead || vol->pool->uncached)
        return refuse_pointer(vol);
    if (length == 0 && offset <= vol->bytes)
        length = vol->bytes - offset;
    if (offset > vol->bytes || length > vol->bytes - offset)
        return refuse_range(vol, offset, length);
    if (length == 0)
        return 0;
    total = length;
    end = offset + length;
    last = (uint32_t)((end - 1) >> HL_CHUNK_SHIFT);
    ahead = (uint32_t)(offset >> HL_CHUNK_SHIFT) + !volume->source->remote;
    hl_crew_start(&vol->pool->crew);
    nr_ahead = hl_cold_window(volume);

    for (uint64_t at = offset; at < end;) {
        uint32_t index = (uint32_t)(at >> HL_CHUNK_SHIFT);
        int rc;

        if (vol->pool->dead) /* progress() has forked */
            return refuse_dead(vol);
        ahead = hl_cold_go_ahead(volume, index, ahead, last, nr_ahead);
        rc = hl_chunk_make_resident(volume, index, hl_now_ns() + hl_volume_patience_ns(volume));
        if (rc < 0)
            return rc;
        at = (at | HL_CHUNK_MASK) + 1;
        if (at > end)
            at = end;
        if (progress && progress(arg, at - offset, total))
            return hl_error(ECANCELED, "%s: warming was stopped after %llu of %llu bytes",
                            volume->source->name, (unsigned long long)(at - offset),
                            (unsigned long long)total);
    }
    return 0;
}

int hugelite_volume_check(struct hugelite_volume *vol)
{
    if (vol->pool->dead)
        return refuse_dead(vol);
    return vol->volume->source->ops->check(vol->volume->source);
}

int hugelite_volume_stat(struct hugelite_volume *vol, struct hugelite_volume_stat *ret_stat)
{
    if (vol->pool->dead)
        return refuse_dead(vol);
    hl_slot_stat(vol->pool, vol->volume->slot, ret_stat);
    return 0;
}
