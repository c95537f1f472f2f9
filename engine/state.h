/* SPDX-License-Identifier: MIT
 *
 * state.h - the state directory, on a real disk: the catalog (LMDB) and the disk tier, as this process
 * has them open.  One for all pools and volumes of the process; shared by all processes that name the
 * same directory.  Everything in it can be lost: nothing here ever fails an open or a read.
 *
 *   HUGELITE_STATE       the directory; else /var/lib/hugelite for root, else $XDG_STATE_HOME/hugelite, else
 *                        ~/.local/state/hugelite; "none" = do without
 *   HUGELITE_TIER_SIZE   of the disk tier, as in 4G; 0 = off
 */
#ifndef HL_STATE_H
#define HL_STATE_H

#include <stdint.h>

struct hl_catalog;
struct hl_tier;

struct hl_state {
    struct hl_catalog *catalog; /* NULL = there is none: read-only, missing, damaged and in use, another version */
    struct hl_tier *tier;       /* NULL = off */
};

/* Open it, or have one user more.  Never fails: when it cannot be used, both members are NULL.  Close
 * with hl_state_put(). */
struct hl_state *hl_state_get(void);
/* One that this process has open already, with one user more; NULL when there is none. */
struct hl_state *hl_state_peek(void);
void hl_state_put(struct hl_state *state);

/* Where it is, and why it cannot be used, or what has become of it (a full disk); "" = all is well. */
const char *hl_state_dir(const struct hl_state *state);
void hl_state_notice(const struct hl_state *state, char *buffer, uint32_t room);

/* Run a job in the clerk, the one thread that writes to the state directory, so that no reader waits
 * for a disk; in the order posted.  False when it has too much to do already: the job is not run. */
struct hl_errand {
    struct hl_errand *next;
    void (*run)(struct hl_errand *errand); /* frees it */
    uint32_t bytes; /* set by the post */
};
int hl_state_post(struct hl_state *state, struct hl_errand *errand);
/* It holds so many bytes of memory, of which there is a limit; or it is posted however much there is
 * to do, and only refused when there is no thread. */
int hl_state_post_bytes(struct hl_state *state, struct hl_errand *errand, uint32_t bytes);
int hl_state_post_must(struct hl_state *state, struct hl_errand *errand);

/* Wait until all that has been posted is done, this long at most.  True when it is. */
int hl_state_flush(struct hl_state *state, uint64_t patience_ns);

/* Something is done without from now on: said once, and kept. */
void hl_state_note(struct hl_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Around fork().  What the child has inherited is dead: it opens its own. */
void hl_state_fork_prepare(void);
void hl_state_fork_parent(void);
void hl_state_fork_child(void);

#endif
