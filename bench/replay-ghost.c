/* SPDX-License-Identifier: MIT
 *
 * replay-ghost.c - policies that remember who has left.  S3-FIFO: a newcomer begins in a small
 * queue, and is promoted to the main one when it has been used there, or comes back while it is
 * remembered.  When no use promotes, it is 2Q.  And ARC.
 *
 * Entry points: s3fifo_ops, arc_ops.
 */
#include <config.h>

#include <stdlib.h>

#include "replay.h"

enum place { NOWHERE, SMALL, MAIN, GHOST, MAIN_GHOST };

struct ghostly {
    struct policy policy;
    struct link *links;
    uint8_t *place; /* by chunk */
    struct queue small, main, ghost, main_ghost;
    uint32_t target; /* length of the small queue */
    uint32_t ghosts; /* as many are remembered */
};

static bool ghostly_open(struct policy *policy)
{
    struct ghostly *g = (struct ghostly *)policy;

    g->links = calloc(policy->trace->nr_chunks, sizeof *g->links);
    g->place = calloc(policy->trace->nr_chunks, sizeof *g->place);
    g->small = g->main = g->ghost = g->main_ghost = queue_of(g->links);
    g->target = policy->capacity * policy->options.small / 100;
    if (!g->target && policy->options.small)
        g->target = 1;
    g->ghosts = policy->capacity * policy->options.ghost / 100;
    return g->links && g->place;
}

static void ghostly_close(struct policy *policy)
{
    free(((struct ghostly *)policy)->links);
    free(((struct ghostly *)policy)->place);
}

static void put(struct ghostly *g, struct queue *queue, enum place place, uint32_t chunk)
{
    g->place[chunk] = (uint8_t)place;
    queue_push(queue, chunk);
}

static void forget_oldest(struct ghostly *g, struct queue *ghost)
{
    g->place[queue_pop(ghost)] = NOWHERE;
}

/* ---- S3-FIFO ----------------------------------------------------------------- */

static void look_at_small(struct ghostly *g)
{
    uint32_t chunk = queue_pop(&g->small);

    if (g->policy.count[chunk] >= g->policy.options.promote || g->policy.spared[chunk]) {
        g->policy.count[chunk] = 0;
        put(g, &g->main, MAIN, chunk);
        return;
    }
    policy_leave(&g->policy, chunk);
    put(g, &g->ghost, GHOST, chunk);
    if (g->ghost.length > g->ghosts)
        forget_oldest(g, &g->ghost);
}

static void look_at_main(struct ghostly *g)
{
    uint32_t chunk = queue_pop(&g->main);

    if (policy_take_life(&g->policy, chunk)) {
        queue_push(&g->main, chunk);
        return;
    }
    policy_leave(&g->policy, chunk);
    g->place[chunk] = NOWHERE;
}

static void s3fifo_fill(struct policy *policy, uint32_t chunk)
{
    struct ghostly *g = (struct ghostly *)policy;
    bool known = g->place[chunk] == GHOST;

    if (known) {
        queue_remove(&g->ghost, chunk);
        g->place[chunk] = NOWHERE;
    }
    while (policy->nr_resident == policy->capacity)
        if (g->small.length >= g->target || !g->main.length)
            look_at_small(g);
        else
            look_at_main(g);
    policy_enter(policy, chunk);
    if (known)
        put(g, &g->main, MAIN, chunk);
    else
        put(g, &g->small, SMALL, chunk);
}

const struct policy_ops s3fifo_ops = { "s3fifo", sizeof(struct ghostly), ghostly_open, policy_use,
                                       NULL, s3fifo_fill, ghostly_close, NULL };

/* ---- ARC ------------------------------------------------------------------ */

static void arc_hit(struct policy *policy, uint32_t chunk)
{
    struct ghostly *g = (struct ghostly *)policy;

    queue_remove(g->place[chunk] == SMALL ? &g->small : &g->main, chunk);
    put(g, &g->main, MAIN, chunk);
}

static void arc_replace(struct ghostly *g, bool in_main_ghost)
{
    bool from_small = g->small.length && (g->small.length > g->target ||
                                          (in_main_ghost && g->small.length == g->target) ||
                                          !g->main.length);
    uint32_t chunk = queue_pop(from_small ? &g->small : &g->main);

    policy_leave(&g->policy, chunk);
    if (from_small)
        put(g, &g->ghost, GHOST, chunk);
    else
        put(g, &g->main_ghost, MAIN_GHOST, chunk);
}

/* One more ghost of a queue moves the target by as much as its ghosts are rarer than the other's. */
static void arc_adapt(struct ghostly *g, enum place place)
{
    uint32_t ghosts = g->ghost.length, mains = g->main_ghost.length, step;

    if (place == GHOST) {
        step = mains > ghosts ? mains / ghosts : 1;
        g->target = g->target + step < g->policy.capacity ? g->target + step : g->policy.capacity;
    } else {
        step = ghosts > mains ? ghosts / mains : 1;
        g->target = g->target > step ? g->target - step : 0;
    }
}

/* The cases of Megiddo and Modha's figure 4. */
static void arc_fill(struct policy *policy, uint32_t chunk)
{
    struct ghostly *g = (struct ghostly *)policy;
    enum place place = g->place[chunk];
    uint32_t c = policy->capacity, total;

    if (place == GHOST || place == MAIN_GHOST) {
        arc_adapt(g, place);
        if (policy->nr_resident == c)
            arc_replace(g, place == MAIN_GHOST);
        queue_remove(place == GHOST ? &g->ghost : &g->main_ghost, chunk);
    } else if (g->small.length + g->ghost.length == c) {
        if (g->small.length < c) {
            forget_oldest(g, &g->ghost);
            if (policy->nr_resident == c)
                arc_replace(g, false);
        } else {
            uint32_t oldest = queue_pop(&g->small);

            g->place[oldest] = NOWHERE;
            policy_leave(policy, oldest);
        }
    } else {
        total = policy->nr_resident + g->ghost.length + g->main_ghost.length;
        if (total >= 2 * c)
            forget_oldest(g, &g->main_ghost);
        if (policy->nr_resident == c)
            arc_replace(g, false);
    }
    policy_enter(policy, chunk);
    if (place == GHOST || place == MAIN_GHOST)
        put(g, &g->main, MAIN, chunk);
    else
        put(g, &g->small, SMALL, chunk);
}

const struct policy_ops arc_ops = { "arc", sizeof(struct ghostly), ghostly_open, arc_hit, NULL,
                                    arc_fill, ghostly_close, NULL };
