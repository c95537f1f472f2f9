/* SPDX-License-Identifier: MIT
 *
 * test-volume-rounds: opening and closing leaves nothing behind.
 *
 * Passes when after 1,000 rounds of opening a pool and a volume, reading and closing
 * (a few of them failing half way) the process has the descriptors, mappings and
 * threads that it had before, and the pool its pages and tickets; the same with many
 * handles of one volume open at once; and when 200 volumes go through a pool of 128
 * slots, the oldest unused leaving.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNKS 3
#define ROUNDS 1000
#define MANY 200

static const char *dir, *path;

static void round_trip(unsigned i)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol, *none;
    const void *data;

    if (i % 10 == 3)
        EXPECT_RC(hugelite_volume_open(pool, "/no/such/file", &none), -ENOENT);
    if (i % 10 == 4)
        EXPECT_RC(hugelite_volume_open(pool, "/", &none), -EISDIR);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_fetch(vol, (i % 2) * CHUNK, 8, &data), 0);
    EXPECT_PATTERN(data, 8, 1, (i % 2) * CHUNK);
    if (i % 3) /* a handle may be closed with pins */
        hugelite_volume_release(vol, data);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void many_volumes(void)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    const char *files = test_dir();
    struct hugelite_volume *vol, *kept;
    struct hugelite_volume_stat st[130];
    size_t nr;

    kept = kit_volume(pool, path);
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", i);
        test_file(test_path(files, name), 1000 + i, i);
        vol = kit_volume(pool, test_path(files, name));
        kit_verify(vol, i);
        hugelite_volume_close(vol);
    }
    EXPECT_RC(hugelite_pool_volumes(pool, st, 130, &nr), 0);
    EXPECT_EQ(nr, 128);
    /* The newest is there and warm; the one in use was not taken away. */
    vol = kit_volume(pool, test_path(files, "199"));
    EXPECT_EQ(kit_stat(vol).fills, 1);
    hugelite_volume_close(vol);
    kit_verify(kept, 1);
    /* The oldest comes back. */
    vol = kit_volume(pool, test_path(files, "0"));
    EXPECT_EQ(kit_stat(vol).fills, 0);
    kit_verify(vol, 0);
    hugelite_volume_close(vol);
    hugelite_volume_close(kept);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void many_handles(void)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vols[300], *vol;
    unsigned maps, fds;

    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    maps = kit_count_maps();
    fds = kit_count_fds();
    for (unsigned i = 0; i < 300; i++)
        vols[i] = kit_volume(pool, path);
    EXPECT_EQ(kit_count_fds(), fds);
    EXPECT(kit_count_maps() < maps + 4); /* malloc's, if any */
    for (unsigned i = 0; i < 300; i++) {
        kit_verify_chunk(vols[i], 1, i % 2);
        hugelite_volume_close(vols[i]);
    }
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    unsigned fds, maps, threads;

    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    test_file(path, 2 * CHUNK - 5, 1);

    for (unsigned i = 0; i < 20; i++)
        round_trip(i);
    fds = kit_count_fds();
    maps = kit_count_maps();
    threads = kit_count_threads();
    for (unsigned i = 0; i < ROUNDS; i++)
        round_trip(i);
    EXPECT_EQ(kit_count_threads(), threads);
    EXPECT_EQ(kit_count_fds(), fds);
    /* malloc may have grown an arena; sanitizers map as they like. */
    EXPECT(TEST_SANITIZED || kit_count_maps() <= maps + 2);

    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_EQ(kit_stat(vol).fills, 2);
    EXPECT_EQ(kit_stat(vol).evictions, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);

    many_handles();
    many_volumes();
    return 0;
}
