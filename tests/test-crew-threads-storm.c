/* SPDX-License-Identifier: MIT
 *
 * test-crew-threads-storm: readers of every kind beside the crew, as threads of one process, where
 * ThreadSanitizer can see them.
 *
 * On a compressed and a plain volume, with half the room that they need: pages here and there, up and
 * down in order, whole chunks, plain pointers, warming; somebody evicts all, and somebody opens
 * and closes.  Passes when no byte is wrong, nothing fails, and nothing is left behind.
 */
#include "config.h"

#include "kit.h"

#include <pthread.h>
#include <stdio.h>

#define CHUNKS 12
#define BUDGET 12
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 89
#define PAGE 4096

static const char *paths[2];
static struct hugelite_pool *pool;
static _Atomic bool stop;
static _Atomic unsigned rounds;

static uint64_t seed_of(uintptr_t arg)
{
    return SEED + arg % 2;
}

static void read_page(struct hugelite_volume *vol, uintptr_t arg, uint64_t page)
{
    uint64_t at = page * PAGE, length = BYTES - at < PAGE ? BYTES - at : PAGE;
    char buffer[PAGE];

    EXPECT_RC(hugelite_volume_read(vol, at, length, buffer), 0);
    EXPECT_PATTERN(buffer, length, seed_of(arg), at);
    atomic_fetch_add(&rounds, 1);
}

static void *strays(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, paths[(uintptr_t)arg % 2]);
    uint64_t state = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        read_page(vol, (uintptr_t)arg, (state >> 33) % (BYTES / PAGE));
    }
    hugelite_volume_close(vol);
    return NULL;
}

static void *up(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, paths[(uintptr_t)arg % 2]);

    for (uint64_t page = 0; !atomic_load(&stop); page = (page + 16) % (BYTES / PAGE + 1))
        read_page(vol, (uintptr_t)arg, page);
    hugelite_volume_close(vol);
    return NULL;
}

static void *down(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, paths[(uintptr_t)arg % 2]);

    for (uint64_t page = 0; !atomic_load(&stop); page = (page + 16) % (BYTES / PAGE + 1))
        read_page(vol, (uintptr_t)arg, BYTES / PAGE - page);
    hugelite_volume_close(vol);
    return NULL;
}

static void *points(void *arg)
{
    struct hugelite_volume *vol = kit_volume(pool, paths[(uintptr_t)arg % 2]);
    const char *base;

    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    for (uint64_t i = 0; !atomic_load(&stop); i = (i + 1) % CHUNKS)
        kit_pattern(base + i * CHUNK, 65536, seed_of((uintptr_t)arg), i * CHUNK);
    hugelite_volume_close(vol);
    return NULL;
}

static void *opens(void *arg)
{
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        struct hugelite_volume *vol = kit_volume(pool, paths[(i + (uintptr_t)arg) % 2]);
        struct hugelite_volume_stat st;

        read_page(vol, i + (uintptr_t)arg, 100 + i % 5 * 512);
        read_page(vol, i + (uintptr_t)arg, 3000 + i % 7 * 400);
        if (i % 8 == 0)
            EXPECT_RC(hugelite_volume_warm(vol, i % CHUNKS * CHUNK, 5, NULL, NULL), 0);
        if (i % 4 == 0)
            kit_verify_chunk(vol, seed_of(i + (uintptr_t)arg), i * 5 % CHUNKS);
        EXPECT_RC(hugelite_volume_stat(vol, &st), 0);
        EXPECT_EQ(st.errors, 0);
        hugelite_volume_close(vol);
    }
    return NULL;
}

static void *evicts(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        test_sleep_ms(10);
    }
    return NULL;
}

int main(void)
{
    static void *(*const mains[])(void *) = {
        strays, strays, up, up, down, points, opens, opens, evicts,
    };
    enum { THREADS = sizeof mains / sizeof *mains };
    const char *dir = test_dir();
    pthread_t threads[THREADS];
    unsigned before;

    paths[0] = test_path(dir, "db.zst");
    paths[1] = test_path(dir, "db");
    kit_zst(paths[0], BYTES, SEED, 128 * 1024, 0);
    test_file(paths[1], BYTES, SEED + 1);
    kit_age(paths[1]);
    before = kit_count_threads();
    pool = kit_pool(test_pool_dir(), BUDGET);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, mains[i], (void *)i), 0);
    test_sleep_ms((unsigned)(kit_seconds(3) * 1000));
    kit_await(&rounds, 1001);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fprintf(stderr, "%u pages read\n", atomic_load(&rounds));
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    if (!TEST_SANITIZED) /* which has one of its own */
        EXPECT_EQ(kit_count_threads(), before);
    return 0;
}
