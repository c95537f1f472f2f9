/* SPDX-License-Identifier: MIT
 *
 * test-remote-state: without a state directory that it can use, everything works as it does
 * without one, and the pool's notice says what is wrong: not a directory, read-only, garbage in
 * the catalog, a catalog of zero bytes.
 *
 * Passes also when the disk below it is full: reads go on, and the notice says so.
 */
#include "test-remote-common.h"

#include <sys/mount.h>

#define BYTES (6 * CHUNK)
#define SEED 16

static const char *url, *www;
static struct kit_origin *origin;

/* Opens, reads, and leaves the notice; waits for one if so asked. */
static void use(char notice[512], bool patient)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16);
    struct hugelite_volume *vol = kit_volume(pool, url);
    struct hugelite_pool_stat st;

    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    /* What is fetched is written in the background. */
    for (unsigned i = 0; i < (patient ? 20 : 1); i++) {
        EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
        if (*st.notice)
            break;
        test_sleep_ms(20);
    }
    snprintf(notice, 512, "%s", st.notice);
    fprintf(stderr, "state '%s', notice '%s', tier %llu of %llu\n", st.state_dir, st.notice,
            (unsigned long long)st.tier_bytes, (unsigned long long)st.tier_size);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void not_a_directory(void *arg)
{
    const char *file = test_path(www, "x.db");
    char notice[512];

    (void)arg;
    setenv("HUGELITE_STATE", file, 1);
    use(notice, false);
    EXPECT(*notice);
    setenv("HUGELITE_STATE", test_path(file, "below"), 1);
    use(notice, false);
    EXPECT(*notice);
}

static void good(void *arg)
{
    char notice[512];

    (void)arg;
    use(notice, false);
    EXPECT_STR(notice, "");
}

/* Every file of it is garbage, or empty, or half of what it was: it is made anew, or done without.
 */
static void damaged(void *arg)
{
    const char *state = getenv("HUGELITE_STATE");
    char command[8192], notice[512];

    EXPECT_CHILD(kit_fork(good, NULL), 0);
    snprintf(command, sizeof command, "find '%s' -type f -size +0 | while read -r f; do %s; done",
             state, (const char *)arg);
    EXPECT_EQ(system(command), 0);
    use(notice, false);
    use(notice, false);
}

static void read_only(void *arg)
{
    const char *dir = test_dir();
    char notice[512];

    (void)arg;
    kit_mount("tmpfs", "size=64M", dir);
    setenv("HUGELITE_STATE", test_path(dir, "state"), 1);
    EXPECT_CHILD(kit_fork(good, NULL), 0);
    EXPECT_EQ(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    use(notice, false);
    EXPECT(*notice);
}

static void full(void *arg)
{
    const char *dir = test_dir();
    char notice[512];

    (void)arg;
    kit_mount("tmpfs", "size=6M", dir);
    setenv("HUGELITE_STATE", test_path(dir, "state"), 1);
    setenv("HUGELITE_TIER_SIZE", "64M", 1);
    /* What the clerk has no time for is not kept: once more. */
    for (unsigned i = 0; i < 5; i++) {
        use(notice, true);
        if (*notice)
            return;
    }
    EXPECT(*notice);
}

int main(void)
{
    www = test_dir();
    remote_object(www, "x.db", BYTES, SEED);
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db");
    remote_begin(TEST_HANG_S, true);
    EXPECT_CHILD(kit_fork(not_a_directory, NULL), 0);
    EXPECT_CHILD(kit_fork(damaged, "head -c 70000 /dev/urandom > \"$f\""), 0);
    remote_begin(TEST_HANG_S, true);
    EXPECT_CHILD(kit_fork(damaged, ": > \"$f\""), 0);
    remote_begin(TEST_HANG_S, true);
    EXPECT_CHILD(kit_fork(damaged, "truncate -s $(($(stat -c %s \"$f\") / 2)) \"$f\""), 0);
    remote_begin(TEST_HANG_S, true);
    EXPECT_CHILD(kit_fork(damaged, "head -c 20000 /dev/urandom | "
                                   "dd of=\"$f\" bs=1 seek=100 conv=notrunc status=none"), 0);
    EXPECT_CHILD(kit_fork(full, NULL), 0);
    EXPECT_CHILD(kit_fork(read_only, NULL), 0);
    return 0;
}
