/* SPDX-License-Identifier: MIT
 *
 * stage.h - encoded bytes of a remote source that are on their way into this process's memory:
 * asked for together, used piece by piece as they arrive.  Only for sources that are `remote`.
 *
 * A stage is made of one stretch of the source.  What the disk tier has of it is read from there,
 * the gaps are requested.  While it exists, hl_source_ops.read of bytes inside it, and
 * hl_stage_borrow(), are served from it and wait for what is still under way.  What came over the
 * wire goes to the disk tier when the stage ends.
 */
#ifndef HL_STAGE_H
#define HL_STAGE_H

#include <stdint.h>

struct hl_source;
struct hl_stage;

/* Bytes of a stage, at most. */
#define HL_STAGE_MAX (32u << 20)

enum hl_urgency {
    HL_URGENT, /* a reader waits for all of it: more than a MiB is asked for in parallel parts */
    HL_AHEAD,  /* a reader will want it */
    HL_IDLE,   /* it may come in useful */
};

/* Begin; returns at once, but for bytes that the disk tier has.
 *
 * arrived   may be NULL.  Called with src_end growing, and rc 1: all bytes of the stage before it
 *           are in memory; a last time with rc 0 or -errno, when the stage is complete or has
 *           failed for good.  By the transfer thread, or by this call before it returns; under no
 *           lock; must not block.
 *
 * 0, -ENOMEM, or -ECHILD after fork(). */
int hl_stage_begin(struct hl_source *source, uint64_t src_offset, uint32_t length,
                   enum hl_urgency urgency, void (*arrived)(void *arg, uint64_t src_end, int rc),
                   void *arg, struct hl_stage **ret_stage);

/* Stop what is under way and forget the stage.  When this returns no callback runs any more; not
 * to be called from one.  The memory goes when the last loan of it has been returned and the tier
 * has it.  NULL is fine. */
void hl_stage_end(struct hl_stage *stage);

/* The volume is being closed, and nobody waits for the origin: from now on those who would get
 * -ECANCELED, those who do already, too. */
void hl_stage_forbid(struct hl_source *source);

/* Bytes of this stretch do not decode, whoever is to blame: whatever is kept of them here and in the
 * disk tier is not used any more, so that who reads them now asks the origin. */
void hl_stage_distrust(struct hl_source *source, uint64_t src_offset, uint32_t length);

/* A reader waits now for what was begun with less urgency. */
void hl_stage_hurry(struct hl_stage *stage);

/* Bytes of a source in memory, without a copy: of a stage that has all of them, waiting for those
 * that are under way.  The loan keeps the memory; give it back with hl_stage_return().
 * 0; -ENOENT: there is no such stage, use read; or why the stage failed. */
int hl_stage_borrow(struct hl_source *source, uint64_t src_offset, uint32_t length,
                    const void **ret_bytes, struct hl_stage **ret_loan);
void hl_stage_return(struct hl_stage *loan);

/* The best size of what is asked for ahead, in encoded bytes: 12 MiB, or what the link brings in
 * two seconds if that is less, but 1 MiB at least. */
uint32_t hl_stage_best_bytes(const struct hl_source *source);

/* How long a reader may wait for a fill from this source, in nanoseconds. */
uint64_t hl_stage_patience_ns(const struct hl_source *source);

#endif
