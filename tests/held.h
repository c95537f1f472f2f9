/* SPDX-License-Identifier: MIT
 *
 * held.h - for tests in which a source goes: what is filled ahead of a reader has been filled by then.
 */
#ifndef HUGELITE_TEST_HELD_H
#define HUGELITE_TEST_HELD_H

#include "kit.h"

#include "lock.h"
#include "pool.h"

/* Wait until the crew of this process has nothing to do; fail after TEST_HANG_S. */
static inline void held_await_crew(struct hugelite_pool *pool)
{
    double until = test_now() + TEST_HANG_S;
    bool busy = true;

    while (busy) {
        if (test_now() > until)
            test_fail(__FILE__, __LINE__, "the crew is at work after %d s", TEST_HANG_S);
        test_sleep_ms(1);
        hl_lock(&pool->crew.lock);
        busy = false;
        for (unsigned i = 0; i < HL_JOB_KINDS; i++)
            busy |= pool->crew.queues[i].nr;
        for (unsigned i = 0; i < HL_CREW_MAX; i++)
            busy |= pool->crew.busy[i] != NULL;
        hl_unlock(&pool->crew.lock);
    }
}

#endif
