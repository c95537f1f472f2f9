/* SPDX-License-Identifier: MIT
 *
 * test-scout-fails: an origin that fails in the middle of a walk, or of a warm list, has the
 * scout give up soon, and one whose object changes, at once; readers get on as well as without it.
 *
 * Passes when the scout comes back, has sent a bounded number of requests, leaves no list, and when
 * the volume reads well after the origin has recovered.
 */
#include "kit-origin.h"
#include "kit.h"
#include "scout-kit.h"
#include "volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 60000, PAGE = 4096, CHUNKS = 16, SEED = 3, REQUESTS_MAX = 200 };

static struct kit_origin *origin;
static const char *file_url, *db_url, *db_path;

static void expect_page(struct hugelite_volume *vol, uint32_t number)
{
    static unsigned char page[PAGE], expected[PAGE];
    FILE *file = fopen(db_path, "rb");

    EXPECT(file && fseek(file, (long)(number - 1) * PAGE, SEEK_SET) == 0);
    EXPECT_EQ(fread(expected, 1, PAGE, file), PAGE);
    fclose(file);
    EXPECT_RC(hugelite_volume_read(vol, (uint64_t)(number - 1) * PAGE, PAGE, page), 0);
    EXPECT_MEM(page, expected, PAGE);
}

/* The walk begins while nothing is answered any more but by an error. */
static void walk_in_vain(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, db_url);
    uint64_t before;

    (void)arg;
    kit_origin_order(origin, "latency_ms=20");
    sk_send_out(vol, 700);
    setenv("HUGELITE_HTTP_TIMEOUT", "1", 1);
    kit_origin_order(origin, "fault status=503");
    before = kit_origin_stat(origin).requests;
    sk_await_back(vol);
    EXPECT(kit_origin_stat(origin).requests - before <= REQUESTS_MAX);
    before = kit_origin_stat(origin).requests;
    test_sleep_ms(300);
    EXPECT_EQ(kit_origin_stat(origin).requests, before);
    kit_origin_order(origin, "clear");
    unsetenv("HUGELITE_HTTP_TIMEOUT");
    expect_page(vol, 2345);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void walk_changed(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, db_url);
    unsigned char page[PAGE];

    (void)arg;
    kit_origin_order(origin, "latency_ms=20");
    sk_send_out(vol, 900);
    kit_origin_order(origin, "replace /db");
    sk_await_back(vol);
    kit_origin_order(origin, "clear");
    EXPECT_RC(hugelite_volume_read(vol, 1234 * PAGE, PAGE, page), -ESTALE);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void read_all(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, file_url);

    (void)arg;
    for (unsigned i = 0; i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, i * 7 % CHUNKS);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void warm_in_vain(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol;
    uint64_t before;

    (void)arg;
    kit_origin_order(origin, "fault path=/file ranged=yes skip=2 status=503");
    before = kit_origin_stat(origin).requests;
    setenv("HUGELITE_HTTP_TIMEOUT", "3", 1);
    vol = kit_volume(pool, file_url);
    sk_await_back(vol);
    EXPECT(kit_origin_stat(origin).requests - before <= REQUESTS_MAX);
    EXPECT(kit_resident_chunks(pool) < CHUNKS);
    kit_origin_order(origin, "clear");
    unsetenv("HUGELITE_HTTP_TIMEOUT");
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *dir = test_dir();
    uint32_t *list;

    db_path = test_path(dir, "db");
    sk_db(db_path, ROWS);
    test_file(test_path(dir, "file"), CHUNKS * CHUNK, SEED);
    origin = kit_origin(dir);
    db_url = kit_origin_url(origin, "/db");
    file_url = kit_origin_url(origin, "/file");
    sk_use_state(false);
    EXPECT_CHILD(kit_fork(walk_in_vain, NULL), 0);
    EXPECT_EQ(sk_list(db_url, true, &list), 0);
    EXPECT_CHILD(kit_fork(walk_changed, NULL), 0);
    EXPECT_EQ(sk_list(db_url, true, &list), 0);
    EXPECT_CHILD(kit_fork(read_all, NULL), 0);
    EXPECT_CHILD(kit_fork(warm_in_vain, NULL), 0);
    kit_origin_stop(origin);
    return 0;
}
