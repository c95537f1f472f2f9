/* SPDX-License-Identifier: MIT
 *
 * test-replacement-resize: a pool grows and shrinks while processes read through it.
 *
 * Passes when a larger budget is used and a smaller one is kept to at once, pages going back to the file
 * system; when chunks that somebody holds stay, are told, and leave when they are let go and their time comes; when
 * sizes that cannot be are refused; and when readers beside many changes read every byte right and nothing is lost.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define MADE 12
#define LARGE 30
#define SMALL 4
#define CHUNKS 40
#define READERS 3
#define ROUNDS 40
#define SEED 17

static const char *path, *dir;
static _Atomic unsigned *stop;

static uint64_t budget(struct hugelite_pool *pool)
{
    struct hugelite_pool_stat st;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    return st.budget_bytes / CHUNK;
}

static uint64_t resize(struct hugelite_pool *pool, uint64_t chunks)
{
    uint64_t held = 99;

    EXPECT_RC(hugelite_pool_resize(pool, chunks * CHUNK, &held), 0);
    EXPECT_EQ(budget(pool), chunks);
    return held / CHUNK;
}

/* Those that a sweep has freed ahead of need are not resident, nor what the crew is about to fill. */
static void expect_resident(struct hugelite_pool *pool, uint64_t most)
{
    kit_await_idle(pool);
    EXPECT(kit_resident_chunks(pool) <= most);
    EXPECT(kit_resident_chunks(pool) + 1 >= most);
}

static void grow_and_shrink(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    kit_verify(vol, SEED);
    expect_resident(pool, MADE);
    EXPECT_EQ(resize(pool, LARGE), 0);
    kit_verify(vol, SEED);
    expect_resident(pool, LARGE);
    EXPECT_EQ(resize(pool, SMALL), 0);
    expect_resident(pool, SMALL);
    kit_verify(vol, SEED);
    expect_resident(pool, SMALL);
    kit_audit(pool);
}

static void held(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    const void *data[MADE];

    EXPECT_EQ(resize(pool, MADE), 0);
    for (unsigned i = 0; i < MADE; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK, 4096, &data[i]), 0);
    kit_await_idle(pool);
    EXPECT_EQ(resize(pool, SMALL), MADE - SMALL);
    EXPECT_EQ(kit_resident_chunks(pool), MADE);
    for (unsigned i = 0; i < MADE; i++) {
        EXPECT_PATTERN(data[i], 4096, SEED, i * CHUNK);
        hugelite_volume_release(vol, data[i]);
    }
    test_sleep_ms(60);     /* what is held is looked at again after 50 */
    kit_verify(vol, SEED); /* sweeps come by */
    expect_resident(pool, SMALL);
    EXPECT_EQ(resize(pool, SMALL), 0);
}

static void refused(struct hugelite_pool *pool)
{
    EXPECT_EQ(hugelite_pool_resize(pool, CHUNK - 1, NULL), -EINVAL);
    EXPECT_EQ(hugelite_pool_resize(pool, 9ull * MADE * CHUNK, NULL), -EFBIG);
    EXPECT_EQ(hugelite_pool_resize(pool, UINT64_MAX, NULL), -EFBIG);
    EXPECT_EQ(budget(pool), SMALL);
}

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 1);
    struct hugelite_volume *vol = kit_volume(pool, path);

    (void)arg;
    while (!atomic_load(stop)) {
        kit_verify(vol, SEED);
        kit_verify_read(vol, SEED);
    }
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void beside_readers(struct hugelite_pool *pool)
{
    pid_t pids[READERS];

    for (unsigned i = 0; i < READERS; i++)
        pids[i] = kit_fork(reader, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        resize(pool, i % 2 ? SMALL + i % 3 : LARGE - i % 5);
        test_sleep_ms(5);
    }
    atomic_store(stop, 1);
    for (unsigned i = 0; i < READERS; i++)
        EXPECT_CHILD(pids[i], 0);
    resize(pool, SMALL);
    kit_audit(pool);
    EXPECT(kit_resident_chunks(pool) <= SMALL);
}

int main(void)
{
    struct hugelite_volume *vol;
    struct hugelite_pool *pool;

    stop = kit_shared(sizeof *stop);
    path = test_path(test_dir(), "db");
    dir = test_pool_dir();
    test_file(path, CHUNKS * CHUNK, SEED);
    pool = kit_pool(dir, MADE);
    vol = kit_volume(pool, path);
    grow_and_shrink(pool, vol);
    held(pool, vol);
    refused(pool);
    beside_readers(pool);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
