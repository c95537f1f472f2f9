/* SPDX-License-Identifier: MIT
 *
 * test-haul-scan: a remote volume gone through from one end to the other, page by page, as SQLite
 * does: plain and compressed, up and down, by one process and by six side by side.
 *
 * Passes when every byte is right; when it takes as few requests as there are 8 MiB in the object,
 * and thirty-two for each process (a crew that is behind takes fewer chunks at a time); when each byte
 * comes over the wire once, whoever reads, but for what comes with the open of each process, and for
 * blocks that a reader asks for while the first chunk waits for the crew, each a request and no more
 * than a chunk of them; and when warming does the same.
 */
#include "config.h"

#include "kit.h"
#include "kit-origin.h"
#include "transfer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 64
#define BYTES (CHUNKS * CHUNK - 5000)
#define SEED 9
#define PAGE 4096
#define BLOCK (32 * 1024)
#define OPEN_BYTES ((64 + 256) * 1024)
#define READERS 6

static const char *pool_dir, *url;
static bool downwards;

static void read_page(struct hugelite_volume *vol, uint64_t offset)
{
    uint32_t length = BYTES - offset < PAGE ? (uint32_t)(BYTES - offset) : PAGE;
    char page[PAGE] __attribute__((aligned(8)));
    const void *data;
    int rc = hugelite_volume_try_fetch(vol, offset, length, &data);

    if (rc == -EAGAIN) {
        EXPECT_RC(hugelite_volume_read(vol, offset, length, page), 0);
        kit_pattern(page, length / 8 * 8, SEED, offset);
        return;
    }
    EXPECT_RC(rc, 0);
    kit_pattern(data, length / 8 * 8, SEED, offset);
    hugelite_volume_release(vol, data);
}

static void scan(struct hugelite_volume *vol)
{
    uint64_t pages = (BYTES + PAGE - 1) / PAGE;

    for (uint64_t i = 0; i < pages; i++)
        read_page(vol, (downwards ? pages - 1 - i : i) * PAGE);
}

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    scan(vol);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void expect_few(struct kit_origin *origin, uint64_t src_bytes, unsigned opens)
{
    struct kit_origin_stat st = kit_origin_stat(origin);
    uint64_t twice = st.bytes - src_bytes;

    fprintf(stderr, "%llu requests, %llu bytes twice\n", (unsigned long long)st.requests,
            (unsigned long long)twice);
    EXPECT(st.bytes >= src_bytes && twice <= opens * (OPEN_BYTES + CHUNK));
    EXPECT(st.requests <= src_bytes * 11 / 10 / (8 << 20) + 32 * opens + twice / BLOCK);
}

static void alone(struct kit_origin *origin, const char *path, uint64_t src_bytes, bool down,
                  bool warm)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 16);
    struct hugelite_volume *vol;

    hugelite_pool_evict(pool, NULL, NULL);
    kit_origin_order(origin, "forget");
    url = kit_origin_url(origin, path);
    downwards = down;
    vol = kit_volume(pool, url);
    if (warm)
        EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
    scan(vol);
    expect_few(origin, src_bytes, 1);
    EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
    EXPECT_EQ(kit_stat(vol).fills % CHUNKS, 0);
    hugelite_volume_close(vol);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

static void side_by_side(struct kit_origin *origin, const char *path, uint64_t src_bytes)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 16);
    pid_t pids[READERS];

    hugelite_pool_evict(pool, NULL, NULL);
    kit_origin_order(origin, "forget");
    url = kit_origin_url(origin, path);
    downwards = false;
    for (unsigned i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, NULL);
    for (unsigned i = 0; i < READERS; i++) {
        int status;

        EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
        EXPECT_EQ(status, 0);
    }
    expect_few(origin, src_bytes, READERS);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct kit_origin *origin;
    struct kit_frames frames;
    const char *dir;

    requires_hugepages(CHUNKS + 24);
    hl_stall_ns = 0; /* requests are counted */
    dir = test_dir();
    pool_dir = test_pool_dir();
    test_file(test_path(dir, "x.db"), BYTES, SEED);
    frames = kit_zst(test_path(dir, "x.db.zst"), BYTES, SEED, 1 << 20, 0);
    origin = kit_origin(dir);

    alone(origin, "/x.db", BYTES, false, false);
    alone(origin, "/x.db", BYTES, true, false);
    alone(origin, "/x.db", BYTES, false, true);
    alone(origin, "/x.db.zst", frames.src_bytes, false, false);
    side_by_side(origin, "/x.db", BYTES);
    side_by_side(origin, "/x.db.zst", frames.src_bytes);
    kit_origin_stop(origin);
    return 0;
}
