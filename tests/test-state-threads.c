/* SPDX-License-Identifier: MIT
 *
 * test-state-threads: threads that open, read, write and close the state at the same time.
 *
 * Passes when each finds what it wrote, once it has been settled; when the directory is opened once however
 * many ask, and closed by the last; when what is posted beyond the bound is refused and its memory given
 * back; and when nothing is left: no thread, no descriptor.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include "clerk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, LIVES = 15, POSTS = 3 * HL_CLERK_BYTES / (8 << 20) };

static _Atomic unsigned released, run;

static void *work(void *arg)
{
    uint64_t me = *(unsigned *)arg;

    for (unsigned life = 0; life < LIVES; life++) {
        struct hl_state *state = sk_open();
        struct hl_known known = sk_known(me, life);
        unsigned stale;

        sk_post_known(state, me, life);
        sk_keep(state, known.key, life * 100, 10000);
        for (unsigned i = 0; i < 20; i++)
            EXPECT(sk_version(state, (me + i) % THREADS) < LIVES);
        sk_flush(state);
        EXPECT_EQ(sk_version(state, me), life);
        EXPECT(sk_kept(state, known.key, 0, 20000, &stale) == 10000);
        hl_state_put(state);
    }
    return NULL;
}

static void release(void *arg)
{
    (void)arg;
    atomic_fetch_add(&released, 1);
}

static void slow(struct hl_errand *errand)
{
    test_sleep_ms(200);
    atomic_fetch_add(&run, 1);
    free(errand);
}

static void test_bound(void)
{
    struct hl_state *state = sk_open();
    struct hl_errand *errand = calloc(1, sizeof *errand);
    uint8_t *bytes = calloc(1, 8 << 20);

    EXPECT(errand && bytes);
    errand->run = slow;
    EXPECT(hl_state_post(state, errand));
    for (unsigned i = 0; i < POSTS; i++)
        hl_tier_post(state, (uint64_t[2]){ i, 5 }, 0, 8 << 20, bytes, release, NULL);
    EXPECT(!hl_state_flush(state, 1000000));
    EXPECT(atomic_load(&released) >= POSTS / 2);
    EXPECT(atomic_load(&run) == 0);
    sk_flush(state);
    EXPECT_EQ(atomic_load(&run), 1);
    EXPECT_EQ(atomic_load(&released), POSTS);
    sk_close(state);
    free(bytes);
}

int main(void)
{
    unsigned numbers[THREADS], fds, nr;
    pthread_t threads[THREADS];

    sk_use(test_path(test_dir(), "state"), "8M");
    fds = kit_count_fds();
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    test_bound();
    /* One that has ended may be seen for a moment yet. */
    for (nr = 0; nr < 100 && kit_count_threads() > 1; nr++)
        test_sleep_ms(10);
    EXPECT_EQ(kit_count_threads(), 1 + (TEST_SANITIZED ? kit_count_threads() - 1 : 0));
    EXPECT_EQ(kit_count_fds(), fds);
    return 0;
}
