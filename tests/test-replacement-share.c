/* SPDX-License-Identifier: MIT
 *
 * test-replacement-share: a volume that may have a part of the budget only.
 *
 * Passes when reading all of it leaves another volume's chunks where they are, and no more of its own
 * resident than its share; when its chunks are right; when a volume that has more than its new share gives
 * its own for the next one; when a newer version of the source has the share of the one before; when a
 * volume of which all that it may have is held says so; and when the share ends with a 0.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUDGET 24
#define SHARE 6
#define OTHER 10
#define CHUNKS 20

static uint64_t resident(struct hugelite_volume *vol)
{
    return kit_stat(vol).resident_bytes / CHUNK;
}

/* As who takes what comes, chunk by chunk, out of order. */
static void read_all(struct hugelite_volume *vol, unsigned seed)
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        uint64_t offset = (uint64_t)(i * 7 % CHUNKS) * CHUNK + 8192;
        const void *data;

        EXPECT_RC(hugelite_volume_fetch(vol, offset, 4096, &data), 0);
        EXPECT_PATTERN(data, 4096, seed, offset);
        hugelite_volume_release(vol, data);
    }
}

static void hold_all_of_it(struct hugelite_volume *vol)
{
    const void *data[SHARE + 1];

    for (unsigned i = 0; i < SHARE; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK, 8, &data[i]), 0);
    EXPECT_EQ(hugelite_volume_fetch(vol, SHARE * CHUNK, 8, &data[SHARE]), -EBUSY);
    EXPECT(strstr(hugelite_error(), "share"));
    for (unsigned i = 0; i < SHARE; i++)
        hugelite_volume_release(vol, data[i]);
    EXPECT_RC(hugelite_volume_fetch(vol, SHARE * CHUNK, 8, &data[SHARE]), 0);
    hugelite_volume_release(vol, data[SHARE]);
}

int main(void)
{
    const char *files = test_dir(), *one = test_path(files, "one"), *two = test_path(files, "two");
    struct hugelite_volume *vol, *other;
    struct hugelite_pool *pool;

    test_file(one, CHUNKS * CHUNK, 1);
    test_file(two, OTHER * CHUNK, 2);
    pool = kit_pool(test_pool_dir(), BUDGET);
    EXPECT_EQ(hugelite_pool_set_share(pool, one, SHARE * CHUNK), -ENOENT);
    vol = kit_volume(pool, one);
    other = kit_volume(pool, two);
    EXPECT_RC(hugelite_pool_set_share(pool, one, SHARE * CHUNK), 0);
    EXPECT_EQ(kit_stat(vol).share_bytes, SHARE * CHUNK);
    EXPECT_EQ(kit_stat(other).share_bytes, 0);
    kit_verify(other, 2);
    EXPECT_EQ(resident(other), OTHER);
    for (unsigned i = 0; i < 3; i++)
        read_all(vol, 1);
    kit_verify(vol, 1);
    EXPECT_EQ(resident(vol), SHARE);
    EXPECT_EQ(resident(other), OTHER);
    EXPECT_EQ(kit_stat(other).evictions, 0);
    hold_all_of_it(vol);

    /* Less than it has. */
    EXPECT_RC(hugelite_pool_set_share(pool, one, 2 * CHUNK), 0);
    EXPECT_EQ(resident(vol), SHARE);
    read_all(vol, 1);
    EXPECT(resident(vol) <= 2);
    EXPECT_EQ(resident(other), OTHER);

    /* The next version. */
    test_file(test_path(files, "new"), CHUNKS * CHUNK, 3);
    EXPECT_EQ(rename(test_path(files, "new"), one), 0);
    hugelite_volume_close(vol);
    vol = kit_volume(pool, one);
    EXPECT_EQ(kit_stat(vol).share_bytes, 2 * CHUNK);
    read_all(vol, 3);
    EXPECT(resident(vol) <= 2);

    EXPECT_RC(hugelite_pool_set_share(pool, one, 0), 0);
    read_all(vol, 3);
    EXPECT(resident(vol) >= BUDGET - OTHER - 2);
    hugelite_volume_close(vol);
    hugelite_volume_close(other);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
