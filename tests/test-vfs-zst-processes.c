/* SPDX-License-Identifier: MIT
 *
 * test-vfs-zst-processes: eight processes scan a cold compressed database at once.
 *
 * Passes when each gets what stock SQLite gets over the plain file, and together they have decoded
 * each frame once.
 */
#include "test-vfs-common.h"

enum { ROWS = 150000, PROCESSES = 8 }; /* 20 MiB */

static void scan(const char *zst, int gate)
{
    uint64_t hash;
    sqlite3 *db;

    vfs_begin_in(getenv("HUGELITE_POOL"));
    EXPECT_EQ(read(gate, &hash, sizeof hash), sizeof hash);
    db = vfs_open(zst, "");
    EXPECT(sql_hash(db, "SELECT * FROM t") == hash);
    sqlite3_close(db);
    exit(0);
}

int main(void)
{
    const char *dir = test_dir(), *plain = test_path(dir, "x.db");
    const char *zst = test_path(dir, "x.db.zst");
    uint64_t hashes[PROCESSES];
    struct hugelite_volume_stat vol;
    struct hugelite_pool *pool;
    pid_t pids[PROCESSES];
    struct zst packed;
    sqlite3 *stock;
    int gate[2];
    size_t nr;

    setenv("HUGELITE_POOL", test_pool_dir(), 1);
    setenv("HUGELITE_POOL_SIZE", "32M", 1);
    EXPECT_EQ(pipe(gate), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        EXPECT(pids[i] >= 0);
        if (pids[i] == 0)
            scan(zst, gate[0]);
    }
    test_db(plain, ROWS);
    zst_make(plain, zst, 128 << 10, &packed);
    stock = stock_open(plain);
    hashes[0] = sql_hash(stock, "SELECT * FROM t");
    sqlite3_close(stock);
    for (unsigned i = 1; i < PROCESSES; i++)
        hashes[i] = hashes[0];
    EXPECT_EQ(write(gate[1], hashes, sizeof hashes), sizeof hashes);
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);

    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_volumes(pool, &vol, 1, &nr), 0);
    EXPECT_EQ(nr, 1);
    printf("%u frames; %llu decoded, %llu early reads, %llu fills\n", packed.nr_frames,
           (unsigned long long)vol.frames_decoded, (unsigned long long)vol.early_reads,
           (unsigned long long)vol.fills);
    EXPECT_EQ(vol.frames_decoded, packed.nr_frames);
    EXPECT_EQ(vol.fills, (vol.bytes + HUGELITE_CHUNK_BYTES - 1) / HUGELITE_CHUNK_BYTES);
    EXPECT_EQ(vol.errors, 0);
    hugelite_pool_close(pool);
    return 0;
}
