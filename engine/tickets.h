/* SPDX-License-Identifier: MIT
 *
 * tickets.h - who has which of the budget's pages.  A ticket is one chunk's worth of the budget; its word says
 * whose it is:
 *
 *    63            44 43      32 31           0
 *   +----------------+----------+--------------+
 *   | tag            | member   | chunk id + 1 |        0 = free
 *   +----------------+----------+--------------+
 *
 * The table of what it can be, and what a death leaves: engine/README.md ("The ticket").
 */
#ifndef HL_TICKETS_H
#define HL_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;

#define HL_TICKET_CHUNK(t) ((uint32_t)(t) - 1)
#define HL_TICKET_MEMBER(t) ((uint32_t)((t) >> 32) & 0xfffu)
#define HL_TICKET_TAG(t) ((t) >> 44)

/* All tickets of a new pool are free. */
void hl_ticket_begin(struct hugelite_pool *pool);

/* The budget of the moment in chunks: tickets from here on are not given out. */
uint32_t hl_ticket_limit(const struct hugelite_pool *pool);

/* Another limit.  Those above it that are in use stay so. */
void hl_ticket_set_limit(struct hugelite_pool *pool, uint32_t limit);

/* The word that a ticket has while it is this process's, for this chunk; another one at each call. */
uint64_t hl_ticket_make(const struct hugelite_pool *pool, uint32_t chunk);

/* Take a free one, for which somebody has left word; or any, whoever knows of it. */
bool hl_ticket_take(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket);
bool hl_ticket_take_any(struct hugelite_pool *pool, uint64_t mine, uint32_t *ret_ticket);

/* Leave word that this one may be free. */
void hl_ticket_offer(struct hugelite_pool *pool, uint32_t ticket);

/* Of how many that is said. */
uint32_t hl_ticket_offered(const struct hugelite_pool *pool);

/* Give a ticket back: of a fill that failed. */
void hl_ticket_give(struct hugelite_pool *pool, uint32_t ticket);

/* Free a ticket if it still is this word; used by whoever evicted its chunk. */
void hl_ticket_free(struct hugelite_pool *pool, uint32_t ticket, uint64_t word);

/* The ticket of a chunk whose volume is taken down. */
void hl_ticket_forget(struct hugelite_pool *pool, uint32_t ticket, uint32_t chunk);

/* Make the ticket that a chunk has ours: of a chunk that we hold EVICTING, and whose evictor
 * died before it did harm.  False when there is none. */
bool hl_ticket_adopt(struct hugelite_pool *pool, uint32_t chunk, uint32_t *ret_ticket);

/* How many tickets these chunks have. */
uint32_t hl_ticket_count(const struct hugelite_pool *pool, uint32_t first, uint32_t nr);

enum hl_ticket_use {
    HL_TICKET_FREE,     /* it is, now */
    HL_TICKET_RESIDENT, /* a chunk has it */
    HL_TICKET_MOVING,   /* of one that is being filled, or evicted */
    HL_TICKET_ORPHAN,   /* of one that was, by somebody who is dead */
};

struct hl_ticket_sight {
    uint64_t ticket; /* its word */
    uint64_t chunk;  /* that of its chunk; unless it is free */
};

/* Whose is it?  What nobody has, and a death has left, is freed.  wanting: a chunk that the caller has claimed,
 * and has no ticket for yet. */
enum hl_ticket_use hl_ticket_look(struct hugelite_pool *pool, uint32_t ticket, uint32_t wanting,
                                  struct hl_ticket_sight *ret_sight);

#endif
