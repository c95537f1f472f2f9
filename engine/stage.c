/* SPDX-License-Identifier: MIT
 *
 * stage.c - encoded bytes on their way into memory: plans where the bytes of a stretch come from,
 * brings them, and lends them to whoever wants them, as they arrive.
 *
 *       begun ──> under way ──> complete, or failed ──> ended ──> gone
 *                  parts arrive    by their rc         by its owner   when the last loan and
 *                                                                     the tier are done with it
 *
 * A stage is a row of parts (plan.h).  Each part has `have` bytes from its beginning, and is
 * under way or not; all else follows from that: a byte is there, or it will come (its part is
 * under way), or it has failed (it is not).  A stage fails where its first failed part begins;
 * what is there stays good.
 *
 *   part: from     under way until                      then
 *   memory         hl_stage_begin() has copied it       there
 *   tier           hl_stage_begin() has read it         there; a request if the tier has lost it
 *   origin         its transfer has ended               there, or failed
 *   another stage  that has it, or has failed           there, or failed; a request if that stage is
 *                                                       ended before
 *
 * So what one stage brings no other asks for again.  A stage depends only on older ones, and one
 * pass over the list, oldest first, hands all on (hand_on).
 *
 * Locks.  Everything above is under the source's lock, which is held neither across I/O, nor
 * while `arrived` is called.  Bytes are written without it, and read only below the `have` that
 * was seen under it.  Requests are started under it: a transfer's callback comes from another
 * thread.  `arrived` is called by one thread at a time, the reporter: who makes progress and finds
 * no reporter becomes it, and goes on until there is nothing new; who finds one leaves it to him.
 * An ended stage has no reporter any more, and hl_stage_end() waits for the last.  A stage is
 * freed with its last reference: its owner's, loans, stages that it lends to, the tier's.
 *
 * Entry points: stage.h, hl_stage_copy().  See also: remote.c, transfer.h, plan.c, lump.c.
 */
#include "config.h"

#include "stage.h"

#include "hugelite.h"
#include "lump.h"
#include "plan.h"
#include "remote-own.h"
#include "sys.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BEST_BYTES = 12 << 20,
    UNKNOWN_BYTES = 8 << 20, /* before the rate is known */
    LEAST_BYTES = 1 << 20,
    PATIENT_S = 8,           /* that a request may take when nobody waits for all of it */
    SPLIT_BYTES = 1 << 20,
    SPLIT_MOST = 4,
    ISLAND = 16 << 10,        /* what is not worth another request, when a reader waits */
    ISLAND_AHEAD = 512 << 10, /* and when nobody does */
    REQUESTS_MOST = 8,       /* of one stage, before it is split */
    SLOWEST = 64 << 10,      /* bytes per second, as in transfer.c */
};

#define SECOND_NS 1000000000ull

struct hl_stage {
    struct hl_stage *next; /* of the source, from older to younger */
    struct hl_remote *remote; /* not after the end */
    _Atomic unsigned refs;
    uint64_t src_offset;
    uint32_t length;
    char *bytes;
    struct hl_lump lump;
    struct hl_part *parts;
    enum hl_urgency urgency;

    void (*arrived)(void *arg, uint64_t src_end, int rc);
    void *arg;
    uint32_t reported;
    bool reporting, reported_end;

    bool ended;
    bool doubtful; /* neither lent to readers or stages that come, nor kept */
    int rc; /* of the first part that failed */
    char sentence[512];
};

/* Somebody who waits for bytes of a stage. */
struct hl_waiter {
    struct hl_waiter *next;
    struct hl_stage *stage;
    uint32_t from, to;
};

/* ---- memory ---------------------------------------------------------------- */

static void unref(struct hl_stage *stage)
{
    /* acq_rel: whoever frees it sees what the others have done with it. */
    if (atomic_fetch_sub_explicit(&stage->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (struct hl_part *part = stage->parts; part; part = part->next)
        free(part->transfer);
    hl_plan_free(stage->parts);
    if (stage->lump.bytes)
        hl_lump_put(&stage->lump);
    free(stage);
}

static struct hl_stage *ref(struct hl_stage *stage)
{
    /* relaxed: we have one, or the lock under which the owner has his. */
    atomic_fetch_add_explicit(&stage->refs, 1, memory_order_relaxed);
    return stage;
}

static void unref_arg(void *stage)
{
    unref(stage);
}

static struct hl_stage *make_stage(struct hl_remote *remote, uint64_t src_offset, uint32_t length)
{
    struct hl_stage *stage = calloc(1, sizeof *stage);

    if (!stage)
        return NULL;
    stage->refs = 1;
    stage->remote = remote;
    stage->src_offset = src_offset;
    stage->length = length;
    stage->parts = hl_plan_new(length);
    if (!stage->parts || hl_lump_get(length, &stage->lump) < 0) {
        unref(stage);
        return NULL;
    }
    stage->bytes = stage->lump.bytes;
    return stage;
}

/* ---- what is there: under the lock ------------------------------------------ */

/* Bytes from `from` on that are there without a hole. */
static uint32_t there_from(const struct hl_stage *stage, uint32_t from)
{
    uint32_t at = from;

    for (const struct hl_part *part = stage->parts; part; part = part->next) {
        if (part->at + part->length <= at)
            continue;
        if (part->at + part->have > at)
            at = part->at + part->have;
        if (part->have < part->length)
            break;
    }
    return at - from;
}

/* Of [from, to): 0 = all there; 1 = the rest will come; else why it will not. */
static int state_of(const struct hl_stage *stage, uint32_t from, uint32_t to)
{
    int state = 0;

    for (const struct hl_part *part = stage->parts; part && part->at < to; part = part->next) {
        uint32_t end = part->at + part->length < to ? part->at + part->length : to;

        if (part->at + part->length <= from || part->at + part->have >= end)
            continue;
        if (!part->under_way)
            return part->rc;
        state = 1;
    }
    return state;
}

static void end_part(struct hl_part *part, int rc, const char *sentence)
{
    struct hl_stage *stage = part->stage;

    part->under_way = false;
    part->rc = rc;
    if (rc == 0 || stage->rc < 0)
        return;
    stage->rc = rc;
    snprintf(stage->sentence, sizeof stage->sentence, "%s", sentence);
}

/* ---- requests: under the lock -------------------------------------------------- */

static void part_arrived(struct hl_transfer *transfer, uint32_t bytes, int rc);

/* Request what a part has not. */
static void ask(struct hl_part *part)
{
    struct hl_stage *stage = part->stage;
    struct hl_remote *remote = stage->remote;
    uint32_t at = part->at + part->have;
    struct hl_transfer *transfer;
    int rc;

    if (remote->stale) {
        end_part(part, -ESTALE, remote->why_stale);
        return;
    }
    transfer = malloc(sizeof *transfer);
    if (!transfer) {
        end_part(part, -ENOMEM, "no memory for a request");
        return;
    }
    hl_remote_address(remote, transfer, stage->src_offset + at, part->at + part->length - at,
                      stage->bytes + at);
    transfer->urgency = stage->urgency;
    transfer->arrived = part_arrived;
    transfer->arg = part;
    part->transfer = transfer;
    part->asked = true;
    part->before = part->have;
    rc = hl_transfer_start(transfer);
    if (rc < 0) {
        part->transfer = NULL;
        free(transfer);
        end_part(part, rc, hugelite_error());
    }
}

static void hurry(struct hl_stage *stage, uint32_t from, uint32_t to)
{
    stage->urgency = HL_URGENT;
    for (struct hl_part *part = stage->parts; part && part->at < to; part = part->next) {
        if (part->at + part->length <= from || !part->under_way)
            continue;
        if (part->transfer) {
            hl_transfer_hurry(part->transfer);
        } else if (part->lender) {
            uint64_t shift = stage->src_offset - part->lender->src_offset;

            hurry(part->lender, (uint32_t)(part->at + shift),
                  (uint32_t)(part->at + part->length + shift));
        }
    }
}

/* ---- progress: under the lock ---------------------------------------------------- */

static void return_lender(struct hl_part *part)
{
    unref(part->lender);
    part->lender = NULL;
}

/* Take what the lender of a part has by now. */
static void take_from_lender(struct hl_part *part)
{
    struct hl_stage *stage = part->stage, *lender = part->lender;
    uint32_t from = (uint32_t)(stage->src_offset + part->at + part->have - lender->src_offset);
    uint32_t left = part->length - part->have, there = there_from(lender, from);
    int state;

    if (there > left)
        there = left;
    memcpy(stage->bytes + part->at + part->have, lender->bytes + from, there);
    part->have += there;
    state = there == left ? 0 : state_of(lender, from + there, from + there + 1);
    if (state <= 0) {
        end_part(part, state, lender->sentence);
        return_lender(part);
    }
}

static void hand_on(struct hl_remote *remote)
{
    for (struct hl_stage *stage = remote->stages; stage; stage = stage->next)
        for (struct hl_part *part = stage->parts; part; part = part->next)
            if (part->lender)
                take_from_lender(part);
}

static void wake_waiters(struct hl_remote *remote)
{
    for (const struct hl_waiter *waiter = remote->waiters; waiter; waiter = waiter->next)
        if (waiter->stage->ended || state_of(waiter->stage, waiter->from, waiter->to) <= 0) {
            pthread_cond_broadcast(&remote->news);
            return;
        }
}

/* Lets go of the lock to call.  False when there is nothing to tell, or somebody is at it. */
static bool report(struct hl_stage *stage)
{
    struct hl_remote *remote = stage->remote;
    uint32_t there;
    int rc;

    if (!stage->arrived || stage->reporting || stage->reported_end || stage->ended)
        return false;
    there = there_from(stage, 0);
    rc = there == stage->length ? 0 : state_of(stage, there, there + 1);
    if (there == stage->reported && rc > 0)
        return false;

    stage->reported = there;
    stage->reported_end = rc <= 0;
    stage->reporting = true;
    hl_unlock(&remote->lock);
    if (rc < 0)
        hl_error(-rc, "%s", stage->sentence);
    stage->arrived(stage->arg, stage->src_offset + there, rc);
    hl_lock(&remote->lock);
    stage->reporting = false;
    if (stage->ended)
        pthread_cond_broadcast(&remote->news);
    return true;
}

static void progress(struct hl_remote *remote)
{
    struct hl_stage *stage;

    hand_on(remote);
    wake_waiters(remote);
    do {
        stage = remote->stages;
        while (stage && !report(stage))
            stage = stage->next;
    } while (stage); /* the list may have changed meanwhile */
}

/* Called in the transfer thread. */
static void part_arrived(struct hl_transfer *transfer, uint32_t bytes, int rc)
{
    struct hl_part *part = transfer->arg;
    struct hl_stage *stage = part->stage;
    struct hl_remote *remote = stage->remote;

    if (rc == 0)
        hl_remote_validated(remote);
    hl_lock(&remote->lock);
    if (part->have < part->before + bytes)
        part->have = part->before + bytes;
    if (rc == -ESTALE)
        hl_remote_outdate(remote, transfer->sentence);
    /* Of an ended stage the rest is asked for again by those who want it. */
    if (rc == 0 || (rc < 0 && !stage->ended))
        end_part(part, rc, transfer->sentence);
    progress(remote);
    hl_unlock(&remote->lock);
}

/* ---- planning ------------------------------------------------------------------- */

/* A stretch of the source has bytes of the stage: cover what lies inside it.  how->bytes are
 * those of the stretch. */
static int cover(struct hl_stage *stage, uint64_t src_offset, uint64_t length, struct hl_part how)
{
    uint64_t from = src_offset > stage->src_offset ? src_offset : stage->src_offset;
    uint64_t end = stage->src_offset + stage->length;
    uint64_t to = src_offset + length < end ? src_offset + length : end;

    if (from >= to)
        return 0;
    how.at = (uint32_t)(from - stage->src_offset);
    if (how.bytes)
        how.bytes += from - src_offset;
    return hl_plan_cover(stage->parts, how.at, (uint32_t)(to - from), &how);
}

static int cover_from_memory(struct hl_stage *stage, const struct hl_held *held)
{
    return cover(stage, held->src_offset, held->length,
                 (struct hl_part){ .supply = HL_SUPPLY_MEMORY, .bytes = held->bytes });
}

/* Under the lock.  Nobody counts on what has failed. */
static int cover_from_stages(struct hl_stage *stage)
{
    for (struct hl_stage *lender = stage->remote->stages; lender; lender = lender->next)
        for (struct hl_part *part = lender->parts;
             part && !lender->ended && !lender->doubtful; part = part->next)
            if (cover(stage, lender->src_offset + part->at,
                      part->under_way ? part->length : part->have,
                      (struct hl_part){ .supply = HL_SUPPLY_STAGE, .lender = lender }) < 0)
                return -ENOMEM;
    return 0;
}

/* What the tier has of a stage; *ret_extents is malloc'ed. */
static unsigned look_into_tier(const struct hl_stage *stage, struct hl_extent **ret_extents)
{
    struct hl_remote *remote = stage->remote;
    unsigned room = 2 * (stage->length / HL_TIER_PIECE) + 8;

    *ret_extents = NULL;
    if (!remote->state->tier)
        return 0;
    *ret_extents = malloc(room * sizeof **ret_extents);
    if (!*ret_extents)
        return 0;
    return hl_tier_find(remote->state, remote->base.key, stage->src_offset, stage->length,
                        *ret_extents, room);
}

/* Under the lock. */
static int make_plan(struct hl_stage *stage, const struct hl_extent *extents, unsigned nr)
{
    uint32_t island = stage->urgency == HL_URGENT ? ISLAND : ISLAND_AHEAD;
    int rc = cover_from_stages(stage);

    for (unsigned i = 0; rc == 0 && i < nr; i++)
        rc = cover(stage, extents[i].src_offset, extents[i].length,
                   (struct hl_part){ .supply = HL_SUPPLY_TIER, .extent = extents[i] });
    if (rc < 0)
        return rc;
    while (hl_plan_join(stage->parts, island) > REQUESTS_MOST)
        island *= 2;
    if (stage->urgency == HL_URGENT)
        rc = hl_plan_split(stage->parts, SPLIT_BYTES, SPLIT_MOST);
    return rc;
}

/* Under the lock: from here on others may use it, and depend on it. */
static void list_stage(struct hl_stage *stage)
{
    struct hl_stage **link = &stage->remote->stages;

    for (struct hl_part *part = stage->parts; part; part = part->next) {
        part->stage = stage;
        part->under_way = true;
        if (part->lender)
            ref(part->lender);
    }
    while (*link)
        link = &(*link)->next;
    *link = stage;
}

static void unlist_stage(struct hl_stage *stage)
{
    struct hl_stage **link = &stage->remote->stages;

    while (*link != stage)
        link = &(*link)->next;
    *link = stage->next;
}

/* ---- bringing -------------------------------------------------------------------- */

/* Under the lock; lets go of it where the target may ask for credentials. */
static void ask_origin(struct hl_stage *stage)
{
    struct hl_remote *remote = stage->remote;
    struct hl_part *part = stage->parts;
    int rc = 0;

    while (part && part->supply != HL_SUPPLY_ORIGIN)
        part = part->next;
    if (!part)
        return;
    if (remote->refresh) {
        hl_unlock(&remote->lock);
        rc = remote->refresh(remote->target);
        hl_lock(&remote->lock);
    }
    for (; part; part = part->next) {
        if (part->supply != HL_SUPPLY_ORIGIN)
            continue;
        if (rc < 0)
            end_part(part, rc, hugelite_error());
        else
            ask(part);
    }
}

/* A whole piece must be read, of which a part may want less. */
static int read_from_tier(struct hl_remote *remote, const struct hl_part *part, char *bytes)
{
    const struct hl_extent *extent = &part->extent;
    uint64_t skip = part->stage->src_offset + part->at - extent->src_offset;
    char *piece;
    int rc;

    if (skip == 0 && extent->length == part->length)
        return hl_tier_read(remote->state, remote->base.key, extent, bytes);
    piece = malloc(extent->length);
    if (!piece)
        return -ENOMEM;
    rc = hl_tier_read(remote->state, remote->base.key, extent, piece);
    if (rc == 0)
        memcpy(bytes, piece + skip, part->length);
    free(piece);
    return rc;
}

/* Under the lock; lets go of it to read. */
static void bring_nearby(struct hl_stage *stage, struct hl_part *part)
{
    struct hl_remote *remote = stage->remote;
    char *bytes = stage->bytes + part->at;
    int rc = 0;

    if (part->supply != HL_SUPPLY_MEMORY && part->supply != HL_SUPPLY_TIER)
        return;
    hl_unlock(&remote->lock);
    if (part->supply == HL_SUPPLY_MEMORY)
        memcpy(bytes, part->bytes, part->length);
    else
        rc = read_from_tier(remote, part, bytes);
    if (rc == 0 && part->supply == HL_SUPPLY_TIER)
        hl_count(&hl_remote_stats(remote)->tier_bytes, part->length);
    hl_lock(&remote->lock);
    if (rc < 0) {
        ask(part);
    } else {
        part->have = part->length;
        end_part(part, 0, "");
    }
}

int hl_stage_begin(struct hl_source *source, uint64_t src_offset, uint32_t length,
                   enum hl_urgency urgency, void (*arrived)(void *arg, uint64_t src_end, int rc),
                   void *arg, struct hl_stage **ret_stage)
{
    struct hl_remote *remote = (struct hl_remote *)source;
    struct hl_extent *extents;
    struct hl_stage *stage;
    unsigned nr;
    int rc = 0;

    if (getpid() != remote->pid)
        return hl_error(ECHILD, "%s: was opened before fork(); open it again here", source->name);
    HL_ASSERT(length > 0 && length <= HL_STAGE_MAX && src_offset <= source->src_bytes &&
              length <= source->src_bytes - src_offset);
    stage = make_stage(remote, src_offset, length);
    if (!stage)
        return hl_error(ENOMEM, "%s: no memory to read it", source->name);
    stage->urgency = urgency;
    stage->arrived = arrived;
    stage->arg = arg;
    if (!atomic_load_explicit(&remote->doubt_head, memory_order_relaxed))
        rc = cover_from_memory(stage, &remote->head);
    if (rc == 0)
        rc = cover_from_memory(stage, &remote->tail);
    nr = look_into_tier(stage, &extents);

    hl_lock(&remote->lock);
    if (rc == 0)
        rc = make_plan(stage, extents, nr);
    if (rc < 0) {
        hl_unlock(&remote->lock);
        free(extents);
        unref(stage);
        return hl_error(ENOMEM, "%s: no memory to read it", source->name);
    }
    *ret_stage = stage;
    list_stage(stage);
    /* Requests first: the rest is done while they are under way.  Nobody reports it meanwhile, so
     * that there is one report of all that is at hand. */
    stage->reporting = true;
    ask_origin(stage);
    if (urgency == HL_URGENT)
        hurry(stage, 0, length);
    for (struct hl_part *part = stage->parts; part; part = part->next)
        bring_nearby(stage, part);
    stage->reporting = false;
    progress(remote);
    hl_unlock(&remote->lock);
    free(extents);
    return 0;
}

/* ---- the end ------------------------------------------------------------------------ */

static void post_to_tier(struct hl_stage *stage)
{
    struct hl_remote *remote = stage->remote;

    if (!remote->state->tier || stage->doubtful)
        return;
    for (struct hl_part *part = stage->parts; part; part = part->next) {
        uint32_t at = part->at + part->before, length = part->have - part->before;

        /* What a request brought that failed later may be no good. */
        if (part->asked && length && (part->rc == 0 || part->under_way))
            hl_tier_post(remote->state, remote->base.key, stage->src_offset + at, length,
                         stage->bytes + at, unref_arg, ref(stage));
    }
}

/* Under the lock: those who counted on this stage. */
static void leave_borrowers(struct hl_stage *lender)
{
    hand_on(lender->remote);
    for (struct hl_stage *stage = lender->remote->stages; stage; stage = stage->next)
        for (struct hl_part *part = stage->parts; part; part = part->next)
            if (part->lender == lender) {
                return_lender(part);
                if (stage->ended)
                    end_part(part, -ECANCELED, "ended");
                else
                    ask(part);
            }
    for (struct hl_part *part = lender->parts; part; part = part->next)
        if (part->lender)
            return_lender(part);
}

void hl_stage_end(struct hl_stage *stage)
{
    struct hl_remote *remote;

    if (!stage)
        return;
    remote = stage->remote;
    if (getpid() != remote->pid)
        return; /* its lock may be held by a thread that is not here */

    hl_lock(&remote->lock);
    stage->ended = true;
    wake_waiters(remote);
    hl_unlock(&remote->lock);
    /* Nobody starts another request of an ended stage. */
    for (struct hl_part *part = stage->parts; part; part = part->next)
        if (part->transfer)
            hl_transfer_cancel(part->transfer);

    hl_lock(&remote->lock);
    while (stage->reporting)
        pthread_cond_wait(&remote->news, &remote->lock.mutex);
    unlist_stage(stage);
    leave_borrowers(stage);
    progress(remote);
    hl_unlock(&remote->lock);
    post_to_tier(stage);
    unref(stage);
}

void hl_stage_forbid(struct hl_source *source)
{
    struct hl_remote *remote = (struct hl_remote *)source;

    hl_lock(&remote->lock);
    remote->forbidden = true;
    pthread_cond_broadcast(&remote->news);
    hl_unlock(&remote->lock);
}

void hl_stage_distrust(struct hl_source *source, uint64_t src_offset, uint32_t length)
{
    struct hl_remote *remote = (struct hl_remote *)source;

    hl_lock(&remote->lock);
    for (struct hl_stage *stage = remote->stages; stage; stage = stage->next)
        if (stage->src_offset < src_offset + length &&
            src_offset < stage->src_offset + stage->length)
            stage->doubtful = true;
    hl_unlock(&remote->lock);
    if (src_offset < remote->head.length)
        atomic_store_explicit(&remote->doubt_head, true, memory_order_relaxed);
    hl_tier_distrust(remote->state, remote->base.key, src_offset, length);
}

void hl_stage_hurry(struct hl_stage *stage)
{
    hl_lock(&stage->remote->lock);
    hurry(stage, 0, stage->length);
    hl_unlock(&stage->remote->lock);
}

/* ---- loans ------------------------------------------------------------------------- */

static int too_late(const struct hl_stage *stage, uint32_t from, uint32_t to, uint64_t patience_ns)
{
    return hl_error(ETIMEDOUT, "%s: %lu bytes at %llu have not come within %llu s",
                    stage->remote->base.name, (unsigned long)(to - from),
                    (unsigned long long)(stage->src_offset + from),
                    (unsigned long long)(patience_ns / SECOND_NS));
}

/* Under the lock; we hold a reference.  0; -ENOENT when the stage has been ended; or why they do
 * not come. */
static int await(struct hl_stage *stage, uint32_t from, uint32_t to)
{
    struct hl_remote *remote = stage->remote;
    struct hl_waiter me = { remote->waiters, stage, from, to }, **link = &remote->waiters;
    /* Later than the requests themselves: they know better why. */
    uint64_t patience_ns = hl_stage_patience_ns(&remote->base) + 2 * SECOND_NS;
    uint64_t until_ns = hl_now_ns() + patience_ns;
    struct timespec until = { .tv_sec = (time_t)(until_ns / SECOND_NS),
                              .tv_nsec = (long)(until_ns % SECOND_NS) };
    int rc = state_of(stage, from, to), late = 0;

    if (rc > 0)
        hurry(stage, from, to);
    remote->waiters = &me;
    while (rc > 0 && !stage->ended && !remote->forbidden && late != ETIMEDOUT) {
        late = pthread_cond_timedwait(&remote->news, &remote->lock.mutex, &until);
        rc = state_of(stage, from, to);
    }
    while (*link != &me)
        link = &(*link)->next;
    *link = me.next;

    if (rc < 0)
        return hl_error(-rc, "%s", stage->sentence);
    if (rc > 0 && remote->forbidden)
        return hl_error(ECANCELED, "%s: is being closed", remote->base.name);
    if (rc > 0)
        return stage->ended ? -ENOENT : too_late(stage, from, to, patience_ns);
    return 0;
}

/* Under the lock: the stage that has these bytes, or else one that will have, or one that has
 * failed. */
static struct hl_stage *find_stage(struct hl_remote *remote, uint64_t src_offset, uint32_t length)
{
    struct hl_stage *will = NULL, *failed = NULL;

    for (struct hl_stage *stage = remote->stages; stage; stage = stage->next) {
        uint64_t from = src_offset - stage->src_offset;

        if (stage->ended || stage->doubtful || src_offset < stage->src_offset || from + length > stage->length)
            continue;
        switch (state_of(stage, (uint32_t)from, (uint32_t)from + length)) {
        case 0:
            return stage;
        case 1:
            will = will ? will : stage;
            break;
        default:
            failed = stage;
            break;
        }
    }
    return will ? will : failed;
}

int hl_stage_borrow(struct hl_source *source, uint64_t src_offset, uint32_t length,
                    const void **ret_bytes, struct hl_stage **ret_loan)
{
    struct hl_remote *remote = (struct hl_remote *)source;
    struct hl_stage *stage;
    int rc = -ENOENT;

    if (getpid() != remote->pid)
        return hl_error(ECHILD, "%s: was opened before fork(); open it again here", source->name);
    hl_lock(&remote->lock);
    stage = find_stage(remote, src_offset, length);
    if (stage) {
        uint32_t from = (uint32_t)(src_offset - stage->src_offset);

        ref(stage);
        rc = await(stage, from, from + length);
        if (rc == 0) {
            *ret_bytes = stage->bytes + from;
            *ret_loan = stage;
        }
    }
    hl_unlock(&remote->lock);
    if (rc < 0 && stage)
        unref(stage);
    return rc;
}

void hl_stage_return(struct hl_stage *loan)
{
    unref(loan);
}

int hl_stage_copy(struct hl_stage *stage, uint64_t src_offset, uint32_t length, void *buffer)
{
    uint32_t from = (uint32_t)(src_offset - stage->src_offset);
    int rc;

    hl_lock(&stage->remote->lock);
    rc = await(stage, from, from + length);
    hl_unlock(&stage->remote->lock);
    if (rc == 0)
        memcpy(buffer, stage->bytes + from, length);
    return rc;
}

/* ---- estimates ---------------------------------------------------------------------- */

uint32_t hl_stage_best_bytes(const struct hl_source *source)
{
    uint64_t bytes = PATIENT_S * hl_transfer_rate();

    (void)source;
    if (bytes == 0)
        return UNKNOWN_BYTES;
    return bytes > BEST_BYTES ? BEST_BYTES : bytes < LEAST_BYTES ? LEAST_BYTES : (uint32_t)bytes;
}

/* Twice as long as the link takes for what is asked for at once, beside the time that the origin
 * has to answer. */
uint64_t hl_stage_patience_ns(const struct hl_source *source)
{
    uint64_t rate = hl_transfer_rate();

    if (rate < 2 * SLOWEST)
        rate = 2 * SLOWEST;
    return hl_transfer_timeout_ns() + 2 * hl_stage_best_bytes(source) * SECOND_NS / rate;
}
