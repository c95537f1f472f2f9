/* SPDX-License-Identifier: MIT
 *
 * lock.c - what a thread gives up while it holds a lock or a claim.
 *
 * Entry points: hl_quiet_begin(), hl_quiet_end().  See also: lock.h, chunk.c.
 */
#include "config.h"

#include "lock.h"

#include <signal.h>

_Thread_local unsigned hl_locks_held;

static _Thread_local struct {
    unsigned depth;
    int cancel;
    sigset_t signals;
} before;

void hl_quiet_begin(void)
{
    sigset_t all;

    if (before.depth++)
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.cancel);
    /* Those that a thread brings upon itself cannot wait. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before.signals);
}

void hl_quiet_end(void)
{
    if (--before.depth)
        return;
    pthread_sigmask(SIG_SETMASK, &before.signals, NULL);
    pthread_setcancelstate(before.cancel, NULL);
}
