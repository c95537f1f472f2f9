/* SPDX-License-Identifier: MIT
 *
 * test-remote-processes: eight cold readers of a remote volume fetch each of its bytes once,
 * together, and none of them starves.
 *
 * Half of them go through it page by page, half chunk by chunk, from different places.  Passes
 * when all see every byte right, the source's bytes and the origin's agree, and are the object's
 * and hardly more (the open has its own requests); and when the slowest waited for no deadline.
 */
#include "test-remote-common.h"

#include "transfer.h"

#define READERS 8
#define CHUNKS 12
#define BYTES (CHUNKS * CHUNK - 3 * 8)
#define SEED 57

static struct {
    _Atomic unsigned ready, go;
    double seconds[READERS];
} *shared;
static const char *url, *dir;

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 2 * CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, url);
    uintptr_t me = (uintptr_t)arg;
    char page[4096];
    double began;

    atomic_fetch_add(&shared->ready, 1);
    kit_await(&shared->go, 1);
    began = test_now();
    for (uint64_t at = 0; me % 2 && at < BYTES; at += sizeof page) {
        uint64_t length = BYTES - at < sizeof page ? BYTES - at : sizeof page;

        EXPECT_RC(hugelite_volume_read(vol, at, length, page), 0);
        kit_pattern(page, length, SEED, at);
    }
    for (uint64_t i = 0; me % 2 == 0 && i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, (i + me) % CHUNKS);
    shared->seconds[me] = test_now() - began;
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void run(const char *www, const char *ending)
{
    struct kit_origin *origin = kit_origin(www);
    struct kit_origin_stat seen;
    struct hugelite_volume_stat st;
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    double fastest = 1e9, slowest = 0;
    pid_t pids[READERS];
    char name[32];
    uint64_t src_bytes;

    snprintf(name, sizeof name, "x%s", ending);
    src_bytes = remote_object(www, name, BYTES, SEED);
    snprintf(name, sizeof name, "/x%s", ending);
    url = kit_origin_url(origin, name);
    dir = test_pool_dir();
    shared = kit_shared(sizeof *shared);
    kit_origin_order(origin, "latency_ms=10");
    for (uintptr_t i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, (void *)i);
    kit_await(&shared->ready, READERS);
    atomic_store(&shared->go, 1);
    for (int i = 0; i < READERS; i++)
        EXPECT_CHILD(pids[i], 0);
    seen = kit_origin_stat(origin);
    for (int i = 0; i < READERS; i++) {
        fastest = shared->seconds[i] < fastest ? shared->seconds[i] : fastest;
        slowest = shared->seconds[i] > slowest ? shared->seconds[i] : slowest;
    }

    pool = kit_pool(dir, 2 * CHUNKS);
    kit_origin_order(origin, "forget");
    vol = kit_volume(pool, url);
    st = kit_stat(vol);
    fprintf(stderr, "%s: %llu bytes and %llu requests counted, %llu and %llu by the origin, of"
            " %llu; %.2f to %.2f s\n", ending, (unsigned long long)st.source_bytes,
            (unsigned long long)st.requests, (unsigned long long)seen.bytes,
            (unsigned long long)seen.requests, (unsigned long long)src_bytes, fastest, slowest);
    EXPECT_EQ(st.fills, CHUNKS);
    EXPECT_EQ(st.errors, 0);
    EXPECT_EQ(st.resident_bytes, CHUNKS * CHUNK);
    /* The opens of nine readers: 64 KiB of head and 256 KiB of tail each.  And until a reader is
     * known to go in sequence he does not wait for a chunk that another fills, but asks for the
     * frame he needs. */
    EXPECT(st.source_bytes <= src_bytes + 9 * 320 * 1024 + 2 * READERS * 256 * 1024);
    EXPECT(st.source_bytes >= src_bytes - 320 * 1024);
    /* What both have counted, but for what is on its way just now. */
    seen.bytes += kit_origin_stat(origin).bytes;
    EXPECT(seen.bytes + 512 * 1024 >= st.source_bytes);
    EXPECT(seen.bytes <= st.source_bytes + 512 * 1024);
    EXPECT(slowest < TEST_HANG_S); /* nobody waits until a deadline */
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    kit_origin_stop(origin);
}

int main(void)
{
    const char *www = test_dir();

    remote_begin(TEST_HANG_S, false);
    hl_stall_ns = 0; /* bytes are counted */
    for (unsigned kind = 0; kind < 2; kind++)
        run(www, remote_endings[kind]);
    return 0;
}
