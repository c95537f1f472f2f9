/* SPDX-License-Identifier: MIT
 *
 * replacement.h - who leaves.  Each resident chunk occupies one ticket (tickets.h).
 */
#ifndef HL_REPLACEMENT_H
#define HL_REPLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;
struct hl_slot;

/* Of the budget: one chunk of so many may be on probation, and one is freed ahead of need. */
enum { HL_PROBATION = 8, HL_AHEAD_OF_NEED = 64 };

/* Who waits with a fill until there is room looks at one chunk of the pool now and then: so often that the
 * average chunk of his volume is touched so many times while all of the pool are looked at; and
 * after so many touches at least. */
enum { HL_TOUCHES_A_ROUND = 4, HL_ROOM_PAUSE = 15 };

/* Another budget, of nr_tickets at most.  When it is smaller, chunks leave at once.  Returns how many
 * are left that are held, or on the move: these go when a sweep comes by.  Under the pool lock. */
uint32_t hl_replacement_resize(struct hugelite_pool *pool, uint32_t limit);

/* A ticket for a chunk, of the volume in this slot, that the caller has claimed for filling, evicting others
 * ahead of need when all are taken, and waiting this long for those on the move.  0, or -EBUSY when
 * all of it is held. */
int hl_replacement_take(struct hugelite_pool *pool, const struct hl_slot *slot, uint32_t chunk,
                        uint64_t patience_ns, uint32_t *ret_ticket);

/* The bits of ours in the word of a chunk that becomes resident, whose claimed word is `word`; ahead: nobody
 * has touched it yet.  And once it is resident. */
uint64_t hl_replacement_enter(uint64_t word, bool ahead);
void hl_replacement_entered(struct hugelite_pool *pool, uint32_t ticket);

/* What the word of a chunk that is evicted now remembers of it.  Was it evicted only lately? */
uint64_t hl_replacement_ghost(struct hugelite_pool *pool);
bool hl_replacement_is_ghost(const struct hugelite_pool *pool, uint64_t word);

/* Would a chunk find a ticket, and a page, without another having to leave that is in use?  A guess from
 * a short look, and from what this process has been told lately.  nr_chunks: of the reader's volume. */
bool hl_replacement_has_room(struct hugelite_pool *pool, uint32_t nr_chunks);

/* There is no page left, or none that can leave, whatever the tickets say. */
void hl_replacement_note_full(struct hugelite_pool *pool);

/* All of it is held, as somebody found out who was ready to wait; and that just a moment ago. */
void hl_replacement_note_held(struct hugelite_pool *pool);
bool hl_replacement_is_held(const struct hugelite_pool *pool);

/* Evict something, whatever the tickets say: the file system has no free page for this chunk.
 * 0, or -EBUSY when nothing can go; *ret_moving: others are being filled or evicted. */
int hl_replacement_shrink(struct hugelite_pool *pool, uint32_t chunk, bool *ret_moving);

#endif
