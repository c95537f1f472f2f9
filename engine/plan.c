/* SPDX-License-Identifier: MIT
 *
 * plan.c - how the bytes of a stage are come by: a list of parts that begins as one request, from
 * which is taken what is to be had for less.  Nothing here does I/O.
 *
 * Entry points: plan.h.  See also: stage.c.
 */
#include "config.h"

#include "plan.h"

#include <errno.h>
#include <stdlib.h>

struct hl_part *hl_plan_new(uint32_t length)
{
    struct hl_part *part = calloc(1, sizeof *part);

    if (part)
        part->length = length;
    return part;
}

void hl_plan_free(struct hl_part *parts)
{
    while (parts) {
        struct hl_part *next = parts->next;

        free(parts);
        parts = next;
    }
}

/* Cut a request in two; `at` lies inside it. */
static int cut(struct hl_part *part, uint32_t at)
{
    struct hl_part *rest = malloc(sizeof *rest);

    if (!rest)
        return -ENOMEM;
    *rest = *part;
    rest->at = at;
    rest->length = part->at + part->length - at;
    part->length = at - part->at;
    part->next = rest;
    return 0;
}

int hl_plan_cover(struct hl_part *parts, uint32_t at, uint32_t length, const struct hl_part *how)
{
    for (struct hl_part *part = parts; part && part->at < at + length; part = part->next) {
        if (part->supply != HL_SUPPLY_ORIGIN || part->at + part->length <= at)
            continue;
        if (part->at < at) { /* the rest is the next part */
            if (cut(part, at) < 0)
                return -ENOMEM;
            continue;
        }
        if (part->at + part->length > at + length && cut(part, at + length) < 0)
            return -ENOMEM;
        part->supply = how->supply;
        part->bytes = how->bytes ? how->bytes + (part->at - how->at) : NULL;
        part->lender = how->lender;
        part->extent = how->extent;
    }
    return 0;
}

static void swallow_next(struct hl_part *part)
{
    struct hl_part *next = part->next;

    part->length += next->length;
    part->next = next->next;
    free(next);
}

unsigned hl_plan_join(struct hl_part *parts, uint32_t island)
{
    unsigned nr = 0;

    for (struct hl_part *part = parts; part; part = part->next) {
        struct hl_part *after = part->next;

        if (part->supply != HL_SUPPLY_ORIGIN)
            continue;
        nr++;
        while (after) {
            while (after && after->supply != HL_SUPPLY_ORIGIN)
                after = after->next;
            if (!after || after->at - (part->at + part->length) >= island)
                break;
            while (part->next != after)
                swallow_next(part);
            swallow_next(part);
            after = part->next;
        }
    }
    return nr;
}

int hl_plan_split(struct hl_part *parts, uint32_t each, unsigned most)
{
    for (struct hl_part *part = parts; part; part = part->next) {
        uint32_t nr = (part->length + each - 1) / each, end = part->at + part->length;

        if (part->supply != HL_SUPPLY_ORIGIN)
            continue;
        if (nr > most)
            nr = most;
        for (; nr > 1; nr--) {
            uint32_t left = end - part->at;

            if (cut(part, part->at + (left + nr - 1) / nr) < 0)
                return -ENOMEM;
            part = part->next;
        }
    }
    return 0;
}
