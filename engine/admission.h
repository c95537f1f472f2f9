/* SPDX-License-Identifier: MIT
 *
 * admission.h - which chunks are filled: what a reader does in sequence is filled ahead, and a chunk
 * that is touched here and there must earn its huge page.  Policy only: numbers in, advice out.
 */
#ifndef HL_ADMISSION_H
#define HL_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- sequences: one set for each handle ----------------------------------- */

#define HL_SEQUENCES 4u

struct hl_sequence {
    uint32_t last;  /* the chunk touched last */
    uint32_t ahead; /* the chunk furthest on that has been asked for */
    uint32_t run;   /* chunks so far, beyond the first */
    int32_t step;   /* +1 or -1; 0 = not known yet */
    uint64_t used;  /* clock when touched; 0 = free */
};

struct hl_sequences {
    struct hl_sequence sequence[HL_SEQUENCES];
    uint64_t clock;
};

/* What to fill ahead. */
struct hl_ahead {
    bool sequential; /* the touch goes on with a sequence */
    bool certain;    /* which is so long that others may leave for it */
    uint32_t first, nr;
    int32_t step;
};

/* The chunk of this offset is touched that is not resident, or for the first time since it is.
 * window: chunks that may be filled ahead at most; batch: as many of them at a time as make it worth
 * asking; nr_chunks: of the volume. */
struct hl_ahead hl_sequence_touch(struct hl_sequences *sequences, uint64_t offset, uint32_t window,
                                  uint32_t batch, uint32_t nr_chunks);

/* ---- touches: a count for each chunk ------------------------------------------ */

/* Early reads of a chunk that earn it the place of another.  From replays: bench/README.md. */
enum { HL_EARNS = 16 };

struct hl_touches {
    _Atomic uint8_t *flags;  /* of this process */
    _Atomic uint64_t *words; /* shared: of chunk 0; an EMPTY one has the count of its early reads */
    _Atomic uint32_t *clock; /* shared: early reads for which others would have had to leave */
    uint32_t nr_chunks;
};

/* Again is fine. */
int hl_touches_init(struct hl_touches *touches, _Atomic uint64_t *words, _Atomic uint32_t *clock,
                    uint32_t nr_chunks);
void hl_touches_free(struct hl_touches *touches);

/* Count an early read of a chunk.  Does the chunk earn its place?  It does after `price` reads when there
 * is room; else only if it is read much more than others. */
bool hl_touches_earn(struct hl_touches *touches, uint32_t chunk, bool room, unsigned price);

/* Had a chunk been read early so often, when its word was this, that it needs no probation? */
bool hl_touches_earned(const struct hl_touches *touches, uint64_t word);

/* Early reads of a chunk that is EMPTY, lately. */
unsigned hl_touches_count(const struct hl_touches *touches, uint32_t chunk);

/* A frame of the chunk is damaged: no fill of it can succeed. */
void hl_touches_damage(struct hl_touches *touches, uint32_t chunk);
bool hl_touches_damaged(const struct hl_touches *touches, uint32_t chunk);

/* Remember that a chunk is wished for; false when it was already.  End the wish, because it is granted
 * or dropped; false when there was none. */
bool hl_touches_wish(struct hl_touches *touches, uint32_t chunk);
bool hl_touches_unwish(struct hl_touches *touches, uint32_t chunk);

#endif
