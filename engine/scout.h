/* SPDX-License-Identifier: MIT
 *
 * scout.h - a thread of a remote volume that goes ahead of its readers: it brings the chunks
 * that they needed first the last time (the warm list), and the interior pages of the B-trees,
 * so that a lookup costs one round trip, not one per level.
 *
 * One process of a machine does it for all: the slot names it.
 */
#ifndef HL_SCOUT_H
#define HL_SCOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hl_party;
struct hl_volume;

/* Of one volume in this process.  Zeroed is fine. */
struct hl_scout {
    _Atomic(struct hl_party *) party; /* scout.c's; NULL: there is nothing to scout */
};

/* A reader is at home in this volume: he looks here and there.  Goes for the interior pages if
 * nobody else has, in any process.  Cheap when it has. */
void hl_scout_start(struct hl_volume *volume);

/* Has it gone, from this process, since the volume was opened here? */
bool hl_scout_has_gone(struct hl_volume *volume);

/* The volume has just been opened here, or once more: go for its warm list, if it has one and
 * the volume is cold. */
void hl_scout_open(struct hl_volume *volume);

/* A reader needs a chunk that is not resident, or is the first to touch one that has been filled
 * ahead.  Any thread but the fault thread. */
void hl_scout_note(struct hl_volume *volume, uint32_t index);

/* The volume is being closed: end the thread, write the warm list.  Hauls are forbidden
 * already.  In a forked child it only gives up the memory. */
void hl_scout_stop(struct hl_volume *volume);

#endif
