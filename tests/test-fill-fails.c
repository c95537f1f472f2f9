/* SPDX-License-Identifier: MIT
 *
 * test-fill-fails: no page for a fill, whoever leaves for it.
 *
 * UFFDIO_COPY finds no page, and others' chunks leave, or say that they do, as often as anybody asks.
 * Passes when a fill gives up after 32 that left in vain and spares the others then for a moment; when
 * it ends although there is no end to those that leave; when a chunk of our own that is
 * taken just before it is claimed is left alone; and when all is right once there are pages.
 */
#include "config.h"

#include "fails-kit.h"

#include "error.h"
#include "image.h"
#include "replacement.h"
#include "tickets.h"

#include <errno.h>

/* A budget of less than eight: nothing is filled ahead of a reader. */
enum { CHUNKS = 6, BUDGET = 7, SEED = 47, IN_VAIN_MAX = 32 };

static const char *path;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static bool no_page;        /* for anybody */
static unsigned in_vain;    /* so many more would leave */
static unsigned nr_left, nr_copies;
static int victims_taken;   /* so many of those that are to be claimed are somebody's already */
static _Atomic uint64_t *taken; /* the last of them; not to be touched before there is another */
static uint64_t taken_as;

int __real_hl_image_populate(struct hl_image *image, uint32_t index, const void *data);
int __wrap_hl_image_populate(struct hl_image *image, uint32_t index, const void *data);
int __wrap_hl_image_populate(struct hl_image *image, uint32_t index, const void *data)
{
    nr_copies++;
    return no_page ? hl_error(ENOSPC, "no free page") :
                     __real_hl_image_populate(image, index, data);
}

int __real_hl_replacement_shrink(struct hugelite_pool *of, uint32_t chunk, bool *ret_moving);
int __wrap_hl_replacement_shrink(struct hugelite_pool *of, uint32_t chunk, bool *ret_moving);
int __wrap_hl_replacement_shrink(struct hugelite_pool *of, uint32_t chunk, bool *ret_moving)
{
    if (!in_vain)
        return __real_hl_replacement_shrink(of, chunk, ret_moving);
    in_vain--;
    nr_left++;
    *ret_moving = false;
    return 0;
}

bool __real_hl_chunk_claim_victim(struct hugelite_pool *of, uint32_t chunk, uint64_t seen);
bool __wrap_hl_chunk_claim_victim(struct hugelite_pool *of, uint32_t chunk, uint64_t seen);
bool __wrap_hl_chunk_claim_victim(struct hugelite_pool *of, uint32_t chunk, uint64_t seen)
{
    if (taken)
        EXPECT_EQ(atomic_load(taken), taken_as);
    taken = NULL;
    if (victims_taken) {
        victims_taken--;
        taken = &of->words[chunk];
        taken_as = seen;
        return false;
    }
    return __real_hl_chunk_claim_victim(of, chunk, seen);
}

static void begin(bool pages, unsigned leave)
{
    nr_left = nr_copies = 0;
    no_page = !pages;
    in_vain = leave;
}

static void end(void)
{
    begin(true, 0);
    kit_audit(pool);
    kit_verify(vol, SEED);
    kit_audit(pool);
}

/* Two have left in vain: those that we have filled ourselves are next, but for what is just taken. */
static void own_one_is_taken(void)
{
    const void *data;

    kit_verify_chunk(vol, SEED, 0);
    kit_verify_chunk(vol, SEED, 1);
    begin(false, 2);
    victims_taken = 1;
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 8, &data), -EBUSY);
    EXPECT_EQ(victims_taken, 0);
    EXPECT(!taken);
    EXPECT_EQ(nr_left, 2);
    EXPECT_EQ(kit_resident_chunks(pool), 0); /* given all the same, in the next round */
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
}

static void gives_up(void)
{
    uint64_t start = hl_now_ns();
    const void *data;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT(pool->nr_tickets > IN_VAIN_MAX);
    begin(false, 2 * IN_VAIN_MAX);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &data), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "whatever leaves");
    EXPECT_EQ(nr_left, IN_VAIN_MAX);
    EXPECT_EQ(nr_copies, IN_VAIN_MAX + 1);

    begin(false, 2 * IN_VAIN_MAX);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 8, &data), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "whatever leaves");
    if (hl_now_ns() - start < 900000000) /* so long that holds */
        EXPECT_EQ(nr_left, 0);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
}

/* There are as many rounds as tickets. */
static void has_an_end(void *arg)
{
    const void *data;

    (void)arg;
    pool = kit_pool(test_pool_dir(), 1);
    vol = kit_volume(pool, path);
    EXPECT(pool->nr_tickets < IN_VAIN_MAX);
    begin(false, UINT32_MAX);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 8, &data), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "no free page");
    EXPECT_EQ(nr_left, pool->nr_tickets + 1);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    path = test_path(test_dir(), "db");
    test_file(path, CHUNKS * CHUNK, SEED);
    kit_age(path);
    EXPECT_CHILD(kit_fork(has_an_end, NULL), 0);
    pool = kit_pool(test_pool_dir(), BUDGET);
    vol = kit_volume(pool, path);

    own_one_is_taken();
    gives_up();

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
