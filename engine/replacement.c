/* SPDX-License-Identifier: MIT
 *
 * replacement.c - CLOCK with a reference bit, over tickets.  Policy only: it
 * never sees bytes.
 *
 * A ticket is one chunk's worth of the budget.  Its word says whose it is:
 *
 *    63            44 43      32 31           0
 *   +----------------+----------+--------------+
 *   | tag            | member   | chunk id + 1 |        0 = free
 *   +----------------+----------+--------------+
 *
 * Two hands go round the same circle.  The sweep hand frees tickets: it clears reference
 * bits, evicts what has none, and collects what the dead left.  The take hand follows it and
 * hands out what is free; when it has caught up, the taker moves the sweep on by
 * a batch, so that the next ones find free tickets ahead: eviction ahead of
 * need without a thread for it.
 *
 * There is no count of free tickets that a death could leave wrong: a ticket is in
 * use exactly while the word of its chunk says so (belongs_here), and a sweep
 * frees any other, whoever forgot it.
 *
 * Entry points: replacement.h.
 */
#include "config.h"

#include "replacement.h"

#include "chunk.h"
#include "error.h"
#include "pool.h"
#include "sys.h"

#include <stdbool.h>
#include <time.h>

#define TICKET_CHUNK(t) ((uint32_t)(t) - 1)
#define TICKET_MEMBER(t) ((uint32_t)((t) >> 32) & 0xfffu)

static_assert(HL_MEMBERS <= 0x1000, "a member index fits into a ticket");

static uint64_t make_ticket(struct hugelite_pool *pool, uint32_t chunk)
{
    /* The tag tells two uses of a ticket by one process for one chunk apart, so
     * that a slow sweeper's CAS does not free the second for the first. */
    static _Atomic uint32_t tag;
    uint64_t t = atomic_fetch_add_explicit(&tag, 1, memory_order_relaxed);

    t += (uint64_t)HL_OWNER_GENERATION(pool->owner) * 40503; /* nor of the seat's next life */

    return t << 44 | (uint64_t)HL_OWNER_MEMBER(pool->owner) << 32 | (chunk + 1);
}

void hl_replacement_free(struct hugelite_pool *pool, uint32_t ticket, uint64_t word)
{
    /* release: what the ticket stood for is a hole by now. */
    atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &word, 0,
                                            memory_order_release, memory_order_relaxed);
}

void hl_replacement_give(struct hugelite_pool *pool, uint32_t ticket)
{
    if (ticket < pool->nr_tickets)
        atomic_store_explicit(&pool->tickets[ticket], 0, memory_order_release);
}

/* Rounds of sweeping in which others took all that became free. */
enum { ROUNDS_MAX = 1000, FRUITLESS_MAX = 4, PAUSE_NS = 1000 * 1000 };

enum {
    ROOM_LOOK = 64,      /* tickets that has_room() looks at, in either place */
    ROOM_PAUSE = 15,     /* calls that it rests, at least, when it has found none that is free */
    TOUCHES_A_ROUND = 4, /* of the average chunk, while all are aged once: one that had none is not used */
};

/* How long a full file system is taken to be full, and a pool that is held to be held. */
enum { FULL_NS = 1000 * 1000 * 1000, HELD_NS = 50 * 1000 * 1000 };

void hl_replacement_forget(struct hugelite_pool *pool, uint32_t ticket, uint32_t chunk)
{
    uint64_t word;

    if (ticket >= pool->nr_tickets)
        return;
    word = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
    if (word && TICKET_CHUNK(word) == chunk)
        hl_replacement_free(pool, ticket, word);
}

bool hl_replacement_adopt(struct hugelite_pool *pool, uint32_t chunk, uint32_t *ret_ticket)
{
    for (uint32_t i = 0; i < pool->nr_tickets; i++) {
        uint64_t t = atomic_load_explicit(&pool->tickets[i], memory_order_acquire);

        /* A new word, so that a sweeper who took this one for a forgotten ticket does
         * not free it now. */
        if (t && TICKET_CHUNK(t) == chunk &&
            atomic_compare_exchange_strong_explicit(&pool->tickets[i], &t,
                                                    make_ticket(pool, chunk),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            *ret_ticket = i;
            return true;
        }
    }
    return false;
}

enum verdict {
    FREE,   /* can be taken */
    USED,   /* leave it */
    MOVING, /* being filled or evicted by somebody alive: wait, and it may become free */
    VICTIM, /* claimed for eviction */
};

#define NO_CHUNK UINT32_MAX

/* What is to be done with one ticket; claims its chunk when it can go.  wanting: the chunk
 * that a ticket is sought for, or NO_CHUNK. */
static enum verdict look_at(struct hugelite_pool *pool, uint32_t ticket, uint32_t wanting,
                            struct hl_victim *victim)
{
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
    uint32_t chunk = TICKET_CHUNK(t);
    uint64_t word;
    bool belongs_here = false;

    if (t == 0)
        return FREE;
    if (chunk >= pool->nr_words) {
        hl_replacement_free(pool, ticket, t);
        return FREE;
    }
    /* The filler claims the word first and takes the ticket then, and gives the
     * ticket back before it gives up the word: so a ticket whose word does not
     * know of it is nobody's. */
    word = atomic_load_explicit(&pool->words[chunk], memory_order_acquire);
    switch (hl_chunk_state(word)) {
    case HL_CHUNK_RESIDENT:
        if (hl_chunk_ticket(word) != ticket)
            break;
        if (word & HL_CHUNK_REFERENCED) {
            atomic_fetch_and_explicit(&pool->words[chunk], ~(uint64_t)HL_CHUNK_REFERENCED,
                                      memory_order_relaxed);
            return USED;
        }
        if (!hl_chunk_claim_victim(pool, chunk, word))
            return USED;
        *victim = (struct hl_victim){ chunk, ticket, t, word };
        return VICTIM;

    case HL_CHUNK_FILLING:
        /* The one that we are filling has no ticket yet: one that names it is of an
         * earlier life, and to wait for it would be to wait for ourselves. */
        belongs_here = chunk != wanting && HL_OWNER_MEMBER(word) == TICKET_MEMBER(t);
        /* fall through */
    case HL_CHUNK_EVICTING:
        if (chunk != wanting && hl_chunk_claim_orphan(pool, chunk, word)) {
            *victim = (struct hl_victim){ chunk, ticket, t, word };
            return VICTIM;
        }
        if (belongs_here || hl_chunk_state(word) == HL_CHUNK_EVICTING)
            return MOVING;
        break;

    case HL_CHUNK_EMPTY:
        break;
    }
    hl_replacement_free(pool, ticket, t);
    return FREE;
}

/* How many tickets a sweep frees ahead of need. */
static unsigned sweep_batch(const struct hugelite_pool *pool)
{
    unsigned batch = pool->nr_tickets / 16;

    if (batch > HL_VICTIMS)
        return HL_VICTIMS;
    return batch ? batch : 1;
}

/* Move the sweep hand until it has freed a batch.  Returns how many tickets
 * became, or were, free; *ret_moving: whether some are on the move. */
static unsigned sweep(struct hugelite_pool *pool, uint32_t wanting, bool *ret_moving)
{
    /* Two rounds see every chunk once with its reference bit cleared. */
    uint64_t steps = 2 * (uint64_t)pool->nr_tickets + HL_VICTIMS;
    struct hl_victim victims[HL_VICTIMS];
    unsigned batch = sweep_batch(pool), nr = 0, free = 0;

    *ret_moving = false;

    while (steps-- && free < batch) {
        uint64_t at = atomic_fetch_add_explicit(&pool->control->sweep_hand, 1,
                                                memory_order_relaxed);

        switch (look_at(pool, (uint32_t)(at % pool->nr_tickets), wanting, &victims[nr])) {
        case FREE:
            free++;
            break;
        case VICTIM:
            nr++;
            break;
        case MOVING:
            *ret_moving = true;
            break;
        case USED:
            break;
        }
        if (nr && nr + free >= batch) {
            free += hl_chunk_evict(pool, victims, nr);
            nr = 0;
        }
    }
    if (nr)
        free += hl_chunk_evict(pool, victims, nr);
    return free;
}

int hl_replacement_take(struct hugelite_pool *pool, uint32_t chunk, uint64_t patience_ns,
                        uint32_t *ret_ticket)
{
    uint64_t mine = make_ticket(pool, chunk);
    uint64_t deadline_ns = 0;
    unsigned fruitless = 0;
    bool moving;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        /* The hands are hints of where to look; what counts is the CAS on the
         * ticket.  Hence relaxed. */
        uint64_t at = atomic_load_explicit(&pool->control->take_hand, memory_order_relaxed);
        uint64_t end = atomic_load_explicit(&pool->control->sweep_hand, memory_order_relaxed);

        /* The sweep starts a round ahead, since all is free then; never let a
         * damaged or overtaken hand send us round more than once. */
        if (at < end && end - at > pool->nr_tickets)
            at = end - pool->nr_tickets;
        for (; at < end; at++) {
            uint32_t ticket = (uint32_t)(at % pool->nr_tickets);
            uint64_t none = 0;

            if (atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed) == 0 &&
                atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &none, mine,
                                                        memory_order_acq_rel,
                                                        memory_order_relaxed)) {
                atomic_store_explicit(&pool->control->take_hand, at + 1, memory_order_relaxed);
                *ret_ticket = ticket;
                return 0;
            }
        }
        atomic_store_explicit(&pool->control->take_hand, at, memory_order_relaxed);

        if (sweep(pool, chunk, &moving))
            continue;
        /* Nothing can go.  Chunks on the move may stay or leave in a moment; chunks that
         * are held stay for as long as a reader likes.  But the hand is everybody's: others may have
         * passed over, and taken, what we should have seen, so look again before giving up. */
        if (!moving && (!patience_ns || ++fruitless == FRUITLESS_MAX))
            break;
        if (!deadline_ns)
            deadline_ns = hl_now_ns() + patience_ns;
        if (hl_now_ns() >= deadline_ns)
            break;
        round = 0;
        nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
    }
    return hl_error(EBUSY, "pool '%s': all %llu bytes of the budget are in use", pool->dir,
                    (unsigned long long)pool->nr_tickets << HL_CHUNK_SHIFT);
}

/* Free tickets among the next few from a hand on, but for those of `aside`. */
static unsigned count_free(const struct hugelite_pool *pool, uint64_t hand, uint32_t aside_from,
                           uint32_t aside_nr)
{
    uint32_t nr_tickets = pool->nr_tickets, at = (uint32_t)(hand % nr_tickets);
    unsigned nr = 0;

    for (unsigned i = 0; i < ROOM_LOOK && i < nr_tickets; i++) {
        uint32_t distance = at >= aside_from ? at - aside_from : at + nr_tickets - aside_from;

        nr += distance >= aside_nr &&
              atomic_load_explicit(&pool->tickets[at], memory_order_relaxed) == 0;
        if (++at == nr_tickets)
            at = 0;
    }
    return nr;
}

/* Early reads touch no resident chunk, so nobody sweeps: let them age one now and then, or a pool full of
 * what nobody reads any more would stay so.  Is the next to leave one that has not been touched for a round? */
static bool next_is_unused(struct hugelite_pool *pool)
{
    uint64_t at = atomic_load_explicit(&pool->control->sweep_hand, memory_order_relaxed);
    uint32_t ticket = (uint32_t)(at % pool->nr_tickets);
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed), word;

    if (t && TICKET_CHUNK(t) < pool->nr_words) {
        word = atomic_load_explicit(&pool->words[TICKET_CHUNK(t)], memory_order_relaxed);
        if (hl_chunk_state(word) == HL_CHUNK_RESIDENT && hl_chunk_ticket(word) == ticket) {
            if (!(word & HL_CHUNK_REFERENCED))
                return true;
            atomic_fetch_and_explicit(&pool->words[TICKET_CHUNK(t)],
                                      ~(uint64_t)HL_CHUNK_REFERENCED, memory_order_relaxed);
        }
    }
    /* Somebody else may have moved it: then that was the step. */
    atomic_compare_exchange_strong_explicit(&pool->control->sweep_hand, &at, at + 1,
                                            memory_order_relaxed, memory_order_relaxed);
    return false;
}

/* What a sweep has freed for the next takers lies between the hands, and is no room: so more than
 * that at the take hand, or any elsewhere, where this process has found some before or goes on looking;
 * or what is not used. */
bool hl_replacement_has_room(struct hugelite_pool *pool, uint32_t nr_chunks)
{
    uint64_t take = atomic_load_explicit(&pool->control->take_hand, memory_order_relaxed);
    uint64_t sweep = atomic_load_explicit(&pool->control->sweep_hand, memory_order_relaxed);
    uint64_t look = atomic_load_explicit(&pool->room_hand, memory_order_relaxed);
    uint64_t full = atomic_load_explicit(&pool->full_until_ns, memory_order_relaxed);
    uint64_t between = sweep > take ? sweep - take : 0;
    uint32_t pause = atomic_load_explicit(&pool->room_pause, memory_order_relaxed);
    bool unused;

    /* A full pool mostly stays so, and an early read is over in a few microseconds. */
    if (pause) {
        atomic_store_explicit(&pool->room_pause, pause - 1, memory_order_relaxed);
        return false;
    }
    if (full && hl_now_ns() < full)
        return false;
    if (between > pool->nr_tickets)
        between = pool->nr_tickets;
    if (count_free(pool, take, 0, 0) > sweep_batch(pool) ||
        count_free(pool, look, (uint32_t)(take % pool->nr_tickets), (uint32_t)between))
        return true;
    unused = next_is_unused(pool);
    pause = (uint32_t)(TOUCHES_A_ROUND * (uint64_t)nr_chunks / pool->nr_tickets);
    atomic_store_explicit(&pool->room_hand, look + ROOM_LOOK, memory_order_relaxed);
    atomic_store_explicit(&pool->room_pause, pause > ROOM_PAUSE ? pause : ROOM_PAUSE,
                          memory_order_relaxed);
    return unused;
}

void hl_replacement_note_full(struct hugelite_pool *pool)
{
    atomic_store_explicit(&pool->full_until_ns, hl_now_ns() + FULL_NS, memory_order_relaxed);
}

void hl_replacement_note_held(struct hugelite_pool *pool)
{
    atomic_store_explicit(&pool->held_until_ns, hl_now_ns() + HELD_NS, memory_order_relaxed);
}

bool hl_replacement_is_held(const struct hugelite_pool *pool)
{
    uint64_t until = atomic_load_explicit(&pool->held_until_ns, memory_order_relaxed);

    return until && hl_now_ns() < until;
}

int hl_replacement_shrink(struct hugelite_pool *pool, uint32_t chunk, bool *ret_moving)
{
    uint64_t steps = 2 * (uint64_t)pool->nr_tickets + HL_VICTIMS;
    struct hl_victim victim;

    *ret_moving = false;
    while (steps--) {
        uint64_t at = atomic_fetch_add_explicit(&pool->control->sweep_hand, 1,
                                                memory_order_relaxed);
        uint32_t ticket = (uint32_t)(at % pool->nr_tickets);
        uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed);
        enum verdict verdict = look_at(pool, ticket, NO_CHUNK, &victim);

        if (verdict == VICTIM && hl_chunk_evict(pool, &victim, 1))
            return 0;
        *ret_moving |= verdict == MOVING && TICKET_CHUNK(t) != chunk;
    }
    return hl_error(EBUSY, "pool '%s': its file system has no free page and nothing can be evicted",
                    pool->dir);
}
