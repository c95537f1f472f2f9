/* SPDX-License-Identifier: MIT
 *
 * lock.h - the mutexes of one process, and the order they are taken in.
 *
 * A thread takes locks only in rising rank; each acquire checks it, which costs
 * nothing beside the lock itself.  None is held across source I/O, and
 * none while the mapped image is touched (rule 6 of engine/README.md): the fault thread
 * takes HL_RANK_LIST, and must not wait for a thread that waits for it.
 */
#ifndef HL_LOCK_H
#define HL_LOCK_H

#include "error.h"

#include <pthread.h>

enum hl_rank {
    HL_RANK_REGISTRY = 0, /* the pools of this process; held while one is opened or closed */
    HL_RANK_POOL,         /* beside the pool's lock byte, which tells processes apart, not threads */
    HL_RANK_LIST,         /* the volumes of a pool in this process */
    HL_RANK_WOUNDS,       /* the poisoned chunks of an image */
    HL_RANK_SCOUT,        /* the scout of a volume */
    HL_RANK_HAULS,        /* the hauls of a volume */
    HL_RANK_CREW,         /* the queues of the crew */
    HL_RANK_STATE,        /* the state directory: its users, the clerk's errands */
    HL_RANK_STAGES,       /* the stages of a remote source */
    HL_RANK_TRANSFERS,    /* what the transfer thread is to do */
    HL_RANK_FILES,        /* open source files */
    HL_RANK_BUFFERS,      /* fill buffers */
    HL_RANK_STREAMS,      /* frames that are decoded piece by piece */
    HL_RANK_DECODERS,     /* contexts that decode whole frames */
    HL_RANK_CREDENTIALS,  /* what the container or instance endpoint has given us */
};

struct hl_lock {
    pthread_mutex_t mutex;
    enum hl_rank rank;
};

#define HL_LOCK_INIT(r) { PTHREAD_MUTEX_INITIALIZER, (r) }

extern _Thread_local unsigned hl_locks_held; /* bit per rank */

/* While a thread holds a lock or a claim it is quiet: not cancelled, and not interrupted by
 * a signal handler, which might touch the very chunk that the thread is
 * filling and so wait for itself, or leave by longjmp() and never end the claim.  Nests. */
void hl_quiet_begin(void);
void hl_quiet_end(void);

static inline void hl_lock(struct hl_lock *lock)
{
    HL_ASSERT(hl_locks_held >> lock->rank == 0);
    hl_quiet_begin();
    pthread_mutex_lock(&lock->mutex);
    hl_locks_held |= 1u << lock->rank;
}

static inline void hl_unlock(struct hl_lock *lock)
{
    hl_locks_held &= ~(1u << lock->rank);
    pthread_mutex_unlock(&lock->mutex);
    hl_quiet_end();
}

#endif
