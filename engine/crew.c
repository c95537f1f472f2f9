/* SPDX-License-Identifier: MIT
 *
 * crew.c - the crew's queues and its threads.  Mechanism only: what a job does is chunk.c's business,
 * and which jobs there are is admission's.
 *
 * Order of precedence: shared work, since its asker waits; due and arrived jobs, since others may wait for
 * the chunk; what a scan will want; wishes.  Due jobs and wishes are done beside a reader who goes on
 * meanwhile, and leave him a CPU: one thread less than there are works on them.  The threads are a little nicer than the host, block all signals and take no lock that a
 * toucher of an image may hold.
 *
 * Entry points: crew.h.  See also: chunk.c (hl_chunk_serve_early, hl_chunk_post_ahead).
 */
#include "config.h"

#include "crew.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

void hl_crew_init(struct hl_crew *crew)
{
    crew->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_CREW);
    pthread_cond_init(&crew->work, NULL);
    pthread_cond_init(&crew->done, NULL);
}

enum { NICER = 5 };

/* ---- shared work --------------------------------------------------------- */

static void take_parts(struct hl_share *share)
{
    unsigned i;

    /* relaxed: what a part has made is handed over under the lock. */
    while ((i = atomic_fetch_add_explicit(&share->taken, 1, memory_order_relaxed)) < share->nr)
        share->part(share->arg, i);
}

void hl_crew_share(struct hl_crew *crew, unsigned nr, void (*part)(void *arg, unsigned i),
                   void *arg)
{
    struct hl_share share = { .part = part, .arg = arg, .nr = nr };
    bool posted = nr > 1 && atomic_load_explicit(&crew->nr_idle, memory_order_relaxed);

    if (posted) {
        hl_lock(&crew->lock);
        share.next = crew->shares;
        crew->shares = &share;
        pthread_cond_broadcast(&crew->work);
        hl_unlock(&crew->lock);
    }
    take_parts(&share);
    if (!posted)
        return;

    hl_lock(&crew->lock);
    for (struct hl_share **link = &crew->shares; *link; link = &(*link)->next)
        if (*link == &share) {
            *link = share.next;
            break;
        }
    while (share.helpers)
        pthread_cond_wait(&crew->done, &crew->lock.mutex);
    hl_unlock(&crew->lock);
}

/* Under the lock. */
static struct hl_share *find_share(struct hl_crew *crew)
{
    for (struct hl_share *share = crew->shares; share; share = share->next)
        if (atomic_load_explicit(&share->taken, memory_order_relaxed) < share->nr)
            return share;
    return NULL;
}

/* ---- jobs ---------------------------------------------------------------- */

bool hl_crew_reserve(struct hl_crew *crew)
{
    bool yes;

    hl_lock(&crew->lock);
    yes = !hl_crew_is_busy(crew);
    if (yes)
        atomic_fetch_add_explicit(&crew->nr_reserved, 1, memory_order_relaxed);
    hl_unlock(&crew->lock);
    return yes;
}

void hl_crew_unreserve(struct hl_crew *crew)
{
    hl_lock(&crew->lock);
    atomic_fetch_sub_explicit(&crew->nr_reserved, 1, memory_order_relaxed);
    hl_unlock(&crew->lock);
}

unsigned hl_crew_reserve_hauled(struct hl_crew *crew, unsigned nr)
{
    hl_lock(&crew->lock);
    if (!crew->nr_threads)
        nr = 0;
    if (nr > HL_CREW_QUEUE - crew->nr_hauled)
        nr = HL_CREW_QUEUE - crew->nr_hauled;
    crew->nr_hauled += nr;
    hl_unlock(&crew->lock);
    return nr;
}

void hl_crew_unreserve_hauled(struct hl_crew *crew, unsigned nr)
{
    hl_lock(&crew->lock);
    crew->nr_hauled -= nr;
    hl_unlock(&crew->lock);
}

bool hl_crew_post(struct hl_crew *crew, enum hl_job_kind kind, const struct hl_job *job)
{
    struct hl_queue *queue = &crew->queues[kind];
    bool room;

    hl_lock(&crew->lock);
    room = crew->nr_threads && queue->nr < HL_CREW_QUEUE;
    HL_ASSERT(room || (kind != HL_JOB_DUE && kind != HL_JOB_ARRIVED));
    if (room) {
        queue->jobs[(queue->first + queue->nr++) % HL_CREW_QUEUE] = *job;
        pthread_cond_signal(&crew->work);
    }
    hl_unlock(&crew->lock);
    return room;
}

static bool is_beside(enum hl_job_kind kind)
{
    return kind == HL_JOB_DUE || kind == HL_JOB_WISH;
}

/* Under the lock. */
static bool next_job(struct hl_crew *crew, struct hl_job *ret_job, enum hl_job_kind *ret_kind)
{
    bool beside = crew->nr_beside + 1 < crew->nr_threads || !crew->nr_beside;

    for (enum hl_job_kind kind = 0; kind < HL_JOB_KINDS; kind++) {
        struct hl_queue *queue = &crew->queues[kind];

        if (!queue->nr || (is_beside(kind) && !beside))
            continue;
        *ret_job = queue->jobs[queue->first];
        *ret_kind = kind;
        queue->first = (queue->first + 1) % HL_CREW_QUEUE;
        queue->nr--;
        return true;
    }
    return false;
}

static void drop_jobs(struct hl_queue *queue, const struct hl_volume *volume)
{
    unsigned left = 0;

    for (unsigned i = 0; i < queue->nr; i++) {
        struct hl_job job = queue->jobs[(queue->first + i) % HL_CREW_QUEUE];

        if (job.volume != volume)
            queue->jobs[(queue->first + left++) % HL_CREW_QUEUE] = job;
    }
    queue->nr = left;
}

static bool has_jobs(const struct hl_queue *queue, const struct hl_volume *volume)
{
    for (unsigned i = 0; i < queue->nr; i++)
        if (queue->jobs[(queue->first + i) % HL_CREW_QUEUE].volume == volume)
            return true;
    return false;
}

static bool works_for(const struct hl_crew *crew, const struct hl_volume *volume)
{
    for (unsigned i = 0; i < crew->nr_threads; i++)
        if (crew->busy[i] == volume)
            return true;
    return has_jobs(&crew->queues[HL_JOB_DUE], volume) ||
           has_jobs(&crew->queues[HL_JOB_ARRIVED], volume);
}

/* Under the lock. */
static bool take_due(struct hl_queue *queue, const struct hl_volume *volume, uint32_t index,
                     struct hl_job *ret_job)
{
    bool found = false;

    for (unsigned i = 0; i < queue->nr; i++) {
        struct hl_job *job = &queue->jobs[(queue->first + i) % HL_CREW_QUEUE];

        if (found)
            queue->jobs[(queue->first + i - 1) % HL_CREW_QUEUE] = *job;
        else if (job->volume == volume && (index == HL_CREW_ANY || job->index == index)) {
            *ret_job = *job;
            found = true;
        }
    }
    queue->nr -= found;
    return found;
}

bool hl_crew_run_due(struct hl_crew *crew, const struct hl_volume *volume, uint32_t index)
{
    struct hl_job job;
    bool due, arrived;

    hl_quiet_begin();
    hl_lock(&crew->lock);
    due = take_due(&crew->queues[HL_JOB_DUE], volume, index, &job);
    arrived = !due && take_due(&crew->queues[HL_JOB_ARRIVED], volume, index, &job);
    hl_unlock(&crew->lock);
    if (due || arrived)
        job.run(&job);
    if (due)
        hl_crew_unreserve(crew);
    hl_quiet_end();
    return due || arrived;
}

void hl_crew_leave(struct hl_crew *crew, const struct hl_volume *volume)
{
    hl_lock(&crew->lock);
    drop_jobs(&crew->queues[HL_JOB_AHEAD], volume);
    drop_jobs(&crew->queues[HL_JOB_WISH], volume);
    hl_unlock(&crew->lock);
    /* A thread of the crew may hang in another source: do not wait for it to come to ours. */
    while (hl_crew_run_due(crew, volume, HL_CREW_ANY))
        ;
    hl_lock(&crew->lock);
    while (works_for(crew, volume))
        pthread_cond_wait(&crew->done, &crew->lock.mutex);
    hl_unlock(&crew->lock);
}

/* ---- threads ------------------------------------------------------------- */

/* Under the lock, which is let go while the work is done. */
static bool work(struct hl_crew *crew, unsigned me)
{
    struct hl_share *share = find_share(crew);
    enum hl_job_kind kind;
    struct hl_job job;

    if (share) {
        share->helpers++;
        hl_unlock(&crew->lock);
        take_parts(share);
        hl_lock(&crew->lock);
        share->helpers--;
    } else if (next_job(crew, &job, &kind)) {
        crew->busy[me] = job.volume;
        crew->nr_beside += is_beside(kind);
        hl_unlock(&crew->lock);
        job.run(&job);
        hl_lock(&crew->lock);
        crew->nr_beside -= is_beside(kind);
        if (crew->queues[HL_JOB_DUE].nr || crew->queues[HL_JOB_WISH].nr)
            pthread_cond_signal(&crew->work); /* for one that was not to work beside us */
        crew->busy[me] = NULL;
        if (kind == HL_JOB_DUE)
            atomic_fetch_sub_explicit(&crew->nr_reserved, 1, memory_order_relaxed);
    } else {
        return false;
    }
    pthread_cond_broadcast(&crew->done);
    return true;
}

static void *crew_main(void *arg)
{
    struct hl_crew *crew = arg;
    sigset_t all;
    unsigned me;

    /* The host's signals are not for this thread.  It was born quiet, so none has come. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_setname_np(pthread_self(), "hugelite-fill");
    /* A reader that works should not lose its CPU to what may come in useful; one that waits
     * leaves it to us. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICER);
    hl_lock(&crew->lock);
    me = crew->nr_threads++;
    pthread_cond_broadcast(&crew->done);
    while (!crew->stop) {
        if (work(crew, me))
            continue;
        atomic_fetch_add_explicit(&crew->nr_idle, 1, memory_order_relaxed);
        pthread_cond_wait(&crew->work, &crew->lock.mutex);
        atomic_fetch_sub_explicit(&crew->nr_idle, 1, memory_order_relaxed);
    }
    hl_unlock(&crew->lock);
    return NULL;
}

static unsigned nr_cpus(void)
{
    cpu_set_t set;
    unsigned nr = 1;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        nr = (unsigned)CPU_COUNT(&set);
    return nr < HL_CREW_MAX ? nr : HL_CREW_MAX;
}

void hl_crew_start(struct hl_crew *crew)
{
    unsigned wanted, created = 0;

    /* acquire: who sees it started sees nr_threads. */
    if (atomic_load_explicit(&crew->started, memory_order_acquire))
        return;
    wanted = nr_cpus();
    hl_lock(&crew->lock);
    if (!crew->starting) {
        crew->starting = true; /* the wait below lets others in */
        while (created < wanted &&
               pthread_create(&crew->threads[created], NULL, crew_main, crew) == 0)
            created++;
        while (crew->nr_threads < created)
            pthread_cond_wait(&crew->done, &crew->lock.mutex);
        atomic_store_explicit(&crew->started, true, memory_order_release);
        pthread_cond_broadcast(&crew->done);
    }
    while (!atomic_load_explicit(&crew->started, memory_order_relaxed))
        pthread_cond_wait(&crew->done, &crew->lock.mutex);
    hl_unlock(&crew->lock);
}

void hl_crew_stop(struct hl_crew *crew)
{
    hl_lock(&crew->lock);
    crew->stop = true;
    pthread_cond_broadcast(&crew->work);
    hl_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->nr_threads; i++)
        pthread_join(crew->threads[i], NULL);
}
