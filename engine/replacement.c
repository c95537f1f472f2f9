/* SPDX-License-Identifier: MIT
 *
 * replacement.c - S3-FIFO over tickets, with what a scan brings on probation.  Policy only: it
 * never sees bytes.  Who has which ticket is tickets.c's.
 *
 * Who leaves.  A chunk that comes is FRESH, and its ticket goes to the end of a ring.  While there are
 * more of those than an eighth of the budget, the one at the front goes next, unless it has been touched
 * out of sequence meanwhile: then it stays, among the others.  These a hand goes round: each round in
 * which a chunk was used gives it a life more, up to three, each round in which it was not
 * takes one; who has none leaves.  A scan touches each of its chunks many times, and marks none, so
 * it takes the place of other scans only.  What has earned its place by many early reads (admission.c)
 * needs no probation.  When a chunk leaves, its word keeps the time: if it is back soon, it gets a life.
 *
 * A sweep frees a batch of tickets for who comes next: eviction ahead of need
 * without a thread for it, in runs of neighbours.  The ring holds hints (ring.h): of what it has
 * lost the hand takes care.
 *
 * When the limit is lowered, the chunks above it leave.
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
#include "tickets.h"

#include <stdbool.h>
#include <time.h>

static struct hl_ring fresh_ring(const struct hugelite_pool *pool)
{
    return (struct hl_ring){ &pool->control->fresh, pool->fresh_entries, pool->nr_tickets };
}

/* A chunk has three lives at most and a mark: so many rounds of the hand see each one's end. */
enum { ROUNDS = 6 };

/* Rounds of sweeping in which others took all that became free, before we look past the ring, and in all. */
enum { ROUNDS_RING = 4, ROUNDS_MAX = 1000, FRUITLESS_MAX = 4, PAUSE_NS = 1000 * 1000 };

enum {
    PASSES = 64,         /* of sweeps over a chunk that has been filled ahead: a budget's worth of others */
    LOST_LOOK = 4,       /* tickets that a sweep looks at that may be free without anybody knowing */
};

/* How long a full file system is taken to be full, and a pool that is held to be held. */
enum { FULL_NS = 1000 * 1000 * 1000, HELD_NS = 50 * 1000 * 1000 };

/* ---- the chunk's time ------------------------------------------------------ */

uint64_t hl_replacement_enter(uint64_t word, bool ahead)
{
    if (word & HL_CHUNK_EARNED)
        return HL_CHUNK_LIFE;
    /* What is filled ahead must not leave before it is used. */
    return HL_CHUNK_FRESH | (ahead || (word & HL_CHUNK_RETURNED) ? HL_CHUNK_LIFE : 0);
}

/* What stands in the ring of those on probation: the ticket, with its tag, since it may be another chunk's
 * when it comes to the front; and how often it has been passed over. */
#define PLACE(passed, t, ticket) \
    ((uint64_t)(passed) << 52 | HL_TICKET_TAG(t) << 32 | ((uint64_t)(ticket) + 1))
#define PLACE_PASSED(place) ((unsigned)((place) >> 52))
#define PLACE_TAG(place) ((place) >> 32 & 0xfffffu)
#define PLACE_TICKET(place) ((uint32_t)(place) - 1)

static void stand(struct hugelite_pool *pool, uint32_t ticket, unsigned passed)
{
    struct hl_ring ring = fresh_ring(pool);
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed);

    hl_ring_push(&ring, PLACE(passed, t, ticket));
}

void hl_replacement_entered(struct hugelite_pool *pool, uint32_t ticket)
{
    stand(pool, ticket, 0);
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
           now - then <= hl_ticket_limit(pool);
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
    uint32_t places;    /* so many of the fresh ring may still be looked at */
    bool probation;     /* from the fresh ring; else with the hand */
    unsigned passed;    /* which has passed the chunk over so often */
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
    uint32_t chunk = HL_TICKET_CHUNK(t);
    bool fresh = word & HL_CHUNK_FRESH;
    uint64_t next = age(word);

    if (chunk - visit->first >= visit->nr)
        return USED;
    if (ticket < hl_ticket_limit(pool)) {
        if (visit->probation ? !fresh : fresh && !visit->all)
            return USED;
        /* Somebody is about to come to it, when those have left whom he has behind him. */
        if (visit->probation && (word & HL_CHUNK_AHEAD) && visit->passed < PASSES) {
            stand(pool, ticket, visit->passed + 1);
            return USED;
        }
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
    *victim = (struct hl_victim){ chunk, ticket, t, word, visit->probation };
    return VICTIM;
}

/* What is to be done with one ticket; claims its chunk when it can go. */
static enum verdict look_at(struct hugelite_pool *pool, uint32_t ticket,
                            const struct visit *visit, struct hl_victim *victim)
{
    struct hl_ticket_sight sight;

    switch (hl_ticket_look(pool, ticket, visit->wanting, &sight)) {
    case HL_TICKET_RESIDENT:
        return look_at_resident(pool, ticket, sight.ticket, sight.chunk, visit, victim);
    case HL_TICKET_ORPHAN:
        *victim = (struct hl_victim){ .chunk = HL_TICKET_CHUNK(sight.ticket), .ticket = ticket,
                                      .ticket_word = sight.ticket, .was = sight.chunk };
        return hl_chunk_claim_orphan(pool, victim->chunk, sight.chunk) ? VICTIM : MOVING;
    case HL_TICKET_MOVING:
        return MOVING;
    case HL_TICKET_FREE:
        break;
    }
    return FREE;
}

/* How many tickets a sweep frees ahead of need: so few, since half of them are empty on the average. */
static unsigned sweep_batch(const struct hugelite_pool *pool)
{
    unsigned batch = hl_ticket_limit(pool) / HL_AHEAD_OF_NEED;

    if (batch > HL_VICTIMS)
        return HL_VICTIMS;
    return batch ? batch : 1;
}

/* How many chunks may be on probation. */
static uint32_t probation(const struct hugelite_pool *pool)
{
    uint32_t nr = hl_ticket_limit(pool) / HL_PROBATION;

    return nr ? nr : 1;
}

/* Tickets that may be in use lie below. */
static uint32_t top(const struct hugelite_pool *pool)
{
    uint32_t at = atomic_load_explicit(&pool->control->top, memory_order_relaxed);
    uint32_t limit = hl_ticket_limit(pool);

    if (at > pool->nr_tickets)
        return pool->nr_tickets;
    return at > limit ? at : limit;
}

/* Never too low because of us: what lies beyond is seldom looked at. */
static void raise_top(struct hugelite_pool *pool, uint32_t to)
{
    uint32_t at = atomic_load_explicit(&pool->control->top, memory_order_relaxed);

    while (at < to && !atomic_compare_exchange_weak_explicit(&pool->control->top, &at, to,
                                                             memory_order_relaxed,
                                                             memory_order_relaxed))
        ;
}

static uint32_t move_hand(struct hugelite_pool *pool)
{
    return (uint32_t)(atomic_fetch_add_explicit(&pool->control->sweep_hand, 1,
                                                memory_order_relaxed) % top(pool));
}

/* The first on probation, when there are too many. */
static bool next_fresh(struct hugelite_pool *pool, struct visit *visit, uint32_t *ret_ticket)
{
    struct hl_ring ring = fresh_ring(pool);
    uint64_t place;

    while (visit->places && hl_ring_length(&ring) > probation(pool) &&
           hl_ring_pop(&ring, &place)) {
        visit->places--;
        visit->passed = PLACE_PASSED(place);
        *ret_ticket = PLACE_TICKET(place);
        if (*ret_ticket < pool->nr_tickets &&
            HL_TICKET_TAG(atomic_load_explicit(&pool->tickets[*ret_ticket],
                                               memory_order_relaxed)) == PLACE_TAG(place))
            return true;
    }
    return false;
}

/* Each of the ring's once, then the hand. */
static uint32_t places(const struct hugelite_pool *pool)
{
    struct hl_ring ring = fresh_ring(pool);

    return hl_ring_length(&ring);
}

static uint32_t next_ticket(struct hugelite_pool *pool, struct visit *visit)
{
    uint32_t ticket;

    visit->probation = !visit->all && next_fresh(pool, visit, &ticket);
    return visit->probation ? ticket : move_hand(pool);
}

/* Those above the limit, whether they are used or not.  Returns how many are left: held, or on the move. */
static uint32_t drain(struct hugelite_pool *pool)
{
    uint32_t limit = hl_ticket_limit(pool), end = top(pool), left = 0;
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

    if (top(pool) <= hl_ticket_limit(pool))
        return;
    now = hl_now_ns();
    if (now - atomic_load_explicit(&pool->drained_ns, memory_order_relaxed) < HELD_NS)
        return;
    if (drain(pool))
        atomic_store_explicit(&pool->drained_ns, now, memory_order_relaxed);
}

static void find(struct hugelite_pool *pool, uint32_t ticket, uint32_t wanting)
{
    struct visit visit = { .wanting = wanting }; /* nobody may leave */
    struct hl_victim victim;
    enum verdict verdict = look_at(pool, ticket, &visit, &victim);

    if (verdict == FREE)
        hl_ticket_offer(pool, ticket);
    else if (verdict == VICTIM) /* an orphan */
        hl_chunk_evict(pool, &victim, 1);
    else if (ticket >= top(pool))
        raise_top(pool, ticket + 1);
}

/* The hand does not move while there are many on probation, and the ring of free ones may have lost some: so each
 * sweep looks at a few in turn, for nothing but that.  And at one that should not be in use, but may be: who took it
 * died, or a drain was overtaken by two resizes. */
static void find_lost(struct hugelite_pool *pool, uint32_t wanting)
{
    uint64_t at = atomic_fetch_add_explicit(&pool->lost_hand, 1, memory_order_relaxed);
    uint32_t limit = hl_ticket_limit(pool), beyond = pool->nr_tickets - limit;

    for (unsigned i = 0; i < LOST_LOOK; i++)
        find(pool, (uint32_t)((LOST_LOOK * at + i) % limit), wanting);
    if (beyond)
        find(pool, limit + (uint32_t)(at % beyond), wanting);
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
    visit->places = places(pool);
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
            if (!visit->probation && !own && ticket < hl_ticket_limit(pool)) {
                hl_ticket_offer(pool, ticket);
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

/* How many of a volume's own must leave for its next; HL_VICTIMS at a time. */
static unsigned over_share(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    uint32_t share = atomic_load_explicit(&slot->share, memory_order_relaxed), has;

    if (!share)
        return 0;
    has = hl_ticket_count(pool, slot->first, slot->capacity);
    if (has < share)
        return 0;
    return has - share < HL_VICTIMS ? has - share + 1 : HL_VICTIMS;
}

int hl_replacement_take(struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t chunk,
                        uint64_t patience_ns, uint32_t *ret_ticket)
{
    uint64_t mine = hl_ticket_make(pool, chunk);
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
        } else if (hl_ticket_take(pool, mine, ret_ticket) ||
                   (round >= ROUNDS_RING && hl_ticket_take_any(pool, mine, ret_ticket))) {
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
                    (unsigned long long)hl_ticket_limit(pool) << HL_CHUNK_SHIFT);
}

/* ---- room ------------------------------------------------------------------------ */

/* Early reads touch no resident chunk, so nobody sweeps: let them age one now and then, or a pool full of
 * what nobody reads any more would stay so.  Is the next to leave one whose time is over? */
static bool next_is_unused(struct hugelite_pool *pool)
{
    uint32_t ticket = move_hand(pool);
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire), word, next;

    if (!t && ticket < hl_ticket_limit(pool)) {
        hl_ticket_offer(pool, ticket);
        return true;
    }
    if (!t || HL_TICKET_CHUNK(t) >= pool->nr_words)
        return false;
    word = atomic_load_explicit(&pool->words[HL_TICKET_CHUNK(t)], memory_order_relaxed);
    if (hl_chunk_state(word) != HL_CHUNK_RESIDENT || hl_chunk_ticket(word) != ticket)
        return false;
    /* What has just come has a round. */
    next = word & HL_CHUNK_REFERENCED ? age(word)
           : word & HL_CHUNK_FRESH    ? word & ~(uint64_t)HL_CHUNK_FRESH
                                      : age(word);
    if (next != word)
        atomic_compare_exchange_strong_explicit(&pool->words[HL_TICKET_CHUNK(t)], &word, next,
                                                memory_order_relaxed, memory_order_relaxed);
    return next == word;
}

/* What a sweep has freed for the next takers is no room: so more than that; or what is not used. */
bool hl_replacement_has_room(struct hugelite_pool *pool, uint32_t nr_chunks)
{
    uint64_t full = atomic_load_explicit(&pool->full_until_ns, memory_order_relaxed);
    uint32_t pause = atomic_load_explicit(&pool->room_pause, memory_order_relaxed);
    bool unused;

    /* A full pool mostly stays so, and an early read is over in a few microseconds. */
    if (pause) {
        atomic_store_explicit(&pool->room_pause, pause - 1, memory_order_relaxed);
        return false;
    }
    if (full && hl_now_ns() < full)
        return false;
    if (hl_ticket_offered(pool) > sweep_batch(pool))
        return true;
    unused = next_is_unused(pool);
    pause = (uint32_t)(HL_TOUCHES_A_ROUND * (uint64_t)nr_chunks / hl_ticket_limit(pool));
    atomic_store_explicit(&pool->room_pause, pause > HL_ROOM_PAUSE ? pause : HL_ROOM_PAUSE,
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
    struct visit visit = { .wanting = NO_CHUNK, ALL_CHUNKS, .places = places(pool) };
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
        *ret_moving |= verdict == MOVING && HL_TICKET_CHUNK(t) != chunk;
    }
    return hl_error(EBUSY, "pool '%s': its file system has no free page and nothing can be evicted",
                    pool->dir);
}

/* ---- the budget of the moment -------------------------------------------------------- */

uint32_t hl_replacement_resize(struct hugelite_pool *pool, uint32_t limit)
{
    /* So that no ticket is in use beyond it. */
    raise_top(pool, pool->nr_tickets);
    hl_ticket_set_limit(pool, limit);
    return drain(pool);
}
