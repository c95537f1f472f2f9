/* SPDX-License-Identifier: MIT
 *
 * test-tier-disk-full: the state directory's file system is full, or files may not grow.
 *
 * Passes when the tier ends with one notice, nothing fails or hangs, memory is given back, and what was
 * kept before is read; when the catalog on a full disk does without what cannot be written, and works again
 * when there is room; when a directory that cannot even hold a catalog is done without; and when RLIMIT_FSIZE sends
 * no signal.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1u << 20)

static unsigned released;

static void release(void *arg)
{
    free(arg);
    released++;
}

static void post(struct hl_state *state, const uint64_t key[2], unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        uint8_t *bytes = malloc(256 * 1024);

        EXPECT(bytes != NULL);
        sk_bytes(key, i * 256ull * 1024, 256 * 1024, bytes);
        hl_tier_post(state, key, i * 256ull * 1024, 256 * 1024, bytes, release, bytes);
    }
    sk_flush(state);
}

/* The tier is larger than what there is room for. */
static void expect_ends(struct hl_state *state, const uint64_t key[2])
{
    uint64_t kept;
    char notice[1024];

    released = 0;
    post(state, key, 60);
    EXPECT_EQ(released, 60);
    strcpy(notice, sk_notice(state));
    EXPECT_CONTAINS(notice, "keeps nothing more");
    kept = sk_kept(state, key, 0, 64 * MIB, NULL);
    EXPECT(kept >= MIB && kept < 12 * MIB);
    post(state, key, 60);
    EXPECT_EQ(released, 120);
    EXPECT_EQ(sk_kept(state, key, 0, 64 * MIB, NULL), kept);
    EXPECT_STR(sk_notice(state), notice);
}

static void limited(void *arg)
{
    const uint64_t key[2] = { 7, 7 };
    struct rlimit limit = { 2 * MIB, 2 * MIB };
    struct hl_state *state;

    sk_use(arg, "64M");
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    state = sk_open();
    expect_ends(state, key);
    sk_close(state);
}

static void very_limited(void *arg)
{
    struct rlimit limit = { 4096, 4096 };
    struct hl_state *state;

    sk_use(arg, "64M");
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    state = hl_state_get();
    EXPECT(state->catalog == NULL);
    EXPECT_CONTAINS(sk_notice(state), "done without");
    hl_state_put(state);
}

static void fill_up(const char *path)
{
    static char block[65536];
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    memset(block, 1, sizeof block);
    for (size_t n = sizeof block; n; )
        if (write(fd, block, n) <= 0)
            n /= 2;
    close(fd);
}

static void full_disk(const char *mount_dir)
{
    const uint64_t key[2] = { 8, 8 };
    const char *dir = test_path(mount_dir, "state"), *filler = test_path(mount_dir, "filler");
    const char *ballast = test_path(mount_dir, "ballast");
    struct hl_state *state;

    kit_mount("tmpfs", "size=12m,mode=0755", mount_dir);
    sk_use(dir, "64M");
    test_file(ballast, 512 * 1024, 1);
    state = sk_open();
    sk_post_known(state, 1, 1);
    sk_flush(state);
    expect_ends(state, key);
    fill_up(filler);
    for (unsigned i = 2; i < 200; i++)
        sk_post_known(state, i, 2);
    sk_flush(state);
    EXPECT_CONTAINS(sk_notice(state), "could not be written");
    EXPECT_EQ(sk_version(state, 1), 1);
    EXPECT_EQ(unlink(ballast), 0);
    sk_post_known(state, 1, 9);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 1), 9);
    sk_close(state);

    /* Another life: what was kept is there. */
    EXPECT_EQ(unlink(filler), 0);
    fill_up(filler);
    state = sk_open();
    EXPECT_EQ(sk_version(state, 1), 9);
    EXPECT(sk_kept(state, key, 0, 64 * MIB, NULL) >= MIB);
    sk_close(state);

    fill_up(test_path(mount_dir, "rest")); /* what the close has given back */
    sk_use(test_path(mount_dir, "other"), "64M");
    state = hl_state_get();
    EXPECT(state->catalog == NULL);
    EXPECT_CONTAINS(sk_notice(state), "done without");
    hl_state_put(state);
    EXPECT_EQ(umount(mount_dir), 0);
}

int main(void)
{
    const char *root = test_dir(), *mount_dir = test_path(root, "mount");

    EXPECT_CHILD(kit_fork(limited, (void *)test_path(root, "limited")), 0);
    EXPECT_CHILD(kit_fork(very_limited, (void *)test_path(root, "very-limited")), 0);
    EXPECT_EQ(mkdir(mount_dir, 0755), 0);
    full_disk(mount_dir);
    return 0;
}
