/* SPDX-License-Identifier: MIT
 *
 * kit-steps.h - run a child instruction by instruction (ptrace), and see each change that it makes
 * to the shared words of a pool, and each system call: so that a test can kill it right there.
 *
 * Only the child's main thread goes step by step, its others run as they like.  A step takes some
 * microseconds; so who has seen a change once has a later child run there at full speed.
 *
 * See also: kit-crash.h (the stories that are told so), stop.h (dying at a system call).
 */
#ifndef HUGELITE_TEST_KIT_STEPS_H
#define HUGELITE_TEST_KIT_STEPS_H

#include "test.h"

struct hugelite_pool;

enum step_what {
    STEP_CALL,    /* a system call: index its number, from its 2nd argument, to its result */
    STEP_WORD,    /* a chunk word: index the chunk id */
    STEP_TICKET,  /* index the ticket */
    STEP_MEMBER,  /* the generation: index the seat */
    STEP_OWNER,   /* of a reader entry: index the entry */
    STEP_VOLUME,  /* of a reader entry */
    STEP_PIN,     /* of a reader entry, two in a word */
    STEP_SLOT,    /* state, and superseded in the upper half: index the slot */
    STEP_SCOUT,   /* of a slot */
    STEP_FIELD,   /* another field of a slot, a member or the header */
};

struct step_change {
    enum step_what what;
    uint32_t index;
    uint64_t from, to;
};

/* Skip the test where processes cannot be stepped through. */
void requires_steps(void);

/* Run in a child that can be stepped through; it must call steps_mark() where that begins,
 * and where it ends. */
pid_t steps_fork(void (*run)(void *arg), void *arg);
void steps_mark(void);

/* In the parent, which has the pool open: let the child come to its first mark. */
void steps_begin(pid_t pid, struct hugelite_pool *pool);

/* Kill it, wherever it is. */
void steps_end(pid_t pid);

/* Let the child go on to its next change, whatever it is.  False when it has come to its second
 * mark. */
bool steps_next(pid_t pid, struct step_change *ret_change);

/* Where it is now, and how often it has come here since it had taken so many steps. */
struct step_place {
    uint64_t address;
    unsigned arrivals;
};
struct step_place steps_place(pid_t pid, uint64_t since);

/* Let another child, of the same program, run to a place.  False when it has come to its second
 * mark. */
bool steps_run_to(pid_t pid, const struct step_place *place);

/* Let it take so many steps.  False when it has come to its second mark. */
bool steps_skip(pid_t pid, uint64_t nr);

/* Steps since steps_begin(). */
uint64_t steps_taken(void);

/* "chunk 3: FILLING -> RESIDENT", in a buffer of the caller's. */
const char *steps_describe(const struct step_change *change, char *text, size_t room);

#endif
