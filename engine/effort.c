/* SPDX-License-Identifier: MIT
 *
 * effort.c - what is done for one transfer: it is tried, hedged when the first byte is late, asked again
 * where it stopped, and given up.
 *
 * Entry points: effort.h.  See also: attempt.c (one request), answer.c, pace.c, transfer.c (whose turn
 * it is).
 */
#include "config.h"

#include "effort.h"

#include "error.h"
#include "stats.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define SECOND 1000000000ull

enum {
    FEW = 3,                    /* attempts to reach somebody who cannot be reached */
    TELL_BYTES = 256 << 10,
    SLOWEST = 64 << 10,         /* bytes for which the deadline moves a second on */
};

#define BACKOFF_MIN (50 * MS)
#define BACKOFF_MAX (2 * SECOND)
#define LOST_MIN (3 * SECOND)
#define LOST_MIN_NEW (5 * SECOND)

uint64_t hl_stall_ns = SECOND;

static uint64_t random_below(struct hl_line *line, uint64_t limit)
{
    line->random ^= line->random << 13;
    line->random ^= line->random >> 7;
    line->random ^= line->random << 17;
    return line->random % limit;
}

static bool has_place(const struct hl_line *line)
{
    return line->nr_active < line->limit;
}

/* ---- the end of it -------------------------------------------------------- */

static void count(struct hl_effort *effort, struct hl_attempt *attempt)
{
    struct hl_stats *stats = effort->transfer->stats;

    if (stats && attempt->wire_bytes)
        hl_count(&stats->source_bytes, attempt->wire_bytes);
    if (stats && attempt->requests)
        hl_count(&stats->requests, attempt->requests);
    attempt->wire_bytes = attempt->requests = 0;
}

/* Also of one that is under way: its connection goes, or its stream. */
static void drop_attempt(struct hl_effort *effort, struct hl_attempt *attempt)
{
    struct hl_line *line = effort->line;

    for (unsigned i = 0; i < 2; i++)
        if (effort->attempts[i] == attempt)
            effort->attempts[i] = NULL;
    if (effort->winner == attempt)
        effort->winner = NULL;
    hl_curl.multi_remove_handle(line->multi, attempt->easy);
    count(effort, attempt);
    hl_attempt_end(attempt);
    line->spare[line->nr_spare++] = attempt->easy;
    line->nr_active--;
    free(attempt);
}

static void drop_attempts(struct hl_effort *effort)
{
    for (unsigned i = 0; i < 2; i++)
        if (effort->attempts[i])
            drop_attempt(effort, effort->attempts[i]);
}

/* rc, the response and the sentence are the transfer's. */
static void end(struct hl_effort *effort)
{
    drop_attempts(effort);
    effort->over = true;
}

static void succeed(struct hl_effort *effort)
{
    effort->transfer->rc = 0;
    effort->transfer->response = effort->response;
    end(effort);
}

static void fail(struct hl_effort *effort, int rc, const char *sentence,
                 const struct hl_response *response)
{
    struct hl_transfer *transfer = effort->transfer;

    transfer->rc = rc;
    transfer->response = *response;
    snprintf(transfer->sentence, sizeof transfer->sentence, "%s", sentence);
    end(effort);
}

static double seconds_since(uint64_t ns)
{
    return (double)(hl_now_ns() - ns) / 1e9;
}

/* With what the last attempt has met. */
static void fail_as_last(struct hl_effort *effort)
{
    struct hl_answer answer = effort->failure;
    size_t done = strlen(answer.sentence);

    if (effort->tries > 1)
        snprintf(answer.sentence + done, sizeof answer.sentence - done, " (%u tries in %.1f s)",
                 effort->tries, seconds_since(effort->begun_ns));
    fail(effort, answer.rc, answer.sentence, &effort->failed_response);
}

/* ---- the deadline -------------------------------------------------------- */

static uint64_t deadline(const struct hl_effort *effort)
{
    if (!effort->deadline_moves)
        return effort->deadline_ns;
    return effort->deadline_ns + effort->transfer->received * SECOND / SLOWEST;
}

static void say_what_for(const struct hl_effort *effort, char *ret_text, size_t room)
{
    const struct hl_attempt *attempt = effort->winner ? effort->winner : effort->attempts[0];
    char host[256];

    if (!attempt)
        snprintf(ret_text, room, "a place among %u requests in flight", effort->line->limit);
    else if (attempt->judged)
        snprintf(ret_text, room, "the rest of the body: %u of %u bytes have come",
                 effort->transfer->received, effort->length);
    else if (attempt->sent_ns)
        snprintf(ret_text, room, "the first byte of the answer");
    else {
        hl_attempt_host(effort->transfer->target->url, host, sizeof host);
        snprintf(ret_text, room, "a connection to '%s'", host);
    }
}

static void time_out(struct hl_effort *effort)
{
    const char *name = effort->transfer->target->name;
    size_t prefix = strnlen(name, 200) + 2; /* as hl_answer_fail() begins */
    struct hl_answer answer;
    char what[320];

    say_what_for(effort, what, sizeof what);
    if (effort->failure.sentence[0])
        hl_answer_fail(&answer, name, ETIMEDOUT, HL_AGAIN_NEVER,
                       "timed out after %.1f s, waiting for %s; %u tries, and before: %s",
                       seconds_since(effort->begun_ns), what, effort->tries,
                       effort->failure.sentence + prefix);
    else
        hl_answer_fail(&answer, name, ETIMEDOUT, HL_AGAIN_NEVER,
                       "timed out after %.1f s, waiting for %s", seconds_since(effort->begun_ns),
                       what);
    fail(effort, answer.rc, answer.sentence, &effort->failed_response);
}

/* ---- what attempts tell -------------------------------------------------- */

static void tell(struct hl_effort *effort)
{
    struct hl_transfer *transfer = effort->transfer;

    if (effort->told == transfer->received)
        return;
    effort->told = transfer->received;
    if (effort->winner)
        count(effort, effort->winner);
    if (transfer->arrived && !hl_effort_is_cancelled(effort))
        transfer->arrived(transfer, transfer->received, 1);
}

static void add_pace(struct hl_effort *effort, uint64_t ns)
{
    struct hl_line *line = effort->line;

    hl_pace_add(&effort->transfer->target->pace, ns);
    hl_pace_add(&line->pace, ns);
    atomic_store_explicit(&line->latency_ns, hl_pace_median_ns(&line->pace), memory_order_relaxed);
}

static void settle(struct hl_effort *effort, const struct hl_attempt *attempt)
{
    const struct hl_transfer *transfer = effort->transfer;

    effort->settled = true;
    effort->first = attempt->answer.src_offset;
    effort->length = attempt->answer.length;
    effort->response = attempt->response;
    effort->validator_kind = transfer->validator_kind;
    if (transfer->validator_kind == HL_VALIDATOR_NONE)
        effort->validator_kind = hl_response_validator(&attempt->response, effort->validator);
    else
        snprintf(effort->validator, sizeof effort->validator, "%s", transfer->validator);
}

static bool attempt_won(struct hl_attempt *attempt)
{
    struct hl_effort *effort = attempt->arg;

    if (effort->winner)
        return false;
    effort->winner = attempt;
    for (unsigned i = 0; i < 2; i++) /* nothing more from the other, even in this very round */
        if (effort->attempts[i] && effort->attempts[i] != attempt)
            effort->attempts[i]->dropped = true;
    add_pace(effort, attempt->first_ns - attempt->sent_ns);
    if (!effort->settled)
        settle(effort, attempt);
    return true;
}

static void attempt_got(struct hl_attempt *attempt)
{
    struct hl_effort *effort = attempt->arg;
    struct hl_transfer *transfer = effort->transfer;
    uint32_t base = (uint32_t)(attempt->buffer - (char *)transfer->buffer);

    effort->line->body_bytes += base + attempt->received - transfer->received;
    transfer->received = base + attempt->received;
    if (transfer->received - effort->told >= TELL_BYTES)
        tell(effort);
}

/* ---- beginning ----------------------------------------------------------- */

static void ask_all(const struct hl_effort *effort, struct hl_question *ret)
{
    const struct hl_transfer *transfer = effort->transfer;

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

static void ask_rest(const struct hl_effort *effort, struct hl_question *ret)
{
    const struct hl_transfer *transfer = effort->transfer;

    *ret = (struct hl_question){
        .name = transfer->target->name,
        .src_offset = effort->first + transfer->received,
        .length = effort->length - transfer->received,
        .validator_kind = effort->validator_kind,
        .validator = effort->validator,
        .src_bytes = effort->response.has_total ? effort->response.total : transfer->src_bytes,
    };
}

static struct hl_attempt *make_attempt(struct hl_effort *effort, bool is_hedge)
{
    struct hl_transfer *transfer = effort->transfer;
    struct hl_line *line = effort->line;
    struct hl_attempt *attempt = calloc(1, sizeof *attempt);

    if (!attempt)
        return NULL;
    attempt->easy = line->nr_spare ? line->spare[--line->nr_spare] : hl_curl.easy_init();
    if (!attempt->easy) {
        free(attempt);
        return NULL;
    }
    attempt->target = transfer->target;
    attempt->buffer = (char *)transfer->buffer + transfer->received;
    attempt->is_hedge = is_hedge;
    attempt->won = attempt_won;
    attempt->got = attempt_got;
    attempt->arg = effort;
    if (effort->settled)
        ask_rest(effort, &attempt->question);
    else
        ask_all(effort, &attempt->question);
    return attempt;
}

static void attempt_over(struct hl_effort *effort, struct hl_attempt *attempt);

static void begin_attempt(struct hl_effort *effort, bool is_hedge, bool elsewhere)
{
    struct hl_attempt *attempt = make_attempt(effort, is_hedge);
    struct hl_line *line = effort->line;
    struct hl_target *target = effort->transfer->target;
    uint64_t now = hl_now_ns(), end = deadline(effort);
    int rc;

    if (!attempt) {
        hl_answer_fail(&effort->failure, target->name, ENOMEM, HL_AGAIN_NEVER,
                       "no memory for a request");
        if (!is_hedge)
            fail_as_last(effort);
        return;
    }
    attempt->patience_ns = end > now ? end - now : 0;
    effort->attempts[is_hedge] = attempt;
    effort->tries++;
    line->nr_active++;
    rc = hl_attempt_begin(attempt, &line->authorities);
    if (rc == 0 && elsewhere)
        hl_curl.easy_setopt(attempt->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (rc == 0 && hl_curl.multi_add_handle(line->multi, attempt->easy) != CURLM_OK)
        hl_answer_fail(&attempt->answer, target->name, ENOMEM, HL_AGAIN_NEVER,
                       "no memory for a request");
    if (attempt->answer.rc < 0) {
        attempt_over(effort, attempt);
        return;
    }
    if (!is_hedge)
        hl_pace_count_request(&target->pace);
}

/* ---- the end of an attempt ----------------------------------------------- */

static void set_moved(struct hl_target *target, char *url)
{
    /* Only this thread reads or writes it, and who frees the target. */
    free(atomic_exchange_explicit(&target->moved, url, memory_order_relaxed));
}

/* Where redirects have led is no good any more: once more from the start. */
static bool ask_afresh(struct hl_effort *effort, const struct hl_attempt *attempt)
{
    unsigned status = attempt->response.status;

    if (!attempt->at_moved || effort->afresh || effort->relocated ||
        (status != 401 && status != 403 && status != 404 && status != 410 && status != 412))
        return false;
    set_moved(effort->transfer->target, NULL);
    effort->afresh = true;
    return true;
}

static bool ask_in_region(struct hl_effort *effort, const struct hl_attempt *attempt)
{
    struct hl_target *target = effort->transfer->target;
    unsigned status = attempt->response.status;
    char *url;

    if (!target->relocate || effort->relocated || !attempt->response.region[0] ||
        (status != 301 && status != 307 && status != 400 && status != 403))
        return false;
    url = target->relocate(target, attempt->response.region);
    if (!url)
        return false;
    set_moved(target, url);
    effort->relocated = true;
    return true;
}

static uint64_t backoff(struct hl_effort *effort)
{
    uint64_t wait = BACKOFF_MIN << effort->doublings;

    if (effort->failure.again == HL_AGAIN_FEW) /* half a second in all */
        return 3 * BACKOFF_MIN + random_below(effort->line, 3 * BACKOFF_MIN);
    if (wait < BACKOFF_MAX)
        effort->doublings++;
    wait = random_below(effort->line, wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
    if (effort->failed_response.retry_after_s * SECOND > wait)
        wait = effort->failed_response.retry_after_s * SECOND;
    return wait;
}

/* After effort->failure: again, or no more. */
static void repeat(struct hl_effort *effort)
{
    bool pinned = !effort->transfer->received || effort->validator_kind != HL_VALIDATOR_NONE;
    bool again = effort->failure.again == HL_AGAIN_OFTEN && pinned;

    if (effort->failure.again == HL_AGAIN_FEW)
        again = ++effort->unreached < FEW;
    if (!effort->transfer->received)
        effort->settled = false;
    effort->due_ns = hl_now_ns() + backoff(effort);
    if (!again || effort->due_ns >= deadline(effort))
        fail_as_last(effort);
}

/* Somebody has answered: who has not is not needed. */
static void drop_losers(struct hl_effort *effort)
{
    for (unsigned i = 0; i < 2; i++) {
        struct hl_attempt *attempt = effort->attempts[i];

        if (!effort->winner || !attempt || attempt == effort->winner)
            continue;
        /* Nobody knows how long it would have taken.  As long as until now would pass for usual, and
         * make the next hedge later. */
        if (attempt->sent_ns && !attempt->judged)
            add_pace(effort, UINT64_MAX);
        drop_attempt(effort, attempt);
    }
}

/* The answer of an attempt is known. */
static void attempt_over(struct hl_effort *effort, struct hl_attempt *attempt)
{
    struct hl_target *target = effort->transfer->target;
    bool has_won = effort->winner == attempt, again_now = false;
    long version = 0;
    char *moved;

    hl_curl.easy_getinfo(attempt->easy, CURLINFO_HTTP_VERSION, &version);
    if (attempt->answer.rc == 0) {
        target->multiplexes = version >= CURL_HTTP_VERSION_2_0;
        moved = hl_attempt_moved(attempt);
        if (moved)
            set_moved(target, moved);
        succeed(effort);
        return;
    }
    effort->failure = attempt->answer;
    effort->failed_response = attempt->response;
    if (attempt->received)
        effort->doublings = effort->unreached = 0;
    again_now = ask_afresh(effort, attempt) || ask_in_region(effort, attempt);
    if (has_won)
        drop_losers(effort);
    drop_attempt(effort, attempt);
    if (again_now)
        effort->due_ns = 0;
    else if (has_won || (!effort->attempts[0] && !effort->attempts[1]))
        repeat(effort);
    else if (effort->failure.again == HL_AGAIN_NEVER)
        fail_as_last(effort);
    /* else the other attempt may do better */
}

/* ---- watching ------------------------------------------------------------ */

static uint64_t ten_latencies(const struct hl_effort *effort, uint64_t least)
{
    uint64_t ns = 10 * hl_pace_median_ns(&effort->transfer->target->pace);

    return ns > least ? ns : least;
}

/* No byte for too long, in the middle of a body. */
static void break_stall(struct hl_effort *effort, struct hl_attempt *attempt, uint64_t now,
                        uint64_t *next)
{
    uint64_t limit = ten_latencies(effort, hl_stall_ns) << (effort->stalls < 5 ? effort->stalls : 5);

    if (!attempt->judged || !hl_stall_ns)
        return;
    if (now < attempt->last_ns + limit) {
        hl_sooner(next, attempt->last_ns + limit);
        return;
    }
    effort->stalls++;
    if (attempt->answer.rc == 0)
        hl_answer_fail(&attempt->answer, attempt->question.name, ETIMEDOUT, HL_AGAIN_OFTEN,
                       "no byte for %.1f s, after %u of %u", (double)limit / 1e9,
                       effort->transfer->received, effort->length);
    attempt_over(effort, attempt);
}

/* The first byte is late: ask a second time, on another connection. */
static void hedge(struct hl_effort *effort, uint64_t now, uint64_t *next)
{
    struct hl_attempt *attempt = effort->attempts[0];
    struct hl_target *target = effort->transfer->target;
    uint64_t late = hl_pace_late_ns(&target->pace), lost;

    if (!hl_stall_ns || effort->hedged || effort->winner || !attempt || !attempt->sent_ns ||
        attempt->judged || effort->attempts[1])
        return;
    /* A connection that was kept may have died without a word; on a new one it is less likely. */
    lost = ten_latencies(effort, attempt->sockets ? LOST_MIN_NEW : LOST_MIN);
    if (now >= attempt->sent_ns + lost && has_place(effort->line)) {
        effort->hedged = true;
        begin_attempt(effort, true, true);
        return;
    }
    if (now < attempt->sent_ns + lost)
        hl_sooner(next, attempt->sent_ns + lost);
    if (effort->urgency != HL_URGENT || !late)
        return;
    if (now < attempt->sent_ns + late) {
        hl_sooner(next, attempt->sent_ns + late);
    } else if (hl_pace_may_hedge(&target->pace) && has_place(effort->line)) {
        effort->hedged = true;
        hl_pace_count_hedge(&target->pace);
        begin_attempt(effort, true, target->multiplexes);
    }
}

void hl_effort_watch(struct hl_effort *effort, uint64_t now, uint64_t *next)
{
    if (now >= deadline(effort)) {
        time_out(effort);
        return;
    }
    hl_sooner(next, deadline(effort));
    drop_losers(effort);
    tell(effort);
    for (unsigned i = 0; i < 2; i++)
        if (effort->attempts[i])
            break_stall(effort, effort->attempts[i], now, next);
    if (!effort->over)
        hedge(effort, now, next);
}

/* ---- for the transfer thread -------------------------------------------------- */

bool hl_effort_is_queued(const struct hl_effort *effort)
{
    return !effort->over && !effort->attempts[0] && !effort->attempts[1];
}

void hl_effort_try(struct hl_effort *effort)
{
    begin_attempt(effort, false, false);
}

void hl_effort_settle(struct hl_attempt *attempt, CURLcode code)
{
    if (attempt->dropped) {
        drop_attempt(attempt->arg, attempt);
        return;
    }
    hl_attempt_settle(attempt, code);
    attempt_over(attempt->arg, attempt);
}

void hl_effort_give_up(struct hl_effort *effort, const char *why)
{
    hl_answer_fail(&effort->failure, effort->transfer->target->name, ECANCELED, HL_AGAIN_NEVER, "%s",
                   why);
    fail(effort, effort->failure.rc, effort->failure.sentence, &effort->failed_response);
}
