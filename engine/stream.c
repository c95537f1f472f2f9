/* SPDX-License-Identifier: MIT
 *
 * stream.c - decodes large frames piece by piece.  A stream stands at a position of a frame; two
 * per codec are kept, so that who reads a frame in sequence decodes each byte once more and not
 * from the frame's beginning each time.
 *
 * A frame's checksum, and whether it is as long as the table says, is known at its end.  So the
 * first read of a frame decodes all of it, whatever part was asked for, and a bit remembers that
 * it was right; others wait for that meanwhile.  Later passes are checked again when they come to
 * the end.
 *
 * Readers of one frame go in the order of their offsets: a flight is a read under way, and one
 * that is to go on where another will stop waits for it, at most hl_patience_ns, after which it
 * decodes from the beginning by itself.  It waits for lower offsets only, so there is no circle.
 *
 * Entry points: stream.h.  See also: frame.c, codec-zstd.c, decoder.c.
 */
#include "config.h"

#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of our own */
#include <zstd.h>

#include "stream.h"

#include "codec.h"
#include "error.h"
#include "frame.h"
#include "lock.h"
#include "memory.h"
#include "source.h"
#include "sys.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* the state as a member */
#include <xxhash.h>

enum {
    KEPT = 2,              /* streams, per codec */
    INPUT = 128 << 10,     /* encoded bytes read at once */
    DISCARD = 128 << 10,   /* decoded bytes passed over at once */
    NEAR = 64 << 10,       /* decoded bytes that a reader in sequence may skip, at least */
    NAP_NS = 64000000,
};

struct stream {
    struct stream *next;
    struct hl_stream_frames *frames; /* whose it is */
    uint32_t number;                 /* of the frame */
    uint32_t position;               /* decoded bytes given out */
    uint32_t fed;                    /* encoded bytes read */
    bool ended;                      /* at the frame's end, or of use as memory only */
    bool continued;                  /* a second read went on here: somebody reads in sequence */
    bool idle;                       /* not used since the last trim */
    bool hashed;                     /* the checksum is in the table only */
    XXH64_state_t hash;
    ZSTD_DCtx *context;
    ZSTD_inBuffer in;
    unsigned char *input, *discard;
    size_t bytes;                    /* of memory, this struct included */
};

struct flight {
    struct flight *next;
    const struct hl_stream_frames *frames;
    uint32_t number, offset, end;
    bool checking; /* it decodes the whole frame */
};

static struct hl_lock streams_lock = HL_LOCK_INIT(HL_RANK_STREAMS);
static struct stream *kept;     /* latest first */
static struct flight *flights;  /* on the stacks of their threads */
static _Atomic uint32_t landed; /* futex: changes whenever a flight ends */
static unsigned nr_waiting;
static pid_t forking;

void hl_stream_fork_prepare(void)
{
    hl_lock(&streams_lock);
    forking = getpid();
}

void hl_stream_fork_done(void)
{
    if (getpid() != forking) { /* the threads that fly are the parent's */
        flights = NULL;
        nr_waiting = 0;
    }
    hl_unlock(&streams_lock);
}

/* ---- what is kept -------------------------------------------------------- */

static void free_streams(struct stream *stream)
{
    while (stream) {
        struct stream *next = stream->next;

        hl_memory_put(stream, stream->bytes);
        stream = next;
    }
}

/* Under the lock, as all up to hl_stream_forget(). */
static struct stream *unlink_stream(struct stream **link)
{
    struct stream *stream = *link;

    *link = stream->next;
    stream->next = NULL;
    return stream;
}

/* Does a read go on where another has stopped, or nearly so? */
static bool is_near(const struct flight *flight, uint32_t position)
{
    uint64_t near = 2ull * (flight->end - flight->offset) + NEAR;

    return position <= flight->offset && flight->offset - position <= near;
}

static bool is_usable(const struct flight *flight, const struct stream *stream)
{
    return stream->frames == flight->frames && stream->number == flight->number &&
           !stream->ended && stream->position <= flight->offset;
}

/* The kept stream that a read goes on with, if any. */
static struct stream **find_near(const struct flight *flight)
{
    struct stream **found = NULL;

    for (struct stream **link = &kept; *link; link = &(*link)->next)
        if (is_usable(flight, *link) && is_near(flight, (*link)->position) &&
            (!found || (*link)->position > (*found)->position))
            found = link;
    return found;
}

/* When there are too many of a codec: the oldest of those that served one read only, else the
 * oldest. */
static struct stream *unlink_surplus(const struct hl_stream_frames *frames, unsigned allowed)
{
    struct stream **oldest = NULL, **oldest_single = NULL;
    unsigned nr = 0;

    for (struct stream **link = &kept; *link; link = &(*link)->next) {
        if ((*link)->frames != frames || nr++ == 0)
            continue; /* the first is the one that has just been used */
        oldest = link;
        if (!(*link)->continued)
            oldest_single = link;
    }
    if (nr <= allowed || !oldest)
        return NULL;
    return unlink_stream(oldest_single ? oldest_single : oldest);
}

/* A stream that is of no use any more, or has to go for a new one. */
static struct stream *unlink_spare(const struct hl_stream_frames *frames)
{
    for (struct stream **link = &kept; *link; link = &(*link)->next)
        if ((*link)->frames == frames && (*link)->ended)
            return unlink_stream(link);
    return unlink_surplus(frames, KEPT - 1);
}

unsigned hl_stream_trim(void)
{
    struct stream *idle = NULL;
    unsigned left = 0;

    hl_lock(&streams_lock);
    for (struct stream **link = &kept; *link;) {
        if ((*link)->idle) {
            struct stream *stream = unlink_stream(link);

            stream->next = idle;
            idle = stream;
            continue;
        }
        (*link)->idle = true;
        left++;
        link = &(*link)->next;
    }
    hl_unlock(&streams_lock);
    free_streams(idle);
    return left;
}

void hl_stream_forget(struct hl_stream_frames *frames)
{
    struct stream *gone = NULL;

    hl_lock(&streams_lock);
    for (struct stream **link = &kept; *link;) {
        if ((*link)->frames == frames) {
            struct stream *stream = unlink_stream(link);

            stream->next = gone;
            gone = stream;
        } else {
            link = &(*link)->next;
        }
    }
    hl_unlock(&streams_lock);
    free_streams(gone);
}

/* ---- one stream ---------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Memory for a frame of such a window; spare is used if it is large enough, else freed. */
static struct stream *prepare_memory(size_t window, struct stream *spare)
{
    size_t header = aligned(sizeof(struct stream));
    size_t workspace = aligned(ZSTD_estimateDStreamSize(window));
    size_t bytes = (header + workspace + INPUT + DISCARD + 4095) / 4096 * 4096;
    struct stream *stream = spare;
    char *memory;

    if (!spare || spare->bytes < bytes) {
        free_streams(spare);
        stream = hl_memory_get(bytes);
        if (!stream)
            return NULL;
        stream->bytes = bytes;
    }
    memory = (char *)stream;
    bytes = stream->bytes;
    *stream = (struct stream){
        .bytes = bytes,
        .input = (unsigned char *)memory + bytes - INPUT,
        .discard = (unsigned char *)memory + bytes - INPUT - DISCARD,
        .context = ZSTD_initStaticDCtx(memory + header, bytes - header - INPUT - DISCARD),
    };
    HL_ASSERT(stream->context);
    return stream;
}

static int read_source(const struct hl_frame *frame, uint32_t at, uint32_t length, void *buffer,
                       struct hl_codec_work *work)
{
    work->source_bytes += length;
    return frame->source->ops->read(frame->source, frame->src_offset + at, length, buffer);
}

/* A stream at the frame's beginning, and what the frame says of itself. */
static int begin_stream(struct hl_stream_frames *frames, const struct hl_frame *frame,
                        struct stream *spare, struct hl_frame_header *ret_header,
                        struct stream **ret_stream, struct hl_codec_work *work)
{
    unsigned char head[HL_FRAME_HEADER_BYTES], tail[4];
    size_t window;
    int rc;

    rc = read_source(frame, 0, frame->encoded_bytes < sizeof head ? frame->encoded_bytes
                                                                  : sizeof head, head, work);
    if (rc == 0)
        rc = hl_frame_parse(frame, head, ret_header);
    if (rc == 0)
        rc = hl_frame_compare_sizes(frame, ret_header);
    if (rc == 0 && ret_header->dictionary)
        rc = hl_frame_wrong(frame, "needs a dictionary (ID %lu)",
                            (unsigned long)ret_header->dictionary);
    if (rc == 0 && ret_header->window_bytes > HL_STREAM_WINDOW_MAX)
        rc = hl_frame_wrong(frame, "needs a window of %llu bytes; the limit is %u",
                            (unsigned long long)ret_header->window_bytes, HL_STREAM_WINDOW_MAX);
    if (rc == 0)
        rc = read_source(frame, frame->encoded_bytes - 4, 4, tail, work);
    if (rc == 0)
        rc = hl_frame_compare_checksums(frame, ret_header, tail);
    if (rc < 0) {
        free_streams(spare);
        return rc;
    }

    window = ret_header->window_bytes;
    if (ret_header->has_size && window > frame->decoded_bytes)
        window = frame->decoded_bytes;
    if (window < 128 << 10)
        window = 128 << 10; /* the longest block, whose size the true window decides */
    *ret_stream = prepare_memory(window, spare);
    if (!*ret_stream)
        return hl_error(ENOMEM, "%s: no memory to decode frame %lu", frame->source->name,
                        (unsigned long)frame->number);
    (*ret_stream)->frames = frames;
    (*ret_stream)->number = frame->number;
    (*ret_stream)->hashed = frame->has_checksum && !ret_header->has_checksum;
    XXH64_reset(&(*ret_stream)->hash, 0);
    work->frames++;
    return 0;
}

/* One call of the decoder, which is given input when it has none. */
static int step(struct stream *stream, const struct hl_frame *frame, ZSTD_outBuffer *out,
                struct hl_codec_work *work)
{
    size_t before = out->pos, answer;
    bool starved;
    int rc;

    if (stream->in.pos == stream->in.size && stream->fed < frame->encoded_bytes) {
        uint32_t left = frame->encoded_bytes - stream->fed;
        uint32_t length = left < INPUT ? left : INPUT;

        rc = read_source(frame, stream->fed, length, stream->input, work);
        if (rc < 0)
            return rc;
        stream->in = (ZSTD_inBuffer){ stream->input, length, 0 };
        stream->fed += length;
    }
    starved = stream->in.pos == stream->in.size;
    answer = ZSTD_decompressStream(stream->context, out, &stream->in);
    if (ZSTD_isError(answer))
        return hl_frame_zstd_error(frame, answer);
    stream->ended = answer == 0;
    if (starved && !stream->ended && out->pos == before)
        return hl_frame_wrong(frame, "it is cut short");
    return 0;
}

/* Decode length bytes more; into the void when buffer is NULL. */
static int pump(struct stream *stream, const struct hl_frame *frame, uint32_t length, void *buffer,
                struct hl_codec_work *work)
{
    while (length) {
        size_t room = buffer || length < DISCARD ? length : DISCARD;
        ZSTD_outBuffer out = { buffer ? buffer : stream->discard, room, 0 };
        int rc;

        if (stream->ended)
            return hl_frame_wrong(frame, "decodes to %lu bytes only",
                                  (unsigned long)stream->position);
        rc = step(stream, frame, &out, work);
        if (rc < 0)
            return rc;
        if (stream->hashed)
            XXH64_update(&stream->hash, out.dst, out.pos);
        if (buffer)
            buffer = (char *)buffer + out.pos;
        stream->position += (uint32_t)out.pos;
        length -= (uint32_t)out.pos;
    }
    return 0;
}

/* All decoded bytes are out: the rest must be the frame's end, and its checksum right. */
static int finish(struct stream *stream, const struct hl_frame *frame, struct hl_codec_work *work)
{
    while (!stream->ended) {
        ZSTD_outBuffer out = { stream->discard, 1, 0 };
        int rc = step(stream, frame, &out, work);

        if (rc < 0)
            return rc;
        if (out.pos)
            return hl_frame_wrong(frame, "it is longer than the seek table says");
    }
    if (stream->fed < frame->encoded_bytes || stream->in.pos < stream->in.size)
        return hl_frame_wrong(frame, "ends before the seek table says");
    if (stream->hashed && (uint32_t)XXH64_digest(&stream->hash) != frame->checksum)
        return hl_frame_wrong(frame, "its bytes do not have the checksum of the seek table");
    return 0;
}

/* ---- flights ------------------------------------------------------------- */

static bool is_checked(const struct hl_stream_frames *frames, uint32_t number)
{
    /* acquire meets set_checked(): nothing but the bit itself is published. */
    return atomic_load_explicit(&frames->checked[number / 8], memory_order_acquire) >>
               (number % 8) & 1;
}

static void set_checked(struct hl_stream_frames *frames, uint32_t number, bool right)
{
    unsigned char bit = (unsigned char)(1u << (number % 8));

    if (right)
        atomic_fetch_or_explicit(&frames->checked[number / 8], bit, memory_order_release);
    else
        atomic_fetch_and_explicit(&frames->checked[number / 8], (unsigned char)~bit,
                                  memory_order_release);
}

/* Under the lock.  Is there another flight worth waiting for? */
static bool must_wait(const struct flight *me, bool checked)
{
    struct stream **link = find_near(me);

    for (const struct flight *other = flights; other; other = other->next) {
        if (other == me || other->frames != me->frames || other->number != me->number)
            continue;
        if (other->checking ? !checked : checked && is_near(me, other->end) &&
                                         (!link || other->end > (*link)->position))
            return true;
    }
    return false;
}

/* Take off: decide whether this read checks the frame, and from which stream it goes on. */
static void begin_flight(struct flight *flight, struct stream **ret_stream,
                         struct stream **ret_spare)
{
    uint64_t deadline = 0;
    struct stream **link;

    hl_lock(&streams_lock);
    flight->next = flights;
    flights = flight;
    while (must_wait(flight, is_checked(flight->frames, flight->number))) {
        static const struct timespec nap = { .tv_nsec = NAP_NS };
        uint32_t seen = atomic_load_explicit(&landed, memory_order_relaxed);
        uint64_t now = hl_now_ns();

        if (!deadline)
            deadline = now + hl_patience_ns;
        if (now >= deadline)
            break;
        nr_waiting++;
        hl_unlock(&streams_lock);
        hl_sys.futex_wait(&landed, seen, &nap);
        hl_lock(&streams_lock);
        nr_waiting--;
    }

    /* A read far from all streams gets a new one; or the one that has to go for it, if that
     * saves a part of the way. */
    flight->checking = !is_checked(flight->frames, flight->number);
    link = flight->checking ? NULL : find_near(flight);
    *ret_stream = link ? unlink_stream(link) : NULL;
    *ret_spare = link ? NULL : unlink_spare(flight->frames);
    if (*ret_spare && !flight->checking && is_usable(flight, *ret_spare)) {
        *ret_stream = *ret_spare;
        *ret_spare = NULL;
    }
    hl_unlock(&streams_lock);
}

/* Land: keep the stream, let others go on. */
static void end_flight(struct flight *flight, struct stream *stream)
{
    struct stream *surplus = NULL;
    bool wake;

    hl_lock(&streams_lock);
    for (struct flight **link = &flights; *link; link = &(*link)->next)
        if (*link == flight) {
            *link = flight->next;
            break;
        }
    if (stream) {
        stream->next = kept;
        kept = stream;
        surplus = unlink_surplus(stream->frames, KEPT);
    }
    atomic_fetch_add_explicit(&landed, 1, memory_order_relaxed); /* the lock orders it */
    wake = nr_waiting > 0;
    hl_unlock(&streams_lock);
    if (wake)
        hl_sys.futex_wake(&landed, INT_MAX);
    free_streams(surplus);
}

static int fly(struct flight *flight, const struct hl_frame *frame, struct stream **stream,
               struct stream *spare, struct hl_stream_frames *frames, void *buffer,
               struct hl_codec_work *work)
{
    uint32_t length = flight->end - flight->offset;
    struct hl_frame_header header;
    int rc = 0;

    if (*stream) {
        (*stream)->continued = is_near(flight, (*stream)->position);
        (*stream)->idle = false;
    } else {
        rc = begin_stream(frames, frame, spare, &header, stream, work);
        if (rc < 0)
            return rc;
    }

    rc = pump(*stream, frame, flight->offset - (*stream)->position, NULL, work);
    if (rc == 0)
        rc = pump(*stream, frame, length, buffer, work);
    if (rc == 0 && flight->checking)
        rc = pump(*stream, frame, frame->decoded_bytes - (*stream)->position, NULL, work);
    if (rc == 0 && (*stream)->position == frame->decoded_bytes)
        rc = finish(*stream, frame, work);
    if (rc == 0 ? flight->checking : rc == -EBADMSG)
        set_checked(frames, frame->number, rc == 0);
    return rc;
}

int hl_stream_read(struct hl_stream_frames *frames, const struct hl_frame *frame, uint32_t offset,
                   uint32_t length, void *buffer, struct hl_codec_work *work)
{
    struct flight flight = { .frames = frames, .number = frame->number, .offset = offset,
                             .end = offset + length };
    struct stream *stream, *spare;
    int rc;

    begin_flight(&flight, &stream, &spare);
    rc = fly(&flight, frame, &stream, spare, frames, buffer, work);
    if (rc < 0 && stream)
        stream->ended = true; /* of use as memory only */
    end_flight(&flight, stream);
    return rc;
}
