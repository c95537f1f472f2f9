/* SPDX-License-Identifier: MIT
 *
 * test-chunk-threads-storm: the same storm as test-chunk-storm, as threads of one
 * process, where ThreadSanitizer can see it.
 *
 * Readers by fetch, by read() and by pointer, an evictor, and a thread that opens and
 * closes volumes of which one is replaced again and again.  Passes when no byte is
 * wrong, no call fails but -ESTALE for what was replaced, and nothing is left behind.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNKS 9
#define BUDGET 6
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 47

static const char *path, *changing, *fresh;
static struct hugelite_pool *pool;
static _Atomic unsigned stop;

static void *fetches(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, path);
    unsigned state = (unsigned)(uintptr_t)arg;
    const void *data;

    while (!atomic_load(&stop)) {
        uint64_t chunk = (state = state * 1103515245 + 12345) / 65536 % CHUNKS;

        EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, 8, &data), 0);
        kit_pattern(data, CHUNK - 8, SEED, chunk * CHUNK);
        hugelite_volume_release(vol, data);
    }
    hugelite_volume_close(vol);
    return NULL;
}

static void *reads(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, path);
    char *buffer = malloc(CHUNK);

    (void)arg;
    EXPECT(buffer != NULL);
    for (uint64_t at = 12345; !atomic_load(&stop); at = (at + CHUNK + 4096) % (BYTES - CHUNK)) {
        EXPECT_RC(hugelite_volume_read(vol, at, CHUNK, buffer), 0);
        EXPECT_PATTERN(buffer, CHUNK, SEED, at);
    }
    free(buffer);
    hugelite_volume_close(vol);
    return NULL;
}

static void *points(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, path);
    const char *base;

    (void)arg;
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    for (uint64_t i = 0; !atomic_load(&stop); i = (i + 4) % CHUNKS)
        kit_pattern(base + i * CHUNK, CHUNK - 8, SEED, i * CHUNK);
    hugelite_volume_close(vol);
    return NULL;
}

static void *opens(void *arg)
{
    struct hugelite_pool_stat st;

    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        struct hugelite_volume *vol = kit_volume(pool, path), *other;

        if (i % 3 == 0) {
            test_file(fresh, CHUNK + 4096, 100 + i);
            EXPECT_EQ(rename(fresh, changing), 0);
        }
        other = kit_volume(pool, changing);
        kit_verify(other, 100 + i - i % 3);
        kit_verify_chunk(vol, SEED, i % CHUNKS);
        EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
        EXPECT(st.resident_bytes <= BUDGET * CHUNK);
        EXPECT_EQ(st.readers, 1);
        hugelite_volume_close(vol);
        hugelite_volume_close(other);
    }
    return NULL;
}

static void *evicts(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        test_sleep_ms(1);
    }
    return NULL;
}

int main(void)
{
    static void *(*const mains[])(void *) = { fetches, fetches, reads, points, opens, evicts };
    enum { THREADS = sizeof mains / sizeof *mains };
    const char *dir = test_dir();
    pthread_t threads[THREADS];

    path = test_path(dir, "db");
    changing = test_path(dir, "changing");
    fresh = test_path(dir, "fresh");
    test_file(path, BYTES, SEED);
    pool = kit_pool(test_pool_dir(), BUDGET);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, mains[i], (void *)(i + 1)), 0);
    test_sleep_ms((unsigned)(kit_seconds(4) * 1000));
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
