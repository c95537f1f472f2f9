/* SPDX-License-Identifier: MIT
 *
 * codec-zstd.c - files in the Zstandard seekable format, whoever made them.  A read finds its
 * frames in the seek table and decodes those and no others.
 *
 * The table may be large (12 bytes per frame), so it stays in the source: opening walks it once
 * and remembers where each segment of SEGMENT entries begins, a read fetches the segments that it
 * needs, and each must still lead from its beginning to the next one's.  Of a remote source the whole
 * table is kept: a piece of it is not worth a round trip.  Entries that decode to
 * nothing (skippable and empty frames) are passed over.
 *
 * Entry point: hl_codec_zstd (ops).  See also: seekable.c (the table), frame.c (one frame),
 * stream.c (frames too large for one go), decoder.c (memory).
 */
#include "config.h"

#include "cleanup.h"
#include "codec.h"
#include "decoder.h"
#include "error.h"
#include "frame.h"
#include "lock.h"
#include "refusal.h"
#include "remote.h"
#include "seekable.h"
#include "source.h"
#include "stage.h"
#include "stream.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT = 64,               /* entries */
    WALK = 64 * SEGMENT,        /* entries read at once while opening */
    WALK_REMOTE = 1 << 20,      /* 8 or 12 MiB of them */
    WHOLE_DECODED = 2 << 20,    /* larger frames are streamed */
    WHOLE_ENCODED = (2 << 20) + (64 << 10),
    INSPECTED = 1000,           /* frames, at most, that opening looks at */
    RUN = 512 << 10,            /* encoded bytes of neighbouring frames that are read at once */
};

/* Where a segment begins. */
struct start {
    uint64_t src_offset, offset;
};

struct zstd_codec {
    struct hl_codec base;
    struct hl_seekable table;
    struct start *starts; /* one for each segment, and the end */
    uint32_t nr_segments;
    unsigned char *entries; /* all of them, of a remote source; else NULL */
    struct hl_stream_frames streams;
};

/* ---- open ---------------------------------------------------------------- */

/* What the walk has come to know. */
struct survey {
    uint64_t src_offset, offset;
    uint32_t first, last, largest; /* decoded bytes of frames with content */
    uint32_t nr_inspected;
    bool uneven;                   /* one before the last differs from the first */
    bool has_large;                /* one must be streamed */
};

/* Of a remote source those that the open has brought: others cost a round trip each. */
static bool is_at_hand(const struct hl_source *source, uint64_t src_offset)
{
    return !source->remote || src_offset + HL_FRAME_HEADER_BYTES <= HL_REMOTE_HEAD ||
           src_offset + HL_REMOTE_TAIL >= source->src_bytes;
}

static bool is_large(const struct hl_seekable_entry *entry)
{
    return entry->decoded_bytes > WHOLE_DECODED || entry->encoded_bytes > WHOLE_ENCODED;
}

static int bad_table(const struct hl_source *source, const char *why)
{
    return hl_error(EBADMSG, "%s: its seek table is damaged: %s", source->name, why);
}

static int bad_entry(const struct hl_source *source, uint32_t number, const char *why)
{
    return hl_error(EBADMSG, "%s: its seek table is damaged: frame %lu %s", source->name,
                    (unsigned long)number, why);
}

static int refuse_unseekable(const struct hl_source *source)
{
    return hl_refuse(source, &(struct hl_refusal){
        "is compressed by zstd, but has no seek table at its end (or is cut short)", "zstd -d",
        "-o ", ".zst", ".seekable.zst" });
}

static int read_table(struct zstd_codec *codec)
{
    struct hl_source *source = codec->base.source;
    unsigned char footer[HL_SEEKABLE_FOOTER_BYTES], header[HL_SEEKABLE_HEADER_BYTES];
    const char *why;
    int rc;

    if (source->src_bytes < sizeof footer)
        return refuse_unseekable(source);
    rc = source->ops->read(source, source->src_bytes - sizeof footer, sizeof footer, footer);
    if (rc < 0)
        return rc;
    rc = hl_seekable_parse_footer(footer, source->src_bytes, &codec->table, &why);
    if (rc == -EMEDIUMTYPE)
        return refuse_unseekable(source);
    if (rc < 0)
        return bad_table(source, why);

    rc = source->ops->read(source, codec->table.frames_bytes, sizeof header, header);
    if (rc < 0)
        return rc;
    rc = hl_seekable_check_header(&codec->table, header, &why);
    return rc < 0 ? bad_table(source, why) : 0;
}

/* What the first frame needs, all will: say so now, and how to mend it. */
static int refuse_needs(const struct hl_source *source, const struct hl_seekable_entry *entry,
                        const struct hl_frame_header *header)
{
    char why[100];

    if (header->dictionary) {
        snprintf(why, sizeof why, "was compressed with a dictionary (ID %lu)",
                 (unsigned long)header->dictionary);
        return hl_refuse(source, &(struct hl_refusal){ why, "zstd -D DICTIONARY -d", "-o ", ".zst",
                                                       ".seekable.zst" });
    }
    if (is_large(entry) && header->window_bytes > HL_STREAM_WINDOW_MAX) {
        snprintf(why, sizeof why, "needs a window of %llu bytes, more than %u",
                 (unsigned long long)header->window_bytes, HL_STREAM_WINDOW_MAX);
        return hl_refuse(source, &(struct hl_refusal){ why, "zstd --long=31 -d", "-o ", ".zst",
                                                       ".seekable.zst" });
    }
    return 0;
}

/* A decoded size that is wrong in the table shifts all that follows, and nothing in the other
 * frames shows it.  So the first frame, and those whose size is another, are compared with their
 * headers: where all frames but the last are of one size, that finds any one wrong entry.  Other
 * damage in a frame is a matter of its readers. */
static int inspect_frame(struct zstd_codec *codec, uint32_t number,
                         const struct hl_seekable_entry *entry, struct survey *survey)
{
    struct hl_source *source = codec->base.source;
    struct hl_frame frame = {
        .source = source, .number = number, .encoded_bytes = entry->encoded_bytes,
        .decoded_bytes = entry->decoded_bytes, .src_offset = survey->src_offset,
        .offset = survey->offset,
    };
    unsigned char head[HL_FRAME_HEADER_BYTES];
    struct hl_frame_header header;
    int rc;

    survey->nr_inspected++;
    rc = source->ops->read(source, frame.src_offset, frame.encoded_bytes < sizeof head
                                                         ? frame.encoded_bytes : sizeof head, head);
    if (rc < 0)
        return rc;
    if (hl_frame_parse(&frame, head, &header) < 0)
        return 0;
    rc = hl_frame_compare_sizes(&frame, &header);
    if (rc == 0 && survey->offset == 0)
        rc = refuse_needs(source, entry, &header);
    return rc;
}

/* The sums cannot overflow: 2^27 entries of 32 bits. */
static int survey_entry(struct zstd_codec *codec, uint32_t number, const unsigned char *bytes,
                        struct survey *survey)
{
    struct hl_seekable_entry entry = hl_seekable_entry(&codec->table, bytes);
    struct hl_source *source = codec->base.source;

    if (number % SEGMENT == 0)
        codec->starts[number / SEGMENT] = (struct start){ survey->src_offset, survey->offset };
    if (entry.encoded_bytes > codec->table.frames_bytes - survey->src_offset)
        return bad_entry(source, number, "reaches into the table");
    if (entry.decoded_bytes) {
        if (!hl_frame_is_plausible(entry.encoded_bytes, entry.decoded_bytes))
            return bad_entry(source, number, "cannot decode to as much as that");
        if (!survey->offset)
            survey->first = survey->last = entry.decoded_bytes;
        if ((!survey->offset || entry.decoded_bytes != survey->first) &&
            survey->nr_inspected < INSPECTED && is_at_hand(source, survey->src_offset)) {
            int rc = inspect_frame(codec, number, &entry, survey);

            if (rc < 0)
                return rc;
        }
        survey->uneven |= survey->last != survey->first;
        survey->last = entry.decoded_bytes;
        if (survey->largest < entry.decoded_bytes)
            survey->largest = entry.decoded_bytes;
        survey->has_large |= is_large(&entry);
    }
    survey->src_offset += entry.encoded_bytes;
    survey->offset += entry.decoded_bytes;
    return 0;
}

static int walk_table(struct zstd_codec *codec, struct survey *survey)
{
    HL_CLEANUP(hl_freep) unsigned char *own = NULL;
    struct hl_source *source = codec->base.source;
    const struct hl_seekable *table = &codec->table;
    uint32_t step = source->remote ? WALK_REMOTE : WALK;
    uint32_t most = table->nr_frames < step ? table->nr_frames : step;
    int rc;

    codec->nr_segments = (table->nr_frames + SEGMENT - 1) / SEGMENT;
    codec->starts = malloc((codec->nr_segments + 1) * sizeof *codec->starts);
    if (source->remote)
        codec->entries = malloc((size_t)table->nr_frames * table->entry_bytes + 1);
    else
        own = malloc((size_t)most * table->entry_bytes + 1);
    if (!codec->starts || (!own && !codec->entries))
        return hl_error(ENOMEM, "%s: no memory for its seek table", source->name);

    for (uint32_t number = 0; number < table->nr_frames; number += most) {
        uint32_t left = table->nr_frames - number, nr = left < most ? left : most;
        size_t at = (size_t)number * table->entry_bytes;
        unsigned char *piece = own ? own : codec->entries + at;

        rc = source->ops->read(source, table->entries_at + at, nr * table->entry_bytes, piece);
        for (uint32_t i = 0; rc == 0 && i < nr; i++)
            rc = survey_entry(codec, number + i, piece + i * table->entry_bytes, survey);
        if (rc < 0)
            return rc;
    }
    codec->starts[codec->nr_segments] = (struct start){ survey->src_offset, survey->offset };
    if (survey->src_offset != table->frames_bytes)
        return bad_table(source, "its frames end before it begins");
    if (!survey->offset)
        return hl_error(ENODATA, "%s: decodes to nothing", source->name);
    return 0;
}

static void zstd_close(struct hl_codec *base)
{
    struct zstd_codec *codec = (struct zstd_codec *)base;

    hl_stream_forget(&codec->streams);
    free((void *)codec->streams.checked);
    free(codec->starts);
    free(codec->entries);
    free(codec);
}

static void close_codecp(struct zstd_codec **codec)
{
    if (*codec)
        zstd_close(&(*codec)->base);
}

static int zstd_open(struct hl_source *source, struct hl_codec **ret_codec)
{
    HL_CLEANUP(close_codecp) struct zstd_codec *codec = calloc(1, sizeof *codec);
    struct survey survey = { 0 };
    int rc;

    if (!codec)
        return hl_error(ENOMEM, "%s: no memory to open it", source->name);
    codec->base.ops = &hl_codec_zstd;
    codec->base.source = source;
    rc = read_table(codec);
    if (rc == 0)
        rc = walk_table(codec, &survey);
    if (rc < 0)
        return rc;

    if (survey.has_large) {
        codec->streams.checked = calloc(codec->table.nr_frames / 8 + 1, 1);
        if (!codec->streams.checked)
            return hl_error(ENOMEM, "%s: no memory to open it", source->name);
    }
    codec->base.bytes = survey.offset;
    codec->base.unit = survey.largest;
    codec->base.grain = survey.uneven || survey.last > survey.first ? 0 : survey.first;
    *ret_codec = &HL_TAKE(codec)->base;
    return 0;
}

/* ---- read ---------------------------------------------------------------- */

/* What is asked for, and the memory to decode with. */
struct request {
    struct zstd_codec *codec;
    uint64_t offset, end;
    char *buffer;
    struct hl_decoder *decoder; /* NULL until a frame wants one */
    struct hl_codec_work *work;
};

/* Entries of the table, and the frame that a walk over them has come to. */
struct segment {
    uint32_t nr, next; /* next: index of the entry that follows frame */
    uint32_t first;
    struct hl_frame frame;
    unsigned char entries[SEGMENT * HL_SEEKABLE_ENTRY_BYTES];
};

/* The last segment that begins at or before an offset; so, of several, the one with content. */
static uint32_t find_segment(const struct zstd_codec *codec, uint64_t offset)
{
    uint32_t low = 0, high = codec->nr_segments;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (codec->starts[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int load_segment(struct request *request, uint32_t index, struct segment *segment)
{
    const struct zstd_codec *codec = request->codec;
    const struct hl_seekable *table = &codec->table;
    const struct start *start = &codec->starts[index], *end = start + 1;
    struct start sum = *start;
    uint32_t bytes;
    uint64_t at;
    int rc;

    segment->first = index * SEGMENT;
    segment->nr = table->nr_frames - segment->first < SEGMENT ? table->nr_frames - segment->first
                                                              : SEGMENT;
    bytes = segment->nr * table->entry_bytes;
    at = (uint64_t)segment->first * table->entry_bytes;
    if (codec->entries) {
        memcpy(segment->entries, codec->entries + at, bytes);
    } else {
        request->work->source_bytes += bytes;
        rc = codec->base.source->ops->read(codec->base.source, table->entries_at + at, bytes,
                                           segment->entries);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0; i < segment->nr; i++) {
        struct hl_seekable_entry entry =
            hl_seekable_entry(table, segment->entries + i * table->entry_bytes);

        sum.src_offset += entry.encoded_bytes;
        sum.offset += entry.decoded_bytes;
        if (entry.decoded_bytes &&
            !hl_frame_is_plausible(entry.encoded_bytes, entry.decoded_bytes))
            return bad_entry(codec->base.source, segment->first + i, "has changed");
    }
    if (sum.src_offset != end->src_offset || sum.offset != end->offset)
        return bad_table(codec->base.source, "it has changed since the file was opened");

    segment->next = 0;
    segment->frame = (struct hl_frame){
        .source = codec->base.source, .src_offset = start->src_offset, .offset = start->offset,
        .has_checksum = table->has_checksums,
    };
    return 0;
}

/* Go on to the next frame with content.  False when there is none in this segment. */
static bool next_frame(const struct zstd_codec *codec, struct segment *segment)
{
    struct hl_frame *frame = &segment->frame;

    while (segment->next < segment->nr) {
        struct hl_seekable_entry entry = hl_seekable_entry(
            &codec->table, segment->entries + segment->next * codec->table.entry_bytes);

        frame->src_offset += frame->encoded_bytes;
        frame->offset += frame->decoded_bytes;
        frame->number = segment->first + segment->next++;
        frame->encoded_bytes = entry.encoded_bytes;
        frame->decoded_bytes = entry.decoded_bytes;
        frame->checksum = entry.checksum;
        if (entry.decoded_bytes)
            return true;
    }
    return false;
}

static int no_memory(const struct request *request)
{
    return hl_error(ENOMEM, "%s: no memory to decode it", request->codec->base.source->name);
}

static uint64_t frame_end(const struct hl_frame *frame)
{
    return frame->offset + frame->decoded_bytes;
}

/* Decode a frame from memory: into the buffer if all of it is wanted, else beside it. */
static int decode_frame(struct request *request, const struct hl_frame *frame,
                        const unsigned char *bytes)
{
    struct hl_decoder *decoder = request->decoder;
    uint64_t from = frame->offset > request->offset ? frame->offset : request->offset;
    uint64_t to = frame_end(frame) < request->end ? frame_end(frame) : request->end;
    char *wanted = request->buffer + (from - request->offset);
    bool whole = to - from == frame->decoded_bytes;
    int rc;

    if (!whole && hl_decoder_reserve_scratch(decoder, frame->decoded_bytes) < 0)
        return no_memory(request);
    request->work->frames++;
    rc = hl_frame_decode(frame, decoder->context, bytes, whole ? (void *)wanted : decoder->scratch);
    if (rc == 0 && !whole)
        memcpy(wanted, decoder->scratch + (from - frame->offset), to - from);
    return rc;
}

/* The encoded bytes of a run of frames: where they are if they are in memory, else read. */
static int load_run(struct request *request, uint64_t from, uint32_t length, const void **ret_bytes,
                    struct hl_stage **ret_loan)
{
    struct hl_source *source = request->codec->base.source;
    int rc = -ENOENT;

    request->work->source_bytes += length;
    if (source->remote)
        rc = hl_stage_borrow(source, from, length, ret_bytes, ret_loan);
    if (rc != -ENOENT)
        return rc;
    if (hl_decoder_reserve_input(request->decoder, length) < 0)
        return no_memory(request);
    *ret_bytes = request->decoder->input;
    return source->ops->read(source, from, length, request->decoder->input);
}

/* Decode the frame that the segment is at and neighbours of it, read in one go; the segment is then
 * at the last of them. */
static int decode_run(struct request *request, struct segment *segment)
{
    const struct zstd_codec *codec = request->codec;
    struct segment ahead = *segment;
    uint64_t from = segment->frame.src_offset;
    uint32_t length = segment->frame.encoded_bytes;
    struct hl_stage *loan = NULL;
    const void *bytes;
    int rc;

    while (next_frame(codec, &ahead) && ahead.frame.offset < request->end &&
           ahead.frame.src_offset == from + length &&
           ahead.frame.encoded_bytes <= RUN && length <= RUN - ahead.frame.encoded_bytes &&
           ahead.frame.decoded_bytes <= WHOLE_DECODED)
        length += ahead.frame.encoded_bytes;

    if (!request->decoder)
        request->decoder = hl_decoder_get();
    if (!request->decoder)
        return no_memory(request);
    rc = load_run(request, from, length, &bytes, &loan);
    while (rc == 0) {
        uint64_t at = segment->frame.src_offset - from;

        rc = decode_frame(request, &segment->frame, (const unsigned char *)bytes + at);
        if (at + segment->frame.encoded_bytes == length)
            break;
        if (rc == 0 && !next_frame(codec, segment))
            rc = bad_table(codec->base.source, "it has changed since the file was opened");
    }
    if (loan)
        hl_stage_return(loan);
    return rc;
}

static int stream_frame(struct request *request, const struct hl_frame *frame)
{
    uint64_t from = frame->offset > request->offset ? frame->offset : request->offset;
    uint64_t to = frame_end(frame) < request->end ? frame_end(frame) : request->end;

    return hl_stream_read(&request->codec->streams, frame, (uint32_t)(from - frame->offset),
                          (uint32_t)(to - from), request->buffer + (from - request->offset),
                          request->work);
}

static int serve(struct request *request)
{
    struct zstd_codec *codec = request->codec;
    uint64_t at = request->offset;
    struct segment segment;

    while (at < request->end) {
        int rc = load_segment(request, find_segment(codec, at), &segment);

        if (rc < 0)
            return rc;
        while (at < request->end && next_frame(codec, &segment)) {
            const struct hl_frame *frame = &segment.frame;
            struct hl_seekable_entry sizes = { frame->encoded_bytes, frame->decoded_bytes, 0 };

            if (frame_end(frame) <= at)
                continue;
            if (!is_large(&sizes))
                rc = decode_run(request, &segment);
            else if (codec->streams.checked)
                rc = stream_frame(request, frame);
            else
                rc = bad_entry(codec->base.source, frame->number, "has changed");
            if (rc < 0)
                return rc;
            at = frame_end(frame);
        }
    }
    return 0;
}

static int zstd_read(struct hl_codec *base, uint64_t offset, uint32_t length, void *buffer,
                     struct hl_codec_work *work)
{
    struct request request = { .codec = (struct zstd_codec *)base, .offset = offset,
                               .end = offset + length, .buffer = buffer, .work = work };
    int rc;

    /* A thread that ended in here would take the context, or its place among the readers of
     * a large frame, with it. */
    hl_quiet_begin();
    rc = serve(&request);
    if (request.decoder)
        hl_decoder_put(request.decoder);
    hl_quiet_end();
    return rc;
}

/* Go to the frame that an offset lies in. */
static int seek_frame(struct request *request, uint64_t offset, struct segment *segment)
{
    int rc = load_segment(request, find_segment(request->codec, offset), segment);

    while (rc == 0 && next_frame(request->codec, segment))
        if (frame_end(&segment->frame) > offset)
            return 0;
    return rc < 0 ? rc : bad_table(request->codec->base.source, "it has changed");
}

static int zstd_extent(struct hl_codec *base, uint64_t offset, uint32_t length, uint64_t *ret_from,
                       uint64_t *ret_to)
{
    struct hl_codec_work work = { 0 };
    struct request request = { .codec = (struct zstd_codec *)base, .work = &work };
    struct segment segment;
    int rc;

    rc = seek_frame(&request, offset, &segment);
    if (rc < 0)
        return rc;
    *ret_from = segment.frame.src_offset;
    if (frame_end(&segment.frame) < offset + length)
        rc = seek_frame(&request, offset + length - 1, &segment);
    *ret_to = segment.frame.src_offset + segment.frame.encoded_bytes;
    return rc;
}

const struct hl_codec_ops hl_codec_zstd = {
    .name = "zstd-seekable",
    .open = zstd_open,
    .read = zstd_read,
    .extent = zstd_extent,
    .close = zstd_close,
};
