/* SPDX-License-Identifier: MIT
 *
 * replay.h - what the files of the replay share: a trace, and a policy that says who leaves.
 * Policies see chunk numbers only, as replacement.c does.
 */
#ifndef HL_REPLAY_H
#define HL_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a trace (replay-trace.c) --------------------------------------------- */

/* A reader's touches of one chunk that came one after the other. */
struct visit {
    uint32_t chunk; /* over all volumes */
    uint16_t reader;
    bool again;     /* the reader's last visit was to this chunk, too: he was interrupted */
    uint32_t leaves, interiors; /* pages touched */
};

struct trace {
    char workload[64];
    uint32_t nr_chunks, nr_readers;
    struct visit *visits;
    size_t nr_visits;
    uint64_t nr_touches;
};

/* 0, or -1 having said why on stderr. */
int trace_read(const char *path, struct trace *ret_trace);
void trace_free(struct trace *trace);

/* ---- policies ------------------------------------------------------------- */

#define NONE UINT32_MAX

/* What makes a variant of a policy. */
struct policy_options {
    unsigned bits;      /* of a chunk's count of uses */
    unsigned start;     /* count of a chunk that has just been filled */
    unsigned promote;   /* count with which a chunk leaves the small queue for the main one */
    unsigned small;     /* percent of the capacity that the small queue has */
    unsigned ghost;     /* percent of the capacity, that many that have left are remembered */
    bool every;         /* each page touched counts, not each visit */
    bool pass;          /* may leave a chunk out, whose pages are then read one by one */
    bool interior;      /* a chunk whose interior pages were touched is spared once more */
    bool follow;        /* engine: what is read page by page needs no probation, unless it is a scan */
};

struct policy {
    const struct policy_ops *ops;
    struct policy_options options;
    const struct trace *trace;
    uint32_t capacity, nr_resident;
    uint32_t ahead;       /* as many are evicted ahead of need, and are no room */
    size_t now;           /* number of the visit */
    bool sequential;      /* which goes through chunk after chunk */
    bool earned;          /* which fills a chunk that was read early before */
    bool followed;        /* page by page, so that it was filled */
    bool *resident;       /* by chunk */
    uint8_t *count;       /* by chunk: uses, up to what its bits hold */
    bool *spared;         /* by chunk: has an interior page's life to lose */
    uint64_t random;
};

struct policy_ops {
    const char *name;
    size_t size;                                     /* of the struct that begins with policy */
    bool (*open)(struct policy *policy);             /* false: no memory */
    void (*hit)(struct policy *policy, uint32_t chunk);
    bool (*wants)(struct policy *policy, uint32_t chunk); /* NULL: always */
    void (*fill)(struct policy *policy, uint32_t chunk); /* makes room first */
    void (*close)(struct policy *policy);
    /* Is there a place that nobody needs, who goes on to read so many pages?  NULL: a free one. */
    bool (*room)(struct policy *policy, uint32_t reads);
};

extern const struct policy_ops lru_ops, clock_ops, sieve_ops, random2_ops, s3fifo_ops, arc_ops,
    opt_ops, fixed_ops, engine_ops;

struct policy *policy_open(const struct policy_ops *ops, const struct policy_options *options,
                           const struct trace *trace, uint32_t capacity);
void policy_close(struct policy *policy);

/* For policies: one more or less is resident. */
void policy_enter(struct policy *policy, uint32_t chunk);
void policy_leave(struct policy *policy, uint32_t chunk);

/* Count a use; take a life, false when there was none left. */
void policy_use(struct policy *policy, uint32_t chunk);
bool policy_take_life(struct policy *policy, uint32_t chunk);

/* ---- admission (replay-admission.c) ------------------------------------------ */

struct admission_options {
    unsigned earns;  /* reads of its pages, one by one, that earn a chunk its place; 0 = fill at once */
    unsigned window; /* counts are halved when as many times as there are chunks have come */
    unsigned interior; /* an interior page counts for so many more */
    bool apart;      /* only one whose leaf is in another chunk */
    bool kept;       /* interior pages are read early once and never again: they cost and count nothing */
    bool shared;     /* one table for all readers, not one for each */
};

struct sequence {
    uint32_t chunk, leaves, run;
};

struct admission {
    struct admission_options options;
    const struct trace *trace;
    uint16_t *counts;   /* by table and chunk */
    uint32_t *totals;   /* by table */
    struct sequence *sequences; /* by reader */
};

bool admission_open(struct admission *admission, const struct admission_options *options,
                    const struct trace *trace);
void admission_close(struct admission *admission);

/* Each visit, to whatever chunk. */
void admission_see(struct admission *admission, const struct visit *visit);

/* Does it go through chunk after chunk?  Has its chunk been read early about half as often as it takes? */
bool admission_is_sequential(const struct admission *admission, const struct visit *visit);
bool admission_has_earned(const struct admission *admission, const struct visit *visit);

/* The chunk is filled: the place of its count is needed. */
void admission_filled(struct admission *admission, const struct visit *visit);

/* A visit to a chunk that is not resident: pages read one by one before it is filled; more than the visit
 * has when it is not. */
uint32_t admission_early_reads(struct admission *admission, const struct visit *visit, bool room);

/* ---- queues of chunks (replay-queue.c) -------------------------------------- */

/* A chunk is in one queue of a set at most. */
struct link {
    uint32_t newer, older;
};

struct queue {
    struct link *links; /* by chunk, shared by the queues of a set */
    uint32_t newest, oldest, length;
};

struct queue queue_of(struct link *links);
void queue_push(struct queue *queue, uint32_t chunk); /* as the newest */
void queue_remove(struct queue *queue, uint32_t chunk);
uint32_t queue_pop(struct queue *queue);              /* the oldest */

#endif
