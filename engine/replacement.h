/* SPDX-License-Identifier: MIT
 *
 * replacement.h - who leaves.  Each resident chunk occupies one ticket; there are as many
 * tickets as the budget has chunks.
 */
#ifndef HL_REPLACEMENT_H
#define HL_REPLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;

/* A ticket for a chunk that the caller has claimed for filling, evicting others
 * ahead of need when all are taken, and waiting this long for those on the move.  0, or -EBUSY when
 * all of it is held. */
int hl_replacement_take(struct hugelite_pool *pool, uint32_t chunk, uint64_t patience_ns,
                        uint32_t *ret_ticket);

/* Would a chunk find a ticket, and a page, without another having to leave that is in use?  A guess from
 * a short look, and from what this process has been told lately.  nr_chunks: of the reader's volume. */
bool hl_replacement_has_room(struct hugelite_pool *pool, uint32_t nr_chunks);

/* There is no page left, or none that can leave, whatever the tickets say. */
void hl_replacement_note_full(struct hugelite_pool *pool);

/* All of it is held, as somebody found out who was ready to wait; and that just a moment ago. */
void hl_replacement_note_held(struct hugelite_pool *pool);
bool hl_replacement_is_held(const struct hugelite_pool *pool);

/* Give a ticket back: of a fill that failed. */
void hl_replacement_give(struct hugelite_pool *pool, uint32_t ticket);

/* Evict something, whatever the tickets say: the file system has no free page for this chunk.
 * 0, or -EBUSY when nothing can go; *ret_moving: others are being filled or evicted. */
int hl_replacement_shrink(struct hugelite_pool *pool, uint32_t chunk, bool *ret_moving);

/* Make the ticket that a chunk has ours: of a chunk that we hold EVICTING, and whose evictor
 * died before it did harm.  False when there is none. */
bool hl_replacement_adopt(struct hugelite_pool *pool, uint32_t chunk, uint32_t *ret_ticket);

/* The ticket of a chunk whose volume is taken down. */
void hl_replacement_forget(struct hugelite_pool *pool, uint32_t ticket, uint32_t chunk);

/* Free a ticket if it still is this word; used by whoever evicted its chunk. */
void hl_replacement_free(struct hugelite_pool *pool, uint32_t ticket, uint64_t word);

#endif
