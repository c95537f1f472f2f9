/* SPDX-License-Identifier: MIT
 *
 * tier.c - the disk tier: pieces of remote sources, appended to segment files by the clerks of all
 * processes, under the write lock of the catalog, which has the index.
 *
 * A segment is written from its beginning to its end, once.  A piece is in the index when its bytes have
 * been written; a process that dies before leaves bytes that the next one overwrites.  When there is no
 * room for one more segment the oldest leaves.  A segment begins with a byte for each 4096 of it, set by
 * readers: pieces that have been read are taken along to the new segment, up to half of it.
 *
 * Readers take no lock: the index says where, the checksum whether what lies there is still it.
 *
 * Entry points: tier.h.  See also: record.h (the index), catalog.c, state.c (the clerk).
 */
#include "config.h"

#include "tier.h"

#include "catalog.h"
#include "error.h"
#include "hugelite.h"
#include "lock.h"
#include "record.h"
#include "state.h"
#include "sys.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>

#define FORGET_NS 1000000000ull /* that a reader waits until bad bytes are forgotten */

enum {
    SEGMENT_MIN = 4 << 20,
    SEGMENT_MAX = 64 << 20,
    MARK_SHIFT = 12, /* bytes of a segment for one mark */
    SIZE_MIN = 1 << 20,
    PIECE_KEY = 25,
    PIECE_BYTES = 4 + 4 + 4 + 8,
    PLACE_KEY = 9,
    SEGMENT_KEY = 5,
};

#define SIZE_DEFAULT (1ull << 30)

struct hl_tier {
    struct hl_state *state;
    int dir_fd;
    mode_t file_mode;
    uint64_t size;
    uint32_t segment_bytes;
    _Atomic bool full; /* nothing is written any more */
    bool may_mark;     /* a reader's write below the limit of file sizes sends it no signal */
    int fd;            /* the clerk's, of the segment that is written */
    uint32_t fd_segment;
};

struct segment {
    uint32_t number;
    uint32_t used;     /* the marks included */
    uint32_t capacity; /* 0: its file has gone */
};

static uint32_t marks_bytes(uint32_t capacity)
{
    return ((capacity >> MARK_SHIFT) + 4095) & ~4095u;
}

static void segment_name(uint32_t number, char name[16])
{
    snprintf(name, 16, "%08u", number);
}

/* ---- the index ----------------------------------------------------------- */

static bool parse_piece(const MDB_val *at, const MDB_val *value, struct hl_extent *ret_extent)
{
    const uint8_t *p;
    uint32_t length;

    if (at->mv_size != PIECE_KEY || hl_record_unseal(at, value, &p, &length) < 0 ||
        length != PIECE_BYTES)
        return false;
    *ret_extent = (struct hl_extent){
        .src_offset = hl_record_key_u64(at, 17),
        .length = hl_get_u32(p),
        .segment = hl_get_u32(p + 4),
        .at = hl_get_u32(p + 8),
        .checksum = hl_get_u64(p + 12),
    };
    return ret_extent->length && ret_extent->length <= HL_TIER_PIECE;
}

/* Pieces that end behind src_offset and begin before src_end. */
static unsigned find_pieces(MDB_txn *txn, const uint64_t key[2], uint64_t src_offset,
                            uint64_t src_end, struct hl_extent *ret_extents, unsigned room)
{
    uint64_t from = src_offset >= HL_TIER_PIECE ? src_offset - HL_TIER_PIECE + 1 : 0;
    struct hl_record_key record = hl_record_piece(key, from);
    MDB_val at = hl_record_val(&record), value;
    uint64_t end = src_offset;
    MDB_cursor *cursor;
    unsigned nr = 0;
    int rc;

    if (mdb_cursor_open(txn, HL_RECORD_DBI, &cursor))
        return 0;
    rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    for (; rc == 0 && nr < room && hl_record_begins(&at, &record, 17);
         rc = mdb_cursor_get(cursor, &at, &value, MDB_NEXT)) {
        struct hl_extent extent;

        if (!parse_piece(&at, &value, &extent))
            continue;
        if (extent.src_offset >= src_end)
            break;
        /* `end`: two may overlap only when the index has been damaged. */
        if (extent.src_offset + extent.length <= src_offset ||
            (nr && extent.src_offset < end))
            continue;
        end = extent.src_offset + extent.length;
        ret_extents[nr++] = extent;
    }
    mdb_cursor_close(cursor);
    return nr;
}

static int get_piece(MDB_txn *txn, const uint64_t key[2], uint64_t src_offset,
                     struct hl_extent *ret_extent)
{
    struct hl_record_key record = hl_record_piece(key, src_offset);
    MDB_val at = hl_record_val(&record), value;
    int rc = mdb_get(txn, HL_RECORD_DBI, &at, &value);

    if (rc)
        return hl_record_rc(rc);
    return parse_piece(&at, &value, ret_extent) ? 0 : -ENOENT;
}

static int put_piece(MDB_txn *txn, const uint64_t key[2], const struct hl_extent *extent)
{
    struct hl_record_key piece = hl_record_piece(key, extent->src_offset);
    struct hl_record_key place = hl_record_place(extent->segment, extent->at);
    uint8_t payload[24];
    int rc;

    hl_put_u32(payload, extent->length);
    hl_put_u32(payload + 4, extent->segment);
    hl_put_u32(payload + 8, extent->at);
    hl_put_u64(payload + 12, extent->checksum);
    rc = hl_record_put(txn, &piece, payload, PIECE_BYTES);
    if (rc < 0)
        return rc;
    hl_put_u64(payload, key[0]);
    hl_put_u64(payload + 8, key[1]);
    hl_put_u64(payload + 16, extent->src_offset);
    return hl_record_put(txn, &place, payload, 24);
}

static int delete_piece(MDB_txn *txn, const uint64_t key[2], const struct hl_extent *extent)
{
    struct hl_record_key piece = hl_record_piece(key, extent->src_offset);
    struct hl_record_key place = hl_record_place(extent->segment, extent->at);
    int rc = hl_record_delete(txn, &piece);

    return rc < 0 ? rc : hl_record_delete(txn, &place);
}

/* The first key that is not below one, of its kind; copied, so that the table may be changed. */
static int next_record(MDB_txn *txn, const struct hl_record_key *from, uint32_t same,
                       struct hl_record_key *ret_key, MDB_val *ret_value)
{
    MDB_val at = hl_record_val(from);
    MDB_cursor *cursor;
    int rc;

    rc = mdb_cursor_open(txn, HL_RECORD_DBI, &cursor);
    if (rc)
        return hl_record_rc(rc);
    rc = mdb_cursor_get(cursor, &at, ret_value, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc)
        return hl_record_rc(rc);
    if (!hl_record_begins(&at, from, same) || at.mv_size > sizeof ret_key->bytes)
        return -ENOENT;
    memcpy(ret_key->bytes, at.mv_data, at.mv_size);
    ret_key->length = (uint32_t)at.mv_size;
    return 0;
}

/* ---- segments ------------------------------------------------------------ */

static bool parse_segment(const struct hl_record_key *key, const MDB_val *value,
                          struct segment *ret_segment)
{
    MDB_val at = hl_record_val(key);
    const uint8_t *p;
    uint32_t length;

    if (key->length != SEGMENT_KEY)
        return false;
    *ret_segment = (struct segment){ .number = hl_record_key_u32(&at, 1) };
    /* One that is damaged is as good as full. */
    if (hl_record_unseal(&at, value, &p, &length) == 0 && length == 8) {
        ret_segment->used = hl_get_u32(p);
        ret_segment->capacity = hl_get_u32(p + 4);
    }
    return true;
}

static int put_segment(MDB_txn *txn, const struct segment *segment)
{
    struct hl_record_key record = hl_record_segment(segment->number);
    uint8_t payload[8];

    hl_put_u32(payload, segment->used);
    hl_put_u32(payload + 4, segment->capacity);
    return hl_record_put(txn, &record, payload, sizeof payload);
}

/* From a number on.  -ENOENT: there is none. */
static int next_segment(MDB_txn *txn, uint32_t number, struct segment *ret_segment)
{
    struct hl_record_key from = hl_record_segment(number), found;
    MDB_val value;
    int rc = next_record(txn, &from, 1, &found, &value);

    if (rc < 0)
        return rc;
    return parse_segment(&found, &value, ret_segment) ? 0 : -ENOENT;
}

/* All of them: bytes used, and the last one. */
static uint64_t sum_segments(MDB_txn *txn, struct segment *ret_last)
{
    struct segment segment = { .number = 0 };
    uint64_t total = 0;

    *ret_last = segment;
    for (uint64_t from = 0; from <= UINT32_MAX && next_segment(txn, (uint32_t)from, &segment) == 0;
         from = (uint64_t)segment.number + 1) {
        total += segment.used;
        *ret_last = segment;
    }
    return total;
}

/* The next piece that lies in a segment, from a place on; those that the index has elsewhere by now are
 * not counted.  -ENOENT: there is none. */
static int next_in_segment(MDB_txn *txn, uint32_t number, uint32_t from, uint64_t ret_key[2],
                           struct hl_extent *ret_extent, uint32_t *ret_at)
{
    struct hl_record_key place = hl_record_place(number, from), found;
    MDB_val value, at;
    const uint8_t *p;
    uint32_t length;
    int rc;

    rc = next_record(txn, &place, 5, &found, &value);
    if (rc < 0)
        return rc;
    at = hl_record_val(&found);
    *ret_at = hl_record_key_u32(&at, 5);
    *ret_extent = (struct hl_extent){ .segment = number, .at = *ret_at };
    if (found.length != PLACE_KEY || hl_record_unseal(&at, &value, &p, &length) < 0 ||
        length != 24)
        return hl_record_delete(txn, &found);
    ret_key[0] = hl_get_u64(p);
    ret_key[1] = hl_get_u64(p + 8);
    if (get_piece(txn, ret_key, hl_get_u64(p + 16), ret_extent) < 0 ||
        ret_extent->segment != number || ret_extent->at != *ret_at) {
        ret_extent->length = 0;
        return hl_record_delete(txn, &found);
    }
    return 0;
}

static bool drop_pieces(MDB_txn *txn, uint32_t number)
{
    struct hl_extent extent;
    bool any = false;
    uint64_t key[2];
    uint32_t at;

    while (next_in_segment(txn, number, 0, key, &extent, &at) == 0) {
        if (extent.length && delete_piece(txn, key, &extent) < 0)
            break;
        any = true;
    }
    return any;
}

bool hl_tier_evict(MDB_txn *txn)
{
    struct segment segment;

    for (uint64_t from = 0; from <= UINT32_MAX && next_segment(txn, (uint32_t)from, &segment) == 0;
         from = (uint64_t)segment.number + 1)
        if (drop_pieces(txn, segment.number))
            return true;
    return false;
}

/* ---- reading ------------------------------------------------------------- */

struct find {
    const uint64_t *key;
    uint64_t src_offset, src_end;
    struct hl_extent *ret_extents;
    unsigned room, nr;
};

static int look_find(MDB_txn *txn, void *arg)
{
    struct find *find = arg;

    find->nr = find_pieces(txn, find->key, find->src_offset, find->src_end, find->ret_extents,
                           find->room);
    return 0;
}

unsigned hl_tier_find(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                      uint64_t length, struct hl_extent *ret_extents, unsigned room)
{
    struct find find = { key, src_offset, src_offset + length, ret_extents, room, 0 };

    if (!state || !state->tier || hl_catalog_look(state->catalog, look_find, &find) < 0)
        return 0;
    return find.nr;
}

/* Forget a piece, if it still is that one. */
struct forget_errand {
    struct hl_errand base;
    struct hl_state *state;
    uint64_t key[2];
    struct hl_extent extent;
};

static void run_forget(struct hl_errand *base)
{
    struct forget_errand *errand = (struct forget_errand *)base;
    MDB_txn *txn = hl_catalog_write(errand->state->catalog);
    struct hl_extent now;

    if (txn && get_piece(txn, errand->key, errand->extent.src_offset, &now) == 0 &&
        now.segment == errand->extent.segment && now.at == errand->extent.at)
        delete_piece(txn, errand->key, &now);
    free(errand);
}

static void post_forget(struct hl_state *state, const uint64_t key[2],
                        const struct hl_extent *extent)
{
    struct forget_errand *errand = calloc(1, sizeof *errand);

    if (!errand)
        return;
    errand->base.run = run_forget;
    errand->state = state;
    memcpy(errand->key, key, sizeof errand->key);
    errand->extent = *extent;
    if (!hl_state_post(state, &errand->base))
        free(errand);
}

void hl_tier_distrust(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                      uint32_t length)
{
    struct hl_extent extents[64];
    uint64_t at = src_offset, end = src_offset + length;
    unsigned nr;

    do {
        nr = hl_tier_find(state, key, at, end - at, extents, 64);
        for (unsigned i = 0; i < nr; i++) {
            post_forget(state, key, &extents[i]);
            at = extents[i].src_offset + extents[i].length;
        }
    } while (nr == 64 && at < end);
    if (state && state->tier)
        hl_state_flush(state, FORGET_NS);
}

static void mark_read(int fd, uint32_t at)
{
    uint8_t mark = 0;
    off_t offset = at >> MARK_SHIFT;

    if (hl_sys.pread(fd, &mark, 1, offset) == 1 && !mark) {
        mark = 1;
        if (hl_sys.pwrite(fd, &mark, 1, offset) < 0)
            return; /* a hint */
    }
}

static bool was_read(int fd, uint32_t at)
{
    uint8_t mark = 0;

    return hl_sys.pread(fd, &mark, 1, at >> MARK_SHIFT) == 1 && mark;
}

static bool read_whole(int fd, const struct hl_extent *extent, void *buffer)
{
    return hl_sys.pread(fd, buffer, extent->length, extent->at) == (ssize_t)extent->length &&
           XXH64(buffer, extent->length, 0) == extent->checksum;
}

static int open_segment(const struct hl_tier *tier, uint32_t number, int flags)
{
    char name[16];

    segment_name(number, name);
    return hl_sys.openat(tier->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, tier->file_mode);
}

int hl_tier_read(struct hl_state *state, const uint64_t key[2], const struct hl_extent *extent,
                 void *buffer)
{
    struct hl_tier *tier = state ? state->tier : NULL;
    bool whole = false;
    int fd;

    if (!tier || extent->length > HL_TIER_PIECE)
        return -ESTALE;
    hl_quiet_begin();
    fd = open_segment(tier, extent->segment, O_RDWR);
    if (fd >= 0) {
        whole = read_whole(fd, extent, buffer);
        if (whole && tier->may_mark)
            mark_read(fd, extent->at);
        hl_sys.close(fd);
    }
    if (!whole)
        post_forget(state, key, extent);
    hl_quiet_end();
    return whole ? 0 : -ESTALE;
}

/* ---- writing: the clerk -------------------------------------------------- */

static void turn_off(struct hl_tier *tier, int err)
{
    atomic_store_explicit(&tier->full, true, memory_order_relaxed);
    hl_state_note(tier->state, "the disk tier keeps nothing more: %s", strerror(err));
}

/* Our descriptor of the segment that is written. */
static int use_segment(struct hl_tier *tier, const struct segment *segment, int flags)
{
    struct stat st;

    if (tier->fd >= 0 && tier->fd_segment == segment->number && !flags &&
        hl_sys.fstat(tier->fd, &st) == 0 && st.st_nlink)
        return tier->fd;
    if (tier->fd >= 0)
        hl_sys.close(tier->fd);
    tier->fd = open_segment(tier, segment->number, O_RDWR | flags);
    tier->fd_segment = segment->number;
    if (tier->fd >= 0 && flags)
        hl_sys.fchmod(tier->fd, tier->file_mode);
    return tier->fd;
}

/* Append to a segment that has room. */
static int append(struct hl_tier *tier, MDB_txn *txn, struct segment *segment,
                  const uint64_t key[2], uint64_t src_offset, const void *bytes, uint32_t length)
{
    struct hl_extent extent = {
        .src_offset = src_offset, .length = length, .segment = segment->number,
        .at = segment->used, .checksum = XXH64(bytes, length, 0),
    };
    int fd = use_segment(tier, segment, 0), rc;
    ssize_t done;

    if (fd < 0)
        return -errno;
    done = hl_sys.pwrite(fd, bytes, length, extent.at);
    if (done != (ssize_t)length)
        return done < 0 ? -errno : -ENOSPC;
    segment->used += length;
    rc = put_segment(txn, segment);
    return rc < 0 ? rc : put_piece(txn, key, &extent);
}

/* Take what has been read of a segment along, while the new one is less than half full. */
static void rescue(struct hl_tier *tier, MDB_txn *txn, uint32_t number, struct segment *to)
{
    int fd = open_segment(tier, number, O_RDONLY);
    uint8_t *buffer = fd >= 0 ? malloc(HL_TIER_PIECE) : NULL;
    struct hl_extent extent;
    uint64_t key[2], from = 0;
    uint32_t at;

    while (buffer && from <= UINT32_MAX && to->used < to->capacity / 2 &&
           next_in_segment(txn, number, (uint32_t)from, key, &extent, &at) == 0) {
        from = (uint64_t)at + 1;
        if (!extent.length || !was_read(fd, at) || !read_whole(fd, &extent, buffer))
            continue;
        if (delete_piece(txn, key, &extent) < 0 ||
            append(tier, txn, to, key, extent.src_offset, buffer, extent.length) < 0)
            break;
    }
    free(buffer);
    if (fd >= 0)
        hl_sys.close(fd);
}

/* The file first: who dies then leaves an index of what is not there, rather than a file that nobody
 * knows of.  Cut, since readers may have it open. */
static void remove_segment(struct hl_tier *tier, MDB_txn *txn, uint32_t number, bool last)
{
    struct hl_record_key record = hl_record_segment(number);
    struct segment gone = { .number = number };
    char name[16];
    int fd = open_segment(tier, number, O_RDWR);

    if (fd >= 0) {
        if (hl_sys.ftruncate(fd, 0) < 0)
            hl_sys.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SEGMENT_MAX);
        hl_sys.close(fd);
    }
    segment_name(number, name);
    hl_sys.unlinkat(tier->dir_fd, name, 0);
    drop_pieces(txn, number);
    /* Numbers are not used again: so the last one stays known. */
    if (last)
        put_segment(txn, &gone);
    else
        hl_record_delete(txn, &record);
}

/* Until `room` more bytes fit in; `to`, the new one, is not counted and stays.  */
static void shrink(struct hl_tier *tier, MDB_txn *txn, uint64_t room, struct segment *to)
{
    struct segment oldest, last;
    uint64_t total = sum_segments(txn, &last);
    uint64_t from = 0;

    while (total + room > tier->size && from <= UINT32_MAX &&
           next_segment(txn, (uint32_t)from, &oldest) == 0) {
        from = (uint64_t)oldest.number + 1;
        if (to && oldest.number == to->number)
            break;
        if (to)
            rescue(tier, txn, oldest.number, to);
        remove_segment(tier, txn, oldest.number, !to && oldest.number == last.number);
        total -= oldest.used;
    }
}

static int begin_segment(struct hl_tier *tier, MDB_txn *txn, struct segment *segment)
{
    segment->number++;
    segment->capacity = tier->segment_bytes;
    segment->used = marks_bytes(segment->capacity);
    if (use_segment(tier, segment, O_CREAT | O_TRUNC) < 0)
        return -errno;
    if (hl_sys.ftruncate(tier->fd, segment->used) < 0)
        return -errno;
    shrink(tier, txn, segment->capacity, segment);
    return put_segment(txn, segment);
}

static int keep(struct hl_tier *tier, MDB_txn *txn, struct segment *segment,
                const uint64_t key[2], uint64_t src_offset, const uint8_t *bytes, uint32_t length)
{
    int rc = 0;

    while (length && rc == 0) {
        uint64_t border = (src_offset | (HL_TIER_PIECE - 1)) + 1;
        uint32_t n = border - src_offset < length ? (uint32_t)(border - src_offset) : length;

        while (rc == 0 && segment->used + (uint64_t)n > segment->capacity)
            rc = begin_segment(tier, txn, segment);
        if (rc == 0)
            rc = append(tier, txn, segment, key, src_offset, bytes, n);
        src_offset += n;
        bytes += n;
        length -= n;
    }
    return rc;
}

struct keep_errand {
    struct hl_errand base;
    struct hl_state *state;
    uint64_t key[2];
    uint64_t src_offset;
    uint32_t length;
    const uint8_t *bytes;
    void (*release)(void *arg);
    void *arg;
};

/* What is not there yet of it. */
static int keep_gaps(const struct keep_errand *errand, MDB_txn *txn)
{
    uint64_t at = errand->src_offset, end = at + errand->length;
    struct hl_tier *tier = errand->state->tier;
    struct segment segment;
    int rc = 0;

    sum_segments(txn, &segment);
    /* Somebody has removed it. */
    if (segment.capacity && use_segment(tier, &segment, 0) < 0)
        segment.used = segment.capacity;
    while (at < end && rc == 0) {
        struct hl_extent there;
        uint64_t gap_end = end;

        if (find_pieces(txn, errand->key, at, end, &there, 1)) {
            if (there.src_offset <= at) {
                at = there.src_offset + there.length;
                continue;
            }
            gap_end = there.src_offset;
        }
        rc = keep(tier, txn, &segment, errand->key, at,
                  errand->bytes + (at - errand->src_offset), (uint32_t)(gap_end - at));
        at = gap_end;
    }
    return rc;
}

static bool is_full(struct hl_tier *tier)
{
    return atomic_load_explicit(&tier->full, memory_order_relaxed);
}

static void run_keep(struct hl_errand *base)
{
    struct keep_errand *errand = (struct keep_errand *)base;
    struct hl_tier *tier = errand->state->tier;
    MDB_txn *txn = is_full(tier) ? NULL : hl_catalog_write(errand->state->catalog);
    int rc = txn ? keep_gaps(errand, txn) : 0;

    if (rc < 0)
        turn_off(tier, -rc);
    errand->release(errand->arg);
    free(errand);
}

void hl_tier_post(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                  uint32_t length, const void *bytes, void (*release)(void *arg), void *arg)
{
    struct keep_errand *errand = NULL;

    if (state && state->tier && length && !is_full(state->tier))
        errand = calloc(1, sizeof *errand);
    if (errand) {
        errand->base.run = run_keep;
        errand->state = state;
        memcpy(errand->key, key, sizeof errand->key);
        errand->src_offset = src_offset;
        errand->length = length;
        errand->bytes = bytes;
        errand->release = release;
        errand->arg = arg;
        if (hl_state_post_bytes(state, &errand->base, length))
            return;
        free(errand);
    }
    release(arg);
}

/* Give back its room on the disk, which the segment still counts as used.  Who is reading it sees that it
 * is not what was written. */
static void punch(struct hl_tier *tier, const struct hl_extent *extent)
{
    int fd = open_segment(tier, extent->segment, O_RDWR);

    if (fd < 0)
        return;
    hl_sys.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, extent->at, extent->length);
    hl_sys.close(fd);
}

int hl_tier_drop(struct hl_tier *tier, MDB_txn *txn, const uint64_t key[2])
{
    struct hl_record_key from = hl_record_piece(key, 0), found;
    struct hl_extent extent;
    MDB_val value;
    int rc;

    while ((rc = next_record(txn, &from, 17, &found, &value)) == 0) {
        MDB_val at = hl_record_val(&found);
        bool sound = parse_piece(&at, &value, &extent);

        if (sound && tier)
            punch(tier, &extent);
        rc = sound ? delete_piece(txn, key, &extent) : hl_record_delete(txn, &found);
        if (rc < 0)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

/* ---- open and close ------------------------------------------------------ */

static int look_total(MDB_txn *txn, void *arg)
{
    struct segment last;

    *(uint64_t *)arg = sum_segments(txn, &last);
    return 0;
}

void hl_tier_stat(struct hl_state *state, uint64_t *ret_bytes, uint64_t *ret_size)
{
    *ret_bytes = *ret_size = 0;
    if (!state || !state->tier)
        return;
    hl_catalog_look(state->catalog, look_total, ret_bytes);
    *ret_size = state->tier->size;
}

/* 0: off. */
static uint64_t choose_size(struct hl_state *state, int dir_fd, uint64_t kept)
{
    const char *text = getenv("HUGELITE_TIER_SIZE");
    uint64_t size = SIZE_DEFAULT, tenth;
    struct statfs fs;

    if (text && *text) {
        if (hugelite_parse_size(text, &size) == 0)
            return size;
        hl_state_note(state, "there is no disk tier: HUGELITE_TIER_SIZE: %s", hugelite_error());
        return 0;
    }
    if (hl_sys.fstatfs(dir_fd, &fs) == 0) {
        tenth = ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize + kept) / 10;
        size = tenth < size ? tenth : size;
    }
    return size;
}

static uint32_t choose_segment(uint64_t size)
{
    uint64_t bytes = size / 64;

    bytes = bytes < SEGMENT_MIN ? SEGMENT_MIN : bytes > SEGMENT_MAX ? SEGMENT_MAX : bytes;
    return (uint32_t)(bytes < size / 4 ? bytes : size / 4);
}

struct orphan {
    uint32_t number;
    bool known;
};

static int look_orphan(MDB_txn *txn, void *arg)
{
    struct orphan *orphan = arg;
    struct segment segment;
    int rc = next_segment(txn, orphan->number, &segment);

    orphan->known = rc == 0 && segment.number == orphan->number && segment.capacity;
    return rc == -ENOENT ? 0 : rc;
}

/* Files of an earlier catalog, or of a clerk that died. */
static void remove_orphans(struct hl_tier *tier)
{
    int fd = dup(tier->dir_fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct orphan orphan = { .number = (uint32_t)strtoul(entry->d_name, NULL, 10) };
        char name[16];

        segment_name(orphan.number, name);
        if (strcmp(name, entry->d_name) == 0 &&
            hl_catalog_look(tier->state->catalog, look_orphan, &orphan) == 0 && !orphan.known)
            hl_sys.unlinkat(tier->dir_fd, name, 0);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        hl_sys.close(fd);
}

struct shrink_errand {
    struct hl_errand base;
    struct hl_tier *tier;
};

static void run_shrink(struct hl_errand *base)
{
    struct shrink_errand *errand = (struct shrink_errand *)base;
    MDB_txn *txn = hl_catalog_write(errand->tier->state->catalog);

    if (txn)
        shrink(errand->tier, txn, 0, NULL);
    free(errand);
}

static void post_shrink(struct hl_tier *tier)
{
    struct shrink_errand *errand = calloc(1, sizeof *errand);

    if (!errand)
        return;
    errand->base.run = run_shrink;
    errand->tier = tier;
    if (!hl_state_post(tier->state, &errand->base))
        free(errand);
}

static struct hl_tier *make_tier(struct hl_state *state, int dir_fd, mode_t file_mode,
                                 uint64_t size)
{
    struct hl_tier *tier = calloc(1, sizeof *tier);

    if (!tier)
        return NULL;
    if (hl_sys.mkdirat(dir_fd, "tier", 0700) == 0 && file_mode & S_IWGRP)
        fchmodat(dir_fd, "tier", 02770, 0);
    *tier = (struct hl_tier){ .state = state, .fd = -1, .file_mode = file_mode, .size = size,
                              .segment_bytes = choose_segment(size) };
    tier->dir_fd = hl_sys.openat(dir_fd, "tier", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
                                 0);
    if (tier->dir_fd >= 0)
        return tier;
    hl_state_note(state, "there is no disk tier: cannot open its directory: %s", strerror(errno));
    free(tier);
    return NULL;
}

struct hl_tier *hl_tier_open(struct hl_state *state, int dir_fd, mode_t file_mode)
{
    uint64_t kept = 0, size;
    struct hl_tier *tier;
    struct rlimit limit;

    hl_catalog_look(state->catalog, look_total, &kept);
    size = choose_size(state, dir_fd, kept);
    if (size && size < SIZE_MIN)
        hl_state_note(state, "there is no disk tier: its size is below 1M");
    if (size < SIZE_MIN)
        return NULL;
    tier = make_tier(state, dir_fd, file_mode, size);
    if (!tier)
        return NULL;
    tier->may_mark = getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                     limit.rlim_cur >= SEGMENT_MAX >> MARK_SHIFT;
    if (hl_catalog_was_first(state->catalog))
        remove_orphans(tier);
    if (kept > size)
        post_shrink(tier);
    return tier;
}

void hl_tier_close(struct hl_tier *tier)
{
    if (!tier)
        return;
    if (tier->fd >= 0)
        hl_sys.close(tier->fd);
    hl_sys.close(tier->dir_fd);
    free(tier);
}

void hl_tier_abandon(struct hl_tier *tier)
{
    if (tier->fd >= 0)
        hl_sys.close(tier->fd);
    hl_sys.close(tier->dir_fd);
    tier->fd = tier->dir_fd = -1;
}
