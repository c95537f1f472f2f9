/* SPDX-License-Identifier: MIT
 *
 * test-transfer-repeats: what helps to ask again for is asked for again, and what does not is given
 * up.
 *
 * Passes when bursts of 5xx, resets, short bodies and stalls are got over without a byte being
 * fetched twice; when Retry-After is kept; when nobody is mixed up with the version that comes
 * after; and when each thing that lasts ends with its errno, a sentence of its own, and in time.
 */
#include "config.h"

#include "kit-transfer.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 300000
#define LENGTH 200000
#define SEED 13
#define MS 1000000ull
#define SECOND (1000 * MS)

static struct kit_origin *origin;
static struct hl_target target;
static struct hl_stats stats;
static char buffer[LENGTH];

static void fault(const char *fault)
{
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "forget");
    kit_origin_order(origin, "fault %s", fault);
    stats = (struct hl_stats){ 0 };
}

static struct hl_transfer transfer_of(uint64_t timeout_ms)
{
    return (struct hl_transfer){ .target = &target, .src_offset = 8, .length = LENGTH,
                                 .buffer = buffer, .stats = &stats,
                                 .deadline_ns = timeout_ms ? hl_now_ns() + timeout_ms * MS : 0 };
}

static void gets_over(const char *what, unsigned requests)
{
    struct hl_transfer transfer = transfer_of(0);

    fault(what);
    memset(buffer, 0, sizeof buffer);
    EXPECT_RC(kit_transfer(&transfer), 0);
    EXPECT_EQ(transfer.received, LENGTH);
    EXPECT_EQ(transfer.response.first, 8);
    EXPECT_EQ(transfer.response.last, 8 + LENGTH - 1);
    EXPECT_PATTERN(buffer, LENGTH, SEED, 8);
    if (stats.requests != requests && (!hl_stall_ns || stats.requests < requests))
        test_fail(__FILE__, __LINE__, "%s: %u requests", what, (unsigned)stats.requests);
}

/* Returns how many requests it took.  With a deadline it may come in the middle of a try: then the
 * sentence still says what went wrong before. */
static uint64_t fails(const char *what, uint64_t timeout_ms, int rc, const char *says)
{
    struct hl_transfer transfer = transfer_of(timeout_ms);
    double begun = test_now();
    int got;

    fault(what);
    got = kit_transfer(&transfer);
    if (!timeout_ms || got != -ETIMEDOUT)
        EXPECT_RC(got, rc);
    EXPECT_CONTAINS(transfer.sentence, says);
    EXPECT(test_now() - begun < TEST_HANG_S); /* without a deadline: twice that */
    return stats.requests;
}

static void bursts(void)
{
    static const char *const statuses[] = { "408", "429", "500", "502", "503", "504" };
    char what[100];
    double begun;

    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        snprintf(what, sizeof what, "count=2 status=%s", statuses[i]);
        gets_over(what, 3);
    }
    begun = test_now();
    gets_over("count=1 status=503 retry_after=1", 2);
    EXPECT(test_now() - begun >= 1);
}

/* What came too much is no answer to the next request on that connection. */
static void out_of_step(void)
{
    struct hl_transfer first = transfer_of(0);

    fault("count=1 overrun=1000");
    EXPECT_RC(kit_transfer(&first), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct hl_transfer next = transfer_of(0);

        EXPECT_RC(kit_transfer(&next), 0);
        EXPECT_PATTERN(buffer, LENGTH, SEED, 8);
    }
}

static void broken_bodies(void)
{
    gets_over("count=1 reset=-1", 2);
    gets_over("count=2 truncate=50000", 3);
    EXPECT_EQ(stats.source_bytes, LENGTH);
    gets_over("count=2 truncate=0", 3);
    gets_over("count=1 length=chunked truncate=1000", 2);
    gets_over("count=1 reset=60000", 2);
    hl_stall_ns = SECOND;
    gets_over("count=1 stall=70000", 2); /* or more: the rest may come late */
    EXPECT_EQ(stats.source_bytes, LENGTH);
    hl_stall_ns = 0;
    out_of_step();
}

static void lasting(void)
{
    struct hl_transfer refused = transfer_of(0);
    double begun;

    EXPECT(fails("status=503", 2500, -EIO, "answers 503 Service Unavailable (") >= 3);
    EXPECT_EQ(fails("status=503 retry_after=100", 5000, -EIO, "503"), 1);
    EXPECT(fails("reset=-1", 2500, -ECONNRESET, "broke before an answer") >= 3);
    EXPECT(fails("truncate=0", 2500, -EIO, "the body is short: 0 of 200000 bytes came") >= 3);
    fails("hang=yes", 1500, -ETIMEDOUT, "s, waiting for the first byte");
    fails("drip=20000", 1500, -ETIMEDOUT, "waiting for the rest of the body: ");
    kit_origin_order(origin, "down");
    begun = test_now();
    EXPECT_RC(kit_transfer(&refused), -ECONNREFUSED);
    EXPECT_CONTAINS(refused.sentence, "'127.0.0.1' refuses connections (3 tries");
    EXPECT(test_now() - begun < TEST_HANG_S);
    kit_origin_order(origin, "up");
}

static void no_such_host(void)
{
    struct hl_target nowhere = { 0 };
    struct hl_transfer transfer = transfer_of(0);
    char url[200];

    /* Longer than a label may be, so that nobody is asked. */
    snprintf(url, sizeof url, "http://user:secret@%.64s.invalid/db?key=secret",
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    kit_target(&nowhere, url);
    transfer.target = &nowhere;
    EXPECT_RC(kit_transfer(&transfer), -EHOSTUNREACH);
    EXPECT_CONTAINS(transfer.sentence, "cannot be found (DNS)");
    EXPECT(!strstr(transfer.sentence, "secret"));
    kit_target(&nowhere, "http://127.0.0.1:notaport/");
    EXPECT_RC(kit_transfer(&transfer), -EINVAL);
    free(nowhere.url);
}

static struct hl_transfer replaced;

static void replace(struct hl_transfer *transfer, uint32_t bytes, int rc)
{
    (void)transfer, (void)bytes;
    if (rc > 0)
        kit_origin_order(origin, "replace /db");
}

/* Nobody asked for a version, but what goes on must go on with the same one. */
static void changes_meanwhile(void)
{
    fault("count=1 truncate=50000");
    replaced = transfer_of(0);
    replaced.arrived = replace;
    EXPECT_RC(kit_transfer(&replaced), -ESTALE);
    EXPECT_EQ(replaced.received, 50000);
}

int main(void)
{
    struct hl_transfer first;

    test_file(test_path(kit_transfer_dir(), "db"), BYTES, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db"));
    hl_stall_ns = 0; /* requests are counted */
    first = transfer_of(0);
    EXPECT_RC(kit_transfer(&first), 0);
    bursts();
    broken_bodies();
    lasting();
    no_such_host();
    changes_meanwhile();
    return 0;
}
