/* SPDX-License-Identifier: MIT
 *
 * test-pool-unprivileged: pools of ordinary users, private and shared by a group.
 *
 * Passes when a user without any privilege makes a pool in a world-writable place and
 * uses it (fill, evict, refill by fault, warm), which root and another user's -EACCES
 * show to be private; and when users of one group share a pool in a directory of mode
 * 2770: both fill, evict the other's chunks, finish what the other left when it was
 * killed, whatever the umask of the one who came first, while an outsider is refused.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 6
#define BUDGET 4
#define BYTES (CHUNKS * CHUNK - 5)
#define SEED 61
#define GROUP 54321

static const char *path, *dir;

static void use(void)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    const void *base;

    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_pool_evict(pool, path, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    EXPECT_RC(hugelite_volume_map(vol, &base), 0);
    EXPECT_PATTERN(base, BYTES, SEED, 0);
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
    hugelite_volume_close(vol);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

static void nobody(void *arg)
{
    struct stat st;

    (void)arg;
    kit_become(65534, 65534);
    EXPECT(open("/dev/mem", O_RDONLY | O_CLOEXEC) < 0); /* really */
    use();
    EXPECT_EQ(stat(test_path(dir, "control"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600);
    EXPECT_EQ(st.st_uid, 65534);
    EXPECT_EQ(stat(dir, &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0700);
}

static void outsider(void *arg)
{
    struct hugelite_pool *pool;

    (void)arg;
    kit_become(4242, 4242);
    EXPECT_RC(hugelite_pool_open(dir, NULL, &pool), -EACCES);
    EXPECT_CONTAINS(hugelite_error(), dir);
}

static void member_use(void *arg)
{
    kit_become((unsigned)(uintptr_t)arg, GROUP);
    umask(077); /* must not lock the others out */
    use();
}

static void member_dies(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    kit_become((unsigned)(uintptr_t)arg, GROUP);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    stop_after(STOP_COPY, 2, stop_die);
    kit_verify(vol, SEED);
}

int main(void)
{
    const char *parent;
    struct stat st;
    pid_t pid;
    int status;

    requires_root();
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);

    dir = test_pool_dir();
    {
        char *copy = strdup(dir);

        *strrchr(copy, '/') = '\0';
        parent = test_path(copy, ".");
        free(copy);
    }
    EXPECT_EQ(chmod(parent, 01777), 0);
    EXPECT_CHILD(kit_fork(nobody, NULL), 0);
    EXPECT_CHILD(kit_fork(outsider, NULL), 0);

    dir = test_pool_dir();
    EXPECT_EQ(mkdir(dir, 0770), 0);
    EXPECT_EQ(chown(dir, 0, GROUP), 0);
    EXPECT_EQ(chmod(dir, 02770), 0);
    EXPECT_CHILD(kit_fork(member_use, (void *)1001), 0);
    EXPECT_EQ(stat(test_path(dir, "control"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0660);
    EXPECT_EQ(st.st_gid, GROUP);
    EXPECT_CHILD(kit_fork(member_use, (void *)1002), 0);
    pid = kit_fork(member_dies, (void *)1002);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status));
    EXPECT_CHILD(kit_fork(member_use, (void *)1001), 0);
    EXPECT_CHILD(kit_fork(outsider, NULL), 0);
    return 0;
}
