/* SPDX-License-Identifier: MIT
 *
 * tickets.c - who has which of the budget's pages.  There is no count of free tickets that a death could leave wrong:
 * a ticket is in use exactly while the word of its chunk says so, and who looks at it frees any
 * other, whoever forgot it.
 *
 * Who frees one leaves its number in a ring for who comes next.  What the ring has lost (ring.h) is found by looking.
 *
 * The limit is the budget of the moment.  Tickets from there on are not given out.
 *
 * Entry points: tickets.h.  See also: replacement.c (who leaves), engine/README.md ("The ticket").
 */
#include "config.h"

#include "tickets.h"

#include "chunk.h"
#include "pool.h"
#include "ring.h"

static_assert(HL_MEMBERS <= 0x1000, "a member index fits into a ticket");

uint64_t hl_ticket_make(const struct hugelite_pool *pool, uint32_t chunk)
{
    /* The tag tells two uses of a ticket by one process for one chunk apart, so
     * that a slow sweeper's CAS does not free the second for the first. */
    static _Atomic uint32_t tag;
    uint64_t t = atomic_fetch_add_explicit(&tag, 1, memory_order_relaxed);

    t += (uint64_t)HL_OWNER_GENERATION(pool->owner) * 40503; /* nor of the seat's next life */

    return t << 44 | (uint64_t)HL_OWNER_MEMBER(pool->owner) << 32 | (chunk + 1);
}

/* ---- the limit ------------------------------------------------------------------ */

uint32_t hl_ticket_limit(const struct hugelite_pool *pool)
{
    uint32_t limit = atomic_load_explicit(&pool->control->limit, memory_order_relaxed);

    return limit && limit <= pool->nr_tickets ? limit : pool->nr_tickets;
}

void hl_ticket_set_limit(struct hugelite_pool *pool, uint32_t limit)
{
    uint32_t old = hl_ticket_limit(pool);

    atomic_store_explicit(&pool->control->limit, limit, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* take_one(), hl_ticket_offer() */
    for (uint32_t ticket = old; ticket < limit; ticket++)
        if (!atomic_load_explicit(&pool->tickets[ticket], memory_order_relaxed))
            hl_ticket_offer(pool, ticket);
}

/* ---- free ones ------------------------------------------------------------------ */

static struct hl_ring free_ring(const struct hugelite_pool *pool)
{
    return (struct hl_ring){ &pool->control->free, pool->free_entries, pool->nr_tickets };
}

void hl_ticket_offer(struct hugelite_pool *pool, uint32_t ticket)
{
    struct hl_ring ring = free_ring(pool);

    /* Either who raises the limit finds the ticket free, or we see the new limit. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ticket < hl_ticket_limit(pool))
        hl_ring_push(&ring, (uint64_t)ticket + 1);
}

uint32_t hl_ticket_offered(const struct hugelite_pool *pool)
{
    struct hl_ring ring = free_ring(pool);

    return hl_ring_length(&ring);
}

void hl_ticket_begin(struct hugelite_pool *pool)
{
    for (uint32_t ticket = 0; ticket < hl_ticket_limit(pool); ticket++)
        hl_ticket_offer(pool, ticket);
}

void hl_ticket_free(struct hugelite_pool *pool, uint32_t ticket, uint64_t word)
{
    /* release: what the ticket stood for is a hole by now. */
    if (atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &word, 0,
                                                memory_order_release, memory_order_relaxed))
        hl_ticket_offer(pool, ticket);
}

void hl_ticket_give(struct hugelite_pool *pool, uint32_t ticket)
{
    if (ticket < pool->nr_tickets) {
        atomic_store_explicit(&pool->tickets[ticket], 0, memory_order_release);
        hl_ticket_offer(pool, ticket);
    }
}

void hl_ticket_forget(struct hugelite_pool *pool, uint32_t ticket, uint32_t chunk)
{
    uint64_t word;

    if (ticket >= pool->nr_tickets)
        return;
    word = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
    if (word && HL_TICKET_CHUNK(word) == chunk)
        hl_ticket_free(pool, ticket, word);
}

/* ---- taking -------------------------------------------------------------------- */

static bool take_one(struct hugelite_pool *pool, uint64_t mine, uint32_t ticket)
{
    uint64_t none = 0;

    if (ticket >= hl_ticket_limit(pool) ||
        !atomic_compare_exchange_strong_explicit(&pool->tickets[ticket], &none, mine,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    /* Either we see here that the limit has fallen, or who lets it fall sees our ticket. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ticket < hl_ticket_limit(pool))
        return true;
    hl_ticket_give(pool, ticket);
    return false;
}

bool hl_ticket_take(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket)
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

bool hl_ticket_take_any(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket)
{
    for (uint32_t ticket = 0; ticket < hl_ticket_limit(pool); ticket++)
        if (take_one(pool, mine, ticket)) {
            *ret_ticket = ticket;
            return true;
        }
    return false;
}

bool hl_ticket_adopt(struct hugelite_pool *pool, uint32_t chunk, uint32_t *ret_ticket)
{
    for (uint32_t i = 0; i < pool->nr_tickets; i++) {
        uint64_t t = atomic_load_explicit(&pool->tickets[i], memory_order_acquire);

        /* A new word, so that a sweeper who took this one for a forgotten ticket does
         * not free it now. */
        if (t && HL_TICKET_CHUNK(t) == chunk &&
            atomic_compare_exchange_strong_explicit(&pool->tickets[i], &t,
                                                    hl_ticket_make(pool, chunk),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            *ret_ticket = i;
            return true;
        }
    }
    return false;
}

/* ---- looking -------------------------------------------------------------------- */

uint32_t hl_ticket_count(const struct hugelite_pool *pool, uint32_t first, uint32_t nr)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < pool->nr_tickets; i++) {
        uint64_t t = atomic_load_explicit(&pool->tickets[i], memory_order_relaxed);

        count += t && HL_TICKET_CHUNK(t) - first < nr;
    }
    return count;
}

/* A ticket of a chunk that there is: does the chunk know of it?  The filler claims the word first and takes
 * the ticket then, and gives the ticket back before it gives up the word: so a ticket whose word does not
 * know of it is nobody's. */
static enum hl_ticket_use use_of(struct hugelite_pool *pool, uint32_t ticket, uint32_t wanting,
                                 const struct hl_ticket_sight *sight)
{
    uint64_t word = sight->chunk;
    /* The one that the caller is filling has no ticket yet: one that names it is of an
     * earlier life, and to wait for it would be to wait for ourselves. */
    bool other = HL_TICKET_CHUNK(sight->ticket) != wanting;

    switch (hl_chunk_state(word)) {
    case HL_CHUNK_RESIDENT:
        return hl_chunk_ticket(word) == ticket ? HL_TICKET_RESIDENT : HL_TICKET_FREE;
    case HL_CHUNK_FILLING:
        if (other && !hl_member_alive(pool, word & HL_OWNER_MASK))
            return HL_TICKET_ORPHAN;
        return other && HL_OWNER_MEMBER(word) == HL_TICKET_MEMBER(sight->ticket)
                   ? HL_TICKET_MOVING : HL_TICKET_FREE;
    case HL_CHUNK_EVICTING:
        return other && !hl_member_alive(pool, word & HL_OWNER_MASK) ? HL_TICKET_ORPHAN
                                                                     : HL_TICKET_MOVING;
    case HL_CHUNK_EMPTY:
        break;
    }
    return HL_TICKET_FREE;
}

enum hl_ticket_use hl_ticket_look(struct hugelite_pool *pool, uint32_t ticket, uint32_t wanting,
                                  struct hl_ticket_sight *ret_sight)
{
    uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
    enum hl_ticket_use use = HL_TICKET_FREE;

    if (t == 0)
        return HL_TICKET_FREE;
    *ret_sight = (struct hl_ticket_sight){ .ticket = t };
    if (HL_TICKET_CHUNK(t) < pool->nr_words) {
        ret_sight->chunk = atomic_load_explicit(&pool->words[HL_TICKET_CHUNK(t)],
                                                memory_order_acquire);
        use = use_of(pool, ticket, wanting, ret_sight);
    }
    if (use == HL_TICKET_FREE)
        hl_ticket_free(pool, ticket, t);
    return use;
}
