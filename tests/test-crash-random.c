/* SPDX-License-Identifier: MIT
 *
 * test-crash-random: kill -9 at any moment, 200 times.
 *
 * Processes that fill, evict, open and close over a small budget are killed after a
 * random time of up to 4 ms (so that it hits the middle of UFFDIO_COPY, of a punch,
 * and the steps between two system calls) while two others read.  Passes when the
 * readers see every byte right and never wait for long, the tables
 * agree with the images at the end, and no page and no ticket is lost.
 */
#include "config.h"

#include "kit.h"

#include <stdlib.h>
#include <unistd.h>

#define CHUNKS 12
#define BUDGET 8
#define BYTES (CHUNKS * CHUNK - 4)
#define SEED 37
#define ROUNDS 200

static const char *path, *other, *dir;
static struct {
    _Atomic unsigned working, stop, reads;
} *shared;

static void victim(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg * 7;
    struct hugelite_pool *pool;

    atomic_store(&shared->working, 1);
    pool = kit_pool(dir, BUDGET);
    for (;; i++) {
        struct hugelite_volume *vol = kit_volume(pool, i % 3 ? path : other);
        const void *data;

        for (unsigned n = 0; n < 6; n++, i += 5) {
            EXPECT_RC(hugelite_volume_fetch(vol, i % CHUNKS * CHUNK, 1, &data), 0);
            if (n % 2)
                hugelite_volume_release(vol, data);
        }
        if (i % 4 == 0)
            EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        hugelite_volume_close(vol);
    }
}

static void reader(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const char *base;

    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    for (unsigned i = 0; !atomic_load(&shared->stop); i++) {
        double start = test_now(), took;

        if (arg)
            kit_verify_chunk(vol, SEED, i * 7 % CHUNKS);
        else
            kit_pattern(base + i % CHUNKS * CHUNK, CHUNK - 4, SEED, i % CHUNKS * CHUNK);
        took = test_now() - start;
        if (took > TEST_HANG_S)
            test_fail(__FILE__, __LINE__, "one chunk took %.1f s", took);
        atomic_fetch_add(&shared->reads, 1);
    }
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    pid_t readers[2];

    shared = kit_shared(sizeof *shared);
    path = test_path(test_dir(), "db");
    other = test_path(test_dir(), "other");
    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    test_file(other, BYTES, SEED + 1);
    srandom(4711);
    for (uintptr_t i = 0; i < 2; i++)
        readers[i] = kit_fork(reader, (void *)i);
    for (uintptr_t i = 0; i < ROUNDS || atomic_load(&shared->reads) <= ROUNDS; i++) {
        pid_t pid;

        atomic_store(&shared->working, 0);
        pid = kit_fork(victim, (void *)i);
        kit_await(&shared->working, 1);
        usleep((useconds_t)(random() % 4000));
        kit_kill(pid);
    }
    atomic_store(&shared->stop, 1);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_CHILD(readers[i], 0);

    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    vol = kit_volume(pool, other);
    kit_verify(vol, SEED + 1);
    hugelite_volume_close(vol);
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
