/* SPDX-License-Identifier: MIT
 *
 * test-replacement-scan: who looks things up keeps what he uses beside scans of much more than the pool has room for.
 *
 * A few chunks are looked at again and again, with fetch() as with try_fetch(), while another process goes
 * through a large volume page by page.  Passes when hardly any look finds its chunk gone, once the
 * set is known; when what the scan brought is what leaves; and when the same scan without anybody beside it
 * uses the whole pool.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#define BUDGET 32
#define HOT 12
#define LARGE 120
#define SCANS 3

static const char *hot_path, *large_path, *dir;
static _Atomic unsigned *done;

static void scan(struct hugelite_volume *vol)
{
    for (uint64_t offset = 0; offset < LARGE * CHUNK; offset += 65536) {
        const void *data;
        char bytes[64];
        int rc = hugelite_volume_try_fetch(vol, offset, sizeof bytes, &data);

        if (rc == -EAGAIN) {
            EXPECT_RC(hugelite_volume_read(vol, offset, sizeof bytes, bytes), 0);
            EXPECT_PATTERN(bytes, sizeof bytes, 2, offset);
            continue;
        }
        EXPECT_RC(rc, 0);
        EXPECT_PATTERN(data, sizeof bytes, 2, offset);
        hugelite_volume_release(vol, data);
    }
}

static void scanner(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 1);
    struct hugelite_volume *vol = kit_volume(pool, large_path);

    (void)arg;
    for (unsigned i = 0; i < SCANS; i++)
        scan(vol);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    atomic_store(done, 1);
}

static void look(struct hugelite_volume *vol, unsigned i)
{
    uint64_t offset = (uint64_t)(i * 5 % HOT) * CHUNK + i * 4096 % CHUNK;
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, offset, 8, &data), 0);
    EXPECT_PATTERN(data, 8, 1, offset);
    hugelite_volume_release(vol, data);
}

int main(void)
{
    struct hugelite_volume *vol, *large;
    struct hugelite_pool *pool;
    uint64_t fills;
    pid_t pid;

    done = kit_shared(sizeof *done);
    hot_path = test_path(test_dir(), "hot");
    large_path = test_path(test_dir(), "large");
    dir = test_pool_dir();
    test_file(hot_path, HOT * CHUNK, 1);
    test_file(large_path, LARGE * CHUNK, 2);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, hot_path);
    large = kit_volume(pool, large_path);
    for (unsigned i = 0; i < 20 * HOT; i++)
        look(vol, i);
    fills = kit_stat(vol).fills;
    EXPECT_EQ(fills, HOT);

    pid = kit_fork(scanner, NULL);
    for (unsigned i = 0; !atomic_load(done); i++)
        look(vol, i);
    EXPECT_CHILD(pid, 0);
    fprintf(stderr, "%u hot chunks: %llu filled again beside %llu evictions of the scanned\n", HOT,
            (unsigned long long)(kit_stat(vol).fills - fills),
            (unsigned long long)kit_stat(large).evictions);
    EXPECT(kit_stat(large).evictions > LARGE);
    EXPECT(kit_stat(vol).fills - fills <= HOT / 4);
    kit_audit(pool);

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    scan(large);
    EXPECT(kit_stat(large).resident_bytes >= (BUDGET - 4) * CHUNK);
    hugelite_volume_close(vol);
    hugelite_volume_close(large);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
