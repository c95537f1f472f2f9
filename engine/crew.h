/* SPDX-License-Identifier: MIT
 *
 * crew.h - threads that work beside the askers: they decode parts of a fill, finish fills whose first
 * bytes have been served, and fill ahead.  One crew a pool attachment, one thread a
 * CPU; started at the first cold chunk, so that a reader of a warm volume has none.
 */
#ifndef HL_CREW_H
#define HL_CREW_H

#include "lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hl_haul;
struct hl_volume;

#define HL_CREW_MAX 32u /* threads */
#define HL_CREW_DUE_EACH 2u /* due jobs for each thread: one in work, one to follow */
#define HL_CREW_QUEUE 128u

/* A chunk to be filled. */
struct hl_job {
    void (*run)(const struct hl_job *job);
    struct hl_volume *volume;
    uint32_t index;
    bool if_room;      /* only if nothing has to leave for it */
    uint32_t from, to; /* due: bytes of the buffer that are decoded already */
    void *buffer;      /* due: where they are; the job gives it back */
    struct hl_haul *haul; /* arrived: what it came with */
};

/* Work cut into parts, on its asker's stack. */
struct hl_share {
    struct hl_share *next;
    void (*part)(void *arg, unsigned i);
    void *arg;
    unsigned nr;
    _Atomic unsigned taken; /* parts begun */
    unsigned helpers;       /* threads of the crew at work on it, under the lock */
};

enum hl_job_kind {
    HL_JOB_DUE,   /* a chunk that is claimed: nobody else can fill it */
    HL_JOB_ARRIVED, /* a chunk that is claimed, and has come with a haul */
    HL_JOB_AHEAD, /* a scan will want it */
    HL_JOB_WISH,  /* somebody may want it */
    HL_JOB_KINDS,
};

struct hl_queue {
    unsigned first, nr;
    struct hl_job jobs[HL_CREW_QUEUE];
};

struct hl_crew {
    struct hl_lock lock;
    pthread_cond_t work; /* something to do, or stop */
    pthread_cond_t done; /* a job or a helper has ended */
    pthread_t threads[HL_CREW_MAX];
    struct hl_volume *busy[HL_CREW_MAX]; /* whose job each thread runs; NULL = none's */
    unsigned nr_threads;
    _Atomic unsigned nr_idle; /* read without the lock as a hint */
    _Atomic bool started;     /* nr_threads is settled */
    bool starting, stop;

    struct hl_share *shares;
    _Atomic unsigned nr_reserved; /* places of due jobs that are promised; changes under the lock */
    unsigned nr_hauled;           /* places of arrived jobs that are promised */
    unsigned nr_beside;           /* threads at work for a reader who does not wait */
    struct hl_queue queues[HL_JOB_KINDS];
};

void hl_crew_init(struct hl_crew *crew);

/* Start the threads, once; when the system gives none, the crew stays empty and askers do all
 * themselves.  Not from the fault thread: it uses malloc. */
void hl_crew_start(struct hl_crew *crew);

/* End the threads.  No volume is open any more. */
void hl_crew_stop(struct hl_crew *crew);

/* 0 until they are all there. */
static inline unsigned hl_crew_threads(const struct hl_crew *crew)
{
    /* acquire: pairs with the release in hl_crew_start(). */
    return atomic_load_explicit(&crew->started, memory_order_acquire) ? crew->nr_threads : 0;
}

/* Would hl_crew_reserve() say no?  A look without the lock. */
static inline bool hl_crew_is_busy(const struct hl_crew *crew)
{
    return atomic_load_explicit(&crew->nr_reserved, memory_order_relaxed) >=
           hl_crew_threads(crew) * HL_CREW_DUE_EACH;
}

/* Call part(arg, i) for each i below nr, here and in idle threads; returns when all are done. */
void hl_crew_share(struct hl_crew *crew, unsigned nr, void (*part)(void *arg, unsigned i),
                   void *arg);

/* A place for a due job; false when the crew has its hands full.  To be used, or given back. */
bool hl_crew_reserve(struct hl_crew *crew);
void hl_crew_unreserve(struct hl_crew *crew);

/* Places for arrived jobs: up to nr of them; returns how many.  Each is given back when its chunk
 * has been filled or dropped. */
unsigned hl_crew_reserve_hauled(struct hl_crew *crew, unsigned nr);
void hl_crew_unreserve_hauled(struct hl_crew *crew, unsigned nr);

/* Queue a job; a due or arrived one has its place.  False when there are too many of the others already. */
bool hl_crew_post(struct hl_crew *crew, enum hl_job_kind kind, const struct hl_job *job);

/* Run a due or arrived job of a volume in the calling thread, if the crew has not come to it yet: of one chunk, or
 * with HL_CREW_ANY of any.  False when there is none. */
#define HL_CREW_ANY UINT32_MAX
bool hl_crew_run_due(struct hl_crew *crew, const struct hl_volume *volume, uint32_t index);

/* Drop what is not due of a volume that is being closed, and run, or wait for, its other jobs. */
void hl_crew_leave(struct hl_crew *crew, const struct hl_volume *volume);

#endif
