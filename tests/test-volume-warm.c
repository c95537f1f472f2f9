/* SPDX-License-Identifier: MIT
 *
 * test-volume-warm: warming all, a part, what does not fit, and stopping it.
 *
 * Passes when progress rises to the total, a part touches its chunks only, a stopped
 * warming says -ECANCELED and how far it came, and a volume larger than the budget
 * warms without error within the budget.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>

#define CHUNKS 20
#define BYTES ((CHUNKS - 1) * CHUNK + 1)

struct seen {
    unsigned calls;
    uint64_t done, total;
    unsigned stop_at; /* call */
};

static int note(void *arg, uint64_t done, uint64_t total)
{
    struct seen *seen = arg;

    EXPECT(done > seen->done && done <= total);
    seen->done = done;
    seen->total = total;
    return ++seen->calls == seen->stop_at;
}

int main(void)
{
    const char *path = test_path(test_dir(), "db");
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS), *small;
    struct hugelite_volume *vol;
    struct seen seen = { 0 };

    test_file(path, BYTES, 3);
    vol = kit_volume(pool, path);

    /* A part that begins and ends inside chunks. */
    EXPECT_RC(hugelite_volume_warm(vol, 2 * CHUNK - 1, CHUNK + 2, note, &seen), 0);
    EXPECT_EQ(kit_stat(vol).resident_bytes, 3 * CHUNK);
    EXPECT_EQ(seen.done, CHUNK + 2);
    EXPECT_EQ(seen.total, CHUNK + 2);

    seen = (struct seen){ .stop_at = 3 };
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, note, &seen), -ECANCELED);
    EXPECT_CONTAINS(hugelite_error(), "stopped");
    EXPECT_EQ(seen.calls, 3);

    seen = (struct seen){ 0 };
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, note, &seen), 0);
    EXPECT_EQ(seen.done, BYTES);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    EXPECT_EQ(kit_stat(vol).resident_bytes, CHUNKS * CHUNK);

    EXPECT_RC(hugelite_volume_warm(vol, BYTES + 1, 0, NULL, NULL), -ERANGE);
    EXPECT_RC(hugelite_volume_warm(vol, 1, BYTES, NULL, NULL), -ERANGE);
    EXPECT_RC(hugelite_volume_warm(vol, BYTES, 0, NULL, NULL), 0);
    kit_verify(vol, 3);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);

    small = kit_pool(test_pool_dir(), 6);
    vol = kit_volume(small, path);
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
    EXPECT(kit_resident_chunks(small) <= 6);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    kit_verify(vol, 3);
    hugelite_volume_close(vol);
    kit_audit_empty(small);
    hugelite_pool_close(small);
    return 0;
}
