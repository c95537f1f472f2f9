/* SPDX-License-Identifier: MIT
 *
 * chunk.h - the chunk word, and the calls that move a chunk from state to state.
 *
 * The word's drawing, its transition table and the reason for every memory
 * order are in engine/README.md ("The chunk word").
 *
 *    63            32 31        16 15      8 7        0
 *   +----------------+------------+---------+----------+
 *   | generation     | member     | errno   | flags  st|   FILLING, EVICTING
 *   | ticket         | 0          | lives   | flags  st|   RESIDENT
 *   | ghost          | time reads | errno   | flags  st|   EMPTY
 *   +----------------+------------+---------+----------+
 *
 * The low half is the futex.
 */
#ifndef HL_CHUNK_H
#define HL_CHUNK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;
struct hl_volume;

enum hl_chunk_state {
    HL_CHUNK_EMPTY = 0,
    HL_CHUNK_FILLING = 1,
    HL_CHUNK_RESIDENT = 2,
    HL_CHUNK_EVICTING = 3,
};

#define HL_CHUNK_STATE 0x3u
#define HL_CHUNK_WAITERS 0x4u     /* somebody sleeps on the word: wake after the next change */
#define HL_CHUNK_REFERENCED 0x8u  /* used since the sweep hand came by */
#define HL_CHUNK_FAILED 0x10u     /* EMPTY because a fill failed, with this errno */
#define HL_CHUNK_DOOMED 0x20u     /* EVICTING, no reader holds it: the page is being punched */
#define HL_CHUNK_AHEAD 0x40u      /* RESIDENT, filled by the crew: its first touch is yet to come */
#define HL_CHUNK_ERROR_SHIFT 8
#define HL_CHUNK_TICKET_SHIFT 32

/* Of replacement.c.  RESIDENT: rounds of the hand that it stays without being used, and whether it is on
 * probation still.  FILLING: it was evicted only lately; it has earned its place by early reads.  EMPTY: when
 * it was evicted, in evictions of the pool, so that no table of ghosts is needed. */
#define HL_CHUNK_LIFE 0x100u
#define HL_CHUNK_LIVES 0x300u
#define HL_CHUNK_FRESH 0x400u
#define HL_CHUNK_RETURNED 0x800u
#define HL_CHUNK_EARNED 0x1000u
#define HL_CHUNK_GHOST_SHIFT 32

/* Of admission.c.  EMPTY: early reads, and the time of the last one. */
#define HL_CHUNK_READS_SHIFT 16
#define HL_CHUNK_TIME_SHIFT 24
#define HL_CHUNK_EARLY_MASK 0xffff0000ull

/* The owner of a claimed word: member index and generation, in place. */
#define HL_OWNER(member, generation) ((uint64_t)(generation) << 32 | (uint64_t)(member) << 16)
#define HL_OWNER_MASK 0xffffffffffff0000ull
#define HL_OWNER_MEMBER(owner) ((uint32_t)((owner) >> 16) & 0xffffu)
#define HL_OWNER_GENERATION(owner) ((uint32_t)((owner) >> 32))

static inline enum hl_chunk_state hl_chunk_state(uint64_t word)
{
    return (enum hl_chunk_state)(word & HL_CHUNK_STATE);
}

static inline uint32_t hl_chunk_ticket(uint64_t word)
{
    return (uint32_t)(word >> HL_CHUNK_TICKET_SHIFT);
}

/* Make a chunk of an open volume resident, by filling it here or by waiting for
 * whoever fills it.  index: chunk of the volume.  Returns 0 or -errno as
 * hugelite_volume_fetch() says.  Resident means: at this moment; only a pin keeps it so. */
int hl_chunk_make_resident(struct hl_volume *volume, uint32_t index, uint64_t deadline_ns);

/* Answer a first touch from the few frames that it needs, and let the crew fill the chunk from there;
 * if_room: and nothing has to leave for it.
 * 0, -errno, or 1 when the chunk is not EMPTY or the crew has its hands full. */
int hl_chunk_serve_early(struct hl_volume *volume, uint64_t offset, uint32_t length, bool if_room,
                         void *bytes);

/* Read without filling: counted as an early read. */
int hl_chunk_read_past(struct hl_volume *volume, uint64_t offset, uint32_t length, void *bytes);

/* For hauls: claim a chunk that nobody has, or somebody who is dead; false when it is not to be had.  Then
 * fill it from what the haul has in memory, by any thread of this process, or give it back. */
bool hl_chunk_claim_haul(struct hl_volume *volume, uint32_t index);
void hl_chunk_fill_haul(struct hl_volume *volume, uint32_t index, bool if_room);
void hl_chunk_drop_haul(struct hl_volume *volume, uint32_t index);

/* Let the crew fill a chunk when there is time; if_room: and nothing has to leave for it. */
void hl_chunk_post_ahead(struct hl_volume *volume, uint32_t index, bool if_room);

/* The image of this chunk is a hole although its word says resident: somebody
 * outside the protocol punched it.  Make word and image agree; true when done. */
bool hl_chunk_drop(struct hl_volume *volume, uint32_t index);

/* Claim a resident chunk for eviction if its word still is `seen`. */
bool hl_chunk_claim_victim(struct hugelite_pool *pool, uint32_t chunk, uint64_t seen);

/* Take over a claim whose owner is dead, to evict what it left; `seen` as loaded. */
bool hl_chunk_claim_orphan(struct hugelite_pool *pool, uint32_t chunk, uint64_t seen);

#define HL_VICTIMS 16u

struct hl_victim {
    uint32_t chunk;  /* claimed by us: EVICTING */
    uint32_t ticket; /* what it occupies */
    uint64_t ticket_word;
    uint64_t was; /* the word before the claim, to put back when a reader holds the chunk */
    bool stood;   /* on probation, and its place in the ring has been taken */
};

/* Evict claimed chunks: give back those that a reader holds, punch the others in
 * runs of neighbours.  Returns how many went. */
unsigned hl_chunk_evict(struct hugelite_pool *pool, struct hl_victim *victims, unsigned nr);

/* Make a chunk of a volume that is being taken down EMPTY, waiting for whoever
 * holds it.  The image's pages go with the image.  0 or -ETIMEDOUT. */
int hl_chunk_forget(struct hugelite_pool *pool, uint32_t chunk, uint64_t deadline_ns);

#endif
