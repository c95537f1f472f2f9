/* SPDX-License-Identifier: MIT
 *
 * test-remote-healed: bytes that are altered on their way: once, and for as long as the fault lasts.
 *
 * Passes when frames that were altered once are asked for again, so that no reader notices; when they are
 * -EBADMSG as long as all answers are altered, to reads and fills; and when nothing of that is left once
 * they are not: neither in this process nor in the disk tier, where the next one would find it.
 */
#include "test-remote-common.h"

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK)
#define SEED 8

static const char *url, *pool_dir;

static void next_process(void *arg)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 2);
    struct hugelite_volume *vol;

    (void)arg;
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    vol = kit_volume(pool, url);
    kit_verify_read(vol, SEED);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void altered(struct kit_origin *origin, uint64_t offset)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 2);
    struct hugelite_volume *vol = kit_volume(pool, url);
    char page[4096] __attribute__((aligned(8)));
    const void *data;

    kit_origin_order(origin, "fault path=/x.db.zst corrupt=1000 count=1");
    EXPECT_RC(hugelite_volume_read(vol, offset, sizeof page, page), 0);
    kit_pattern(page, sizeof page, SEED, offset);
    kit_origin_order(origin, "fault path=/x.db.zst corrupt=1000 count=1");
    kit_verify_chunk(vol, SEED, 4);

    kit_origin_order(origin, "fault path=/x.db.zst corrupt=1000");
    EXPECT_RC(hugelite_volume_read(vol, offset + CHUNK, sizeof page, page), -EBADMSG);
    EXPECT_RC(hugelite_volume_fetch(vol, offset + CHUNK, sizeof page, &data), -EBADMSG);
    kit_origin_order(origin, "clear");
    EXPECT_RC(hugelite_volume_read(vol, offset + CHUNK, sizeof page, page), 0);
    kit_pattern(page, sizeof page, SEED, offset + CHUNK);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *www = test_dir();
    struct kit_origin *origin;

    requires_hugepages(CHUNKS + 8);
    remote_begin(TEST_HANG_S, true);
    remote_object(www, "x.db.zst", BYTES, SEED);
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db.zst");
    pool_dir = test_pool_dir();

    altered(origin, CHUNK + 300000 / 8 * 8);
    EXPECT_CHILD(kit_fork(next_process, NULL), 0);
    kit_origin_stop(origin);
    return 0;
}
