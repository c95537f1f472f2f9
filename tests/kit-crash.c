/* SPDX-License-Identifier: MIT
 *
 * kit-crash.c - stories of fills, evictions, take-overs, opens and closes, told to be cut short.
 *
 * Entry points: kit-crash.h.  See also: test-crash-matrix.c, test-crash-steps.c.
 */
#include "config.h"

#include "kit-crash.h"

#include "kit.h"
#include "stop.h"

#include "chunk.h"
#include "crew.h"
#include "image.h"
#include "layout.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNKS = 4, BUDGET = 2, SEED = 51 };
#define BYTES (CHUNKS * CHUNK)
#define OTHER_BYTES (CHUNK + 5000)

static struct shared {
    _Atomic unsigned ready, go, blocked, done; /* of the survivor */
    _Atomic unsigned held, let;                /* of the holder */
    _Atomic uint64_t victim;                   /* its owner word */
    _Atomic unsigned dead;
    /* Naps, and refused attempts at the lock, for the victim's sake after its death. */
    _Atomic unsigned late;
    unsigned versions;     /* of the other source: how often it has been replaced */
} *shared;

static const char *path, *other, *dir;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol, *old;
static const void *held;
static pid_t holder;

/* ---- parts of stories ------------------------------------------------------ */

static void fetch(uint64_t chunk)
{
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, 1, &data), 0);
    hugelite_volume_release(vol, data);
}

static void fetch_it(void)
{
    fetch(CRASH_CHUNK);
}

static void make_resident(void)
{
    fetch(CRASH_CHUNK);
    fetch(CRASH_CHUNK + 1);
}

static void make_full(void)
{
    for (unsigned i = CRASH_CHUNK + 1; i < CRASH_CHUNK + 1 + BUDGET; i++)
        fetch(i);
}

static _Atomic uint64_t *the_word(void)
{
    return &pool->words[crash_word()];
}

static void killed(pid_t pid)
{
    int status;

    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void open_all(void)
{
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    hl_crew_start(&pool->crew);
}

/* Somebody who dies before the nth such call, of one who fetches or evicts. */
static struct {
    enum stop_call call;
    bool after, evicts;
    uint64_t chunk;
} earlier;

static void die_earlier(void *arg)
{
    (void)arg;
    open_all();
    (earlier.after ? stop_after : stop_before)(earlier.call, 1, stop_die);
    if (earlier.evicts)
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    else
        fetch(earlier.chunk);
}

static void leave(enum stop_call call, bool after, bool evicts, uint64_t chunk)
{
    earlier.call = call;
    earlier.after = after;
    earlier.evicts = evicts;
    earlier.chunk = chunk;
    killed(kit_fork(die_earlier, NULL));
}

static void leave_filling(void)
{
    leave(STOP_COPY, true, false, CRASH_CHUNK);
}

static void leave_evicting(void)
{
    make_resident();
    leave(STOP_FENCE, false, true, 0);
}

static void leave_doomed(void)
{
    make_resident();
    leave(STOP_PUNCH, false, true, 0);
}

static void leave_punched(void)
{
    make_resident();
    leave(STOP_PUNCH, true, true, 0);
}

/* All of the budget, in claims of the dead. */
static void leave_full(void)
{
    for (unsigned i = 0; i < BUDGET; i++)
        leave(STOP_COPY, true, false, CRASH_CHUNK + 1 + i);
}

static void evict_all(void)
{
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
}

/* The parent holds it while the victim wants it out, and needs no source for it. */
static void hold(void)
{
    make_resident();
    EXPECT_RC(hugelite_volume_fetch(vol, CRASH_CHUNK * CHUNK, 1, &held), 0);
}

static void release_held(void)
{
    if (!held)
        return;
    stop_fail_reads(EIO, 0, BYTES);
    kit_pattern(held, CHUNK, SEED, CRASH_CHUNK * CHUNK);
    stop_fail_reads(0, 0, 0);
    hugelite_volume_release(vol, held);
    held = NULL;
}

static void spoil(void)
{
    stop_fail_reads(EIO, CRASH_CHUNK * CHUNK, CHUNK);
}

/* As the kernel may, where a chunk has many pages. */
static int (*whole_ioctl)(int fd, unsigned long request, void *arg);

static int copy_half(int fd, unsigned long request, void *arg)
{
    struct uffdio_copy *copy = arg;
    int rc;

    if (request != UFFDIO_COPY || copy->len != CHUNK)
        return whole_ioctl(fd, request, arg);
    copy->len = CHUNK / 2;
    rc = whole_ioctl(fd, request, arg);
    EXPECT_EQ(rc, 0);
    copy->len = CHUNK;
    errno = EAGAIN;
    return -1;
}

static void halve_copies(void)
{
    whole_ioctl = hl_sys.ioctl;
    hl_sys.ioctl = copy_half;
}

static void fetch_spoiled(void)
{
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, CRASH_CHUNK * CHUNK, 1, &data), -EIO);
}

/* Somebody alive fills it, until he is let go. */
static void await_let(void)
{
    atomic_store(&shared->held, 1);
    kit_await(&shared->let, 1);
}

static void fill_slowly(void *arg)
{
    (void)arg;
    open_all();
    stop_before(STOP_COPY, 1, await_let);
    fetch_it();
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void start_holder(void)
{
    atomic_store(&shared->held, 0);
    atomic_store(&shared->let, 0);
    holder = kit_fork(fill_slowly, NULL);
    kit_await(&shared->held, 1);
}

/* Not for ever: the holder is let go when the victim is dead. */
static void lose_patience(void)
{
    hl_patience_ns = 20 * 1000 * 1000;
}

static void fetch_in_vain(void)
{
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, CRASH_CHUNK * CHUNK, 1, &data), -ETIMEDOUT);
}

static void end_holder(void)
{
    if (!holder)
        return;
    atomic_store(&shared->let, 1);
    EXPECT_CHILD(holder, 0);
    holder = 0;
}

/* Resident, and no reader has said so since. */
static void forget_hints(void)
{
    make_resident();
    atomic_fetch_and(the_word(), ~(uint64_t)(HL_CHUNK_REFERENCED | HL_CHUNK_AHEAD));
}

static void make_ahead(void)
{
    hl_chunk_post_ahead(vol->volume, CRASH_CHUNK, false);
    kit_await_resident(pool, 1);
    EXPECT(atomic_load(the_word()) & HL_CHUNK_AHEAD);
}

/* Somebody outside the protocol. */
static void punch_by_hand(void)
{
    make_resident();
    EXPECT_RC(hl_image_punch(vol->volume->image.fd, CRASH_CHUNK, 1), 0);
}

static void drop_it(void)
{
    EXPECT(hl_chunk_drop(vol->volume, CRASH_CHUNK));
}

/* As a haul of which nothing has come when the volume is closed. */
static void haul(void)
{
    EXPECT(hl_chunk_claim_haul(vol->volume, CRASH_CHUNK));
    EXPECT(hl_chunk_claim_haul(vol->volume, CRASH_CHUNK + 1));
    hl_chunk_drop_haul(vol->volume, CRASH_CHUNK);
    hl_chunk_drop_haul(vol->volume, CRASH_CHUNK + 1);
}

static void read_early(void)
{
    const void *data;
    char page[4096];
    uint64_t at = CRASH_CHUNK * CHUNK + CHUNK / 2;

    EXPECT_RC(hugelite_volume_try_fetch(vol, at, sizeof page, &data), -EAGAIN);
    EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
}

static void attach(void)
{
    pool = kit_pool(dir, BUDGET);
}

static void detach(void)
{
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

/* The other source, as another version than it ever was. */
static void replace_other(void)
{
    unlink(other);
    test_file(other, OTHER_BYTES, SEED + ++shared->versions);
}

static void verify_other(struct hugelite_volume *which)
{
    kit_verify(which, SEED + shared->versions);
}

static void open_other(void)
{
    kit_volume(pool, other);
}

/* The old version has chunks, and nobody has it open. */
static void outdate(void)
{
    struct hugelite_volume *was;

    replace_other();
    was = kit_volume(pool, other);
    verify_other(was);
    hugelite_volume_close(was);
    replace_other();
}

/* It has, and the victim is the last who has it open. */
static void outdate_open(void)
{
    old = kit_volume(pool, other);
    verify_other(old);
    replace_other();
    hugelite_volume_close(kit_volume(pool, other));
}

static void close_old(void)
{
    hugelite_volume_close(old);
}

static void open_it(void)
{
    kit_volume(pool, path);
}

static void close_it(void)
{
    hugelite_volume_close(vol);
}

const struct crash_story crash_stories[] = {
    { .name = "fill", .tell = fetch_it },
    { .name = "fill of a full pool", .prepare = make_full, .tell = fetch_it },
    { .name = "fill that fails", .before = spoil, .tell = fetch_spoiled, .may_fail = true },
    { .name = "fill in halves", .before = halve_copies, .tell = fetch_it, .small_pages = true },
    { .name = "take over a fill", .prepare = leave_filling, .tell = fetch_it },
    { .name = "take over an eviction", .prepare = leave_evicting, .tell = fetch_it },
    { .name = "take over a doomed one", .prepare = leave_doomed, .tell = fetch_it },
    { .name = "take over a punched one", .prepare = leave_punched, .tell = fetch_it },
    { .name = "collect what the dead left", .prepare = leave_full, .tell = fetch_it },
    { .name = "early read", .tell = read_early },
    { .name = "haul", .tell = haul },
    { .name = "haul what the dead left", .prepare = leave_filling, .tell = haul },
    { .name = "evict", .prepare = make_resident, .tell = evict_all },
    { .name = "evict what is held", .prepare = hold, .tell = evict_all, .behind = release_held },
    { .name = "drop a chunk without a page", .prepare = punch_by_hand, .tell = drop_it },
    { .name = "wait", .prepare = start_holder, .before = lose_patience, .tell = fetch_in_vain,
      .behind = end_holder },
    { .name = "touch", .prepare = forget_hints, .tell = fetch_it },
    { .name = "touch what came ahead", .prepare = make_ahead, .tell = fetch_it },
    { .name = "attach", .tell = attach, .attaches = true },
    { .name = "detach", .tell = detach },
    { .name = "open", .tell = open_it, .on_tables = true },
    { .name = "open a new version", .prepare = outdate, .tell = open_other, .on_tables = true },
    { .name = "close", .tell = close_it },
    { .name = "close an old version", .prepare = replace_other, .before = outdate_open,
      .tell = close_old, .on_tables = true },
    { .name = NULL },
};

const struct crash_story *crash_story(const char *name)
{
    for (const struct crash_story *story = crash_stories; story->name; story++)
        if (strcmp(story->name, name) == 0)
            return story;
    test_fail(__FILE__, __LINE__, "there is no story '%s'", name);
}

/* ---- the survivor ------------------------------------------------------------ */

static int (*real_wait)(const void *word, uint32_t seen, const struct timespec *timeout);
static int (*real_lock)(int fd, int command, struct flock *lock);

/* A nap on a word of the victim's, begun when the victim was dead already: it may have died since the
 * napper looked, but that is once. */
static int count_wait(const void *word, uint32_t seen, const struct timespec *timeout)
{
    uint64_t now = atomic_load((const _Atomic uint64_t *)word);

    if (hl_chunk_state(now) == HL_CHUNK_FILLING || hl_chunk_state(now) == HL_CHUNK_EVICTING) {
        if ((now & HL_OWNER_MASK) == atomic_load(&shared->victim))
            atomic_fetch_add(&shared->late, atomic_load(&shared->dead));
        EXPECT(timeout && timeout->tv_sec == 0 && timeout->tv_nsec <= 64 * 1000 * 1000);
    }
    atomic_store(&shared->blocked, 1);
    return real_wait(word, seen, timeout);
}

static int count_lock(int fd, int command, struct flock *lock)
{
    bool dead = atomic_load(&shared->dead);
    int rc = real_lock(fd, command, lock);

    if (rc < 0 && command == F_OFD_SETLK && lock->l_start == HL_LOCK_POOL) {
        atomic_fetch_add(&shared->late, dead);
        atomic_store(&shared->blocked, 1);
    }
    return rc;
}

static void read_on(const struct crash_story *story, unsigned chunks)
{
    const void *data;
    int rc;

    if (story->may_fail) {
        rc = hugelite_volume_fetch(vol, CRASH_CHUNK * CHUNK, 1, &data);
        EXPECT(rc == 0 || rc == -EIO);
        if (rc == 0)
            hugelite_volume_release(vol, data);
    }
    for (unsigned i = 0; i < chunks; i++)
        kit_verify_chunk(vol, SEED, (CRASH_CHUNK + i) % CHUNKS);
}

static void survive(void *arg)
{
    const struct crash_story *story = arg;

    real_wait = hl_sys.futex_wait;
    real_lock = hl_sys.lock;
    hl_sys.futex_wait = count_wait;
    hl_sys.lock = count_lock;
    open_all();
    atomic_store(&shared->ready, 1);
    kit_await(&shared->go, 1);
    if (story->on_tables) {
        struct hugelite_volume *now;

        hugelite_volume_close(vol);
        vol = kit_volume(pool, path);
        now = kit_volume(pool, other);
        verify_other(now);
        hugelite_volume_close(now);
    }
    read_on(story, CHUNKS / 2);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    atomic_store(&shared->done, 1);
}

/* Let it go on, and come as far as it can. */
static void let_go(void)
{
    double until = test_now() + TEST_HANG_S;

    atomic_store(&shared->go, 1);
    while (!atomic_load(&shared->blocked) && !atomic_load(&shared->done)) {
        EXPECT(test_now() < until);
        usleep(50);
    }
}

/* ---- telling ------------------------------------------------------------------- */

static void victim(void *arg)
{
    const struct crash_story *story = arg;

    pool = NULL;
    if (!story->attaches) {
        open_all();
        atomic_store(&shared->victim, pool->owner);
    }
    if (story->before)
        story->before();
    steps_mark();
    story->tell();
    steps_mark();
}

struct teller {
    const struct crash_story *story;
    enum crash_survivor when;
    pid_t victim, survivor;
    bool gone; /* the survivor has been let go */
};

static struct teller begin(const struct crash_story *story, enum crash_survivor when)
{
    struct teller teller = { .story = story, .when = when };

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    shared->ready = shared->go = shared->blocked = shared->done = shared->dead = shared->late = 0;
    shared->victim = 0;
    if (access(other, F_OK) < 0 && story->on_tables)
        replace_other();
    teller.survivor = kit_fork(survive, (void *)story);
    kit_await(&shared->ready, 1);
    if (story->prepare)
        story->prepare();
    teller.victim = steps_fork(victim, (void *)story);
    steps_begin(teller.victim, pool);
    return teller;
}

static void look_around(const struct crash_story *story)
{
    struct hugelite_volume *now;

    read_on(story, CHUNKS);
    if (story->on_tables) {
        now = kit_volume(pool, other);
        verify_other(now);
        hugelite_volume_close(now);
    }
    if (!story->may_fail)
        EXPECT_EQ(kit_stat(vol).errors, 0);
    kit_audit_empty(pool);
}

static void end(struct teller *teller)
{
    if (!teller->gone && teller->when == CRASH_AT)
        let_go();
    steps_end(teller->victim);
    atomic_store(&shared->dead, 1);
    if (!teller->gone)
        let_go();
    if (teller->story->behind)
        teller->story->behind();
    EXPECT_CHILD(teller->survivor, 0);
    if (shared->late > 1)
        test_fail(__FILE__, __LINE__, "the survivor waited %u times for one who was dead",
                  shared->late);
    look_around(teller->story);
}

/* From here on a survivor has somebody to wait for. */
static bool is_claim(const struct crash_story *story, const struct step_change *change)
{
    if (change->what == STEP_CALL)
        return story->on_tables && change->index == SYS_fcntl && change->from == F_OFD_SETLK &&
               change->to == 0;
    return change->what == STEP_WORD && !story->on_tables &&
           (hl_chunk_state(change->to) == HL_CHUNK_FILLING ||
            hl_chunk_state(change->to) == HL_CHUNK_EVICTING);
}

static void claimed(struct teller *teller)
{
    if (teller->when == CRASH_BESIDE && !teller->gone) {
        let_go();
        teller->gone = true;
    }
}

/* A call of which others see nothing is no other place to die than the one before it. */
static bool is_seen(const struct step_change *change)
{
    if (change->what != STEP_CALL)
        return true;
    switch (change->index) {
    case SYS_ioctl:
    case SYS_fallocate:
    case SYS_openat:
    case SYS_unlinkat:
    case SYS_ftruncate:
    case SYS_mkdir:
    case SYS_munmap:
    case SYS_close:
    case SYS_pread64:
    case SYS_membarrier:
        return true;
    case SYS_fcntl:
        return change->from == F_OFD_SETLK;
    case SYS_futex:
        return (change->from & ~(uint64_t)FUTEX_PRIVATE_FLAG) == FUTEX_WAKE;
    }
    return false;
}

unsigned crash_points(const struct crash_story *story, enum crash_survivor when,
                      struct crash_point points[CRASH_POINTS])
{
    struct teller teller = begin(story, when);
    uint64_t since = 0;
    unsigned nr = 0;

    while (steps_next(teller.victim, &points[nr].change)) {
        if (!is_seen(&points[nr].change))
            continue;
        EXPECT(nr + 1 < CRASH_POINTS);
        points[nr].place = steps_place(teller.victim, since);
        if (!since && is_claim(story, &points[nr].change)) {
            since = steps_taken();
            claimed(&teller);
        }
        nr++;
    }
    end(&teller);
    return nr;
}

/* It has run there at full speed, and others with it: is this what it looked like then? */
static bool is_there(const struct step_change *change)
{
    uint64_t same = HL_CHUNK_STATE | HL_CHUNK_DOOMED, now;

    if (change->what != STEP_WORD)
        return true;
    now = atomic_load(&pool->words[change->index]);
    return (now & same) == (change->to & same);
}

bool crash_at(const struct crash_story *story, enum crash_survivor when,
              const struct crash_point points[], unsigned which)
{
    struct teller teller = begin(story, when);
    bool died = true;

    for (unsigned i = 0; died && i < which; i++)
        if (is_claim(story, &points[i].change)) {
            died = steps_run_to(teller.victim, &points[i].place);
            claimed(&teller);
            break;
        }
    died = died && steps_run_to(teller.victim, &points[which].place) &&
           is_there(&points[which].change);
    end(&teller);
    return died;
}

bool crash_after(const struct crash_story *story, enum crash_survivor when, uint64_t steps)
{
    struct teller teller = begin(story, when);
    bool died = steps_skip(teller.victim, steps);

    end(&teller);
    return died;
}

uint32_t crash_word(void)
{
    return vol->volume->first + CRASH_CHUNK;
}

void crash_begin(bool small_pages)
{
    if (!shared) {
        requires_steps();
        shared = kit_shared(sizeof *shared);
        path = test_path(test_dir(), "db");
        other = test_path(test_dir(), "other");
        test_file(path, BYTES, SEED);
        kit_age(path);
    }
    if (small_pages) {
        setenv("HUGELITE_TEST_PAGES", "shmem", 1);
        setenv("HUGELITE_TEST_POOLS", "/dev/shm", 1);
    }
    dir = test_pool_dir();
    open_all();
}

void crash_end(void)
{
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}
