/* SPDX-License-Identifier: MIT
 *
 * test-remote-recovers: an origin that fails now and then serves every byte right in the end,
 * and no caller notices.
 *
 * Passes when a cold volume, raw and compressed, is read whole and right, without an error,
 * through an origin that meets some of its requests with each trouble in turn, and with all of
 * them mixed.
 */
#include "test-remote-common.h"

#define BYTES (5 * CHUNK + 4321 * 8)
#define SEED 91

static const struct {
    const char *name;
    const char *faults[6];
} cases[] = {
    { "resets", { "probability=0.3 reset=-1", "probability=0.3 seed=2 reset=70000" } },
    { "truncated", { "probability=0.4 truncate=100000" } },
    { "errors", { "count=2 status=500", "count=2 status=503 retry_after=1",
                  "skip=2 count=1 status=429",
                  "skip=4 count=1 status=502", "skip=5 count=1 status=504" } },
    { "late", { "probability=0.3 delay_ms=400" } },
    { "stalled", { "skip=1 count=1 stall=50000", "skip=3 count=1 hang=yes" } },
    { "slow", { "probability=0.5 drip=4000000" } },
    { "chunked", { "length=chunked" } },
    { "unmeasured", { "length=none" } },
    { "overrun", { "probability=0.5 overrun=1000" } },
    { "moved", { "path=/moved.db* redirect=x" } },
    { "mixed", { "probability=0.15 reset=-1", "probability=0.15 seed=3 truncate=30000",
                 "probability=0.15 seed=4 status=503", "probability=0.2 seed=5 delay_ms=200",
                 "probability=0.2 seed=6 drip=8000000" } },
};
#define NR (sizeof cases / sizeof *cases)

static const char *dir, *www;

/* A case has an origin to itself. */
static void run(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg / 2, kind = (uintptr_t)arg % 2;
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    struct hugelite_volume_stat st;
    struct kit_origin *origin = kit_origin(www);
    double began = test_now();
    char name[64];

    for (unsigned k = 0; k < 6 && cases[i].faults[k]; k++) {
        if (strstr(cases[i].faults[k], "redirect"))
            kit_origin_order(origin, "fault path=/moved%s redirect=/x%s", remote_endings[kind],
                             remote_endings[kind]);
        else
            kit_origin_order(origin, "fault %s", cases[i].faults[k]);
    }
    snprintf(name, sizeof name, "/%s%s", strcmp(cases[i].name, "moved") ? "x" : "moved",
             remote_endings[kind]);
    pool = kit_pool(dir, 100);
    vol = kit_volume(pool, kit_origin_url(origin, name));
    kit_verify_read(vol, SEED);
    kit_verify(vol, SEED);
    st = kit_stat(vol);
    fprintf(stderr, "%s%s: %.1f s, %llu requests, %llu bytes\n", cases[i].name,
            remote_endings[kind], test_now() - began, (unsigned long long)st.requests,
            (unsigned long long)st.source_bytes);
    EXPECT_EQ(st.errors, 0);
    EXPECT_EQ(st.unvalidated, 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    kit_origin_stop(origin);
}

int main(void)
{
    pid_t pids[2 * NR];

    remote_begin(TEST_HANG_S, false);
    www = test_dir();
    dir = test_pool_dir();
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    for (uintptr_t i = 0; i < 2 * NR; i++)
        pids[i] = kit_fork(run, (void *)i);
    for (uintptr_t i = 0; i < 2 * NR; i++)
        EXPECT_CHILD(pids[i], 0);
    return 0;
}
