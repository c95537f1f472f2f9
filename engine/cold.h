/* SPDX-License-Identifier: MIT
 *
 * cold.h - touches of chunks that are not resident.
 */
#ifndef HL_COLD_H
#define HL_COLD_H

#include <stdbool.h>
#include <stdint.h>

struct hl_sequences;
struct hl_volume;
struct hugelite_volume;

/* A read that is longer wants the chunk. */
#define HL_COLD_READ_MAX (64u * 1024)

/* Chunks that may be filled ahead of a reader: enough that no thread of the crew runs out of
 * work, and a quarter of the budget at most; 0 when there is no crew, or it may not. */
uint32_t hl_cold_window(struct hl_volume *volume);

/* A chunk is touched that is not resident, or for the first time since it is: let the crew fill what
 * comes next.  True when the touch goes on with a sequence. */
bool hl_cold_notice(struct hl_volume *volume, struct hl_sequences *sequences, uint64_t offset);

/* A warmer is at `index`: fill ahead of him, up to `window` chunks, from `ahead` on, where he has got to, and
 * not beyond `last`.  Returns the new `ahead`. */
uint32_t hl_cold_go_ahead(struct hl_volume *volume, uint32_t index, uint32_t ahead, uint32_t last,
                          uint32_t window);

/* Is this touch of a chunk that is not resident better answered by an early read?  May wait for
 * somebody who is filling it. */
bool hl_cold_is_early(struct hugelite_volume *vol, uint32_t index, uint64_t offset,
                      bool sequential);

/* The chunk has been waited for in vain.  A stopped process may hold many claims: one is waited for, and
 * none of the others, for a while. */
void hl_cold_timed_out(struct hugelite_volume *vol, uint32_t index);

/* Has it, a moment ago? */
bool hl_cold_is_stuck(const struct hugelite_volume *vol, uint32_t index);

/* An early read inside one chunk: its bytes now, and the chunk by the crew if it earns its place.
 * 0, -errno, or 1: somebody else fills the chunk, and this reader should rather wait. */
int hl_cold_read(struct hugelite_volume *vol, uint64_t offset, uint32_t length, void *buffer);

#endif
