/* SPDX-License-Identifier: MIT
 *
 * test-remote-presigned: an object of a real S3 store is read by a presigned URL, as plain
 * HTTPS, raw and compressed; signed anew it is the same volume; when it is overwritten, the
 * readers of the old version get -ESTALE, and an expired signature is -EACCES.
 */
#include "test-remote-common.h"

#define BYTES (4 * CHUNK + 99 * 8)
#define SEED 44

int main(void)
{
    const char *www = test_dir(), *path = test_path(www, "x.db");
    struct hugelite_volume *vol, *again;
    struct hugelite_pool *pool;

    remote_begin(TEST_HANG_S, true);
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    remote_object(www, "y.db", BYTES, SEED + 1);
    kit_rgw(true);
    setenv("CURL_CA_BUNDLE", getenv("AWS_CA_BUNDLE"), 1);
    free(kit_s3("bucket", "bucket", NULL));
    free(kit_s3("put", "bucket", "dir/a b+c.db", path, NULL));
    free(kit_s3("put", "bucket", "x.db.zst", test_path(www, "x.db.zst"), NULL));
    pool = kit_pool(test_pool_dir(), 16);

    for (unsigned kind = 0; kind < 2; kind++) {
        const char *key = kind ? "x.db.zst" : "dir/a b+c.db";
        char *first = kit_s3("presign", "bucket", key, "600", NULL),
             *second = kit_s3("presign", "bucket", key, "601", NULL);
        uint64_t fills;

        vol = kit_volume(pool, first);
        kit_verify_read(vol, SEED);
        kit_verify(vol, SEED);
        fills = kit_stat(vol).fills;
        EXPECT_EQ(fills, 5);
        EXPECT_CONTAINS(kit_stat(vol).source, "https://127.0.0.1:");
        EXPECT(!strstr(kit_stat(vol).source, "Signature="));
        again = kit_volume(pool, second);
        kit_verify(again, SEED);
        EXPECT_EQ(kit_stat(again).fills, fills);
        hugelite_volume_close(again);
        hugelite_volume_close(vol);
        free(first);
        free(second);
    }

    char *url = kit_s3("presign", "bucket", "dir/a b+c.db", "600", NULL);
    vol = kit_volume(pool, url);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    kit_verify_chunk(vol, SEED, 0);
    free(kit_s3("put", "bucket", "dir/a b+c.db", test_path(www, "y.db"), NULL));
    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    setenv("HUGELITE_TIER_SIZE", "0", 1);
    again = kit_volume(pool, url);
    kit_verify(again, SEED + 1);
    hugelite_volume_close(again);
    hugelite_volume_close(vol);
    free(url);

    url = kit_s3("presign", "bucket", "x.db.zst", "1", NULL);
    test_sleep_ms(2100);
    setenv("HUGELITE_STATE", "none", 1);
    EXPECT_RC(hugelite_volume_open(pool, url, &vol), -EACCES);
    fprintf(stderr, "%s\n", hugelite_error());
    EXPECT_CONTAINS(hugelite_error(), "403");
    free(url);
    hugelite_pool_close(pool);
    return 0;
}
