/* SPDX-License-Identifier: MIT
 *
 * fill.c - the bytes of a chunk: read, decode, populate.  Knows nothing of chunk words: its callers have
 * claimed the chunk, and publish it.
 *
 * Entry points: fill.h.  See also: chunk.c (claims), crew.c (who helps), image.c (UFFDIO_COPY).
 */
#include "config.h"

#include "fill.h"

#include "codec.h"
#include "crew.h"
#include "error.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "stage.h"
#include "sys.h"
#include "volume.h"

#include <string.h>
#include <time.h>

/* How long a file system may be full while others fill, who may have to wait for a CPU; and how
 * often we look. */
enum { PATIENCE_FULL_NS = 1000 * 1000 * 1000, PAUSE_NS = 1000 * 1000 };

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

/* A ticket is a promise of the budget; the file system may still be out of
 * pages, when others use them.  Each round evicts at least one chunk, or waits a
 * moment for others who are filling, as they may give up, or be done and be evicted. */
static int populate(const struct hl_fill *f, const void *bytes)
{
    struct hugelite_pool *pool = f->volume->pool;
    uint64_t deadline_ns = hl_now_ns() + (f->asked ? PATIENCE_FULL_NS : 0);
    int rc = -ENOSPC;
    bool moving;

    for (uint32_t round = 0; rc == -ENOSPC && round <= pool->nr_tickets; round++) {
        rc = hl_image_populate(&f->volume->image, f->index, bytes);
        if (rc != -ENOSPC)
            break;
        hl_replacement_note_full(pool);
        if (f->if_room)
            return -EBUSY;
        if (hl_replacement_shrink(pool, f->volume->first + f->index, &moving) == 0)
            continue;
        if (!moving || hl_now_ns() >= deadline_ns)
            return -EBUSY;
        nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
        round = 0;
    }
    return rc;
}

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
