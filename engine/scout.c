/* SPDX-License-Identifier: MIT
 *
 * scout.c - the thread that goes ahead of the readers of a remote volume, and who it is that has
 * one.
 *
 *   slot->scout:   0 ──claim──> this process ──done, closed──> 0     (the dead count as 0)
 *   thread:        started for a job, ends when it has none; at most one a volume
 *
 * Two jobs: the warm list, haul by haul, and the interior pages, which come first when somebody
 * asks for them meanwhile.  What it brings is for all processes: chunks are shared, and so is
 * the disk tier; only where there is no tier each process in turn keeps its interior pages for
 * itself.
 *
 * Entry points: scout.h.  See also: interior.c (which pages), forage.c (their bytes), wanted.c
 * (the lists), haul.c (the chunks).
 */
#include "config.h"

#include "scout.h"

#include "chunk.h"
#include "crew.h"
#include "error.h"
#include "forage.h"
#include "haul.h"
#include "interior.h"
#include "lock.h"
#include "pool.h"
#include "replacement.h"
#include "source.h"
#include "state.h"
#include "sys.h"
#include "tickets.h"
#include "volume.h"
#include "wanted.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    JOB_INTERIOR = 1,
    JOB_WARM = 2,

    NICER = 5,

    /* A chunk goes with those of its neighbours that are so near in the list. */
    TOGETHER = 64,
    /* Hauls under way: enough to keep a link busy with small ones. */
    HAULS_MIN = 2,
    HAULS_MAX = 8,
    /* Hauls in a row that brought nothing: the origin is not there, or the pool has no page. */
    FRUITLESS_MAX = 3,

    /* A volume is cold while a quarter of it, or of what the budget holds, is not resident... */
    COLD_PART = 4,
    /* ...and a list is worth going for while half of it is not. */
    LIST_PART = 2,
};

#define BUSY_NS (1ull * 1000 * 1000 * 1000)    /* another process has it: ask again then */
#define FAILED_NS (60ull * 1000 * 1000 * 1000) /* it could not be done: try again then */

/* Chunks of the warm list that are still to be brought. */
struct warm {
    uint32_t *list, nr, at;
    uint32_t *place;           /* of each chunk in the list, + 1; 0 = none, or brought */
    uint32_t begun[HAULS_MAX]; /* the first chunk of a haul under way, + 1; 0 = none */
    unsigned fruitless;
};

struct hl_party {
    struct hl_volume *volume;
    struct hl_state *state;
    struct hl_wanted *wanted;
    _Atomic bool has_gone;         /* for the interior pages */
    _Atomic uint64_t again_at_ns;  /* not before */

    struct hl_lock lock;
    unsigned jobs;
    bool stop;
    bool runs, ended;              /* there is a thread, to be joined; it has no job any more */
    pthread_t thread;
    struct hl_forage *forage;      /* made by the first thread, kept until the end */

    struct warm warm;              /* the thread's */
};

/* ---- chunks ------------------------------------------------------------------ */

static enum hl_chunk_state chunk_state(const struct hl_volume *volume, uint32_t index)
{
    return hl_chunk_state(atomic_load_explicit(&volume->pool->words[volume->first + index],
                                               memory_order_relaxed));
}

/* Nobody has it, or somebody who is dead. */
static bool is_to_be_had(const struct hl_volume *volume, uint32_t index)
{
    uint64_t word = atomic_load_explicit(&volume->pool->words[volume->first + index],
                                         memory_order_relaxed);

    switch (hl_chunk_state(word)) {
    case HL_CHUNK_EMPTY:
        return true;
    case HL_CHUNK_FILLING:
    case HL_CHUNK_EVICTING:
        return (word & HL_OWNER_MASK) != volume->pool->owner &&
               !hl_member_alive(volume->pool, word & HL_OWNER_MASK);
    case HL_CHUNK_RESIDENT:
        break;
    }
    return false;
}

static bool is_cold(const struct hl_volume *volume)
{
    uint32_t most = hl_ticket_limit(volume->pool), nr = 0;

    if (most > volume->nr_chunks)
        most = volume->nr_chunks;
    for (uint32_t i = 0; i < volume->nr_chunks; i++)
        nr += chunk_state(volume, i) == HL_CHUNK_RESIDENT;
    return nr <= most / COLD_PART;
}

/* ---- the slot ------------------------------------------------------------------ */

/* Be the one process that does it.  seq_cst as all claims; nothing else depends on it: two that
 * did it would do it twice. */
static bool claim(struct hl_volume *volume)
{
    uint64_t mine = volume->pool->owner;
    uint64_t owner = atomic_load_explicit(&volume->slot->scout, memory_order_seq_cst);

    if (owner == mine)
        return true;
    return (owner == 0 || !hl_member_alive(volume->pool, owner)) &&
           atomic_compare_exchange_strong_explicit(&volume->slot->scout, &owner, mine,
                                                   memory_order_seq_cst, memory_order_seq_cst);
}

static void give_back(struct hl_volume *volume)
{
    uint64_t mine = volume->pool->owner;

    atomic_compare_exchange_strong_explicit(&volume->slot->scout, &mine, 0, memory_order_seq_cst,
                                            memory_order_seq_cst);
}

/* ---- the warm list ---------------------------------------------------------------- */

static void free_warm(struct warm *warm)
{
    free(warm->list);
    free(warm->place);
    *warm = (struct warm){ 0 };
}

/* Is there a list worth going for? */
static bool load_warm(struct hl_party *party)
{
    struct hl_volume *volume = party->volume;
    struct warm *warm = &party->warm;
    uint32_t resident = 0;

    warm->nr = hl_wanted_load(party->state, volume->source->name_key, volume->nr_chunks,
                              hl_ticket_limit(volume->pool), &warm->list);
    if (warm->nr)
        warm->place = calloc(volume->nr_chunks, sizeof *warm->place);
    for (uint32_t i = 0; warm->place && i < warm->nr; i++) {
        warm->place[warm->list[i]] = i + 1;
        resident += chunk_state(volume, warm->list[i]) == HL_CHUNK_RESIDENT;
    }
    if (warm->place && resident < (warm->nr + LIST_PART - 1) / LIST_PART)
        return true;
    free_warm(warm);
    return false;
}

/* Is this chunk to be brought with the one that the list has come to? */
static bool goes_along(const struct hl_party *party, uint32_t index)
{
    uint32_t place = index < party->volume->nr_chunks ? party->warm.place[index] : 0;

    return place && place - 1 - party->warm.at < TOGETHER &&
           is_to_be_had(party->volume, index);
}

/* The next chunk of the list that nobody has, with its neighbours; false at the end. */
static bool next_run(struct hl_party *party, uint32_t *ret_first, uint32_t *ret_nr)
{
    uint32_t most = hl_haul_chunks(party->volume), first, nr = 1;
    struct warm *warm = &party->warm;

    while (warm->at < warm->nr && !goes_along(party, warm->list[warm->at]))
        warm->at++;
    if (warm->at == warm->nr)
        return false;
    first = warm->list[warm->at];
    while (nr < most && goes_along(party, first + nr))
        nr++;
    while (nr < most && first && goes_along(party, first - 1)) {
        first--;
        nr++;
    }
    for (uint32_t i = 0; i < nr; i++)
        warm->place[first + i] = 0;
    *ret_first = first;
    *ret_nr = nr;
    return true;
}

/* Look what has become of the hauls, and remember one more. */
static bool is_fruitful(struct hl_party *party, uint32_t first)
{
    struct warm *warm = &party->warm;
    unsigned at = 0;

    for (unsigned i = 0; i < HAULS_MAX; i++) {
        uint32_t *begun = &warm->begun[i];
        enum hl_chunk_state state = *begun ? chunk_state(party->volume, *begun - 1)
                                           : HL_CHUNK_FILLING;

        if (state == HL_CHUNK_EMPTY || state == HL_CHUNK_RESIDENT) {
            warm->fruitless = state == HL_CHUNK_EMPTY ? warm->fruitless + 1 : 0;
            *begun = 0;
        }
        if (!*begun)
            at = i;
    }
    warm->begun[at] = first + 1;
    return warm->fruitless < FRUITLESS_MAX;
}

/* One haul more.  False when there is none: the list is at its end, the pool has no room without
 * others having to leave, or it is no use. */
static bool warm_on(struct hl_party *party)
{
    struct hl_volume *volume = party->volume;
    uint32_t first, nr;
    unsigned most;

    if (!hl_replacement_has_room(volume->pool, volume->nr_chunks) || !next_run(party, &first, &nr))
        return false;
    most = HAULS_MIN * hl_haul_chunks(volume) / nr;
    if (!hl_haul_wait(volume, most < HAULS_MIN ? HAULS_MIN : most > HAULS_MAX ? HAULS_MAX : most) ||
        !is_fruitful(party, first))
        return false;
    hl_haul_begin(volume, first, nr, true, true);
    return true;
}

/* ---- the interior pages --------------------------------------------------------------- */

/* What a new go brings with, once; false when the volume is being closed. */
static bool provide_forage(struct hl_party *party)
{
    struct hl_forage *forage;
    bool stop;

    if (party->forage) {
        hl_forage_reset(party->forage);
        return true;
    }
    if (hl_forage_new(party->volume, party->state, &forage) < 0)
        return false;
    hl_lock(&party->lock);
    party->forage = forage;
    stop = party->stop;
    hl_unlock(&party->lock);
    return !stop;
}

static void bring_interior(struct hl_party *party)
{
    int rc = provide_forage(party) ? hl_interior_bring(party->volume, party->state, party->forage)
                                   : -ECANCELED;

    if (rc < 0 && rc != -ESTALE) {
        atomic_store_explicit(&party->again_at_ns, hl_now_ns() + FAILED_NS, memory_order_relaxed);
        atomic_store_explicit(&party->has_gone, false, memory_order_release);
    }
}

/* ---- the thread ----------------------------------------------------------------------- */

/* The next thing to do; 0: nothing, and the thread has ended for the others. */
static unsigned take_job(struct hl_party *party)
{
    unsigned job;

    hl_lock(&party->lock);
    job = party->stop ? 0 : party->jobs & JOB_INTERIOR ? JOB_INTERIOR : party->jobs & JOB_WARM;
    if (job == JOB_INTERIOR)
        party->jobs &= ~(unsigned)JOB_INTERIOR;
    if (!job) {
        give_back(party->volume);
        party->ended = true;
    }
    hl_unlock(&party->lock);
    return job;
}

static void end_warm(struct hl_party *party)
{
    free_warm(&party->warm);
    hl_lock(&party->lock);
    party->jobs &= ~(unsigned)JOB_WARM;
    hl_unlock(&party->lock);
}

static void *scout_main(void *arg)
{
    struct hl_party *party = arg;
    unsigned job;
    sigset_t all;

    /* The host's signals are not for this thread, which was born quiet. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_setname_np(pthread_self(), "hugelite-scout");
    setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICER);
    while ((job = take_job(party))) {
        if (job == JOB_INTERIOR)
            bring_interior(party);
        else if (!warm_on(party))
            end_warm(party);
    }
    return NULL;
}

/* Under the lock.  False when there can be no thread. */
static bool start_thread(struct hl_party *party)
{
    if (party->runs && !party->ended)
        return true;
    if (party->runs)
        pthread_join(party->thread, NULL); /* it is on its way out */
    party->ended = false;
    party->runs = pthread_create(&party->thread, NULL, scout_main, party) == 0;
    return party->runs;
}

/* Begin a job.  False when another process is at it, or nobody can be. */
static bool begin_job(struct hl_party *party, unsigned job)
{
    bool begun = false;

    hl_lock(&party->lock);
    if (!party->stop && claim(party->volume)) {
        party->jobs |= job;
        begun = start_thread(party);
        if (!begun) {
            party->jobs = 0;
            give_back(party->volume);
        }
    }
    hl_unlock(&party->lock);
    return begun;
}

/* ---- hooks ---------------------------------------------------------------------------- */

static struct hl_party *party_of(struct hl_volume *volume)
{
    /* acquire: pairs with the exchange in hl_scout_open(). */
    return atomic_load_explicit(&volume->scout.party, memory_order_acquire);
}

static void free_party(struct hl_party *party)
{
    free_warm(&party->warm);
    hl_wanted_close(party->wanted);
    hl_state_put(party->state);
    free(party);
}

static struct hl_party *make_party(struct hl_volume *volume)
{
    struct hl_party *party = calloc(1, sizeof *party);

    if (!party)
        return NULL;
    party->volume = volume;
    party->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_SCOUT);
    party->state = hl_state_get();
    if (!party->state) {
        free(party);
        return NULL;
    }
    if (party->state->catalog)
        party->wanted = hl_wanted_new(party->state, volume->source->name_key, volume->nr_chunks,
                                      hl_ticket_limit(volume->pool), is_cold(volume));
    return party;
}

void hl_scout_open(struct hl_volume *volume)
{
    struct hl_party *party, *none = NULL;

    if (!volume->source->remote || party_of(volume))
        return;
    party = make_party(volume);
    if (!party)
        return;
    /* Before others see it, as the thread has the list for itself. */
    if (party->wanted && !volume->source->unvalidated && load_warm(party))
        hl_crew_start(&volume->pool->crew);
    if (!atomic_compare_exchange_strong_explicit(&volume->scout.party, &none, party,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        free_party(party);
        return;
    }
    if (!party->warm.nr || !hl_crew_threads(&volume->pool->crew) || !begin_job(party, JOB_WARM))
        free_warm(&party->warm);
}

void hl_scout_start(struct hl_volume *volume)
{
    struct hl_party *party = party_of(volume);
    bool gone = false;
    uint64_t now;

    if (!party || atomic_load_explicit(&party->has_gone, memory_order_relaxed))
        return;
    now = hl_now_ns();
    if (now < atomic_load_explicit(&party->again_at_ns, memory_order_relaxed) ||
        !atomic_compare_exchange_strong_explicit(&party->has_gone, &gone, true,
                                                 memory_order_acq_rel, memory_order_relaxed) ||
        begin_job(party, JOB_INTERIOR))
        return;
    atomic_store_explicit(&party->again_at_ns, now + BUSY_NS, memory_order_relaxed);
    atomic_store_explicit(&party->has_gone, false, memory_order_release);
}

bool hl_scout_has_gone(struct hl_volume *volume)
{
    struct hl_party *party = party_of(volume);

    return party && atomic_load_explicit(&party->has_gone, memory_order_relaxed);
}

void hl_scout_note(struct hl_volume *volume, uint32_t index)
{
    struct hl_party *party = party_of(volume);

    if (party && party->wanted)
        hl_wanted_note(party->wanted, index);
}

void hl_scout_stop(struct hl_volume *volume)
{
    struct hl_party *party = party_of(volume);
    struct hl_forage *forage;

    if (!party)
        return;
    if (volume->pool->dead) {
        /* The thread is the parent's, and may have been anywhere. */
        hl_wanted_free(party->wanted);
        free_warm(&party->warm);
        free(party);
        return;
    }
    hl_lock(&party->lock);
    party->stop = true;
    forage = party->forage;
    hl_unlock(&party->lock);
    if (forage)
        hl_forage_stop(forage);
    if (party->runs)
        pthread_join(party->thread, NULL);
    hl_forage_free(party->forage);
    atomic_store_explicit(&volume->scout.party, NULL, memory_order_release);
    free_party(party);
}
