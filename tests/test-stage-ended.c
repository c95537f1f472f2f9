/* SPDX-License-Identifier: MIT
 *
 * test-stage-ended: stages that are ended while their bytes are on the way, hurried, and lent.
 *
 * Passes when ending a stage stops its requests and its reports at once, and those who wait for
 * its bytes get them all the same; when a loan outlives the stage and the source; when a reader
 * who waits hurries what was begun as idle; when a reader has a deadline; and when a forked child
 * is told that it has no source, and closes it without harm.
 */
#include "stage-common.h"

#define BYTES (40ull * MIB)
#define SEED 35

static struct kit_origin *origin;
static struct hl_source *source;

static void *read_waiting(void *arg)
{
    (void)arg;
    stage_read(source, SEED, 5 * MIB, 2 * MIB);
    return NULL;
}

static void *borrow_waiting(void *arg)
{
    struct hl_stage *loan;
    const void *bytes;

    (void)arg;
    EXPECT_RC(hl_stage_borrow(source, 5 * MIB, 2 * MIB, &bytes, &loan), -ENOENT);
    return NULL;
}

static void end_under_way(void)
{
    struct stage_reports reports = STAGE_REPORTS(source, 4 * MIB, SEED);
    struct hl_stage *stage;
    pthread_t reader, borrower;
    uint64_t src_end;
    double began;

    kit_origin_order(origin, "fault count=1 stall=1300000");
    EXPECT_RC(hl_stage_begin(source, 4 * MIB, 8 * MIB, HL_AHEAD, stage_arrived, &reports, &stage),
              0);
    EXPECT_EQ(pthread_create(&reader, NULL, read_waiting, NULL), 0);
    EXPECT_EQ(pthread_create(&borrower, NULL, borrow_waiting, NULL), 0);
    stage_await_bytes(&reports, 5 * MIB);
    began = test_now();
    hl_stage_end(stage);
    EXPECT(test_now() - began < TEST_HANG_S); /* the rest would fail after that */
    EXPECT(!reports.ended);
    src_end = reports.src_end;
    EXPECT_EQ(pthread_join(reader, NULL), 0);
    EXPECT_EQ(pthread_join(borrower, NULL), 0);
    stage_await_idle(origin);
    EXPECT_EQ(reports.src_end, src_end);
    kit_origin_order(origin, "clear");
}

/* Of four requests at a time idle ones take two.  The reader's is not behind the other seven, which
 * do not end. */
static void hurry(void)
{
    struct hl_stage *stages[8];

    for (unsigned i = 0; i < 7; i++)
        kit_origin_order(origin, "fault range=bytes=%u-* hold=yes", (2 + i) * MIB);
    for (unsigned i = 0; i < 8; i++)
        EXPECT_RC(hl_stage_begin(source, (2 + i) * MIB, 64 * KIB, HL_IDLE, NULL, NULL, &stages[i]),
                  0);
    stage_read(source, SEED, 9 * MIB, 64 * KIB);
    EXPECT(kit_origin_stat(origin).in_flight > 0);
    for (unsigned i = 0; i < 8; i++)
        hl_stage_end(stages[i]);
    kit_origin_order(origin, "clear");
}

static void wait_in_vain(void)
{
    char bytes[64];

    remote_timeout(1);
    kit_origin_order(origin, "fault hang=yes");
    EXPECT_RC(source->ops->read(source, MIB, sizeof bytes, bytes), -ETIMEDOUT);
    remote_timeout(TEST_HANG_S);
    kit_origin_order(origin, "clear");
}

static void stranger(void *arg)
{
    struct hl_stage *stage, **loan = arg;
    const void *bytes;
    char word[8];

    EXPECT_RC(hl_stage_begin(source, MIB, MIB, HL_URGENT, NULL, NULL, &stage), -ECHILD);
    EXPECT_RC(hl_stage_borrow(source, MIB, MIB, &bytes, &stage), -ECHILD);
    EXPECT_RC(source->ops->read(source, MIB, 8, word), -ECHILD);
    EXPECT_RC(source->ops->check(source), -ECHILD);
    hl_stage_return(loan[0]);
    hl_stage_end(loan[1]);
    hl_source_close(source);
}

int main(void)
{
    struct hl_stage *stage, *loans[2];
    const char *dir = test_dir();
    const void *small, *large;

    remote_begin(TEST_HANG_S, false);
    hl_stall_ns = 0; /* so that a stall lasts */
    setenv("HUGELITE_HTTP_REQUESTS", "4", 1);
    remote_object(dir, "x.db", BYTES, SEED);
    origin = kit_origin(dir);
    source = stage_source(kit_origin_url(origin, "/x.db"));
    end_under_way();
    hurry();
    wait_in_vain();

    EXPECT_RC(hl_stage_begin(source, MIB, 100 * KIB, HL_AHEAD, NULL, NULL, &stage), 0);
    EXPECT_RC(hl_stage_borrow(source, MIB, 100 * KIB, &small, &loans[0]), 0);
    loans[1] = stage;
    EXPECT_CHILD(kit_fork(stranger, loans), 0);
    hl_stage_end(stage);
    EXPECT_RC(hl_stage_begin(source, 2 * MIB, HL_STAGE_MAX, HL_AHEAD, NULL, NULL, &stage), 0);
    EXPECT_RC(hl_stage_borrow(source, 2 * MIB, 12 * MIB, &large, &loans[1]), 0);
    hl_stage_end(stage);
    hl_source_close(source);
    EXPECT_PATTERN(small, 100 * KIB, SEED, MIB);
    EXPECT_PATTERN(large, 12 * MIB, SEED, 2 * MIB);
    hl_stage_return(loans[0]);
    hl_stage_return(loans[1]);
    return 0;
}
