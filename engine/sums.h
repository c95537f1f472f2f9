/* SPDX-License-Identifier: MIT
 *
 * sums.h - XXH64 of the chunks of a raw remote source, remembered from fetch to fetch: an object that
 * gives other bytes under the same validator is noticed.
 */
#ifndef HL_SUMS_H
#define HL_SUMS_H

#include <stdatomic.h>
#include <stdint.h>

struct hl_state;
struct hl_sums_group;

struct hl_sums {
    struct hl_state *state;
    uint64_t key[2]; /* of the version */
    uint32_t nr_groups;
    struct hl_sums_group *_Atomic *groups; /* NULL until looked at */
};

/* Of so many chunks; the state stays open as long.  0 or -ENOMEM. */
int hl_sums_init(struct hl_sums *sums, struct hl_state *state, const uint64_t key[2],
                 uint64_t nr_chunks);
void hl_sums_free(struct hl_sums *sums); /* one that is all zeros is fine */

/* Is a chunk what it was when it was first fetched?  0, and from now on it is known; or -EBADMSG.
 * Any thread; takes no lock. */
int hl_sums_check(struct hl_sums *sums, uint32_t index, const void *bytes, uint32_t length);

#endif
