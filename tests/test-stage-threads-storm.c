/* SPDX-License-Identifier: MIT
 *
 * test-stage-threads-storm: threads that begin, hurry, borrow from, read across and end stages of
 * one source, at an origin that delays, cuts and refuses.
 *
 * Passes when whatever is served is right, each stage is reported upwards and ended once or not
 * at all after its end, failures have a sentence, and nobody waits for ever.  Run it under
 * ThreadSanitizer.
 */
#include "stage-common.h"

#define BYTES (16ull * MIB + 40)
#define SEED 37
#define THREADS 6

static struct kit_origin *origin;
static struct hl_source *source;
static double until;
static _Atomic unsigned served, failed;

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (*state >> 33) % limit;
}

static void expect_sentence(int rc)
{
    EXPECT(rc == -EACCES || rc == -ETIMEDOUT || rc == -EIO || rc == -ECONNRESET);
    EXPECT_CONTAINS(hugelite_error(), "x.db");
    failed++;
}

static void read_across(uint64_t *state)
{
    uint64_t offset = random_below(state, (BYTES - 512 * KIB) / 8) * 8;
    uint32_t length = 8 + (uint32_t)random_below(state, 512 * KIB);
    char *bytes = malloc(length);
    int rc;

    EXPECT(bytes != NULL);
    rc = source->ops->read(source, offset, length, bytes);
    if (rc == 0) {
        EXPECT_PATTERN(bytes, length & ~7u, SEED, offset);
        served++;
    } else {
        expect_sentence(rc);
    }
    free(bytes);
}

static void borrow(uint64_t *state, uint64_t offset, uint32_t length)
{
    struct hl_stage *loan;
    const void *bytes;
    int rc;

    if (random_below(state, 2)) {
        offset += length / 16 * 8;
        length /= 2;
    }
    rc = hl_stage_borrow(source, offset, length, &bytes, &loan);
    if (rc == 0) {
        EXPECT_PATTERN(bytes, length & ~7u, SEED, offset);
        hl_stage_return(loan);
        served++;
    } else if (rc != -ENOENT) {
        expect_sentence(rc);
    }
}

static void bring(uint64_t *state)
{
    uint64_t offset = random_below(state, (BYTES - 2 * MIB) / 8) * 8;
    uint32_t length = 8 + (uint32_t)random_below(state, 2 * MIB - 8);
    struct stage_reports reports = STAGE_REPORTS(source, offset, 0);
    enum hl_urgency urgency = HL_URGENT + (unsigned)random_below(state, 3);
    struct hl_stage *stage;

    EXPECT_RC(hl_stage_begin(source, offset, length, urgency, stage_arrived, &reports, &stage), 0);
    if (random_below(state, 3) == 0)
        hl_stage_hurry(stage);
    for (uint64_t n = random_below(state, 4); n > 0; n--)
        borrow(state, offset, length);
    if (random_below(state, 4) == 0)
        test_sleep_ms((unsigned)random_below(state, 20));
    hl_stage_end(stage);
    /* On our stack: a report that came now would be found by the sanitizers, or crash. */
    if (reports.ended && reports.rc == 0)
        EXPECT_EQ(reports.src_end, offset + length);
}

static void *storm(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    while (test_now() < until) {
        if (random_below(&state, 3))
            bring(&state);
        else
            read_across(&state);
    }
    return NULL;
}

int main(void)
{
    const char *dir = test_dir();
    pthread_t threads[THREADS];

    remote_begin(TEST_HANG_S, false);
    remote_object(dir, "x.db", BYTES, SEED);
    origin = kit_origin(dir);
    source = stage_source(kit_origin_url(origin, "/x.db"));
    kit_origin_order(origin, "latency_ms=5");
    kit_origin_order(origin, "fault probability=0.1 seed=2 delay_ms=60");
    kit_origin_order(origin, "fault probability=0.05 seed=3 truncate=70000");
    kit_origin_order(origin, "fault probability=0.05 seed=4 status=403");
    until = test_now() + kit_seconds(2);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, storm, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    hl_source_close(source);
    fprintf(stderr, "%u served, %u failed\n", served, failed);
    EXPECT(served > 50);
    EXPECT(failed > 0);
    return 0;
}
