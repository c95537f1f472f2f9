/* SPDX-License-Identifier: MIT
 *
 * forage.c - stages that are begun because they may come in useful.  What a stage has brought
 * goes to the disk tier when it ends, so it is ended as soon as nobody is to look at it; where
 * there is no tier it stays open, and readers of this process are served from it.
 *
 * How much: a tenth of the source, since this is no download; the interior pages of an index of
 * short keys, each with the frame that it lies in, take a twentieth of it.  But not more than
 * TOTAL_MAX, five seconds of a link of 100 Mbit/s; and TOTAL_MIN is no more than a round trip
 * costs.
 *
 * Entry points: forage.h.  See also: stage.h, tier.h, scout.c.
 */
#include "config.h"

#include "forage.h"

#include "codec.h"
#include "lock.h"
#include "source.h"
#include "stage.h"
#include "state.h"
#include "tier.h"
#include "volume.h"

#include <stdlib.h>
#include <string.h>

enum {
    FLYING_MAX = 16,       /* stages under way */
    FAILURES_MAX = 4,      /* each has been repeated before it failed */
    GAP = 64 << 10,        /* neighbours so near are brought in one go, with what lies between */
    LOT_MAX = 1 << 20,
    HELD_MAX = 16 << 20,   /* kept in memory */
    TOTAL_MIN = 1 << 20,
    TOTAL_MAX = 64 << 20,
    SHARE = 10,            /* of the source: one part of so many */
};

/* What one stage brings. */
struct lot {
    struct lot *next;
    struct hl_forage *forage;
    struct hl_stage *stage; /* NULL when it could not begin */
    uint64_t from, to;      /* encoded */
    unsigned use;
    bool ended;             /* under the lock, until it is seen to be true */
    int rc;
};

struct hl_forage {
    struct hl_volume *volume;
    struct hl_state *state;
    uint64_t step;          /* decoded bytes for each bit of `brought` */
    unsigned char *brought; /* has been wanted for later */
    uint64_t brought_bytes; /* of it */
    struct lot *lots;
    struct lot next;        /* wanted, and not yet begun; from == to: nothing */
    uint64_t left;          /* bytes that may still be asked for */
    uint64_t held;          /* of lots that are kept */

    struct hl_lock lock;
    pthread_cond_t ended;
    unsigned nr_flying;
    unsigned failures;
    int rc;                 /* why it is no use to go on */
    bool stop;
};

int hl_forage_new(struct hl_volume *volume, struct hl_state *state, struct hl_forage **ret_forage)
{
    struct hl_forage *forage = calloc(1, sizeof *forage);

    if (!forage)
        return -ENOMEM;
    forage->volume = volume;
    forage->state = state;
    /* Where frames are uneven, they still are larger than this. */
    forage->step = volume->codec->grain ? volume->codec->grain : 4096;
    forage->brought_bytes = volume->bytes / forage->step / 8 + 1;
    forage->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_SCOUT);
    pthread_cond_init(&forage->ended, NULL);
    forage->brought = calloc(forage->brought_bytes, 1);
    if (!forage->brought) {
        free(forage);
        return -ENOMEM;
    }
    hl_forage_reset(forage);
    *ret_forage = forage;
    return 0;
}

void hl_forage_stop(struct hl_forage *forage)
{
    hl_lock(&forage->lock);
    forage->stop = true;
    pthread_cond_broadcast(&forage->ended);
    hl_unlock(&forage->lock);
}

/* Under the lock: is it no use to go on? */
static int verdict(const struct hl_forage *forage)
{
    return forage->stop ? -ECANCELED : forage->rc;
}

bool hl_forage_has_failed(struct hl_forage *forage)
{
    bool failed;

    hl_lock(&forage->lock);
    failed = forage->failures || verdict(forage) < 0;
    hl_unlock(&forage->lock);
    return failed;
}

/* ---- lots ------------------------------------------------------------------- */

static bool stays(const struct hl_forage *forage, unsigned use)
{
    return use & HL_FORAGE_LOOK || !forage->state->tier;
}

/* By the transfer thread, or while the stage begins. */
static void arrived(void *arg, uint64_t src_end, int rc)
{
    struct lot *lot = arg;
    struct hl_forage *forage = lot->forage;

    if (rc > 0 || (rc == 0 && src_end < lot->to))
        return;
    hl_lock(&forage->lock);
    if (!lot->ended) {
        lot->ended = true;
        lot->rc = rc;
        forage->nr_flying--;
        if (rc < 0 && (++forage->failures >= FAILURES_MAX || rc == -ESTALE || rc == -ECHILD) &&
            forage->rc == 0)
            forage->rc = rc;
        pthread_cond_broadcast(&forage->ended);
    }
    hl_unlock(&forage->lock);
}

/* Forget the lots that have ended and are not kept; with `looked`, those that were kept for a
 * look as well. */
static void reap(struct hl_forage *forage, bool looked)
{
    struct lot **link = &forage->lots, *lot;

    while ((lot = *link)) {
        unsigned use = looked ? lot->use & ~HL_FORAGE_LOOK : lot->use;
        bool ended;

        hl_lock(&forage->lock);
        ended = lot->ended;
        hl_unlock(&forage->lock);
        if (!ended || (lot->rc == 0 && use && stays(forage, use))) {
            lot->use = ended ? use : lot->use;
            link = &lot->next;
            continue;
        }
        *link = lot->next;
        forage->held -= stays(forage, lot->use) ? lot->to - lot->from : 0;
        hl_stage_end(lot->stage);
        free(lot);
    }
}

static void drop_lots(struct hl_forage *forage)
{
    struct lot *lot;

    while ((lot = forage->lots)) {
        forage->lots = lot->next;
        hl_stage_end(lot->stage);
        free(lot);
    }
    forage->next = (struct lot){ 0 };
    forage->held = 0;
}

void hl_forage_reset(struct hl_forage *forage)
{
    uint64_t share = forage->volume->source->src_bytes / SHARE;

    drop_lots(forage);
    memset(forage->brought, 0, forage->brought_bytes);
    forage->left = share < TOTAL_MIN ? TOTAL_MIN : share > TOTAL_MAX ? TOTAL_MAX : share;
    hl_lock(&forage->lock);
    forage->nr_flying = forage->failures = 0;
    forage->rc = 0;
    hl_unlock(&forage->lock);
}

void hl_forage_free(struct hl_forage *forage)
{
    if (!forage)
        return;
    drop_lots(forage);
    pthread_cond_destroy(&forage->ended);
    free(forage->brought);
    free(forage);
}

/* Wait until fewer than `most` are under way. */
static int wait_flying(struct hl_forage *forage, unsigned most)
{
    int rc;

    hl_lock(&forage->lock);
    while (forage->nr_flying >= most && verdict(forage) == 0)
        pthread_cond_wait(&forage->ended, &forage->lock.mutex);
    rc = verdict(forage);
    hl_unlock(&forage->lock);
    return rc;
}

static int make_room(struct hl_forage *forage, uint64_t bytes, unsigned use)
{
    if (bytes > forage->left)
        return -ENOSPC;
    reap(forage, false);
    if (!stays(forage, use) || forage->held + bytes <= HELD_MAX)
        return 0;
    reap(forage, true);
    return forage->held + bytes <= HELD_MAX ? 0 : -ENOSPC;
}

/* Begin what has been gathered. */
static int begin_lot(struct hl_forage *forage)
{
    uint64_t bytes = forage->next.to - forage->next.from;
    struct lot *lot;
    int rc;

    if (bytes == 0)
        return 0;
    rc = wait_flying(forage, FLYING_MAX);
    if (rc == 0)
        rc = make_room(forage, bytes, forage->next.use);
    if (rc < 0)
        return rc;
    lot = malloc(sizeof *lot);
    if (!lot)
        return -ENOMEM;
    *lot = forage->next;
    lot->forage = forage;
    lot->next = forage->lots;
    forage->lots = lot;
    forage->next = (struct lot){ 0 };
    forage->left -= bytes;
    forage->held += stays(forage, lot->use) ? bytes : 0;

    hl_lock(&forage->lock);
    forage->nr_flying++;
    hl_unlock(&forage->lock);
    rc = hl_stage_begin(forage->volume->source, lot->from, (uint32_t)bytes, HL_IDLE, arrived, lot,
                        &lot->stage);
    if (rc < 0) {
        lot->stage = NULL;
        arrived(lot, lot->to, rc);
    }
    return rc;
}

int hl_forage_await(struct hl_forage *forage)
{
    int rc = begin_lot(forage);

    if (rc == 0)
        rc = wait_flying(forage, 1);
    if (rc == 0)
        reap(forage, false);
    return rc;
}

void hl_forage_settle(struct hl_forage *forage)
{
    wait_flying(forage, 1);
    reap(forage, true);
}

/* ---- what is wanted ----------------------------------------------------------- */

/* Is it all in the disk tier? */
static bool tier_has(struct hl_forage *forage, uint64_t from, uint64_t to)
{
    struct hl_extent extents[16];
    unsigned nr = 16;

    if (!forage->state->tier)
        return false;
    while (from < to && nr == 16) {
        nr = hl_tier_find(forage->state, forage->volume->source->key, from, to - from, extents, 16);
        for (unsigned i = 0; i < nr; i++) {
            if (extents[i].src_offset > from)
                return false;
            if (extents[i].src_offset + extents[i].length > from)
                from = extents[i].src_offset + extents[i].length;
        }
    }
    return from >= to;
}

/* A lot that has, or with `flying` will have, all of this. */
static struct lot *find_lot(struct hl_forage *forage, uint64_t from, uint64_t to, bool flying)
{
    struct lot *lot;

    hl_lock(&forage->lock);
    for (lot = forage->lots; lot; lot = lot->next)
        if (lot->from <= from && to <= lot->to && (lot->ended ? lot->rc == 0 : flying))
            break;
    hl_unlock(&forage->lock);
    return lot;
}

/* The encoded bytes that a read of these decoded ones needs. */
static int find_extent(struct hl_forage *forage, uint64_t offset, uint32_t length,
                       uint64_t *ret_from, uint64_t *ret_to)
{
    struct hl_codec *codec = forage->volume->codec;
    uint64_t end = offset + length;

    if (codec->grain) {
        offset -= offset % codec->grain;
        end = (end + codec->grain - 1) / codec->grain * codec->grain;
    }
    if (end > codec->bytes)
        end = codec->bytes;
    if (end - offset > UINT32_MAX)
        return -EFBIG;
    return codec->ops->extent(codec, offset, (uint32_t)(end - offset), ret_from, ret_to);
}

bool hl_forage_has(struct hl_forage *forage, uint64_t offset, uint32_t length)
{
    uint64_t from, to;

    return find_extent(forage, offset, length, &from, &to) == 0 &&
           (find_lot(forage, from, to, false) || tier_has(forage, from, to));
}

/* Mark decoded bytes as brought; true when all of them were. */
static bool mark_brought(struct hl_forage *forage, uint64_t offset, uint32_t length)
{
    uint64_t last = (offset + length - 1) / forage->step;
    bool all = true;

    for (uint64_t i = offset / forage->step; i <= last; i++) {
        all = all && (forage->brought[i / 8] >> i % 8 & 1);
        forage->brought[i / 8] |= (unsigned char)(1 << i % 8);
    }
    return all;
}

/* Add a stretch to what has been gathered, or begin that and gather anew. */
static int gather(struct hl_forage *forage, uint64_t from, uint64_t to, unsigned use)
{
    struct lot *next = &forage->next;
    int rc;

    if (next->from < next->to && next->use == use && from >= next->from &&
        from <= next->to + GAP && (to <= next->to || to - next->from <= LOT_MAX)) {
        if (next->to < to)
            next->to = to;
        return 0;
    }
    rc = begin_lot(forage);
    if (rc == 0)
        *next = (struct lot){ .from = from, .to = to, .use = use };
    return rc;
}

int hl_forage_want(struct hl_forage *forage, uint64_t offset, uint32_t length, unsigned use)
{
    bool brought = use & HL_FORAGE_LATER && mark_brought(forage, offset, length);
    uint64_t from, to;
    struct lot *lot;
    int rc;

    hl_lock(&forage->lock);
    rc = verdict(forage);
    hl_unlock(&forage->lock);
    if (rc < 0 || (brought && !(use & HL_FORAGE_LOOK)))
        return rc;
    rc = find_extent(forage, offset, length, &from, &to);
    if (rc < 0)
        return rc;
    lot = find_lot(forage, from, to, true);
    if (lot) {
        if (!stays(forage, lot->use) && stays(forage, use))
            forage->held += lot->to - lot->from;
        lot->use |= use;
    }
    if (lot || tier_has(forage, from, to) || to - from > HL_STAGE_MAX)
        return 0;
    return gather(forage, from, to, use);
}
