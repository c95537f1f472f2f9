/* SPDX-License-Identifier: MIT
 *
 * test-inject-orphan: a filler dies between copy and publish, and when its page is to be taken
 * away, that fails.
 *
 * Passes when the page stays accounted for: in the pool's tables there is never more memory than
 * they say, others read right meanwhile, and in the end it is gone.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define CHUNKS 3
#define BYTES (CHUNKS * CHUNK)
#define SEED 8

static const char *path, *dir;

static void die_filling(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, 1);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *data;

    (void)arg;
    stop_after(STOP_COPY, 1, stop_die);
    hugelite_volume_fetch(vol, CHUNK, 1, &data);
}

int main(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    kit_age(path);
    hl_patience_ns = 2000ull * 1000 * 1000;
    for (unsigned nr = 1; nr <= 3; nr++) {
        pid_t pid = kit_fork(die_filling, NULL);
        const void *data;
        int status, rc;

        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        pool = kit_pool(dir, 1);
        vol = kit_volume(pool, path);
        stop_fail_kind(STOP_K_PUNCH, 1, nr, EIO);
        rc = hugelite_volume_fetch(vol, 0, 8, &data);
        EXPECT(stop_failed_kind() > 0);
        kit_audit(pool);
        if (rc == 0) {
            kit_pattern(data, CHUNK, SEED, 0);
            hugelite_volume_release(vol, data);
        }
        stop_fail_kind(STOP_K_PUNCH, 1, 0, 0);
        kit_verify(vol, SEED);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
    return 0;
}
