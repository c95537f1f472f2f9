/* SPDX-License-Identifier: MIT
 *
 * test-transfer-queue: more transfers than may be in flight.
 *
 * With room for eight: passes when never more are in flight; when an urgent one, and one that is
 * hurried, overtakes those that were asked for ahead; when a cancelled one ends at once, waiting or
 * under way, without another callback; and when one that never gets its turn says what it waited
 * for.
 */
#include "config.h"

#include "kit-transfer.h"
#include "sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH 1000
#define MANY 40
#define ROOM 8
#define RESERVED 2 /* of them, for urgent ones */
#define SEED 17
#define MS 1000000ull

static struct kit_origin *origin;
static struct hl_target target;
static struct hl_transfer transfers[MANY];
static char buffers[MANY][LENGTH];
static _Atomic unsigned ended;
static unsigned place[MANY];

static void arrived(struct hl_transfer *transfer, uint32_t bytes, int rc)
{
    (void)bytes;
    if (rc <= 0)
        place[transfer - transfers] = atomic_fetch_add(&ended, 1);
}

static void start(unsigned i, enum hl_urgency urgency)
{
    transfers[i] = (struct hl_transfer){ .target = &target, .length = LENGTH, .urgency = urgency,
                                         .buffer = buffers[i], .arrived = arrived };
    EXPECT_RC(hl_transfer_start(&transfers[i]), 0);
}

static void await_in_flight(unsigned nr)
{
    double end = test_now() + TEST_HANG_S;

    while (kit_origin_stat(origin).in_flight < nr) {
        EXPECT(test_now() < end);
        test_sleep_ms(1);
    }
}

static void in_order(void)
{
    unsigned urgent = MANY - 2, hurried = MANY - 1;

    kit_origin_order(origin, "fault hold=yes");
    kit_origin_order(origin, "forget");
    atomic_store(&ended, 0);
    for (unsigned i = 0; i < MANY; i++)
        if (i != urgent)
            start(i, i % 2 ? HL_AHEAD : HL_IDLE);
    await_in_flight(ROOM - RESERVED);
    /* Only these two may take the last places.  All others wait while they are answered. */
    start(urgent, HL_URGENT);
    hl_transfer_hurry(&transfers[hurried]);
    await_in_flight(ROOM);
    /* Now, since later the origin sees the end of a request after the client, who goes on with the next. */
    EXPECT_EQ(kit_origin_stat(origin).most_in_flight, ROOM);
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "latency_ms=100");
    for (unsigned i = 0; i < MANY; i++) {
        EXPECT_RC(hl_transfer_wait(&transfers[i]), 0);
        EXPECT_PATTERN(buffers[i], LENGTH, SEED, 0);
    }
    EXPECT(kit_origin_stat(origin).most_in_flight < 2 * ROOM);
    EXPECT(place[urgent] < 2 * ROOM);
    EXPECT(place[hurried] < 3 * ROOM);
    /* Ahead before idle. */
    EXPECT(place[0] < place[MANY - 4] && place[MANY - 5] < place[MANY - 4]);
    hl_transfer_hurry(&transfers[0]);
}

static void cancelled(void)
{
    double begun;

    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "fault hold=yes");
    atomic_store(&ended, 0);
    for (unsigned i = 0; i < MANY; i++)
        start(i, HL_AHEAD);
    await_in_flight(ROOM / 2);
    begun = test_now();
    for (unsigned i = 0; i < MANY; i++) {
        hl_transfer_cancel(&transfers[i]);
        EXPECT_RC(hl_transfer_wait(&transfers[i]), -ECANCELED);
    }
    EXPECT_EQ(atomic_load(&ended), 0);
    EXPECT(test_now() - begun < TEST_HANG_S);
    hl_transfer_cancel(&transfers[0]);
}

static void never_its_turn(void)
{
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "fault hang=yes");
    for (unsigned i = 0; i < MANY; i++)
        start(i, HL_AHEAD);
    transfers[MANY - 1].rc = 1;
    hl_transfer_cancel(&transfers[MANY - 1]);
    transfers[MANY - 1] = (struct hl_transfer){ .target = &target, .length = LENGTH,
                                                .buffer = buffers[MANY - 1],
                                                .urgency = HL_IDLE,
                                                .deadline_ns = hl_now_ns() + 100 * MS };
    EXPECT_RC(kit_transfer(&transfers[MANY - 1]), -ETIMEDOUT);
    EXPECT_CONTAINS(transfers[MANY - 1].sentence, "waiting for a place among 8 requests");
    for (unsigned i = 0; i < MANY; i++)
        hl_transfer_cancel(&transfers[i]);
}

int main(void)
{
    struct hl_transfer zeroed = { 0 };

    setenv("HUGELITE_HTTP_REQUESTS", "8", 1);
    hl_stall_ns = 0; /* nor is one given up, and asked again, which the origin may see as two */
    test_file(test_path(kit_transfer_dir(), "db"), LENGTH, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db"));
    hl_transfer_cancel(&zeroed);
    in_order();
    cancelled();
    never_its_turn();
    return 0;
}
