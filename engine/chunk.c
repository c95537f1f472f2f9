/* SPDX-License-Identifier: MIT
 *
 * chunk.c - the life of a chunk: claim, fill, publish, wait, take over from the dead, evict; and reads
 * that come before a page for it, or go without.
 * Every change of a chunk word is in this file, but for the `referenced` bit,
 * which readers set and the sweep clears.
 *
 * Entry points: chunk.h.
 * See also: engine/README.md (the drawing, the table, who dies where), image.c, replacement.c.
 */
#include "config.h"

#include "chunk.h"

#include "admission.h"
#include "buffer.h"
#include "crew.h"
#include "error.h"
#include "fill.h"
#include "haul.h"
#include "lock.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "sys.h"
#include "tickets.h"
#include "volume.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /* First and longest sleep between two looks at whether the owner lives.  A fill from the page cache takes
     * 0.2 ms, and each nap is a quarter longer: a filler's death costs who waits for him little of what he has
     * waited already. */
    NAP_MIN_NS = 200 * 1000,
    NAP_MAX_NS = 64 * 1000 * 1000,

    /* Who wakes so much too late has been stopped, and a stop may as well fall between two naps: so a deadline
     * counts only after a few of them. */
    NAP_LATE_NS = 100 * 1000 * 1000,
    NAPS_MIN = 4,
};

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

/* What the empty word knew decides what becomes of the chunk when it is full. */
static uint64_t claimed_to_fill(const struct hl_volume *volume, uint64_t seen)
{
    return claimed_by(volume->pool, HL_CHUNK_FILLING, seen) |
           (hl_replacement_is_ghost(volume->pool, seen) ? HL_CHUNK_RETURNED : 0) |
           (hl_touches_earned(&volume->touches, seen) ? HL_CHUNK_EARNED : 0);
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

/* Sleep until the word changes from what was seen, or for one nap.  Returns how much longer it took
 * than that, if much: we have been stopped, which must not count as the owner's time, who may have
 * been stopped with us, or be a thread of ours. */
static uint64_t nap(_Atomic uint64_t *word, uint64_t seen, uint64_t *nap_ns, uint64_t deadline_ns)
{
    uint64_t now = hl_now_ns();
    uint64_t ns = *nap_ns;
    struct timespec timeout;

    if (!(seen & HL_CHUNK_WAITERS)) {
        if (!claim(word, seen, seen | HL_CHUNK_WAITERS))
            return 0; /* it has just changed: look again */
        seen |= HL_CHUNK_WAITERS;
    }
    if (now < deadline_ns && ns > deadline_ns - now)
        ns = deadline_ns - now;
    timeout = (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    /* The low half is the futex: state, flags and member.  (Little-endian only, as x86 and ARM run.) */
    hl_sys.futex_wait(word, (uint32_t)seen, &timeout);
    *nap_ns = *nap_ns < NAP_MAX_NS / 2 ? *nap_ns + *nap_ns / 4 : NAP_MAX_NS;
    now = hl_now_ns() - now;
    return now > ns + NAP_LATE_NS ? now - ns : 0;
}

/* End a claim to fill without a page. */
static int abandon(const struct hl_fill *f, int rc)
{
    uint64_t next = HL_CHUNK_EMPTY;

    /* Our lack of memory, or of pages in our cgroup, says nothing about others, and what nobody asked for
     * has not failed for lack of room: who waits tries for himself. */
    if (f->asked && rc != -ENOMEM && rc != -ENOSPC)
        next |= HL_CHUNK_FAILED | (uint64_t)(-rc & 0xff) << HL_CHUNK_ERROR_SHIFT;
    if (rc == -ENOSPC)
        rc = -EBUSY;
    if (rc != -EBUSY && rc != -ECANCELED)
        hl_count(&f->volume->slot->stats.errors, 1);
    if (rc == -EBADMSG)
        hl_touches_damage(&f->volume->touches, f->index);
    settle_word(&f->volume->pool->words[f->volume->first + f->index], next);
    return rc;
}

/* Ends the claim; the buffer stays the caller's. */
static int fill_and_publish(const struct hl_fill *f)
{
    struct hl_volume *volume = f->volume;
    _Atomic uint64_t *word = &volume->pool->words[volume->first + f->index];
    uint32_t ticket = 0;
    uint64_t policy;
    int rc;

    /* The ticket before the read: when there is no room, that is known at once, and when
     * more fill than there is room for, some wait. */
    rc = hl_replacement_take(volume->pool, volume->slot, volume->first + f->index,
                             f->asked ? hl_patience_ns : 0, &ticket);
    if (rc == -EBUSY)
        hl_replacement_note_full(volume->pool);
    if (rc == 0) {
        rc = hl_fill(f);
        if (rc < 0)
            hl_ticket_give(volume->pool, ticket);
    }
    if ((rc == -EBUSY || rc == -ENOSPC) && f->asked)
        hl_replacement_note_held(volume->pool);
    if (rc < 0)
        return abandon(f, rc);
    hl_count(&volume->slot->stats.fills, 1);
    policy = hl_replacement_enter(atomic_load_explicit(word, memory_order_relaxed), !f->asked);
    settle_word(word, HL_CHUNK_RESIDENT | policy | (f->asked ? 0 : HL_CHUNK_AHEAD) |
                          (uint64_t)ticket << HL_CHUNK_TICKET_SHIFT);
    if (policy & HL_CHUNK_FRESH)
        hl_replacement_entered(volume->pool, ticket);
    return 0;
}

/* We have claimed the chunk.  Ends the claim. */
static int fill_claimed(struct hl_volume *volume, uint32_t index, bool took_over, bool asked,
                        bool if_room)
{
    struct hl_fill f = { .volume = volume, .index = index, .asked = asked, .if_room = if_room };
    int rc = 0;

    /* It would come too late: after the chunk has been used, and perhaps has left again. */
    if (asked)
        hl_touches_unwish(&volume->touches, index);
    /* The dead may have left a page, whole or (small pages) in part. */
    if (took_over)
        rc = hl_image_punch(volume->image.fd, index, 1);
    if (rc == 0) {
        f.buffer = hl_buffer_get();
        if (!f.buffer)
            rc = hl_error(ENOMEM, "%s: no memory for a fill buffer", volume->source->name);
    }
    if (rc < 0)
        return abandon(&f, rc);
    rc = fill_and_publish(&f);
    hl_buffer_put(f.buffer);
    return rc;
}

/* An evictor died with this claim, which now is ours, before it began to punch: the
 * page is whole, and a reader may well point into it.  Ends the claim. */
static void put_back(struct hl_volume *volume, uint32_t index)
{
    struct hugelite_pool *pool = volume->pool;
    uint32_t chunk = volume->first + index, ticket;

    if (hl_ticket_adopt(pool, chunk, &ticket)) {
        settle_word(&pool->words[chunk], HL_CHUNK_RESIDENT | HL_CHUNK_REFERENCED |
                                             (uint64_t)ticket << HL_CHUNK_TICKET_SHIFT);
        return;
    }
    /* A resident chunk without a ticket: the segment is damaged.  Begin anew. */
    hl_image_punch(volume->image.fd, index, 1);
    settle_word(&pool->words[chunk], HL_CHUNK_EMPTY);
}

/* Claim a chunk of which `seen` was seen, and do what it needs.  1 when somebody was quicker. */
static int claim_and_fill(struct hl_volume *volume, uint32_t index, uint64_t seen,
                          bool asked, bool if_room)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    bool whole = hl_chunk_state(seen) == HL_CHUNK_EVICTING && !(seen & HL_CHUNK_DOOMED);
    int rc = 1;

    hl_quiet_begin();
    if (whole) {
        if (claim(word, seen, claimed_by(pool, HL_CHUNK_EVICTING, seen)))
            put_back(volume, index);
    } else if (claim(word, seen, claimed_to_fill(volume, seen))) {
        rc = fill_claimed(volume, index, hl_chunk_state(seen) != HL_CHUNK_EMPTY, asked,
                          if_room);
    }
    hl_quiet_end();
    return rc;
}

int hl_chunk_make_resident(struct hl_volume *volume, uint32_t index, uint64_t deadline_ns)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    uint64_t nap_ns = NAP_MIN_NS;
    unsigned naps = 0;
    bool waited = false;
    int rc;

    if (pool->uncached)
        return hl_error(pool->alone ? ENOSPC : EPERM, "%s: chunk %u cannot be filled: %s",
                        volume->source->name, index, pool->uncached_why);
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
            rc = claim_and_fill(volume, index, seen, true, false);
            if (rc <= 0)
                return rc;
            continue;

        case HL_CHUNK_FILLING:
        case HL_CHUNK_EVICTING:
            if (!hl_member_alive(pool, seen & HL_OWNER_MASK)) {
                rc = claim_and_fill(volume, index, seen, true, false);
                if (rc <= 0)
                    return rc;
                continue;
            }
            /* Our own, and no thread of the crew has come to it yet. */
            if ((seen & HL_OWNER_MASK) == pool->owner) {
                if (hl_crew_run_due(&pool->crew, volume, index))
                    continue;
                if (!waited && volume->source->remote)
                    hl_haul_hurry(volume, index);
            }
            if (naps >= NAPS_MIN && hl_now_ns() >= deadline_ns)
                return hl_error(ETIMEDOUT, "%s: chunk %u: member %u is %s it and makes no progress",
                                volume->source->name, index, HL_OWNER_MEMBER(seen),
                                hl_chunk_state(seen) == HL_CHUNK_FILLING ? "filling" : "evicting");
            if (!waited)
                hl_count(&volume->slot->stats.waits, 1);
            waited = true;
            naps++;
            deadline_ns += nap(word, seen, &nap_ns, deadline_ns);
            continue;
        }
    }
}

/* ---- fills that nobody waits for -------------------------------------------- */

/* Nobody has the chunk, or somebody who is dead. */
static bool wants_filling(const struct hl_volume *volume, uint64_t word)
{
    return !volume->pool->uncached &&
           (hl_chunk_state(word) == HL_CHUNK_EMPTY ||
            (is_claimed(word) && !hl_member_alive(volume->pool, word & HL_OWNER_MASK)));
}

/* A wish has come to its turn: fill, unless somebody has done it or there is no room any more. */
static void run_ahead(const struct hl_job *job)
{
    struct hl_volume *volume = job->volume;
    struct hugelite_pool *pool = volume->pool;
    uint64_t seen = load(&pool->words[volume->first + job->index]);

    if (hl_touches_unwish(&volume->touches, job->index) &&
        wants_filling(volume, seen) &&
        (!job->if_room || hl_replacement_has_room(pool, volume->nr_chunks)))
        claim_and_fill(volume, job->index, seen, false, job->if_room);
}

void hl_chunk_post_ahead(struct hl_volume *volume, uint32_t index, bool if_room)
{
    struct hl_job job = { .run = run_ahead, .volume = volume, .index = index, .if_room = if_room };

    if (!wants_filling(volume, load(&volume->pool->words[volume->first + index])) ||
        hl_touches_damaged(&volume->touches, index))
        return;
    hl_quiet_begin();
    if (hl_touches_wish(&volume->touches, index) &&
        !hl_crew_post(&volume->pool->crew, if_room ? HL_JOB_WISH : HL_JOB_AHEAD, &job))
        hl_touches_unwish(&volume->touches, index);
    hl_quiet_end();
}

bool hl_chunk_claim_haul(struct hl_volume *volume, uint32_t index)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + index];
    uint64_t seen = load(word);
    bool whole = hl_chunk_state(seen) == HL_CHUNK_EVICTING && !(seen & HL_CHUNK_DOOMED);

    /* What a dead evictor left whole is put back by whoever needs it. */
    if (whole || !wants_filling(volume, seen) || hl_touches_damaged(&volume->touches, index) ||
        !claim(word, seen, claimed_to_fill(volume, seen)))
        return false;
    hl_touches_unwish(&volume->touches, index);
    if (hl_chunk_state(seen) != HL_CHUNK_EMPTY &&
        hl_image_punch(volume->image.fd, index, 1) < 0) {
        hl_chunk_drop_haul(volume, index);
        return false;
    }
    return true;
}

void hl_chunk_fill_haul(struct hl_volume *volume, uint32_t index, bool if_room)
{
    struct hl_fill f = { .volume = volume, .index = index, .staged = true, .if_room = if_room,
                         .buffer = hl_buffer_get() };

    if (!f.buffer) {
        hl_chunk_drop_haul(volume, index);
        return;
    }
    fill_and_publish(&f);
    hl_buffer_put(f.buffer);
}

void hl_chunk_drop_haul(struct hl_volume *volume, uint32_t index)
{
    settle_word(&volume->pool->words[volume->first + index], HL_CHUNK_EMPTY);
}

/* The rest of a chunk whose first bytes have been served.  The claim is this process's, not a
 * thread's, so it can end here. */
static void run_due(const struct hl_job *job)
{
    struct hl_fill f = { .volume = job->volume, .index = job->index, .from = job->from,
                      .to = job->to, .buffer = job->buffer, .if_room = job->if_room };

    hl_quiet_begin();
    fill_and_publish(&f);
    hl_buffer_put(f.buffer);
    hl_quiet_end();
}

/* The chunk is claimed.  Serve the reader, then let the crew go on. */
static int serve_and_post(struct hl_volume *volume, uint64_t offset, uint32_t length, bool if_room,
                          void *bytes)
{
    uint32_t in_chunk = (uint32_t)offset & HL_CHUNK_MASK;
    struct hl_job job = { .run = run_due, .volume = volume,
                          .index = (uint32_t)(offset >> HL_CHUNK_SHIFT),
                          .from = in_chunk, .to = in_chunk + length, .buffer = hl_buffer_get(),
                          .if_room = if_room };
    bool whole = false;
    int rc = -ENOMEM;

    if (job.buffer) {
        whole = hl_fill_widen(volume, job.index, &job.from, &job.to);
        rc = hl_fill_decode(volume, offset - in_chunk + job.from, job.to - job.from,
                            (char *)job.buffer + job.from);
    }
    if (rc < 0) {
        abandon(&(struct hl_fill){ .volume = volume, .index = job.index }, rc);
        if (job.buffer)
            hl_buffer_put(job.buffer);
        hl_crew_unreserve(&volume->pool->crew);
        return rc;
    }
    memcpy(bytes, (char *)job.buffer + in_chunk, length);
    hl_count(&volume->slot->stats.early_reads, 1);
    if (!whole)
        job.from = job.to = 0;
    hl_crew_post(&volume->pool->crew, HL_JOB_DUE, &job);
    return 0;
}

int hl_chunk_serve_early(struct hl_volume *volume, uint64_t offset, uint32_t length, bool if_room,
                         void *bytes)
{
    struct hugelite_pool *pool = volume->pool;
    _Atomic uint64_t *word = &pool->words[volume->first + (uint32_t)(offset >> HL_CHUNK_SHIFT)];
    uint64_t seen = load(word);
    int rc = 1;

    if (hl_chunk_state(seen) != HL_CHUNK_EMPTY)
        return 1;
    hl_quiet_begin();
    if (hl_crew_reserve(&pool->crew)) {
        if (claim(word, seen, claimed_to_fill(volume, seen)))
            rc = serve_and_post(volume, offset, length, if_room, bytes);
        else
            hl_crew_unreserve(&pool->crew);
    }
    hl_quiet_end();
    return rc;
}

int hl_chunk_read_past(struct hl_volume *volume, uint64_t offset, uint32_t length, void *bytes)
{
    hl_count(&volume->slot->stats.early_reads, 1);
    return hl_fill_decode(volume, offset, length, bytes);
}

/* ---- eviction ------------------------------------------------------------------ */

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

/* It cannot leave now: a reader holds it, or it cannot be punched.  What was an orphan's is one again.  Who stood
 * in the ring of those on probation, and was taken out of it, stands there again. */
static void give_back(struct hugelite_pool *pool, const struct hl_victim *victim)
{
    uint64_t word = victim->was & ~(uint64_t)HL_CHUNK_WAITERS;
    bool resident = hl_chunk_state(word) == HL_CHUNK_RESIDENT;

    /* To be held is to be used, but for who only passes through. */
    if (resident && !(word & HL_CHUNK_FRESH))
        word |= HL_CHUNK_REFERENCED;
    settle_word(&pool->words[victim->chunk], word);
    if (resident && victim->stood)
        hl_replacement_entered(pool, victim->ticket);
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
            give_back(pool, &victims[i]);
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

            if (rc < 0 && slot) {
                give_back(pool, &victims[v]);
                continue;
            }
            /* The ticket before the word: once the word says EMPTY, a sweep may
             * take a ticket that still points here for a stale one. */
            hl_ticket_free(pool, victims[v].ticket, victims[v].ticket_word);
            settle_word(word, HL_CHUNK_EMPTY | hl_replacement_ghost(pool));
            if (slot)
                hl_count(&slot->stats.evictions, 1);
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
    hl_ticket_give(pool, hl_chunk_ticket(seen));
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
            deadline_ns += nap(word, seen, &nap_ns, deadline_ns);
        } else if (claim(word, seen, HL_CHUNK_EMPTY)) {
            if (hl_chunk_state(seen) == HL_CHUNK_RESIDENT)
                hl_ticket_forget(pool, hl_chunk_ticket(seen), chunk);
            if (seen & HL_CHUNK_WAITERS)
                hl_sys.futex_wake(word, INT_MAX);
            return 0;
        }
    }
}
