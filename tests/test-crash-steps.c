/* SPDX-License-Identifier: MIT
 *
 * test-crash-steps: kill -9 at every instruction that changes a shared word, and after every
 * system call.
 *
 * Each story of kit-crash.c is told once step by step, and then once for each of its changes, by a
 * process that dies right behind it: so between a compare-and-swap and the system call that
 * belongs to it, too.  Passes when the survivor, who wants the same, reads every byte right and
 * does not wait for the dead, and nothing is lost.  With HUGELITE_TEST_SECONDS, the stories are
 * then told on for so long, with another kind of survivor, and the teller dies at any instruction.
 */
#include "config.h"

#include "kit-crash.h"
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned deaths, missed;

static void at_each_change(const struct crash_story *story, enum crash_survivor survivor)
{
    static struct crash_point points[CRASH_POINTS];
    unsigned nr;

    crash_begin(false);
    nr = crash_points(story, survivor, points);
    fprintf(stderr, "%s: %u changes in %llu steps\n", story->name, nr,
            (unsigned long long)steps_taken());
    EXPECT(nr > 1);
    for (unsigned i = 0; i < nr; i++) {
        char text[128];
        bool died;

        fprintf(stderr, "  %u: %s\n", i, steps_describe(&points[i].change, text, sizeof text));
        died = crash_at(story, survivor, points, i);
        deaths += died;
        missed += !died;
    }
    crash_end();
}

static void at_any_instruction(const struct crash_story *story)
{
    static struct crash_point points[CRASH_POINTS];
    uint64_t steps;

    crash_begin(false);
    (void)crash_points(story, CRASH_AT, points);
    steps = steps_taken();
    for (unsigned i = 0; i < 10; i++)
        deaths += crash_after(story, i % 2 ? CRASH_AT : CRASH_BESIDE,
                              (uint64_t)random() % steps);
    crash_end();
}

static bool is_told_here(const struct crash_story *story)
{
    return !story->small_pages || !test_on_hugepages();
}

int main(void)
{
    double until = test_now() + kit_seconds(0);

    srandom(815);
    for (const struct crash_story *story = crash_stories; story->name; story++)
        if (is_told_here(story))
            at_each_change(story, CRASH_BESIDE);
    fprintf(stderr, "%u deaths; %u times it went otherwise\n", deaths, missed);
    EXPECT(deaths > 4 * missed);

    while (test_now() < until)
        for (const struct crash_story *story = crash_stories; story->name; story++)
            if (is_told_here(story) && test_now() < until) {
                at_each_change(story, CRASH_AT);
                at_any_instruction(story);
            }
    fprintf(stderr, "%u deaths in all\n", deaths);
    return 0;
}
