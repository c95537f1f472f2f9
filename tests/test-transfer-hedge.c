/* SPDX-License-Identifier: MIT
 *
 * test-transfer-hedge: first bytes that are late.
 *
 * Passes when, once it is known how long they take, a transfer that a reader waits for is asked for
 * a second time and comes long before the first answer would have; when one that nobody waits for
 * is not; when hedges stay within 6.5 % of requests though all are late; and when a request that
 * got lost on a kept connection is sent over another.
 */
#include "config.h"

#include "kit-transfer.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH 1000
#define SEED 37

static struct kit_origin *origin;
static struct hl_target target;
static struct hl_stats stats;
static char buffer[LENGTH];
static uint64_t sent;

/* Returns the seconds that it took. */
static double get(enum hl_urgency urgency)
{
    struct hl_transfer transfer = { .target = &target, .stats = &stats, .length = LENGTH,
                                    .urgency = urgency, .buffer = buffer };
    uint64_t before = stats.requests;
    double begun = test_now();

    memset(buffer, 0, LENGTH);
    EXPECT_RC(kit_transfer(&transfer), 0);
    EXPECT_PATTERN(buffer, LENGTH, SEED, 0);
    sent += stats.requests - before;
    return test_now() - begun;
}

static void get_many(unsigned times)
{
    stats = (struct hl_stats){ 0 };
    for (unsigned i = 0; i < times; i++)
        get(HL_URGENT);
}

/* For the next request.  A hedge that was given up may still lie in the origin's socket, and would be
 * the next one; unless it was given up before it was sent, hence not for ever. */
static void next_meets(const char *fault)
{
    double until = test_now() + 1;

    while (kit_origin_stat(origin).requests < sent && test_now() < until)
        test_sleep_ms(1);
    kit_origin_order(origin, "fault count=1 %s", fault);
    stats = (struct hl_stats){ 0 };
}

int main(void)
{
    test_file(test_path(kit_transfer_dir(), "db"), LENGTH, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db"));

    kit_origin_order(origin, "latency_ms=10");
    get_many(60);
    EXPECT(hl_transfer_latency_ns() > 9000000);
    /* Three seconds late it would pass for lost. */
    next_meets("delay_ms=20000");
    EXPECT(get(HL_URGENT) < 3);
    EXPECT_EQ(stats.requests, 2);
    next_meets("delay_ms=500");
    EXPECT(get(HL_AHEAD) > 0.5);
    EXPECT_EQ(stats.requests, 1);

    /* All are late: asking twice does not help, and is not overdone. */
    kit_origin_order(origin, "latency_ms=30");
    get_many(100);
    EXPECT(stats.requests <= 100 + 7 + 6);

    kit_origin_order(origin, "clear");
    next_meets("hang=yes");
    EXPECT(get(HL_AHEAD) < 25); /* at the latest it would fail after 30 */
    EXPECT_EQ(stats.requests, 2);
    return 0;
}
