/* SPDX-License-Identifier: MIT
 *
 * replay-opt.c - policies that know the whole trace.  Belady's OPT: who is used again last, leaves; no other has
 * fewer misses.  With `pass` a chunk that itself is used again last is left out, which no policy can
 * that fills at every miss.  And the best set that never changes: the chunks with most visits.
 *
 * Entry points: opt_ops, fixed_ops.
 */
#include <config.h>

#include <stdlib.h>

#include "replay.h"

struct opt {
    struct policy policy;
    size_t *next;       /* by visit: the next visit to its chunk */
    uint32_t *places;   /* nr_resident chunks */
    size_t *next_use;   /* by chunk */
};

static bool opt_open(struct policy *policy)
{
    struct opt *opt = (struct opt *)policy;
    const struct trace *trace = policy->trace;

    opt->next = calloc(trace->nr_visits + 1, sizeof *opt->next);
    opt->next_use = calloc(trace->nr_chunks, sizeof *opt->next_use);
    opt->places = calloc(policy->capacity, sizeof *opt->places);
    if (!opt->next || !opt->next_use || !opt->places)
        return false;
    for (uint32_t i = 0; i < trace->nr_chunks; i++)
        opt->next_use[i] = SIZE_MAX;
    for (size_t i = trace->nr_visits; i-- > 0;) {
        opt->next[i] = opt->next_use[trace->visits[i].chunk];
        opt->next_use[trace->visits[i].chunk] = i;
    }
    return true;
}

static void opt_close(struct policy *policy)
{
    struct opt *opt = (struct opt *)policy;

    free(opt->next);
    free(opt->next_use);
    free(opt->places);
}

static void opt_hit(struct policy *policy, uint32_t chunk)
{
    struct opt *opt = (struct opt *)policy;

    opt->next_use[chunk] = opt->next[policy->now];
}

static uint32_t last_used(const struct opt *opt)
{
    uint32_t last = 0;

    for (uint32_t i = 1; i < opt->policy.nr_resident; i++)
        if (opt->next_use[opt->places[i]] > opt->next_use[opt->places[last]])
            last = i;
    return last;
}

static bool opt_wants(struct policy *policy, uint32_t chunk)
{
    const struct opt *opt = (struct opt *)policy;

    (void)chunk;
    return !policy->options.pass || policy->nr_resident < policy->capacity ||
           opt->next[policy->now] < opt->next_use[opt->places[last_used(opt)]];
}

static void opt_fill(struct policy *policy, uint32_t chunk)
{
    struct opt *opt = (struct opt *)policy;
    uint32_t place = policy->nr_resident;

    if (policy->nr_resident == policy->capacity) {
        place = last_used(opt);
        policy_leave(policy, opt->places[place]);
    }
    opt->places[place] = chunk;
    policy_enter(policy, chunk);
    opt_hit(policy, chunk);
}

const struct policy_ops opt_ops = { "opt", sizeof(struct opt), opt_open, opt_hit, opt_wants,
                                    opt_fill, opt_close, NULL };

/* ---- the best fixed set ------------------------------------------------------ */

struct fixed {
    struct policy policy;
    bool *member; /* by chunk */
};

struct popular {
    uint32_t chunk;
    size_t visits;
};

static int more_visits(const void *a, const void *b)
{
    const struct popular *x = a, *y = b;

    return (x->visits < y->visits) - (x->visits > y->visits);
}

static bool fixed_open(struct policy *policy)
{
    struct fixed *fixed = (struct fixed *)policy;
    const struct trace *trace = policy->trace;
    struct popular *popular = calloc(trace->nr_chunks, sizeof *popular);

    fixed->member = calloc(trace->nr_chunks, sizeof *fixed->member);
    if (!fixed->member || !popular) {
        free(popular);
        return false;
    }
    for (uint32_t i = 0; i < trace->nr_chunks; i++)
        popular[i].chunk = i;
    for (size_t i = 0; i < trace->nr_visits; i++)
        popular[trace->visits[i].chunk].visits++;
    qsort(popular, trace->nr_chunks, sizeof *popular, more_visits);
    for (uint32_t i = 0; i < policy->capacity; i++)
        fixed->member[popular[i].chunk] = true;
    free(popular);
    return true;
}

static void fixed_close(struct policy *policy)
{
    free(((struct fixed *)policy)->member);
}

static void fixed_hit(struct policy *policy, uint32_t chunk)
{
    (void)policy;
    (void)chunk;
}

static bool fixed_wants(struct policy *policy, uint32_t chunk)
{
    return ((struct fixed *)policy)->member[chunk];
}

const struct policy_ops fixed_ops = { "fixed", sizeof(struct fixed), fixed_open, fixed_hit,
                                      fixed_wants, policy_enter, fixed_close, NULL };
