/* SPDX-License-Identifier: MIT
 *
 * test-stage-failing: a stage that fails says so once, where, and why; what it has got stays good.
 *
 * Passes when the last report has the transfer's code and the bytes that came before; when
 * borrowers of what is there are served, and those of what is missing get code and sentence, with
 * no new request; when a stage that counted on the failed one fails with the same; when after its
 * end a read tries anew; when a part that fails does not hold up the others; and when, once the
 * object has changed, all that needs the origin fails at once with the same sentence and no
 * request, while what is in memory stays readable.
 */
#include "stage-common.h"

#define BYTES (8ull * MIB)
#define SEED 33
#define CAME (1024 * KIB) /* at least */

static struct kit_origin *origin;
static struct hl_source *source;

static void expect_failed(uint64_t offset, uint32_t length, int rc, const char *why)
{
    struct hl_stage *loan;
    const void *bytes;

    EXPECT_RC(hl_stage_borrow(source, offset, length, &bytes, &loan), rc);
    EXPECT_CONTAINS(hugelite_error(), why);
}

/* The body stops after a while, and nobody answers any more. */
static void stop_in_the_middle(void)
{
    struct stage_reports one = STAGE_REPORTS(source, 2 * MIB, SEED);
    struct stage_reports two = STAGE_REPORTS(source, 3 * MIB, SEED);
    struct hl_stage *first, *second, *loan;
    const void *bytes;

    kit_origin_order(origin, "fault skip=1 status=403");
    kit_origin_order(origin, "fault count=1 truncate=1200000");
    kit_origin_order(origin, "latency_ms=50");
    EXPECT_RC(hl_stage_begin(source, 2 * MIB, 2 * MIB, HL_AHEAD, stage_arrived, &one, &first), 0);
    EXPECT_RC(hl_stage_begin(source, 3 * MIB, MIB, HL_AHEAD, stage_arrived, &two, &second), 0);
    EXPECT_RC(stage_await(&one), -EACCES);
    EXPECT_RC(stage_await(&two), -EACCES);
    EXPECT(one.src_end >= 2 * MIB + CAME && one.src_end < 4 * MIB);
    EXPECT_EQ(two.src_end, one.src_end);
    stage_requests(origin, NULL);
    EXPECT_RC(hl_stage_borrow(source, 2 * MIB, CAME, &bytes, &loan), 0);
    EXPECT_PATTERN(bytes, CAME, SEED, 2 * MIB);
    expect_failed(2 * MIB, 2 * MIB, -EACCES, "403");
    expect_failed(4 * MIB - 8, 8, -EACCES, "403");
    expect_failed(3 * MIB, MIB, -EACCES, "x.db");
    EXPECT_EQ(stage_requests(origin, NULL), 0);
    hl_stage_end(first);
    EXPECT_PATTERN(bytes, CAME, SEED, 2 * MIB);
    hl_stage_return(loan);
    hl_stage_end(second);

    kit_origin_order(origin, "clear");
    stage_read(source, SEED, 3 * MIB, MIB);
    EXPECT(stage_requests(origin, NULL) > 0);
}

/* One of the parallel parts fails: what comes before it is reported, and those behind it are
 * there. */
static void fail_one_part(void)
{
    struct stage_reports reports = STAGE_REPORTS(source, MIB, SEED);
    struct hl_stage *stage, *loan;
    unsigned there = 0, failed = 0;
    const void *bytes;

    kit_origin_order(origin, "fault skip=1 count=1 status=403");
    EXPECT_RC(hl_stage_begin(source, MIB, 4 * MIB, HL_URGENT, stage_arrived, &reports, &stage), 0);
    EXPECT_RC(stage_await(&reports), -EACCES);
    for (uint64_t at = MIB; at < 5 * MIB; at += MIB) {
        int rc = hl_stage_borrow(source, at, MIB, &bytes, &loan);

        if (rc < 0) {
            EXPECT_RC(rc, -EACCES);
            EXPECT_EQ(reports.src_end, at);
            failed++;
            continue;
        }
        EXPECT_PATTERN(bytes, MIB, SEED, at);
        hl_stage_return(loan);
        there++;
    }
    EXPECT_EQ(there, 3);
    EXPECT_EQ(failed, 1);
    hl_stage_end(stage);
    kit_origin_order(origin, "clear");
}

static void change(void)
{
    char bytes[64];
    char first[1024];

    kit_origin_order(origin, "replace /x.db");
    EXPECT_RC(source->ops->read(source, MIB, 64, bytes), -ESTALE);
    snprintf(first, sizeof first, "%s", hugelite_error());
    EXPECT_CONTAINS(first, "changed");
    stage_requests(origin, NULL);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_RC(source->ops->read(source, (4 + i) * MIB, 64, bytes), -ESTALE);
        EXPECT_STR(hugelite_error(), first);
        stage_read(source, SEED, 0, 64 * KIB);
        stage_read(source, SEED, BYTES - 256 * KIB, 256 * KIB);
    }
    EXPECT_EQ(stage_requests(origin, NULL), 0);
    EXPECT_RC(source->ops->check(source), -ESTALE);
}

int main(void)
{
    const char *dir = test_dir();

    remote_begin(TEST_HANG_S, false);
    remote_object(dir, "x.db", BYTES, SEED);
    origin = kit_origin(dir);
    source = stage_source(kit_origin_url(origin, "/x.db"));
    stop_in_the_middle();
    fail_one_part();
    change();
    hl_source_close(source);
    return 0;
}
