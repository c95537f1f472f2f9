/* SPDX-License-Identifier: MIT
 *
 * test-state-fork: a child has nothing of its parent's state, and does it no harm.
 *
 * Passes when, while threads of the parent read and write without a pause, children find the
 * inherited state dead, open their own, read and write there, fork again and end, or exec; when the parent's
 * descriptors are not kept open by them; when the parent still is the one that keeps the catalog open after its
 * children have ended; and when what both wrote is there.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static struct hl_state *state;
static _Atomic bool stop;
/* The sanitizers' malloc does not survive a fork() beside busy threads: there they stand still. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *arg)
{
    uint64_t me = *(unsigned *)arg;
    const uint64_t key[2] = { me, 1 };
    unsigned stale;

    for (uint64_t v = 1; !atomic_load(&stop); v++) {
        if (TEST_SANITIZED)
            pthread_mutex_lock(&turn);
        if (v % 16 == 0)
            sk_flush(state);
        sk_post_known(state, me, v);
        sk_keep(state, key, v * 1000, 1000);
        EXPECT(sk_version(state, me) <= (int64_t)v);
        /* What others keep may take its place. */
        sk_kept(state, key, 0, v * 1000, &stale);
        if (TEST_SANITIZED)
            pthread_mutex_unlock(&turn);
    }
    return NULL;
}

static void grandchild(void *arg)
{
    struct hl_state *mine = sk_open();

    (void)arg;
    EXPECT_EQ(sk_version(mine, 77), 7);
    sk_close(mine);
}

static void child(void *arg)
{
    struct hl_state *mine;
    unsigned fds;

    (void)arg;
    EXPECT_EQ(hl_tier_find(state, (uint64_t[2]){ 1, 1 }, 0, 1000,
                           &(struct hl_extent){ .length = 0 }, 1), 0);
    EXPECT_CONTAINS(sk_notice(state), "fork()");
    sk_post_known(state, 1, 1);
    EXPECT(hl_state_flush(state, 0));
    hl_state_put(state);

    fds = kit_count_fds();
    mine = sk_open();
    EXPECT(mine != state);
    sk_post_known(mine, 77, 7);
    sk_keep(mine, (uint64_t[2]){ 77, 7 }, 0, 100000);
    sk_flush(mine);
    EXPECT_EQ(sk_version(mine, 77), 7);
    EXPECT_CHILD(kit_fork(grandchild, NULL), 0);
    EXPECT_EQ(sk_version(mine, 77), 7);
    sk_close(mine);
    EXPECT_EQ(kit_count_fds(), fds);
}

/* Would somebody else be the first? */
static void expect_in_use(void *arg)
{
    struct hl_state *mine = sk_open();

    (void)arg;
    EXPECT(!hl_catalog_was_first(mine->catalog));
    hl_state_put(mine);
}

int main(void)
{
    unsigned numbers[2] = { 1, 2 }, fds;
    pthread_t threads[2];

    dir = test_path(test_dir(), "state");
    sk_use(dir, "4M");
    fds = kit_count_fds();
    state = sk_open();
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    for (unsigned i = 0; i < 25; i++) {
        if (TEST_SANITIZED) {
            pthread_mutex_lock(&turn);
            sk_flush(state);
        }
        EXPECT_CHILD(kit_fork(child, NULL), 0);
        EXPECT_CHILD(kit_fork(expect_in_use, NULL), 0);
        if (TEST_SANITIZED)
            pthread_mutex_unlock(&turn);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 77), 7);
    EXPECT(sk_version(state, 1) > 1);
    EXPECT_STR(sk_notice(state), "");
    sk_close(state);
    EXPECT_EQ(kit_count_fds(), fds);
    return 0;
}
