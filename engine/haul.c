/* SPDX-License-Identifier: MIT
 *
 * haul.c - one request for several chunks.  A round trip costs as much as megabytes, so who goes
 * in sequence asks for 8 to 16 MiB at once; and since each chunk is claimed before anything is asked for, eight
 * processes that go through a volume side by side ask for each byte once.
 *
 *   claim each chunk (FILLING) ──> one stage ──bytes arrive──> an arrived job a chunk ──> published
 *                                      └──────fails, or the volume is closed──────> EMPTY again
 *
 * The claims are this process's, as everywhere: when it dies they are orphans.  A haul begins at
 * the first chunk that is to be had and ends before one that somebody else is filling, since he
 * most likely is bringing what follows, too.
 *
 * Entry points: haul.h.  See also: stage.h (the bytes), crew.c (who decodes), chunk.c (the words).
 */
#include "config.h"

#include "haul.h"

#include "chunk.h"
#include "codec.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "stage.h"
#include "volume.h"

#include <stdlib.h>

struct hl_haul {
    struct hl_haul *next;
    struct hl_volume *volume;
    struct hl_stage *stage;
    uint32_t first, nr;
    bool if_room;

    /* Under the lock of the hauls. */
    bool begun;            /* the stage is known */
    uint32_t posted, done; /* chunks handed to the crew, and filled or dropped */

    uint64_t ends[];       /* where the encoded bytes of each chunk end */
};

void hl_hauls_init(struct hl_hauls *hauls)
{
    hauls->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_HAULS);
    pthread_cond_init(&hauls->done, NULL);
}

uint32_t hl_haul_chunks(const struct hl_volume *volume)
{
    uint64_t each = volume->source->src_bytes / volume->nr_chunks + 1;
    uint64_t nr = hl_stage_best_bytes(volume->source) / each;

    return nr < 1 ? 1 : nr > HL_CREW_QUEUE / 4 ? HL_CREW_QUEUE / 4 : (uint32_t)nr;
}

/* ---- the end of a haul ------------------------------------------------------ */

static void unlink_haul(struct hl_hauls *hauls, struct hl_haul *haul)
{
    for (struct hl_haul **link = &hauls->first; *link; link = &(*link)->next)
        if (*link == haul) {
            *link = haul->next;
            hauls->nr--;
            break;
        }
    pthread_cond_broadcast(&hauls->done);
}

/* Under the lock: is nothing left to do, so that whoever asks may take it off the list? */
static bool is_over(const struct hl_haul *haul)
{
    return haul->begun && haul->done == haul->nr;
}

static void free_haul(struct hl_haul *haul)
{
    hl_stage_end(haul->stage);
    free(haul);
}

static void run_arrived(const struct hl_job *job)
{
    struct hl_haul *haul = job->haul;
    struct hl_volume *volume = job->volume;
    struct hl_hauls *hauls = &volume->hauls;
    bool stop, over;

    hl_quiet_begin();
    hl_lock(&hauls->lock);
    stop = hauls->stop;
    hl_unlock(&hauls->lock);
    if (stop)
        hl_chunk_drop_haul(volume, job->index);
    else
        hl_chunk_fill_haul(volume, job->index, job->if_room);
    hl_crew_unreserve_hauled(&volume->pool->crew, 1);

    hl_lock(&hauls->lock);
    haul->done++;
    over = is_over(haul);
    if (over)
        unlink_haul(hauls, haul);
    pthread_cond_broadcast(&hauls->done);
    hl_unlock(&hauls->lock);
    if (over)
        free_haul(haul);
    hl_quiet_end();
}

/* Bytes have come, or none will: then each chunk that is left finds out for itself why. */
static void arrived(void *arg, uint64_t src_end, int rc)
{
    struct hl_haul *haul = arg;
    struct hl_volume *volume = haul->volume;

    hl_lock(&volume->hauls.lock);
    while (!volume->hauls.stop && haul->posted < haul->nr &&
           (rc < 0 || haul->ends[haul->posted] <= src_end)) {
        struct hl_job job = { .run = run_arrived, .volume = volume, .haul = haul,
                              .index = haul->first + haul->posted++, .if_room = haul->if_room };

        hl_crew_post(&volume->pool->crew, HL_JOB_ARRIVED, &job);
    }
    hl_unlock(&volume->hauls.lock);
}

/* ---- the beginning ------------------------------------------------------------ */

/* Chunks in a row, from `first` on, that are ours now; at most nr. */
static uint32_t claim_row(struct hl_volume *volume, uint32_t first, uint32_t nr)
{
    uint32_t got = 0;

    while (got < nr && hl_chunk_claim_haul(volume, first + got))
        got++;
    return got;
}

static void drop_row(struct hl_volume *volume, uint32_t first, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++)
        hl_chunk_drop_haul(volume, first + i);
    hl_crew_unreserve_hauled(&volume->pool->crew, nr);
}

/* Chunks first .. first + nr - 1 are claimed, and have their places in the crew. */
static void begin_row(struct hl_volume *volume, uint32_t first, uint32_t nr, bool if_room,
                      bool idle)
{
    struct hl_haul *haul = malloc(sizeof *haul + nr * sizeof haul->ends[0]);
    struct hl_codec *codec = volume->codec;
    uint64_t start = 0, from;
    int rc = haul ? 0 : -ENOMEM;
    bool over;

    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        uint64_t offset = (uint64_t)(first + i) << HL_CHUNK_SHIFT;
        uint64_t rest = volume->bytes - offset;

        rc = codec->ops->extent(codec, offset,
                                rest < HL_CHUNK_BYTES ? (uint32_t)rest : HL_CHUNK_BYTES, &from,
                                &haul->ends[i]);
        if (i == 0)
            start = from;
        /* A frame that is larger than all that: who needs it asks for it piece by piece. */
        if (rc == 0 && haul->ends[i] - start > HL_STAGE_MAX) {
            drop_row(volume, first + i, nr - i);
            nr = i;
        }
    }
    if (rc < 0 || nr == 0) {
        drop_row(volume, first, nr);
        free(haul);
        return;
    }

    *haul = (struct hl_haul){ .volume = volume, .first = first, .nr = nr, .if_room = if_room };
    hl_lock(&volume->hauls.lock);
    haul->next = volume->hauls.first;
    volume->hauls.first = haul;
    volume->hauls.nr++;
    hl_unlock(&volume->hauls.lock);
    rc = hl_stage_begin(volume->source, start, (uint32_t)(haul->ends[nr - 1] - start),
                        idle ? HL_IDLE : HL_AHEAD, arrived, haul, &haul->stage);

    hl_lock(&volume->hauls.lock);
    haul->begun = true;
    over = rc < 0 || is_over(haul);
    if (over)
        unlink_haul(&volume->hauls, haul);
    hl_unlock(&volume->hauls.lock);
    if (rc < 0) {
        haul->stage = NULL;
        drop_row(volume, first, nr);
    }
    if (over)
        free_haul(haul);
}

static bool is_resident(const struct hl_volume *volume, uint32_t index)
{
    return hl_chunk_state(atomic_load_explicit(&volume->pool->words[volume->first + index],
                                               memory_order_relaxed)) == HL_CHUNK_RESIDENT;
}

/* Equal requests, of up to a third more than the best size: not a large one and a rest. */
static uint32_t divide(const struct hl_volume *volume, uint32_t nr)
{
    uint32_t best = hl_haul_chunks(volume), most = best + best / 3;
    uint32_t requests = (nr + most - 1) / most;

    return (nr + requests - 1) / requests;
}

void hl_haul_begin(struct hl_volume *volume, uint32_t first, uint32_t nr, bool if_room, bool idle)
{
    uint32_t most = nr ? divide(volume, nr) : 0, end = first + nr;
    struct hl_crew *crew = &volume->pool->crew;
    bool stop;

    hl_lock(&volume->hauls.lock);
    stop = volume->hauls.stop;
    hl_unlock(&volume->hauls.lock);
    if (stop || (if_room && !hl_replacement_has_room(volume->pool, volume->nr_chunks)))
        return;

    /* No signal handler may come between a claim and its haul. */
    hl_quiet_begin();
    while (first < end) {
        uint32_t wanted = end - first < most ? end - first : most, places, got;

        if (is_resident(volume, first)) {
            first++;
            continue;
        }
        places = hl_crew_reserve_hauled(crew, wanted);
        got = claim_row(volume, first, places);
        hl_crew_unreserve_hauled(crew, places - got);
        if (got == 0)
            break;
        begin_row(volume, first, got, if_room, idle);
        first += got;
    }
    hl_quiet_end();
}

/* ---- under way -------------------------------------------------------------------- */

void hl_haul_hurry(struct hl_volume *volume, uint32_t index)
{
    hl_lock(&volume->hauls.lock);
    for (struct hl_haul *haul = volume->hauls.first; haul; haul = haul->next)
        if (haul->begun && index - haul->first < haul->nr)
            hl_stage_hurry(haul->stage);
    hl_unlock(&volume->hauls.lock);
}

bool hl_haul_wait(struct hl_volume *volume, unsigned most)
{
    struct hl_hauls *hauls = &volume->hauls;
    bool yes;

    hl_lock(&hauls->lock);
    while (hauls->nr >= most && !hauls->stop)
        pthread_cond_wait(&hauls->done, &hauls->lock.mutex);
    yes = !hauls->stop;
    hl_unlock(&hauls->lock);
    return yes;
}

void hl_haul_forbid(struct hl_volume *volume)
{
    hl_lock(&volume->hauls.lock);
    volume->hauls.stop = true;
    pthread_cond_broadcast(&volume->hauls.done);
    hl_unlock(&volume->hauls.lock);
}

void hl_haul_stop(struct hl_volume *volume)
{
    struct hl_hauls *hauls = &volume->hauls;
    struct hl_haul *haul;

    /* Those that have come, so that none of them waits for a thread of the crew. */
    while (hl_crew_run_due(&volume->pool->crew, volume, HL_CREW_ANY))
        ;
    hl_lock(&hauls->lock);
    while ((haul = hauls->first)) {
        if (haul->done < haul->posted) { /* the last of its jobs may take it away */
            pthread_cond_wait(&hauls->done, &hauls->lock.mutex);
            continue;
        }
        unlink_haul(hauls, haul);
        hl_unlock(&hauls->lock);
        hl_stage_end(haul->stage);
        drop_row(volume, haul->first + haul->posted, haul->nr - haul->posted);
        free(haul);
        hl_lock(&hauls->lock);
    }
    hl_unlock(&hauls->lock);
}
