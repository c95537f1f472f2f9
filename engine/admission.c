/* SPDX-License-Identifier: MIT
 *
 * admission.c - sequences and touches.
 *
 * A sequence is a run of touches of neighbouring chunks, up or down.  A reader has several, since
 * a join, or a table and its index, are gone along side by side, with looks into interior
 * pages between.  It goes page by page, and so enters the next chunk at the near edge; a
 * touch elsewhere in a neighbour is chance, and one such step may be, too.  At the second step a few chunks
 * ahead are asked for if there is room, then twice as many at each step, up to a window; from the third
 * step on others may have to leave for them.
 *
 * A chunk touched out of sequence is filled, when there is room for it, as soon as it has been read
 * early so often that a fill would have been cheaper by now.  When others would have
 * to leave, it must have been read early HL_EARNS times lately, while the average chunk was once or
 * twice: with uniform reads of more data than the pool holds, next to none is; what is hot soon is.
 * The counts are all processes', and hints: they lie in the words of the EMPTY chunks, with the time of
 * the last one, and time goes on by one when as many reads have come as the volume has chunks; a count is
 * halved for each step of it when it is next looked at.  Races lose a count.
 *
 * Entry points: admission.h.  See also: volume.c (asks), crew.c (does).
 */
#include "config.h"

#include "admission.h"

#include "chunk.h"
#include "error.h"
#include "layout.h"

#include <stdlib.h>

enum {
    WINDOW_MIN = 4,
    LIKELY = 2,         /* steps from one chunk to the next */
    CERTAIN = 3,
    EDGE = 64 * 1024,   /* bytes: interior pages may lie between */
    WISHED = 0x80,      /* flag: the chunk waits to be filled */
    DAMAGED = 0x40,
    COUNT = 0xff,
};

/* ---- sequences ------------------------------------------------------------- */

/* What was filled ahead may have been passed over without our being told. */
static bool goes_up(const struct hl_sequence *s, uint32_t chunk)
{
    return s->step >= 0 && chunk > s->last &&
           chunk <= (s->ahead > s->last ? s->ahead : s->last) + 1;
}

static bool goes_down(const struct hl_sequence *s, uint32_t chunk)
{
    return s->step <= 0 && chunk < s->last &&
           chunk + 1 >= (s->ahead < s->last ? s->ahead : s->last);
}

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

/* Up to `window` chunks beyond `last`, less what has been asked for. */
static struct hl_ahead look_ahead(struct hl_sequence *s, uint32_t window, uint32_t batch,
                                  uint32_t nr_chunks)
{
    struct hl_ahead ahead = { .sequential = s->run >= LIKELY, .certain = s->run >= CERTAIN,
                              .step = s->step };
    uint32_t target = window, left, done;

    if (s->run < LIKELY)
        return ahead;
    if (s->run < 16 && (uint32_t)WINDOW_MIN << (s->run - LIKELY) < window)
        target = (uint32_t)WINDOW_MIN << (s->run - LIKELY);
    left = s->step > 0 ? nr_chunks - 1 - s->last : s->last;
    if (target > left)
        target = left;
    done = (s->step > 0) == (s->ahead > s->last) ? distance(s->ahead, s->last) : 0;
    if (done >= target)
        return ahead;
    /* Not chunk by chunk where a request costs a round trip: unless it is the end. */
    if (target == window && target - done < batch && target < left)
        return ahead;
    ahead.nr = target - done;
    ahead.first = s->step > 0 ? s->last + done + 1 : s->last - done - 1;
    s->ahead = s->step > 0 ? s->last + target : s->last - target;
    return ahead;
}

struct hl_ahead hl_sequence_touch(struct hl_sequences *sequences, uint64_t offset, uint32_t window,
                                  uint32_t batch, uint32_t nr_chunks)
{
    struct hl_sequence *oldest = &sequences->sequence[0];
    uint32_t chunk = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    bool low = (offset & HL_CHUNK_MASK) < EDGE;
    bool high = (offset & HL_CHUNK_MASK) >= HL_CHUNK_BYTES - EDGE;

    for (unsigned i = 0; i < HL_SEQUENCES; i++) {
        struct hl_sequence *s = &sequences->sequence[i];

        if (s->used < oldest->used)
            oldest = s;
        if (s->used && s->last == chunk) {
            s->used = ++sequences->clock;
            return (struct hl_ahead){ .sequential = s->run >= LIKELY };
        }
        if (!s->used || !((low && goes_up(s, chunk)) || (high && goes_down(s, chunk))))
            continue;
        if (s->step == 0)
            s->step = chunk > s->last ? 1 : -1;
        s->last = chunk;
        if (s->run == 0)
            s->ahead = chunk;
        s->run++;
        s->used = ++sequences->clock;
        return look_ahead(s, window, batch, nr_chunks);
    }
    *oldest = (struct hl_sequence){ .last = chunk, .ahead = chunk, .used = ++sequences->clock };
    return (struct hl_ahead){ .sequential = false };
}

/* ---- touches ---------------------------------------------------------------- */

int hl_touches_init(struct hl_touches *touches, _Atomic uint64_t *words, _Atomic uint32_t *clock,
                    uint32_t nr_chunks)
{
    if (!touches->flags)
        touches->flags = calloc(nr_chunks, sizeof *touches->flags);
    touches->words = words;
    touches->clock = clock;
    touches->nr_chunks = nr_chunks;
    return touches->flags ? 0 : hl_error(ENOMEM, "no memory for its table of chunks");
}

void hl_touches_free(struct hl_touches *touches)
{
    free((void *)touches->flags);
}

static unsigned time_of(const struct hl_touches *touches)
{
    return atomic_load_explicit(touches->clock, memory_order_relaxed) / touches->nr_chunks & COUNT;
}

/* Of the word of an EMPTY chunk. */
static unsigned count_in(uint64_t word, unsigned time)
{
    unsigned steps = (time - (unsigned)(word >> HL_CHUNK_TIME_SHIFT)) & COUNT;

    return steps < 8 ? (word >> HL_CHUNK_READS_SHIFT & COUNT) >> steps : 0;
}

/* All relaxed: each count stands for itself, and whoever claims the chunk compares the whole word. */
static unsigned add_count(struct hl_touches *touches, uint32_t chunk)
{
    _Atomic uint64_t *word = &touches->words[chunk];
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed), next;
    unsigned time = time_of(touches), count = count_in(seen, time) + 1;

    if (hl_chunk_state(seen) != HL_CHUNK_EMPTY)
        return COUNT; /* somebody has found it worth its place */
    if (count > COUNT)
        count = COUNT;
    next = (seen & ~HL_CHUNK_EARLY_MASK) | (uint64_t)count << HL_CHUNK_READS_SHIFT |
           (uint64_t)time << HL_CHUNK_TIME_SHIFT;
    atomic_compare_exchange_weak_explicit(word, &seen, next, memory_order_relaxed,
                                          memory_order_relaxed);
    return count;
}

bool hl_touches_earn(struct hl_touches *touches, uint32_t chunk, bool room, unsigned price)
{
    unsigned count = add_count(touches, chunk);

    if (!room)
        atomic_fetch_add_explicit(touches->clock, 1, memory_order_relaxed);
    return count >= (room ? price : HL_EARNS);
}

unsigned hl_touches_count(const struct hl_touches *touches, uint32_t chunk)
{
    uint64_t word = atomic_load_explicit(&touches->words[chunk], memory_order_relaxed);

    return hl_chunk_state(word) == HL_CHUNK_EMPTY ? count_in(word, time_of(touches)) : 0;
}

bool hl_touches_earned(const struct hl_touches *touches, uint64_t word)
{
    return hl_chunk_state(word) == HL_CHUNK_EMPTY && count_in(word, time_of(touches)) >= HL_EARNS / 2;
}

void hl_touches_damage(struct hl_touches *touches, uint32_t chunk)
{
    atomic_fetch_or_explicit(&touches->flags[chunk], DAMAGED, memory_order_relaxed);
}

bool hl_touches_damaged(const struct hl_touches *touches, uint32_t chunk)
{
    return atomic_load_explicit(&touches->flags[chunk], memory_order_relaxed) & DAMAGED;
}

bool hl_touches_wish(struct hl_touches *touches, uint32_t chunk)
{
    return !(atomic_fetch_or_explicit(&touches->flags[chunk], WISHED, memory_order_relaxed) &
             WISHED);
}

bool hl_touches_unwish(struct hl_touches *touches, uint32_t chunk)
{
    if (!(atomic_load_explicit(&touches->flags[chunk], memory_order_relaxed) & WISHED))
        return false;
    return atomic_fetch_and_explicit(&touches->flags[chunk], (uint8_t)~WISHED,
                                     memory_order_relaxed) & WISHED;
}
