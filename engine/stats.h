/* SPDX-License-Identifier: MIT
 *
 * stats.h - the counters of a volume, shared by all who read it; stats.def lists them.
 */
#ifndef HL_STATS_H
#define HL_STATS_H

#include <stdatomic.h>
#include <stdint.h>

struct hl_stats {
#define X(name, unit, help) _Atomic uint64_t name;
#include "stats.def"
#undef X
};

/* relaxed: counters are looked at one by one. */
static inline void hl_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

#endif
