/* SPDX-License-Identifier: MIT
 *
 * kit-crash.h - the stories in which a process dies: one for each thing that the engine does to
 * the shared words.  A victim tells one step by step (kit-steps.h) and is killed at a change; a
 * survivor who wants the same waits meanwhile, and goes on.
 *
 * Who survives must read each byte right, meet no error, and begin at most one nap, or one attempt
 * at the pool lock, on account of the dead after they are dead: that is counted, so that it holds
 * on a machine of any load.  Afterwards the tables agree with the images, and nothing is lost.
 */
#ifndef HUGELITE_TEST_KIT_CRASH_H
#define HUGELITE_TEST_KIT_CRASH_H

#include "kit-steps.h"

struct crash_story {
    const char *name;
    void (*prepare)(void); /* in the parent, which has the pool and the volume open */
    void (*before)(void);  /* in the victim, which has them, too, but in `attach` */
    void (*tell)(void);    /* in the victim, step by step */
    void (*behind)(void);  /* in the parent, after the death */
    bool small_pages;      /* only there */
    bool attaches;         /* the victim opens nothing beforehand */
    bool on_tables;        /* the survivor opens the volumes anew */
    bool may_fail;         /* the source fails for the victim, and a waiter may be told so */
};

/* Ends with one that has no name. */
extern const struct crash_story crash_stories[];
const struct crash_story *crash_story(const char *name);

/* Make the sources and a pool: on small pages in any case, or on what there is. */
void crash_begin(bool small_pages);

/* Close the pool and see that nothing is left. */
void crash_end(void);

enum crash_survivor {
    CRASH_BESIDE, /* begins when the victim has its claim, or the lock, and goes on beside it */
    CRASH_AT,     /* begins when the victim has come to where it dies */
};

struct crash_point {
    struct step_change change;
    struct step_place place; /* since the claim, if there has been one */
};

/* Tell a story to its end, and note each change of it.  Returns how many; at most CRASH_POINTS. */
enum { CRASH_POINTS = 512 };
unsigned crash_points(const struct crash_story *story, enum crash_survivor survivor,
                      struct crash_point points[CRASH_POINTS]);

/* Tell a story and kill the teller at one of the points that were noted.  False when it came to
 * its end before, as it may when the survivor was quicker this time. */
bool crash_at(const struct crash_story *story, enum crash_survivor survivor,
              const struct crash_point points[], unsigned which);

/* Kill it after so many instructions. */
bool crash_after(const struct crash_story *story, enum crash_survivor survivor, uint64_t steps);

/* The chunk that the stories are about. */
enum { CRASH_CHUNK = 1 };
uint32_t crash_word(void); /* its id */

#endif
