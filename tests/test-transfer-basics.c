/* SPDX-License-Identifier: MIT
 *
 * test-transfer-basics: ranges, from the front and from the end, of the present version and of a
 * pinned one.
 *
 * Passes when the bytes are right and go where they belong, nothing beside them is written,
 * progress only grows, an object that is shorter or empty is no error where that was allowed,
 * requests and bytes are counted, and connections are kept.
 */
#include "config.h"

#include "kit-transfer.h"

#include <stdlib.h>
#include <string.h>

#define BYTES (3 << 20)
#define SEED 7

static struct kit_origin *origin;
static struct hl_target target;
static char buffer[BYTES + 2];

static uint32_t told;
static unsigned ends;

static void arrived(struct hl_transfer *transfer, uint32_t bytes, int rc)
{
    EXPECT(bytes >= told && bytes <= transfer->length);
    told = bytes;
    ends += rc <= 0;
}

static void get(struct hl_transfer *transfer)
{
    memset(buffer, 'x', sizeof buffer);
    transfer->target = &target;
    transfer->buffer = buffer + 1;
    transfer->arrived = arrived;
    told = ends = 0;
    EXPECT_RC(kit_transfer(transfer), 0);
    EXPECT_EQ(told, transfer->received);
    EXPECT_EQ(ends, 1);
    EXPECT_EQ(buffer[0], 'x');
    EXPECT_EQ(buffer[1 + transfer->received], 'x');
}

static void ranges(void)
{
    struct hl_transfer one = { .src_offset = 4096, .length = 65536 };
    struct hl_transfer tail = { .suffix = true, .length = 1000 };
    struct hl_transfer all = { .suffix = true, .length = BYTES + 1 };
    struct hl_transfer over = { .src_offset = BYTES - 10, .length = 100, .may_be_short = true };

    get(&one);
    EXPECT_EQ(one.received, 65536);
    EXPECT_PATTERN(buffer + 1, 65536, SEED, 4096);
    EXPECT_EQ(one.response.total, BYTES);
    EXPECT(one.response.etag[0] == '"');
    get(&tail);
    EXPECT_EQ(tail.received, 1000);
    EXPECT_PATTERN(buffer + 1, 1000, SEED, BYTES - 1000);
    get(&all);
    EXPECT_EQ(all.received, BYTES);
    EXPECT_PATTERN(buffer + 1, BYTES, SEED, 0);
    EXPECT_EQ(all.response.first, 0);
    get(&over);
    EXPECT_EQ(over.received, 10);
}

static void empty(void)
{
    struct hl_transfer front = { .length = 100, .may_be_short = true };
    struct hl_transfer back = { .suffix = true, .length = 100 };

    test_file(test_path(kit_transfer_dir(), "empty"), 0, SEED);
    kit_target(&target, kit_origin_url(origin, "/empty"));
    get(&front);
    EXPECT_EQ(front.received, 0);
    get(&back);
    EXPECT_EQ(back.received, 0);
    kit_target(&target, kit_origin_url(origin, "/db"));
}

static void pinned(void)
{
    struct hl_transfer first = { .length = 10 }, again;
    char validator[HL_VALIDATOR_BYTES];

    get(&first);
    again = (struct hl_transfer){ .length = 10, .src_bytes = BYTES, .validator = validator };
    again.validator_kind = hl_response_validator(&first.response, validator);
    EXPECT_EQ(again.validator_kind, HL_VALIDATOR_ETAG);
    get(&again);
    again.validator_kind = HL_VALIDATOR_LAST_MODIFIED;
    strcpy(validator, first.response.last_modified);
    get(&again);
}

int main(void)
{
    struct hl_stats stats = { 0 };
    struct kit_origin_stat before, after;
    struct hl_transfer counted = { .length = 12345, .stats = &stats };

    test_file(test_path(kit_transfer_dir(), "db"), BYTES, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db"));
    ranges();
    empty();
    pinned();
    before = kit_origin_stat(origin);
    get(&counted);
    after = kit_origin_stat(origin);
    EXPECT_EQ(stats.requests, 1);
    EXPECT_EQ(stats.source_bytes, 12345);
    EXPECT_EQ(after.requests, before.requests + 1);
    EXPECT_EQ(after.connections, 1);
    EXPECT(hl_transfer_latency_ns() > 0);
    return 0;
}
