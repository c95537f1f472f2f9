/* SPDX-License-Identifier: MIT
 *
 * fill.c - the bytes of a chunk: read, decode, populate.  Knows nothing of chunk words: its callers have
 * claimed the chunk, and publish it.
 *
 * Entry points: fill.h.  See also: chunk.c (claims), crew.c (who helps), image.c (UFFDIO_COPY).
 */
#include "config.h"

#include "fill.h"

#include "chunk.h"
#include "codec.h"
#include "crew.h"
#include "error.h"
#include "headroom.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "stage.h"
#include "sys.h"
#include "tickets.h"
#include "volume.h"

#include <string.h>
#include <time.h>

/* How long a file system may be full while others fill, who may have to wait for a CPU; and how
 * often we look. */
enum { PATIENCE_FULL_NS = 1000 * 1000 * 1000, PAUSE_NS = 1000 * 1000 };

/* So many chunks may leave in vain before we look whether only our own would help; so many at most; and
 * how long what that has taught holds. */
enum { DOUBT = 2, IN_VAIN_MAX = 32, LESSON_NS = 1000 * 1000 * 1000 };

/* Decoded bytes of a chunk. */
static uint32_t chunk_length(const struct hl_volume *volume, uint32_t index)
{
    uint64_t rest = volume->bytes - ((uint64_t)index << HL_CHUNK_SHIFT);

    return rest < HL_CHUNK_BYTES ? (uint32_t)rest : HL_CHUNK_BYTES;
}

bool hl_fill_widen(const struct hl_volume *volume, uint32_t index, uint32_t *from, uint32_t *to)
{
    uint64_t start = (uint64_t)index << HL_CHUNK_SHIFT, grain = volume->codec->grain;
    uint64_t first = start + *from, end = start + *to;
    uint64_t chunk_end = start + chunk_length(volume, index);

    if (volume->codec->unit == 1)
        return true;
    if (grain == 0)
        return false;
    first -= first % grain;
    end = (end + grain - 1) / grain * grain;
    *from = first > start ? (uint32_t)(first - start) : 0;
    *to = (uint32_t)((end < chunk_end ? end : chunk_end) - start);
    return true;
}

/* ---- a page ------------------------------------------------------------------ */

/* Of this process: for a while its cgroup is known to have a limit, so that only what it has
 * filled itself gives it a page; or not even that, so that others are spared. */
static _Atomic uint64_t own_until_ns, spare_until_ns;

static bool holds_still(_Atomic uint64_t *until_ns, uint64_t now)
{
    return now < atomic_load_explicit(until_ns, memory_order_relaxed);
}

/* Evict a chunk that a process of this seat has filled: its page was charged to where we live. */
static bool evict_own(struct hugelite_pool *pool)
{
    static _Atomic uint32_t hand;
    uint32_t member = HL_OWNER_MEMBER(pool->owner);
    uint32_t start = atomic_load_explicit(&hand, memory_order_relaxed) % pool->nr_tickets;

    for (uint64_t step = 0; step < 2 * (uint64_t)pool->nr_tickets; step++) {
        uint32_t ticket = (uint32_t)((start + step) % pool->nr_tickets);
        bool any = step >= pool->nr_tickets; /* also what is used */
        uint64_t t = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
        struct hl_ticket_sight sight;
        struct hl_victim victim;

        if (!t || HL_TICKET_MEMBER(t) != member ||
            hl_ticket_look(pool, ticket, UINT32_MAX, &sight) != HL_TICKET_RESIDENT ||
            (!any && (sight.chunk & (HL_CHUNK_REFERENCED | HL_CHUNK_AHEAD))))
            continue;
        victim = (struct hl_victim){ .chunk = HL_TICKET_CHUNK(sight.ticket), .ticket = ticket,
                                     .was = sight.chunk };
        if (!hl_chunk_claim_victim(pool, victim.chunk, sight.chunk))
            continue;
        victim.ticket_word = atomic_load_explicit(&pool->tickets[ticket], memory_order_acquire);
        if (hl_chunk_evict(pool, &victim, 1)) {
            atomic_store_explicit(&hand, ticket + 1, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

/* Where a page did not come from, and what has been tried. */
struct shortage {
    bool charged;     /* our memory cgroup is full: what others have filled is no help */
    bool moving;      /* chunks are being filled or evicted */
    unsigned in_vain; /* so many have left, of anybody's */
};

/* Small pages: a charge that the cgroup refuses is no error, but the end of a process. */
static int copy_in(const struct hl_fill *f, const void *bytes, struct shortage *s)
{
    int rc;

    if (f->volume->pool->hugetlb)
        return hl_image_populate(&f->volume->image, f->index, bytes);
    s->charged = !hl_headroom_take(HL_CHUNK_BYTES);
    if (s->charged)
        return -ENOSPC;
    rc = hl_image_populate(&f->volume->image, f->index, bytes);
    hl_headroom_give(HL_CHUNK_BYTES);
    return rc;
}

/* It is this process that gets none; others may. */
static bool is_own_shortage(const struct shortage *s)
{
    return s->charged || s->in_vain >= DOUBT;
}

/* There was no page.  0 when one may be there now. */
static int make_room(const struct hl_fill *f, struct shortage *s)
{
    struct hugelite_pool *pool = f->volume->pool;
    uint64_t now = hl_now_ns();
    int rc = -EBUSY;

    s->moving = false;
    if ((is_own_shortage(s) || holds_still(&own_until_ns, now)) && evict_own(pool)) {
        if (is_own_shortage(s)) /* else nothing has been learnt */
            atomic_store_explicit(&own_until_ns, now + LESSON_NS, memory_order_relaxed);
        return 0;
    }
    if (s->in_vain >= IN_VAIN_MAX)
        atomic_store_explicit(&spare_until_ns, now + LESSON_NS, memory_order_relaxed);
    else if (!holds_still(&spare_until_ns, now))
        rc = hl_replacement_shrink(pool, f->volume->first + f->index, &s->moving);
    if (rc == 0)
        s->in_vain++;
    else if (s->charged)
        hl_error(EBUSY, "pool '%s': no free page: the memory cgroup of this process is full, and "
                 "nothing that it has filled can be evicted", pool->dir);
    else if (s->in_vain >= IN_VAIN_MAX || holds_still(&spare_until_ns, now))
        hl_error(EBUSY, "pool '%s': no free page for this process, whatever leaves: its cgroup is "
                 "full", pool->dir);
    return rc;
}

/* A ticket is a promise of the budget; the file system, or our cgroup, may still be out of
 * pages, when others use them.  Each round evicts at least one chunk, or waits a
 * moment for others who are filling, as they may give up, or be done and be evicted. */
static int populate(const struct hl_fill *f, const void *bytes)
{
    struct hugelite_pool *pool = f->volume->pool;
    uint64_t deadline_ns = hl_now_ns() + (f->asked ? PATIENCE_FULL_NS : 0);
    struct shortage shortage = { 0 };
    int rc = -ENOSPC;

    for (uint32_t round = 0; round <= pool->nr_tickets; round++) {
        rc = copy_in(f, bytes, &shortage);
        if (rc != -ENOSPC)
            break;
        hl_replacement_note_full(pool);
        if (f->if_room)
            return -EBUSY;
        if (make_room(f, &shortage) == 0)
            continue;
        if (!shortage.moving || hl_now_ns() >= deadline_ns)
            break;
        nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
        round = 0;
    }
    return rc == -ENOSPC && !is_own_shortage(&shortage) ? -EBUSY : rc;
}

/* ---- bytes ------------------------------------------------------------------- */

/* What came over the wire, or from the disk tier, does not decode: it may be the origin's fault, or
 * that of what lies between.  Once more, from the origin. */
static bool distrust(struct hl_volume *volume, uint64_t offset, uint32_t length)
{
    uint64_t from, to;

    if (!volume->source->remote ||
        volume->codec->ops->extent(volume->codec, offset, length, &from, &to) < 0 ||
        to - from > HL_STAGE_MAX)
        return false;
    hl_stage_distrust(volume->source, from, (uint32_t)(to - from));
    return true;
}

int hl_fill_decode(struct hl_volume *volume, uint64_t offset, uint32_t length, void *buffer)
{
    struct hl_codec_work done = { 0 };
    int rc = volume->codec->ops->read(volume->codec, offset, length, buffer, &done);

    if (rc == -EBADMSG && distrust(volume, offset, length))
        rc = volume->codec->ops->read(volume->codec, offset, length, buffer, &done);
    if (!volume->source->remote) /* which knows better what came over the wire */
        hl_count(&volume->slot->stats.source_bytes, done.source_bytes);
    if (done.frames)
        hl_count(&volume->slot->stats.frames_decoded, done.frames);
    if (rc == 0 && volume->source->remote && !volume->source->unvalidated &&
        atomic_load_explicit(&volume->slot->unvalidated, memory_order_relaxed))
        atomic_store_explicit(&volume->slot->unvalidated, 0, memory_order_relaxed);
    return rc;
}

/* A stretch of a chunk, decoded in parts by whoever has time.  Cut where frames end, so
 * that none is decoded twice. */
struct stretch {
    struct hl_volume *volume;
    uint64_t offset;
    uint32_t length;
    uint32_t part;           /* bytes of each, but of the first and the last */
    uint32_t skew;           /* by which the first is shorter */
    char *buffer;            /* of offset */
    _Atomic uint32_t failed; /* a bit for each part that did */
};

enum { PARTS_MAX = 32, PART_BYTES = 128 * 1024 };

static int decode_one(struct stretch *s, unsigned i)
{
    uint32_t from = i ? i * s->part - s->skew : 0;
    uint32_t to = (i + 1) * s->part - s->skew;

    if (to > s->length)
        to = s->length;
    return hl_fill_decode(s->volume, s->offset + from, to - from, s->buffer + from);
}

static void decode_part(void *arg, unsigned i)
{
    struct stretch *s = arg;

    if (decode_one(s, i) < 0)
        atomic_fetch_or_explicit(&s->failed, 1u << i, memory_order_relaxed);
}

static int decode_stretch(struct hl_volume *volume, uint64_t offset, uint32_t length, char *buffer)
{
    struct stretch s = { .volume = volume, .offset = offset, .length = length, .buffer = buffer };
    uint64_t grain = volume->codec->grain;
    uint32_t failed;
    unsigned nr;

    if (length == 0)
        return 0;
    if (grain == 0 || grain > length)
        return hl_fill_decode(volume, offset, length, buffer);
    s.part = (uint32_t)((PART_BYTES + grain - 1) / grain * grain);
    s.skew = (uint32_t)(offset % grain);
    nr = (length + s.skew + s.part - 1) / s.part;
    HL_ASSERT(nr <= PARTS_MAX);
    hl_crew_share(&volume->pool->crew, nr, decode_part, &s);

    /* Another thread's failure has its sentence there: fail here again, or not. */
    failed = atomic_load_explicit(&s.failed, memory_order_relaxed);
    for (unsigned i = 0; i < nr; i++)
        if (failed >> i & 1) {
            int rc = decode_one(&s, i);

            if (rc < 0)
                return rc;
        }
    return 0;
}

/* Ask for all the encoded bytes of a stretch at once, before its parts are decoded one by one. */
static int begin_stage(const struct hl_fill *f, uint64_t offset, uint32_t length,
                       struct hl_stage **ret_stage)
{
    struct hl_volume *volume = f->volume;
    uint64_t from, to;
    int rc;

    *ret_stage = NULL;
    if (length == 0 || f->staged || !volume->source->remote)
        return 0;
    rc = volume->codec->ops->extent(volume->codec, offset, length, &from, &to);
    if (rc < 0 || to - from > HL_STAGE_MAX)
        return rc;
    return hl_stage_begin(volume->source, from, (uint32_t)(to - from),
                          f->asked ? HL_URGENT : HL_AHEAD, NULL, NULL, ret_stage);
}

/* What there is not yet of the chunk, on both sides of what there is. */
static int decode_rest(const struct hl_fill *f, uint64_t offset, uint32_t length)
{
    struct hl_stage *before = NULL, *behind = NULL;
    int rc;

    rc = begin_stage(f, offset, f->from, &before);
    if (rc == 0)
        rc = begin_stage(f, offset + f->to, length - f->to, &behind);
    if (rc == 0)
        rc = decode_stretch(f->volume, offset, f->from, f->buffer);
    if (rc == 0)
        rc = decode_stretch(f->volume, offset + f->to, length - f->to, f->buffer + f->to);
    hl_stage_end(before);
    hl_stage_end(behind);
    return rc;
}

/* Of a raw remote chunk, before anybody sees it. */
static int check_sum(const struct hl_fill *f, const void *bytes, uint32_t length)
{
    return f->volume->state ? hl_sums_check(&f->volume->sums, f->index, bytes, length) : 0;
}

/* A whole raw chunk that came with a haul: UFFDIO_COPY takes it from where it is.  -ENOENT: it is not
 * such a one. */
static int fill_from_stage(const struct hl_fill *f, uint64_t offset, uint32_t length)
{
    struct hl_volume *volume = f->volume;
    struct hl_stage *loan;
    const void *bytes;
    int rc = -ENOENT;

    if (f->staged && volume->codec->ops == &hl_codec_raw && length == HL_CHUNK_BYTES)
        rc = hl_stage_borrow(volume->source, offset, length, &bytes, &loan);
    if (rc < 0)
        return rc;
    rc = check_sum(f, bytes, length);
    if (rc == 0)
        rc = populate(f, bytes);
    hl_stage_return(loan);
    return rc;
}

int hl_fill(const struct hl_fill *f)
{
    uint64_t offset = (uint64_t)f->index << HL_CHUNK_SHIFT;
    uint32_t length = chunk_length(f->volume, f->index);
    int rc = fill_from_stage(f, offset, length);

    if (rc != -ENOENT)
        return rc;
    rc = decode_rest(f, offset, length);
    if (rc == 0)
        rc = check_sum(f, f->buffer, length);
    if (rc < 0)
        return rc;
    memset(f->buffer + length, 0, HL_CHUNK_BYTES - length);
    return populate(f, f->buffer);
}
