/* SPDX-License-Identifier: MIT
 *
 * pace.h - how long first bytes take lately, and from when on one is late enough to ask again.
 * Zeroed memory is a pace of which nothing is known.  Used by one thread.
 */
#ifndef HL_PACE_H
#define HL_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define HL_PACE_SAMPLES 200u
#define HL_PACE_ENOUGH 20u /* from so many on it is known */

struct hl_pace {
    uint32_t us[HL_PACE_SAMPLES];  /* a ring */
    unsigned nr, next;
    unsigned fresh;                /* samples since what is below was worked out */
    uint32_t sorted[HL_PACE_SAMPLES];
    unsigned nr_sorted, nr_usual;  /* 0 = not known yet */
    unsigned credit;               /* for hedges, in thousandths of one */
};

void hl_pace_add(struct hl_pace *pace, uint64_t ns);

/* The median; 0 = not known. */
uint64_t hl_pace_median_ns(const struct hl_pace *pace);

/* A first byte that takes longer is late; 0 = not known.
 *
 * Later than nearly all of the usual ones.  Usual is what takes less than twice the median: to ask
 * for those again could hardly help, since the second answer would come after the first.  To catch
 * the others soon is worth asking for some usual ones twice: the more, the more credit there is. 
 * When more than an eighth are unusual, there is no telling them apart: then it is the 95th
 * percentile. */
uint64_t hl_pace_late_ns(const struct hl_pace *pace);

/* Hedges may be 6.5 % of requests. */
void hl_pace_count_request(struct hl_pace *pace);
bool hl_pace_may_hedge(const struct hl_pace *pace);
void hl_pace_count_hedge(struct hl_pace *pace);

#endif
