/* SPDX-License-Identifier: MIT
 *
 * test-stage-parallel: what a stage asks for, in how many requests, and that nothing is asked for
 * twice.
 *
 * Passes when an urgent stage is asked for in parts of about a MiB, four at most and side by
 * side, and any other in one request; when reports grow over the parts in order, and all before
 * them is there; when reads and loans inside a stage, and a second stage over it, ask for what is
 * missing and nothing else, also while it is under way; and when what a stage had been counted on
 * for is asked for again if it is ended before.
 */
#include "stage-common.h"

#define BYTES (24ull * MIB + 8)
#define SEED 31

static struct kit_origin *origin;
static struct hl_source *source;

static void bring(uint64_t offset, uint32_t length, enum hl_urgency urgency, unsigned requests)
{
    struct stage_reports reports = STAGE_REPORTS(source, offset, SEED);
    struct hl_stage *stage, *loan;
    const void *bytes;
    uint64_t sent;

    stage_requests(origin, NULL);
    EXPECT_RC(hl_stage_begin(source, offset, length, urgency, stage_arrived, &reports, &stage), 0);
    EXPECT_RC(stage_await(&reports), 0);
    EXPECT_EQ(reports.src_end, offset + length);
    EXPECT_RC(hl_stage_borrow(source, offset, length, &bytes, &loan), 0);
    EXPECT_PATTERN(bytes, length & ~7u, SEED, offset);
    stage_read(source, SEED, offset + 8, length - 8);
    hl_stage_end(stage);
    EXPECT_PATTERN(bytes, length & ~7u, SEED, offset);
    hl_stage_return(loan);
    EXPECT_EQ(stage_requests(origin, &sent), requests);
    EXPECT_EQ(sent, length);
}

static void side_by_side(void)
{
    struct hl_stage *stage;

    kit_origin_order(origin, "fault beside=4"); /* fewer are not answered */
    stage_requests(origin, NULL);
    EXPECT_RC(hl_stage_begin(source, MIB, 4 * MIB, HL_URGENT, NULL, NULL, &stage), 0);
    stage_read(source, SEED, MIB, 4 * MIB);
    hl_stage_end(stage);
    EXPECT_EQ(kit_origin_stat(origin).most_in_flight, 4);
    kit_origin_order(origin, "clear");
}

/* Two stages over each other, while the first is under way. */
static void over_each_other(enum hl_urgency urgency)
{
    struct stage_reports one = STAGE_REPORTS(source, 2 * MIB, SEED);
    struct stage_reports two = STAGE_REPORTS(source, 3 * MIB, SEED);
    struct hl_stage *first, *second;
    uint64_t sent;

    kit_origin_order(origin, "latency_ms=100");
    stage_requests(origin, NULL);
    EXPECT_RC(hl_stage_begin(source, 2 * MIB, 2 * MIB, HL_AHEAD, stage_arrived, &one, &first), 0);
    EXPECT_RC(hl_stage_begin(source, 3 * MIB, 2 * MIB, urgency, stage_arrived, &two, &second), 0);
    stage_read(source, SEED, 3 * MIB + 512 * KIB, MIB);
    stage_read(source, SEED, 2 * MIB, 2 * MIB);
    EXPECT_RC(stage_await(&one), 0);
    EXPECT_RC(stage_await(&two), 0);
    hl_stage_end(first);
    stage_read(source, SEED, 3 * MIB, 2 * MIB);
    hl_stage_end(second);
    EXPECT_EQ(stage_requests(origin, &sent), 2);
    EXPECT_EQ(sent, 3 * MIB);
    kit_origin_order(origin, "latency_ms=0");
}

static void left_alone(void)
{
    struct stage_reports two = STAGE_REPORTS(source, 3 * MIB, SEED);
    struct hl_stage *first, *second;

    kit_origin_order(origin, "fault count=1 stall=1500000");
    EXPECT_RC(hl_stage_begin(source, 2 * MIB, 2 * MIB, HL_AHEAD, NULL, NULL, &first), 0);
    EXPECT_RC(hl_stage_begin(source, 3 * MIB, MIB, HL_AHEAD, stage_arrived, &two, &second), 0);
    stage_await_bytes(&two, 3 * MIB + 256 * KIB);
    EXPECT(!stage_has_ended(&two));
    hl_stage_end(first);
    EXPECT_RC(stage_await(&two), 0);
    stage_read(source, SEED, 3 * MIB, MIB);
    hl_stage_end(second);
    kit_origin_order(origin, "clear");
}

int main(void)
{
    const char *dir = test_dir();

    remote_begin(TEST_HANG_S, false);
    hl_stall_ns = 0; /* requests are counted, and a stall lasts */
    remote_object(dir, "x.db", BYTES, SEED);
    origin = kit_origin(dir);
    source = stage_source(kit_origin_url(origin, "/x.db"));
    EXPECT_EQ(source->src_bytes, BYTES);
    EXPECT_EQ(stage_requests(origin, NULL), 2);

    bring(MIB, 512 * KIB, HL_URGENT, 1);
    bring(5 * MIB, MIB, HL_URGENT, 1);
    bring(5 * MIB, 3 * MIB / 2, HL_URGENT, 2);
    bring(7 * MIB, 12 * MIB, HL_URGENT, 4);
    bring(7 * MIB, 12 * MIB, HL_AHEAD, 1);
    bring(4096 * 77, 32 * KIB, HL_IDLE, 1);
    side_by_side();
    over_each_other(HL_AHEAD);
    over_each_other(HL_URGENT);
    left_alone();

    /* The source's beginning and end are there already. */
    stage_requests(origin, NULL);
    stage_read(source, SEED, 0, 64 * KIB);
    stage_read(source, SEED, BYTES - 256 * KIB, 256 * KIB);
    EXPECT_EQ(stage_requests(origin, NULL), 0);
    hl_source_close(source);
    return 0;
}
