/* SPDX-License-Identifier: MIT
 *
 * test-early-processes: eight cold readers of a compressed file decode each frame once.
 *
 * Passes when eight processes that start together on a cold volume and go through it page by
 * page, or chunk by chunk, see every byte right, and the source was read and decoded
 * once: frames_decoded is the number of frames, source_bytes theirs and some of the table's.
 */
#include "config.h"

#include "kit.h"

#include <stdio.h>

#define READERS 8
#define CHUNKS 12
#define BYTES (CHUNKS * CHUNK - 3 * 8)
#define SEED 57
#define FRAME (256 * 1024)

static struct {
    _Atomic unsigned ready, go;
} *shared;
static const char *path, *dir;

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 2 * CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, path);
    char page[4096];

    atomic_fetch_add(&shared->ready, 1);
    kit_await(&shared->go, 1);
    for (uint64_t at = 0; (uintptr_t)arg % 2 && at < BYTES; at += sizeof page) {
        uint64_t length = BYTES - at < sizeof page ? BYTES - at : sizeof page;

        EXPECT_RC(hugelite_volume_read(vol, at, length, page), 0);
        kit_pattern(page, length, SEED, at);
    }
    if ((uintptr_t)arg % 2 == 0)
        kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hugelite_volume_stat st;
    struct kit_frames frames;
    pid_t pids[READERS];

    path = test_path(test_dir(), "db.zst");
    dir = test_pool_dir();
    shared = kit_shared(sizeof *shared);
    frames = kit_zst(path, BYTES, SEED, FRAME, 0);
    for (uintptr_t i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, (void *)i);
    kit_await(&shared->ready, READERS);
    atomic_store(&shared->go, 1);
    for (int i = 0; i < READERS; i++)
        EXPECT_CHILD(pids[i], 0);

    pool = kit_pool(dir, 2 * CHUNKS);
    vol = kit_volume(pool, path);
    st = kit_stat(vol);
    fprintf(stderr, "%llu frames decoded of %u, %llu source bytes of %llu; %llu early reads, "
            "%llu waits\n", (unsigned long long)st.frames_decoded, frames.nr,
            (unsigned long long)st.source_bytes, (unsigned long long)frames.src_bytes,
            (unsigned long long)st.early_reads, (unsigned long long)st.waits);
    EXPECT_EQ(st.fills, CHUNKS);
    EXPECT_EQ(st.errors, 0);
    EXPECT_EQ(st.resident_bytes, CHUNKS * CHUNK);
    EXPECT_EQ(st.frames_decoded, frames.nr);
    EXPECT(st.source_bytes > frames.src_bytes);
    EXPECT(st.source_bytes - frames.src_bytes <= frames.nr * frames.table_bytes);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
