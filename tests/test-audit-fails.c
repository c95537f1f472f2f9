/* SPDX-License-Identifier: MIT
 *
 * test-audit-fails: an audit whose calls fail, and in which things change between its looks.
 *
 * A pool is damaged in several ways, and each call that the audit makes fails in turn; a word, an
 * image or a ticket is put right, or becomes another, while it is looked at.  Passes when what
 * fails is an error with a sentence, and the next audit repairs everything; when nothing is found that
 * did not stay as it was, and what is on the move is left alone; and when each byte is right then.
 */
#include "config.h"

#include "audit-kit.h"
#include "stop.h"

#include "chunk.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUDGET = 8, CHUNKS = 3, MANY = 100 };

/* Of a seat that somebody has left, so that the kernel is asked for it. */
#define DEAD HL_OWNER(700, 5)

static struct hugelite_pool *pool;
static const char *dir, *paths[2];
static struct hl_slot *slot; /* of the first of them */
static const char *image;
static uint32_t ticket;      /* one that is free, while the pool is whole */

/* ---- between two calls ---------------------------------------------------------- */

/* Where something may happen: this once, at the nth time. */
enum place { NAP, CLAIM, ASK, OPEN, PLACES };

static struct {
    unsigned nth;
    void (*action)(void);
    bool each; /* and each time after it */
} events[PLACES];

static void at(enum place place, unsigned nth, void (*action)(void))
{
    events[place].nth = nth;
    events[place].action = action;
    events[place].each = false;
}

static void pass(enum place place)
{
    if (!events[place].nth || (events[place].nth > 1 && events[place].nth--))
        return;
    if (!events[place].each)
        events[place].nth = 0;
    events[place].action();
}

/* It has happened; nothing more will. */
static bool has_been(enum place place)
{
    bool been = events[place].nth == 0;

    events[place].nth = 0;
    return been;
}

/* The pause between two looks. */
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    pass(NAP);
    return 0;
}

/* After the last look, before the claim. */
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    pass(CLAIM);
    return __real_pthread_sigmask(how, set, old);
}

static unsigned no_memory; /* the nth realloc() from now on fails; 0 = none */
static bool no_listing;

void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes)
{
    if (no_memory && --no_memory == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_realloc(old, bytes);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
    if (!no_listing)
        return __real_fdopendir(fd);
    no_listing = false;
    errno = ENOMEM;
    return NULL;
}

static int (*real_lock)(int fd, int command, struct flock *lock);
static int (*real_openat)(int dir_fd, const char *path, int flags, mode_t mode);

/* Does an owner live? */
static int ask(int fd, int command, struct flock *lock)
{
    if (command == F_OFD_GETLK)
        pass(ASK);
    return real_lock(fd, command, lock);
}

static int open_it(int dir_fd, const char *path, int flags, mode_t mode)
{
    if (strstr(path, ".image"))
        pass(OPEN);
    return real_openat(dir_fd, path, flags, mode);
}

/* ---- the pool ---------------------------------------------------------------------- */

static _Atomic uint64_t *word_of(uint32_t index)
{
    return &pool->words[slot->first + index];
}

/* Both volumes whole, and nothing wrong. */
static void whole(void)
{
    char name[HL_IMAGE_NAME_BYTES];

    for (unsigned i = 0; i < 2; i++) {
        struct hugelite_volume *vol = kit_volume(pool, paths[i]);

        kit_verify(vol, i + 1);
        if (i == 0)
            slot = vol->volume->slot;
        hugelite_volume_close(vol);
    }
    EXPECT_EQ(ak_clean(pool).resident, 2 * CHUNKS);
    hl_slot_image_name(pool, slot, name);
    image = test_path(dir, name);
    for (ticket = 0; atomic_load(&pool->tickets[ticket]); ticket++)
        EXPECT(ticket + 1 < pool->nr_tickets);
}

static uint64_t ticket_of(uint32_t chunk, uint32_t member)
{
    return (uint64_t)member << 32 | (chunk + 1);
}

/* What a repair has found; everything is put right then. */
static struct hl_audit mend(void)
{
    struct hl_audit audit;

    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
    EXPECT_EQ(hl_audit_open(&audit, false), 0);
    return audit;
}

static struct hl_audit look(void)
{
    struct hl_audit audit;

    EXPECT_RC(hl_audit(pool, false, NULL, NULL, &audit), 0);
    return audit;
}

/* Nothing is found, repair or not. */
static void nothing(void)
{
    struct hl_audit audit;

    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
    for (unsigned i = 0; i < HL_FINDINGS; i++)
        if (audit.found[i])
            test_fail(__FILE__, __LINE__, "%s: %llu", hl_finding_kinds[i].name,
                      (unsigned long long)audit.found[i]);
}

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    close(fd);
}

/* ---- every call fails once -------------------------------------------------------------- */

/* One of everything that is repaired under the lock, and two that are without. */
static void damage(void)
{
    pool->readers[77].pins[3] = 5;
    atomic_store(&slot->scout, DEAD);
    atomic_store(&pool->tickets[ticket], ticket_of(slot->first + 40, 0));
    atomic_store(word_of(41), DEAD | HL_CHUNK_FILLING);
    atomic_store(&pool->words[pool->nr_words - 1], DEAD | HL_CHUNK_FILLING);
    make_file(test_path(dir, "0123-4.image"));
}

static void told(void *arg, enum hl_finding kind, bool repaired, const char *text)
{
    (void)kind;
    (void)repaired;
    EXPECT(text[0]);
    ++*(unsigned *)arg;
}

/* Returns whether there was an nth call. */
static bool fail(enum stop_kind kind, unsigned nth)
{
    struct hl_audit audit;
    unsigned failed, nr = 0;
    int rc;

    damage();
    stop_fail_kind(kind, nth, 1, EIO);
    rc = hl_audit(pool, true, told, &nr, &audit);
    failed = stop_failed_kind();
    stop_fail_kind(kind, 0, 0, 0);
    EXPECT(rc == 0 || (rc < 0 && hugelite_error()[0]));
    EXPECT(failed || (rc == 0 && nr == 6));
    mend();
    return failed;
}

static void calls(void)
{
    static const enum stop_kind kinds[] = {
        STOP_K_OPENAT, STOP_K_FSTAT, STOP_K_MMAP,     STOP_K_REGISTER,
        STOP_K_MPROTECT, STOP_K_LOCK, STOP_K_UNLINKAT, STOP_K_GETLK,
    };
    struct hl_audit audit;

    whole();
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        unsigned nth = 0;

        /* The answer to GETLK is asked for each member: the first dozen is like the others. */
        while (fail(kinds[k], ++nth) && (kinds[k] != STOP_K_GETLK || nth < 12))
            ;
        printf("%s: %u calls\n", stop_kind_name(kinds[k]), nth - 1);
        EXPECT(nth > 1 || kinds[k] == STOP_K_MPROTECT);
    }
    whole();

    damage();
    no_listing = true;
    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), -ENOMEM);
    mend();
    for (unsigned nth = 1; nth <= 6; nth++) {
        damage();
        no_memory = nth;
        if (hl_audit(pool, true, NULL, NULL, &audit) == 0)
            break;
        EXPECT(strstr(hugelite_error(), "no memory"));
        EXPECT_EQ(no_memory, 0);
        mend();
    }
    EXPECT(no_memory > 0);
    no_memory = 0;
    whole();
}

/* More than there is room for at first. */
static void many(void)
{
    char name[64];

    whole();
    for (unsigned i = 0; i < MANY; i++) {
        pool->readers[100 + i].pins[0] = 9;
        snprintf(name, sizeof name, "%u-9.image", i);
        make_file(test_path(dir, name));
    }
    ak_mend(pool, "readers_garbled", MANY, "images_left", MANY, NULL);
    /* Too long to be one of ours. */
    memset(name, 'a', sizeof name);
    strcpy(name + sizeof name - 7, ".image");
    make_file(test_path(dir, name));
    nothing();
    EXPECT_EQ(unlink(test_path(dir, name)), 0);
}

/* ---- the tables ------------------------------------------------------------------------- */

static void header(void)
{
    struct hl_control *c = pool->control;
    struct stat st;

    whole();
#define OTHER(field)                              \
    do {                                          \
        __typeof__(c->field) was = c->field;      \
        memset(&c->field, 0x55, sizeof c->field); \
        ak_stays(pool, "control_header", 1, NULL); \
        c->field = was;                           \
        nothing();                                \
    } while (0)
    OTHER(magic);
    OTHER(version);
    OTHER(page_bytes);
    OTHER(control_bytes);
    OTHER(nr_tickets);
    OTHER(nr_words);
    c->light_pins ^= 1;
    ak_stays(pool, "control_header", 1, NULL);
    c->light_pins ^= 1;
    OTHER(members_at);
    OTHER(readers_at);
    OTHER(slots_at);
    OTHER(tickets_at);
    OTHER(free_at);
    OTHER(fresh_at);
    OTHER(words_at);
#undef OTHER

    EXPECT_EQ(fstat(pool->control_fd, &st), 0);
    EXPECT_EQ(ftruncate(pool->control_fd, st.st_size + (off_t)CHUNK), 0);
    ak_stays(pool, "control_holes", 1, NULL);
    EXPECT_EQ(ftruncate(pool->control_fd, st.st_size), 0);
    nothing();
}

static void readers(void)
{
    struct hugelite_volume *vols[2];
    struct hl_reader *reader;
    const struct hl_slot *later;
    const void *data;
    uint32_t volume, capacity;

    whole();
    for (unsigned i = 0; i < 2; i++)
        vols[i] = kit_volume(pool, paths[i]);
    reader = vols[vols[0]->volume->first < vols[1]->volume->first]->reader;
    later = &pool->slots[atomic_load(&reader->volume) - 1];
    EXPECT(later->first > 0);

    reader->pins[HL_PINS - 1] = 1; /* before its chunks */
    ak_stays(pool, "readers_garbled", 1, NULL);
    reader->pins[HL_PINS - 1] = 0;
    volume = atomic_load(&reader->volume);
    atomic_store(&reader->volume, HL_SLOTS + 5);
    ak_stays(pool, "readers_garbled", 1, NULL);
    atomic_store(&reader->volume, HL_SLOTS); /* that slot is free */
    EXPECT_EQ(atomic_load(&pool->slots[HL_SLOTS - 1].state), HL_SLOT_FREE);
    ak_stays(pool, "readers_garbled", 1, NULL);
    atomic_store(&reader->volume, 0); /* it is being released */
    nothing();
    atomic_store(&reader->volume, volume);

    EXPECT_RC(hugelite_volume_fetch(vols[0], 0, 64, &data), 0);
    capacity = slot->capacity;
    slot->capacity = UINT32_MAX;
    EXPECT_EQ(look().found[HL_FOUND_readers_garbled], 1);
    slot->capacity = capacity;
    hugelite_volume_release(vols[0], data);
    for (unsigned i = 0; i < 2; i++)
        hugelite_volume_close(vols[i]);
    whole();
}

static void over_budget(void)
{
    const void *data[2 * CHUNKS];
    struct hugelite_volume *vols[2];
    uint64_t held;
    struct hl_audit audit;

    whole();
    for (unsigned i = 0; i < 2; i++)
        vols[i] = kit_volume(pool, paths[i]);
    for (unsigned i = 0; i < 2 * CHUNKS; i++)
        EXPECT_RC(hugelite_volume_fetch(vols[i / CHUNKS], i % CHUNKS * CHUNK, 64, &data[i]), 0);
    EXPECT_RC(hugelite_pool_resize(pool, 2 * CHUNK, &held), 0);
    audit = look();
    EXPECT_EQ(audit.tickets, 2);
    EXPECT_EQ(audit.over * CHUNK, held);
    EXPECT(audit.over >= 2 * CHUNKS - 2);
    EXPECT_EQ(audit.resident, 2 * CHUNKS);
    for (unsigned i = 0; i < 2 * CHUNKS; i++)
        hugelite_volume_release(vols[i / CHUNKS], data[i]);
    EXPECT_RC(hugelite_pool_resize(pool, BUDGET * CHUNK, &held), 0);
    for (unsigned i = 0; i < 2; i++)
        hugelite_volume_close(vols[i]);
    EXPECT_EQ(look().over, 0);
    whole();
}

/* Of a live scout, and of a fill of ours that has not the ticket, but another member. */
static void alive(void)
{
    whole();
    atomic_store(&slot->scout, pool->owner);
    nothing();
    EXPECT_EQ(atomic_load(&slot->scout), pool->owner);
    atomic_store(&slot->scout, 0);

    atomic_store(word_of(40), pool->owner | HL_CHUNK_FILLING);
    atomic_store(&pool->tickets[ticket],
                 ticket_of(slot->first + 40, HL_OWNER_MEMBER(pool->owner) + 1));
    ak_mend(pool, "tickets_forgotten", 1, NULL);
    EXPECT_EQ(atomic_load(word_of(40)), pool->owner | HL_CHUNK_FILLING);
    atomic_store(word_of(40), HL_CHUNK_EMPTY);
    whole();
}

static void directory(void)
{
    whole();
    EXPECT_EQ(unlink(image), 0);
    EXPECT_EQ(mkdir(image, 0700), 0);
    EXPECT_EQ(look().found[HL_FOUND_images_missing], 1);
    EXPECT_EQ(rmdir(image), 0);
    ak_mend(pool, "images_missing", 1, NULL);
    whole();
}

/* ---- between two looks -------------------------------------------------------------------- */

static const char *aside;

static void bring_back(void)
{
    EXPECT_EQ(rename(aside, image), 0);
}

static void free_ticket(void)
{
    atomic_store(&pool->tickets[ticket], 0);
}

static void another_ticket(void)
{
    atomic_fetch_add(&pool->tickets[ticket], 1ull << 44); /* the tag */
}

static void empty_again(void)
{
    atomic_store(word_of(40), HL_CHUNK_EMPTY);
}

static void another_word(void)
{
    atomic_fetch_xor(word_of(40), HL_CHUNK_WAITERS);
}

static void another_life(void)
{
    atomic_fetch_add(&slot->life, 1);
}

static void dying(void)
{
    atomic_store(&slot->state, HL_SLOT_DYING);
}

static void looks(void)
{
    /* An image that is there again, a ticket that has been taken, one that changes each time. */
    whole();
    aside = test_path(dir, "aside");
    EXPECT_EQ(rename(image, aside), 0);
    at(NAP, 1, bring_back);
    nothing();
    EXPECT(has_been(NAP));
    atomic_store(&pool->tickets[ticket], ticket_of(slot->first + 40, 0));
    at(NAP, 1, free_ticket);
    nothing();
    EXPECT(has_been(NAP));
    atomic_store(&pool->tickets[ticket], ticket_of(slot->first + 40, 0));
    at(NAP, 1, another_ticket);
    events[NAP].each = true;
    nothing();
    events[NAP].nth = 0;
    free_ticket();
    whole();
}

/* Its word, the volume's state or its life changes at each moment at which an owner is asked for. */
static void while_asked(void (*action)(void))
{
    bool been = true;

    for (unsigned nth = 1; been; nth++) {
        struct hl_audit audit;
        uint32_t life;

        whole();
        life = atomic_load(&slot->life);
        atomic_store(word_of(40), DEAD | HL_CHUNK_FILLING);
        at(ASK, nth, action);
        EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
        been = has_been(ASK);
        if (atomic_load(&slot->life) == life + 1)
            atomic_store(&slot->life, life); /* nobody was born */
        EXPECT(audit.found[HL_FOUND_chunks_orphaned] <= 1);
        mend();
        EXPECT_EQ(hl_chunk_state(atomic_load(word_of(40))), HL_CHUNK_EMPTY);
    }
    whole();
}

/* The same of a word that no look could tell from one that stays, until it is claimed. */
static void before_claim(uint64_t word)
{
    bool been = true;

    for (unsigned nth = 1; been; nth++) {
        struct hl_audit audit;

        whole();
        atomic_store(word_of(40), word);
        at(CLAIM, nth, another_word);
        EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
        been = has_been(CLAIM);
        mend();
    }
    whole();
}

static void remove_it(void)
{
    EXPECT_EQ(unlink(image), 0);
}

static void cut_it(void)
{
    EXPECT_EQ(truncate(image, (off_t)CHUNK), 0);
}

/* The image goes before it is opened: it is found the next time. */
static void before_open(void (*action)(void))
{
    struct hl_audit audit;
    bool been = true;

    for (unsigned nth = 1; been && nth < 3; nth++) {
        whole();
        at(OPEN, nth, action);
        EXPECT_RC(hl_audit(pool, false, NULL, NULL, &audit), 0);
        been = has_been(OPEN);
        EXPECT_EQ(audit.found[HL_FOUND_images_missing], 0);
        audit = mend();
        EXPECT_EQ(audit.found[HL_FOUND_images_missing], been);
    }
    whole();
}

static void in_a_child(void *arg)
{
    struct hl_audit audit;

    (void)arg;
    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), -ECHILD);
}

int main(void)
{
    dir = test_pool_dir();
    for (unsigned i = 0; i < 2; i++) {
        paths[i] = test_path(test_dir(), i ? "b" : "a");
        test_file(paths[i], CHUNKS * CHUNK - 77, i + 1);
    }
    pool = kit_pool(dir, BUDGET);
    atomic_store(&pool->members[HL_OWNER_MEMBER(DEAD)].generation, HL_OWNER_GENERATION(DEAD));
    stop_count(STOP_ANY); /* its hooks first */
    real_lock = hl_sys.lock;
    real_openat = hl_sys.openat;
    hl_sys.lock = ask;
    hl_sys.openat = open_it;

    calls();
    many();
    header();
    readers();
    over_budget();
    alive();
    directory();
    looks();
    while_asked(empty_again);
    while_asked(another_word);
    while_asked(another_life);
    while_asked(dying);
    before_claim(HL_CHUNK_RESIDENT | (uint64_t)(pool->nr_tickets + 9) << 32);
    before_open(remove_it);
    before_open(cut_it);
    EXPECT_CHILD(kit_fork(in_a_child, NULL), 0);
    hugelite_pool_close(pool);
    return 0;
}
