/* SPDX-License-Identifier: MIT
 *
 * test-early-raw: a read here and there of a plain file is a pread, until the chunk has been asked for
 * often enough.
 *
 * Passes when early reads of a file cost their own bytes; when a new reader's chunk is
 * filled beside him, and that of one who has read here and there for a while when it has been read often; when a file that has been written just now, which might change unseen,
 * is never filled but by those who ask; and when a reader who goes on from an early read, page
 * by page, gets the chunk.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 5000)
#define SEED 53
#define OFTEN 200 /* reads: more than any price */

static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static void read_at(uint64_t at, uint32_t length)
{
    static char buffer[2 * CHUNK];

    EXPECT_RC(hugelite_volume_read(vol, at, length, buffer), 0);
    EXPECT_PATTERN(buffer, length, SEED, at);
}

static void now_and_then(void)
{
    const uint64_t patience_ns = hl_patience_ns;
    struct hugelite_volume_stat st = kit_stat(vol);
    const void *data = NULL;

    /* A reader who has just begun: for all one knows he will want all of it. */
    EXPECT_RC(hugelite_volume_try_fetch(vol, 2 * CHUNK + 300 * 4096, 4096, &data), -EAGAIN);
    EXPECT(data == NULL);
    EXPECT_EQ(kit_stat(vol).source_bytes, st.source_bytes);
    stop_hold_reads();
    read_at(2 * CHUNK + 300 * 4096, 4096);
    st = kit_stat(vol);
    EXPECT_EQ(st.source_bytes, 4096);
    EXPECT_EQ(st.early_reads, 1);
    stop_resume_reads();
    kit_await_resident(pool, 1);
    EXPECT_EQ(kit_stat(vol).source_bytes, CHUNK); /* no byte of it twice */
    kit_verify_chunk(vol, SEED, 2);

    /* Soon he is known for one who reads here and there. */
    stop_hold_reads();
    read_at(4 * CHUNK + 100 * 4096, 4096);
    stop_await_held(1); /* else he would fill it himself */
    hl_patience_ns = 20 * 1000 * 1000;
    for (unsigned i = 1; i < 50; i++)
        read_at(4 * CHUNK + (100 + i * 37 % 300) * 4096, 4096);
    hl_patience_ns = patience_ns;
    stop_resume_reads();
    kit_await_resident(pool, 2);
    st = kit_stat(vol);
    EXPECT_EQ(st.early_reads, 51);
    EXPECT_EQ(st.fills, 2);
    read_at(200 * 4096, 1000);
    kit_await_idle(pool);
    EXPECT_EQ(kit_stat(vol).source_bytes, st.source_bytes + 1000);
    EXPECT_EQ(kit_stat(vol).early_reads, 52);
    EXPECT_EQ(kit_stat(vol).fills, 2);

    /* Then a chunk comes when it has been asked for again and again. */
    for (unsigned i = 1; i < OFTEN; i++)
        read_at((100 + i * 37 % 300) * 4096, 4096);
    kit_await_resident(pool, 3);
    st = kit_stat(vol);
    EXPECT_EQ(st.fills, 3);
    EXPECT(st.early_reads > 52 && st.early_reads <= OFTEN + 52);
    /* The read that a fill goes on from is part of it. */
    EXPECT_EQ(st.source_bytes, (st.early_reads - 3) * 4096 - 3096 + 3 * CHUNK);
    EXPECT_EQ(st.frames_decoded + st.errors + st.evictions, 0);
    kit_verify_chunk(vol, SEED, 0);
}

/* Page after page in the middle of a chunk. */
static void goes_on(void)
{
    uint64_t early = kit_stat(vol).early_reads, fills = kit_stat(vol).fills;

    for (unsigned i = 0; i < 100; i++)
        read_at(5 * CHUNK + 100 * 4096 + i * 4096, 4096);
    EXPECT(kit_stat(vol).early_reads - early <= 10);
    EXPECT(kit_stat(vol).fills > fills);
}

/* With a time stamp that a change in the next moment could have, too: 0.9 s ahead of the clock. */
static void young(const char *path)
{
    struct timespec times[2] = { { 0 } };
    struct hugelite_volume_stat st;
    unsigned early = 0;
    const void *data;
    double start;

    EXPECT_EQ(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_nsec += 900 * 1000 * 1000;
    times[0].tv_sec += times[0].tv_nsec / 1000000000;
    times[0].tv_nsec %= 1000000000;
    times[1] = times[0];
    start = test_now();
    EXPECT_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
    vol = kit_volume(pool, path);
    for (unsigned i = 0; i < CHUNKS; i += 2) {
        int rc = hugelite_volume_try_fetch(vol, i * CHUNK + CHUNK / 2, 8, &data);

        if (rc == 0) {
            EXPECT_PATTERN(data, 8, SEED, i * CHUNK + CHUNK / 2);
            hugelite_volume_release(vol, data);
        }
        early += rc == -EAGAIN;
    }
    for (unsigned i = 0; i < 4; i++) /* in order, and none is filled ahead */
        kit_verify_chunk(vol, SEED, i);
    EXPECT_RC(hugelite_volume_warm(vol, 0, 4 * CHUNK, NULL, NULL), 0);
    kit_await_idle(pool);
    st = kit_stat(vol);
    if (test_now() - start < 0.6) { /* it may take its time, and then be old */
        EXPECT_EQ(early, 0);
        EXPECT_EQ(st.fills, 5);
        EXPECT_EQ(st.early_reads, 0);
    }
    kit_verify_read(vol, SEED);
    hugelite_volume_close(vol);
}

int main(void)
{
    const char *path = test_path(test_dir(), "db");

    kit_use_cpus(2);
    test_file(path, BYTES, SEED);
    kit_age(path);
    pool = kit_pool(test_pool_dir(), 2 * CHUNKS);
    vol = kit_volume(pool, path);
    EXPECT_STR(hugelite_volume_encoding(vol), "raw");
    now_and_then();
    goes_on();
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    young(path);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
