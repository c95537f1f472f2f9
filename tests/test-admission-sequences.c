/* SPDX-License-Identifier: MIT
 *
 * test-admission-sequences: what a reader does in order is told from what he does here and there.
 *
 * Passes when touches of chunk after chunk, up or down, ask for each chunk but the first few once,
 * before it is touched, within a window that grows; when several such runs beside
 * each other and beside strays are all followed; when a neighbour that is not entered at its near edge
 * begins nothing; when nothing outside the volume is ever asked for; and when random
 * touches of a large volume are next to never taken for a run.
 */
#include "config.h"

#include "test.h"

#include "admission.h"
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((uint64_t)HL_CHUNK_BYTES)
#define EDGE (64 * 1024)
#define SURE 4 /* chunks in order, after which it is no chance */

static struct hl_ahead touch(struct hl_sequences *s, uint64_t offset, uint32_t window,
                             uint32_t nr_chunks)
{
    struct hl_ahead ahead = hl_sequence_touch(s, offset, window, 1, nr_chunks);

    EXPECT(ahead.nr <= window);
    if (ahead.nr == 0)
        return ahead;
    EXPECT(ahead.step == 1 || ahead.step == -1);
    EXPECT(ahead.first < nr_chunks);
    if (ahead.step > 0)
        EXPECT(ahead.nr <= nr_chunks - ahead.first);
    else
        EXPECT(ahead.nr - 1 <= ahead.first);
    return ahead;
}

/* Touch nr chunks from here in order.  Returns the furthest that was asked for, or -1. */
static int64_t go(struct hl_sequences *s, uint32_t chunk, unsigned nr, int step, uint32_t window,
                  uint32_t nr_chunks)
{
    int64_t furthest = -1;

    for (unsigned i = 0; i < nr; i++, chunk += (uint32_t)step) {
        struct hl_ahead ahead = touch(s, chunk * CHUNK + (step < 0 ? CHUNK - 4096 : 0), window,
                                      nr_chunks);

        EXPECT(i < SURE || ahead.sequential);
        if (ahead.nr)
            furthest = (int64_t)ahead.first + (int64_t)(ahead.nr - 1) * ahead.step;
    }
    return furthest;
}

/* Slowly at first, and then as far as it may. */
static void window_grows(int step)
{
    struct hl_sequences s = { 0 };
    uint32_t far = 0, chunk = 500;
    bool certain = false;

    EXPECT(!touch(&s, chunk * CHUNK + 100000, 32, 1000).sequential);
    for (unsigned i = 1; i < 12; i++) {
        struct hl_ahead ahead;
        uint32_t now = far ? far - 1 : 0;

        chunk += (uint32_t)step;
        ahead = touch(&s, chunk * CHUNK + (step < 0 ? CHUNK - 4096 : 0), 32, 1000);
        if (ahead.nr)
            now = step > 0 ? ahead.first + ahead.nr - 1 - chunk : chunk - (ahead.first + 1 - ahead.nr);
        EXPECT(now <= 32);
        EXPECT(i > 2 || now <= 8);   /* it may still be chance */
        EXPECT(now >= far || far == 0);
        EXPECT(ahead.certain >= certain);
        EXPECT(!ahead.certain || i >= 3);
        EXPECT(ahead.sequential || i < SURE);
        certain = ahead.certain;
        far = now;
    }
    EXPECT_EQ(far, 32);
    EXPECT(certain);
    /* The same chunk again: nothing new. */
    EXPECT(touch(&s, chunk * CHUNK + 9000, 32, 1000).sequential);
    EXPECT_EQ(touch(&s, chunk * CHUNK + 9000, 32, 1000).nr, 0);
}

/* From one end to the other. */
static void whole_volume(uint32_t nr_chunks, uint32_t window, bool down)
{
    struct hl_sequences s = { 0 };
    unsigned char *asked = calloc(nr_chunks, 1);

    EXPECT(asked != NULL);
    for (uint32_t i = 0; i < nr_chunks; i++) {
        uint32_t chunk = down ? nr_chunks - 1 - i : i;
        struct hl_ahead ahead = touch(&s, chunk * CHUNK + (down ? CHUNK - 4096 : 0), window,
                                      nr_chunks);

        EXPECT(!(i == 0 && ahead.sequential) && (i < SURE || ahead.sequential));
        if (i >= SURE)
            EXPECT_EQ(asked[chunk], window > 0);
        if (ahead.nr)
            EXPECT_EQ(ahead.step, down ? -1 : 1);
        for (uint32_t k = 0; k < ahead.nr; k++) {
            uint32_t next = ahead.first + k * (uint32_t)ahead.step;

            EXPECT_EQ(asked[next], 0);
            EXPECT(down ? next < chunk && chunk - next <= window
                        : next > chunk && next - chunk <= window);
            asked[next] = 1;
        }
    }
    EXPECT(!asked[down ? nr_chunks - 1 : 0]);
    free(asked);
}

static void edges(void)
{
    static const struct {
        uint32_t chunk, at;
        bool goes_on;
    } up[] = {
        { 21, 0, true }, { 21, EDGE - 1, true }, { 21, EDGE, false }, { 21, CHUNK / 2, false },
        { 21, CHUNK - 1, false }, { 19, 0, false }, { 19, CHUNK - 1, false }, { 40, 0, false },
    }, down[] = {
        { 19, CHUNK - 1, true }, { 19, CHUNK - EDGE, true }, { 19, CHUNK - EDGE - 1, false },
        { 19, CHUNK / 2, false }, { 19, 0, false }, { 21, 0, false }, { 2, CHUNK - 1, false },
    };

    for (unsigned i = 0; i < sizeof up / sizeof *up; i++) {
        struct hl_sequences s = { 0 };

        go(&s, 10, 11, 1, 8, 100);
        EXPECT_EQ(touch(&s, up[i].chunk * CHUNK + up[i].at, 8, 100).sequential, up[i].goes_on);
    }
    for (unsigned i = 0; i < sizeof down / sizeof *down; i++) {
        struct hl_sequences s = { 0 };

        go(&s, 30, 11, -1, 8, 100);
        EXPECT_EQ(touch(&s, down[i].chunk * CHUNK + down[i].at, 8, 100).sequential,
                  down[i].goes_on);
    }
}

/* Chunks that are resident already are passed without a word. */
static void gaps(void)
{
    struct hl_sequences s = { 0 };
    int64_t far = go(&s, 0, 10, 1, 8, 100);
    struct hl_ahead ahead;

    EXPECT_EQ(far, 9 + 8);
    ahead = touch(&s, 15 * CHUNK, 8, 100);
    EXPECT(ahead.sequential);
    EXPECT_EQ(ahead.first, 18);
    EXPECT_EQ(ahead.nr, 6);
    ahead = touch(&s, 24 * CHUNK, 8, 100); /* the next that was not asked for */
    EXPECT(ahead.sequential);
    EXPECT_EQ(ahead.first, 25);
    EXPECT_EQ(ahead.nr, 8);
    EXPECT(!touch(&s, 34 * CHUNK, 8, 100).sequential);             /* and beyond it */
    EXPECT(!touch(&s, 23 * CHUNK + CHUNK - 1, 8, 100).sequential); /* nor back */
    EXPECT(touch(&s, 25 * CHUNK, 8, 100).sequential);
}

/* Three runs, two up and one down, and a look elsewhere between each two. */
static void interleaved(void)
{
    struct hl_sequences s = { 0 };

    for (uint32_t i = 0; i < 100; i++) {
        EXPECT(touch(&s, (1000 + i) * CHUNK, 16, 9000).sequential || i < SURE);
        EXPECT(!touch(&s, (5000 + i * 7) * CHUNK + CHUNK / 2, 16, 9000).sequential);
        EXPECT(touch(&s, (2000 + i) * CHUNK + 4096, 16, 9000).sequential || i < SURE);
        EXPECT(touch(&s, (4000 - i) * CHUNK + CHUNK - 4096, 16, 9000).sequential || i < SURE);
    }
    /* They have not mixed: each stands where it was. */
    EXPECT_EQ(touch(&s, 1100 * CHUNK, 16, 9000).first, 1116);
    EXPECT_EQ(touch(&s, 2100 * CHUNK, 16, 9000).first, 2116);
    EXPECT_EQ(touch(&s, 3900 * CHUNK + CHUNK - 1, 16, 9000).first, 3884);
}

/* Where a request costs a round trip: so many at a time, but at the beginning and at the end. */
static void batches(uint32_t window, uint32_t batch)
{
    enum { NR = 400 };
    struct hl_sequences s = { 0 };
    uint32_t asked = 0;
    unsigned small = 0;

    for (uint32_t chunk = 0; chunk < NR; chunk++) {
        struct hl_ahead ahead = hl_sequence_touch(&s, chunk * CHUNK, window, batch, NR);

        if (ahead.nr == 0)
            continue;
        EXPECT(asked == 0 || ahead.first == asked);
        EXPECT(ahead.first > chunk && ahead.first + ahead.nr - 1 - chunk <= window);
        asked = ahead.first + ahead.nr;
        small += ahead.nr < batch;
        EXPECT(asked == NR || asked - chunk > window - batch || small <= 4);
    }
    EXPECT_EQ(asked, NR);
    EXPECT(small <= 5);
}

static void random_touches(void)
{
    enum { NR = 2000, TOUCHES = 200000 };
    struct hl_sequences s = { 0 };
    uint64_t state = 4711;
    unsigned taken = 0, asked = 0;

    for (unsigned i = 0; i < TOUCHES; i++) {
        struct hl_ahead ahead;

        state = state * 6364136223846793005ull + 1442695040888963407ull;
        ahead = touch(&s, (state >> 20) % (NR * CHUNK), 64, NR);
        taken += ahead.sequential || ahead.nr;
        asked += ahead.nr;
    }
    fprintf(stderr, "of %u random touches %u were taken for a run, which asked for %u chunks\n",
            (unsigned)TOUCHES, taken, asked);
    EXPECT(taken < TOUCHES / 1000);
    EXPECT(asked < TOUCHES / 500);
}

/* Any touches at all: touch() looks at what comes out. */
static void tiny_volumes(void)
{
    uint64_t state = 1;

    for (uint32_t nr = 1; nr <= 6; nr++)
        for (uint32_t window = 0; window <= 5; window++) {
            struct hl_sequences s = { 0 };

            for (unsigned i = 0; i < 3000; i++) {
                uint64_t offset;

                state = state * 6364136223846793005ull + 1442695040888963407ull;
                offset = (state >> 33) % (nr * CHUNK);
                if (i % 3)
                    offset = offset / CHUNK * CHUNK + (i % 3 == 1 ? 0 : CHUNK - 1);
                touch(&s, offset, window, nr);
            }
        }
}

int main(void)
{
    window_grows(1);
    window_grows(-1);
    for (uint32_t window = 0; window <= 64; window = window * 2 + 1)
        for (uint32_t nr = 1; nr <= 200; nr += nr < 8 ? 1 : 32) {
            whole_volume(nr, window, false);
            whole_volume(nr, window, true);
        }
    edges();
    gaps();
    interleaved();
    batches(45, 15);
    batches(18, 6);
    batches(3, 1);
    random_touches();
    tiny_volumes();
    return 0;
}
