/* SPDX-License-Identifier: MIT
 *
 * test-remote-proxy: http_proxy and no_proxy are obeyed as curl does; HUGELITE_HTTP_REQUESTS
 * limits what is in flight; a host without an address is -EHOSTUNREACH, in time.
 */
#include "test-remote-common.h"

#define BYTES (4 * CHUNK)
#define SEED 15

int main(void)
{
    const char *www = test_dir();
    struct hugelite_volume *vol = NULL;
    struct hugelite_pool *pool;
    struct kit_origin *origin;
    double began;
    char name[128] = "http://";

    remote_begin(TEST_HANG_S, false);
    setenv("HUGELITE_HTTP_REQUESTS", "2", 1);
    remote_object(www, "x.db", BYTES, SEED);
    origin = kit_origin(www);
    pool = kit_pool(test_pool_dir(), 16);

    /* No server knows a label of 70 letters, so none is asked. */
    memset(name + 7, 'a', 70);
    strcpy(name + 77, ".invalid/x.db");
    began = test_now();
    EXPECT_RC(hugelite_volume_open(pool, name, &vol), -EHOSTUNREACH);
    fprintf(stderr, "%s\n", hugelite_error());
    EXPECT(test_now() - began < TEST_HANG_S);

    setenv("http_proxy", kit_origin_url(origin, "/"), 1);
    kit_origin_order(origin, "latency_ms=10");
    vol = kit_volume(pool, "http://nowhere.invalid/x.db");
    kit_verify_read(vol, SEED);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    EXPECT(kit_origin_count(origin, "host=nowhere.invalid ") > 0);
    EXPECT(kit_origin_stat(origin).most_in_flight <= 2);

    setenv("no_proxy", "127.0.0.1,other.invalid", 1);
    kit_origin_order(origin, "forget");
    vol = kit_volume(pool, kit_origin_url(origin, "/x.db"));
    kit_verify_chunk(vol, SEED, 1);
    hugelite_volume_close(vol);
    EXPECT_EQ(kit_origin_count(origin, "host=nowhere.invalid "), 0);
    EXPECT(kit_origin_count(origin, "GET /x.db ") > 0);
    hugelite_pool_close(pool);
    return 0;
}
