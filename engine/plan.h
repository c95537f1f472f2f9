/* SPDX-License-Identifier: MIT
 *
 * plan.h - how the bytes of a stage are come by: its parts, in order, without a hole.
 */
#ifndef HL_PLAN_H
#define HL_PLAN_H

#include "tier.h"

#include <stdbool.h>
#include <stdint.h>

struct hl_stage;
struct hl_transfer;

enum hl_supply {
    HL_SUPPLY_ORIGIN, /* a request */
    HL_SUPPLY_MEMORY, /* the source's head or tail */
    HL_SUPPLY_STAGE,  /* another stage that has it, or will have */
    HL_SUPPLY_TIER,
};

struct hl_part {
    struct hl_part *next;
    struct hl_stage *stage;
    uint32_t at, length; /* in the stage */
    enum hl_supply supply;
    const char *bytes;       /* of MEMORY: of the part's first byte */
    struct hl_stage *lender; /* of STAGE: we hold a reference, once the plan is made */
    struct hl_extent extent; /* of TIER */

    /* ---- stage.c's */
    uint32_t have;  /* bytes from its beginning that are there */
    bool under_way; /* more will come */
    bool asked;     /* by a request: the tier shall have it */
    uint32_t before; /* bytes that were there before the request */
    int rc;         /* when it is not under way */
    struct hl_transfer *transfer;
};

/* A plan of one request. */
struct hl_part *hl_plan_new(uint32_t length);
void hl_plan_free(struct hl_part *parts);

/* What is still to be requested of [at, at + length) comes from elsewhere: as `how` says, whose
 * `at` is where how->bytes begin.  0 or -ENOMEM. */
int hl_plan_cover(struct hl_part *parts, uint32_t at, uint32_t length, const struct hl_part *how);

/* Request what lies between two requests, too, if it is shorter than `island`.  Returns how many
 * requests there are then. */
unsigned hl_plan_join(struct hl_part *parts, uint32_t island);

/* Cut each request into equal parts of about `each` bytes, `most` at most.  0 or -ENOMEM. */
int hl_plan_split(struct hl_part *parts, uint32_t each, unsigned most);

#endif
