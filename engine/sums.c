/* SPDX-License-Identifier: MIT
 *
 * sums.c - checksums of chunks, 512 in a group, which is loaded from the catalog when the first of
 * it is asked for.  What is new goes there by the clerk, merged with what other processes have learnt.
 *
 * Entry points: sums.h.  See also: fill.c, catalog.h (HL_BLOB_SUMS).
 */
#include "config.h"

#include "sums.h"

#include "catalog.h"
#include "error.h"
#include "record.h"
#include "state.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { GROUP = 512 };

/* Also held by the errand that writes it. */
struct hl_sums_group {
    struct hl_errand errand;
    struct hl_state *state;
    uint64_t key[2];
    uint32_t number;
    _Atomic unsigned refs;
    _Atomic bool posted;
    _Atomic uint64_t sums[GROUP]; /* 0 = not known */
};

int hl_sums_init(struct hl_sums *sums, struct hl_state *state, const uint64_t key[2],
                 uint64_t nr_chunks)
{
    *sums = (struct hl_sums){ .state = state, .key = { key[0], key[1] } };
    sums->nr_groups = (uint32_t)((nr_chunks + GROUP - 1) / GROUP);
    sums->groups = calloc(sums->nr_groups ? sums->nr_groups : 1, sizeof *sums->groups);
    return sums->groups ? 0 : hl_error(ENOMEM, "no memory for the checksums of chunks");
}

static void put_group(struct hl_sums_group *group)
{
    /* acq_rel: whoever frees it sees that the others have done with it. */
    if (group && atomic_fetch_sub_explicit(&group->refs, 1, memory_order_acq_rel) == 1)
        free(group);
}

void hl_sums_free(struct hl_sums *sums)
{
    for (uint32_t i = 0; sums->groups && i < sums->nr_groups; i++)
        put_group(atomic_load_explicit(&sums->groups[i], memory_order_relaxed));
    free(sums->groups);
    *sums = (struct hl_sums){ 0 };
}

static void load(struct hl_sums_group *group)
{
    uint32_t length = 0;
    void *bytes;

    if (hl_catalog_read(group->state->catalog, group->key, HL_BLOB_SUMS, group->number, &bytes,
                        &length) < 0)
        return;
    for (uint32_t i = 0; i < GROUP && 8 * i + 8 <= length; i++)
        atomic_store_explicit(&group->sums[i], hl_get_u64((uint8_t *)bytes + 8 * i),
                              memory_order_relaxed);
    free(bytes);
}

/* NULL when there is no memory: then nothing is compared. */
static struct hl_sums_group *get_group(struct hl_sums *sums, uint32_t number)
{
    /* acquire: pairs with the release of who has loaded it. */
    struct hl_sums_group *there = atomic_load_explicit(&sums->groups[number],
                                                       memory_order_acquire);
    struct hl_sums_group *group;

    if (there)
        return there;
    group = calloc(1, sizeof *group);
    if (!group)
        return NULL;
    group->state = sums->state;
    memcpy(group->key, sums->key, sizeof group->key);
    group->number = number;
    atomic_store_explicit(&group->refs, 1, memory_order_relaxed);
    load(group);
    if (atomic_compare_exchange_strong_explicit(&sums->groups[number], &there, group,
                                                memory_order_release, memory_order_acquire))
        return group;
    free(group); /* another thread was quicker */
    return there;
}

/* Keep what the catalog has, add what it has not. */
static void merge(MDB_txn *txn, struct hl_sums_group *group)
{
    struct hl_record_key record = hl_record_blob(group->key, HL_BLOB_SUMS, group->number);
    uint8_t payload[8 * GROUP] = { 0 };
    const uint8_t *before;
    uint32_t length;
    bool changed = false;

    if (hl_record_get(txn, &record, &before, &length) == 0)
        memcpy(payload, before, length < sizeof payload ? length : sizeof payload);
    for (uint32_t i = 0; i < GROUP; i++) {
        uint64_t sum = atomic_load_explicit(&group->sums[i], memory_order_relaxed);

        if (sum && !hl_get_u64(payload + 8 * i)) {
            hl_put_u64(payload + 8 * i, sum);
            changed = true;
        }
    }
    if (changed)
        hl_record_put(txn, &record, payload, sizeof payload);
}

static void run_merge(struct hl_errand *errand)
{
    struct hl_sums_group *group = (struct hl_sums_group *)errand;
    MDB_txn *txn = hl_catalog_write(group->state->catalog);

    /* acq_rel, before the sums are read: one that comes later posts again. */
    atomic_exchange_explicit(&group->posted, false, memory_order_acq_rel);
    if (txn)
        merge(txn, group);
    put_group(group);
}

static void post(struct hl_sums_group *group)
{
    if (!group->state->catalog ||
        atomic_exchange_explicit(&group->posted, true, memory_order_acq_rel))
        return;
    atomic_fetch_add_explicit(&group->refs, 1, memory_order_relaxed);
    group->errand.run = run_merge;
    if (!hl_state_post(group->state, &group->errand)) {
        atomic_store_explicit(&group->posted, false, memory_order_release);
        put_group(group);
    }
}

int hl_sums_check(struct hl_sums *sums, uint32_t index, const void *bytes, uint32_t length)
{
    struct hl_sums_group *group;
    uint64_t sum, known = 0;

    if (!sums->groups || index / GROUP >= sums->nr_groups)
        return 0;
    group = get_group(sums, index / GROUP);
    if (!group)
        return 0;
    sum = XXH64(bytes, length, 0);
    sum += !sum;
    if (atomic_compare_exchange_strong_explicit(&group->sums[index % GROUP], &known, sum,
                                                memory_order_relaxed, memory_order_relaxed)) {
        post(group);
        return 0;
    }
    if (known == sum)
        return 0;
    return hl_error(EBADMSG, "chunk %u is not what it was when first fetched, although the origin "
                    "names the same version; `hugelite rm` forgets what it was", index);
}
