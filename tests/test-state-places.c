/* SPDX-License-Identifier: MIT
 *
 * test-state-places: which directory state is kept in, and which is done without.
 *
 * Passes when one that is missing is made, private; when `none`, a missing parent, a file, a directory that may
 * not be written, another user's, one that anybody may write, and one on a network file system give no
 * catalog and no tier, say why (but for `none`) and leave all calls harmless; when a place that a group shares on
 * purpose is used by its members; when two names of one directory are one state; and
 * when the default lies in the home directory.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *root;
static unsigned released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

/* Everything may be called, and nothing comes of it. */
static void expect_without(const char *why)
{
    struct hl_state *state = hl_state_get();
    uint64_t name_key[2], bytes = 1, size = 1;
    struct hl_known known = sk_known(1, 1);
    struct hl_extent extent = { .length = 5 };
    uint32_t length;
    void *blob;

    EXPECT(state->catalog == NULL && state->tier == NULL);
    if (*why) {
        EXPECT_CONTAINS(sk_notice(state), "done without");
        EXPECT_CONTAINS(sk_notice(state), why);
    } else {
        EXPECT_STR(sk_notice(state), "");
    }
    sk_name_key(1, name_key);
    sk_post_known(state, 1, 1);
    hl_catalog_post(state, name_key, HL_BLOB_WARM, 0, "x", 1);
    released = 0;
    hl_tier_post(state, name_key, 0, 1, "x", release, NULL);
    EXPECT_EQ(released, 1);
    sk_flush(state);
    EXPECT_RC(hl_catalog_find(state->catalog, name_key, &known), -ENOENT);
    EXPECT_RC(hl_catalog_read(state->catalog, name_key, HL_BLOB_WARM, 0, &blob, &length), -ENOENT);
    EXPECT_RC(hl_catalog_forget(state, name_key), -ENOENT);
    EXPECT_EQ(hl_tier_find(state, name_key, 0, 1, &extent, 1), 0);
    EXPECT_RC(hl_tier_read(state, name_key, &extent, blob = malloc(5)), -ESTALE);
    free(blob);
    hl_tier_stat(state, &bytes, &size);
    EXPECT_EQ(bytes + size, 0);
    hl_state_put(state);
}

static void expect_works(void)
{
    struct hl_state *state = sk_open();

    sk_post_known(state, 1, 1);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 1), 1);
    sk_close(state);
}

static int (*real_fstatfs)(int fd, struct statfs *fs);
static long magic;

static int network_fstatfs(int fd, struct statfs *fs)
{
    int rc = real_fstatfs(fd, fs);

    fs->f_type = magic;
    return rc;
}

static void test_network(void)
{
    static const long magics[] = { 0x6969, (int)0xFF534D42, 0xFE534D42 };

    real_fstatfs = hl_sys.fstatfs;
    hl_sys.fstatfs = network_fstatfs;
    for (unsigned i = 0; i < sizeof magics / sizeof *magics; i++) {
        magic = magics[i];
        expect_without("network file system");
    }
    hl_sys.fstatfs = real_fstatfs;
    expect_works();
}

static void as_other_user(void *arg)
{
    (void)arg;
    kit_become(65534, 65534);
    sk_use(test_path(root, "roots"), NULL);
    expect_without("belongs to another user");
    sk_use(test_path(root, "below"), NULL);
    expect_without("cannot make the directory");
    /* What its group shares on purpose. */
    sk_use(test_path(root, "group"), NULL);
    expect_works();
    sk_use(test_path(root, "mine"), NULL);
    expect_works();
    EXPECT_EQ(chmod(test_path(root, "mine"), 0500), 0);
    expect_without("cannot be written");

    /* The default, of one who is not root. */
    EXPECT_EQ(mkdir(test_path(root, "mine2/home"), 0755), 0);
    unsetenv("HUGELITE_STATE");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", test_path(root, "mine2/home"), 1);
    expect_works();
    EXPECT_EQ(access(test_path(root, "mine2/home/.local/state/hugelite/catalog/data.mdb"), F_OK), 0);
    setenv("XDG_STATE_HOME", test_path(root, "mine2/state"), 1);
    expect_works();
    EXPECT_EQ(access(test_path(root, "mine2/state/hugelite/catalog/data.mdb"), F_OK), 0);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    expect_without("no home directory");
}

static void test_users(void)
{
    struct hl_state *state;
    struct stat st;

    EXPECT_EQ(mkdir(test_path(root, "roots"), 0755), 0);
    EXPECT_EQ(mkdir(test_path(root, "group"), 0755), 0);
    EXPECT_EQ(chown(test_path(root, "group"), 0, 65534), 0);
    EXPECT_EQ(chmod(test_path(root, "group"), 02770), 0);
    for (unsigned i = 0; i < 2; i++) {
        const char *mine = test_path(root, i ? "mine2" : "mine");

        EXPECT_EQ(mkdir(mine, 0700), 0);
        EXPECT_EQ(chown(mine, 65534, 65534), 0);
    }
    /* Whoever comes first, and whatever his umask. */
    sk_use(test_path(root, "group"), "1M");
    umask(077);
    state = sk_open();
    sk_keep(state, (uint64_t[2]){ 1, 1 }, 0, 100);
    sk_close(state);
    EXPECT_EQ(stat(test_path(root, "group/catalog/data.mdb"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0660);
    EXPECT_EQ(st.st_gid, 65534);
    EXPECT_EQ(stat(test_path(root, "group/tier/00000001"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0660);
    EXPECT_CHILD(kit_fork(as_other_user, NULL), 0);
}

int main(void)
{
    struct hl_state *one, *two;
    struct stat st;

    root = test_dir();
    sk_use("none", NULL);
    expect_without("");
    sk_use(test_path(root, "missing/state"), NULL);
    expect_without("cannot make the directory");
    test_file(test_path(root, "file"), 10, 1);
    sk_use(test_path(root, "file"), NULL);
    expect_without("cannot open it");
    EXPECT_EQ(mkdir(test_path(root, "open"), 0777), 0);
    EXPECT_EQ(chmod(test_path(root, "open"), 0777), 0);
    sk_use(test_path(root, "open"), NULL);
    expect_without("writable by anybody");

    sk_use(test_path(root, "state"), NULL);
    expect_works();
    EXPECT_EQ(stat(test_path(root, "state"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0700);
    EXPECT_EQ(stat(test_path(root, "state/catalog/data.mdb"), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600);
    test_network();

    one = sk_open();
    EXPECT_EQ(symlink(test_path(root, "state"), test_path(root, "link")), 0);
    sk_use(test_path(root, "link"), NULL);
    two = sk_open();
    EXPECT(one == two);
    hl_state_put(two);
    EXPECT_EQ(sk_version(one, 1), 1);
    hl_state_put(one);

    if (geteuid() == 0)
        test_users();
    return 0;
}
