/* SPDX-License-Identifier: MIT
 *
 * test-haul-ends: hauls that do not come to their end: the volume is closed, the process is killed, the
 * origin breaks off, the object is replaced.
 *
 * Passes when closing does not wait for what is under way and leaves no claim; when those who
 * share the pool with a process that was killed in the middle get every byte right, soon; when a
 * break in the middle costs requests, and no byte; and when an object that is another one now is -ESTALE
 * for what is not resident, and what is stays readable.
 */
#include "config.h"

#include "kit.h"
#include "kit-origin.h"
#include "sys.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 40
#define BYTES (CHUNKS * CHUNK)
#define SEED 77
#define PAGE 4096

static const char *pool_dir, *url;
static struct {
    _Atomic unsigned begun;
} *shared;

/* Enough of it in order that chunks ahead are under way. */
static int begin_scan(struct hugelite_volume *vol, unsigned chunks)
{
    char page[PAGE] __attribute__((aligned(8)));
    int rc = 0;

    for (uint64_t at = 0; rc == 0 && at < chunks * CHUNK; at += PAGE) {
        rc = hugelite_volume_read(vol, at, PAGE, page);
        if (rc == 0)
            kit_pattern(page, PAGE, SEED, at);
    }
    return rc;
}

static void closed_in_the_middle(struct kit_origin *origin)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 8);
    struct hugelite_volume *vol = kit_volume(pool, url);
    uint64_t started;

    EXPECT_RC(begin_scan(vol, 3), 0);
    kit_origin_order(origin, "fault path=/x.db drip=200000");
    EXPECT_RC(begin_scan(vol, 4), 0);
    started = hl_now_ns();
    hugelite_volume_close(vol);
    EXPECT(hl_now_ns() - started < 3000000000ull);
    kit_audit(pool);
    kit_origin_order(origin, "clear");
    hugelite_pool_evict(pool, NULL, NULL);
    hugelite_pool_close(pool);
}

static void victim(void *arg)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 8);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    begin_scan(vol, 6);
    atomic_store(&shared->begun, 1);
    begin_scan(vol, CHUNKS);
    pause();
}

static void killed_in_the_middle(struct kit_origin *origin)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 8);
    struct hugelite_volume *vol;
    pid_t pid;

    kit_origin_order(origin, "fault path=/x.db drip=20000000");
    pid = kit_fork(victim, NULL);
    kit_await(&shared->begun, 1);
    vol = kit_volume(pool, url);
    kit_kill(pid);
    kit_origin_order(origin, "clear");
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit(pool);
    hugelite_pool_evict(pool, NULL, NULL);
    hugelite_pool_close(pool);
}

static void broken_off(struct kit_origin *origin)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 8);
    struct hugelite_volume *vol = kit_volume(pool, url);

    kit_origin_order(origin, "fault path=/x.db reset=3000000 count=6");
    kit_origin_order(origin, "fault path=/x.db truncate=1000000 count=6");
    EXPECT_RC(begin_scan(vol, CHUNKS), 0);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit(pool);
    kit_origin_order(origin, "clear");
    hugelite_pool_evict(pool, NULL, NULL);
    hugelite_pool_close(pool);
}

static void replaced(struct kit_origin *origin, const char *path)
{
    struct hugelite_pool *pool = kit_pool(pool_dir, CHUNKS + 8);
    struct hugelite_volume *vol = kit_volume(pool, url), *next;
    const void *data;

    kit_verify_chunk(vol, SEED, 5);
    EXPECT_RC(hugelite_volume_fetch(vol, 5 * CHUNK, 4096, &data), 0);
    unlink(path);
    test_file(path, BYTES, SEED + 1);
    EXPECT_RC(begin_scan(vol, CHUNKS), -ESTALE);
    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    kit_pattern(data, 4096, SEED, 5 * CHUNK);
    kit_verify_chunk(vol, SEED, 5);

    next = kit_volume(pool, url);
    kit_verify(next, SEED + 1);
    EXPECT_RC(hugelite_volume_check(next), 0);
    hugelite_volume_close(next);
    hugelite_volume_close(vol);
    (void)origin;
    kit_audit(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct kit_origin *origin;
    const char *dir, *path;

    requires_hugepages(CHUNKS + 16);
    shared = kit_shared(sizeof *shared);
    dir = test_dir();
    pool_dir = test_pool_dir();
    path = test_path(dir, "x.db");
    test_file(path, BYTES, SEED);
    origin = kit_origin(dir);
    url = kit_origin_url(origin, "/x.db");

    closed_in_the_middle(origin);
    killed_in_the_middle(origin);
    broken_off(origin);
    replaced(origin, path);
    kit_origin_stop(origin);
    return 0;
}
