/* SPDX-License-Identifier: MIT
 *
 * test-held-gone: chunks that a reader holds while everything else leaves, and their source goes.
 *
 * The reader holds two chunks; another process sends a larger file through the pool, several times, and
 * evicts all that can go, before and after the source is deleted, cut, overwritten, replaced or
 * unreadable.  Passes when the held chunks have their bytes all the time and are all that is left
 * in the pool; when every other chunk gives its right bytes (where the old file still exists under
 * its descriptor) or the error that hugelite.h says, by fetch and by read; and when the reader lives.
 * For a plain file and a compressed one.
 */
#include "config.h"

#include "held.h"
#include "kit.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNKS 4
#define BYTES (CHUNKS * CHUNK - 4096)
#define BUDGET 4
#define OTHER_CHUNKS 7
#define OTHER_BYTES (OTHER_CHUNKS * CHUNK - 8)
#define FRAME (256 * 1024)
#define SEED 83
#define OTHER_SEED 84

enum { HELD_FIRST = 1, HELD_LAST = CHUNKS - 1 };

static const char *path, *second, *other, *dir;
static bool compressed;
static struct {
    _Atomic unsigned reader, parent; /* steps done */
} *shared;

static void make_source(const char *at, uint64_t seed)
{
    if (compressed) {
        kit_zst(at, BYTES, seed, FRAME, 0);
    } else {
        test_file(at, BYTES, seed);
        kit_age(at);
    }
}

static void delete(void)
{
    EXPECT_EQ(unlink(path), 0);
}

static void cut(void)
{
    EXPECT_EQ(truncate(path, 0), 0);
}

static void overwrite(void)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    char *zeros = calloc(1, BYTES);

    EXPECT(fd >= 0 && zeros);
    EXPECT_EQ(pwrite(fd, zeros, BYTES, 0), BYTES);
    close(fd);
    free(zeros);
}

static void replace(void)
{
    make_source(second, SEED + 1);
    EXPECT_EQ(rename(second, path), 0);
}

static void nothing(void)
{
}

static const struct {
    const char *what;
    void (*go)(void);
    int rc;   /* of what is not held */
    int fail; /* errno of reads, in the reader */
} ways[] = {
    { "deleted", delete, 0, 0 },
    { "cut", cut, -ESTALE, 0 },
    { "overwritten", overwrite, -ESTALE, 0 },
    { "replaced", replace, 0, 0 },
    { "unreadable", nothing, -EIO, EIO },
};

static uint32_t length_of(uint64_t chunk)
{
    return (uint32_t)(chunk == CHUNKS - 1 ? BYTES - chunk * CHUNK : CHUNK);
}

static void expect_held(const void *const *held)
{
    kit_pattern(held[0], length_of(HELD_FIRST), SEED, HELD_FIRST * CHUNK);
    kit_pattern(held[1], length_of(HELD_LAST), SEED, HELD_LAST * CHUNK);
}

/* All chunks but the held ones, or when nothing is held any more all of them. */
static void expect_others(struct hugelite_volume *vol, int rc, bool held)
{
    char *buffer = malloc(CHUNK);

    EXPECT(buffer != NULL);
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        const void *data;

        if (held && (chunk == HELD_FIRST || chunk == HELD_LAST))
            continue;
        EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, length_of(chunk), &data), rc);
        if (rc == 0) {
            kit_pattern(data, length_of(chunk), SEED, chunk * CHUNK);
            hugelite_volume_release(vol, data);
        } else {
            EXPECT_CONTAINS(hugelite_error(), path);
        }
        EXPECT_RC(hugelite_volume_read(vol, chunk * CHUNK, length_of(chunk), buffer), rc);
        if (rc == 0)
            kit_pattern(buffer, length_of(chunk), SEED, chunk * CHUNK);
    }
    free(buffer);
}

static void reader(void *arg)
{
    unsigned way = (unsigned)(uintptr_t)arg;
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *held[2];

    kit_verify(vol, SEED);
    held_await_crew(pool);
    EXPECT_RC(hugelite_volume_fetch(vol, HELD_FIRST * CHUNK, 1, &held[0]), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, HELD_LAST * CHUNK, 1, &held[1]), 0);
    for (unsigned step = 1; step <= 2; step++) { /* while the source is there, and when it is gone */
        atomic_store(&shared->reader, step);
        do {
            expect_held(held);
            test_sleep_ms(5);
        } while (atomic_load(&shared->parent) < step);
        expect_held(held);
    }
    stop_fail_reads(ways[way].fail, 0, UINT64_MAX / 2);
    expect_others(vol, ways[way].rc, true);
    expect_held(held);
    hugelite_volume_release(vol, held[0]);
    hugelite_volume_release(vol, held[1]);
    held_await_crew(pool);
    atomic_store(&shared->reader, 3);
    kit_await(&shared->parent, 3);
    expect_others(vol, ways[way].rc, false);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

/* More than the pool holds, so many times, and then whatever is left. */
static void press(struct hugelite_pool *pool, unsigned rounds, uint64_t held)
{
    struct hugelite_volume *vol = kit_volume(pool, other);
    uint64_t before = kit_stat(vol).evictions;

    for (unsigned i = 0; i < rounds; i++)
        kit_verify(vol, OTHER_SEED);
    EXPECT(kit_stat(vol).evictions - before >= rounds * (OTHER_CHUNKS - BUDGET));
    held_await_crew(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), held);
    hugelite_volume_close(vol);
}

static void try(unsigned way)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    pid_t pid;

    make_source(path, SEED);
    atomic_store(&shared->reader, 0);
    atomic_store(&shared->parent, 0);
    pid = kit_fork(reader, (void *)(uintptr_t)way);
    kit_await(&shared->reader, 1);
    press(pool, 3, 2);
    atomic_store(&shared->parent, 1);
    kit_await(&shared->reader, 2);
    ways[way].go();
    press(pool, 1, 2);
    atomic_store(&shared->parent, 2);
    kit_await(&shared->reader, 3);
    press(pool, 1, 0);
    atomic_store(&shared->parent, 3);
    EXPECT_CHILD(pid, 0);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    unlink(path);
}

int main(void)
{
    const char *files = test_dir();

    shared = kit_shared(sizeof *shared);
    path = test_path(files, "db");
    second = test_path(files, "db.new");
    other = test_path(files, "other");
    dir = test_pool_dir();
    test_file(other, OTHER_BYTES, OTHER_SEED);
    kit_age(other);
    for (unsigned way = 0; way < 2 * sizeof ways / sizeof *ways; way++) {
        compressed = way % 2;
        try(way / 2);
    }
    return 0;
}
