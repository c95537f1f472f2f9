/* SPDX-License-Identifier: MIT
 *
 * wanted.c - recording a warm list.  Each process notes what its readers had to wait for, or
 * were the first to touch; the list in the catalog has that order, and then what others noted
 * before.
 *
 * A list is written when the volume is closed, and by the clerk every WRITE_NS while there is
 * news, since some processes run until they are killed.
 *
 * Entry points: wanted.h.  See also: scout.c (brings the chunks of a list), catalog.h.
 */
#include "config.h"

#include "wanted.h"

#include "catalog.h"
#include "cleanup.h"
#include "state.h"
#include "sys.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_NS (30ull * 1000 * 1000 * 1000)

struct hl_wanted {
    struct hl_errand errand;
    struct hl_state *state;
    uint64_t name_key[2];
    uint32_t nr_chunks, most;
    bool afresh;
    _Atomic unsigned users;      /* the volume, and the errand while it is posted */
    _Atomic uint64_t write_at_ns;
    _Atomic uint32_t nr;         /* places taken; may grow beyond most */
    _Atomic uint8_t *noted;      /* byte per chunk */
    _Atomic uint32_t list[];     /* index + 1; 0 = about to be written */
};

static void drop_user(struct hl_wanted *wanted)
{
    /* acq_rel: the last one sees what the others have done. */
    if (atomic_fetch_sub_explicit(&wanted->users, 1, memory_order_acq_rel) == 1)
        hl_wanted_free(wanted);
}

/* ---- lists -------------------------------------------------------------------- */

/* A list that is put together. */
struct merge {
    uint32_t *list;
    uint32_t nr, most, nr_chunks;
    unsigned char *seen; /* bit per chunk */
};

static bool merge_begin(struct merge *merge, uint32_t nr_chunks, uint32_t most)
{
    *merge = (struct merge){ .most = most, .nr_chunks = nr_chunks };
    merge->list = malloc((size_t)most * sizeof *merge->list + 1);
    merge->seen = calloc(nr_chunks / 8 + 1, 1);
    return merge->list && merge->seen;
}

static void merge_add(struct merge *merge, uint32_t index)
{
    if (index >= merge->nr_chunks || merge->nr == merge->most ||
        (merge->seen[index / 8] >> index % 8 & 1))
        return;
    merge->seen[index / 8] |= (unsigned char)(1 << index % 8);
    merge->list[merge->nr++] = index;
}

static void merge_add_old(struct merge *merge, struct hl_state *state, const uint64_t name_key[2])
{
    HL_CLEANUP(hl_freep) void *bytes = NULL;
    uint32_t length, number;

    if (hl_catalog_read(state->catalog, name_key, HL_BLOB_WARM, 0, &bytes, &length) < 0)
        return;
    for (uint32_t at = 0; at + 4 <= length; at += 4) {
        const unsigned char *four = (const unsigned char *)bytes + at;

        number = four[0] | four[1] << 8 | four[2] << 16 | (uint32_t)four[3] << 24;
        merge_add(merge, number);
    }
}

static void merge_add_new(struct merge *merge, const struct hl_wanted *wanted)
{
    uint32_t nr = atomic_load_explicit(&wanted->nr, memory_order_relaxed);

    for (uint32_t i = 0; i < nr && i < wanted->most; i++) {
        uint32_t entry = atomic_load_explicit(&wanted->list[i], memory_order_relaxed);

        if (entry)
            merge_add(merge, entry - 1);
    }
}

static void merge_end(struct merge *merge)
{
    free(merge->list);
    free(merge->seen);
}

uint32_t hl_wanted_load(struct hl_state *state, const uint64_t name_key[2], uint32_t nr_chunks,
                        uint32_t most, uint32_t **ret_list)
{
    struct merge merge;
    uint32_t nr = 0;

    *ret_list = NULL;
    if (!state->catalog)
        return 0;
    if (merge_begin(&merge, nr_chunks, most)) {
        merge_add_old(&merge, state, name_key);
        nr = merge.nr;
        if (nr)
            *ret_list = HL_TAKE(merge.list);
    }
    merge_end(&merge);
    return nr;
}

static void write_list(struct hl_wanted *wanted)
{
    struct merge merge;

    if (!wanted->state->catalog || !atomic_load_explicit(&wanted->nr, memory_order_relaxed))
        return;
    if (merge_begin(&merge, wanted->nr_chunks, wanted->most)) {
        if (!wanted->afresh)
            merge_add_old(&merge, wanted->state, wanted->name_key);
        merge_add_new(&merge, wanted);
        merge_add_old(&merge, wanted->state, wanted->name_key);
        for (uint32_t i = 0; i < merge.nr; i++) { /* in place: little-endian */
            uint32_t index = merge.list[i];
            unsigned char four[] = { (unsigned char)index, (unsigned char)(index >> 8),
                                     (unsigned char)(index >> 16), (unsigned char)(index >> 24) };

            memcpy(&merge.list[i], four, 4);
        }
        hl_catalog_post(wanted->state, wanted->name_key, HL_BLOB_WARM, 0, merge.list,
                        merge.nr * 4);
    }
    merge_end(&merge);
}

/* By the clerk. */
static void run_write(struct hl_errand *errand)
{
    struct hl_wanted *wanted =
        (struct hl_wanted *)((char *)errand - offsetof(struct hl_wanted, errand));

    write_list(wanted);
    drop_user(wanted);
}

/* ---- notes -------------------------------------------------------------------- */

struct hl_wanted *hl_wanted_new(struct hl_state *state, const uint64_t name_key[2],
                                uint32_t nr_chunks, uint32_t most, bool afresh)
{
    uint32_t room = nr_chunks < most ? nr_chunks : most;
    struct hl_wanted *wanted = calloc(1, sizeof *wanted + room * sizeof wanted->list[0]);

    if (!wanted)
        return NULL;
    wanted->noted = calloc(nr_chunks, 1);
    if (!wanted->noted) {
        free(wanted);
        return NULL;
    }
    wanted->errand.run = run_write;
    wanted->state = state;
    memcpy(wanted->name_key, name_key, sizeof wanted->name_key);
    wanted->nr_chunks = nr_chunks;
    wanted->most = room;
    wanted->afresh = afresh;
    wanted->users = 1;
    wanted->write_at_ns = hl_now_ns() + WRITE_NS;
    return wanted;
}

void hl_wanted_free(struct hl_wanted *wanted)
{
    if (wanted)
        free((void *)wanted->noted);
    free(wanted);
}

void hl_wanted_close(struct hl_wanted *wanted)
{
    if (!wanted)
        return;
    write_list(wanted);
    drop_user(wanted);
}

/* The errand is written into by its queue, so it is posted again only after it has been run:
 * then the volume is the only user. */
static void post_write(struct hl_wanted *wanted, uint64_t now)
{
    unsigned alone = 1;

    if (!atomic_compare_exchange_strong_explicit(&wanted->users, &alone, 2, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    atomic_store_explicit(&wanted->write_at_ns, now + WRITE_NS, memory_order_relaxed);
    if (!hl_state_post(wanted->state, &wanted->errand))
        drop_user(wanted);
}

/* Relaxed: an entry that is not seen yet is in the next list. */
void hl_wanted_note(struct hl_wanted *wanted, uint32_t index)
{
    uint64_t now;
    uint32_t at;

    if (index >= wanted->nr_chunks ||
        atomic_load_explicit(&wanted->noted[index], memory_order_relaxed) ||
        atomic_exchange_explicit(&wanted->noted[index], 1, memory_order_relaxed))
        return;
    at = atomic_fetch_add_explicit(&wanted->nr, 1, memory_order_relaxed);
    if (at >= wanted->most)
        return;
    atomic_store_explicit(&wanted->list[at], index + 1, memory_order_relaxed);
    now = hl_now_ns();
    if (now >= atomic_load_explicit(&wanted->write_at_ns, memory_order_relaxed) &&
        wanted->state->catalog)
        post_write(wanted, now);
}
