/* SPDX-License-Identifier: MIT
 *
 * pace.c - statistics of first bytes.  The last 200 are kept and sorted now and then, which is
 * nothing beside a request.
 *
 * Entry points: pace.h.  See also: transfer.c.
 */
#include "config.h"

#include "pace.h"

#include <stdlib.h>
#include <string.h>

enum { CREDIT_EACH = 65, CREDIT_HEDGE = 1000, CREDIT_MAX = 5 * CREDIT_HEDGE,
       CREDIT_KEPT = 2 * CREDIT_HEDGE /* for those that are late beyond doubt */ };

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void work_out(struct hl_pace *pace)
{
    unsigned usual = 0;

    memcpy(pace->sorted, pace->us, pace->nr * sizeof *pace->us);
    qsort(pace->sorted, pace->nr, sizeof *pace->sorted, compare);
    while (usual < pace->nr && pace->sorted[usual] / 2 <= pace->sorted[pace->nr / 2])
        usual++;
    pace->nr_sorted = pace->nr;
    pace->nr_usual = usual;
    pace->fresh = 0;
}

void hl_pace_add(struct hl_pace *pace, uint64_t ns)
{
    uint64_t us = ns / 1000;

    pace->us[pace->next] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    pace->next = (pace->next + 1) % HL_PACE_SAMPLES;
    if (pace->nr < HL_PACE_SAMPLES)
        pace->nr++;
    if (++pace->fresh >= 8 || pace->nr <= HL_PACE_ENOUGH)
        work_out(pace);
}

uint64_t hl_pace_median_ns(const struct hl_pace *pace)
{
    return pace->nr_sorted ? pace->sorted[pace->nr_sorted / 2] * 1000ull : 0;
}

uint64_t hl_pace_late_ns(const struct hl_pace *pace)
{
    unsigned usual = pace->nr_usual, unusual = pace->nr_sorted - usual;
    unsigned to_spare = pace->credit > CREDIT_KEPT ? pace->credit - CREDIT_KEPT : 0;
    unsigned last = usual - 1;

    if (pace->nr_sorted < HL_PACE_ENOUGH)
        return 0;
    if (unusual * 8 > pace->nr_sorted)
        last = pace->nr_sorted * 95 / 100;
    else if (unusual * 100 >= pace->nr_sorted)
        last -= usual * to_spare / (CREDIT_MAX - CREDIT_KEPT) / 10;
    return (pace->sorted[last] + 1) * 1000ull;
}

void hl_pace_count_request(struct hl_pace *pace)
{
    if (pace->credit < CREDIT_MAX)
        pace->credit += CREDIT_EACH;
}

bool hl_pace_may_hedge(const struct hl_pace *pace)
{
    return pace->credit >= CREDIT_HEDGE;
}

void hl_pace_count_hedge(struct hl_pace *pace)
{
    pace->credit -= CREDIT_HEDGE;
}
