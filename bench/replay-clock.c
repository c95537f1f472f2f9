/* SPDX-License-Identifier: MIT
 *
 * replay-clock.c - policies that keep one queue, or none: LRU, CLOCK with a count of some bits
 * (with none it is FIFO), SIEVE, and the older one of two taken at random.
 *
 * Entry points: lru_ops, clock_ops, sieve_ops, random2_ops.
 */
#include <config.h>

#include <stdlib.h>

#include "replay.h"

struct ring {
    struct policy policy;
    struct link *links;
    struct queue queue;
    uint32_t hand; /* SIEVE: looks here next, towards the newest; NONE: at the oldest */
};

static bool ring_open(struct policy *policy)
{
    struct ring *ring = (struct ring *)policy;

    ring->links = calloc(policy->trace->nr_chunks, sizeof *ring->links);
    ring->queue = queue_of(ring->links);
    ring->hand = NONE;
    return ring->links;
}

static void ring_close(struct policy *policy)
{
    free(((struct ring *)policy)->links);
}

/* ---- LRU ------------------------------------------------------------------- */

static void lru_hit(struct policy *policy, uint32_t chunk)
{
    struct queue *queue = &((struct ring *)policy)->queue;

    queue_remove(queue, chunk);
    queue_push(queue, chunk);
}

static void lru_fill(struct policy *policy, uint32_t chunk)
{
    struct queue *queue = &((struct ring *)policy)->queue;

    if (policy->nr_resident == policy->capacity)
        policy_leave(policy, queue_pop(queue));
    policy_enter(policy, chunk);
    queue_push(queue, chunk);
}

const struct policy_ops lru_ops = { "lru", sizeof(struct ring), ring_open, lru_hit, NULL, lru_fill,
                                    ring_close, NULL };

/* ---- CLOCK ----------------------------------------------------------------- */

static void clock_fill(struct policy *policy, uint32_t chunk)
{
    struct queue *queue = &((struct ring *)policy)->queue;

    while (policy->nr_resident == policy->capacity) {
        uint32_t at = queue_pop(queue);

        if (policy_take_life(policy, at))
            queue_push(queue, at);
        else
            policy_leave(policy, at);
    }
    policy_enter(policy, chunk);
    queue_push(queue, chunk);
}

const struct policy_ops clock_ops = { "clock", sizeof(struct ring), ring_open, policy_use, NULL,
                                      clock_fill, ring_close, NULL };

/* ---- SIEVE ----------------------------------------------------------------- */

static void sieve_fill(struct policy *policy, uint32_t chunk)
{
    struct ring *ring = (struct ring *)policy;

    while (policy->nr_resident == policy->capacity) {
        uint32_t at = ring->hand == NONE ? ring->queue.oldest : ring->hand;

        ring->hand = ring->links[at].newer;
        if (!policy_take_life(policy, at)) {
            queue_remove(&ring->queue, at);
            policy_leave(policy, at);
        }
    }
    policy_enter(policy, chunk);
    queue_push(&ring->queue, chunk);
}

const struct policy_ops sieve_ops = { "sieve", sizeof(struct ring), ring_open, policy_use, NULL,
                                      sieve_fill, ring_close, NULL };

/* ---- 2-random --------------------------------------------------------------- */

struct pair {
    struct policy policy;
    size_t *used;     /* by chunk: number of its last visit */
    uint32_t *places; /* nr_resident chunks */
};

static bool pair_open(struct policy *policy)
{
    struct pair *pair = (struct pair *)policy;

    pair->used = calloc(policy->trace->nr_chunks, sizeof *pair->used);
    pair->places = calloc(policy->capacity, sizeof *pair->places);
    return pair->used && pair->places;
}

static void pair_close(struct policy *policy)
{
    free(((struct pair *)policy)->used);
    free(((struct pair *)policy)->places);
}

static void pair_hit(struct policy *policy, uint32_t chunk)
{
    ((struct pair *)policy)->used[chunk] = policy->now;
}

static uint32_t any_place(struct policy *policy)
{
    policy->random ^= policy->random << 13;
    policy->random ^= policy->random >> 7;
    policy->random ^= policy->random << 17;
    return (uint32_t)((policy->random >> 32) * policy->capacity >> 32);
}

static void pair_fill(struct policy *policy, uint32_t chunk)
{
    struct pair *pair = (struct pair *)policy;
    uint32_t place = policy->nr_resident;

    if (policy->nr_resident == policy->capacity) {
        uint32_t other = any_place(policy);

        place = any_place(policy);
        if (pair->used[pair->places[other]] < pair->used[pair->places[place]])
            place = other;
        policy_leave(policy, pair->places[place]);
    }
    pair->places[place] = chunk;
    policy_enter(policy, chunk);
    pair_hit(policy, chunk);
}

const struct policy_ops random2_ops = { "2-random", sizeof(struct pair), pair_open, pair_hit, NULL,
                                        pair_fill, pair_close, NULL };
