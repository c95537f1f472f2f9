/* SPDX-License-Identifier: MIT
 *
 * test-remote-fork: a process that has a remote volume open and transfers under way forks; the
 * parent goes on, and the child's handles answer -ECHILD, and it opens the volume anew and reads
 * all of it.
 *
 * Again and again, with threads that read meanwhile, so that the fork falls into every state of
 * a transfer.
 */
#include "test-remote-common.h"

#include <pthread.h>

#define BYTES (8 * CHUNK)
#define SEED 3
#define ROUNDS 6

static const char *url, *dir;
static struct hugelite_pool *pool;
static _Atomic bool stop;

/* Its own handle; the chunks are made to leave again and again. */
static void *read_on(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, url);
    unsigned i = (unsigned)(uintptr_t)arg;

    while (!stop) {
        kit_verify_chunk(vol, SEED, i++ % 8);
        if (i % 8 == 0)
            EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    }
    hugelite_volume_close(vol);
    return NULL;
}

static void child(struct hugelite_pool *old_pool, struct hugelite_volume *old_vol)
{
    struct hugelite_pool *own;
    struct hugelite_volume *vol;
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(old_vol, 0, 4096, &data), -ECHILD);
    hugelite_volume_close(old_vol);
    hugelite_pool_close(old_pool);
    own = kit_pool(dir, 16);
    vol = kit_volume(own, url);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(own);
    _exit(0);
}

int main(void)
{
    const char *www = test_dir(), *name;
    struct kit_origin *origin;

    if (TEST_SANITIZED)
        test_skip("fork() beside busy threads meets the sanitizer's own locks");
    remote_begin(TEST_HANG_S, true);
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    origin = kit_origin(www);
    kit_origin_order(origin, "latency_ms=3");
    for (unsigned kind = 0; kind < 2; kind++) {
        struct hugelite_volume *vol;
        pthread_t threads[2];

        name = kind ? "/x.db.zst" : "/x.db";
        url = kit_origin_url(origin, name);
        dir = test_pool_dir();
        pool = kit_pool(dir, 16);
        vol = kit_volume(pool, url);
        stop = false;
        for (uintptr_t i = 0; i < 2; i++)
            EXPECT_EQ(pthread_create(&threads[i], NULL, read_on, (void *)(i * 4)), 0);
        for (unsigned round = 0; round < ROUNDS; round++) {
            pid_t pid;

            test_sleep_ms(7 + 11 * round);
            fflush(NULL);
            pid = fork();
            EXPECT(pid >= 0);
            if (pid == 0)
                child(pool, vol);
            EXPECT_CHILD(pid, 0);
        }
        stop = true;
        for (unsigned i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        kit_verify(vol, SEED);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
    return 0;
}
