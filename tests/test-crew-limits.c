/* SPDX-License-Identifier: MIT
 *
 * test-crew-limits: a crew by itself, that has no threads, or too much to do, or is left while there is
 * work of others in its queues.
 *
 * Passes when a crew without threads promises nothing; when places end where the queues do, and
 * what is posted beyond is refused and nothing is lost of the rest; and when who leaves waits for
 * his own jobs that were posted meanwhile, in either queue, and for those alone.
 */
#include "config.h"

#include "kit.h"

#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

/* The crew knows them by address alone. */
static struct hl_volume *const ours = (struct hl_volume *)0x1000,
                               *const theirs = (struct hl_volume *)0x2000;

static struct hl_crew crew;
static _Atomic unsigned held, go, ran, of_ours;
static pthread_t leaver;
static _Atomic unsigned leaver_waits, leaver_left;
static bool no_affinity, no_threads;

int __real_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
    if (!no_affinity)
        return __real_sched_getaffinity(pid, bytes, set);
    errno = EINVAL;
    return -1;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

/* Under the crew's lock: it has looked, and there is something to wait for. */
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (cond == &crew.done)
        atomic_fetch_add(&leaver_waits, 1);
    return __real_pthread_cond_wait(cond, mutex);
}

static void start(void)
{
    hl_crew_init(&crew);
    no_affinity = true; /* one thread, then */
    hl_crew_start(&crew);
    no_affinity = false;
    held = go = ran = of_ours = leaver_waits = leaver_left = 0;
}

static void stop(void)
{
    hl_crew_stop(&crew);
    EXPECT_EQ(atomic_load(&crew.nr_reserved), 0);
    EXPECT_EQ(crew.nr_hauled, 0);
    memset(&crew, 0, sizeof crew);
}

static void run_now(const struct hl_job *job)
{
    if (job->volume == ours)
        atomic_fetch_add(&of_ours, 1);
    atomic_fetch_add(&ran, 1);
}

/* Not before `go` is so large as its index. */
static void run_held(const struct hl_job *job)
{
    atomic_fetch_add(&held, 1);
    kit_await(&go, job->index);
    run_now(job);
}

static void post(enum hl_job_kind kind, struct hl_volume *volume,
                 void (*run)(const struct hl_job *job), uint32_t index)
{
    struct hl_job job = { .run = run, .volume = volume, .index = index };

    if (kind == HL_JOB_DUE)
        EXPECT(hl_crew_reserve(&crew));
    EXPECT(hl_crew_post(&crew, kind, &job));
}

static void without_threads(void)
{
    struct hl_job job = { .run = run_now, .volume = ours };

    hl_crew_init(&crew);
    no_threads = true;
    hl_crew_start(&crew);
    no_threads = false;
    EXPECT_EQ(hl_crew_threads(&crew), 0);
    EXPECT_EQ(hl_crew_reserve_hauled(&crew, 5), 0);
    EXPECT(!hl_crew_reserve(&crew));
    EXPECT(!hl_crew_post(&crew, HL_JOB_AHEAD, &job));
    EXPECT(!hl_crew_post(&crew, HL_JOB_WISH, &job));
    hl_crew_leave(&crew, ours);
    stop();
    EXPECT_EQ(atomic_load(&ran), 0);
}

static void too_much(void)
{
    struct hl_job job = { .run = run_now, .volume = ours };
    unsigned nr = 0;

    start();
    EXPECT_EQ(hl_crew_threads(&crew), 1);
    EXPECT_EQ(hl_crew_reserve_hauled(&crew, HL_CREW_QUEUE - 3), HL_CREW_QUEUE - 3);
    EXPECT_EQ(hl_crew_reserve_hauled(&crew, 5), 3);
    EXPECT_EQ(hl_crew_reserve_hauled(&crew, 1), 0);
    hl_crew_unreserve_hauled(&crew, HL_CREW_QUEUE);
    EXPECT_EQ(hl_crew_reserve_hauled(&crew, 1), 1);
    hl_crew_unreserve_hauled(&crew, 1);

    post(HL_JOB_AHEAD, theirs, run_held, 1);
    kit_await(&held, 1);
    while (hl_crew_post(&crew, HL_JOB_AHEAD, &job))
        nr++;
    EXPECT_EQ(nr, HL_CREW_QUEUE);
    EXPECT(hl_crew_post(&crew, HL_JOB_WISH, &job)); /* another queue */
    atomic_store(&go, 1);
    kit_await(&ran, 1 + HL_CREW_QUEUE + 1);
    EXPECT_EQ(atomic_load(&of_ours), HL_CREW_QUEUE + 1);
    stop();
}

static void *leave(void *arg)
{
    hl_crew_leave(&crew, ours);
    atomic_store(&leaver_left, 1);
    return arg;
}

/* The first job of ours is at work, and somebody leaves: and waits for it. */
static void begin_to_leave(void)
{
    start();
    post(HL_JOB_ARRIVED, ours, run_held, 1);
    kit_await(&held, 1);
    EXPECT_EQ(pthread_create(&leaver, NULL, leave, NULL), 0);
    kit_await(&leaver_waits, 1);
}

/* One of theirs is at work now, and one of ours waits for its turn: so does he. */
static void end_to_leave(unsigned jobs)
{
    atomic_store(&go, 1);
    kit_await(&held, 2);
    kit_await(&leaver_waits, 2);
    EXPECT_EQ(atomic_load(&leaver_left), 0);
    EXPECT_EQ(atomic_load(&of_ours), 1);
    atomic_store(&go, 2);
    pthread_join(leaver, NULL);
    EXPECT_EQ(atomic_load(&of_ours), 2);
    kit_await(&ran, jobs);
    stop();
}

static void left(void)
{
    begin_to_leave();
    post(HL_JOB_DUE, theirs, run_held, 2);
    post(HL_JOB_DUE, ours, run_now, 0);
    end_to_leave(3);

    begin_to_leave();
    post(HL_JOB_DUE, theirs, run_held, 2);
    post(HL_JOB_DUE, theirs, run_now, 0);
    post(HL_JOB_ARRIVED, ours, run_now, 0);
    end_to_leave(4);

    /* Those of others are no reason to stay; what is not promised is dropped. */
    start();
    post(HL_JOB_ARRIVED, theirs, run_held, 1);
    kit_await(&held, 1);
    post(HL_JOB_ARRIVED, theirs, run_now, 0);
    post(HL_JOB_DUE, theirs, run_now, 0);
    post(HL_JOB_AHEAD, ours, run_now, 0);
    post(HL_JOB_WISH, theirs, run_now, 0);
    post(HL_JOB_DUE, ours, run_now, 7);
    EXPECT(!hl_crew_run_due(&crew, ours, 8));
    hl_crew_leave(&crew, ours);
    EXPECT_EQ(atomic_load(&leaver_waits), 0);
    EXPECT_EQ(atomic_load(&of_ours), 1);
    atomic_store(&go, 1);
    kit_await(&ran, 5);
    EXPECT_EQ(atomic_load(&of_ours), 1);
    stop();
}

int main(void)
{
    without_threads();
    too_much();
    left();
    return 0;
}
