/* SPDX-License-Identifier: MIT
 *
 * test-crew-rounds: hundreds of rounds with a crew leave nothing behind.
 *
 * Each opens a pool and a compressed volume of which nothing is resident, reads here and there, or in
 * order, or both, and closes while the crew may still be at it.  Passes when descriptors, threads,
 * mappings and memory are in the end what they were, and the pool has its pages and tickets.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>
#include <unistd.h>

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 97
#define ROUNDS (TEST_SANITIZED ? 250 : 1000)

static const char *path, *dir;

static uint64_t memory_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size, resident, shared;

    EXPECT(f && fscanf(f, "%llu %llu %llu", &size, &resident, &shared) == 3);
    fclose(f);
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void read_at(struct hugelite_volume *vol, uint64_t at)
{
    char page[4096];

    EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, at);
}

static void round_trip(unsigned i)
{
    struct hugelite_pool *pool = kit_pool(dir, CHUNKS);
    struct hugelite_volume *vol;

    if (i % 2)
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    vol = kit_volume(pool, path);
    read_at(vol, i % CHUNKS * CHUNK + (100 + i % 300) * 4096);
    if (i % 3 == 0)
        read_at(vol, (i + 1) % CHUNKS * CHUNK + (100 + i % 300) * 4096);
    if (i % 4 == 0)
        for (uint64_t at = 0; at < BYTES - 4096; at += CHUNK / 2)
            read_at(vol, at);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    unsigned fds, threads, maps;
    uint64_t memory;

    path = test_path(test_dir(), "db.zst");
    dir = test_pool_dir();
    kit_zst(path, BYTES, SEED, 256 * 1024, 0);
    for (unsigned i = 0; i < 100; i++) /* what is kept for good is there now */
        round_trip(i);
    fds = kit_count_fds();
    threads = kit_count_threads();
    maps = kit_count_maps();
    memory = memory_kib();
    for (unsigned i = 0; i < ROUNDS; i++)
        round_trip(i);
    fprintf(stderr, "%u descriptors, %u threads, %u mappings (%u before), %llu KiB (%llu before)\n",
            kit_count_fds(), kit_count_threads(), kit_count_maps(), maps,
            (unsigned long long)memory_kib(), (unsigned long long)memory);
    EXPECT_EQ(kit_count_fds(), fds);
    EXPECT_EQ(kit_count_threads(), threads);
    if (!TEST_SANITIZED) {
        EXPECT(kit_count_maps() <= maps + 10); /* of malloc, and of idle fill buffers */
        EXPECT(memory_kib() <= memory + 12 * 1024);
    }

    pool = kit_pool(dir, CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
