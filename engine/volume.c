/* SPDX-License-Identifier: MIT
 *
 * volume.c - an open database image: offset to chunk to pointer.  The warm path is
 * hugelite_volume_fetch() and _release(); it writes this handle's own pins and nothing else.
 *
 * Entry points: hugelite_volume_*().
 * See also: chunk.c (what happens when the chunk is not there), engine/README.md (rule 4).
 */
#include "config.h"

#include "volume.h"

#include "chunk.h"
#include "cleanup.h"
#include "codec.h"
#include "crew.h"
#include "error.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Chunks filled ahead of one reader, however many threads there are. */
    AHEAD_MAX = 64,

    /* A unit that is larger costs nearly as much as the chunk: no early reads. */
    EARLY_UNIT_MAX = 256 * 1024,

    /* A read that is longer wants the chunk. */
    EARLY_LENGTH_MAX = 64 * 1024,

    /* A read that begins so near behind the last early one goes on with it. */
    EARLY_NEAR_BYTES = 64 * 1024,

    /* Early reads after which a chunk is filled when there is room.  A fill of a raw chunk costs what a
     * hundred preads of its pages cost more than as many warm lookups; that of a compressed one is
     * worth thirty frames, and each of them a hundred lookups. */
    PRICE_RAW = 60,
    PRICE_DECODED = 1,

    /* After which the reader fills it himself when the crew has its hands full. */
    PRICE_BUSY = 2,

    /* With fewer early reads behind it, a reader may be anything. */
    STRAYS_MIN = 4,

    /* A version settles within a few ticks of its time stamp: source-file.c. */
    SETTLING_NS = 1000 * 1000 * 1000,

    /* So many early reads in a row, one behind the other, and the chunk is wanted. */
    FOLLOWS_MAX = 2,

    /* And waits so long for others who are filling: many fills' time. */
    PATIENCE_NS = 1000 * 1000 * 1000,
};

/* What the handle holds, beside the shared pin of the same number. */
struct pin {
    uint32_t chunk; /* index in the volume + 1; 0 = free */
    uint32_t count; /* fetches not yet released */
};

struct hugelite_volume {
    struct hl_volume *volume;
    struct hugelite_pool *pool;
    const char *base;        /* of the mapping */
    uint64_t bytes;
    _Atomic uint64_t *words; /* of chunk 0 */
    uint32_t first;          /* chunk id of chunk 0 */
    bool light_pins;
    const _Atomic uint32_t *nr_wounds; /* of the image */
    struct hl_reader *reader;
    struct pin pins[HL_PINS];

    /* Off the warm path. */
    struct hl_sequences sequences;
    unsigned strays;    /* early reads so far */
    unsigned follows;   /* of the last ones, how many began near the end of the one before */
    uint64_t early_end; /* where the last one ended */
    uint64_t refused;   /* where try_fetch() has just said -EAGAIN, + 1 */
    uint64_t stuck;     /* owner of a claim that was waited for in vain; 0 = none */
    uint64_t stuck_until_ns;
};

/* ---- open and close ------------------------------------------------------ */

static void destroy(struct hl_volume *volume)
{
    /* In a forked child there is no mapping, and the handler has closed the image. */
    if (volume->image.base && !volume->pool->dead)
        hl_image_detach(&volume->image);
    else
        free(volume->image.wounds);
    hl_touches_free(&volume->touches);
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
        return hl_error(ENOMEM, "%s: no memory to open it", name);
    volume->pool = pool;
    volume->handles = 1;
    rc = hl_source_open(name, &volume->source);
    if (rc == 0)
        rc = hl_codec_open(volume->source, &volume->codec);
    if (rc < 0)
        return rc;
    volume->bytes = volume->codec->bytes;
    volume->nr_chunks = (uint32_t)((volume->bytes + HL_CHUNK_MASK) >> HL_CHUNK_SHIFT);
    *ret_volume = HL_TAKE(volume);
    return 0;
}

/* Under the pool lock: give the handle its reader entry, and the volume of its
 * slot, which may be one that is open already. */
static int bind(struct hugelite_pool *pool, struct hugelite_volume *handle,
                struct hl_volume **volume)
{
    char name[HL_IMAGE_NAME_BYTES];
    struct hl_volume *open;
    struct hl_slot *slot;
    uint32_t index;
    int rc;

    rc = hl_slot_open(pool, (*volume)->codec, &index);
    if (rc == 0)
        rc = hl_reader_claim(pool, index, &handle->reader);
    if (rc < 0)
        return rc;

    open = find_open(pool, index);
    if (open) {
        handle->volume = open;
        return 0;
    }
    slot = &pool->slots[index];
    (*volume)->slot = slot;
    (*volume)->slot_index = index;
    (*volume)->first = slot->first;
    hl_slot_image_name(pool, slot, name);
    rc = hl_touches_init(&(*volume)->touches, (*volume)->nr_chunks);
    if (rc == 0)
        rc = hl_image_attach(pool, name, (uint64_t)slot->capacity << HL_CHUNK_SHIFT,
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
        return hl_error(ENOMEM, "%s: no memory to open it", source);
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

/* May the crew fill beside a reader?  It holds no lock against writers. */
static bool crew_may_fill(struct hl_volume *volume)
{
    if (!atomic_load_explicit(&volume->settled, memory_order_relaxed)) {
        uint64_t today = hl_today_ns(), settled = volume->source->settled_ns;

        /* A time stamp of tomorrow is nothing that a change made now would get. */
        if (today < settled && today + SETTLING_NS >= settled)
            return false;
        atomic_store_explicit(&volume->settled, true, memory_order_relaxed);
    }
    return hl_crew_threads(&volume->pool->crew);
}

/* Chunks that may be filled ahead of a reader: enough that no thread of the crew runs out of
 * work, and a quarter of the budget at most. */
static uint32_t ahead_window(struct hl_volume *volume)
{
    uint32_t window = 4 * hl_crew_threads(&volume->pool->crew);

    if (!crew_may_fill(volume))
        return 0;
    if (window > AHEAD_MAX)
        window = AHEAD_MAX;
    if (window > volume->pool->nr_tickets / 4)
        window = volume->pool->nr_tickets / 4;
    /* A frame that is larger than a chunk is decoded from its beginning, in order. */
    if (window > 1 && volume->codec->unit > HL_CHUNK_BYTES)
        window = 1;
    return window;
}

bool hl_volume_notice(struct hl_volume *volume, struct hl_sequences *sequences, uint64_t offset)
{
    struct hl_ahead ahead = hl_sequence_touch(sequences, offset, ahead_window(volume),
                                              volume->nr_chunks);

    for (uint32_t i = 0; i < ahead.nr; i++)
        hl_chunk_post_ahead(volume, ahead.first + i * (uint32_t)ahead.step, !ahead.certain);
    return ahead.sequential;
}

/* A stopped process may hold many claims: one is waited for, and none of the others. */
static void note_stuck(struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    if ((hl_chunk_state(word) == HL_CHUNK_FILLING || hl_chunk_state(word) == HL_CHUNK_EVICTING) &&
        (word & HL_OWNER_MASK) != vol->pool->owner) {
        vol->stuck = word & HL_OWNER_MASK;
        vol->stuck_until_ns = hl_now_ns() + hl_patience_ns;
    }
}

static bool is_stuck(const struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    return vol->stuck && (word & HL_OWNER_MASK) == vol->stuck &&
           (hl_chunk_state(word) == HL_CHUNK_FILLING ||
            hl_chunk_state(word) == HL_CHUNK_EVICTING) && hl_now_ns() < vol->stuck_until_ns;
}

/* A fill of this chunk would fail, or be waited for in vain, as one has before. */
static bool is_hopeless(const struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    return is_stuck(vol, index) || hl_touches_damaged(&vol->volume->touches, index) ||
           (hl_chunk_state(word) == HL_CHUNK_EMPTY && hl_replacement_is_held(vol->pool));
}

/* Does this read begin where the last early one ended? */
static bool follows_early_read(const struct hugelite_volume *vol, uint64_t offset)
{
    return offset >= vol->early_end && offset - vol->early_end < EARLY_NEAR_BYTES &&
           (offset ^ vol->early_end) >> HL_CHUNK_SHIFT == 0;
}

/* The crew does not keep up with this reader, who decodes the same chunk frame by frame: he does better to
 * fill it himself. */
static bool is_behind(struct hugelite_volume *vol, uint32_t index)
{
    return vol->volume->codec->unit > 1 && hl_crew_is_busy(&vol->pool->crew) &&
           hl_touches_count(&vol->volume->touches, index) >= PRICE_BUSY &&
           hl_replacement_has_room(vol->pool, vol->volume->nr_chunks);
}

/* Is this touch, out of any sequence, of a chunk that is not resident better answered by an early
 * read?  May wait for somebody who is filling it. */
static bool is_early(struct hugelite_volume *vol, uint32_t index, uint64_t offset)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_acquire);
    bool empty = hl_chunk_state(word) == HL_CHUNK_EMPTY;

    if (vol->volume->codec->unit > EARLY_UNIT_MAX || !crew_may_fill(vol->volume))
        return false;
    /* Page by page in a chunk: the beginning of a scan, or a range. */
    if (follows_early_read(vol, offset) && vol->follows >= FOLLOWS_MAX)
        return false;
    if (vol->strays >= STRAYS_MIN)
        return !(empty && is_behind(vol, index));
    /* A reader that has just begun may be about to scan, as others may: then each frame is
     * to be decoded once, and it is worth a fill's wait. */
    if (empty)
        return !follows_early_read(vol, offset) && !hl_crew_is_busy(&vol->pool->crew);
    if (hl_chunk_make_resident(vol->volume, index, hl_now_ns() +
                               (PATIENCE_NS < hl_patience_ns ? PATIENCE_NS
                                                             : hl_patience_ns)) == 0)
        return false;
    note_stuck(vol, index);
    return true;
}

/* The chunk is pinned at p but not resident.  On failure the pin is gone.  patient: not to be answered
 * -EAGAIN. */
static __attribute__((noinline)) int pin_cold(struct hugelite_volume *vol, unsigned p,
                                              uint32_t index, uint64_t offset, bool patient)
{
    uint64_t deadline_ns = hl_now_ns() + hl_patience_ns;
    bool sequential, early;
    uint64_t word;
    int rc;

    hl_crew_start(&vol->pool->crew);
    sequential = hl_volume_notice(vol->volume, &vol->sequences, offset);
    early = !patient && (is_hopeless(vol, index) ||
                         (!sequential && is_early(vol, index, offset)));
    if (early) {
        unpin(vol, p);
        vol->refused = offset + 1;
        return -EAGAIN;
    }

    /* With the pin up, a chunk that we make resident stays; one that another made
     * may be claimed for eviction already, and then we come round again. */
    do {
        rc = hl_chunk_make_resident(vol->volume, index, deadline_ns);
        if (rc < 0) {
            if (rc == -ETIMEDOUT)
                note_stuck(vol, index);
            unpin(vol, p);
            return rc;
        }
        word = atomic_load_explicit(&vol->words[index], memory_order_seq_cst);
    } while (hl_chunk_state(word) != HL_CHUNK_RESIDENT);
    return 0;
}

/* First touch of a chunk since it is resident, or since the sweep hand came by. */
static __attribute__((noinline)) void touch_first(struct hugelite_volume *vol, uint64_t offset)
{
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);

    /* Only a hint, and only when it is not set: losing it costs one early eviction,
     * and the line stays shared among readers. */
    atomic_fetch_or_explicit(&vol->words[index], HL_CHUNK_REFERENCED, memory_order_relaxed);
    atomic_fetch_and_explicit(&vol->words[index], ~(uint64_t)HL_CHUNK_AHEAD,
                              memory_order_relaxed);
    hl_volume_notice(vol->volume, &vol->sequences, offset);
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
    if (HL_UNLIKELY(vol->pool->dead))
        return refuse_dead(vol);

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
            touch_first(vol, offset);
        }
        if (HL_UNLIKELY(atomic_load_explicit(vol->nr_wounds, memory_order_seq_cst)))
            hl_image_heal(&vol->volume->image, index);
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

/* A first touch, here and there: its bytes now, and the chunk by the crew if it earns its place.
 * 1: somebody else fills the chunk, and this reader should rather wait. */
static int read_early(struct hugelite_volume *vol, uint64_t offset, uint32_t length, void *buffer)
{
    struct hl_volume *volume = vol->volume;
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    bool room = hl_replacement_has_room(vol->pool, vol->volume->nr_chunks), begins = vol->strays < STRAYS_MIN;
    int rc;

    vol->strays++;
    vol->follows = follows_early_read(vol, offset) ? vol->follows + 1 : 0;
    vol->early_end = offset + length;
    if (!hl_touches_damaged(&volume->touches, index) &&
        hl_touches_earn(&volume->touches, index, room,
                        volume->codec->unit == 1 && !begins ? PRICE_RAW : PRICE_DECODED)) {
        rc = hl_chunk_serve_early(volume, offset, length, room, buffer);
        if (rc <= 0 && rc != -ENOMEM)
            return rc;
        if (rc == 1 && begins && room && !is_stuck(vol, index))
            return 1;
        hl_chunk_post_ahead(volume, index, room);
    }
    return hl_chunk_read_past(volume, offset, length, buffer);
}

/* A part that lies inside one chunk. */
static int read_part(struct hugelite_volume *vol, uint64_t offset, uint32_t length, void *buffer)
{
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    bool refused = vol->refused == offset + 1 && length <= EARLY_LENGTH_MAX && !vol->pool->dead;
    const void *data = NULL;
    int rc;

    vol->refused = 0;
    if (refused)
        refused = hl_chunk_state(atomic_load_explicit(&vol->words[index], memory_order_relaxed)) !=
                  HL_CHUNK_RESIDENT;
    /* A moment ago, when the caller asked, the answer was -EAGAIN. */
    rc = refused ? -EAGAIN : fetch(vol, offset, length, length > EARLY_LENGTH_MAX, &data);
    if (rc == -EAGAIN) {
        rc = read_early(vol, offset, length, buffer);
        if (rc <= 0)
            return rc;
        rc = fetch(vol, offset, length, true, &data);
    }
    switch (rc) {
    case 0:
        memcpy(buffer, data, length);
        hugelite_volume_release(vol, data);
        return 0;
    case -EBUSY:
    case -ETIMEDOUT:
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
    if (vol->pool->dead)
        return refuse_dead(vol);
    hl_crew_start(&vol->pool->crew); /* the fault thread cannot */
    *ret_base = vol->base;
    return 0;
}

int hugelite_volume_warm(struct hugelite_volume *vol, uint64_t offset, uint64_t length,
                         int (*progress)(void *arg, uint64_t done, uint64_t total), void *arg)
{
    uint32_t ahead, nr_ahead, last;
    uint64_t total, end;

    if (vol->pool->dead)
        return refuse_dead(vol);
    if (length == 0 && offset <= vol->bytes)
        length = vol->bytes - offset;
    if (offset > vol->bytes || length > vol->bytes - offset)
        return refuse_range(vol, offset, length);
    if (length == 0)
        return 0;
    total = length;
    end = offset + length;
    last = (uint32_t)((end - 1) >> HL_CHUNK_SHIFT);
    ahead = (uint32_t)(offset >> HL_CHUNK_SHIFT) + 1;
    hl_crew_start(&vol->pool->crew);
    nr_ahead = ahead_window(vol->volume);

    for (uint64_t at = offset; at < end;) {
        uint32_t index = (uint32_t)(at >> HL_CHUNK_SHIFT);
        int rc;

        if (vol->pool->dead) /* progress() has forked */
            return refuse_dead(vol);
        for (; ahead <= last && ahead - index <= nr_ahead; ahead++)
            hl_chunk_post_ahead(vol->volume, ahead, false);
        rc = hl_chunk_make_resident(vol->volume, index, hl_now_ns() + hl_patience_ns);
        if (rc < 0)
            return rc;
        at = (at | HL_CHUNK_MASK) + 1;
        if (at > end)
            at = end;
        if (progress && progress(arg, at - offset, total))
            return hl_error(ECANCELED, "%s: warming was stopped after %llu of %llu bytes",
                            vol->volume->source->name, (unsigned long long)(at - offset),
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
