/* SPDX-License-Identifier: MIT
 *
 * transfer.c - the transfer thread.  It takes jobs from a mailbox, begins them in the order of
 * their urgency, looks after them, and says when they have ended.  A job is an effort (effort.h).
 *
 * The thread starts with the first transfer and ends when there has been none for a minute, which
 * is about how long servers keep a connection: up to then a new transfer finds one open, from then
 * on it would not.  It blocks all signals and holds no lock while libcurl or a callback runs.  A
 * job belongs to the thread; other threads only leave wishes in it, under the lock.
 *
 * Entry points: transfer.h.  See also: effort.c (what is done for one), stage.c (who asks).
 */
#include "config.h"

#include "transfer.h"

#include "cleanup.h"
#include "effort.h"
#include "error.h"
#include "lock.h"
#include "stats.h"
#include "sys.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MS 1000000ull
#define SECOND 1000000000ull

enum {
    REQUESTS = 32,              /* HUGELITE_HTTP_REQUESTS */
    RESERVED = 4,               /* places for urgent ones, if there are that many */
    TIMEOUT_S = 30,             /* HUGELITE_HTTP_TIMEOUT */
    TIMEOUT_MAX_S = 86400,
    IDLE_S = 60,
    POLL_MS = 1000,             /* libcurl's own timers may be sooner; ours are */
    FORK_WAIT_MS = 100,
    EXIT_WAIT_MS = 500,
};

static struct {
    struct hl_lock lock;
    /* ---- under the lock */
    pthread_cond_t parked_or_go;
    struct hl_effort *posted;   /* newest first */
    bool wishes;                /* some job has one */
    pthread_t thread;
    bool to_join;               /* there is one, or was */
    unsigned forking;           /* so many threads are about to */
    bool parked, exiting;

    /* ---- the thread's */
    struct hl_effort *jobs;     /* oldest first */
    struct hl_line line;        /* but for `multi`, which is under the lock */
    int timer;
    uint64_t armed_ns;
    uint64_t looked_ns, busy_ns, busy_bytes;
    bool busy;
} http = { .lock = HL_LOCK_INIT(HL_RANK_TRANSFERS),
           .parked_or_go = PTHREAD_COND_INITIALIZER };

static _Atomic unsigned life;   /* another in a child of fork() */
static _Atomic uint64_t rate;

/* ---- knobs --------------------------------------------------------------- */

static uint64_t knob(const char *name, uint64_t otherwise, uint64_t most)
{
    const char *value = getenv(name);
    char *end;
    unsigned long long number;

    if (!value || *value < '0' || *value > '9')
        return otherwise;
    number = strtoull(value, &end, 10);
    if (*end || number == 0)
        return otherwise;
    return number < most ? number : most;
}

uint64_t hl_transfer_timeout_ns(void)
{
    return knob("HUGELITE_HTTP_TIMEOUT", TIMEOUT_S, TIMEOUT_MAX_S) * SECOND;
}

uint64_t hl_transfer_rate(void)
{
    return atomic_load_explicit(&rate, memory_order_relaxed);
}

uint64_t hl_transfer_latency_ns(void)
{
    return atomic_load_explicit(&http.line.latency_ns, memory_order_relaxed);
}

/* ---- the end ------------------------------------------------------------- */

static void end_job(struct hl_effort *job)
{
    struct hl_transfer *transfer = job->transfer;

    if (transfer->arrived && !hl_effort_is_cancelled(job))
        transfer->arrived(transfer, transfer->received, transfer->rc);
    hl_lock(&http.lock);
    transfer->own = NULL;
    hl_unlock(&http.lock);
    free(job);
    /* release: who sees the end sees all that is set by it.  From the store on the transfer is not
     * ours; the wake goes to an address only. */
    atomic_store_explicit(&transfer->state, HL_TRANSFER_ENDED, memory_order_release);
    hl_sys.futex_wake(&transfer->state, INT32_MAX);
}

/* Say of each that is over that it is. */
static void end_jobs(void)
{
    struct hl_effort **link = &http.jobs, *job;

    while ((job = *link)) {
        if (!job->over) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        end_job(job);
    }
}

/* ---- whose turn it is ---------------------------------------------------- */

static unsigned places_for(enum hl_urgency urgency)
{
    unsigned reserved = http.line.limit / 4 < RESERVED ? http.line.limit / 4 : RESERVED;

    switch (urgency) {
    case HL_URGENT: return http.line.limit;
    case HL_AHEAD: return http.line.limit - reserved;
    default: return http.line.limit / 2 ? http.line.limit / 2 : 1;
    }
}

/* The most urgent, among them the oldest, that is due. */
static struct hl_effort *next_queued(uint64_t now, uint64_t *next)
{
    struct hl_effort *best = NULL;

    for (struct hl_effort *job = http.jobs; job; job = job->next) {
        if (!hl_effort_is_queued(job))
            continue;
        if (job->due_ns > now)
            hl_sooner(next, job->due_ns);
        else if (!best || job->urgency < best->urgency)
            best = job;
    }
    return best;
}

static void begin_queued(uint64_t *next)
{
    uint64_t now = hl_now_ns();
    struct hl_effort *job;

    while ((job = next_queued(now, next)) && http.line.nr_active < places_for(job->urgency))
        hl_effort_try(job);
}

/* ---- a round ------------------------------------------------------------- */

/* Attempts that have ended by themselves. */
static void collect(void)
{
    CURLMsg *message;
    int left;

    while ((message = hl_curl.multi_info_read(http.line.multi, &left))) {
        struct hl_attempt *attempt = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        hl_curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&attempt);
        hl_effort_settle(attempt, code);
    }
}

static void watch(uint64_t *next)
{
    uint64_t now = hl_now_ns();

    for (struct hl_effort *job = http.jobs; job; job = job->next)
        if (!job->over)
            hl_effort_watch(job, now, next);
}

/* ---- the rate ------------------------------------------------------------ */

/* Bytes count while some body was under way already, so that what one read brings at once, having
 * waited in the kernel, does not pass for speed. */
static void measure(void)
{
    uint64_t now = hl_now_ns();
    bool busy = false;

    if (http.busy) {
        http.busy_ns += now - http.looked_ns;
        http.busy_bytes += http.line.body_bytes;
    }
    for (const struct hl_effort *job = http.jobs; job; job = job->next)
        busy = busy || (job->winner && job->transfer->received);
    http.busy = busy;
    http.looked_ns = now;
    http.line.body_bytes = 0;
    if (http.busy_ns > 4 * SECOND) {
        http.busy_ns /= 2;
        http.busy_bytes /= 2;
    }
    if (http.busy_ns > 20 * MS)
        atomic_store_explicit(&rate, http.busy_bytes * 1000 / (http.busy_ns / MS),
                              memory_order_relaxed);
}

/* ---- the thread ---------------------------------------------------------- */

static void arm(uint64_t next)
{
    struct itimerspec when = { 0 };

    if (next == http.armed_ns && next > hl_now_ns())
        return;
    if (next != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(next / SECOND);
        when.it_value.tv_nsec = (long)(next % SECOND);
    }
    timerfd_settime(http.timer, TFD_TIMER_ABSTIME, &when, NULL);
    http.armed_ns = next;
}

/* Under the lock.  Append what was posted, oldest first. */
static void take_posted(void)
{
    struct hl_effort *posted = http.posted, *in_order = NULL, **end = &http.jobs;

    http.posted = NULL;
    while (posted) {
        struct hl_effort *job = posted;

        posted = job->next;
        job->next = in_order;
        in_order = job;
    }
    while (*end)
        end = &(*end)->next;
    *end = in_order;
}

/* Under the lock. */
static void take_wishes(void)
{
    if (!http.wishes)
        return;
    http.wishes = false;
    for (struct hl_effort *job = http.jobs; job; job = job->next)
        if (atomic_load_explicit(&job->hurried, memory_order_relaxed)) /* the lock orders it */
            job->urgency = HL_URGENT;
}

/* While somebody forks, libcurl and OpenSSL must hold no lock of theirs.  Under the lock. */
static void park(void)
{
    while (http.forking) {
        http.parked = true;
        pthread_cond_broadcast(&http.parked_or_go);
        pthread_cond_wait(&http.parked_or_go, &http.lock.mutex);
    }
    http.parked = false;
}

/* Those that nobody wants any more. */
static void end_cancelled(bool all)
{
    for (struct hl_effort *job = http.jobs; job; job = job->next)
        if (all || hl_effort_is_cancelled(job))
            hl_effort_give_up(job, all ? "the process is ending" : "given up");
    end_jobs();
}

/* NULL; or it is time to end, and what is to be cleaned up, which nobody posts to any more. */
static CURLM *take_mail(uint64_t *idle_since)
{
    CURLM *to_clean = NULL;
    bool wishes, exiting;

    hl_lock(&http.lock);
    park();
    take_posted();
    wishes = http.wishes;
    exiting = http.exiting;
    take_wishes();
    if (http.jobs)
        *idle_since = hl_now_ns();
    else if (exiting || hl_now_ns() >= *idle_since + IDLE_S * SECOND)
        to_clean = HL_TAKE(http.line.multi);
    hl_unlock(&http.lock);
    if (wishes || exiting)
        end_cancelled(exiting);
    if (exiting && !to_clean)
        hl_curl.multi_wakeup(http.line.multi); /* come round at once: there is nothing left to wait for */
    return to_clean;
}

static void clean_up(CURLM *multi)
{
    while (http.line.nr_spare)
        hl_curl.easy_cleanup(http.line.spare[--http.line.nr_spare]);
    hl_curl.multi_cleanup(multi);
    hl_authorities_free(&http.line.authorities);
    hl_sys.close(http.timer);
}

static void *http_main(void *arg)
{
    struct curl_waitfd timer = { .fd = http.timer, .events = CURL_WAIT_POLLIN };
    uint64_t idle_since = hl_now_ns(), next;
    CURLM *to_clean;
    sigset_t all;
    int running;

    (void)arg;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_setname_np(pthread_self(), "hugelite-http");
    hl_quiet_begin(); /* so that taking the lock makes no system call */
    while (!(to_clean = take_mail(&idle_since))) {
        next = http.jobs ? UINT64_MAX : idle_since + IDLE_S * SECOND;
        hl_curl.multi_perform(http.line.multi, &running);
        collect();
        end_jobs();
        measure();
        watch(&next);
        end_jobs();
        begin_queued(&next);
        end_jobs();
        arm(next);
        hl_curl.multi_poll(http.line.multi, &timer, 1, POLL_MS, NULL);
    }
    clean_up(to_clean);
    return NULL;
}

/* ---- starting and stopping it -------------------------------------------- */

/* OpenSSL tears itself down at exit: the thread must not be in it then. */
static void stop_at_exit(void)
{
    struct timespec until;
    bool to_join;

    hl_lock(&http.lock);
    http.exiting = true;
    to_join = http.to_join;
    http.to_join = false;
    if (http.line.multi)
        hl_curl.multi_wakeup(http.line.multi);
    hl_unlock(&http.lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(EXIT_WAIT_MS * MS);
    if (until.tv_nsec >= (long)SECOND) {
        until.tv_sec++;
        until.tv_nsec -= (long)SECOND;
    }
    if (to_join)
        pthread_timedjoin_np(http.thread, NULL, &until);
}

static void install_stop(void)
{
    atexit(stop_at_exit);
}

static int make_multi(const char *name)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    CURLM *multi;

    if (timer < 0)
        return hl_error(errno, "%s: no timer for the transfer thread: %s", name, strerror(errno));
    multi = hl_curl.multi_init();
    /* It needs a descriptor to be woken by. */
    if (!multi || hl_curl.multi_wakeup(multi) != CURLM_OK) {
        hl_curl.multi_cleanup(multi);
        hl_sys.close(timer);
        return hl_error(multi ? EMFILE : ENOMEM, "%s: no %s for the transfer thread", name,
                        multi ? "descriptors" : "memory");
    }
    http.line.limit = (unsigned)knob("HUGELITE_HTTP_REQUESTS", REQUESTS, HL_REQUESTS_MAX);
    hl_curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)(2 * http.line.limit));
    http.line.multi = multi;
    http.timer = timer;
    http.armed_ns = 0;
    http.line.random = (hl_now_ns() ^ (uint64_t)getpid() << 40) | 1;
    hl_authorities_read(&http.line.authorities);
    return 0;
}

/* Under the lock. */
static int start_thread(const char *name)
{
    int rc;

    if (http.exiting)
        return hl_error(ECANCELED, "%s: the process is ending", name);
    if (http.line.multi)
        return 0;
    if (http.to_join)
        pthread_join(http.thread, NULL); /* it takes no lock any more */
    http.to_join = false;
    rc = make_multi(name);
    if (rc < 0)
        return rc;
    rc = pthread_create(&http.thread, NULL, http_main, NULL);
    if (rc != 0) {
        clean_up(HL_TAKE(http.line.multi));
        return hl_error(rc, "%s: no transfer thread: %s", name, strerror(rc));
    }
    http.to_join = true;
    return 0;
}

static int post(struct hl_effort *job)
{
    int rc;

    hl_lock(&http.lock);
    rc = start_thread(job->transfer->target->name);
    if (rc == 0) {
        job->next = http.posted;
        http.posted = job;
        hl_curl.multi_wakeup(http.line.multi);
    }
    hl_unlock(&http.lock);
    return rc;
}

/* ---- for everybody ------------------------------------------------------- */

static bool is_of_parent(const struct hl_transfer *transfer)
{
    return transfer->life != atomic_load_explicit(&life, memory_order_relaxed);
}

static uint32_t state_of(struct hl_transfer *transfer)
{
    /* acquire: pairs with the release in end_job(). */
    return atomic_load_explicit(&transfer->state, memory_order_acquire);
}

int hl_transfer_start(struct hl_transfer *transfer)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct hl_effort *job;
    int rc = hl_curl_load();

    HL_ASSERT(transfer->length > 0);
    if (rc < 0)
        return rc;
    pthread_once(&once, install_stop); /* after libcurl's own, so that it runs before them */
    job = calloc(1, sizeof *job);
    if (!job)
        return hl_error(ENOMEM, "%s: no memory for a request", transfer->target->name);
    job->transfer = transfer;
    job->line = &http.line;
    job->urgency = transfer->urgency;
    job->begun_ns = hl_now_ns();
    job->deadline_moves = transfer->deadline_ns == 0;
    job->deadline_ns = transfer->deadline_ns ? transfer->deadline_ns
                                             : job->begun_ns + hl_transfer_timeout_ns();
    transfer->rc = 0;
    transfer->sentence[0] = '\0';
    transfer->response = (struct hl_response){ 0 };
    transfer->received = 0;
    transfer->own = job;
    transfer->life = atomic_load_explicit(&life, memory_order_relaxed);
    /* relaxed: the lock hands it over. */
    atomic_store_explicit(&transfer->state, HL_TRANSFER_RUNNING, memory_order_relaxed);
    rc = post(job);
    if (rc < 0) {
        atomic_store_explicit(&transfer->state, 0, memory_order_relaxed);
        transfer->own = NULL;
        free(job);
    }
    return rc;
}

static void wait_for_end(struct hl_transfer *transfer)
{
    while (state_of(transfer) == HL_TRANSFER_RUNNING && !is_of_parent(transfer))
        hl_sys.futex_wait(&transfer->state, HL_TRANSFER_RUNNING, NULL);
}

int hl_transfer_wait(struct hl_transfer *transfer)
{
    wait_for_end(transfer);
    if (state_of(transfer) != HL_TRANSFER_ENDED)
        return hl_error(ECHILD, "%s: was asked for before fork(); ask again here",
                        transfer->target->name);
    return transfer->rc < 0 ? hl_error(-transfer->rc, "%s", transfer->sentence) : 0;
}

/* Leave a wish in the job, if there still is one. */
static void leave_wish(struct hl_transfer *transfer, size_t wish)
{
    struct hl_effort *job;

    if (state_of(transfer) != HL_TRANSFER_RUNNING || is_of_parent(transfer))
        return;
    hl_lock(&http.lock);
    job = transfer->own;
    if (job) {
        atomic_store_explicit((_Atomic bool *)((char *)job + wish), true, memory_order_relaxed);
        http.wishes = true;
        hl_curl.multi_wakeup(http.line.multi);
    }
    hl_unlock(&http.lock);
}

void hl_transfer_cancel(struct hl_transfer *transfer)
{
    leave_wish(transfer, offsetof(struct hl_effort, cancelled));
    wait_for_end(transfer);
}

void hl_transfer_hurry(struct hl_transfer *transfer)
{
    leave_wish(transfer, offsetof(struct hl_effort, hurried));
}

/* ---- fork ---------------------------------------------------------------- */

void hl_transfer_fork_prepare(void)
{
    uint64_t until = hl_now_ns() + FORK_WAIT_MS * MS;
    struct timespec when = { .tv_sec = (time_t)(until / SECOND),
                             .tv_nsec = (long)(until % SECOND) };

    hl_lock(&http.lock);
    http.forking++;
    if (http.line.multi)
        hl_curl.multi_wakeup(http.line.multi);
    /* It may hang in a callback that wants a lock of a fork handler's: then go without it. */
    while (http.line.multi && !http.parked &&
           pthread_cond_clockwait(&http.parked_or_go, &http.lock.mutex, CLOCK_MONOTONIC, &when) !=
               ETIMEDOUT)
        ;
}

void hl_transfer_fork_parent(void)
{
    http.forking--;
    pthread_cond_broadcast(&http.parked_or_go);
    hl_unlock(&http.lock);
}

/* What the thread had is left as it is: it is the parent's, half of it in the middle of something.
 * But it can be found, so that nobody takes it for lost. */
static void leave_to_parent(void)
{
    static struct left {
        struct left *next;
        CURLM *multi;
        struct hl_effort *jobs, *posted;
        CURL *spare[HL_REQUESTS_MAX];
    } *lefts;
    struct left *left = http.line.multi ? calloc(1, sizeof *left) : NULL;

    if (left) {
        left->next = lefts;
        left->multi = http.line.multi;
        left->jobs = http.jobs;
        left->posted = http.posted;
        memcpy(left->spare, http.line.spare, http.line.nr_spare * sizeof *http.line.spare);
        lefts = left;
        hl_sys.close(http.timer);
        hl_authorities_free(&http.line.authorities);
    }
}

void hl_transfer_fork_child(void)
{
    hl_attempt_forget_sockets();
    leave_to_parent();
    pthread_cond_init(&http.parked_or_go, NULL);
    http.posted = http.jobs = NULL;
    http.line.multi = NULL;
    http.to_join = http.wishes = http.parked = http.exiting = http.busy = false;
    http.forking = 0;
    http.line.nr_spare = http.line.nr_active = 0;
    atomic_fetch_add_explicit(&life, 1, memory_order_relaxed);
    hl_unlock(&http.lock);
}
