/* SPDX-License-Identifier: MIT
 *
 * test-remote-threads: threads of one process read remote volumes, each with a handle of its
 * own, through an origin that fails now and then, while chunks are made to leave, volumes are
 * closed and opened, and the catalog and the disk tier are written to; all of it is right.  For
 * ThreadSanitizer.
 */
#include "test-remote-common.h"

#include <pthread.h>

#define BYTES (6 * CHUNK - 4096)
#define SEED 61
#define THREADS 5

static struct hugelite_pool *pool;
static const char *urls[2];
static _Atomic bool stop;

static void read_pages(struct hugelite_volume *vol, unsigned *random)
{
    char bytes[8192];

    for (unsigned i = 0; i < 40; i++) {
        uint64_t at = (*random = *random * 1103515245 + 12345) % (BYTES - sizeof bytes) & ~7ull;

        EXPECT_RC(hugelite_volume_read(vol, at, sizeof bytes, bytes), 0);
        kit_pattern(bytes, sizeof bytes, SEED, at);
    }
}

static void *read_on(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, random = me;

    while (!stop) {
        struct hugelite_volume *vol = kit_volume(pool, urls[(me + random) % 2]);

        if (me % 3 == 0)
            kit_verify(vol, SEED);
        else if (me % 3 == 1)
            read_pages(vol, &random);
        else
            EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
        random++;
        hugelite_volume_close(vol);
    }
    return NULL;
}

int main(void)
{
    const char *www = test_dir();
    struct hugelite_pool_stat st;
    pthread_t threads[THREADS];
    struct kit_origin *origin;
    double until;

    remote_begin(TEST_HANG_S, true);
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    origin = kit_origin(www);
    urls[0] = kit_origin_url(origin, "/x.db");
    urls[1] = kit_origin_url(origin, "/x.db.zst");
    kit_origin_order(origin, "fault probability=0.1 reset=-1");
    kit_origin_order(origin, "fault probability=0.1 seed=2 truncate=50000");
    kit_origin_order(origin, "fault probability=0.2 seed=3 delay_ms=20");
    pool = kit_pool(test_pool_dir(), 16);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, read_on, (void *)i), 0);
    until = test_now() + kit_seconds(2);
    while (test_now() < until || kit_origin_stat(origin).requests <= 10) {
        test_sleep_ms(50);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    }
    stop = true;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fprintf(stderr, "%u requests\n", (unsigned)kit_origin_stat(origin).requests);
    EXPECT_STR(st.notice, "");
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
