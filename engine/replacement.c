/* SPDX-License-Identifier: MIT
 *
 * replacement.c - S3-FIFO over tickets, with what a scan brings on probation.  Policy only: it
 * never sees bytes.
 *
 * A ticket is one chunk's worth of the budget.  Its word says whose it is:
 *
 *    63            44 43      32 31           0
 *   +----------------+----------+--------------+
 *   | tag            | member   | chunk id + 1 |        0 = free
 *   +----------------+----------+--------------+
 *
 * There is no count of free tickets that a death could leave wrong: a ticket is in
 * use exactly while the word of its chunk says so (look_at), and a sweep frees any other,
 * whoever forgot it.
 *
 * Who leaves.  A chunk that comes is FRESH, and its ticket goes to the end of a ring.  While there are
 * more of those than an eighth of the budget, the one at the front goes next, unless it has been touched
 * out of sequence meanwhile: then it stays, among the others.  These a hand goes round: each round in
 * which a chunk was used gives it a life more, up to three, each round in which it was not
 * takes one; who has none leaves.  A scan touches each of its chunks many times, and marks none, so
 * it takes the place of other scans only.  What has earned its place by many early reads (admission.c)
 * needs no probation.  When a chunk leaves, its word keeps the time: if it is back soon, it gets a life.
 *
 * A sweep frees a batch of tickets and leaves their numbers in a ring for who comes next: eviction ahead of need
 * without a thread for it, in runs of neighbours.  Both rings hold hints (ring.h): of what they have
 * lost the hand takes care.
 *
 * The limit is the budget of the moment.  Tickets from there on are not given out, and their chunks leave.
 *
 * Source: Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023.
 * Entry points: replacement.h.
 */
#include "config.h"

#include "replacement.h"

#include "chunk.h"
#include "error.h"
#include "pool.h"
#include "ring.h"
#include "sys.h"

#include <stdbool.h>
#include <time.h>

#define TICKET_CHUNK(t) ((uint32_t)(t) - 1)
#define TICKET_TAG(t) ((t) >> 44)
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

static struct hl_ring free_ring(const struct hugelite_pool *pool)
{
    return (struct hl_ring){ &pool->control->free, pool->free_entries, pool->nr_tickets };
}

static struct hl_ring fresh_ring(const struct hugelite_pool *pool)
{
    return (struct hl_ring){ &pool->control->fresh, pool->fresh_entries, pool->nr_tickets };
}

uint32_t hl_replacement_limit(const struct hugelite_pool *pool)
{
    uint32_t limit = atomic_load_explicit(&pool->control->limit, memory_order_relaxed);

    return limit && limit <= pool->nr_tickets ? limit : pool->nr_tickets;
}

static void offer(struct hugelite_pool *pool, uint32_t ticket)
{
    struct hl_ring ring = free_ring(pool);

    /* Either who raises the limit finds the ticket free, or we see the new limit. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ticket < hl_replacement_limit(pool))
        hl_ring_push(&ring, (uint64_t)ticket + 1);
}

void hl_replacement_begin(struct hugelite_pool *pool)
{
    for (uint32_t ticket = 0; ticket < hl_replacement_limit(pool); ticket++)
        offer(pool, ticket);
}

void hl_replacement_free(struct hugelite_pool *pool, uint32_t ticket, uint64_t word)
{
    /* release: what the ticket stood for is a hole by now. */
    if (atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &word, 0,
                                                memory_order_release, memory_order_relaxed))
        offer(pool, ticket);
}

void hl_replacement_give(struct hugelite_pool *pool, uint32_t ticket)
{
    if (ticket < pool->nr_tickets) {
        atomic_store_explicit(&pool->tickets[ticket], 0, memory_order_release);
        offer(pool, ticket);
    }
}

/* A chunk has three lives at most and a mark: so many rounds of the hand see each one's end. */
enum { ROUNDS = 6 };

/* Rounds of sweeping in which others took all that became free, before we look past the ring, and in all. */
enum { ROUNDS_RING = 4, ROUNDS_MAX = 1000, FRUITLESS_MAX = 4, PAUSE_NS = 1000 * 1000 };

enum {
    ROOM_PAUSE = 15,     /* calls that it rests, at least, when it has found none that is free */
    LOST_LOOK = 4,       /* tickets that a sweep looks at that may be free without anybody knowing */
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

/* ---- the chunk's time ------------------------------------------------------ */

uint64_t hl_replacement_enter(uint64_t word, bool ahead)
{
    if (word & HL_CHUNK_EARNED)
        return HL_CHUNK_LIFE;
    /* What is filled ahead must not leave before it is used. */
    return HL_CHUNK_FRESH | (ahead || (word & HL_CHUNK_RETURNED) ? HL_CHUNK_LIFE : 0);
}

void hl_replacement_entered(struct hugelite_pool *pool, uint32_t ticket)
{
    struct hl_ring ring = fresh_ring(pool);
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed);

    /* With its tag: when it comes to the front, the ticket may be another chunk's. */
    hl_ring_push(&ring, TICKET_TAG(t) << 32 | ((uint64_t)ticket + 1));
}

uint64_t hl_replacement_ghost(struct hugelite_pool *pool)
{
    uint32_t now = atomic_fetch_add_explicit(&pool->control->evictions, 1, memory_order_relaxed);

    /* 0 is none: that one in four thousand million is forgotten. */
    return (uint64_t)now << HL_CHUNK_GHOST_SHIFT;
}

bool hl_replacement_is_ghost(const struct hugelite_pool *pool, uint64_t word)
{
    uint32_t now = atomic_load_explicit(&pool->control->evictions, memory_order_relaxed);
    uint32_t then = (uint32_t)(word >> HL_CHUNK_GHOST_SHIFT);

    return hl_chunk_state(word) == HL_CHUNK_EMPTY && then &&
           now - then <= hl_replacement_limit(pool);
}

/* ---- sweeping ---------------------------------------------------------------- */

enum verdict {
    FREE,   /* can be taken */
    USED,   /* leave it */
    MOVING, /* being filled or evicted by somebody alive: wait, and it may become free */
    VICTIM, /* claimed for eviction */
};

/* Who comes by, and why. */
struct visit {
    uint32_t wanting;   /* the chunk that a ticket is sought for, or NO_CHUNK */
    uint32_t first, nr; /* only these chunks may leave */
    bool probation;     /* from the fresh ring; else with the hand */
    bool all;           /* with the hand: also those on probation */
    unsigned excess;    /* by so many a volume is over its share */
};

#define NO_CHUNK UINT32_MAX
#define ALL_CHUNKS 0, UINT32_MAX

/* What a resident chunk's word becomes when we come by; the same when its time is over. */
static uint64_t age(uint64_t word)
{
    uint64_t left = word & ~(uint64_t)(HL_CHUNK_REFERENCED | HL_CHUNK_FRESH);

    if (word & HL_CHUNK_REFERENCED)
        return (word & HL_CHUNK_LIVES) == HL_CHUNK_LIVES ? left : left + HL_CHUNK_LIFE;
    return word & HL_CHUNK_LIVES ? word - HL_CHUNK_LIFE : word;
}

/* A chunk that has this ticket, as its word says. */
static enum verdict look_at_resident(struct hugelite_pool *pool, uint32_t ticket, uint64_t t,
                                     uint64_t word, const struct visit *visit,
                                     struct hl_victim *victim)
{
    uint32_t chunk = TICKET_CHUNK(t);
    bool fresh = word & HL_CHUNK_FRESH;
    uint64_t next = age(word);

    if (chunk - visit->first >= visit->nr)
        return USED;
    if (ticket < hl_replacement_limit(pool)) {
        if (visit->probation ? !fresh : fresh && !visit->all)
            return USED;
        if (next != word) {
            bool done = atomic_compare_exchange_strong_explicit(
                &pool->words[chunk], &word, next, memory_order_relaxed, memory_order_relaxed);

            if (visit->probation && (!done || (next & HL_CHUNK_FRESH)))
                hl_replacement_entered(pool, ticket);
            return USED;
        }
    }
    if (!hl_chunk_claim_victim(pool, chunk, word)) {
        if (visit->probation)
            hl_replacement_entered(pool, ticket);
        return USED;
    }
    /* It may have been given up and taken again since we looked; now that the claim stands it stays. */
    t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
    *victim = (struct hl_victim){ chunk, ticket, t, word };
    return VICTIM;
}

/* What is to be done with one ticket; claims its chunk when it can go. */
static enum verdict look_at(struct hugelite_pool *pool, uint32_t ticket,
                            const struct visit *visit, struct hl_victim *victim)
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
        if (hl_chunk_ticket(word) == ticket)
            return look_at_resident(pool, ticket, t, word, visit, victim);
        break;

    case HL_CHUNK_FILLING:
        /* The one that we are filling has no ticket yet: one that names it is of an
         * earlier life, and to wait for it would be to wait for ourselves. */
        belongs_here = chunk != visit->wanting && HL_OWNER_MEMBER(word) == TICKET_MEMBER(t);
        /* fall through */
    case HL_CHUNK_EVICTING:
        if (chunk != visit->wanting && hl_chunk_claim_orphan(pool, chunk, word)) {
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

/* How many tickets a sweep frees ahead of need: so few, since half of them are empty on the average. */
static unsigned sweep_batch(const struct hugelite_pool *pool)
{
    unsigned batch = hl_replacement_limit(pool) / 64;

    if (batch > HL_VICTIMS)
        return HL_VICTIMS;
    return batch ? batch : 1;
}

/* How many chunks may be on probation. */
static uint32_t probation(const struct hugelite_pool *pool)
{
    uint32_t nr = hl_replacement_limit(pool) / 8;

    return nr ? nr : 1;
}

/* Tickets that may be in use lie below. */
static uint32_t top(const struct hugelite_pool *pool)
{
    uint32_t at = atomic_load_explicit(&pool->control->top, memory_order_relaxed);
    uint32_t limit = hl_replacement_limit(pool);

    if (at > pool->nr_tickets)
        return pool->nr_tickets;
    return at > limit ? at : limit;
}

static uint32_t move_hand(struct hugelite_pool *pool)
{
    return (uint32_t)(atomic_fetch_add_explicit(&pool->control->sweep_hand, 1,
                                                memory_order_relaxed) % top(pool));
}

/* The first on probation, when there are too many. */
static bool next_fresh(struct hugelite_pool *pool, uint32_t *ret_ticket)
{
    struct hl_ring ring = fresh_ring(pool);
    uint64_t hint;

    while (hl_ring_length(&ring) > probation(pool) && hl_ring_pop(&ring, &hint)) {
        *ret_ticket = (uint32_t)hint - 1;
        if (*ret_ticket < pool->nr_tickets &&
            TICKET_TAG(atomic_load_explicit(&pool->tickets[*ret_ticket],
                                            memory_order_relaxed)) == hint >> 32)
            return true;
    }
    return false;
}

static uint32_t next_ticket(struct hugelite_pool *pool, struct visit *visit)
{
    uint32_t ticket;

    visit->probation = !visit->all && next_fresh(pool, &ticket);
    return visit->probation ? ticket : move_hand(pool);
}

/* Those above the limit, whether they are used or not.  Returns how many are left: held, or on the move. */
static uint32_t drain(struct hugelite_pool *pool)
{
    uint32_t limit = hl_replacement_limit(pool), end = top(pool), left = 0;
    struct visit visit = { .wanting = NO_CHUNK, ALL_CHUNKS };
    struct hl_victim victims[HL_VICTIMS];
    unsigned nr = 0;

    for (uint32_t ticket = limit; ticket < end; ticket++) {
        enum verdict verdict = look_at(pool, ticket, &visit, &victims[nr]);

        left += verdict != FREE && verdict != VICTIM;
        nr += verdict == VICTIM;
        if (nr == HL_VICTIMS || (nr && ticket + 1 == end)) {
            left += nr - hl_chunk_evict(pool, victims, nr);
            nr = 0;
        }
    }
    if (nr)
        left += nr - hl_chunk_evict(pool, victims, nr);
    /* Unless somebody has made it another meanwhile. */
    if (!left && end > limit)
        atomic_compare_exchange_strong_explicit(&pool->control->top, &end, limit,
                                                memory_order_relaxed, memory_order_relaxed);
    return left;
}

/* What is held above the limit costs each look a fence of all members. */
static void drain_now_and_then(struct hugelite_pool *pool)
{
    uint64_t now;

    if (top(pool) <= hl_replacement_limit(pool))
        return;
    now = hl_now_ns();
    if (now - atomic_load_explicit(&pool->drained_ns, memory_order_relaxed) < HELD_NS)
        return;
    if (drain(pool))
        atomic_store_explicit(&pool->drained_ns, now, memory_order_relaxed);
}

/* The hand does not move while there are many on probation, and the ring of free ones may have lost some: so each
 * sweep looks at a few in turn, for nothing but that. */
static void find_lost(struct hugelite_pool *pool, uint32_t wanting)
{
    struct visit visit = { .wanting = wanting }; /* nobody may leave */
    uint32_t limit = hl_replacement_limit(pool);
    struct hl_victim victim;

    for (unsigned i = 0; i < LOST_LOOK; i++) {
        uint32_t ticket = (uint32_t)(atomic_fetch_add_explicit(&pool->lost_hand, 1,
                                                               memory_order_relaxed) % limit);
        enum verdict verdict = look_at(pool, ticket, &visit, &victim);

        if (verdict == FREE)
            offer(pool, ticket);
        else if (verdict == VICTIM) /* an orphan */
            hl_chunk_evict(pool, &victim, 1);
    }
}

/* Come by until a batch is free.  Returns how many tickets became, or were, free; *ret_moving: whether
 * some are on the move. */
static unsigned sweep(struct hugelite_pool *pool, struct visit *visit, bool *ret_moving)
{
    unsigned batch = visit->excess ? visit->excess : sweep_batch(pool), nr = 0, free = 0;
    bool own = visit->excess;
    uint32_t round = top(pool) + HL_VICTIMS;
    struct hl_victim victims[HL_VICTIMS];

    *ret_moving = false;
    drain_now_and_then(pool);
    find_lost(pool, visit->wanting);
    for (uint64_t step = 0; step < ROUNDS * (uint64_t)round && free < batch; step++) {
        uint32_t ticket;

        /* Those on probation may all be held, and the ring may have lost some. */
        visit->all = own || step >= round;
        ticket = next_ticket(pool, visit);
        switch (look_at(pool, ticket, visit, &victims[nr])) {
        case FREE:
            /* Nobody knows of it, or it would be gone before we come round. */
            if (!visit->probation && !own && ticket < hl_replacement_limit(pool)) {
                offer(pool, ticket);
                free++;
            }
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

/* ---- taking -------------------------------------------------------------------- */

static bool take_one(struct hugelite_pool *pool, uint64_t mine, uint32_t ticket)
{
    uint64_t none = 0;

    if (ticket >= hl_replacement_limit(pool) ||
        !atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &none, mine,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    /* Either we see here that the limit has fallen, or who lets it fall sees our ticket. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ticket < hl_replacement_limit(pool))
        return true;
    hl_replacement_give(pool, ticket);
    return false;
}

static bool take_free(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket)
{
    struct hl_ring ring = free_ring(pool);
    uint64_t hint;

    while (hl_ring_pop(&ring, &hint)) {
        *ret_ticket = (uint32_t)hint - 1;
        if (take_one(pool, mine, *ret_ticket))
            return true;
    }
    return false;
}

/* Without the ring, which may be damaged, or emptied by others each time. */
static bool take_any(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket)
{
    for (uint32_t ticket = 0; ticket < hl_replacement_limit(pool); ticket++)
        if (take_one(pool, mine, ticket)) {
            *ret_ticket = ticket;
            return true;
        }
    return false;
}

/* How many tickets the chunks of a volume have. */
static uint32_t count_tickets(const struct hugelite_pool *pool, uint32_t first, uint32_t nr)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < pool->nr_tickets; i++) {
        uint64_t t = atomic_load_explicit(&pool->tickets[i], memory_order_relaxed);

        count += t && TICKET_CHUNK(t) - first < nr;
    }
    return count;
}

/* How many of a volume's own must leave for its next; HL_VICTIMS at a time. */
static unsigned over_share(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    uint32_t share = atomic_load_explicit(&slot->share, memory_order_relaxed), has;

    if (!share)
        return 0;
    has = count_tickets(pool, slot->first, slot->capacity);
    if (has < share)
        return 0;
    return has - share < HL_VICTIMS ? has - share + 1 : HL_VICTIMS;
}

int hl_replacement_take(struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t chunk,
                        uint64_t patience_ns, uint32_t *ret_ticket)
{
    uint64_t mine = make_ticket(pool, chunk);
    uint64_t deadline_ns = 0;
    unsigned fruitless = 0;
    bool moving, over = false;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        struct visit visit = { .wanting = chunk, ALL_CHUNKS };

        visit.excess = over_share(pool, slot);
        over = visit.excess;
        if (over) {
            visit.first = slot->first;
            visit.nr = slot->capacity;
        } else if (take_free(pool, mine, ret_ticket) ||
                   (round >= ROUNDS_RING && take_any(pool, mine, ret_ticket))) {
            return 0;
        }
        if (sweep(pool, &visit, &moving))
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
    if (over)
        return hl_error(EBUSY, "pool '%s': all %llu bytes of the volume's share are in use", pool->dir,
                        (unsigned long long)slot->share << HL_CHUNK_SHIFT);
    return hl_error(EBUSY, "pool '%s': all %llu bytes of the budget are in use", pool->dir,
                    (unsigned long long)hl_replacement_limit(pool) << HL_CHUNK_SHIFT);
}

/* ---- room ------------------------------------------------------------------------ */

/* Early reads touch no resident chunk, so nobody sweeps: let them age one now and then, or a pool full of
 * what nobody reads any more would stay so.  Is the next to leave one whose time is over? */
static bool next_is_unused(struct hugelite_pool *pool)
{
    uint32_t ticket = move_hand(pool);
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire), word, next;

    if (!t && ticket < hl_replacement_limit(pool)) {
        offer(pool, ticket);
        return true;
    }
    if (!t || TICKET_CHUNK(t) >= pool->nr_words)
        return false;
    word = atomic_load_explicit(&pool->words[TICKET_CHUNK(t)], memory_order_relaxed);
    if (hl_chunk_state(word) != HL_CHUNK_RESIDENT || hl_chunk_ticket(word) != ticket)
        return false;
    /* What has just come has a round. */
    next = word & HL_CHUNK_REFERENCED ? age(word)
           : word & HL_CHUNK_FRESH    ? word & ~(uint64_t)HL_CHUNK_FRESH
                                      : age(word);
    if (next != word)
        atomic_compare_exchange_strong_explicit(&pool->words[TICKET_CHUNK(t)], &word, next,
                                                memory_order_relaxed, memory_order_relaxed);
    return next == word;
}

/* What a sweep has freed for the next takers is no room: so more than that; or what is not used. */
bool hl_replacement_has_room(struct hugelite_pool *pool, uint32_t nr_chunks)
{
    uint64_t full = atomic_load_explicit(&pool->full_until_ns, memory_order_relaxed);
    uint32_t pause = atomic_load_explicit(&pool->room_pause, memory_order_relaxed);
    struct hl_ring free = free_ring(pool);
    bool unused;

    /* A full pool mostly stays so, and an early read is over in a few microseconds. */
    if (pause) {
        atomic_store_explicit(&pool->room_pause, pause - 1, memory_order_relaxed);
        return false;
    }
    if (full && hl_now_ns() < full)
        return false;
    if (hl_ring_length(&free) > sweep_batch(pool))
        return true;
    unused = next_is_unused(pool);
    pause = (uint32_t)(TOUCHES_A_ROUND * (uint64_t)nr_chunks / hl_replacement_limit(pool));
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
    uint64_t round = top(pool) + HL_VICTIMS, steps = ROUNDS * round;
    struct visit visit = { .wanting = NO_CHUNK, ALL_CHUNKS };
    struct hl_victim victim;

    *ret_moving = false;
    for (uint64_t step = 0; step < steps; step++) {
        enum verdict verdict;
        uint32_t ticket;
        uint64_t t;

        visit.all = step >= round;
        ticket = next_ticket(pool, &visit);
        t = atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed);
        verdict = look_at(pool, ticket, &visit, &victim);
        if (verdict == VICTIM && hl_chunk_evict(pool, &victim, 1))
            return 0;
        *ret_moving |= verdict == MOVING && TICKET_CHUNK(t) != chunk;
    }
    return hl_error(EBUSY, "pool '%s': its file system has no free page and nothing can be evicted",
                    pool->dir);
}

/* ---- the budget of the moment -------------------------------------------------------- */

uint32_t hl_replacement_resize(struct hugelite_pool *pool, uint32_t limit)
{
    uint32_t old = hl_replacement_limit(pool), end = top(pool);
    struct hl_control *control = pool->control;

    /* First the larger one, so that no ticket is in use beyond it. */
    atomic_store_explicit(&control->top, limit > end ? limit : end, memory_order_relaxed);
    atomic_store_explicit(&control->limit, limit, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* take_one(), offer() */
    for (uint32_t ticket = old; ticket < limit; ticket++)
        if (!atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed))
            offer(pool, ticket);
    return drain(pool);
}
