/* SPDX-License-Identifier: MIT
 *
 * layout.h - every struct that lives in shared memory, and nothing else.
 *
 * The control segment is one file, mapped by all members of a pool:
 *
 *   header | members | readers | volume slots | tickets | rings | chunk words
 *
 * It holds indexes, never pointers; all words that change while others look are
 * _Atomic and are explained in engine/README.md ("The shared words").  Builds
 * that would disagree about it are told apart by hl_layout_signature().
 *
 * See also: pool.c (makes and checks it), chunk.h (the chunk word).
 */
#ifndef HL_LAYOUT_H
#define HL_LAYOUT_H

#include "stats.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#define HL_MAGIC 0x0a6c6f6f70656c68ull /* "hlepool\n" */
#define HL_LAYOUT_VERSION 4u

#define HL_CHUNK_SHIFT 21
#define HL_CHUNK_BYTES (1u << HL_CHUNK_SHIFT)
#define HL_CHUNK_MASK (HL_CHUNK_BYTES - 1)

#define HL_MEMBERS 1024u
#define HL_READERS 2048u
#define HL_SLOTS 128u
#define HL_PINS 64u
#define HL_NAME_BYTES 1024u

/* Byte locks of the control file (open file description locks).  These offsets never
 * change, so that builds of different layouts still exclude each other. */
#define HL_LOCK_POOL 0u
#define HL_LOCK_MEMBER 4096u /* + member index */

/* One attached process.  Alive while its byte lock is held. */
struct hl_member {
    _Atomic uint32_t generation; /* + 1 at each attach, so that a reused seat is no old owner */
    uint32_t spare;
    _Atomic uint64_t heap_bytes; /* huge pages that the process uses as heap; of the living only */
    uint64_t spares[6];
};

/* One open volume handle: whom it belongs to, what it reads, what it holds. */
struct hl_reader {
    _Atomic uint64_t owner;  /* HL_OWNER of the member; 0 = free */
    _Atomic uint32_t volume; /* slot index + 1; 0 = none */
    uint32_t spare[13];
    _Atomic uint32_t pins[HL_PINS]; /* chunk id + 1; 0 = nothing held */
};

enum hl_slot_state {
    HL_SLOT_FREE = 0,
    HL_SLOT_LIVE = 1,
    HL_SLOT_DYING = 2, /* being taken down; whoever holds the pool lock goes on with it */
};

/* One volume, that is one version of one source. */
struct hl_slot {
    _Atomic uint32_t state;
    _Atomic uint32_t superseded; /* a newer version of the same source has come */
    _Atomic uint32_t life;       /* + 1 each time the slot is made anew, before its fields change */
    _Atomic uint32_t unvalidated; /* the origin was not there to be asked when it was opened last */
    _Atomic uint32_t share;      /* chunks that it may have of the budget; 0 = all */
    _Atomic uint32_t contested;  /* early reads for which others would have had to leave */
    _Atomic uint64_t scout;      /* HL_OWNER of whoever fetches its interior pages; 0 = nobody */
    uint32_t first;              /* chunk id of its first chunk */
    uint32_t capacity;           /* chunk ids it owns, image length / chunk */
    _Atomic uint64_t bytes;      /* decoded size */
    _Atomic uint64_t used_ns;    /* CLOCK_MONOTONIC of the last open or close */
    uint64_t key[2];             /* names the image; hash of source and validator */
    uint64_t name_key[2];        /* hash of the source's name alone */
    struct hl_stats stats;
    char source[HL_NAME_BYTES];
};

/* The two ends of a ring of hints; its entries lie elsewhere (ring.h). */
struct hl_ring_ends {
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
};

struct hl_control {
    _Atomic uint64_t magic; /* stored last: 0 = being made */
    uint32_t version;
    uint32_t page_bytes;
    uint64_t signature;
    uint32_t light_pins; /* 1: readers pin without a fence, evictors fence them all (rule 4) */
    uint32_t spare;
    uint64_t control_bytes;
    uint32_t nr_tickets; /* that there are: the largest budget, in chunks */
    uint32_t nr_words;   /* chunk ids there are */
    uint64_t members_at, readers_at, slots_at, tickets_at, words_at; /* bytes from the start */
    uint64_t free_at, fresh_at; /* the entries of the rings, nr_tickets each */

    /* Of replacement.c, all hints but the limit. */
    _Atomic uint32_t limit;     /* the budget in chunks: tickets from here on are not given out */
    _Atomic uint32_t top;       /* tickets that may be in use lie below; the limit, but for a while */
    _Atomic uint32_t evictions; /* so far: the time of ghosts */
    struct hl_ring_ends free;   /* tickets that may be free */
    struct hl_ring_ends fresh;  /* tickets of chunks on probation, oldest first */
    _Alignas(64) _Atomic uint64_t sweep_hand;
    _Alignas(64) _Atomic uint32_t readers_top; /* readers in use lie below; only grows */
};

static_assert(sizeof(struct hl_member) == 64, "one line a member");
static_assert(sizeof(struct hl_reader) == 64 + 4 * HL_PINS, "owner line, then the pins");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "shared atomics");

#endif
