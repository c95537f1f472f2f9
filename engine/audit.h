/* SPDX-License-Identifier: MIT
 *
 * audit.h - account for every chunk, slot, ticket, reader and image of a pool, while it is in use, and
 * put right what is wrong.
 */
#ifndef HL_AUDIT_H
#define HL_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;

enum hl_finding {
#define X(name, harm, text) HL_FOUND_##name,
#include "audit.def"
#undef X
    HL_FINDINGS,
};

/* Of each finding: its name, its sentence, and whether it is what the dead leave, which
 * harms nobody. */
extern const struct hl_finding_kind {
    const char *name, *text;
    bool is_left;
} hl_finding_kinds[HL_FINDINGS];

struct hl_audit {
    uint64_t found[HL_FINDINGS];
    uint64_t repaired[HL_FINDINGS]; /* of those; counted when a second look does not find it again */

    /* What is in order.  The tickets are the budget: free + resident + moving + orphaned, and those that are
     * found, = tickets + over. */
    uint32_t members;                       /* processes, this one included */
    uint32_t readers, pins;                 /* of the living */
    uint32_t volumes;
    uint32_t tickets;                       /* that are given out at present */
    uint32_t free, resident, moving, orphaned;
    uint32_t over;                          /* of these, behind that: the pool has shrunk */
    uint64_t image_bytes;                   /* pages of all images */
};

/* Each finding in words; repaired: and not there any more. */
typedef void hl_audit_tell(void *arg, enum hl_finding kind, bool repaired, const char *text);

/* Look at all of a pool.  Others may be at work: what moves is no finding, which is why whatever looks
 * wrong is looked at again until it has been the same for a while.  repair: put it right by
 * what the engine does when it meets such a thing; nobody who is alive is disturbed, so what
 * a live reader holds stays as it is.
 * tell may be NULL.  0 or -errno: -ECHILD, -ENOMEM, -ETIMEDOUT (the pool lock), or why an image cannot be
 * looked at. */
int hl_audit(struct hugelite_pool *pool, bool repair, hl_audit_tell *tell, void *arg,
             struct hl_audit *ret_audit);

/* Findings that are not repaired: of all, or only of those that are WRONG. */
uint64_t hl_audit_open(const struct hl_audit *audit, bool only_wrong);

#endif
