/* SPDX-License-Identifier: MIT
 *
 * test-inject-state: the state directory, as remote volumes use it, while the Nth call of each
 * kind fails, or the Nth allocation.
 *
 * Versions and encoded bytes are posted to the catalog and the disk tier, and looked up.  Passes
 * when what is found is right, whatever failed, since nothing in it is needed; when the same
 * process then keeps and finds all of it; and when no descriptor, thread or block is left.
 */
#include "config.h"

#include "inject-kit.h"
#include "kit.h"
#include "state-kit.h"
#include "stop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { VERSIONS = 3, KEPT = 70000 };

static const uint64_t key[2] = { 77, 78 };
static uint8_t bytes[KEPT];
static unsigned nr_runs, nr_failed;

/* They are not to be freed. */
static void keep(void *arg)
{
    (void)arg;
}

static void find_versions(struct hl_state *state)
{
    for (uint64_t n = 1; n <= VERSIONS; n++) {
        struct hl_known known, right = sk_known(n, 1);
        uint64_t name_key[2];

        sk_name_key(n, name_key);
        if (hl_catalog_find(state->catalog, name_key, &known) < 0)
            continue;
        EXPECT_STR(known.name, right.name);
        EXPECT_STR(known.validator, right.validator);
        EXPECT_EQ(known.src_bytes, right.src_bytes);
        EXPECT_EQ(known.key[1], right.key[1]);
    }
}

static void find_bytes(struct hl_state *state)
{
    static uint8_t piece[HL_TIER_PIECE], right[HL_TIER_PIECE];
    uint64_t end;

    for (uint64_t at = 0; at < KEPT; at = end) {
        struct hl_extent extent;

        if (!hl_tier_find(state, key, at, KEPT - at, &extent, 1))
            return;
        end = extent.src_offset + extent.length;
        EXPECT(end > at && extent.length <= HL_TIER_PIECE);
        if (hl_tier_read(state, key, &extent, piece) < 0)
            continue;
        sk_bytes(key, extent.src_offset, extent.length, right);
        EXPECT_MEM(piece, right, extent.length);
    }
}

static void tell(void)
{
    struct hl_state *state = hl_state_get();

    if (!state)
        return;
    for (uint64_t n = 1; n <= VERSIONS; n++)
        sk_post_known(state, n, 1);
    hl_tier_post(state, key, 0, KEPT, bytes, keep, NULL);
    hl_state_flush(state, 20ull * 1000000000);
    if (state->catalog)
        find_versions(state);
    if (state->tier)
        find_bytes(state);
    hl_state_put(state);
}

static void look_around(void)
{
    struct hl_state *state = sk_open();

    for (uint64_t n = 1; n <= VERSIONS; n++)
        sk_post_known(state, n, 1);
    sk_keep(state, key, 0, KEPT);
    sk_flush(state);
    for (uint64_t n = 1; n <= VERSIONS; n++)
        EXPECT_EQ(sk_version(state, n), 1);
    EXPECT_EQ(sk_kept(state, key, 0, KEPT, NULL), KEPT);
    sk_close(state);
}

struct failure {
    int what, err;
    unsigned nth;
};

static bool run(const struct failure *failure, bool call)
{
    bool failed;

    if (call)
        stop_fail_kind((enum stop_kind)failure->what, failure->nth, 1, failure->err);
    else
        ik_deny((enum ik_want)failure->what, failure->nth, 1);
    tell();
    failed = call ? stop_failed_kind() : ik_denied();
    stop_fail_kind(STOP_K_OPENAT, 1, 0, 0);
    ik_deny(IK_MEMORY, 1, 0);
    look_around();
    ik_balance(false);
    nr_runs++;
    nr_failed += failed;
    return failed;
}

/* What cannot be short fails with an errno of its own. */
static int err_for(int what, bool call, int err)
{
    bool counts = what == STOP_K_PREAD || what == STOP_K_PWRITE || what == STOP_K_READ;

    return err == STOP_SHORT && !(call && counts) ? EMFILE : err;
}

static void sweep(const char *name, int what, bool call, const int *errs, unsigned nr_errs)
{
    bool came = true;

    for (unsigned nth = 1; came; nth = ik_next(nth)) {
        came = false;
        for (unsigned way = 0; way < nr_errs; way++) {
            struct failure failure = { what, err_for(what, call, errs[way]), nth };

            if (!ik_takes(nth + (unsigned)what, way, nr_errs))
                continue;
            ik_say("%s number %u fails with %s", name, nth, stop_err_name(failure.err));
            came = run(&failure, call) || came;
        }
    }
}

int main(void)
{
    static const int errs[] = { EIO, ENOSPC, EINTR, STOP_SHORT }, lack[] = { ENOMEM };

    sk_bytes(key, 0, KEPT, bytes);
    sk_use(test_path(test_dir(), "state"), "64M");
    ik_say("nothing fails");
    for (int i = 0; i < 2; i++) {
        tell();
        look_around();
    }
    ik_balance(true);
    for (int kind = 0; kind < STOP_KINDS; kind++)
        sweep(stop_kind_name((enum stop_kind)kind), kind, true, errs, 4);
    /* Not of conditions: with another clock than they ask for, waits would end at once. */
    for (int want = 0; want < IK_CONDITION; want++)
        sweep(ik_want_name((enum ik_want)want), want, false, lack, 1);
    ik_say("%s", "");
    fprintf(stderr, "%u runs, in %u of them something failed\n", nr_runs, nr_failed);
    EXPECT(nr_failed > 20);
    return 0;
}
