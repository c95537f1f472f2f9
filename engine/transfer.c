/* SPDX-License-Identifier: MIT
 *
 * transfer.c - the transfer thread.  It takes jobs from a mailbox, begins them in the order of
 * their urgency, and repeats, hedges and ends them.
 *
 * The thread starts with the first transfer and ends when there has been none for a minute, which
 * is about how long servers keep a connection: up to then a new transfer finds one open, from then
 * on it would not.  It blocks all signals and holds no lock while libcurl or a callback runs.  A
 * job belongs to the thread; other threads only leave flags in it, under the lock.
 *
 * Entry points: transfer.h.  See also: attempt.c (one request), answer.c, pace.c, stage.c (who
 * asks).
 */
#include "config.h"

#include "transfer.h"

#include "attempt.h"
#include "cleanup.h"
#include "curl.h"
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
    REQUESTS_MAX = 256,
    RESERVED = 4,               /* places for urgent ones, if there are that many */
    TIMEOUT_S = 30,             /* HUGELITE_HTTP_TIMEOUT */
    TIMEOUT_MAX_S = 86400,
    IDLE_S = 60,
    FEW = 3,                    /* attempts to reach somebody who cannot be reached */
    TELL_BYTES = 256 << 10,
    SLOWEST = 64 << 10,         /* bytes for which the deadline moves a second on */
    POLL_MS = 1000,             /* libcurl's own timers may be sooner; ours are */
    FORK_WAIT_MS = 100,
    EXIT_WAIT_MS = 500,
};

#define BACKOFF_MIN (50 * MS)
#define BACKOFF_MAX (2 * SECOND)
#define LOST_MIN (3 * SECOND)
#define LOST_MIN_NEW (5 * SECOND)

struct job {
    struct job *next;
    struct hl_transfer *transfer;
    bool cancel, hurry;         /* under the lock */

    enum hl_urgency urgency;
    uint64_t begun_ns, deadline_ns;
    bool deadline_moves;
    uint64_t due_ns;            /* without an attempt: when the next may begin */

    struct hl_attempt *attempts[2]; /* NULL = none; the second is a hedge */
    struct hl_attempt *winner;  /* whose bytes are taken */
    bool hedged;
    unsigned tries;

    /* Once the first headers were right: what the whole answer is, and what pins the rest. */
    bool settled;
    uint64_t first;
    uint32_t length;
    enum hl_validator_kind validator_kind;
    char validator[HL_VALIDATOR_BYTES];
    struct hl_response response;

    struct hl_answer failure;   /* the last attempt's; sentence "" = none yet */
    struct hl_response failed_response;
    unsigned unreached, doublings, stalls;
    bool afresh, relocated;     /* once each */
    uint32_t told;
};

static struct {
    struct hl_lock lock;
    /* ---- under the lock */
    pthread_cond_t parked_or_go;
    struct job *posted;         /* newest first */
    bool flags;                 /* some job has one */
    CURLM *multi;               /* NULL = no thread */
    pthread_t thread;
    bool to_join;               /* there is one, or was */
    unsigned forking;           /* so many threads are about to */
    bool parked, exiting;

    /* ---- the thread's */
    struct job *jobs;           /* oldest first */
    CURL *spare[REQUESTS_MAX];
    unsigned nr_spare, nr_active, limit;
    int timer;
    uint64_t armed_ns;
    struct hl_authorities authorities;
    struct hl_pace pace;        /* of all targets */
    uint64_t random;
    uint64_t looked_ns, body_bytes, busy_ns, busy_bytes;
    bool busy;
} http = { .lock = HL_LOCK_INIT(HL_RANK_TRANSFERS),
           .parked_or_go = PTHREAD_COND_INITIALIZER };

uint64_t hl_stall_ns = SECOND;

static _Atomic unsigned life;   /* another in a child of fork() */
static _Atomic uint64_t rate, latency_ns;

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
    return atomic_load_explicit(&latency_ns, memory_order_relaxed);
}

static uint64_t random_below(uint64_t limit)
{
    http.random ^= http.random << 13;
    http.random ^= http.random >> 7;
    http.random ^= http.random << 17;
    return http.random % limit;
}

static void sooner(uint64_t *next, uint64_t ns)
{
    if (ns < *next)
        *next = ns;
}

/* ---- the end of a job ---------------------------------------------------- */

static void count(struct job *job, struct hl_attempt *attempt)
{
    struct hl_stats *stats = job->transfer->stats;

    if (stats && attempt->wire_bytes)
        hl_count(&stats->source_bytes, attempt->wire_bytes);
    if (stats && attempt->requests)
        hl_count(&stats->requests, attempt->requests);
    attempt->wire_bytes = attempt->requests = 0;
}

/* Also of one that is under way: its connection goes, or its stream. */
static void drop_attempt(struct job *job, struct hl_attempt *attempt)
{
    for (unsigned i = 0; i < 2; i++)
        if (job->attempts[i] == attempt)
            job->attempts[i] = NULL;
    if (job->winner == attempt)
        job->winner = NULL;
    hl_curl.multi_remove_handle(http.multi, attempt->easy);
    count(job, attempt);
    hl_attempt_end(attempt);
    http.spare[http.nr_spare++] = attempt->easy;
    http.nr_active--;
    free(attempt);
}

static void drop_attempts(struct job *job)
{
    for (unsigned i = 0; i < 2; i++)
        if (job->attempts[i])
            drop_attempt(job, job->attempts[i]);
}

static bool is_cancelled(struct job *job)
{
    bool cancelled;

    hl_lock(&http.lock);
    cancelled = job->cancel;
    hl_unlock(&http.lock);
    return cancelled;
}

/* rc and the sentence are the transfer's; the job goes. */
static void end_job(struct job *job)
{
    struct hl_transfer *transfer = job->transfer;
    struct job **link = &http.jobs;

    drop_attempts(job);
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    if (transfer->arrived && !is_cancelled(job))
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

static void succeed(struct job *job)
{
    job->transfer->rc = 0;
    job->transfer->response = job->response;
    end_job(job);
}

static void fail(struct job *job, int rc, const char *sentence,
                 const struct hl_response *response)
{
    struct hl_transfer *transfer = job->transfer;

    transfer->rc = rc;
    transfer->response = *response;
    snprintf(transfer->sentence, sizeof transfer->sentence, "%s", sentence);
    end_job(job);
}

static double seconds_since(uint64_t ns)
{
    return (double)(hl_now_ns() - ns) / 1e9;
}

/* With what the last attempt has met. */
static void fail_as_last(struct job *job)
{
    struct hl_answer answer = job->failure;
    size_t done = strlen(answer.sentence);

    if (job->tries > 1)
        snprintf(answer.sentence + done, sizeof answer.sentence - done, " (%u tries in %.1f s)",
                 job->tries, seconds_since(job->begun_ns));
    fail(job, answer.rc, answer.sentence, &job->failed_response);
}

/* ---- the deadline -------------------------------------------------------- */

static uint64_t deadline(const struct job *job)
{
    if (!job->deadline_moves)
        return job->deadline_ns;
    return job->deadline_ns + job->transfer->received * SECOND / SLOWEST;
}

static void say_what_for(const struct job *job, char *ret_text, size_t room)
{
    const struct hl_attempt *attempt = job->winner ? job->winner : job->attempts[0];
    char host[256];

    if (!attempt)
        snprintf(ret_text, room, "a place among %u requests in flight", http.limit);
    else if (attempt->judged)
        snprintf(ret_text, room, "the rest of the body: %u of %u bytes have come",
                 job->transfer->received, job->length);
    else if (attempt->sent_ns)
        snprintf(ret_text, room, "the first byte of the answer");
    else {
        hl_attempt_host(job->transfer->target->url, host, sizeof host);
        snprintf(ret_text, room, "a connection to '%s'", host);
    }
}

static void time_out(struct job *job)
{
    const char *name = job->transfer->target->name;
    size_t prefix = strnlen(name, 200) + 2; /* as hl_answer_fail() begins */
    struct hl_answer answer;
    char what[320];

    say_what_for(job, what, sizeof what);
    if (job->failure.sentence[0])
        hl_answer_fail(&answer, name, ETIMEDOUT, HL_AGAIN_NEVER,
                       "timed out after %.1f s, waiting for %s; %u tries, and before: %s",
                       seconds_since(job->begun_ns), what, job->tries,
                       job->failure.sentence + prefix);
    else
        hl_answer_fail(&answer, name, ETIMEDOUT, HL_AGAIN_NEVER,
                       "timed out after %.1f s, waiting for %s", seconds_since(job->begun_ns),
                       what);
    fail(job, answer.rc, answer.sentence, &job->failed_response);
}

/* ---- what attempts tell -------------------------------------------------- */

static void tell(struct job *job)
{
    struct hl_transfer *transfer = job->transfer;

    if (job->told == transfer->received)
        return;
    job->told = transfer->received;
    if (job->winner)
        count(job, job->winner);
    if (transfer->arrived && !is_cancelled(job))
        transfer->arrived(transfer, transfer->received, 1);
}

static void add_pace(struct job *job, uint64_t ns)
{
    hl_pace_add(&job->transfer->target->pace, ns);
    hl_pace_add(&http.pace, ns);
    atomic_store_explicit(&latency_ns, hl_pace_median_ns(&http.pace), memory_order_relaxed);
}

static void settle(struct job *job, const struct hl_attempt *attempt)
{
    const struct hl_transfer *transfer = job->transfer;

    job->settled = true;
    job->first = attempt->answer.src_offset;
    job->length = attempt->answer.length;
    job->response = attempt->response;
    job->validator_kind = transfer->validator_kind;
    if (transfer->validator_kind == HL_VALIDATOR_NONE)
        job->validator_kind = hl_response_validator(&attempt->response, job->validator);
    else
        snprintf(job->validator, sizeof job->validator, "%s", transfer->validator);
}

static bool attempt_won(struct hl_attempt *attempt)
{
    struct job *job = attempt->arg;

    if (job->winner)
        return false;
    job->winner = attempt;
    for (unsigned i = 0; i < 2; i++) /* nothing more from the other, even in this very round */
        if (job->attempts[i] && job->attempts[i] != attempt)
            job->attempts[i]->dropped = true;
    add_pace(job, attempt->first_ns - attempt->sent_ns);
    if (!job->settled)
        settle(job, attempt);
    return true;
}

static void attempt_got(struct hl_attempt *attempt)
{
    struct job *job = attempt->arg;
    struct hl_transfer *transfer = job->transfer;
    uint32_t base = (uint32_t)(attempt->buffer - (char *)transfer->buffer);

    http.body_bytes += base + attempt->received - transfer->received;
    transfer->received = base + attempt->received;
    if (transfer->received - job->told >= TELL_BYTES)
        tell(job);
}

/* ---- beginning ----------------------------------------------------------- */

static void ask_all(const struct job *job, struct hl_question *ret)
{
    const struct hl_transfer *transfer = job->transfer;

    *ret = (struct hl_question){
        .name = transfer->target->name,
        .src_offset = transfer->src_offset,
        .length = transfer->length,
        .suffix = transfer->suffix,
        .may_be_short = transfer->may_be_short,
        .validator_kind = transfer->validator_kind,
        .validator = transfer->validator,
        .src_bytes = transfer->src_bytes,
    };
}

static void ask_rest(const struct job *job, struct hl_question *ret)
{
    const struct hl_transfer *transfer = job->transfer;

    *ret = (struct hl_question){
        .name = transfer->target->name,
        .src_offset = job->first + transfer->received,
        .length = job->length - transfer->received,
        .validator_kind = job->validator_kind,
        .validator = job->validator,
        .src_bytes = job->response.has_total ? job->response.total : transfer->src_bytes,
    };
}

static struct hl_attempt *make_attempt(struct job *job, bool is_hedge)
{
    struct hl_transfer *transfer = job->transfer;
    struct hl_attempt *attempt = calloc(1, sizeof *attempt);

    if (!attempt)
        return NULL;
    attempt->easy = http.nr_spare ? http.spare[--http.nr_spare] : hl_curl.easy_init();
    if (!attempt->easy) {
        free(attempt);
        return NULL;
    }
    attempt->target = transfer->target;
    attempt->buffer = (char *)transfer->buffer + transfer->received;
    attempt->is_hedge = is_hedge;
    attempt->won = attempt_won;
    attempt->got = attempt_got;
    attempt->arg = job;
    if (job->settled)
        ask_rest(job, &attempt->question);
    else
        ask_all(job, &attempt->question);
    return attempt;
}

static void attempt_over(struct job *job, struct hl_attempt *attempt);

static void begin_attempt(struct job *job, bool is_hedge, bool elsewhere)
{
    struct hl_attempt *attempt = make_attempt(job, is_hedge);
    struct hl_target *target = job->transfer->target;
    uint64_t now = hl_now_ns(), end = deadline(job);
    int rc;

    if (!attempt) {
        hl_answer_fail(&job->failure, target->name, ENOMEM, HL_AGAIN_NEVER,
                       "no memory for a request");
        if (!is_hedge)
            fail_as_last(job);
        return;
    }
    attempt->patience_ns = end > now ? end - now : 0;
    job->attempts[is_hedge] = attempt;
    job->tries++;
    http.nr_active++;
    rc = hl_attempt_begin(attempt, &http.authorities);
    if (rc == 0 && elsewhere)
        hl_curl.easy_setopt(attempt->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (rc == 0 && hl_curl.multi_add_handle(http.multi, attempt->easy) != CURLM_OK)
        hl_answer_fail(&attempt->answer, target->name, ENOMEM, HL_AGAIN_NEVER,
                       "no memory for a request");
    if (attempt->answer.rc < 0) {
        attempt_over(job, attempt);
        return;
    }
    if (!is_hedge)
        hl_pace_count_request(&target->pace);
}

static unsigned places_for(enum hl_urgency urgency)
{
    unsigned reserved = http.limit / 4 < RESERVED ? http.limit / 4 : RESERVED;

    switch (urgency) {
    case HL_URGENT: return http.limit;
    case HL_AHEAD: return http.limit - reserved;
    default: return http.limit / 2 ? http.limit / 2 : 1;
    }
}

static bool is_queued(const struct job *job)
{
    return !job->attempts[0] && !job->attempts[1];
}

/* The most urgent, among them the oldest, that is due. */
static struct job *next_queued(uint64_t now, uint64_t *next)
{
    struct job *best = NULL;

    for (struct job *job = http.jobs; job; job = job->next) {
        if (!is_queued(job))
            continue;
        if (job->due_ns > now)
            sooner(next, job->due_ns);
        else if (!best || job->urgency < best->urgency)
            best = job;
    }
    return best;
}

static void begin_queued(uint64_t *next)
{
    uint64_t now = hl_now_ns();
    struct job *job;

    while ((job = next_queued(now, next)) && http.nr_active < places_for(job->urgency))
        begin_attempt(job, false, false);
}

/* ---- the end of an attempt ----------------------------------------------- */

static void set_moved(struct hl_target *target, char *url)
{
    /* Only this thread reads or writes it, and who frees the target. */
    free(atomic_exchange_explicit(&target->moved, url, memory_order_relaxed));
}

/* Where redirects have led is no good any more: once more from the start. */
static bool ask_afresh(struct job *job, const struct hl_attempt *attempt)
{
    unsigned status = attempt->response.status;

    if (!attempt->at_moved || job->afresh || job->relocated ||
        (status != 401 && status != 403 && status != 404 && status != 410 && status != 412))
        return false;
    set_moved(job->transfer->target, NULL);
    job->afresh = true;
    return true;
}

static bool ask_in_region(struct job *job, const struct hl_attempt *attempt)
{
    struct hl_target *target = job->transfer->target;
    unsigned status = attempt->response.status;
    char *url;

    if (!target->relocate || job->relocated || !attempt->response.region[0] ||
        (status != 301 && status != 307 && status != 400 && status != 403))
        return false;
    url = target->relocate(target, attempt->response.region);
    if (!url)
        return false;
    set_moved(target, url);
    job->relocated = true;
    return true;
}

static uint64_t backoff(struct job *job)
{
    uint64_t wait = BACKOFF_MIN << job->doublings;

    if (job->failure.again == HL_AGAIN_FEW) /* half a second in all */
        return 3 * BACKOFF_MIN + random_below(3 * BACKOFF_MIN);
    if (wait < BACKOFF_MAX)
        job->doublings++;
    wait = random_below(wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
    if (job->failed_response.retry_after_s * SECOND > wait)
        wait = job->failed_response.retry_after_s * SECOND;
    return wait;
}

/* After job->failure: again, or no more. */
static void repeat(struct job *job)
{
    bool pinned = !job->transfer->received || job->validator_kind != HL_VALIDATOR_NONE;
    bool again = job->failure.again == HL_AGAIN_OFTEN && pinned;

    if (job->failure.again == HL_AGAIN_FEW)
        again = ++job->unreached < FEW;
    if (!job->transfer->received)
        job->settled = false;
    job->due_ns = hl_now_ns() + backoff(job);
    if (!again || job->due_ns >= deadline(job))
        fail_as_last(job);
}

/* Somebody has answered: who has not is not needed. */
static void drop_losers(struct job *job)
{
    for (unsigned i = 0; i < 2; i++) {
        struct hl_attempt *attempt = job->attempts[i];

        if (!job->winner || !attempt || attempt == job->winner)
            continue;
        /* Nobody knows how long it would have taken.  As long as until now would pass for usual, and
         * make the next hedge later. */
        if (attempt->sent_ns && !attempt->judged)
            add_pace(job, UINT64_MAX);
        drop_attempt(job, attempt);
    }
}

/* The answer of an attempt is known. */
static void attempt_over(struct job *job, struct hl_attempt *attempt)
{
    struct hl_target *target = job->transfer->target;
    bool has_won = job->winner == attempt, again_now = false;
    long version = 0;
    char *moved;

    hl_curl.easy_getinfo(attempt->easy, CURLINFO_HTTP_VERSION, &version);
    if (attempt->answer.rc == 0) {
        target->multiplexes = version >= CURL_HTTP_VERSION_2_0;
        moved = hl_attempt_moved(attempt);
        if (moved)
            set_moved(target, moved);
        succeed(job);
        return;
    }
    job->failure = attempt->answer;
    job->failed_response = attempt->response;
    if (attempt->received)
        job->doublings = job->unreached = 0;
    again_now = ask_afresh(job, attempt) || ask_in_region(job, attempt);
    if (has_won)
        drop_losers(job);
    drop_attempt(job, attempt);
    if (again_now)
        job->due_ns = 0;
    else if (has_won || is_queued(job))
        repeat(job);
    else if (job->failure.again == HL_AGAIN_NEVER)
        fail_as_last(job);
    /* else the other attempt may do better */
}

/* Attempts that have ended by themselves. */
static void collect(void)
{
    CURLMsg *message;
    int left;

    while ((message = hl_curl.multi_info_read(http.multi, &left))) {
        struct hl_attempt *attempt = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        hl_curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&attempt);
        if (attempt->dropped) {
            drop_attempt(attempt->arg, attempt);
            continue;
        }
        hl_attempt_settle(attempt, code);
        attempt_over(attempt->arg, attempt);
    }
}

/* ---- watching ------------------------------------------------------------ */

static uint64_t ten_latencies(const struct job *job, uint64_t least)
{
    uint64_t ns = 10 * hl_pace_median_ns(&job->transfer->target->pace);

    return ns > least ? ns : least;
}

/* No byte for too long, in the middle of a body. */
static bool break_stall(struct job *job, struct hl_attempt *attempt, uint64_t now, uint64_t *next)
{
    uint64_t limit = ten_latencies(job, hl_stall_ns) << (job->stalls < 5 ? job->stalls : 5);

    if (!attempt->judged || !hl_stall_ns)
        return false;
    if (now < attempt->last_ns + limit) {
        sooner(next, attempt->last_ns + limit);
        return false;
    }
    job->stalls++;
    if (attempt->answer.rc == 0)
        hl_answer_fail(&attempt->answer, attempt->question.name, ETIMEDOUT, HL_AGAIN_OFTEN,
                       "no byte for %.1f s, after %u of %u", (double)limit / 1e9,
                       job->transfer->received, job->length);
    attempt_over(job, attempt);
    return true;
}

/* The first byte is late: ask a second time, on another connection. */
static void hedge(struct job *job, uint64_t now, uint64_t *next)
{
    struct hl_attempt *attempt = job->attempts[0];
    struct hl_target *target = job->transfer->target;
    uint64_t late = hl_pace_late_ns(&target->pace), lost;

    if (!hl_stall_ns || job->hedged || job->winner || !attempt || !attempt->sent_ns ||
        attempt->judged || job->attempts[1])
        return;
    /* A connection that was kept may have died without a word; on a new one it is less likely. */
    lost = ten_latencies(job, attempt->sockets ? LOST_MIN_NEW : LOST_MIN);
    if (now >= attempt->sent_ns + lost && http.nr_active < http.limit) {
        job->hedged = true;
        begin_attempt(job, true, true);
        return;
    }
    if (now < attempt->sent_ns + lost)
        sooner(next, attempt->sent_ns + lost);
    if (job->urgency != HL_URGENT || !late)
        return;
    if (now < attempt->sent_ns + late) {
        sooner(next, attempt->sent_ns + late);
    } else if (hl_pace_may_hedge(&target->pace) && http.nr_active < http.limit) {
        job->hedged = true;
        hl_pace_count_hedge(&target->pace);
        begin_attempt(job, true, target->multiplexes);
    }
}

static void watch_job(struct job *job, uint64_t now, uint64_t *next)
{
    if (now >= deadline(job)) {
        time_out(job);
        return;
    }
    sooner(next, deadline(job));
    drop_losers(job);
    tell(job);
    for (unsigned i = 0; i < 2; i++)
        if (job->attempts[i] && break_stall(job, job->attempts[i], now, next))
            return; /* the job may be gone */
    hedge(job, now, next);
}

static void watch(uint64_t *next)
{
    uint64_t now = hl_now_ns();

    for (struct job *job = http.jobs, *after; job; job = after) {
        after = job->next;
        watch_job(job, now, next);
    }
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
        http.busy_bytes += http.body_bytes;
    }
    for (const struct job *job = http.jobs; job; job = job->next)
        busy = busy || (job->winner && job->transfer->received);
    http.busy = busy;
    http.looked_ns = now;
    http.body_bytes = 0;
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
    struct job *posted = http.posted, *in_order = NULL, **end = &http.jobs;

    http.posted = NULL;
    while (posted) {
        struct job *job = posted;

        posted = job->next;
        job->next = in_order;
        in_order = job;
    }
    while (*end)
        end = &(*end)->next;
    *end = in_order;
}

/* Under the lock. */
static void take_flags(void)
{
    if (!http.flags)
        return;
    http.flags = false;
    for (struct job *job = http.jobs; job; job = job->next)
        if (job->hurry)
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

/* Cancelled jobs end here. */
static void end_cancelled(bool all)
{
    for (struct job *job = http.jobs, *after; job; job = after) {
        after = job->next;
        if (!all && !is_cancelled(job))
            continue;
        hl_answer_fail(&job->failure, job->transfer->target->name, ECANCELED, HL_AGAIN_NEVER,
                       all ? "the process is ending" : "given up");
        fail(job, job->failure.rc, job->failure.sentence, &job->failed_response);
    }
}

/* NULL; or it is time to end, and what is to be cleaned up, which nobody posts to any more. */
static CURLM *take_mail(uint64_t *idle_since)
{
    CURLM *to_clean = NULL;
    bool flags, exiting;

    hl_lock(&http.lock);
    park();
    take_posted();
    flags = http.flags;
    exiting = http.exiting;
    take_flags();
    if (http.jobs)
        *idle_since = hl_now_ns();
    else if (exiting || hl_now_ns() >= *idle_since + IDLE_S * SECOND)
        to_clean = HL_TAKE(http.multi);
    hl_unlock(&http.lock);
    if (flags || exiting)
        end_cancelled(exiting);
    if (exiting && !to_clean)
        hl_curl.multi_wakeup(http.multi); /* come round at once: there is nothing left to wait for */
    return to_clean;
}

static void clean_up(CURLM *multi)
{
    while (http.nr_spare)
        hl_curl.easy_cleanup(http.spare[--http.nr_spare]);
    hl_curl.multi_cleanup(multi);
    hl_authorities_free(&http.authorities);
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
        hl_curl.multi_perform(http.multi, &running);
        collect();
        measure();
        watch(&next);
        begin_queued(&next);
        arm(next);
        hl_curl.multi_poll(http.multi, &timer, 1, POLL_MS, NULL);
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
    if (http.multi)
        hl_curl.multi_wakeup(http.multi);
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
    http.limit = (unsigned)knob("HUGELITE_HTTP_REQUESTS", REQUESTS, REQUESTS_MAX);
    hl_curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)(2 * http.limit));
    http.multi = multi;
    http.timer = timer;
    http.armed_ns = 0;
    http.random = (hl_now_ns() ^ (uint64_t)getpid() << 40) | 1;
    hl_authorities_read(&http.authorities);
    return 0;
}

/* Under the lock. */
static int start_thread(const char *name)
{
    int rc;

    if (http.exiting)
        return hl_error(ECANCELED, "%s: the process is ending", name);
    if (http.multi)
        return 0;
    if (http.to_join)
        pthread_join(http.thread, NULL); /* it takes no lock any more */
    http.to_join = false;
    rc = make_multi(name);
    if (rc < 0)
        return rc;
    rc = pthread_create(&http.thread, NULL, http_main, NULL);
    if (rc != 0) {
        clean_up(HL_TAKE(http.multi));
        return hl_error(rc, "%s: no transfer thread: %s", name, strerror(rc));
    }
    http.to_join = true;
    return 0;
}

static int post(struct job *job)
{
    int rc;

    hl_lock(&http.lock);
    rc = start_thread(job->transfer->target->name);
    if (rc == 0) {
        job->next = http.posted;
        http.posted = job;
        hl_curl.multi_wakeup(http.multi);
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
    struct job *job;
    int rc = hl_curl_load();

    HL_ASSERT(transfer->length > 0);
    if (rc < 0)
        return rc;
    pthread_once(&once, install_stop); /* after libcurl's own, so that it runs before them */
    job = calloc(1, sizeof *job);
    if (!job)
        return hl_error(ENOMEM, "%s: no memory for a request", transfer->target->name);
    job->transfer = transfer;
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

/* Leave a flag in the job, if there still is one. */
static void leave_flag(struct hl_transfer *transfer, size_t flag)
{
    struct job *job;

    if (state_of(transfer) != HL_TRANSFER_RUNNING || is_of_parent(transfer))
        return;
    hl_lock(&http.lock);
    job = transfer->own;
    if (job) {
        *(bool *)((char *)job + flag) = true;
        http.flags = true;
        hl_curl.multi_wakeup(http.multi);
    }
    hl_unlock(&http.lock);
}

void hl_transfer_cancel(struct hl_transfer *transfer)
{
    leave_flag(transfer, offsetof(struct job, cancel));
    wait_for_end(transfer);
}

void hl_transfer_hurry(struct hl_transfer *transfer)
{
    leave_flag(transfer, offsetof(struct job, hurry));
}

/* ---- fork ---------------------------------------------------------------- */

void hl_transfer_fork_prepare(void)
{
    uint64_t until = hl_now_ns() + FORK_WAIT_MS * MS;
    struct timespec when = { .tv_sec = (time_t)(until / SECOND),
                             .tv_nsec = (long)(until % SECOND) };

    hl_lock(&http.lock);
    http.forking++;
    if (http.multi)
        hl_curl.multi_wakeup(http.multi);
    /* It may hang in a callback that wants a lock of a fork handler's: then go without it. */
    while (http.multi && !http.parked &&
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
        struct job *jobs, *posted;
        CURL *spare[REQUESTS_MAX];
    } *lefts;
    struct left *left = http.multi ? calloc(1, sizeof *left) : NULL;

    if (left) {
        left->next = lefts;
        left->multi = http.multi;
        left->jobs = http.jobs;
        left->posted = http.posted;
        memcpy(left->spare, http.spare, http.nr_spare * sizeof *http.spare);
        lefts = left;
        hl_sys.close(http.timer);
        hl_authorities_free(&http.authorities);
    }
}

void hl_transfer_fork_child(void)
{
    hl_attempt_forget_sockets();
    leave_to_parent();
    pthread_cond_init(&http.parked_or_go, NULL);
    http.posted = http.jobs = NULL;
    http.multi = NULL;
    http.to_join = http.flags = http.parked = http.exiting = http.busy = false;
    http.forking = 0;
    http.nr_spare = http.nr_active = 0;
    atomic_fetch_add_explicit(&life, 1, memory_order_relaxed);
    hl_unlock(&http.lock);
}
