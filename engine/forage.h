/* SPDX-License-Identifier: MIT
 *
 * forage.h - encoded bytes that readers may want next, brought while they think: several stages
 * at a time, so many bytes in all, into the disk tier, or where there is none kept in memory.
 *
 * One thread uses it; any may stop it.
 */
#ifndef HL_FORAGE_H
#define HL_FORAGE_H

#include <stdbool.h>
#include <stdint.h>

struct hl_forage;
struct hl_state;
struct hl_volume;

/* 0 or -ENOMEM.  The state outlives it. */
int hl_forage_new(struct hl_volume *volume, struct hl_state *state, struct hl_forage **ret_forage);

/* Stop what is under way and forget what is kept.  NULL is fine. */
void hl_forage_free(struct hl_forage *forage);

/* Forget what has been brought, and what has failed, and begin anew. */
void hl_forage_reset(struct hl_forage *forage);

/* From now on, for good, calls return -ECANCELED, the one that waits too. */
void hl_forage_stop(struct hl_forage *forage);

/* What for. */
#define HL_FORAGE_LOOK 1u  /* to be read by us, after hl_forage_await() */
#define HL_FORAGE_LATER 2u /* by a reader */

/* Bring what a read of these decoded bytes needs; neighbours are asked for together, so want
 * things in their order.  0; -ENOSPC when enough has been brought; -ECANCELED; or why it is no
 * use to go on. */
int hl_forage_want(struct hl_forage *forage, uint64_t offset, uint32_t length, unsigned use);

/* Wait until all that was wanted has come, or cannot be had. */
int hl_forage_await(struct hl_forage *forage);

/* Does a read of these decoded bytes need no request now? */
bool hl_forage_has(struct hl_forage *forage, uint64_t offset, uint32_t length);

/* No more looks: wait for what is under way, and give up what is not to be kept in memory. */
void hl_forage_settle(struct hl_forage *forage);

/* Something could not be had. */
bool hl_forage_has_failed(struct hl_forage *forage);

#endif
