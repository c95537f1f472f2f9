/* SPDX-License-Identifier: MIT
 *
 * clerk.c - the queue of errands and the thread that runs them.  Mechanism only: what they do is the
 * catalog's and the tier's affair.
 *
 * Entry points: clerk.h.  See also: state.c.
 */
#include "config.h"

#include "clerk.h"

#include "state.h"
#include "sys.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* A batch ends here, so that other processes' clerks need not wait long for the catalog. */
enum { BATCH_ERRANDS = 256, BATCH_BYTES = 8 << 20, NICER = 5 };

void hl_clerk_init(struct hl_clerk *clerk, void (*run)(void *arg, struct hl_errand *errand),
                   bool (*settle)(void *arg), void *arg)
{
    pthread_condattr_t attr;

    *clerk = (struct hl_clerk){ .lock = HL_LOCK_INIT(HL_RANK_STATE), .run = run,
                                .settle = settle, .arg = arg };
    clerk->last = &clerk->first;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&clerk->work, NULL);
    pthread_cond_init(&clerk->done, &attr);
    pthread_condattr_destroy(&attr);
}

/* Under the lock. */
static struct hl_errand *take_batch(struct hl_clerk *clerk, uint32_t *ret_nr, uint64_t *ret_bytes)
{
    struct hl_errand *first = clerk->first, **end = &clerk->first;
    uint64_t bytes = 0;
    uint32_t nr = 0;

    while (*end && nr < BATCH_ERRANDS && bytes < BATCH_BYTES) {
        bytes += (*end)->bytes;
        end = &(*end)->next;
        nr++;
    }
    clerk->first = *end;
    *end = NULL;
    if (!clerk->first)
        clerk->last = &clerk->first;
    *ret_nr = nr;
    *ret_bytes = bytes;
    return first;
}

static bool run_batch(struct hl_clerk *clerk, struct hl_errand *batch)
{
    while (batch) {
        struct hl_errand *errand = batch;

        batch = errand->next;
        clerk->run(clerk->arg, errand);
    }
    return clerk->settle(clerk->arg);
}

static void *clerk_main(void *arg)
{
    struct hl_clerk *clerk = arg;
    bool well = true;
    sigset_t all;

    /* The host's signals are not for this thread.  It was born quiet, so none has come. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_setname_np(pthread_self(), "hugelite-clerk");
    setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICER);
    hl_lock(&clerk->lock);
    for (;;) {
        struct hl_errand *batch;
        uint64_t bytes;
        uint32_t nr;

        while (well && !clerk->first && !clerk->stop)
            pthread_cond_wait(&clerk->work, &clerk->lock.mutex);
        if (!clerk->first)
            break;
        batch = take_batch(clerk, &nr, &bytes);
        hl_unlock(&clerk->lock);
        well = run_batch(clerk, batch);
        hl_lock(&clerk->lock);
        clerk->nr -= nr;
        clerk->bytes -= bytes;
        clerk->settled += nr;
        clerk->gone = !well; /* nothing more is taken: what is there is finished */
        pthread_cond_broadcast(&clerk->done);
    }
    clerk->gone = true;
    pthread_cond_broadcast(&clerk->done);
    hl_unlock(&clerk->lock);
    return NULL;
}

bool hl_clerk_post(struct hl_clerk *clerk, struct hl_errand *errand, uint32_t bytes, bool must)
{
    bool room;

    errand->next = NULL;
    errand->bytes = bytes;
    hl_lock(&clerk->lock);
    room = !clerk->stop && !clerk->gone &&
           (must || (clerk->nr < HL_CLERK_ERRANDS && bytes <= HL_CLERK_BYTES - clerk->bytes));
    if (room && !clerk->started)
        room = clerk->started = pthread_create(&clerk->thread, NULL, clerk_main, clerk) == 0;
    if (room) {
        *clerk->last = errand;
        clerk->last = &errand->next;
        clerk->nr++;
        clerk->bytes += bytes;
        clerk->posted++;
        pthread_cond_signal(&clerk->work);
    }
    hl_unlock(&clerk->lock);
    return room;
}

/* Under the lock.  True when it has been signalled, false when it is late. */
static bool wait_done(struct hl_clerk *clerk, uint64_t deadline_ns)
{
    struct timespec at = { .tv_sec = (time_t)(deadline_ns / 1000000000u),
                           .tv_nsec = (long)(deadline_ns % 1000000000u) };

    return pthread_cond_timedwait(&clerk->done, &clerk->lock.mutex, &at) == 0;
}

bool hl_clerk_flush(struct hl_clerk *clerk, uint64_t patience_ns)
{
    uint64_t deadline_ns = hl_now_ns() + patience_ns, target;
    bool done;

    hl_lock(&clerk->lock);
    target = clerk->posted;
    while (clerk->settled < target && wait_done(clerk, deadline_ns))
        ;
    done = clerk->settled >= target;
    hl_unlock(&clerk->lock);
    return done;
}

bool hl_clerk_stop(struct hl_clerk *clerk, uint64_t patience_ns)
{
    uint64_t deadline_ns = hl_now_ns() + patience_ns;
    bool ended;

    hl_lock(&clerk->lock);
    clerk->stop = true;
    pthread_cond_signal(&clerk->work);
    while (clerk->started && !clerk->gone && wait_done(clerk, deadline_ns))
        ;
    ended = !clerk->started || clerk->gone;
    clerk->stop = ended;
    hl_unlock(&clerk->lock);
    if (ended && clerk->started)
        pthread_join(clerk->thread, NULL);
    return ended;
}
