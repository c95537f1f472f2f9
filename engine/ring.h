/* SPDX-License-Identifier: MIT
 *
 * ring.h - a first-in, first-out queue of hints about tickets in shared memory, which all processes push to and pop
 * from without a lock.
 *
 * What it holds are hints: an entry may be missing (its pusher died, or was slow), may come twice, or
 * may be out of date, and whoever pops one looks at the ticket itself.  That is what makes it
 * safe against deaths at any step.  When more is pushed than it has room for, the oldest are lost; when its ends
 * are damaged, all of them.
 *
 * All operations are relaxed: nothing is published through a ring.
 */
#ifndef HL_RING_H
#define HL_RING_H

#include "layout.h"

#include <stdbool.h>

struct hl_ring {
    struct hl_ring_ends *ends;
    _Atomic uint64_t *entries; /* 0 = nothing */
    uint32_t size;
};

/* Longer than any ring gets by being overrun. */
#define HL_RING_DAMAGED (1ull << 32)

static inline uint32_t hl_ring_length(const struct hl_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->ends->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->ends->tail, memory_order_relaxed);

    if (tail - head >= HL_RING_DAMAGED)
        return 0;
    return tail - head < ring->size ? (uint32_t)(tail - head) : ring->size;
}

/* hint: not 0. */
static inline void hl_ring_push(const struct hl_ring *ring, uint64_t hint)
{
    uint64_t at = atomic_fetch_add_explicit(&ring->ends->tail, 1, memory_order_relaxed);

    atomic_store_explicit(&ring->entries[at % ring->size], hint, memory_order_relaxed);
}

/* False when it is empty. */
static inline bool hl_ring_pop(const struct hl_ring *ring, uint64_t *ret_hint)
{
    uint64_t head = atomic_load_explicit(&ring->ends->head, memory_order_relaxed);

    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->ends->tail, memory_order_relaxed), at = head;
        bool damaged = tail - head >= HL_RING_DAMAGED;

        if (tail == head)
            return false;
        if (damaged)
            at = tail - 1;
        else if (tail - head > ring->size)
            at = tail - ring->size; /* what lay before is lost */
        if (!atomic_compare_exchange_weak_explicit(&ring->ends->head, &head, at + 1,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        head = at + 1;
        *ret_hint = atomic_exchange_explicit(&ring->entries[at % ring->size], 0,
                                             memory_order_relaxed);
        if (*ret_hint)
            return true;
    }
}

#endif
