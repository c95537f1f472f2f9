/* SPDX-License-Identifier: MIT
 *
 * volume.h - a volume as one process has it open, shared by all its handles.
 */
#ifndef HL_VOLUME_H
#define HL_VOLUME_H

#include "admission.h"
#include "haul.h"
#include "image.h"
#include "layout.h"
#include "scout.h"
#include "sums.h"

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

    /* Of a remote one. */
    struct hl_hauls hauls;
    struct hl_scout scout;
    struct hl_sums sums;    /* of a raw one */
    struct hl_state *state; /* for them */
};

/* How long a reader of it may wait for somebody else's fill, in nanoseconds. */
uint64_t hl_volume_patience_ns(const struct hl_volume *volume);

/* For the fault thread: the volume mapped at this address, or NULL.  It is not closed
 * until it is left. */
struct hl_volume *hl_volume_enter(struct hugelite_pool *pool, uintptr_t address);
void hl_volume_leave(struct hl_volume *volume);

/* What a handle holds, beside the shared pin of the same number. */
struct hl_pin {
    uint32_t chunk; /* index in the volume + 1; 0 = free */
    uint32_t count; /* fetches not yet released */
};

/* A handle. */
struct hugelite_volume {
    struct hl_volume *volume;
    struct hugelite_pool *pool;
    const char *base;        /* of the mapping */
    uint64_t bytes;
    _Atomic uint64_t *words; /* of chunk 0 */
    uint32_t first;          /* chunk id of chunk 0 */
    bool light_pins;
    const _Atomic uint32_t *nr_wounds; /* of the image */
    struct hl_reader *reader;
    struct hl_pin pins[HL_PINS];
    uint32_t visited;        /* chunk + 1 that was pinned last */

    /* Off the warm path: cold.c. */
    struct hl_sequences sequences;
    unsigned strays;    /* early reads since the last touch in sequence */
    unsigned follows;   /* of the last ones, how many began near the end of the one before */
    unsigned looks;     /* early reads in another chunk than the one before, since then */
    uint64_t early_end; /* where the last one ended */
    uint64_t refused;   /* where try_fetch() has just said -EAGAIN, + 1 */
    uint64_t stuck;     /* owner of a claim that was waited for in vain; 0 = none */
    uint64_t stuck_until_ns;
};

#endif
