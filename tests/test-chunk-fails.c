/* SPDX-License-Identifier: MIT
 *
 * test-chunk-fails: a chunk's word changes just before it is claimed, and what follows a claim fails.
 *
 * Others take the chunk, or give it up, between a look at its word and the claim; holes cannot be
 * punched; there is no buffer; who is waited for does nothing.  Passes when the calls of chunk.h
 * answer as they say, no claim of ours is left behind, no ticket and no page is lost, and each
 * byte is right afterwards.
 */
#include "config.h"

#include "fails-kit.h"
#include "stop.h"

#include "codec.h"
#include "crew.h"
#include "error.h"
#include "haul.h"
#include "image.h"
#include "tickets.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* A budget of less than eight: nothing is filled ahead of a reader. */
enum { CHUNKS = 4, BUDGET = 7, SEED = 61 };

static const char *dir, *path;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;
static uint64_t alive, dead; /* claims of another process, and of one that was killed */

/* ---- before a claim ---------------------------------------------------------- */

/* The first call of these by the engine from now on changes this word: between look and claim. */
static _Atomic uint64_t *changing;
static bool no_buffer;

bool __real_hl_touches_earned(const struct hl_touches *touches, uint64_t word);
bool __wrap_hl_touches_earned(const struct hl_touches *touches, uint64_t word);
bool __wrap_hl_touches_earned(const struct hl_touches *touches, uint64_t word)
{
    if (changing)
        atomic_fetch_xor(changing, HL_CHUNK_WAITERS);
    changing = NULL;
    return __real_hl_touches_earned(touches, word);
}

void *__real_hl_buffer_get(void);
void *__wrap_hl_buffer_get(void);
void *__wrap_hl_buffer_get(void)
{
    void *buffer = no_buffer ? NULL : __real_hl_buffer_get();

    no_buffer = false;
    return buffer;
}

static void begin(void)
{
    kit_await_idle(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint32_t i = 0; i < CHUNKS; i++)
        atomic_store(fails_word(vol, i), HL_CHUNK_EMPTY);
}

static void end(void)
{
    kit_await_idle(pool);
    kit_audit(pool);
    kit_verify(vol, SEED);
    kit_audit(pool);
}

static int make_resident(uint32_t index, uint64_t patience_ns)
{
    return hl_chunk_make_resident(vol->volume, index, hl_now_ns() + patience_ns);
}

static void taken_just_before(void)
{
    char page[4096];
    struct hl_crew *crew = &pool->crew;
    unsigned naps;

    begin();
    changing = fails_word(vol, 0);
    EXPECT_RC(make_resident(0, TEST_PATIENCE_NS), 0);
    EXPECT(!changing);

    /* An early read: its place in the crew is given back. */
    changing = fails_word(vol, 1);
    EXPECT_EQ(hl_chunk_serve_early(vol->volume, CHUNK + 512, sizeof page, true, page), 1);
    EXPECT(!changing);
    EXPECT_EQ(atomic_load(&crew->nr_reserved), 0);
    EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, 1))), HL_CHUNK_EMPTY);
    EXPECT_EQ(hl_chunk_serve_early(vol->volume, CHUNK + 512, sizeof page, true, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, CHUNK + 512);

    /* A haul. */
    changing = fails_word(vol, 2);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 2));
    EXPECT(!changing);
    EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, 2))), HL_CHUNK_EMPTY);

    /* Who naps finds out at once that there is nothing to wait for. */
    atomic_store(fails_word(vol, 3), alive | HL_CHUNK_FILLING);
    naps = stop_count_kind(STOP_K_FUTEX_WAIT);
    fails_change_when_asked(fails_word(vol, 3), HL_CHUNK_EMPTY);
    EXPECT_RC(make_resident(3, TEST_PATIENCE_NS), 0);
    EXPECT(fails_changed());
    EXPECT_EQ(stop_count_kind(STOP_K_FUTEX_WAIT), naps);
    end();
}

/* The dead one's eviction has been taken over, and given up, by somebody else. */
static void put_back_just_before(void)
{
    uint64_t was;

    begin();
    kit_verify_chunk(vol, SEED, 1);
    was = atomic_load(fails_word(vol, 1));
    atomic_store(fails_word(vol, 1), dead | HL_CHUNK_EVICTING);
    fails_change_when_asked(fails_word(vol, 1), was);
    EXPECT_RC(make_resident(1, TEST_PATIENCE_NS), 0);
    EXPECT(fails_changed());
    EXPECT_EQ(atomic_load(fails_word(vol, 1)), was);

    /* As an orphan. */
    atomic_store(fails_word(vol, 1), dead | HL_CHUNK_EVICTING);
    fails_change_when_asked(fails_word(vol, 1), was);
    EXPECT(!hl_chunk_claim_orphan(pool, vol->first + 1, dead | HL_CHUNK_EVICTING));
    EXPECT(fails_changed());
    EXPECT_EQ(atomic_load(fails_word(vol, 1)), was);
    EXPECT(!hl_chunk_claim_orphan(pool, vol->first + 1, was));
    EXPECT(!hl_chunk_claim_victim(pool, vol->first + 1, was ^ HL_CHUNK_REFERENCED));
    atomic_store(fails_word(vol, 2), alive | HL_CHUNK_FILLING);
    EXPECT(!hl_chunk_claim_orphan(pool, vol->first + 2, alive | HL_CHUNK_FILLING));
    EXPECT_EQ(atomic_load(fails_word(vol, 2)), alive | HL_CHUNK_FILLING);
    atomic_store(fails_word(vol, 2), HL_CHUNK_EMPTY);
    end();
}

/* ---- after a claim ------------------------------------------------------------- */

static void others_do_nothing(void)
{
    static const char *const doing[] = { "filling", "evicting" };

    begin();
    for (int i = 0; i < 2; i++) {
        atomic_store(fails_word(vol, 0), alive | (i ? HL_CHUNK_EVICTING : HL_CHUNK_FILLING));
        EXPECT_RC(make_resident(0, 1000 * 1000), -ETIMEDOUT);
        EXPECT_CONTAINS(hugelite_error(), doing[i]);
        EXPECT_RC(make_resident(0, 0), -ETIMEDOUT); /* long ago: a few naps all the same */
        EXPECT_EQ(atomic_load(fails_word(vol, 0)) & HL_OWNER_MASK, alive);
    }
    EXPECT(kit_stat(vol).waits >= 4);
    atomic_store(fails_word(vol, 0), HL_CHUNK_EMPTY);
    end();
}

static void the_dead_left(void)
{
    uint32_t ticket;

    /* Half a chunk, perhaps, that cannot be taken away. */
    begin();
    atomic_store(fails_word(vol, 0), FAILS_DEAD | HL_CHUNK_FILLING);
    stop_fail_kind(STOP_K_PUNCH, 1, 1, EIO);
    EXPECT_RC(make_resident(0, TEST_PATIENCE_NS), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "punch");
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT(atomic_load(fails_word(vol, 0)) & HL_CHUNK_FAILED);
    EXPECT_EQ(kit_stat(vol).errors, 1);

    /* The same, for a haul. */
    atomic_store(fails_word(vol, 1), FAILS_DEAD | HL_CHUNK_EVICTING | HL_CHUNK_DOOMED);
    stop_fail_kind(STOP_K_PUNCH, 1, 1, EIO);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 1));
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT_EQ(atomic_load(fails_word(vol, 1)), HL_CHUNK_EMPTY);
    atomic_store(fails_word(vol, 1), FAILS_DEAD | HL_CHUNK_FILLING);
    EXPECT(hl_chunk_claim_haul(vol->volume, 1));
    EXPECT_EQ(atomic_load(fails_word(vol, 1)) & HL_OWNER_MASK, pool->owner);
    hl_chunk_drop_haul(vol->volume, 1);
    end();

    /* What is whole is no haul's, but put back by whoever needs it. */
    kit_verify_chunk(vol, SEED, 2);
    ticket = hl_chunk_ticket(atomic_load(fails_word(vol, 2)));
    atomic_store(fails_word(vol, 2), FAILS_DEAD | HL_CHUNK_EVICTING);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 2));
    EXPECT_RC(make_resident(2, TEST_PATIENCE_NS), 0);
    EXPECT_EQ(hl_chunk_ticket(atomic_load(fails_word(vol, 2))), ticket);

    /* A claim to evict, and no ticket of such a chunk: nobody knows what the page is. */
    begin();
    atomic_store(fails_word(vol, 3), FAILS_DEAD | HL_CHUNK_EVICTING);
    EXPECT_RC(make_resident(3, TEST_PATIENCE_NS), 0);
    end();
}

static void no_claim_for_hauls(void)
{
    begin();
    atomic_store(fails_word(vol, 0), alive | HL_CHUNK_FILLING);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 0));
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), alive | HL_CHUNK_FILLING);
    atomic_store(fails_word(vol, 0), alive | HL_CHUNK_EVICTING | HL_CHUNK_DOOMED);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 0));
    atomic_store(fails_word(vol, 0), HL_CHUNK_EMPTY);

    EXPECT(hl_chunk_claim_haul(vol->volume, 1));
    no_buffer = true;
    hl_chunk_fill_haul(vol->volume, 1, false);
    EXPECT(!no_buffer);
    EXPECT_EQ(atomic_load(fails_word(vol, 1)), HL_CHUNK_EMPTY);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);

    no_buffer = true;
    EXPECT_RC(make_resident(2, TEST_PATIENCE_NS), -ENOMEM);
    EXPECT_CONTAINS(hugelite_error(), "no memory for a fill buffer");
    EXPECT_EQ(atomic_load(fails_word(vol, 2)), HL_CHUNK_EMPTY);

    /* A damaged frame: no fill could succeed. */
    hl_touches_damage(&vol->volume->touches, 3);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 3));
    hl_chunk_post_ahead(vol->volume, 3, false);
    EXPECT(!hl_touches_unwish(&vol->volume->touches, 3));
    EXPECT_EQ(atomic_load(fails_word(vol, 3)), HL_CHUNK_EMPTY);
    end();
    hl_chunk_post_ahead(vol->volume, 2, false); /* it is resident */
    EXPECT(!hl_touches_unwish(&vol->volume->touches, 2));
}

static int read_nothing(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                        struct hl_codec_work *work)
{
    (void)codec;
    (void)offset;
    (void)length;
    (void)buffer;
    (void)work;
    return hl_error(ECANCELED, "it is being closed");
}

/* A fill that is called off is no error of the volume's. */
static void called_off(void)
{
    const struct hl_codec_ops *ops = vol->volume->codec->ops;
    struct hl_codec_ops idle = *ops;
    uint64_t errors = kit_stat(vol).errors;

    begin();
    idle.read = read_nothing;
    vol->volume->codec->ops = &idle;
    EXPECT_RC(make_resident(0, TEST_PATIENCE_NS), -ECANCELED);
    vol->volume->codec->ops = ops;
    EXPECT_EQ(kit_stat(vol).errors, errors);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
}

/* ---- eviction -------------------------------------------------------------------- */

/* As a sweep claims it; a chunk that may be nobody's. */
static struct hl_victim victim(uint32_t chunk)
{
    struct hl_victim v = { .chunk = chunk };

    EXPECT(hl_ticket_take(pool, hl_ticket_make(pool, chunk), &v.ticket));
    v.ticket_word = atomic_load(&pool->tickets[v.ticket]);
    v.was = HL_CHUNK_RESIDENT | (uint64_t)v.ticket << HL_CHUNK_TICKET_SHIFT;
    atomic_store(&pool->words[chunk], v.was);
    EXPECT(hl_chunk_claim_victim(pool, chunk, v.was));
    return v;
}

static void evict_neighbours(struct hugelite_volume *next)
{
    uint32_t end_of_first = vol->first + vol->volume->slot->capacity;
    uint32_t nobodys = next->first + next->volume->slot->capacity;
    struct hl_victim victims[4];

    begin();
    EXPECT_EQ(next->first, end_of_first);
    EXPECT(nobodys < pool->nr_words);

    /* The last of one volume, the first two of another: not one run; and what is no volume's. */
    for (unsigned i = 0; i < 3; i++)
        victims[i] = victim(end_of_first - 1 + i);
    victims[3] = victim(nobodys);
    EXPECT_EQ(hl_chunk_evict(pool, victims, 4), 4);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(hl_chunk_state(atomic_load(&pool->words[end_of_first - 1 + i])), HL_CHUNK_EMPTY);
    EXPECT_EQ(hl_chunk_state(atomic_load(&pool->words[nobodys])), HL_CHUNK_EMPTY);

    /* One of the two cannot be opened: its chunks stay what they were. */
    for (unsigned i = 0; i < 3; i++)
        victims[i] = victim(end_of_first - 1 + i);
    stop_fail_kind(STOP_K_OPENAT, 2, 1, EMFILE);
    EXPECT_EQ(hl_chunk_evict(pool, victims, 3), 1);
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT_EQ(hl_ticket_count(pool, next->first, 2), 2);
    for (unsigned i = 1; i < 3; i++) {
        uint64_t word = atomic_load(&pool->words[end_of_first - 1 + i]);

        EXPECT_EQ(hl_chunk_state(word), HL_CHUNK_RESIDENT);
        EXPECT(hl_chunk_drop(next->volume, i - 1)); /* there is no page */
    }
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
    kit_verify(next, SEED);
}

static void dropped(void)
{
    uint64_t word;

    begin();
    EXPECT(hl_chunk_drop(vol->volume, 0)); /* there is nothing to do */
    kit_verify_chunk(vol, SEED, 0);
    word = atomic_load(fails_word(vol, 0));
    EXPECT(hl_chunk_drop(vol->volume, 0)); /* its page is there */
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), word);

    EXPECT_RC(hl_image_punch(vol->volume->image.fd, 0, 1), 0); /* not any more */
    stop_fail_kind(STOP_K_PUNCH, 1, 1, EIO);
    EXPECT(!hl_chunk_drop(vol->volume, 0));
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), word);
    EXPECT(hl_chunk_drop(vol->volume, 0));
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), HL_CHUNK_EMPTY);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    end();
}

static int wake_up(const void *word, uint32_t seen, const struct timespec *timeout)
{
    (void)seen;
    (void)timeout;
    atomic_store((_Atomic uint64_t *)(uintptr_t)word, HL_CHUNK_EMPTY);
    return 0;
}

static void forgotten(void)
{
    uint64_t deadline = hl_now_ns() + TEST_PATIENCE_NS;
    uint32_t chunk = vol->first;
    struct hl_victim v;

    begin();
    EXPECT_RC(hl_chunk_forget(pool, chunk, 0), 0);
    atomic_store(fails_word(vol, 0), alive | HL_CHUNK_FILLING);
    EXPECT_RC(hl_chunk_forget(pool, chunk, hl_now_ns()), -ETIMEDOUT);
    EXPECT_CONTAINS(hugelite_error(), "makes no progress");
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), alive | HL_CHUNK_FILLING);
    {
        int (*wait)(const void *, uint32_t, const struct timespec *) = hl_sys.futex_wait;

        hl_sys.futex_wait = wake_up;
        EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
        hl_sys.futex_wait = wait;
    }
    atomic_store(fails_word(vol, 0), dead | HL_CHUNK_EVICTING);
    fails_change_when_asked(fails_word(vol, 0), HL_CHUNK_FAILED);
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
    EXPECT(fails_changed());
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), HL_CHUNK_EMPTY);
    atomic_store(fails_word(vol, 0), dead | HL_CHUNK_FILLING | HL_CHUNK_WAITERS);
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);

    /* Its ticket goes as well; not one that is another's by now, nor one that cannot be. */
    v = victim(chunk);
    atomic_store(fails_word(vol, 0), v.was);
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
    EXPECT_EQ(hl_ticket_count(pool, 0, UINT32_MAX), 0);
    v = victim(chunk + 1);
    atomic_store(fails_word(vol, 0), v.was);
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
    EXPECT_EQ(hl_ticket_count(pool, chunk + 1, 1), 1);
    atomic_store(fails_word(vol, 0), HL_CHUNK_RESIDENT | (uint64_t)UINT_MAX << 32);
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
    EXPECT_EQ(hl_chunk_evict(pool, &v, 1), 1);
    atomic_store(fails_word(vol, 0), v.was); /* and one that is free */
    EXPECT_RC(hl_chunk_forget(pool, chunk, deadline), 0);
    end();
}

/* Who may not have a userfaultfd fills nothing. */
static void uncached(void *arg)
{
    char page[4096];

    (void)arg;
    stop_fail_kind(STOP_K_USERFAULTFD, 1, 1000, EPERM);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    EXPECT_RC(make_resident(0, TEST_PATIENCE_NS), -EPERM);
    EXPECT_CONTAINS(hugelite_error(), "cannot be filled");
    pool->alone = true;
    EXPECT_RC(make_resident(0, TEST_PATIENCE_NS), -ENOSPC);
    pool->alone = false;
    hl_chunk_post_ahead(vol->volume, 0, false);
    EXPECT(!hl_chunk_claim_haul(vol->volume, 0));
    EXPECT_EQ(atomic_load(fails_word(vol, 0)), HL_CHUNK_EMPTY);
    EXPECT_RC(hugelite_volume_read(vol, 77, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, 77);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_volume *next;
    const char *other;
    pid_t pid, killed;

    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    other = test_path(test_dir(), "next");
    test_file(path, CHUNKS * CHUNK, SEED);
    test_file(other, 2 * CHUNK, SEED);
    kit_age(path);
    kit_age(other);
    alive = fails_attach(dir, BUDGET, &pid);
    dead = fails_attach(dir, BUDGET, &killed);
    EXPECT_CHILD(kit_fork(uncached, NULL), 0);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    hl_crew_start(&pool->crew);
    kit_kill(killed);

    taken_just_before();
    put_back_just_before();
    others_do_nothing();
    the_dead_left();
    called_off();
    next = kit_volume(pool, other);
    evict_neighbours(next);
    hugelite_volume_close(next);
    dropped();
    forgotten();
    no_claim_for_hauls();

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    kit_kill(pid);
    return 0;
}
