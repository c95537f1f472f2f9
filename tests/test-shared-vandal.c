/* SPDX-License-Identifier: MIT
 *
 * test-shared-vandal: a member that writes random words into the control segment while others work.
 *
 * Members, readers and their pins, slots, tickets, chunk words, hands and limits: each in turn, then all at once, by
 * numbers that are garbage, small, or near what is there.  Passes when the others, who open, fetch, read, warm,
 * look, evict and close meanwhile, never get a wrong byte from what a call has answered with 0; when no call hangs or
 * crashes, and what fails says why; and when, with the vandal gone and the directory removed, a new pool works.
 *
 * What a vandal does to the images is out of scope: members can write them, and so show anybody anything.
 * A word that says that a hole is a page makes a touch of it wait for a fill, which
 * may fail as any touch of hugelite_volume_map()'s memory may: by SIGBUS, which is counted here.
 */
#include "config.h"

#include "kit.h"

#include "layout.h"
#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 5
#define BYTES (CHUNKS * CHUNK - 77)
#define BUDGET 6
#define READERS 2
#define ROUNDS 12

enum kind { MEMBERS, ENTRIES, SLOTS, TICKETS, WORDS, HEADER, KINDS };

static const char *dir, *paths[2];
static struct {
    _Atomic unsigned kind;             /* what is spoiled now; KINDS = everything */
    _Atomic unsigned rounds[READERS];  /* done */
    _Atomic unsigned writes, failures, signals, good;
    _Atomic unsigned stop;
} *shared;

/* ---- the vandal ------------------------------------------------------------- */

static uint64_t state = 4711;

static uint64_t next(void)
{
    state = test_pattern(state, 8);
    return state >> 16;
}

static void region(struct hugelite_pool *pool, enum kind kind, char **ret_from, uint64_t *ret_bytes)
{
    struct hl_control *c = pool->control;

    switch (kind) {
    case MEMBERS:
        *ret_from = (char *)pool->members;
        *ret_bytes = 16 * sizeof *pool->members;
        break;
    case ENTRIES:
        *ret_from = (char *)pool->readers;
        *ret_bytes = 16 * sizeof *pool->readers;
        break;
    case SLOTS:
        *ret_from = (char *)pool->slots;
        *ret_bytes = 4 * sizeof *pool->slots;
        break;
    case TICKETS:
        *ret_from = (char *)pool->tickets;
        *ret_bytes = (char *)pool->words - (char *)pool->tickets;
        if (*ret_bytes > 4096)
            *ret_bytes = 4096;
        break;
    case WORDS:
        *ret_from = (char *)pool->words;
        *ret_bytes = 300 * sizeof *pool->words;
        break;
    default: /* what of the header is not copied at attach: all of it may be spoiled */
        *ret_from = (char *)c + 8;
        *ret_bytes = sizeof *c - 8;
    }
}

static void spoil(struct hugelite_pool *pool, enum kind kind)
{
    uint64_t bytes, value;
    char *from;
    _Atomic uint64_t *word;

    region(pool, kind, &from, &bytes);
    word = (_Atomic uint64_t *)(from + next() % (bytes / 8) * 8);
    switch (next() % 4) {
    case 0:
        value = next() << 32 ^ next();
        break;
    case 1:
        value = next() % 8;
        break;
    case 2: /* two halves, each of which may pass for an index */
        value = (next() % 400) << 32 | next() % 400;
        break;
    default: /* a bit of what is there */
        value = atomic_load_explicit(word, memory_order_relaxed) ^ (uint64_t)1 << next() % 64;
    }
    atomic_store_explicit(word, value, memory_order_relaxed);
    atomic_fetch_add(&shared->writes, 1);
}

static void vandal(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);

    (void)arg;
    while (!atomic_load(&shared->stop)) {
        unsigned kind = atomic_load(&shared->kind);

        for (unsigned i = 0; i < 20; i++)
            spoil(pool, kind == KINDS ? (enum kind)(next() % KINDS) : (enum kind)kind);
        usleep(200);
    }
    _exit(0); /* what it would give back is not what it took */
}

/* ---- the others ------------------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t in_touch;

static void on_sigbus(int signal)
{
    if (!in_touch) {
        static const char text[] = "SIGBUS in the library\n";

        (void)!write(2, text, sizeof text - 1);
        _exit(3);
    }
    in_touch = 0;
    siglongjmp(back, signal);
}

/* 0, or counted; what fails has a sentence. */
static bool works(int rc)
{
    if (rc == 0)
        return true;
    EXPECT(rc < 0 && rc > -4096);
    if (rc != -EAGAIN)
        EXPECT(hugelite_error()[0]);
    atomic_fetch_add(&shared->failures, 1);
    return false;
}

static void look(struct hugelite_volume *vol, uint64_t seed, uint64_t chunk)
{
    const void *data;

    if (!works(hugelite_volume_fetch(vol, chunk * CHUNK, 65536, &data)))
        return;
    if (sigsetjmp(back, 1) == 0) {
        in_touch = 1;
        EXPECT_PATTERN(data, 65536, seed, chunk * CHUNK);
        atomic_fetch_add(&shared->good, 1);
    } else {
        atomic_fetch_add(&shared->signals, 1);
    }
    in_touch = 0;
    hugelite_volume_release(vol, data);
}

static void use(struct hugelite_pool *pool, unsigned which, char *buffer)
{
    struct hugelite_volume_stat stats[8];
    struct hugelite_pool_stat *stat = malloc(sizeof *stat);
    struct hugelite_volume *vol;
    const void *data;
    size_t nr;

    EXPECT(stat != NULL);
    works(hugelite_pool_stat(pool, stat));
    free(stat);
    works(hugelite_pool_volumes(pool, stats, 8, &nr));
    if (!works(hugelite_volume_open(pool, paths[which], &vol)))
        return;
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++)
        look(vol, which, chunk);
    if (works(hugelite_volume_try_fetch(vol, 3 * CHUNK, 4096, &data)))
        hugelite_volume_release(vol, data);
    if (works(hugelite_volume_stat(vol, &stats[0])))
        works(hugelite_volume_warm(vol, 0, 0, NULL, NULL));
    for (uint64_t chunk = 0; chunk < CHUNKS - 1; chunk++) {
        if (sigsetjmp(back, 1)) {
            atomic_fetch_add(&shared->signals, 1);
        } else {
            in_touch = 1;
            if (works(hugelite_volume_read(vol, chunk * CHUNK + 4096, 65536, buffer)))
                EXPECT_PATTERN(buffer, 65536, which, chunk * CHUNK + 4096);
        }
        in_touch = 0;
    }
    works(hugelite_pool_evict(pool, which ? NULL : paths[1], NULL));
    hugelite_volume_close(vol);
}

static void reader(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    char *buffer = malloc(65536);

    EXPECT(buffer != NULL);
    signal(SIGBUS, on_sigbus);
    hl_patience_ns = 30 * 1000 * 1000;
    alarm(3 * TEST_HANG_S);
    for (unsigned round = 0; round < (KINDS + 1) * ROUNDS; round++) {
        struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
        struct hugelite_pool *pool;

        if (works(hugelite_pool_open(dir, &opts, &pool))) {
            use(pool, (me + round) % 2, buffer);
            hugelite_pool_close(pool);
        }
        atomic_fetch_add(&shared->rounds[me], 1);
    }
    free(buffer);
}

static void a_new_pool(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    EXPECT_EQ(unlink(test_path(dir, "control")), 0);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, paths[0]);
    kit_verify(vol, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

int main(void)
{
    pid_t readers[READERS], spoiler;

    shared = kit_shared(sizeof *shared);
    dir = test_pool_dir();
    for (unsigned i = 0; i < 2; i++) {
        paths[i] = test_path(test_dir(), i ? "b" : "a");
        test_file(paths[i], BYTES, i);
        kit_age(paths[i]);
    }
    hugelite_pool_close(kit_pool(dir, BUDGET));
    for (uintptr_t i = 0; i < READERS; i++)
        readers[i] = kit_fork(reader, (void *)i);
    spoiler = kit_fork(vandal, NULL);
    for (unsigned kind = 0; kind <= KINDS; kind++) {
        atomic_store(&shared->kind, kind);
        for (unsigned i = 0; i < READERS; i++)
            while (atomic_load(&shared->rounds[i]) < (kind + 1) * ROUNDS &&
                   !has_ended(readers[i]))
                test_sleep_ms(1);
    }
    for (unsigned i = 0; i < READERS; i++)
        EXPECT_CHILD(readers[i], 0);
    atomic_store(&shared->stop, 1);
    EXPECT_CHILD(spoiler, 0);
    printf("%u words spoiled, %u chunks right, %u calls failed, %u touches ended by SIGBUS\n",
           atomic_load(&shared->writes), atomic_load(&shared->good),
           atomic_load(&shared->failures), atomic_load(&shared->signals));
    EXPECT(atomic_load(&shared->writes) > 100);
    EXPECT(atomic_load(&shared->good) > 0);
    EXPECT_CHILD(kit_fork(a_new_pool, NULL), 0);
    return 0;
}
