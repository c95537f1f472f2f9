/* SPDX-License-Identifier: MIT
 *
 * stop.h - die, stop or fail exactly here: hooks into the engine's table of system
 * calls (engine/sys.h).  They count for the process that sets them.
 */
#ifndef HUGELITE_TEST_STOP_H
#define HUGELITE_TEST_STOP_H

#include <stdint.h>

enum stop_call {
    STOP_ANY,      /* each call of the table, but for the fault thread's poll() and read() */
    STOP_COPY,     /* UFFDIO_COPY */
    STOP_PUNCH,    /* fallocate() that makes a hole */
    STOP_PREAD,    /* of a source */
    STOP_LOCK,     /* a pool lock obtained */
    STOP_UNLINK,   /* of an image */
    STOP_FENCE,    /* membarrier(): an evictor has claimed, and not yet looked at the pins */
    STOP_CALLS,
};

/* Just before, or after, the nth call (1 = the next one) of this kind, do this once. */
void stop_before(enum stop_call call, unsigned nth, void (*action)(void));
void stop_after(enum stop_call call, unsigned nth, void (*action)(void));

/* Actions: kill -9 of this process; SIGSTOP of it, going on after SIGCONT. */
void stop_die(void);
void stop_freeze(void);

/* Calls of this kind so far, since the first use of stop.c in this process. */
unsigned stop_count(enum stop_call call);

/* Fail reads of a source that touch these bytes with this errno; 0 = no more. */
void stop_fail_reads(int err, uint64_t from, uint64_t length);

/* Fail the nth call from now on, of those that may fail (not close() and the like),
 * once, with this errno. */
void stop_fail_call(unsigned nth, int err);

/* Did that call come? */
int stop_failed(void);

/* Reads of a source by other threads than this one wait, from now on; go on again. */
void stop_hold_reads(void);
void stop_resume_reads(void);

/* Wait until so many of them do wait; fail after 20 s. */
void stop_await_held(unsigned nr);

/* Answer this many of the next UFFDIO_COPY calls with EAGAIN and nothing done,
 * as the kernel does under contention. */
void stop_contend_copies(unsigned nr);

#endif
