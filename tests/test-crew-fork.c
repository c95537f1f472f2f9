/* SPDX-License-Identifier: MIT
 *
 * test-crew-fork: fork() while the crew has claimed chunks and works.
 *
 * Passes when the child has none of it (every call says -ECHILD, the old handles close at once), opens
 * anew, reads the very chunks that its parent's crew is filling, with a crew of its own, forks
 * again and closes; and when the parent's crew finishes what it had begun, whether
 * the child lives or is killed.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 8
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 79
#define FRAME (128 * 1024)

static const char *path, *dir;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static void read_at(struct hugelite_volume *from, uint64_t at)
{
    char page[4096];

    EXPECT_RC(hugelite_volume_read(from, at, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, at);
}

static void child(void *arg)
{
    struct hugelite_pool *mine, *old_pool = pool;
    struct hugelite_volume *my_vol, *old_vol = vol;
    const void *data = NULL;
    unsigned threads;
    char byte;

    alarm(TEST_HANG_S);
    stop_resume_reads(); /* here; the parent's still wait */
    hl_patience_ns = 50 * 1000 * 1000;
    EXPECT_EQ(kit_count_threads(), 1);
    EXPECT_RC(hugelite_volume_try_fetch(vol, CHUNK, 1, &data), -ECHILD);
    EXPECT_RC(hugelite_volume_read(vol, CHUNK, 1, &byte), -ECHILD);
    if ((uintptr_t)arg % 2) {
        hugelite_volume_close(vol);
        hugelite_pool_close(pool);
    }
    mine = kit_pool(dir, 2 * CHUNKS);
    my_vol = kit_volume(mine, path);
    threads = kit_count_threads();
    for (unsigned i = 0; i < CHUNKS; i++) /* some are the parent's */
        read_at(my_vol, i * 3 % CHUNKS * CHUNK + 200 * 4096);
    EXPECT(kit_count_threads() > threads); /* a crew of its own */
    kit_verify_read(my_vol, SEED);
    vol = my_vol;
    pool = mine;
    if (arg && (uintptr_t)arg < 3)
        EXPECT_CHILD(kit_fork(child, NULL), 0);
    if ((uintptr_t)arg == 3)
        stop_die();
    hugelite_volume_close(my_vol);
    hugelite_pool_close(mine);
    if ((uintptr_t)arg % 2 == 0 && arg) {
        hugelite_volume_close(old_vol);
        hugelite_pool_close(old_pool);
    }
    EXPECT_EQ(kit_count_threads(), 1);
}

int main(void)
{
    if (TEST_SANITIZED)
        test_skip("fork() beside busy threads meets the sanitizer's own locks");
    kit_use_cpus(2);
    path = test_path(test_dir(), "db.zst");
    dir = test_pool_dir();
    kit_zst(path, BYTES, SEED, FRAME, 0);
    for (uintptr_t i = 0; i < 6; i++) {
        uint64_t claimed = 0;
        pid_t pid;

        pool = kit_pool(dir, 2 * CHUNKS);
        vol = kit_volume(pool, path);
        stop_hold_reads();
        for (unsigned c = 1; c < CHUNKS; c += 2)
            if (!hl_crew_is_busy(&pool->crew) || c == 1)
                read_at(vol, c * CHUNK + 300 * 4096);
        claimed = atomic_load(&pool->crew.nr_reserved);
        EXPECT(claimed >= 2);
        pid = kit_fork(child, (void *)(i % 4));
        if (i == 4)
            stop_resume_reads(); /* both at once */
        if (i == 5)
            kit_kill(pid);
        else if (i == 3)
            EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        else
            EXPECT_CHILD(pid, 0);
        EXPECT_EQ(kit_stat(vol).errors, 0);
        stop_resume_reads();
        kit_verify(vol, SEED);
        EXPECT_EQ(kit_stat(vol).errors, 0);
        kit_audit(pool);
        hugelite_volume_close(vol);
        EXPECT_EQ(atomic_load(&pool->crew.nr_reserved), 0);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
    return 0;
}
