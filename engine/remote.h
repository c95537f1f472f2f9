/* SPDX-License-Identifier: MIT
 *
 * remote.h - one version of an object of a remote store, as one process reads it: what all kinds
 * of remote sources share.  A kind (source-http.c, source-s3.c) makes the target, and is done.
 *
 * A read looks, in this order: into the stages (stage.h), into the bytes of the source's
 * beginning and end that the open has brought, into the disk tier; then it asks the origin.
 */
#ifndef HL_REMOTE_H
#define HL_REMOTE_H

#include "source.h"
#include "transfer.h"

/* Bytes of a source's beginning and end that opening it brings. */
enum { HL_REMOTE_HEAD = 64 << 10, HL_REMOTE_TAIL = 256 << 10 };

/* What a kind knows. */
struct hl_remote_kind {
    const struct hl_source_ops *ops;
    const char *name;            /* for people; copied */
    uint64_t name_key[2];
    struct hl_target *target;    /* the remote's from now on, when the open succeeds */
    void (*close_target)(struct hl_target *target);
    int (*refresh)(struct hl_target *target); /* NULL, or before transfers are started: may block */
};

/* Find out which version is there, by the catalog or by asking, and open it.  One round trip for
 * a source that is not known: its beginning and its end are asked for at once.  One for one that
 * is: the same request for its beginning, pinned to the known version.  None within
 * HUGELITE_FRESH seconds after the origin has been asked last.  When the origin does not answer,
 * and the source is known, it is opened `unvalidated`. */
int hl_remote_open(const struct hl_remote_kind *kind, struct hl_source **ret_source);

/* For the ops tables of the kinds. */
int hl_remote_read(struct hl_source *source, uint64_t src_offset, uint32_t length, void *buffer);
int hl_remote_check(struct hl_source *source);
void hl_remote_close(struct hl_source *source);

/* What a reader should know of how its version is pinned, as a sentence without its name; "" =
 * nothing. */
const char *hl_remote_caveat(const struct hl_source *source);

/* The same version has been opened again by a name that may be signed anew: ask by that one from now on. */
void hl_remote_renew(struct hl_source *source, struct hl_source *again);

/* The volume is known: what has been counted so far goes there, and what comes. */
void hl_remote_count_in(struct hl_source *source, struct hl_stats *stats);

/* The decoded size is known, and that what the codec has read of the source is sound: remember
 * the source in the catalog.  Up to this call the source is one thread's: it takes reads near the
 * end for those of a frame index, brings that in one piece, and lets go of it here.  Once. */
void hl_remote_remember(struct hl_source *source, uint64_t bytes);

#endif
