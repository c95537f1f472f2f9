/* SPDX-License-Identifier: MIT
 *
 * test-crash-matrix: kill -9 at each row of the tables in engine/README.md that say what is left
 * when the process dies there.
 *
 * One entry for each row, or for each step of it: the victim dies at just that change, while a
 * survivor waits for what it has, or comes to wait.  Passes when each point is reached, and as
 * kit-crash.h says.  Points that differ by the pages are tried on both kinds.  README.md ("The
 * crash matrix") has the rows that others try.
 */
#include "config.h"

#include "kit-crash.h"
#include "kit.h"

#include "chunk.h"
#include "layout.h"

#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- what happens ------------------------------------------------------------ */

static bool goes(const struct step_change *c, enum hl_chunk_state from, enum hl_chunk_state to)
{
    return c->what == STEP_WORD && hl_chunk_state(c->from) == from && hl_chunk_state(c->to) == to;
}

static bool is_set(const struct step_change *c, uint64_t flag)
{
    return c->what == STEP_WORD && (c->to & ~c->from & flag);
}

static bool is_cleared(const struct step_change *c, uint64_t flag)
{
    return c->what == STEP_WORD && (c->from & ~c->to & flag);
}

static bool is_done(const struct step_change *c, long number)
{
    return c->what == STEP_CALL && c->index == number && (int64_t)c->to >= 0;
}

#define POINT(name, condition) \
    static bool name(const struct step_change *c) \
    { \
        return condition; \
    }

POINT(claims_to_fill, goes(c, HL_CHUNK_EMPTY, HL_CHUNK_FILLING))
POINT(has_read, is_done(c, SYS_pread64))
POINT(has_copied, c->what == STEP_CALL && c->index == SYS_ioctl && c->from == UFFDIO_COPY)
POINT(hands_over, is_done(c, SYS_futex))
POINT(publishes, goes(c, HL_CHUNK_FILLING, HL_CHUNK_RESIDENT))
POINT(abandons, is_set(c, HL_CHUNK_FAILED))
POINT(claims_to_evict, goes(c, HL_CHUNK_RESIDENT, HL_CHUNK_EVICTING))
POINT(has_fenced, is_done(c, SYS_membarrier))
POINT(puts_back, goes(c, HL_CHUNK_EVICTING, HL_CHUNK_RESIDENT))
POINT(dooms, is_set(c, HL_CHUNK_DOOMED))
POINT(has_punched, is_done(c, SYS_fallocate))
POINT(frees_ticket, c->what == STEP_TICKET && !c->to)
POINT(empties, goes(c, HL_CHUNK_EVICTING, HL_CHUNK_EMPTY))
POINT(takes_over_fill, goes(c, HL_CHUNK_FILLING, HL_CHUNK_FILLING))
POINT(takes_over_eviction, goes(c, HL_CHUNK_EVICTING, HL_CHUNK_EVICTING))
POINT(takes_over_doomed, goes(c, HL_CHUNK_EVICTING, HL_CHUNK_FILLING))
POINT(waits, is_set(c, HL_CHUNK_WAITERS))
POINT(clears_ahead, is_cleared(c, HL_CHUNK_AHEAD))
POINT(sets_referenced, is_set(c, HL_CHUNK_REFERENCED))
POINT(takes_ticket, c->what == STEP_TICKET && !c->from)
POINT(adopts_ticket, c->what == STEP_TICKET && c->from && c->to)
POINT(collects, goes(c, HL_CHUNK_FILLING, HL_CHUNK_EVICTING))
POINT(locks_seat, c->what == STEP_CALL && c->index == SYS_fcntl && (int64_t)c->to == -11)
POINT(begins_generation, c->what == STEP_MEMBER)
POINT(takes_entry, c->what == STEP_OWNER && !c->from)
POINT(names_volume, c->what == STEP_VOLUME && !c->from)
POINT(pins, c->what == STEP_PIN && !c->from)
POINT(unpins, c->what == STEP_PIN && !c->to)
POINT(leaves_entry, c->what == STEP_OWNER && !c->to)
POINT(supersedes, c->what == STEP_SLOT && c->to >> 32)
POINT(begins_life, c->what == STEP_FIELD && c->to == c->from + 1)
POINT(goes_live, c->what == STEP_SLOT && (uint32_t)c->to == HL_SLOT_LIVE &&
                     (uint32_t)c->from == HL_SLOT_FREE)
POINT(goes_down, c->what == STEP_SLOT && (uint32_t)c->to == HL_SLOT_DYING)
POINT(unlinks, is_done(c, SYS_unlinkat))
POINT(forgets, goes(c, HL_CHUNK_RESIDENT, HL_CHUNK_EMPTY))
POINT(goes_free, c->what == STEP_SLOT && (uint32_t)c->to == HL_SLOT_FREE)
POINT(drops, goes(c, HL_CHUNK_FILLING, HL_CHUNK_EMPTY))

/* ---- the matrix ---------------------------------------------------------------- */

static const struct row {
    const char *name;
    const char *story;
    bool (*is)(const struct step_change *change);
    enum crash_survivor survivor;
    bool pages; /* it differs by them */
} rows[] = {
    /* The chunk word. */
    { "claimed to fill", "fill", claims_to_fill, CRASH_AT, false },
    { "read", "fill", has_read, CRASH_AT, false },
    { "copied", "fill", has_copied, CRASH_AT, true },
    { "published, nobody woken", "fill", publishes, CRASH_BESIDE, true },
    { "half copied", "fill in halves", has_copied, CRASH_AT, true },
    { "claimed to read early", "early read", claims_to_fill, CRASH_AT, false },
    { "handed over", "early read", hands_over, CRASH_AT, false },
    { "abandoned, nobody woken", "fill that fails", abandons, CRASH_BESIDE, false },
    { "claimed to evict", "evict", claims_to_evict, CRASH_AT, true },
    { "fenced", "evict", has_fenced, CRASH_AT, false },
    { "doomed", "evict", dooms, CRASH_AT, true },
    { "punched", "evict", has_punched, CRASH_AT, true },
    { "ticket freed, the word not", "evict", frees_ticket, CRASH_AT, false },
    { "evicted, nobody woken", "evict", empties, CRASH_BESIDE, true },
    { "put back, nobody woken", "evict what is held", puts_back, CRASH_BESIDE, true },
    { "took over a fill", "take over a fill", takes_over_fill, CRASH_AT, true },
    { "punched what it took over", "take over a fill", has_punched, CRASH_AT, true },
    { "took over an eviction", "take over an eviction", takes_over_eviction, CRASH_AT, true },
    { "adopted the ticket", "take over an eviction", adopts_ticket, CRASH_AT, false },
    { "put back for the dead", "take over an eviction", puts_back, CRASH_BESIDE, false },
    { "took over a doomed one", "take over a doomed one", takes_over_doomed, CRASH_AT, true },
    { "took over a punched one", "take over a punched one", takes_over_doomed, CRASH_AT, true },
    { "waits", "wait", waits, CRASH_AT, false },
    { "cleared AHEAD", "touch what came ahead", clears_ahead, CRASH_AT, false },
    { "set REFERENCED", "touch", sets_referenced, CRASH_AT, false },
    /* The ticket. */
    { "ticket taken", "fill", takes_ticket, CRASH_AT, false },
    { "ticket given back", "fill that fails", frees_ticket, CRASH_AT, false },
    { "collects an orphan", "collect what the dead left", collects, CRASH_AT, true },
    { "collected an orphan", "collect what the dead left", frees_ticket, CRASH_AT, true },
    /* The member. */
    { "looks for a seat", "attach", locks_seat, CRASH_AT, false },
    { "generation begun", "attach", begins_generation, CRASH_AT, false },
    /* The reader entry. */
    { "volume named, no owner", "open", names_volume, CRASH_AT, false },
    { "entry taken", "open", takes_entry, CRASH_AT, false },
    { "pinned", "touch", pins, CRASH_AT, false },
    { "unpinned", "touch", unpins, CRASH_AT, false },
    { "entry left", "close", leaves_entry, CRASH_AT, false },
    /* The slot. */
    { "superseded", "open a new version", supersedes, CRASH_AT, false },
    { "goes down", "open a new version", goes_down, CRASH_BESIDE, true },
    { "image punched", "open a new version", has_punched, CRASH_AT, true },
    { "image unlinked", "open a new version", unlinks, CRASH_AT, true },
    { "word forgotten", "open a new version", forgets, CRASH_AT, false },
    { "slot free", "open a new version", goes_free, CRASH_AT, false },
    { "life begun", "open a new version", begins_life, CRASH_AT, false },
    { "slot live", "open a new version", goes_live, CRASH_BESIDE, false },
    { "goes down with its last reader", "close an old version", goes_down, CRASH_BESIDE, true },
    /* The haul; test-crash-haul has what needs an origin. */
    { "claimed to haul", "haul", claims_to_fill, CRASH_AT, false },
    { "took over to haul", "haul what the dead left", takes_over_fill, CRASH_AT, true },
    { "dropped, nobody woken", "haul", drops, CRASH_BESIDE, false },
};

enum { ROWS = sizeof rows / sizeof *rows, ATTEMPTS = 5 };

/* The points of a story, as they were when it was told last. */
static struct crash_point points[CRASH_POINTS];
static unsigned nr_points;

static void try_row(const struct row *row)
{
    const struct crash_story *story = crash_story(row->story);
    unsigned i;

    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        for (i = 0; i < nr_points && !row->is(&points[i].change); i++)
            ;
        if (i < nr_points && crash_at(story, row->survivor, points, i))
            return;
        nr_points = crash_points(story, row->survivor, points); /* it went otherwise this time */
    }
    for (i = 0; i < nr_points; i++) {
        char text[128];

        fprintf(stderr, "  %s\n", steps_describe(&points[i].change, text, sizeof text));
    }
    test_fail(__FILE__, __LINE__, "'%s' was not reached", row->name);
}

/* Rows of one story and one kind of survivor, which need it told step by step but once. */
static bool is_first(unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (strcmp(rows[i].story, rows[at].story) == 0 && rows[i].survivor == rows[at].survivor)
            return false;
    return true;
}

static void try_all(bool small_pages)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (!is_first(i))
            continue;
        crash_begin(small_pages);
        nr_points = 0;
        for (unsigned j = i; j < ROWS; j++) {
            if (strcmp(rows[j].story, rows[i].story) || rows[j].survivor != rows[i].survivor ||
                (small_pages && !rows[j].pages) ||
                (crash_story(rows[j].story)->small_pages && test_on_hugepages()))
                continue;
            fprintf(stderr, "%s (%s)\n", rows[j].name, test_on_hugepages() ? "hugetlb" : "shmem");
            try_row(&rows[j]);
        }
        crash_end();
    }
}

int main(void)
{
    bool both = test_on_hugepages();

    try_all(false);
    if (both)
        try_all(true);
    return 0;
}
