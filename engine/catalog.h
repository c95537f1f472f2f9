/* SPDX-License-Identifier: MIT
 *
 * catalog.h - what is remembered of remote volumes: an LMDB environment in the state directory.
 *
 * Every value carries a version and a checksum; what does not fit is as if it were not there.  All calls may be made
 * by any thread.  Those that look return 0, -ENOENT, or -errno; those that write go through the clerk (state.h)
 * where their name says post, and are forgotten when they fail.  No call ever hands out a pointer into LMDB's map.
 */
#ifndef HL_CATALOG_H
#define HL_CATALOG_H

#include "response.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hl_catalog;
struct hl_state;

/* What a source was when it was seen last.  Found by its name's key. */
struct hl_known {
    char name[1024];                   /* for people, without credentials */
    enum hl_validator_kind kind;
    char validator[HL_VALIDATOR_BYTES];
    uint64_t src_bytes;                /* encoded size */
    uint64_t bytes;                    /* decoded size; 0 = not known yet */
    uint64_t key[2];                   /* of this version: struct hl_source.key */
    uint64_t validated_ns;             /* CLOCK_REALTIME when the origin said so */
    uint64_t opened_ns;                /* CLOCK_REALTIME of the last open */
};

int hl_catalog_find(struct hl_catalog *catalog, const uint64_t name_key[2],
                    struct hl_known *ret_known);
/* Another version than the one that was known: what is remembered of the old one goes with it. */
void hl_catalog_post_known(struct hl_state *state, const uint64_t name_key[2],
                           const struct hl_known *known);

/* All known sources, in no order; stops when each() returns non-zero. */
int hl_catalog_each(struct hl_catalog *catalog,
                    int (*each)(void *arg, const uint64_t name_key[2], const struct hl_known *known),
                    void *arg);

/* Forget a source: all records of it, and its bytes in the tier.  -ENOENT.  At once, not by the clerk. */
int hl_catalog_forget(struct hl_state *state, const uint64_t name_key[2]);

/* Blobs of a version: a kind, a number, and bytes. */
enum hl_blob_kind {
    HL_BLOB_HEAD = 'h',  /* 0: encoded bytes from the source's beginning */
    HL_BLOB_TAIL = 't',  /* 0: encoded bytes up to the source's end: its frame index */
    HL_BLOB_SUMS = 's',  /* n: XXH64 of 512 chunks from 512 n on, little-endian; 0 = not known */
    HL_BLOB_ROOTS = 'r', /* 0: numbers of the B-tree interior pages, 4 bytes each, top levels first */
    HL_BLOB_WARM = 'w',  /* 0: numbers of the chunks that readers needed first, 4 bytes each, in order;
                          * under the name's key, since a new version has much the same */
};

/* *ret_bytes is malloc'ed. */
int hl_catalog_read(struct hl_catalog *catalog, const uint64_t key[2], enum hl_blob_kind kind,
                    uint32_t number, void **ret_bytes, uint32_t *ret_length);
void hl_catalog_post(struct hl_state *state, const uint64_t key[2], enum hl_blob_kind kind,
                     uint32_t number, const void *bytes, uint32_t length);

/* ---- for state.c, tier.c, sums.c ------------------------------------------- */

/* What LMDB maps; a test sets it lower. */
extern uint64_t hl_catalog_map_bytes;

/* Open or make the one in a directory.  0, and what has become of it in note ("" = all is well); or
 * -errno. */
int hl_catalog_open(const char *dir, int dir_fd, mode_t file_mode, struct hl_catalog **ret_catalog,
                    char *note, uint32_t note_room);
void hl_catalog_close(struct hl_catalog *catalog);
/* In a child of fork(): touch nothing of it any more. */
void hl_catalog_abandon(struct hl_catalog *catalog);

/* Was this process the first to open it, and so alone with the directory until hl_catalog_share()? */
bool hl_catalog_was_first(const struct hl_catalog *catalog);
void hl_catalog_share(struct hl_catalog *catalog);

/* Look into it: look() gets a transaction and its result is returned; -EAGAIN and others when there
 * can be none. */
int hl_catalog_look(struct hl_catalog *catalog, int (*look)(MDB_txn *txn, void *arg), void *arg);

/* The clerk's.  The transaction of this batch of errands, or NULL. */
MDB_txn *hl_catalog_write(struct hl_catalog *catalog);
/* Run something that writes; should LMDB find itself damaged, it does not come to its end. */
void hl_catalog_guard(struct hl_catalog *catalog, void (*run)(void *arg), void *arg);
/* End the transaction.  False: LMDB has found itself damaged, nothing works any more. */
bool hl_catalog_settle(struct hl_catalog *catalog);
/* What became of the last one: 0, or -errno; -EBADMSG: nothing works any more. */
int hl_catalog_trouble(const struct hl_catalog *catalog);

/* A blob, by the clerk itself. */
int hl_catalog_put(MDB_txn *txn, const uint64_t key[2], enum hl_blob_kind kind, uint32_t number,
                   const void *bytes, uint32_t length);

#endif
