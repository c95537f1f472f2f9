/* SPDX-License-Identifier: MIT
 *
 * cold.c - touches of chunks that are not resident: what the crew is to fill ahead, who waits for a
 * fill, and who gets his bytes early.  The rules are in engine/README.md ("Who fills, and when").
 *
 * Entry points: cold.h.  See also: admission.c (the numbers), volume.c (asks), chunk.c (fills).
 */
#include "config.h"

#include "cold.h"

#include "chunk.h"
#include "codec.h"
#include "crew.h"
#include "haul.h"
#include "pool.h"
#include "replacement.h"
#include "scout.h"
#include "source.h"
#include "sys.h"
#include "tickets.h"
#include "transfer.h"
#include "volume.h"

enum {
    /* Chunks filled ahead of one reader, however many threads there are. */
    AHEAD_MAX = 64,

    /* A unit that is larger costs nearly as much as the chunk: no early reads. */
    EARLY_UNIT_MAX = 256 * 1024,

    /* A read that begins so near behind the last early one goes on with it. */
    EARLY_NEAR_BYTES = 64 * 1024,

    /* Early reads after which a chunk is filled when there is room.  A fill of a raw chunk costs what a
     * hundred preads of its pages cost more than as many warm lookups; that of a compressed one is
     * worth thirty frames, and each of them a hundred lookups. */
    PRICE_RAW = 60,
    PRICE_DECODED = 1,

    /* A chunk of a remote volume is thirty times the bytes of a frame, which may cost money; a
     * third look says that it is worth them. */
    PRICE_REMOTE = 3,

    /* After which the reader fills it himself when the crew has its hands full. */
    PRICE_BUSY = 2,

    /* So many early reads in a row, one behind the other, and the chunk is wanted. */
    FOLLOWS_MAX = 2,

    /* With fewer early reads behind it, since it began or since it went in sequence, a reader may
     * scan, and waits so long for others who are filling: many fills' time. */
    STRAYS_MIN = 8,

    /* Looks into other chunks after which a reader of a remote volume is taken for one who looks things
     * up.  A scan has fewer before it goes in sequence: schema and root, interior pages, the first
     * two chunks. */
    LOOKS_MIN = 10,
    PATIENCE_NS = 1000 * 1000 * 1000,
    ROUND_TRIPS = 4,

    /* A version settles within a few ticks of its time stamp: source-file.c. */
    SETTLING_NS = 1000 * 1000 * 1000,
};

/* May the crew fill beside a reader?  It holds no lock against writers. */
static bool crew_may_fill(struct hl_volume *volume)
{
    if (!atomic_load_explicit(&volume->settled, memory_order_relaxed)) {
        uint64_t today = hl_today_ns(), settled = volume->source->settled_ns;

        /* A time stamp of tomorrow is nothing that a change made now would get. */
        if (today < settled && today + SETTLING_NS >= settled)
            return false;
        atomic_store_explicit(&volume->settled, true, memory_order_relaxed);
    }
    return hl_crew_threads(&volume->pool->crew);
}

/* Three requests under way: one whose chunks are read, one that arrives, one that has been sent. */
enum { HAULS_AHEAD = 3 };

uint32_t hl_cold_window(struct hl_volume *volume)
{
    uint32_t window = 4 * hl_crew_threads(&volume->pool->crew);

    if (!crew_may_fill(volume))
        return 0;
    if (volume->source->remote)
        window = HAULS_AHEAD * hl_haul_chunks(volume);
    if (window > AHEAD_MAX)
        window = AHEAD_MAX;
    if (window > hl_ticket_limit(volume->pool) / 8)
        window = hl_ticket_limit(volume->pool) / 8;
    /* A frame that is larger than a chunk is decoded from its beginning, in order. */
    if (window > 1 && volume->codec->unit > HL_CHUNK_BYTES)
        window = 1;
    return window;
}

bool hl_cold_notice(struct hl_volume *volume, struct hl_sequences *sequences, uint64_t offset)
{
    bool remote = volume->source->remote;
    uint32_t window = hl_cold_window(volume);
    struct hl_ahead ahead = hl_sequence_touch(sequences, offset, window,
                                              remote ? window / HAULS_AHEAD : 1,
                                              volume->nr_chunks);

    if (remote && ahead.nr)
        hl_haul_begin(volume, ahead.step > 0 ? ahead.first : ahead.first + 1 - ahead.nr, ahead.nr,
                      !ahead.certain, false);
    for (uint32_t i = 0; !remote && i < ahead.nr; i++)
        hl_chunk_post_ahead(volume, ahead.first + i * (uint32_t)ahead.step, !ahead.certain);
    return ahead.sequential;
}

uint32_t hl_cold_go_ahead(struct hl_volume *volume, uint32_t index, uint32_t ahead, uint32_t last,
                          uint32_t window)
{
    uint32_t end = last - index < window ? last + 1 : index + window + 1;

    if (!volume->source->remote) {
        for (; ahead < end; ahead++)
            hl_chunk_post_ahead(volume, ahead, false);
        return ahead;
    }
    /* In requests of a good size, the first of which has the chunk that he is at. */
    if (ahead < index)
        ahead = index;
    if (end > ahead && (end - ahead >= window / HAULS_AHEAD || end == last + 1)) {
        hl_haul_begin(volume, ahead, end - ahead, false, false);
        return end;
    }
    return ahead;
}

void hl_cold_timed_out(struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    if ((hl_chunk_state(word) == HL_CHUNK_FILLING || hl_chunk_state(word) == HL_CHUNK_EVICTING) &&
        (word & HL_OWNER_MASK) != vol->pool->owner) {
        vol->stuck = word & HL_OWNER_MASK;
        vol->stuck_until_ns = hl_now_ns() + hl_patience_ns;
    }
}

bool hl_cold_is_stuck(const struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    return vol->stuck && (word & HL_OWNER_MASK) == vol->stuck &&
           (hl_chunk_state(word) == HL_CHUNK_FILLING ||
            hl_chunk_state(word) == HL_CHUNK_EVICTING) && hl_now_ns() < vol->stuck_until_ns;
}

/* A fill of this chunk would fail, or be waited for in vain, as one has before. */
static bool is_hopeless(const struct hugelite_volume *vol, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_relaxed);

    return hl_cold_is_stuck(vol, index) || hl_touches_damaged(&vol->volume->touches, index) ||
           (hl_chunk_state(word) == HL_CHUNK_EMPTY && hl_replacement_is_held(vol->pool));
}

/* Does this read begin where the last early one ended? */
static bool follows_early_read(const struct hugelite_volume *vol, uint64_t offset)
{
    return offset >= vol->early_end && offset - vol->early_end < EARLY_NEAR_BYTES &&
           (offset ^ vol->early_end) >> HL_CHUNK_SHIFT == 0;
}

/* The crew does not keep up with this reader, who decodes the same chunk frame by frame: he does better to
 * fill it himself. */
static bool is_behind(struct hugelite_volume *vol, uint32_t index)
{
    return vol->volume->codec->unit > 1 && hl_crew_is_busy(&vol->pool->crew) &&
           hl_touches_count(&vol->volume->touches, index) >= PRICE_BUSY &&
           hl_replacement_has_room(vol->pool, vol->volume->nr_chunks);
}

static bool wait_for_others(struct hugelite_volume *vol, uint32_t index, uint64_t patience_ns)
{
    if (patience_ns > hl_patience_ns)
        patience_ns = hl_patience_ns;
    return hl_chunk_make_resident(vol->volume, index, hl_now_ns() + patience_ns) == 0;
}

/* Of a remote volume: this reader may be about to scan, as the one who is bringing this chunk most
 * likely does: so that no byte comes twice he waits, but not much longer than for a round trip of
 * his own. */
static bool begins_beside_others(const struct hugelite_volume *vol, uint32_t index, uint64_t word)
{
    return vol->strays < STRAYS_MIN && hl_chunk_state(word) == HL_CHUNK_FILLING &&
           (word & HL_OWNER_MASK) != vol->pool->owner && !hl_cold_is_stuck(vol, index);
}

static bool is_stray_early(struct hugelite_volume *vol, uint32_t index, uint64_t offset)
{
    uint64_t word = atomic_load_explicit(&vol->words[index], memory_order_acquire);
    bool empty = hl_chunk_state(word) == HL_CHUNK_EMPTY;

    if (vol->volume->codec->unit > EARLY_UNIT_MAX || !crew_may_fill(vol->volume))
        return false;
    /* Page by page in a chunk: the beginning of a scan, or a range. */
    if (follows_early_read(vol, offset) && vol->follows >= FOLLOWS_MAX)
        return false;
    if (vol->volume->source->remote)
        return !(begins_beside_others(vol, index, word) &&
                 wait_for_others(vol, index, ROUND_TRIPS * hl_transfer_latency_ns()));
    if (vol->strays >= STRAYS_MIN)
        return !(empty && is_behind(vol, index));
    /* A reader that has just begun may be about to scan, as others may: then each frame is
     * to be decoded once, and it is worth a fill's wait. */
    if (empty)
        return !follows_early_read(vol, offset) && !hl_crew_is_busy(&vol->pool->crew);
    if (wait_for_others(vol, index, PATIENCE_NS))
        return false;
    hl_cold_timed_out(vol, index);
    return true;
}

bool hl_cold_is_early(struct hugelite_volume *vol, uint32_t index, uint64_t offset,
                      bool sequential)
{
    return is_hopeless(vol, index) || (!sequential && is_stray_early(vol, index, offset));
}

static unsigned price(const struct hl_volume *volume, bool begins)
{
    if (volume->source->remote)
        return PRICE_REMOTE;
    return volume->codec->unit == 1 && !begins ? PRICE_RAW : PRICE_DECODED;
}

int hl_cold_read(struct hugelite_volume *vol, uint64_t offset, uint32_t length, void *buffer)
{
    struct hl_volume *volume = vol->volume;
    uint32_t index = (uint32_t)(offset >> HL_CHUNK_SHIFT);
    bool room = hl_replacement_has_room(vol->pool, volume->nr_chunks);
    bool begins = vol->strays < STRAYS_MIN;
    int rc;

    vol->strays++;
    vol->looks += (offset ^ (vol->early_end - 1)) >> HL_CHUNK_SHIFT != 0;
    vol->follows = follows_early_read(vol, offset) ? vol->follows + 1 : 0;
    if (volume->source->remote && vol->looks >= LOOKS_MIN)
        hl_scout_start(volume);
    vol->early_end = offset + length;
    if (!hl_touches_damaged(&volume->touches, index) && !hl_replacement_is_held(vol->pool) &&
        hl_touches_earn(&volume->touches, index, room, price(volume, begins))) {
        if (volume->source->remote)
            hl_scout_note(volume, index);
        rc = hl_chunk_serve_early(volume, offset, length, room, buffer);
        if (rc <= 0 && rc != -ENOMEM)
            return rc;
        if (rc == 1 && begins && room && !volume->source->remote && !hl_cold_is_stuck(vol, index))
            return 1;
        hl_chunk_post_ahead(volume, index, room);
    }
    return hl_chunk_read_past(volume, offset, length, buffer);
}
