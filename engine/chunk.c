/* SPDX-License-Identifier: MIT
 *
 * chunk.c - the life of a chunk: claim, fill, publish, wait, take over from the dead, evict.
 * Every change of a chunk word is in this file, but for the `referenced` bit,
 * which readers set and the sweep clears.
 *
 * Entry points: chunk.h.
 * See also: engine/README.md (the drawing, the table, who dies where), image.c, replacement.c.
 */
#include "config.h"

#include "chunk.h"

#include "buffer.h"
#include "codec.h"
#include "error.h"
#include "lock.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "sys.h"
#include "volume.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* First and longest sleep between two looks at whether the owner lives. */
enum { NAP_MIN_NS = 1000 * 1000, NAP_MAX_NS = 64 * 1000 * 1000 };

static uint64_t load(const _Atomic uint64_t *word)
{
    /* acquire: pairs with the release in settle_word, so that whoever sees
     * RESIDENT sees the page, and whoever sees EMPTY sees the hole. */
    return atomic_load_explicit(word, memory_order_acquire);
}

/* Claims are seq_cst: the claim for eviction must come before the look at the
 * pins in the one order that the readers' pin-then-look is part of (rule 4). */
static bool claim(_Atomic uint64_t *word, uint64_t seen, uint64_t next)
{
    return atomic_compare_exchange_strong_explicit(word, &seen, next, memory_order_seq_cst,
                                                   memory_order_relaxed);
}

static uint64_t claimed_by(const struct hugelite_pool *pool, enum hl_chunk_state state,
                           uint64_t seen)
{
    return pool->owner | state | (seen & HL_CHUNK_WAITERS);
}

/* End a claim of ours.  exchange, because a waiter may set its bit meanwhile. */
static void settle_word(_Atomic uint64_t *word, uint64_t next)
{
    uint64_t was = atomic_exchange_explicit(word, next, memory_order_seq_cst);

    if (was & HL_CHUNK_WAITERS)
        hl_sys.futex_wake(word, INT_MAX);
}

static bool is_claimed(uint64_t word)
{
    return hl_chunk_state(word) == HL_CHUNK_FILLING || hl_chunk_state(word) == HL_CHUNK_EVICTING;
}

/* Sleep until the word changes from what was seen, or for one nap. */
static void nap(_Atomic uint64_t *word, uint64_t seen, uint64_t *nap_ns, uint64_t deadline_ns)
{
    uint64_t now = hl_now_ns();
    uint64_t ns = *nap_ns;
    struct timespec timeout;

    if (!(seen & HL_CHUNK_WAITERS)) {
        if (!claim(word, seen, seen | HL_CHUNK_WAITERS))
            return; /* it has just changed: look again */
        seen |= HL_CHUNK_WAITERS;
    }
    if (now >= deadline_ns)
        return;
    if (ns > deadline_ns - now)
        ns = deadline_ns - now;
    timeout = (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    /* The low half is the futex: state, flags and member.  (Little-endian only, as x86 and ARM run.) */
    hl_sys.futex_wait(word, (uint32_t)seen, &timeout);
    if (*nap_ns < NAP_MAX_NS)
        *nap_ns *= 2;
}

static void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* A ticket is a promise of the budget; the file system may still be out of
 * pages, when others use them.  Each round evicts at least one chunk. */
static int populate(struct hl_volume *volume, uint32_t index, const void *buffer)
{
    int rc = -ENOSPC;

    for (uint32_t round = 0; rc == -ENOSPC && round <= volume->pool->nr_tickets; round++) {
        rc = hl_image_populate(&volume->image, index, buffer);
        if (rc == -ENOSPC && hl_replacement_shrink(volume->pool) < 0)
            return -EBUSY;
    }
    return rc;
}

/* Read, decode and populate a chunk that we have claimed, and have a ticket for. */
static int fill(struct hl_volume *volume, uint32_t index)
{
    uint64_t offset = (uint64_t)index << HL_CHUNK_SHIFT;
    uint64_t rest = volume->bytes - offset;
    uint32_t length = rest < HL_CHUNK_BYTES ? (uint32_t)rest : HL_CHUNK_BYTES;
    uint64_t source_bytes = 0;
    void *buffer;
    int rc;

    buffer = hl_buffer_get();
    if (!buffer)
        return hl_error(ENOMEM, "%s: no memory for a fill buffer", volume->source->name);

    rc = volume->codec->ops->read(volume->codec, offset, length, buffer, &source_bytes);
    count(&volume->slot->source_bytes, source_bytes);
    if (rc == 0) {
        memset((char *)buffer + length, 0, HL_CHUNK_BYTES - length);
        rc = populate(volume, index, buffer);
    }
    hl_buffer_put(buffer);
    return rc;
}

/* We have claimed the chunk (FILLING).  Ends the claim. */
static int fill_and_publish(struct hl_volume *volume, uint32_t index, bool took_over)
{
    _Atomic uint64_t *word = &volume->pool->words[volume->first + index];
    uint32_t ticket = 0;
    int rc = 0;

    /* The dead may have left a page, whole or (small pages) in part. */
    if (took_over)
        rc = hl_image_punch(volume->image.fd, index, 1);
    /* The ticket before the read: when there is no room, that is known at once, and when
     * more fill than there is room for, some wait. */
    if (rc == 0)
        rc = hl_replacement_take(volume->pool, volume->first + index, &ticket);
    if (rc == 0) {
        rc = fill(volume, index);
        if (rc < 0)
            hl_replacement_give(volume->pool, ticket);
    }

    if (rc < 0) {
        count(&volume->slot->errors, 1);
        /* Our lack of memory says nothing about others: who waits tries for himself. */
        settle_word(word, rc == -ENOMEM ? HL_CHUNK_EMPTY
                                        : HL_CHUNK_EMPTY | HL_CHUNK_FAILED |
                                              (uint64_t)(-rc & 0xff) << HL_CHUNK_ERROR_SHIFT);
    } else {
        count(&volume->slot->fills, 1);
        settle_word(word, HL_CHUNK_RESIDENT | HL_CHUNK_REFERENCED |
                              (uint64_t)ticket << HL_CHUNK_TICKET_SHIFT);
    }
    return rc;
}

/* An evictor died with this claim, which now is ours, before it began to punch: the
 * page is whole, and a reader may well point into it.  Ends the claim. */
static void put_back(struct hl_volume *volume, uint32_t index)
{
    struct hugelite_pool *pool = volume->pool;
    uint32_t chunk = volume->first + index, ticket;

    if (hl_replacement_adopt(pool, chunk, &ticket)) {
        settle_word(&pool->words[chunk], HL_CHUNK_RESIDENT | HL_CHUNK_REFERENCED |
                                             (uint64_t)ticket << HL_CHUNK_TICKET_SHIFT);
        return;
    }
    /* A resident chunk without a ticket: the segment is damaged.  Begin anew. */
    hl_image_punch(volume->image.fd, index, 1);
    settle_word(&pool->words[chunk], HL_CHUNK_EMPTY);
}

/* Claim a chunk of which `seen` was seen, and do what it needs.  1 when somebody was quicker. */
static int claim_and_fill(struct hl_volume *volume, uint32_t index, uint64_t seen)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    bool whole = hl_chunk_state(seen) == HL_CHUNK_EVICTING && !(seen & HL_CHUNK_DOOMED);
    int rc = 1;

    hl_quiet_begin();
    if (whole) {
        if (claim(word, seen, claimed_by(pool, HL_CHUNK_EVICTING, seen)))
            put_back(volume, index);
    } else if (claim(word, seen, claimed_by(pool, HL_CHUNK_FILLING, seen))) {
        rc = fill_and_publish(volume, index, hl_chunk_state(seen) != HL_CHUNK_EMPTY);
    }
    hl_quiet_end();
    return rc;
}

int hl_chunk_make_resident(struct hl_volume *volume, uint32_t index, uint64_t deadline_ns)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    uint64_t nap_ns = NAP_MIN_NS;
    bool waited = false;
    int rc;

    for (;;) {
        uint64_t seen = load(word);

        switch (hl_chunk_state(seen)) {
        case HL_CHUNK_RESIDENT:
            return 0;

        case HL_CHUNK_EMPTY:
            if (waited && (seen & HL_CHUNK_FAILED)) {
                int err = (int)(seen >> HL_CHUNK_ERROR_SHIFT & 0xff);

                return hl_error(err, "%s: chunk %u: another process could not fill it: %s",
                                volume->source->name, index, strerror(err));
            }
            rc = claim_and_fill(volume, index, seen);
            if (rc <= 0)
                return rc;
            continue;

        case HL_CHUNK_FILLING:
        case HL_CHUNK_EVICTING:
            if (!hl_member_alive(pool, seen & HL_OWNER_MASK)) {
                rc = claim_and_fill(volume, index, seen);
                if (rc <= 0)
                    return rc;
                continue;
            }
            if (hl_now_ns() >= deadline_ns)
                return hl_error(ETIMEDOUT, "%s: chunk %u: member %u is %s it and makes no progress",
                                volume->source->name, index, HL_OWNER_MEMBER(seen),
                                hl_chunk_state(seen) == HL_CHUNK_FILLING ? "filling" : "evicting");
            if (!waited)
                count(&volume->slot->waits, 1);
            waited = true;
            nap(word, seen, &nap_ns, deadline_ns);
            continue;
        }
    }
}

bool hl_chunk_claim_victim(struct hugelite_pool *pool, uint32_t chunk, uint64_t seen)
{
    return claim(&pool->words[chunk], seen, claimed_by(pool, HL_CHUNK_EVICTING, seen));
}

bool hl_chunk_claim_orphan(struct hugelite_pool *pool, uint32_t chunk, uint64_t seen)
{
    uint64_t next = claimed_by(pool, HL_CHUNK_EVICTING, seen);

    /* Only what an evictor had not begun to punch is whole; what a filler left is not. */
    if (hl_chunk_state(seen) == HL_CHUNK_FILLING || (seen & HL_CHUNK_DOOMED))
        next |= HL_CHUNK_DOOMED;
    return is_claimed(seen) && !hl_member_alive(pool, seen & HL_OWNER_MASK) &&
           claim(&pool->words[chunk], seen, next);
}

/* Punch a run of neighbours in whichever volume they belong to, which this
 * process need not have open. */
static int punch_run(struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t first,
                     uint32_t nr)
{
    char name[HL_IMAGE_NAME_BYTES];
    int fd, rc;

    hl_slot_image_name(pool, slot, name);
    fd = hl_sys.openat(pool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return hl_error(errno, "pool '%s': image %s: %s", pool->dir, name, strerror(errno));
    rc = hl_image_punch(fd, first - slot->first, nr);
    hl_sys.close(fd);
    return rc;
}

static int by_chunk(const void *a, const void *b)
{
    const struct hl_victim *x = a, *y = b;

    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

unsigned hl_chunk_evict(struct hugelite_pool *pool, struct hl_victim *victims, unsigned nr)
{
    uint32_t chunks[HL_VICTIMS] = { 0 };
    uint32_t held;
    unsigned left = 0, gone = 0;

    HL_ASSERT(nr <= HL_VICTIMS);
    for (unsigned i = 0; i < nr; i++)
        chunks[i] = victims[i].chunk;
    held = hl_reader_holds(pool, chunks, nr);

    for (unsigned i = 0; i < nr; i++) {
        if (held >> i & 1)
            settle_word(&pool->words[chunks[i]],
                        (victims[i].was | HL_CHUNK_REFERENCED) & ~(uint64_t)HL_CHUNK_WAITERS);
        else
            victims[left++] = victims[i];
    }
    /* From here on who takes over from us must not put them back. */
    for (unsigned i = 0; i < left; i++)
        atomic_fetch_or_explicit(&pool->words[victims[i].chunk], HL_CHUNK_DOOMED,
                                 memory_order_seq_cst);
    qsort(victims, left, sizeof *victims, by_chunk);

    for (unsigned i = 0, run; i < left; i += run) {
        /* Only now: while the claim stands, the slot cannot be taken down. */
        struct hl_slot *slot = hl_slot_of_chunk(pool, victims[i].chunk);
        int rc;

        for (run = 1; i + run < left && slot; run++)
            if (victims[i + run].chunk != victims[i].chunk + run ||
                victims[i + run].chunk >= slot->first + slot->capacity)
                break;
        rc = slot ? punch_run(pool, slot, victims[i].chunk, run) : -ENOENT;

        for (unsigned v = i; v < i + run; v++) {
            _Atomic uint64_t *word = &pool->words[victims[v].chunk];

            if (rc < 0 && slot && hl_chunk_state(victims[v].was) == HL_CHUNK_RESIDENT) {
                /* Still there; no harm, but it cannot leave now. */
                settle_word(word, victims[v].was & ~(uint64_t)HL_CHUNK_WAITERS);
                continue;
            }
            /* The ticket before the word: once the word says EMPTY, a sweep may
             * take a ticket that still points here for a stale one. */
            hl_replacement_free(pool, victims[v].ticket, victims[v].ticket_word);
            settle_word(word, HL_CHUNK_EMPTY);
            if (slot)
                count(&slot->evictions, 1);
            gone++;
        }
    }
    return gone;
}

static bool drop(struct hl_volume *volume, uint32_t index)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    uint64_t seen = load(word);

    if (hl_chunk_state(seen) != HL_CHUNK_RESIDENT)
        return true; /* somebody else has noticed */
    if (!claim(word, seen, claimed_by(pool, HL_CHUNK_EVICTING, seen)))
        return false;
    /* The page may have come back since the caller looked, and somebody may hold
     * it: then this is not the word that was wrong. */
    if (hl_image_settle(&volume->image, index)) {
        settle_word(word, seen & ~(uint64_t)HL_CHUNK_WAITERS);
        return true;
    }
    /* Pins do not matter: there is nothing to lose.  A stray zero page may come in
     * between, hence the punch. */
    atomic_fetch_or_explicit(word, HL_CHUNK_DOOMED, memory_order_seq_cst);
    if (hl_image_punch(volume->image.fd, index, 1) < 0) {
        settle_word(word, seen & ~(uint64_t)HL_CHUNK_WAITERS);
        return false;
    }
    hl_replacement_give(pool, hl_chunk_ticket(seen));
    settle_word(word, HL_CHUNK_EMPTY);
    return true;
}

bool hl_chunk_drop(struct hl_volume *volume, uint32_t index)
{
    bool done;

    hl_quiet_begin();
    done = drop(volume, index);
    hl_quiet_end();
    return done;
}

int hl_chunk_forget(struct hugelite_pool *pool, uint32_t chunk, uint64_t deadline_ns)
{
    _Atomic uint64_t *word = &pool->words[chunk];
    uint64_t nap_ns = NAP_MIN_NS;

    for (;;) {
        uint64_t seen = load(word);

        if (seen == HL_CHUNK_EMPTY)
            return 0;
        if (is_claimed(seen) && hl_member_alive(pool, seen & HL_OWNER_MASK)) {
            if (hl_now_ns() >= deadline_ns)
                return hl_error(ETIMEDOUT, "chunk %u: member %u holds it and makes no progress",
                                chunk, HL_OWNER_MEMBER(seen));
            nap(word, seen, &nap_ns, deadline_ns);
        } else if (claim(word, seen, HL_CHUNK_EMPTY)) {
            if (hl_chunk_state(seen) == HL_CHUNK_RESIDENT)
                hl_replacement_forget(pool, hl_chunk_ticket(seen), chunk);
            if (seen & HL_CHUNK_WAITERS)
                hl_sys.futex_wake(word, INT_MAX);
            return 0;
        }
    }
}
