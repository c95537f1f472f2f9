/* SPDX-License-Identifier: MIT
 *
 * replay-admission.c - which missing chunk is filled: each, or one that has earned it, or one that
 * is gone through.  It follows engine/admission.c and engine/cold.c as far as a trace tells.
 *
 * Entry points: admission_*().
 */
#include <config.h>

#include <stdlib.h>

#include "replay.h"

enum {
    LIKELY = 2,      /* chunks in a row, beyond the first, and a reader goes through the next */
    THROUGH = 128,   /* leaves that are read of a chunk that is gone through */
    FOLLOWS = 3,     /* leaves in a row of one chunk that make a range of it */
    PRICE_RAW = 60,  /* early reads that earn a free place, in engine/cold.c */
};

bool admission_open(struct admission *admission, const struct admission_options *options,
                    const struct trace *trace)
{
    size_t tables = options->shared ? 1 : trace->nr_readers;

    *admission = (struct admission){ .options = *options, .trace = trace };
    admission->counts = calloc(tables * trace->nr_chunks, sizeof *admission->counts);
    admission->totals = calloc(tables, sizeof *admission->totals);
    admission->sequences = calloc(trace->nr_readers, sizeof *admission->sequences);
    return admission->counts && admission->totals && admission->sequences;
}

void admission_close(struct admission *admission)
{
    free(admission->counts);
    free(admission->totals);
    free(admission->sequences);
}

void admission_see(struct admission *admission, const struct visit *visit)
{
    struct sequence *s = &admission->sequences[visit->reader];

    if (!visit->leaves)
        return;
    if (visit->chunk == s->chunk) {
        s->leaves += visit->leaves;
        return;
    }
    if (s->leaves >= THROUGH && (visit->chunk == s->chunk + 1 || visit->chunk + 1 == s->chunk))
        s->run++;
    else
        s->run = 0;
    s->chunk = visit->chunk;
    s->leaves = visit->leaves;
}

static uint16_t *count_of(const struct admission *admission, const struct visit *visit)
{
    uint32_t table = admission->options.shared ? 0 : visit->reader;

    return &admission->counts[(size_t)table * admission->trace->nr_chunks + visit->chunk];
}

bool admission_is_sequential(const struct admission *admission, const struct visit *visit)
{
    const struct sequence *s = &admission->sequences[visit->reader];

    return s->chunk == visit->chunk && s->run >= LIKELY;
}

bool admission_has_earned(const struct admission *admission, const struct visit *visit)
{
    return admission->options.earns &&
           *count_of(admission, visit) >= admission->options.earns / 2;
}

/* As how many early reads one counts. */
static uint16_t weight(const struct admission *admission, const struct visit *visit, bool interior)
{
    if (!interior)
        return 1;
    if (admission->options.kept)
        return 0;
    return !admission->options.apart || !visit->leaves ? 1 + admission->options.interior : 1;
}

/* One early read; does it earn the chunk its place? */
static bool earns(struct admission *admission, const struct visit *visit, bool room, bool interior)
{
    uint32_t table = admission->options.shared ? 0 : visit->reader;
    uint32_t nr_chunks = admission->trace->nr_chunks;
    uint16_t *counts = admission->counts + (size_t)table * nr_chunks;
    unsigned window = nr_chunks * admission->options.window;

    counts[visit->chunk] += weight(admission, visit, interior);
    if (!room && ++admission->totals[table] >= window) {
        admission->totals[table] = 0;
        for (uint32_t i = 0; i < nr_chunks; i++)
            counts[i] /= 2;
    }
    return counts[visit->chunk] >= (room ? PRICE_RAW : admission->options.earns);
}

void admission_filled(struct admission *admission, const struct visit *visit)
{
    *count_of(admission, visit) = 0;
}

uint32_t admission_early_reads(struct admission *admission, const struct visit *visit, bool room)
{
    const struct sequence *s = &admission->sequences[visit->reader];
    uint32_t touches = visit->leaves + visit->interiors, early;
    /* A lookup has an interior page before each leaf. */
    bool follows = s->leaves > visit->interiors + FOLLOWS;

    if (!admission->options.earns || admission_is_sequential(admission, visit))
        return 0;
    for (early = 0; early < touches; early++)
        if (earns(admission, visit, room, early < visit->interiors) ||
            (follows && early == FOLLOWS))
            return early + 1;
    return touches + 1;
}
