/* SPDX-License-Identifier: MIT
 *
 * replay-policy.c - what all policies have: who is resident, and counts of uses.
 *
 * Entry points: policy_*().
 */
#include <config.h>

#include <stdlib.h>

#include "replay.h"

struct policy *policy_open(const struct policy_ops *ops, const struct policy_options *options,
                           const struct trace *trace, uint32_t capacity)
{
    struct policy *policy = calloc(1, ops->size);

    if (!policy)
        return NULL;
    policy->ops = ops;
    policy->options = *options;
    policy->trace = trace;
    policy->capacity = capacity;
    policy->random = 88172645463325252u;
    policy->resident = calloc(trace->nr_chunks, sizeof *policy->resident);
    policy->count = calloc(trace->nr_chunks, sizeof *policy->count);
    policy->spared = calloc(trace->nr_chunks, sizeof *policy->spared);
    if (!policy->resident || !policy->count || !policy->spared || !ops->open(policy)) {
        policy_close(policy);
        return NULL;
    }
    return policy;
}

void policy_close(struct policy *policy)
{
    policy->ops->close(policy);
    free(policy->resident);
    free(policy->count);
    free(policy->spared);
    free(policy);
}

void policy_enter(struct policy *policy, uint32_t chunk)
{
    policy->resident[chunk] = true;
    policy->count[chunk] = (uint8_t)policy->options.start;
    policy->nr_resident++;
}

void policy_leave(struct policy *policy, uint32_t chunk)
{
    policy->resident[chunk] = false;
    policy->spared[chunk] = false;
    policy->nr_resident--;
}

void policy_use(struct policy *policy, uint32_t chunk)
{
    const struct visit *visit = &policy->trace->visits[policy->now];

    if ((!visit->again || policy->options.every) &&
        policy->count[chunk] < (1u << policy->options.bits) - 1)
        policy->count[chunk]++;
    if (policy->options.interior && visit->interiors)
        policy->spared[chunk] = true;
}

bool policy_take_life(struct policy *policy, uint32_t chunk)
{
    if (policy->count[chunk]) {
        policy->count[chunk]--;
        return true;
    }
    if (policy->spared[chunk]) {
        policy->spared[chunk] = false;
        return true;
    }
    return false;
}
