/* SPDX-License-Identifier: MIT
 *
 * inject-kit.h - for tests that let one call after another fail: what is failing now, stories to
 * tell meanwhile, and how nothing is left behind afterwards.
 *
 * A test that uses it is linked with $(INJECT_WRAPS) of steady.am: the engine's, the VFS's and the
 * test's own calls of malloc() and its like, and of pthread_create(), come here first.
 *
 * See also: stop.h (system calls).
 */
#ifndef HUGELITE_TEST_INJECT_KIT_H
#define HUGELITE_TEST_INJECT_KIT_H

#include "test.h"

/* What goes on, for the message if the test ends badly; a run that takes longer than 20 s ends
 * it.  Call it before each run. */
void ik_say(const char *format, ...) TEST_PRINTF(1, 2);

/* Is each single call to fail in each of its ways (HUGELITE_TEST_SECONDS is set), or are some left
 * out?  In CI each call fails in one of its ways, which the turn chooses; and behind the fourth
 * of its kind the 6th, 9th, 13th and so on do. */
bool ik_is_full(void);
unsigned ik_next(unsigned nth);
bool ik_takes(unsigned turn, unsigned way, unsigned nr_ways);

/* ---- memory and threads ---------------------------------------------------- */

enum ik_want {
    IK_MEMORY,    /* malloc, calloc, realloc, strdup, asprintf, fopen and the like: ENOMEM */
    IK_THREAD,    /* pthread_create: EAGAIN */
    IK_CONDITION, /* pthread_cond_init: ENOMEM */
    IK_WANTS,
};

/* Fail the nth from now on, and those after it, so many in all; 0 = no more. */
void ik_deny(enum ik_want want, unsigned nth, unsigned nr);
unsigned ik_denied(void); /* since then */
const char *ik_want_name(enum ik_want want);

/* Blocks that were got through these calls and not given back. */
unsigned ik_live_blocks(void);

/* ---- stories --------------------------------------------------------------- */

/* A small pool and a database of three chunks in a file, raw or compressed. */
struct ik_ground {
    const char *name, *dir, *path, *control;
};

struct ik_ground ik_ground(const char *name, bool compressed);

struct ik_story {
    const char *name;
    void (*prepare)(const struct ik_ground *ground); /* nothing fails; may be NULL */
    void (*tell)(const struct ik_ground *ground);    /* anything may */
};

/* Made anew, opened, mapped, fetched, read, warmed, evicted, closed; the same of a pool that is
 * there; and with faults that fail, and are mended. */
extern const struct ik_story ik_made, ik_attached, ik_wounded;

/* Tell it while `arm` lets something fail, then without; look at every byte, at the tables, and for
 * what has been left behind.  True if something did fail; armed: to be asked. */
bool ik_run(const struct ik_story *story, const struct ik_ground *ground, void (*arm)(void *arg),
            bool (*disarm)(void), void *arg);

/* The same without a failure, twice, so that what is kept for good is there. */
void ik_settle(const struct ik_story *story, const struct ik_ground *ground);

/* 0, or an error with a sentence of its own. */
#define IK_SAID(call) (ik_hush(), ik_said(__FILE__, __LINE__, #call, (call)))
void ik_hush(void);
int ik_said(const char *file, int line, const char *call, int rc);

/* Expect as many descriptors, mappings, threads, blocks as when it was called last with `note`. */
void ik_balance(bool note);

#endif
