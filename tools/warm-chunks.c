/* SPDX-License-Identifier: MIT
 *
 * Chunks of a volume made resident in a given order: neighbours of a remote one by one request, and
 * several on their way at a time, so that a round trip is waited for once and not for each.
 *
 * Entry points: hl_warm_chunks(), hl_warm_chunk_bytes().
 * See also: warm.h, ../engine/haul.h (a request for several chunks), ../engine/cold.h (how far
 * ahead).
 */
#include <config.h>

#include <errno.h>

#include "chunk.h"
#include "cold.h"
#include "crew.h"
#include "error.h"
#include "haul.h"
#include "pool.h"
#include "source.h"
#include "sys.h"
#include "volume.h"
#include "warm.h"

/* With a limit of its rate a request is for what may come in this time. */
enum { RATE_STEPS_PER_SECOND = 4, LOOK_UP_NS = 200 * 1000 * 1000 };

/* How chunks are asked for ahead of the one that is waited for. */
struct ahead {
    uint32_t window;           /* at most */
    uint32_t batch;            /* as many at a time as are worth a request */
    uint32_t next;             /* in the list: not asked for yet */
};

uint64_t hl_warm_chunk_bytes(const struct hl_warming *warming, uint32_t index)
{
    uint64_t offset = (uint64_t)index << HL_CHUNK_SHIFT;

    return warming->bytes - offset < HL_CHUNK_BYTES ? warming->bytes - offset : HL_CHUNK_BYTES;
}

/* How fast the link is turns out meanwhile, so this is asked again and again. */
static void plan(const struct hl_warming *warming, struct ahead *ahead)
{
    struct hl_volume *volume = warming->vol->volume;

    ahead->window = hl_cold_window(volume);
    ahead->batch = volume->source->remote ? hl_haul_chunks(volume) : 1;
    if (warming->rate) {
        uint64_t each = volume->source->src_bytes / volume->nr_chunks + 1;
        uint64_t step = warming->rate / RATE_STEPS_PER_SECOND / each;

        if (ahead->batch > step)
            ahead->batch = step ? (uint32_t)step : 1;
        if (ahead->window > ahead->batch)
            ahead->window = ahead->batch;
    }
    if (ahead->batch > ahead->window)
        ahead->batch = ahead->window ? ahead->window : 1;
}

/* Chunks that are neighbours, from indexes[0] on. */
static uint32_t row(const uint32_t *indexes, uint32_t nr)
{
    uint32_t n = 1;

    while (n < nr && indexes[n] == indexes[0] + n)
        n++;
    return n;
}

/* indexes[at] is waited for next: ask for what comes behind it, and, of a remote volume, for it. */
static void go_ahead(struct hl_volume *volume, struct ahead *ahead, const uint32_t *indexes,
                     uint32_t at, uint32_t nr)
{
    uint32_t end = nr - at < ahead->window ? nr : at + ahead->window;

    if (!volume->source->remote) {
        for (ahead->next = ahead->next > at ? ahead->next : at + 1; ahead->next < end;
             ahead->next++)
            hl_chunk_post_ahead(volume, indexes[ahead->next], false);
        return;
    }
    if (ahead->next < at)
        ahead->next = at;
    /* A whole request, or the rest, or nothing is under way. */
    while (ahead->next < end &&
           (end - ahead->next >= ahead->batch || end == nr || ahead->next == at)) {
        uint32_t nr_row = row(indexes + ahead->next, end - ahead->next);

        if (nr_row > ahead->batch)
            nr_row = ahead->batch;
        hl_haul_begin(volume, indexes[ahead->next], nr_row, false, false);
        ahead->next += nr_row;
    }
}

/* Not faster than asked: what others fetch of the database meanwhile counts, too. */
static void keep_rate(struct hl_warming *warming)
{
    while (warming->rate && !hl_tool_stopped) {
        struct hugelite_volume_stat stat;
        struct timespec nap = { .tv_nsec = 20000000 };
        double seconds = hl_units_now() - warming->progress.began;

        if (hugelite_volume_stat(warming->vol, &stat) < 0 ||
            (double)(stat.source_bytes - warming->source_bytes) <= (double)warming->rate * seconds)
            return;
        hl_progress_show(&warming->progress, warming->done, warming->total);
        nanosleep(&nap, NULL);
    }
}

/* It was asked for by itself, which is a use: whoever touches it next does not go on with a sequence, behind
 * which more would be fetched. */
static void settle(struct hugelite_volume *vol, uint32_t index)
{
    atomic_fetch_or_explicit(&vol->words[index], HL_CHUNK_REFERENCED, memory_order_relaxed);
    atomic_fetch_and_explicit(&vol->words[index], ~(uint64_t)HL_CHUNK_AHEAD, memory_order_relaxed);
}

/* Looking up now and then, so that Ctrl-C need not wait for an origin that hangs. */
static int wait_for(struct hl_volume *volume, uint32_t index)
{
    uint64_t end_ns = hl_now_ns() + hl_volume_patience_ns(volume), now_ns;
    int rc;

    do {
        now_ns = hl_now_ns();
        rc = hl_chunk_make_resident(volume, index, now_ns + LOOK_UP_NS < end_ns ?
                                                   now_ns + LOOK_UP_NS : end_ns);
    } while (rc == -ETIMEDOUT && now_ns + LOOK_UP_NS < end_ns && !hl_tool_stopped);
    return rc == -ETIMEDOUT && hl_tool_stopped ? -ECANCELED : rc;
}

int hl_warm_chunks(struct hl_warming *warming, const uint32_t *indexes, uint32_t nr,
                   int (*landed)(void *arg, uint32_t index), void *arg)
{
    struct hl_volume *volume = warming->vol->volume;
    struct ahead ahead = { .next = 0 };
    int rc = 0;

    hl_crew_start(&volume->pool->crew);
    for (uint32_t i = 0; i < nr && rc == 0; i++) {
        keep_rate(warming);
        if (hl_tool_stopped)
            return hl_error(ECANCELED, "%s: stopped", warming->name);
        plan(warming, &ahead);
        go_ahead(volume, &ahead, indexes, i, nr);
        rc = wait_for(volume, indexes[i]);
        if (rc < 0)
            break;
        settle(warming->vol, indexes[i]);
        if (!warming->came[indexes[i]])
            warming->done += hl_warm_chunk_bytes(warming, indexes[i]);
        warming->came[indexes[i]] = 1;
        if (landed)
            rc = landed(arg, indexes[i]);
        hl_progress_show(&warming->progress, warming->done, warming->total);
    }
    return rc;
}
