/* SPDX-License-Identifier: MIT
 *
 * test-remote-down: with the origin down, an unknown volume is refused at once and says why; a
 * volume that the catalog knows opens, says that it is unvalidated, serves what is resident or
 * on disk, and refuses the rest in time; when the origin is up again, all is well.
 *
 * Also when the pool is new, as after a reboot: then the disk tier has what was fetched before.
 */
#include "test-remote-common.h"

#define BYTES (6 * CHUNK)
#define SEED 21
#define TIMEOUT TEST_HANG_S /* what is refused is refused before */

static const char *www;

static void without(void)
{
    struct kit_origin *origin = kit_origin(www);
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16);
    struct hugelite_volume *vol = NULL;
    const char *url = kit_origin_url(origin, "/x.db");
    const void *data;
    double began;

    setenv("HUGELITE_STATE", "none", 1);
    kit_origin_order(origin, "down");
    began = test_now();
    EXPECT_RC(hugelite_volume_open(pool, url, &vol), -ECONNREFUSED);
    EXPECT(test_now() - began < TIMEOUT);
    fprintf(stderr, "without: %s\n", hugelite_error());

    kit_origin_order(origin, "up");
    vol = kit_volume(pool, url);
    kit_verify_chunk(vol, SEED, 1);
    kit_origin_order(origin, "down");
    kit_verify_chunk(vol, SEED, 1);
    began = test_now();
    EXPECT_RC(hugelite_volume_fetch(vol, 4 * CHUNK, 4096, &data), -ECONNREFUSED);
    EXPECT_RC(hugelite_volume_check(vol), -ECONNREFUSED);
    EXPECT(test_now() - began < TIMEOUT);
    kit_origin_order(origin, "up");
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_volume_check(vol), 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    kit_origin_stop(origin);
}

/* An open, chunks 0 and 1 of which are expected at once, 4 in vain. */
static void expect_unvalidated(struct hugelite_pool *pool, const char *url)
{
    struct hugelite_volume *vol;
    double began = test_now();
    const void *data;

    EXPECT_RC(hugelite_volume_open(pool, url, &vol), 0);
    EXPECT(test_now() - began < TIMEOUT);
    EXPECT_EQ(kit_stat(vol).unvalidated, 1);
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    kit_verify_chunk(vol, SEED, 0);
    kit_verify_chunk(vol, SEED, 1);
    began = test_now();
    EXPECT_RC(hugelite_volume_fetch(vol, 4 * CHUNK, 4096, &data), -ECONNREFUSED);
    EXPECT(test_now() - began < TIMEOUT);
    hugelite_volume_close(vol);
}

static void known(const char *ending)
{
    struct kit_origin *origin = kit_origin(www);
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16), *after;
    struct hugelite_volume *vol;
    char name[32];
    const char *url;
    uint64_t bytes;

    snprintf(name, sizeof name, "/x%s", ending);
    url = kit_origin_url(origin, name);
    setenv("HUGELITE_TIER_SIZE", "64M", 1);
    vol = kit_volume(pool, url);
    EXPECT_EQ(kit_stat(vol).unvalidated, 0);
    kit_verify_chunk(vol, SEED, 0);
    kit_verify_chunk(vol, SEED, 1);
    hugelite_volume_close(vol);

    kit_origin_order(origin, "down");
    expect_unvalidated(pool, url);
    hugelite_pool_close(pool);
    after = kit_pool(test_pool_dir(), 16);      /* nothing is resident in this one */
    expect_unvalidated(after, url);

    kit_origin_order(origin, "up");
    kit_origin_order(origin, "forget");
    vol = kit_volume(after, url);
    EXPECT_EQ(kit_stat(vol).unvalidated, 0);
    kit_verify(vol, SEED);
    bytes = kit_origin_stat(origin).bytes;
    fprintf(stderr, "%s: %llu bytes fetched after the origin was up again\n", ending,
            (unsigned long long)bytes);
    EXPECT(bytes < 5 * CHUNK);
    hugelite_volume_close(vol);
    hugelite_pool_close(after);
    kit_origin_stop(origin);
}

static void run(void *arg)
{
    uintptr_t what = (uintptr_t)arg;

    if (what == 2) {
        without();
    } else {
        remote_begin(TIMEOUT, true);
        known(remote_endings[what]);
    }
}

int main(void)
{
    pid_t pids[3];

    remote_begin(TIMEOUT, false);
    www = test_dir();
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    for (uintptr_t i = 0; i < 3; i++)
        pids[i] = kit_fork(run, (void *)i);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_CHILD(pids[i], 0);
    return 0;
}
