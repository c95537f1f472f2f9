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

/* What may fail, each counted by itself.  close(), munmap(), F_UNLCK of a lock, futex_wake() and
 * UFFDIO_WAKE are not among them: of good arguments the kernel refuses none. */
enum stop_kind {
    STOP_K_OPENAT,
    STOP_K_FSTAT,
    STOP_K_STAT,
    STOP_K_FSTATFS,
    STOP_K_FTRUNCATE,
    STOP_K_FALLOCATE,
    STOP_K_PUNCH,
    STOP_K_UNLINKAT,
    STOP_K_MKDIR, /* and mkdirat */
    STOP_K_FCHMOD,
    STOP_K_PREAD,
    STOP_K_PWRITE,
    STOP_K_READ,
    STOP_K_MMAP,
    STOP_K_MPROTECT,
    STOP_K_MADVISE,
    STOP_K_API,
    STOP_K_REGISTER,
    STOP_K_COPY,
    STOP_K_CONTINUE,
    STOP_K_POISON,
    STOP_K_LOCK,
    STOP_K_GETLK,
    STOP_K_LEASE,
    STOP_K_POLL,
    STOP_K_USERFAULTFD,
    STOP_K_EVENTFD,
    STOP_K_MEMBARRIER,
    STOP_K_FUTEX_WAIT,
    STOP_KINDS,
};

/* Instead of an errno. */
enum {
    STOP_SHORT = -1,      /* reads, pwrite: half of the bytes.  COPY: half, and EAGAIN */
    STOP_END = -2,        /* read, pread: none */
    STOP_STRAY_PAGE = -3, /* COPY: somebody else's page is there already, and the kernel says so */
};

/* Fail the nth call of a kind from now on, and those after it, so many in all: with this errno, or
 * as the enum above says.  nr 0 = no more. */
void stop_fail_kind(enum stop_kind kind, unsigned nth, unsigned nr, int err);

/* How many of them did come, since it was set. */
unsigned stop_failed_kind(void);

/* Calls of a kind so far. */
unsigned stop_count_kind(enum stop_kind kind);

/* As strace would say it, and an errno that may also be one of the above. */
const char *stop_kind_name(enum stop_kind kind);
const char *stop_err_name(int err);

/* Reads of a source by other threads than this one wait, from now on; go on again. */
void stop_hold_reads(void);
void stop_resume_reads(void);

/* Wait until so many of them do wait; fail after TEST_HANG_S. */
void stop_await_held(unsigned nr);

/* Answer this many of the next UFFDIO_COPY calls with EAGAIN and nothing done,
 * as the kernel does under contention. */
void stop_contend_copies(unsigned nr);

#endif
