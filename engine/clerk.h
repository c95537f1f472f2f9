/* SPDX-License-Identifier: MIT
 *
 * clerk.h - the one thread of this process that writes to the state directory, and what it is to do.
 *
 * Errands are run in the order posted, as many as there are at a time, and then a word is said: that
 * is when the catalog's transaction ends.  The thread is started by the first errand.
 */
#ifndef HL_CLERK_H
#define HL_CLERK_H

#include "lock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct hl_errand;

/* What may wait: errands, and bytes of memory that they hold. */
enum { HL_CLERK_ERRANDS = 8192, HL_CLERK_BYTES = 64 << 20 };

struct hl_clerk {
    struct hl_lock lock;
    pthread_cond_t work, done;
    pthread_t thread;
    void (*run)(void *arg, struct hl_errand *errand); /* which frees it */
    bool (*settle)(void *arg); /* after a batch; false: the thread is to end */
    void *arg;
    struct hl_errand *first, **last;
    uint32_t nr;
    uint64_t bytes;
    uint64_t posted, settled; /* errands so far */
    bool started, stop, gone;
};

void hl_clerk_init(struct hl_clerk *clerk, void (*run)(void *arg, struct hl_errand *errand),
                   bool (*settle)(void *arg), void *arg);

/* False when there is too much to do, or no thread to be had.  `must`: however much there is. */
bool hl_clerk_post(struct hl_clerk *clerk, struct hl_errand *errand, uint32_t bytes, bool must);

/* Wait until all that has been posted is settled; false when that takes longer. */
bool hl_clerk_flush(struct hl_clerk *clerk, uint64_t patience_ns);

/* Finish what there is and end the thread; false when it takes longer, and then it goes on. */
bool hl_clerk_stop(struct hl_clerk *clerk, uint64_t patience_ns);

#endif
