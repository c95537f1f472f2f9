/* SPDX-License-Identifier: MIT
 *
 * state-kit.h - for tests of the catalog and the disk tier: state directories, and records and pieces
 * that can be told from each other.
 */
#ifndef HUGELITE_TEST_STATE_KIT_H
#define HUGELITE_TEST_STATE_KIT_H

#include "test.h"

#include "catalog.h"
#include "state.h"
#include "tier.h"

/* From now on the state directory is this one, the tier's size that one (NULL = off).  For a test
 * that opens no pool. */
void sk_use(const char *dir, const char *tier_size);

/* Open it; with a catalog, and without a notice.  Close: with all that was posted done. */
struct hl_state *sk_open(void);
void sk_close(struct hl_state *state);
void sk_flush(struct hl_state *state);

/* What hl_state_notice() says; kept until the next call. */
const char *sk_notice(const struct hl_state *state);

/* The nth source, in its vth version: everything of it follows from the numbers. */
void sk_name_key(uint64_t n, uint64_t ret_key[2]);
struct hl_known sk_known(uint64_t n, uint64_t v);
void sk_post_known(struct hl_state *state, uint64_t n, uint64_t v);
/* -ENOENT, or its version; everything else is expected to be what follows from it. */
int64_t sk_version(struct hl_state *state, uint64_t n);

/* Encoded bytes of a version: the pattern of test_file() with the seed key[0]. */
void sk_bytes(const uint64_t key[2], uint64_t src_offset, uint32_t length, void *ret_bytes);
/* Post some to the tier. */
void sk_keep(struct hl_state *state, const uint64_t key[2], uint64_t src_offset, uint32_t length);
/* How many bytes of a range are there; each is looked at.  ret_stale: pieces found that had gone. */
uint64_t sk_kept(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                 uint64_t length, unsigned *ret_stale);

/* Bytes of disk that the files of a directory take. */
uint64_t sk_disk_bytes(const char *dir);

#endif
