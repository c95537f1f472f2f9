/* SPDX-License-Identifier: MIT
 *
 * test-stage-plan: a plan has each byte of its stage once, from where it is to come.
 *
 * Plans are covered, joined and split at random, beside an array that says for each byte what it
 * should be.  Passes when the parts follow each other without a hole; when what is covered first
 * is not covered again, and bytes in memory are found at the right place; when joining leaves no
 * short island between two requests and nothing else changes; and when splitting makes at most so
 * many equal parts.
 */
#include "config.h"

#include "test.h"

#include "plan.h"

#include <string.h>

#define BYTES 300u
#define ROUNDS 3000
#define LEAST 5

static char memory[BYTES];
static unsigned char expected[BYTES];

static unsigned random_below(unsigned limit)
{
    static uint64_t state = 3;

    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % limit;
}

static void expect_plan(const struct hl_part *parts)
{
    uint32_t at = 0;

    for (const struct hl_part *part = parts; part; part = part->next) {
        EXPECT_EQ(part->at, at);
        EXPECT(part->length > 0);
        EXPECT(part->length <= BYTES - at);
        for (uint32_t i = 0; i < part->length; i++)
            EXPECT_EQ(part->supply, expected[at + i]);
        if (part->supply == HL_SUPPLY_MEMORY)
            EXPECT(part->bytes == memory + at);
        at += part->length;
    }
    EXPECT_EQ(at, BYTES);
}

static void cover(struct hl_part *parts)
{
    enum hl_supply supply = 1 + random_below(3);
    uint32_t at = random_below(BYTES), length = 1 + random_below(BYTES - at);
    struct hl_part how = { .supply = supply, .at = at };

    if (random_below(2) && length > 20)
        length = 1 + random_below(20);
    if (supply == HL_SUPPLY_MEMORY)
        how.bytes = memory + at;
    EXPECT_RC(hl_plan_cover(parts, at, length, &how), 0);
    for (uint32_t i = at; i < at + length; i++)
        if (expected[i] == HL_SUPPLY_ORIGIN)
            expected[i] = supply;
    expect_plan(parts);
}

static void join(struct hl_part *parts)
{
    unsigned nr, seen = 0, last = BYTES; /* end of the last request; BYTES = none yet */

    for (uint32_t i = 0; i < BYTES; i++) {
        if (expected[i] != HL_SUPPLY_ORIGIN)
            continue;
        if (last < i && i - last < LEAST)
            memset(expected + last, HL_SUPPLY_ORIGIN, i - last);
        last = i + 1;
    }
    for (uint32_t i = 0; i < BYTES; i++)
        seen += expected[i] == HL_SUPPLY_ORIGIN && (!i || expected[i - 1] != HL_SUPPLY_ORIGIN);
    nr = hl_plan_join(parts, LEAST);
    EXPECT_EQ(nr, seen);
    expect_plan(parts);
}

static void split(struct hl_part *parts)
{
    uint32_t before[BYTES] = { 0 };

    for (const struct hl_part *part = parts; part; part = part->next)
        before[part->at] = part->length;
    EXPECT_RC(hl_plan_split(parts, 10, 4), 0);
    expect_plan(parts);
    for (const struct hl_part *part = parts; part;) {
        uint32_t whole = before[part->at], end = part->at + whole, nr = 0, most = 0, least = BYTES;

        EXPECT(whole > 0);
        for (; part && part->at < end; part = part->next, nr++) {
            most = part->length > most ? part->length : most;
            least = part->length < least ? part->length : least;
            if (part->supply != HL_SUPPLY_ORIGIN)
                EXPECT_EQ(part->length, whole);
            else
                EXPECT_EQ(part->length == whole, whole <= 10);
        }
        EXPECT(nr <= 4);
        EXPECT(most - least <= 1);
        if (nr > 1 && nr < 4)
            EXPECT(most <= 10);
    }
}

int main(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct hl_part *parts = hl_plan_new(BYTES);

        EXPECT(parts != NULL);
        memset(expected, HL_SUPPLY_ORIGIN, sizeof expected);
        expect_plan(parts);
        for (unsigned i = random_below(12); i > 0; i--)
            cover(parts);
        join(parts);
        split(parts);
        hl_plan_free(parts);
    }
    return 0;
}
