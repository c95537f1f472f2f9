/* SPDX-License-Identifier: MIT
 *
 * test-crew-fails: what the crew cannot fill is no error of those who wait for it.
 *
 * Passes when a fetch that waits for a chunk which the crew then fails to fill, after an early read or
 * ahead of a scan, fills it and succeeds; when reads here and there and in order of a volume of
 * which the crew cannot fill anything are right; and when the early reads it cannot follow up use up
 * none of its places.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 103

static pthread_t asker;
static _Atomic unsigned failed;
static int (*real_ioctl)(int fd, unsigned long request, void *arg);

static int hook_ioctl(int fd, unsigned long request, void *arg)
{
    if (request != UFFDIO_COPY || pthread_equal(asker, pthread_self()))
        return real_ioctl(fd, request, arg);
    atomic_fetch_add(&failed, 1);
    ((struct uffdio_copy *)arg)->copy = -EINVAL;
    errno = EINVAL;
    return -1;
}

static void read_at(struct hugelite_volume *vol, uint64_t at)
{
    char page[4096];

    EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, at);
}

/* Once somebody waits for the chunk. */
static void *resume(void *arg)
{
    while (kit_stat(arg).waits == 0)
        test_sleep_ms(1);
    stop_resume_reads();
    return NULL;
}

int main(void)
{
    const char *path = test_path(test_dir(), "db.zst");
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hugelite_volume_stat st;
    pthread_t thread;

    kit_use_cpus(2);
    kit_zst(path, BYTES, SEED, 128 * 1024, 0);
    pool = kit_pool(test_pool_dir(), 2 * CHUNKS);
    vol = kit_volume(pool, path);
    asker = pthread_self();
    stop_hold_reads();
    real_ioctl = hl_sys.ioctl;
    hl_sys.ioctl = hook_ioctl;

    /* It has the chunk in hand, somebody waits, and it comes to nothing. */
    read_at(vol, 2 * CHUNK + CHUNK / 2);
    stop_await_held(1);
    EXPECT_EQ(pthread_create(&thread, NULL, resume, vol), 0);
    kit_verify_chunk(vol, SEED, 2);
    pthread_join(thread, NULL);
    st = kit_stat(vol);
    EXPECT_EQ(atomic_load(&failed), 1);
    EXPECT_EQ(st.fills, 1);
    EXPECT_EQ(st.errors, 1);
    EXPECT(st.waits > 0);

    /* Nobody waits. */
    stop_hold_reads();
    read_at(vol, 4 * CHUNK + CHUNK / 2);
    stop_await_held(1);
    stop_resume_reads();
    kit_await(&failed, 2);

    for (unsigned i = 0; i < 60; i++)
        read_at(vol, i * 5 % CHUNKS * CHUNK + (30 + i * 7) * 4096);
    for (unsigned i = 0; i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, i);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    /* The crew may come too late for what is ahead of the scan. */
    for (unsigned i = 0, before = atomic_load(&failed); i < 3 || atomic_load(&failed) == before; i++) {
        EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
        EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
        kit_verify_read(vol, SEED);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    }
    fprintf(stderr, "the crew failed %u times\n", atomic_load(&failed));

    /* It can again. */
    hl_sys.ioctl = real_ioctl;
    kit_audit(pool);
    st = kit_stat(vol);
    hugelite_volume_close(vol);
    vol = kit_volume(pool, path);
    read_at(vol, 4 * CHUNK + CHUNK / 2);
    kit_await_resident(pool, 1);
    EXPECT_EQ(kit_stat(vol).fills, st.fills + 1);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
