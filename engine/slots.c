/* SPDX-License-Identifier: MIT
 *
 * slots.c - the volumes of a pool: finding one by its key, making it, taking it
 * down.  All under the pool lock; whoever dies inside leaves a slot FREE or
 * DYING, and the next one with the lock goes on from there.
 *
 * A slot owns a run of chunk ids.  Which ids are taken is read off the slots
 * themselves, so there is no free list to go wrong.
 *
 * Entry points: pool.h ("slots.c").  See also: layout.h, engine/README.md (rule 7).
 */
#include "config.h"

#include "chunk.h"
#include "codec.h"
#include "error.h"
#include "image.h"
#include "pool.h"
#include "source.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

/* An image is at least this long, and twice the database: growth never remaps. */
enum { CAPACITY_MIN = 64 };

static uint32_t state_of(const struct hl_slot *slot)
{
    /* acquire: pairs with the release in make_slot, so that the fields are seen. */
    return atomic_load_explicit(&slot->state, memory_order_acquire);
}

/* Each number is read once: a vandal may change it between a check and a use. */
bool hl_slot_place(const struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t *ret_first,
                   uint32_t *ret_capacity)
{
    uint32_t first = __atomic_load_n(&slot->first, __ATOMIC_RELAXED);
    uint32_t capacity = __atomic_load_n(&slot->capacity, __ATOMIC_RELAXED);

    if (!capacity || capacity > pool->nr_words || first > pool->nr_words - capacity ||
        atomic_load_explicit(&slot->bytes, memory_order_relaxed) >
            (uint64_t)capacity << HL_CHUNK_SHIFT)
        return false;
    *ret_first = first;
    *ret_capacity = capacity;
    return true;
}

void hl_slot_image_name(const struct hugelite_pool *pool, const struct hl_slot *slot,
                        char name[HL_IMAGE_NAME_BYTES])
{
    /* The slot's number too: a version may come back while its old image is being taken down. */
    snprintf(name, HL_IMAGE_NAME_BYTES, "%016llx%016llx-%u.image",
             (unsigned long long)slot->key[1], (unsigned long long)slot->key[0],
             (unsigned)(slot - pool->slots));
}

struct hl_slot *hl_slot_of_chunk(struct hugelite_pool *pool, uint32_t chunk)
{
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];
        uint32_t life = atomic_load_explicit(&slot->life, memory_order_acquire);
        uint32_t first, capacity;
        bool covers = state_of(slot) != HL_SLOT_FREE &&
                      hl_slot_place(pool, slot, &first, &capacity) &&
                      chunk >= first && chunk - first < capacity;

        /* The caller holds a claim, so the right slot stays; another one may be made
         * anew meanwhile, and half of each would mislead.  Adding nothing is a load that the
         * loads before it cannot pass. */
        if (covers && atomic_fetch_add_explicit(&slot->life, 0, memory_order_acq_rel) == life)
            return slot;
    }
    return NULL;
}

uint64_t hl_slot_resident(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    uint32_t first, capacity;
    uint64_t nr = 0;

    if (state_of(slot) == HL_SLOT_FREE || !hl_slot_place(pool, slot, &first, &capacity))
        return 0;
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t word = atomic_load_explicit(&pool->words[first + i], memory_order_relaxed);

        nr += hl_chunk_state(word) == HL_CHUNK_RESIDENT;
    }
    return nr << HL_CHUNK_SHIFT;
}

void hl_slot_stat(struct hugelite_pool *pool, const struct hl_slot *slot,
                  struct hugelite_volume_stat *ret_stat)
{
    *ret_stat = (struct hugelite_volume_stat){
        .bytes = atomic_load_explicit(&slot->bytes, memory_order_relaxed),
        .resident_bytes = hl_slot_resident(pool, slot),
        .superseded = atomic_load_explicit(&slot->superseded, memory_order_relaxed),
        .share_bytes = (uint64_t)atomic_load_explicit(&slot->share, memory_order_relaxed)
                       << HL_CHUNK_SHIFT,
        .unvalidated = atomic_load_explicit(&slot->unvalidated, memory_order_relaxed),
#define X(name, unit, help) .name = atomic_load_explicit(&slot->stats.name, memory_order_relaxed),
#include "stats.def"
#undef X
    };
    snprintf(ret_stat->source, sizeof ret_stat->source, "%.*s", (int)HL_NAME_BYTES - 1,
             slot->source);
}

uint64_t hl_slot_evict(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    struct hl_victim victims[HL_VICTIMS];
    uint64_t gone = 0;
    uint32_t first, capacity;
    unsigned nr = 0;

    if (!hl_slot_place(pool, slot, &first, &capacity))
        return 0;
    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t chunk = first + i;
        uint64_t word = atomic_load_explicit(&pool->words[chunk], memory_order_acquire);
        uint32_t ticket = hl_chunk_ticket(word);

        if (hl_chunk_state(word) == HL_CHUNK_RESIDENT && ticket < pool->nr_tickets &&
            hl_chunk_claim_victim(pool, chunk, word))
            victims[nr++] = (struct hl_victim){
                .chunk = chunk, .ticket = ticket, .was = word,
                .ticket_word = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire),
            };
        if (nr == HL_VICTIMS || (nr && i + 1 == capacity)) {
            gone += hl_chunk_evict(pool, victims, nr);
            nr = 0;
        }
    }
    return gone << HL_CHUNK_SHIFT;
}

/* A run of chunk ids that no slot owns.  False when there is none. */
static bool find_run(struct hugelite_pool *pool, uint32_t capacity, uint32_t *ret_first)
{
    uint32_t at = 0;

    if (capacity > pool->nr_words)
        return false;
again:
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        const struct hl_slot *slot = &pool->slots[i];
        uint32_t first, taken;

        if (state_of(slot) != HL_SLOT_FREE && hl_slot_place(pool, slot, &first, &taken) &&
            first < at + capacity && at < first + taken) {
            at = first + taken;
            if (at > pool->nr_words - capacity)
                return false;
            goto again;
        }
    }
    *ret_first = at;
    return true;
}

/* Nobody has it mapped.  Punched first, as the pages of a file without a name stay
 * for as long as somebody has it open, such as a child that was forked by a reader. */
static int remove_image(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    char name[HL_IMAGE_NAME_BYTES];
    int fd;

    hl_slot_image_name(pool, slot, name);
    fd = hl_sys.openat(pool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd >= 0) {
        hl_image_punch(fd, 0, slot->capacity);
        hl_sys.close(fd);
    }
    if (hl_sys.unlinkat(pool->dir_fd, name, 0) < 0 && errno != ENOENT)
        return hl_error(errno, "pool '%s': cannot remove image %s: %s", pool->dir, name,
                        strerror(errno));
    return 0;
}

/* Take a volume down that no live reader has open.  Each step can be repeated. */
static int retire(struct hugelite_pool *pool, struct hl_slot *slot, uint64_t deadline_ns)
{
    uint32_t first, capacity;
    int rc;

    atomic_store_explicit(&slot->state, HL_SLOT_DYING, memory_order_release);
    rc = pool->alone ? 0 : remove_image(pool, slot);
    if (rc < 0)
        return rc;
    if (hl_slot_place(pool, slot, &first, &capacity)) {
        for (uint32_t i = 0; i < capacity; i++) {
            rc = hl_chunk_forget(pool, first + i, deadline_ns);
            if (rc < 0)
                return rc;
        }
    }
    /* Tickets that the dead forgot here are nobody's from now on; the sweep collects them. */
    atomic_store_explicit(&slot->state, HL_SLOT_FREE, memory_order_release);
    return 0;
}

void hl_slot_collect(struct hugelite_pool *pool)
{
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];
        uint32_t state = state_of(slot);

        if (state == HL_SLOT_DYING ||
            (state == HL_SLOT_LIVE &&
             atomic_load_explicit(&slot->superseded, memory_order_relaxed) &&
             !hl_reader_of_volume(pool, i)))
            retire(pool, slot, 0); /* without waiting: what fails stays for the next time */
    }
}

/* Make room by taking down the volume that has been unused for longest.  False
 * when every volume is in use. */
static bool retire_oldest(struct hugelite_pool *pool)
{
    struct hl_slot *oldest = NULL;

    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (state_of(slot) == HL_SLOT_LIVE && (!oldest || slot->used_ns < oldest->used_ns) &&
            !hl_reader_of_volume(pool, i))
            oldest = slot;
    }
    return oldest && retire(pool, oldest, hl_now_ns() + hl_patience_ns) == 0;
}

static int make_image(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    char name[HL_IMAGE_NAME_BYTES];
    int fd, cause;

    hl_slot_image_name(pool, slot, name);
    /* One that is there is of a maker who died before its slot was live: empty,
     * and of no known length. */
    hl_sys.unlinkat(pool->dir_fd, name, 0);
    fd = hl_sys.openat(pool->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       0600);
    if (fd < 0)
        return hl_error(errno, "pool '%s': cannot make an image: %s", pool->dir, strerror(errno));
    /* The mode by hand, so that the umask of whoever came first does not lock
     * out the rest of the group. */
    if (hl_sys.fchmod(fd, pool->file_mode) < 0 ||
        hl_sys.ftruncate(fd, (off_t)slot->capacity << HL_CHUNK_SHIFT) < 0) {
        cause = errno;
        hl_sys.close(fd);
        hl_sys.unlinkat(pool->dir_fd, name, 0);
        return hl_error(cause, "pool '%s': cannot make an image: %s", pool->dir, strerror(cause));
    }
    hl_sys.close(fd);
    return 0;
}

static struct hl_slot *free_slot(struct hugelite_pool *pool)
{
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        if (state_of(&pool->slots[i]) == HL_SLOT_FREE)
            return &pool->slots[i];
    return NULL;
}

/* A newer version has the share of the one before. */
static uint32_t share_of_name(struct hugelite_pool *pool, const uint64_t name_key[2])
{
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];
        uint32_t share = atomic_load_explicit(&slot->share, memory_order_relaxed);

        if (state_of(slot) == HL_SLOT_LIVE && share &&
            memcmp(slot->name_key, name_key, sizeof slot->name_key) == 0)
            return share;
    }
    return 0;
}

static int make_slot(struct hugelite_pool *pool, const struct hl_codec *codec, uint32_t share,
                     uint32_t *ret_slot)
{
    const struct hl_source *source = codec->source;
    uint64_t chunks = (codec->bytes + HL_CHUNK_MASK) >> HL_CHUNK_SHIFT;
    uint32_t capacity, first;
    struct hl_slot *slot;
    int rc;

    if (chunks > pool->nr_words)
        return hl_error(EFBIG, "%s: has %llu chunks, the pool's tables hold %u; make the pool anew"
                        " with a larger budget", source->name, (unsigned long long)chunks,
                        pool->nr_words);
    capacity = chunks <= CAPACITY_MIN / 2 ? CAPACITY_MIN : (uint32_t)chunks;
    if (chunks > CAPACITY_MIN / 2 && 2 * chunks <= pool->nr_words / 2)
        capacity = (uint32_t)(2 * chunks);

    for (;;) {
        slot = free_slot(pool);
        if (slot && find_run(pool, capacity, &first))
            break;
        if (capacity > chunks && slot && find_run(pool, (uint32_t)chunks, &first)) {
            capacity = (uint32_t)chunks;
            break;
        }
        if (!retire_oldest(pool))
            return hl_error(ENOSPC, "pool '%s': its tables are full of volumes in use", pool->dir);
    }

    /* Still FREE to everybody until the last store. */
    atomic_fetch_add_explicit(&slot->life, 1, memory_order_seq_cst);
    memset((char *)slot + offsetof(struct hl_slot, first), 0,
           sizeof *slot - offsetof(struct hl_slot, first));
    slot->first = first;
    slot->capacity = capacity;
    atomic_store_explicit(&slot->bytes, codec->bytes, memory_order_relaxed);
    atomic_store_explicit(&slot->superseded, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->scout, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->share, share, memory_order_relaxed);
    atomic_store_explicit(&slot->contested, 0, memory_order_relaxed);
    memcpy(slot->key, source->key, sizeof slot->key);
    memcpy(slot->name_key, source->name_key, sizeof slot->name_key);
    snprintf(slot->source, sizeof slot->source, "%s", source->name);
    rc = pool->alone ? 0 : make_image(pool, slot);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < capacity; i++)
        atomic_store_explicit(&pool->words[first + i], HL_CHUNK_EMPTY, memory_order_relaxed);
    atomic_store_explicit(&slot->state, HL_SLOT_LIVE, memory_order_release);
    *ret_slot = (uint32_t)(slot - pool->slots);
    return 0;
}

void hl_slot_discard(struct hugelite_pool *pool, uint32_t slot)
{
    if (!hl_reader_of_volume(pool, slot))
        retire(pool, &pool->slots[slot], 0);
}

int hl_slot_open(struct hugelite_pool *pool, const struct hl_codec *codec, uint32_t *ret_slot)
{
    const struct hl_source *source = codec->source;
    uint32_t share = share_of_name(pool, source->name_key), found = HL_SLOTS, first, capacity;
    int rc;

    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (state_of(slot) != HL_SLOT_LIVE)
            continue;
        if (memcmp(slot->key, source->key, sizeof slot->key) == 0) {
            if (!hl_slot_place(pool, slot, &first, &capacity) || slot->bytes != codec->bytes)
                return hl_error(EBADMSG, "pool '%s': the entry of %s is damaged", pool->dir,
                                source->name);
            found = i;
        } else if (memcmp(slot->name_key, source->name_key, sizeof slot->name_key) == 0) {
            atomic_store_explicit(&slot->superseded, 1, memory_order_relaxed);
        }
    }
    /* A version that comes back, as when a copy is moved into place again, is the
     * newest once more. */
    if (found != HL_SLOTS)
        atomic_store_explicit(&pool->slots[found].superseded, 0, memory_order_relaxed);
    hl_slot_collect(pool);
    if (found == HL_SLOTS) {
        rc = make_slot(pool, codec, share, &found);
        if (rc < 0)
            return rc;
    }
    atomic_store_explicit(&pool->slots[found].used_ns, hl_now_ns(), memory_order_relaxed);
    *ret_slot = found;
    return 0;
}
