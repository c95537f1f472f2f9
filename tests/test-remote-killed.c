/* SPDX-License-Identifier: MIT
 *
 * test-remote-killed: a process is killed in the middle of hauling from a slow origin; the
 * others notice it, take over what it had begun, and read all of it right.
 *
 * Passes when two readers that wait for the same chunks end in time with every byte right, no
 * error, and a pool and a state directory that the next process finds in order.  Again and
 * again, at other moments.
 */
#include "test-remote-common.h"

#define BYTES (8 * CHUNK)
#define SEED 8
#define ROUNDS 4
#define TIMEOUT TEST_HANG_S

static struct {
    _Atomic unsigned ready;
} *shared;
static const char *url, *dir;

static void read_all(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 16);
    struct hugelite_volume *vol = kit_volume(pool, url);
    double began = test_now();

    (void)arg;
    atomic_fetch_add(&shared->ready, 1);
    kit_verify(vol, SEED);
    fprintf(stderr, "read in %.2f s\n", test_now() - began);
    EXPECT(test_now() - began < TIMEOUT); /* nobody waits for the dead until the deadline */
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *www = test_dir();
    struct kit_origin *origin;

    remote_begin(TIMEOUT, true);
    shared = kit_shared(sizeof *shared);
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    origin = kit_origin(www);
    kit_origin_order(origin, "latency_ms=5");
    kit_origin_order(origin, "rate=60000000");
    for (unsigned round = 0; round < ROUNDS; round++) {
        char name[64];
        pid_t victim, pids[2];
        struct hugelite_pool *pool;
        struct hugelite_volume *vol;

        snprintf(name, sizeof name, "/x%s", remote_endings[round % 2]);
        url = kit_origin_url(origin, name);
        dir = test_pool_dir();
        atomic_store(&shared->ready, 0);
        victim = kit_fork(read_all, NULL);
        kit_await(&shared->ready, 1);
        test_sleep_ms(20 + 50 * (round / 2));
        for (int i = 0; i < 2; i++)
            pids[i] = kit_fork(read_all, NULL);
        kit_await(&shared->ready, 3);
        test_sleep_ms(20);
        kit_kill(victim);
        for (int i = 0; i < 2; i++)
            EXPECT_CHILD(pids[i], 0);

        pool = kit_pool(dir, 16);
        vol = kit_volume(pool, url);
        kit_verify(vol, SEED);
        EXPECT_EQ(kit_resident_chunks(pool), 8);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
        /* The next round finds nothing on the disk either. */
        remote_begin(TIMEOUT, true);
    }
    return 0;
}
