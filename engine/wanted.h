/* SPDX-License-Identifier: MIT
 *
 * wanted.h - the chunks of a volume that its readers needed first, in order, for the warm list
 * in the catalog.
 */
#ifndef HL_WANTED_H
#define HL_WANTED_H

#include <stdbool.h>
#include <stdint.h>

struct hl_state;
struct hl_wanted;

/* most: chunks that a list can have.  afresh: nothing of the volume was there when we came, so
 * that our order is the better one.  NULL without memory.  The state outlives it. */
struct hl_wanted *hl_wanted_new(struct hl_state *state, const uint64_t name_key[2],
                                uint32_t nr_chunks, uint32_t most, bool afresh);

/* Any thread but the fault thread. */
void hl_wanted_note(struct hl_wanted *wanted, uint32_t index);

/* Write the list, if there is anything new, and free it.  NULL is fine. */
void hl_wanted_close(struct hl_wanted *wanted);

/* The same without writing: the state belongs to a parent. */
void hl_wanted_free(struct hl_wanted *wanted);

/* The list in the catalog: chunks below nr_chunks, none twice, at most most of them.  Returns
 * how many; *ret_list is malloc'ed, NULL when there are none. */
uint32_t hl_wanted_load(struct hl_state *state, const uint64_t name_key[2], uint32_t nr_chunks,
                        uint32_t most, uint32_t **ret_list);

#endif
