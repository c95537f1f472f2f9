/* SPDX-License-Identifier: MIT
 *
 * test-admission-touches: a chunk earns its place by being read more often than others.
 *
 * Passes when a number of early reads earns it and one less does not, with room
 * as many as are asked for; when uniform reads of a thousand
 * chunks earn next to nothing, and one that is read in every twentieth read soon does; when counts
 * are halved, so that what was hot long ago counts for little; and when wishes and damage are
 * remembered beside the counts, whatever these do.
 */
#include "config.h"

#include "test.h"

#include "admission.h"

#include <stdio.h>
#include <string.h>

static uint64_t random_below(uint64_t limit)
{
    static uint64_t state = 99;

    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % limit;
}

static _Atomic uint64_t words[1000]; /* all EMPTY */
static _Atomic uint32_t contested;

static struct hl_touches make(uint32_t nr_chunks)
{
    struct hl_touches touches = { 0 };

    memset((void *)words, 0, sizeof words);
    contested = 0;
    EXPECT_EQ(hl_touches_init(&touches, words, &contested, nr_chunks), 0);
    return touches;
}

/* Where others must leave. */
static bool earn(struct hl_touches *touches, uint32_t chunk)
{
    return hl_touches_earn(touches, chunk, false, 1);
}

/* How many reads earn a place there? */
static unsigned price(void)
{
    struct hl_touches touches = make(1000);
    unsigned reads = 1;

    while (!earn(&touches, 5))
        reads++;
    EXPECT(earn(&touches, 5));
    EXPECT(!earn(&touches, 4)); /* its own count */
    hl_touches_free(&touches);
    fprintf(stderr, "%u reads earn a place\n", reads);
    EXPECT(reads >= 4 && reads <= 40);
    return reads;
}

/* Where nobody has to, the price is the caller's. */
static void with_room(void)
{
    struct hl_touches touches = make(3);

    EXPECT(hl_touches_earn(&touches, 0, true, 1));
    EXPECT(hl_touches_earn(&touches, 0, true, 1));
    for (unsigned i = 1; i < 32; i++)
        EXPECT(!hl_touches_earn(&touches, 1, true, 32));
    EXPECT(hl_touches_earn(&touches, 1, true, 32));
    EXPECT(!hl_touches_earn(&touches, 2, true, 32));
    hl_touches_free(&touches);
}

static void halved(unsigned reads)
{
    struct hl_touches touches = make(1000);

    for (unsigned i = 0; i < reads - 1; i++)
        EXPECT(!earn(&touches, 5));
    for (unsigned i = 0; i < 1000 - (reads - 1); i++) /* elsewhere, until all are halved */
        earn(&touches, 100 + i % 800);
    for (unsigned i = (reads - 1) / 2 + 1; i < reads; i++)
        EXPECT(!earn(&touches, 5));
    EXPECT(earn(&touches, 5));

    for (unsigned i = 0; i < 8000; i++) /* long ago: nothing is left */
        earn(&touches, 100 + i % 800);
    for (unsigned i = 1; i < reads; i++)
        EXPECT(!earn(&touches, 5));
    EXPECT(earn(&touches, 5));
    hl_touches_free(&touches);
}

static void uniform_and_hot(void)
{
    enum { NR = 1000, READS = 200000 };
    struct hl_touches touches = make(NR);
    unsigned earned = 0, reads = 0;

    for (unsigned i = 0; i < READS; i++)
        earned += earn(&touches, (uint32_t)random_below(NR));
    fprintf(stderr, "of %u uniform reads %u earned a place\n", (unsigned)READS, earned);
    EXPECT(earned < READS / 200);

    for (bool hot = false; !hot; reads++) {
        EXPECT(reads < NR);
        hot = reads % 20 == 0 && earn(&touches, 7);
        if (reads % 20)
            earn(&touches, 8 + (uint32_t)random_below(NR - 8));
    }
    fprintf(stderr, "a hot one after %u reads\n", reads);
    hl_touches_free(&touches);
}

static void bits(void)
{
    struct hl_touches touches = make(10);

    EXPECT(!hl_touches_unwish(&touches, 3));
    EXPECT(hl_touches_wish(&touches, 3));
    EXPECT(!hl_touches_wish(&touches, 3));
    EXPECT(hl_touches_wish(&touches, 4));
    for (unsigned i = 0; i < 500; i++) { /* far more than can be counted */
        earn(&touches, 3);
        earn(&touches, i % 10);
        EXPECT(!hl_touches_wish(&touches, 3));
        for (uint32_t chunk = 0; chunk < 10; chunk++)
            EXPECT(!hl_touches_damaged(&touches, chunk));
    }
    EXPECT(hl_touches_unwish(&touches, 3));
    EXPECT(!hl_touches_unwish(&touches, 3));
    EXPECT(!hl_touches_wish(&touches, 4));

    hl_touches_damage(&touches, 5);
    EXPECT(hl_touches_damaged(&touches, 5));
    EXPECT(!hl_touches_damaged(&touches, 4));
    EXPECT(hl_touches_wish(&touches, 5)); /* not mixed up */
    for (unsigned i = 0; i < 500; i++) {
        earn(&touches, 5);
        earn(&touches, i % 10);
        EXPECT(hl_touches_damaged(&touches, 5));
    }
    EXPECT(hl_touches_unwish(&touches, 5));
    EXPECT(hl_touches_damaged(&touches, 5));
    hl_touches_free(&touches);
}

int main(void)
{
    struct hl_touches one = make(1);

    with_room();
    halved(price());
    uniform_and_hot();
    bits();
    for (unsigned i = 0; i < 100; i++)
        earn(&one, 0);
    EXPECT(!hl_touches_damaged(&one, 0));
    hl_touches_free(&one);
    return 0;
}
