/* SPDX-License-Identifier: MIT
 *
 * test-replacement-fails: sweeps that come too late, and rings and shares that say little.
 *
 * A word changes between a sweeper's look and his claim, an orphan has just been taken over, the rings
 * have lost what was pushed, free tickets are always somebody else's, a volume is far over its
 * share.  Passes when a chunk whose word changed stays, what is asked for is found all the same, or
 * refused after so many rounds, a share is kept, and the tables are right afterwards.
 */
#include "config.h"

#include "fails-kit.h"

#include "replacement.h"
#include "tickets.h"

#include <errno.h>
#include <string.h>

/* A budget of less than eight: nothing is filled ahead of a reader. */
enum { CHUNKS = 10, BUDGET = 7, SEED = 83, ROUNDS_RING = 4, ROUNDS_MAX = 1000 };

static const char *dir, *path;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

/* ---- what comes between ---------------------------------------------------------- */

/* A word that is another one each time that a sweeper looks at the limit: once between look and claim. */
static _Atomic uint64_t *restless;
static bool no_ticket, no_ticket_at_all;
static unsigned nr_takes;

uint32_t __real_hl_ticket_limit(const struct hugelite_pool *of);
uint32_t __wrap_hl_ticket_limit(const struct hugelite_pool *of);
uint32_t __wrap_hl_ticket_limit(const struct hugelite_pool *of)
{
    if (restless)
        atomic_fetch_xor(restless, HL_CHUNK_WAITERS);
    return __real_hl_ticket_limit(of);
}

bool __real_hl_ticket_take(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket);
bool __wrap_hl_ticket_take(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket);
bool __wrap_hl_ticket_take(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket)
{
    nr_takes++;
    return !no_ticket && __real_hl_ticket_take(of, mine, ret_ticket);
}

bool __real_hl_ticket_take_any(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket);
bool __wrap_hl_ticket_take_any(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket);
bool __wrap_hl_ticket_take_any(struct hugelite_pool *of, uint64_t mine, uint32_t *ret_ticket)
{
    return !no_ticket_at_all && __real_hl_ticket_take_any(of, mine, ret_ticket);
}

static uint32_t tickets_in_use(void)
{
    return hl_ticket_count(pool, 0, UINT32_MAX);
}

/* All of the budget, in order. */
static void fill(void)
{
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint32_t i = 0; i < BUDGET; i++)
        kit_verify_chunk(vol, SEED, i);
    EXPECT_EQ(tickets_in_use(), BUDGET);
}

static void end(void)
{
    kit_audit(pool);
    kit_verify(vol, SEED);
    EXPECT(tickets_in_use() <= BUDGET);
    kit_audit(pool);
}

/* Is a chunk on probation, for all that the ring says? */
static bool stands(uint32_t ticket)
{
    uint64_t place = HL_TICKET_TAG(atomic_load(&pool->tickets[ticket])) << 32 | (ticket + 1);

    for (uint32_t i = 0; i < pool->nr_tickets; i++)
        if ((atomic_load(&pool->fresh_entries[i]) & 0xfffffffffffffu) == place)
            return true;
    return false;
}

/* ---- too late ---------------------------------------------------------------------- */

/* The first on probation; used: it is to be kept, else it is to go. */
static void changes_at_each_look(bool used)
{
    uint64_t was;

    fill();
    if (used)
        atomic_fetch_or(fails_word(vol, 0), HL_CHUNK_REFERENCED);
    was = atomic_load(fails_word(vol, 0)) & ~(uint64_t)HL_CHUNK_WAITERS;
    EXPECT_EQ(hl_chunk_state(was), HL_CHUNK_RESIDENT);
    restless = fails_word(vol, 0);
    kit_verify_chunk(vol, SEED, BUDGET);
    kit_verify_chunk(vol, SEED, BUDGET + 1);
    restless = NULL;
    EXPECT_EQ(atomic_fetch_and(fails_word(vol, 0), ~(uint64_t)HL_CHUNK_WAITERS) &
                  ~(uint64_t)HL_CHUNK_WAITERS, was);
    EXPECT(stands(hl_chunk_ticket(was)));
    EXPECT_EQ(tickets_in_use(), BUDGET);
    end();
}

static void orphan_is_taken_just_before(uint64_t dead, uint64_t alive)
{
    uint64_t taken = alive | HL_CHUNK_FILLING;

    fill();
    atomic_store(fails_word(vol, 3), dead | HL_CHUNK_FILLING);
    fails_change_when_asked(fails_word(vol, 3), taken);
    kit_verify_chunk(vol, SEED, BUDGET);
    EXPECT(fails_changed());
    for (uint32_t i = 0; i < CHUNKS; i++)
        if (i != 3)
            kit_verify_chunk(vol, SEED, i);
    EXPECT_EQ(atomic_load(fails_word(vol, 3)), taken);

    /* An orphan that is left one. */
    atomic_store(fails_word(vol, 3), dead | HL_CHUNK_FILLING);
    end();
}

/* ---- little is known ------------------------------------------------------------------ */

static void ring_has_lost_all(void)
{
    fill();
    for (uint32_t i = 0; i < pool->nr_tickets; i++)
        atomic_store(&pool->fresh_entries[i], 0);
    atomic_fetch_add(&pool->control->fresh.tail, pool->nr_tickets);
    kit_verify_chunk(vol, SEED, BUDGET);
    kit_verify_chunk(vol, SEED, BUDGET + 1);
    EXPECT_EQ(tickets_in_use(), BUDGET);
    end();
}

static void tickets_are_always_others(void)
{
    uint32_t ticket, all[BUDGET];
    uint64_t mine;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    no_ticket = true;
    nr_takes = 0;
    kit_verify_chunk(vol, SEED, 0);
    EXPECT_EQ(nr_takes, ROUNDS_RING + 1);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);

    no_ticket_at_all = true;
    nr_takes = 0;
    EXPECT_RC(hl_replacement_take(pool, vol->volume->slot, vol->first, 0, &ticket), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "of the budget are in use");
    EXPECT_EQ(nr_takes, ROUNDS_MAX);
    EXPECT_EQ(tickets_in_use(), 0);
    no_ticket = no_ticket_at_all = false;

    /* Of those that nobody knows of: each once. */
    mine = hl_ticket_make(pool, vol->first);
    for (uint32_t i = 0; i < BUDGET; i++) {
        EXPECT(hl_ticket_take_any(pool, mine, &all[i]));
        EXPECT_EQ(all[i], i);
    }
    EXPECT(!hl_ticket_take_any(pool, mine, &ticket));
    hl_ticket_give(pool, all[5]);
    EXPECT(hl_ticket_take_any(pool, mine, &ticket));
    EXPECT_EQ(ticket, all[5]);
    for (uint32_t i = 0; i < BUDGET; i++)
        hl_ticket_give(pool, all[i]);
    end();
}

/* ---- budgets and shares ------------------------------------------------------------------ */

static uint32_t resize(uint32_t chunks)
{
    uint32_t left;

    EXPECT_RC(hl_pool_lock(pool), 0);
    left = hl_replacement_resize(pool, chunks);
    hl_pool_unlock(pool);
    return left;
}

static void as_large_as_can_be(void)
{
    fill();
    EXPECT_EQ(resize(pool->nr_tickets), 0);
    EXPECT_EQ(hl_ticket_limit(pool), pool->nr_tickets);
    for (uint32_t i = 0; i < CHUNKS; i++)
        kit_verify_chunk(vol, SEED, i);
    EXPECT_EQ(tickets_in_use(), CHUNKS);
    EXPECT_EQ(resize(BUDGET), 0);
    EXPECT(tickets_in_use() <= BUDGET);
    end();
}

/* Three must leave, and one can. */
static void held_beyond_the_share(void)
{
    const void *held[2], *data;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint32_t i = 0; i < 3; i++)
        kit_verify_chunk(vol, SEED, i);
    for (uint32_t i = 0; i < 2; i++)
        EXPECT_RC(hugelite_volume_fetch(vol, i * CHUNK, 8, &held[i]), 0);
    EXPECT_RC(hugelite_pool_set_share(pool, path, CHUNK), 0);
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 8, &data), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "share");
    EXPECT_EQ(tickets_in_use(), 2);
    EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, 2))), HL_CHUNK_EMPTY);
    for (uint32_t i = 0; i < 2; i++) {
        kit_pattern(held[i], CHUNK, SEED, i * CHUNK);
        hugelite_volume_release(vol, held[i]);
    }
    kit_verify_chunk(vol, SEED, 3);
    EXPECT_EQ(tickets_in_use(), 1);
    EXPECT_RC(hugelite_pool_set_share(pool, path, 0), 0);
    end();
}

/* More than leave in one sweep.  The image has more room than the volume has chunks. */
static void far_over_the_share(void)
{
    enum { OVER = HL_VICTIMS + 5 };
    uint32_t ticket;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT(vol->volume->slot->capacity >= CHUNKS + OVER);
    EXPECT_EQ(resize(4 * BUDGET), 0);
    for (uint32_t i = 0; i < OVER; i++) {
        uint32_t chunk = vol->first + CHUNKS + i;

        EXPECT(hl_ticket_take(pool, hl_ticket_make(pool, chunk), &ticket));
        atomic_store(&pool->words[chunk],
                     HL_CHUNK_RESIDENT | (uint64_t)ticket << HL_CHUNK_TICKET_SHIFT);
    }
    EXPECT_RC(hugelite_pool_set_share(pool, path, CHUNK), 0);
    kit_verify_chunk(vol, SEED, 0);
    EXPECT_EQ(tickets_in_use(), 1);
    for (uint32_t i = 0; i < OVER; i++)
        EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, CHUNKS + i))), HL_CHUNK_EMPTY);
    EXPECT_RC(hugelite_pool_set_share(pool, path, 0), 0);
    EXPECT_EQ(resize(BUDGET), 0);
    end();
}

/* A sweep frees a sixty-fourth of the budget ahead of need, and no more than fit into one call: what is
 * beyond that is room. */
static void large_budget(void)
{
    enum { LIMIT = 64 * (HL_VICTIMS + 1) };
    struct hugelite_pool *small = pool;
    uint32_t ticket, nobodys;

    pool = kit_pool(test_pool_dir(), LIMIT / 8 + 1);
    EXPECT(pool->nr_tickets >= LIMIT);
    EXPECT_EQ(resize(LIMIT), 0);
    nobodys = pool->nr_words - 1;
    while (hl_ticket_offered(pool) > HL_VICTIMS + 1)
        EXPECT(hl_ticket_take(pool, hl_ticket_make(pool, nobodys), &ticket));
    EXPECT(hl_replacement_has_room(pool, CHUNKS));
    EXPECT(hl_ticket_take(pool, hl_ticket_make(pool, nobodys), &ticket));
    EXPECT_EQ(hl_ticket_offered(pool), HL_VICTIMS);
    EXPECT(!hl_replacement_has_room(pool, CHUNKS));
    for (ticket = 0; ticket < LIMIT; ticket++)
        hl_ticket_give(pool, ticket);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    pool = small;
}

int main(void)
{
    uint64_t dead, alive;
    pid_t pid, killed;

    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    test_file(path, CHUNKS * CHUNK, SEED);
    kit_age(path);
    alive = fails_attach(dir, BUDGET, &pid);
    dead = fails_attach(dir, BUDGET, &killed);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_kill(killed);

    changes_at_each_look(false);
    changes_at_each_look(true);
    orphan_is_taken_just_before(dead, alive);
    ring_has_lost_all();
    tickets_are_always_others();
    as_large_as_can_be();
    held_beyond_the_share();
    far_over_the_share();
    large_budget();

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    kit_kill(pid);
    return 0;
}
