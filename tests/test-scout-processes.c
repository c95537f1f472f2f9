/* SPDX-License-Identifier: MIT
 *
 * test-scout-processes: of eight processes that open a cold volume with a warm list one goes for
 * it, and each byte is asked for once; when that one is killed, the next that comes goes on.
 *
 * Passes when there never are two threads that scout, and the chunks are all there in the end.
 */
#include "chunk.h"
#include "kit-origin.h"
#include "kit.h"
#include "pool.h"
#include "scout-kit.h"
#include "volume.h"

#include <stdlib.h>
#include <unistd.h>

enum { CHUNKS = 12, SEED = 5, PROCESSES = 8, OPEN_BYTES = 400 << 10, RATE = 24 << 20 };

struct shared {
    _Atomic unsigned open, leave;
};

static struct shared *shared;
static struct kit_origin *origin;
static const char *url, *dir;

static void read_all(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    for (unsigned i = 0; i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, i * 5 % CHUNKS);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void be_there(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    atomic_fetch_add(&shared->open, 1);
    kit_await(&shared->leave, 1);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static unsigned count_scouts(const pid_t *pids, unsigned nr, unsigned *ret_which)
{
    unsigned scouts = 0;

    for (unsigned i = 0; i < nr; i++) {
        unsigned here = sk_count_scouts(pids[i]);

        if (here)
            *ret_which = i;
        scouts += here;
    }
    return scouts;
}

/* While it is out, the volume names one and the same. */
static void await_all(struct hugelite_pool *pool, const pid_t *pids)
{
    double end = test_now() + TEST_HANG_S;
    unsigned seen = 0, which;
    uint64_t first = 0;

    while (kit_resident_chunks(pool) < CHUNKS) {
        unsigned scouts = count_scouts(pids, PROCESSES, &which);
        uint64_t owner = atomic_load(&pool->slots[0].scout);

        EXPECT(scouts <= 1);
        seen += scouts;
        first = first ? first : owner;
        EXPECT(owner == 0 || owner == first);
        EXPECT(test_now() < end);
    }
    EXPECT(seen > 0 && first);
}

static void once(void)
{
    struct hugelite_pool *pool;
    pid_t pids[PROCESSES];
    uint64_t before;

    dir = test_pool_dir();
    pool = kit_pool(dir, 16);
    atomic_store(&shared->leave, 0);
    before = kit_origin_stat(origin).bytes;
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = kit_fork(be_there, NULL);
    await_all(pool, pids);
    EXPECT(kit_origin_stat(origin).bytes - before <= CHUNKS * CHUNK + PROCESSES * OPEN_BYTES);
    atomic_store(&shared->leave, 1);
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

static void kill_first(void)
{
    double end = test_now() + TEST_HANG_S;
    struct hugelite_pool *pool;
    unsigned which = 0;
    pid_t pids[2];

    dir = test_pool_dir();
    pool = kit_pool(dir, 16);
    atomic_store(&shared->leave, 0);
    pids[0] = kit_fork(be_there, NULL);
    while (count_scouts(pids, 1, &which) == 0 || kit_resident_chunks(pool) == 0)
        EXPECT(test_now() < end);
    kit_kill(pids[0]);
    EXPECT(kit_resident_chunks(pool) < CHUNKS / 2);

    pids[1] = kit_fork(be_there, NULL);
    while (kit_resident_chunks(pool) < CHUNKS) {
        EXPECT(test_now() < end);
        test_sleep_ms(5);
    }
    atomic_store(&shared->leave, 1);
    EXPECT_CHILD(pids[1], 0);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *files = test_dir();

    shared = kit_shared(sizeof *shared);
    test_file(test_path(files, "file"), CHUNKS * CHUNK, SEED);
    origin = kit_origin(files);
    url = kit_origin_url(origin, "/file");
    sk_use_state(false);
    EXPECT_CHILD(kit_fork(read_all, NULL), 0);
    kit_origin_order(origin, "rate=%d", RATE);
    once();
    kill_first();
    kit_origin_stop(origin);
    return 0;
}
