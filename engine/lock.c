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

/* A handler may come, and leave by longjmp(), at any point that is not quiet yet or not any
 * more: what is remembered changes only while signals are blocked. */
void hl_quiet_begin(void)
{
    sigset_t all, signals;
    int cancel;

    if (before.depth) {
        before.depth++;
        return;
    }
    /* Those that a thread brings upon itself cannot wait. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &signals);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    before.signals = signals;
    before.cancel = cancel;
    before.depth = 1;
}

void hl_quiet_end(void)
{
    sigset_t signals = before.signals;

    if (before.depth > 1) {
        before.depth--;
        return;
    }
    before.depth = 0;
    pthread_setcancelstate(before.cancel, NULL);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
}
