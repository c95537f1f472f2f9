/* SPDX-License-Identifier: MIT
 *
 * test-crew-none: the system gives the crew no threads, or only one.
 *
 * Passes when everything works without a crew: reads here and there, in order and by pointer, a fetch,
 * a warming, a pool that is too small; each chunk filled by who asks for it, none ahead, none
 * read early, every byte right; and when one thread of many is enough for the
 * crew's work.
 */
#include "config.h"

#include "kit.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 83

static _Atomic int allowed = 1000;

/* The engine is linked statically, so it calls this one. */
__attribute__((visibility("default")))
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                   void *arg)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
            dlsym(RTLD_NEXT, "pthread_create");

    if (atomic_fetch_sub(&allowed, 1) <= 0)
        return EAGAIN;
    return real(thread, attr, start, arg);
}

static void read_at(struct hugelite_volume *vol, uint64_t at)
{
    char page[4096];

    EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, at);
}

static struct hugelite_pool *open_with(unsigned threads, unsigned budget, const char *path,
                                       struct hugelite_volume **ret_vol)
{
    struct hugelite_pool *pool;
    unsigned before = kit_count_threads();
    const void *base;

    atomic_store(&allowed, 1 + (int)threads); /* one serves faults */
    pool = kit_pool(test_pool_dir(), budget);
    *ret_vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_map(*ret_vol, &base), 0); /* has it tried */
    EXPECT_EQ(kit_count_threads(), before + 1 + threads);
    return pool;
}

static void without(const char *path, unsigned budget)
{
    struct hugelite_volume *vol;
    struct hugelite_pool *pool = open_with(0, budget, path, &vol);
    struct hugelite_volume_stat st;
    const char *base;
    const void *data;

    EXPECT_RC(hugelite_volume_try_fetch(vol, 3 * CHUNK + CHUNK / 2, 8, &data), 0);
    EXPECT_PATTERN(data, 8, SEED, 3 * CHUNK + CHUNK / 2);
    hugelite_volume_release(vol, data);
    for (unsigned i = 0; i < 20; i++)
        read_at(vol, i * 5 % CHUNKS * CHUNK + i * 9 * 4096);
    kit_verify(vol, SEED);
    kit_verify_read(vol, SEED);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    st = kit_stat(vol);
    EXPECT_RC(hugelite_volume_warm(vol, 0, 2 * CHUNK, NULL, NULL), 0);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    for (unsigned i = 2; i < CHUNKS; i++)
        kit_pattern(base + i * CHUNK, CHUNK - 8, SEED, i * CHUNK);
    kit_await_idle(pool);
    EXPECT_EQ(kit_stat(vol).fills - st.fills, CHUNKS);
    EXPECT_EQ(kit_stat(vol).early_reads, 0);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void with_one(const char *path)
{
    struct hugelite_volume *vol;
    struct hugelite_pool *pool = open_with(1, CHUNKS, path, &vol);

    for (unsigned i = 0; i < 300; i++)
        read_at(vol, 4 * CHUNK + (30 + i * 37 % 400) * 4096);
    kit_await_resident(pool, 1);
    EXPECT(kit_stat(vol).early_reads > 0);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    const char *dir = test_dir();
    const char *plain = test_path(dir, "db"), *packed = test_path(dir, "db.zst");

    test_file(plain, BYTES, SEED);
    kit_age(plain);
    kit_zst(packed, BYTES, SEED, 64 * 1024, 0);
    for (unsigned i = 0; i < 2; i++) {
        const char *path = i ? packed : plain;

        without(path, CHUNKS);
        without(path, 2);
        with_one(path);
    }
    return 0;
}
