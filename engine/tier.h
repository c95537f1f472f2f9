/* SPDX-License-Identifier: MIT
 *
 * tier.h - the disk tier: encoded bytes that were fetched, in a bounded set of files below the state
 * directory, shared by all processes, surviving reboots; the catalog has its index.
 *
 * Bytes are kept in pieces of at most HL_TIER_PIECE, each with its checksum; a piece that is not what was
 * written is forgotten.  When the tier is full the oldest segment leaves; pieces of it that have been
 * read are written again.
 */
#ifndef HL_TIER_H
#define HL_TIER_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hl_state;

#define HL_TIER_PIECE (64u << 10)

/* What there is of a range. */
struct hl_extent {
    uint64_t src_offset;
    uint32_t length;
    uint32_t segment, at; /* where it lies */
    uint64_t checksum;
};

/* Pieces that overlap [src_offset, src_offset + length), by src_offset, the first `room` of them; they do not
 * overlap each other. */
unsigned hl_tier_find(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                      uint64_t length, struct hl_extent *ret_extents, unsigned room);

/* Read a whole piece and check it.  0; -ESTALE: it has gone, or is not what was written (and is forgotten). */
int hl_tier_read(struct hl_state *state, const uint64_t key[2], const struct hl_extent *extent,
                 void *buffer);

/* What it has of a range is what came, but not what it should be: forget it.  Waits a moment for the
 * clerk to have done so. */
void hl_tier_distrust(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                      uint32_t length);

/* Have the clerk keep bytes; dropped when it has too much to do, or they are there already.
 * release(arg) is called, once, when the memory is not needed any more: at once, or by the clerk. */
void hl_tier_post(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                  uint32_t length, const void *bytes, void (*release)(void *arg), void *arg);

/* Bytes kept now, and at most. */
void hl_tier_stat(struct hl_state *state, uint64_t *ret_bytes, uint64_t *ret_size);

/* ---- for state.c and catalog.c --------------------------------------------- */

struct hl_tier;

/* NULL when it is off, or cannot be; then a note says why.  The catalog is open. */
struct hl_tier *hl_tier_open(struct hl_state *state, int dir_fd, mode_t file_mode);
void hl_tier_close(struct hl_tier *tier); /* NULL is fine */
void hl_tier_abandon(struct hl_tier *tier); /* in a child of fork() */

/* Forget the pieces of a version; their bytes too, but for a tier that is NULL. */
int hl_tier_drop(struct hl_tier *tier, MDB_txn *txn, const uint64_t key[2]);
/* Forget those of the oldest segment that has any; false when none has. */
bool hl_tier_evict(MDB_txn *txn);

#endif
