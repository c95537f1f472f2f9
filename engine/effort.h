/* SPDX-License-Identifier: MIT
 *
 * effort.h - what is done for one transfer, from its first attempt to its end.  Only the transfer thread
 * has efforts; other threads leave a wish in them.
 */
#ifndef HL_EFFORT_H
#define HL_EFFORT_H

#include "attempt.h"

enum { HL_REQUESTS_MAX = 256 };

/* What all efforts share; the transfer thread's. */
struct hl_line {
    CURLM *multi;               /* set and cleared under transfer.c's lock; NULL = no thread */
    CURL *spare[HL_REQUESTS_MAX];
    unsigned nr_spare, nr_active, limit; /* of requests in flight */
    struct hl_authorities authorities;
    struct hl_pace pace;        /* of all targets */
    _Atomic uint64_t latency_ns; /* the median of it, for all threads */
    uint64_t random;
    uint64_t body_bytes;        /* that have come; who counts them takes them off here */
};

struct hl_effort {
    struct hl_effort *next;     /* transfer.c's */
    struct hl_transfer *transfer;
    struct hl_line *line;
    _Atomic bool cancelled, hurried; /* the wishes */

    enum hl_urgency urgency;
    uint64_t begun_ns, deadline_ns;
    bool deadline_moves;
    uint64_t due_ns;            /* without an attempt: when the next may begin */
    bool over;                  /* the transfer has its rc, response and sentence; all that is left to
                                 * do is to say so */

    struct hl_attempt *attempts[2]; /* NULL = none; the second is a hedge */
    struct hl_attempt *winner;  /* whose bytes are taken */
    bool hedged;
    unsigned tries;

    /* Once the first headers were right: what the whole answer is, and what pins the rest. */
    bool settled;
    uint64_t first;
    uint32_t length;
    enum hl_validator_kind validator_kind;
    char validator[HL_VALIDATOR_BYTES];
    struct hl_response response;

    struct hl_answer failure;   /* the last attempt's; sentence "" = none yet */
    struct hl_response failed_response;
    unsigned unreached, doublings, stalls;
    bool afresh, relocated;     /* once each */
    uint32_t told;
};

/* It has no attempt under way, and is to have one from due_ns on. */
bool hl_effort_is_queued(const struct hl_effort *effort);

/* Begin that attempt. */
void hl_effort_try(struct hl_effort *effort);

/* libcurl is done with an attempt (its CURLINFO_PRIVATE). */
void hl_effort_settle(struct hl_attempt *attempt, CURLcode code);

/* Look at the clock: the deadline, bytes that do not come, a second request.  Lowers *next to when the
 * next look is due (CLOCK_MONOTONIC, nanoseconds). */
void hl_effort_watch(struct hl_effort *effort, uint64_t now, uint64_t *next);

/* -ECANCELED, and why. */
void hl_effort_give_up(struct hl_effort *effort, const char *why);

/* relaxed: a wish, which the lock or the next round makes known in time. */
static inline bool hl_effort_is_cancelled(const struct hl_effort *effort)
{
    return atomic_load_explicit(&effort->cancelled, memory_order_relaxed);
}

static inline void hl_sooner(uint64_t *next, uint64_t ns)
{
    if (ns < *next)
        *next = ns;
}

#endif
