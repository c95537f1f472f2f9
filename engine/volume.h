/* SPDX-License-Identifier: MIT
 *
 * volume.h - a volume as one process has it open, shared by all its handles.
 */
#ifndef HL_VOLUME_H
#define HL_VOLUME_H

#include "admission.h"
#include "image.h"
#include "layout.h"

struct hl_codec;
struct hl_source;
struct hugelite_pool;

struct hl_volume {
    struct hl_volume *next; /* in pool->volumes, under list_lock */
    unsigned handles;       /* under list_lock; with the last one it leaves the list */
    unsigned faults;        /* in service, under list_lock; the last handle waits for them */
    struct hugelite_pool *pool;
    struct hl_slot *slot;
    uint32_t slot_index;
    uint32_t first;     /* chunk id of chunk 0 */
    uint32_t nr_chunks; /* that hold bytes of the database */
    uint64_t bytes;
    struct hl_source *source;
    struct hl_codec *codec;
    struct hl_image image;
    struct hl_touches touches;            /* of all handles */
    _Atomic bool settled;                 /* the source's version is not young any more */
    struct hl_sequences fault_sequences;  /* of those who just dereference; the fault thread's */
};

/* A chunk is touched that is not resident, or for the first time since it is: let the crew fill what
 * comes next.  True when the touch goes on with a sequence. */
bool hl_volume_notice(struct hl_volume *volume, struct hl_sequences *sequences, uint64_t offset);

/* For the fault thread: the volume mapped at this address, or NULL.  It is not closed
 * until it is left. */
struct hl_volume *hl_volume_enter(struct hugelite_pool *pool, uintptr_t address);
void hl_volume_leave(struct hl_volume *volume);

#endif
