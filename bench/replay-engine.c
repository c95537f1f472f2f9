/* SPDX-License-Identifier: MIT
 *
 * replay-engine.c - what engine/replacement.c does: S3-FIFO over tickets.  A newcomer is on probation
 * unless it has earned its place, and what a scan touches is not marked; the others a hand goes round.  The
 * numbers are the engine's own.
 *
 * Entry point: engine_ops.  See also: engine/replacement.c.
 */
#include <config.h>

#include <stdlib.h>

#include "chunk.h"
#include "replacement.h"
#include "replay.h"

enum { LIVES = HL_CHUNK_LIVES / HL_CHUNK_LIFE };

struct engine {
    struct policy policy;
    uint32_t *tickets;   /* chunks, or NONE */
    uint32_t *ticket_of; /* by chunk */
    bool *fresh, *used;  /* by chunk */
    uint32_t *left;      /* by chunk: number of the eviction, 0 = none */
    uint32_t evictions, hand, pause;
    struct link *links;
    struct queue probation;
    struct link *free_links; /* by ticket */
    struct queue free;
};

static bool engine_open(struct policy *policy)
{
    struct engine *e = (struct engine *)policy;
    uint32_t nr = policy->trace->nr_chunks;

    e->tickets = calloc(policy->capacity, sizeof *e->tickets);
    e->free_links = calloc(policy->capacity, sizeof *e->free_links);
    e->ticket_of = calloc(nr, sizeof *e->ticket_of);
    e->fresh = calloc(nr, sizeof *e->fresh);
    e->used = calloc(nr, sizeof *e->used);
    e->left = calloc(nr, sizeof *e->left);
    e->links = calloc(nr, sizeof *e->links);
    if (!e->tickets || !e->free_links || !e->ticket_of || !e->fresh || !e->used || !e->left ||
        !e->links)
        return false;
    policy->ahead = policy->capacity / HL_AHEAD_OF_NEED;
    if (policy->ahead > HL_VICTIMS)
        policy->ahead = HL_VICTIMS;
    policy->ahead = policy->ahead ? policy->ahead : 1;
    e->probation = queue_of(e->links);
    e->free = queue_of(e->free_links);
    for (uint32_t i = 0; i < policy->capacity; i++) {
        e->tickets[i] = NONE;
        queue_push(&e->free, i);
    }
    return true;
}

static void engine_close(struct policy *policy)
{
    struct engine *e = (struct engine *)policy;

    free(e->tickets);
    free(e->free_links);
    free(e->ticket_of);
    free(e->fresh);
    free(e->used);
    free(e->left);
    free(e->links);
}

static void engine_hit(struct policy *policy, uint32_t chunk)
{
    const struct visit *visit = &policy->trace->visits[policy->now];
    struct engine *e = (struct engine *)policy;

    if ((visit->again && !policy->options.every) || policy->sequential)
        return;
    /* As touch_first() does: an interior page shows only while the chunk is not marked. */
    if (policy->options.interior && visit->interiors && !e->used[chunk])
        policy->spared[chunk] = true;
    e->used[chunk] = true;
}

static void evict(struct engine *e, uint32_t chunk)
{
    e->left[chunk] = ++e->evictions;
    e->tickets[e->ticket_of[chunk]] = NONE;
    queue_push(&e->free, e->ticket_of[chunk]);
    policy_leave(&e->policy, chunk);
}

/* Come by a chunk: true when it leaves. */
static bool age(struct engine *e, uint32_t chunk)
{
    if (e->used[chunk]) {
        e->used[chunk] = e->fresh[chunk] = false;
        if (e->policy.count[chunk] < LIVES)
            e->policy.count[chunk]++;
        return false;
    }
    if (policy_take_life(&e->policy, chunk))
        return false;
    evict(e, chunk);
    return true;
}

static bool look_at_probation(struct engine *e)
{
    uint32_t chunk = queue_pop(&e->probation);
    bool leaves = age(e, chunk);

    if (!leaves && e->fresh[chunk])
        queue_push(&e->probation, chunk);
    return leaves;
}

static void sweep(struct engine *e)
{
    uint32_t capacity = e->policy.capacity;
    uint32_t probation = capacity / HL_PROBATION ? capacity / HL_PROBATION : 1;

    for (uint32_t freed = 0; freed < e->policy.ahead;) {
        uint32_t chunk;

        if (e->probation.length > probation || e->probation.length == e->policy.nr_resident) {
            freed += look_at_probation(e);
            continue;
        }
        chunk = e->tickets[e->hand++ % capacity];
        if (chunk != NONE && !e->fresh[chunk])
            freed += age(e, chunk);
    }
}

static void engine_fill(struct policy *policy, uint32_t chunk)
{
    struct engine *e = (struct engine *)policy;
    bool known = e->left[chunk] && e->evictions - e->left[chunk] <= policy->capacity;
    uint32_t ticket;

    if (!e->free.length)
        sweep(e);
    ticket = queue_pop(&e->free);
    e->tickets[ticket] = chunk;
    e->ticket_of[chunk] = ticket;
    policy_enter(policy, chunk);
    policy->count[chunk] = policy->earned || known;
    e->used[chunk] = false;
    e->fresh[chunk] = !policy->earned;
    if (policy->options.follow && policy->followed)
        e->fresh[chunk] = false;
    if (e->fresh[chunk])
        queue_push(&e->probation, chunk);
}

/* The next that the hand comes by has not been used for some time. */
static bool next_is_unused(struct engine *e)
{
    uint32_t chunk = e->tickets[e->hand++ % e->policy.capacity];

    if (chunk == NONE)
        return true;
    if (e->used[chunk]) {
        e->used[chunk] = false;
        if (e->policy.count[chunk] < LIVES)
            e->policy.count[chunk]++;
    } else if (!e->fresh[chunk] && !policy_take_life(&e->policy, chunk)) {
        return true;
    }
    if (e->fresh[chunk])
        queue_remove(&e->probation, chunk);
    e->fresh[chunk] = false;
    return false;
}

static bool engine_room(struct policy *policy, uint32_t reads)
{
    struct engine *e = (struct engine *)policy;
    uint32_t pause = HL_TOUCHES_A_ROUND * policy->trace->nr_chunks / policy->capacity;

    if (e->free.length > policy->ahead)
        return true;
    if (e->pause > reads) {
        e->pause -= reads;
        return false;
    }
    e->pause = pause > HL_ROOM_PAUSE ? pause : HL_ROOM_PAUSE;
    return next_is_unused(e);
}

const struct policy_ops engine_ops = { "engine", sizeof(struct engine), engine_open, engine_hit,
                                       NULL, engine_fill, engine_close, engine_room };
