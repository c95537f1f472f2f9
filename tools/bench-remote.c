/* SPDX-License-Identifier: MIT
 *
 * bench-remote.c - a database behind a link, read for the first time: lookups in round trips,
 * scans in requests and in use of the link, the slow tail of an origin, and what a recorded warm
 * list saves.
 *
 * Entry points: bench_remote_prepare, bench_remote_make_cold, bench_remote_lookups,
 * bench_remote_scans, bench_remote_tails, bench_remote_lists.
 * See also: bench-origin.c (the origin), bench-http.c (plain libcurl), bench-report-remote.c.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench-origin.h"
#include "tools.h"

#define TAIL_FIRST 300u        /* lookups after which the interior pages are known */
#define TAIL_LOOKUPS 500u
#define STRETCH_BYTES (1u << 20) /* of the database: rows that are hot together */
#define HOT_MOST 48u           /* stretches */
#define WINDOW_SECONDS 0.1
#define WINDOWS 400u           /* at most: 40 s */
#define WARM_WINDOWS 10u       /* after the last request: as fast as it gets */
#define SECOND_NS 1000000000u

/* ---- preparation -------------------------------------------------------- */

static bool wanted(const struct bench_config *config, enum bench_system_id system)
{
    return config->systems[system].wanted && !config->systems[system].skipped;
}

/* The loopback interface is not for proxies, and state not of the machine. */
static void set_environment(const char *state_dir)
{
    static const char *const proxies[] = { "http_proxy", "all_proxy", "ALL_PROXY" };

    setenv("HUGELITE_STATE", state_dir, 1);
    for (unsigned i = 0; i < sizeof proxies / sizeof *proxies; i++)
        unsetenv(proxies[i]);
}

int bench_remote_prepare(struct bench_config *config)
{
    const char *const files[] = { config->db, config->packed };
    unsigned nr = wanted(config, BENCH_REMOTE_ZST) ? 2 : 1;
    int rc;

    if (!wanted(config, BENCH_REMOTE) && !wanted(config, BENCH_REMOTE_ZST)
        && !wanted(config, BENCH_DOWNLOAD)) {
        setenv("HUGELITE_STATE", "none", 1);
        return 0;
    }
    snprintf(config->state_dir, sizeof config->state_dir, "%.4000s/state", config->work_dir);
    snprintf(config->downloaded, sizeof config->downloaded, "%.4000s/downloaded.db",
             config->work_dir);
    set_environment(config->state_dir);
    rc = bench_origin_start(files, nr, &config->origin);
    if (rc < 0) {
        hl_tool_error("bench", "the origin of the remote cases cannot start: %s", strerror(-rc));
        return rc;
    }
    for (unsigned i = 0; i < nr; i++)
        bench_origin_url(config->origin, i, config->remote_url[i], sizeof config->remote_url[i]);
    return 0;
}

void bench_remote_link(const struct bench_config *config, enum bench_link_kind kind)
{
    struct bench_link link = { .latency_ns = 0 };

    if (!config->origin)
        return;
    if (kind != BENCH_L_FREE)
        link.latency_ns = (uint64_t)(config->latency * SECOND_NS);
    if (kind == BENCH_L_LIMITED)
        link.rate = config->rate;
    bench_origin_set_link(config->origin, &link);
}

/* An empty pool is there already when a reader comes: making one is not opening a database. */
static int job_make_pool(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts,
                                       .budget_bytes = config->remote_budget };
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    int rc = hugelite_pool_open(config->remote_pool, &opts, &pool);

    (void)arg;
    if (rc == 0)
        rc = hugelite_pool_stat(pool, &stat);
    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    snprintf(reply->pages, sizeof reply->pages, "%s", stat.pages);
    reply->page_bytes = stat.page_bytes;
    hugelite_pool_close(pool);
    return 0;
}

int bench_remote_make_cold(const struct bench_config *config, bool keep_state,
                           struct bench_reply *reply)
{
    bench_remove_tree(config->remote_pool);
    if (!keep_state)
        bench_remove_tree(config->state_dir);
    if (mkdir(config->state_dir, 0700) < 0 && errno != EEXIST)
        return bench_fail(reply, errno, "%s: %s", config->state_dir, strerror(errno));
    return bench_run_job(config, job_make_pool, 0, reply);
}

/* ---- in the child ------------------------------------------------------- */

static uint64_t to_ns(double seconds)
{
    return (uint64_t)(seconds * SECOND_NS);
}

/* Random rows, each once. */
struct keys {
    uint64_t state, rows;
    unsigned char *used;       /* a bit for each */
};

static int keys_init(struct keys *keys, uint64_t rows, uint64_t seed, struct bench_reply *reply)
{
    *keys = (struct keys){ .state = 0x9e3779b97f4a7c15u ^ seed << 24, .rows = rows };
    keys->used = calloc(rows / 8 + 1, 1);
    return keys->used ? 0 : bench_fail(reply, ENOMEM, "no memory");
}

static uint64_t next_key(struct keys *keys)
{
    uint64_t k;

    do
        k = bench_xorshift(&keys->state) % keys->rows;
    while (keys->used[k / 8] >> (k & 7) & 1);
    keys->used[k / 8] = (unsigned char)(keys->used[k / 8] | 1u << (k & 7));
    return k + 1;
}

struct reader {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    struct keys keys;
};

static int reader_open(const struct bench_config *config, enum bench_system_id system,
                       uint64_t seed, struct reader *r, struct bench_reply *reply)
{
    if (keys_init(&r->keys, config->rows, seed, reply) < 0)
        return reply->rc;
    return bench_open_and_prepare(config, system, BENCH_LOOKUP, &r->db, &r->stmt, reply);
}

/* As a program ends: what is to be remembered gets written. */
static void reader_close(struct reader *r)
{
    sqlite3_finalize(r->stmt);
    sqlite3_close(r->db);
    free(r->keys.used);
}

/* nr lookups one by one; each: seconds of each, or NULL. */
static int lookups(struct reader *r, unsigned nr, double *each, struct bench_reply *reply)
{
    double before = hl_units_now(), now;

    for (unsigned i = 0; i < nr; i++) {
        if (bench_lookup(r->db, r->stmt, next_key(&r->keys), reply) < 0)
            return reply->rc;
        now = hl_units_now();
        if (each)
            each[i] = now - before;
        before = now;
    }
    return 0;
}

static double mean(const double *values, unsigned nr)
{
    double sum = 0;

    for (unsigned i = 0; i < nr; i++)
        sum += values[i];
    return nr ? sum / nr : 0;
}

/* arg: system, enum bench_first << 8, round << 16.  The first lookup, and with nothing known
 * beforehand, the next ones. */
static int job_lookups(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    enum bench_first first = (enum bench_first)(arg >> 8 & 255);
    static double each[1000];
    struct reader r;
    uint64_t before = bench_origin_traffic(config->origin).requests;
    double start, done, p99;

    if (first == BENCH_F_CATALOG)
        setenv("HUGELITE_TIER_SIZE", "0", 1);
    start = hl_units_now();
    if (reader_open(config, (enum bench_system_id)(arg & 255), arg >> 8, &r, reply) < 0
        || lookups(&r, 1, NULL, reply) < 0)
        return reply->rc;
    done = hl_units_now();
    reply->first_seconds = done - start;
    reply->requests = bench_origin_traffic(config->origin).requests - before;
    nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL); /* the origin's last note */
    reply->rounds = bench_origin_rounds(config->origin, before, to_ns(done));
    if (first == BENCH_F_EMPTY) {
        before = bench_origin_traffic(config->origin).requests;
        if (lookups(&r, bench_windows[1], each, reply) < 0)
            return reply->rc;
        reply->ops = bench_origin_traffic(config->origin).requests - before;
        for (unsigned w = 0; w < 2; w++)
            reply->mean[w] = mean(each, bench_windows[w]);
        for (unsigned w = 0; w < 2; w++)
            bench_summarize(each, bench_windows[w], &reply->median[w], &p99);
    }
    reader_close(&r);
    return 0;
}

/* arg: system */
static int job_scan(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    enum bench_system_id system = (enum bench_system_id)arg;
    enum bench_case which = config->sql ? BENCH_SQL : BENCH_SCAN;
    uint64_t before = bench_origin_traffic(config->origin).requests;
    double start = hl_units_now();
    sqlite3_stmt *stmt;
    sqlite3 *db;

    if (system == BENCH_DOWNLOAD
        && bench_http_download(config->remote_url[0], config->downloaded, reply) < 0)
        return reply->rc;
    if (bench_open_and_prepare(config, system, which, &db, &stmt, reply) < 0
        || bench_run_statement(db, stmt, reply) < 0)
        return reply->rc;
    reply->seconds = hl_units_now() - start;
    reply->requests = bench_origin_traffic(config->origin).requests - before;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    if (system == BENCH_DOWNLOAD)
        unlink(config->downloaded);
    return 0;
}

/* arg: system, "some responses are slow" << 8, round << 16.  Lookups that the origin has to
 * answer: what is resident by then is not looked at. */
static int job_tail(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct bench_link link = { .latency_ns = to_ns(config->latency),
                               .slow_share = arg >> 8 & 1 ? BENCH_SLOW_SHARE : 0 };
    static double each[TAIL_LOOKUPS];
    struct reader r;
    uint64_t before;
    unsigned nr = 0;

    if (reader_open(config, (enum bench_system_id)(arg & 255), arg >> 16, &r, reply) < 0
        || lookups(&r, TAIL_FIRST, NULL, reply) < 0)
        return reply->rc;
    bench_origin_settle(config->origin, SECOND_NS / 5, 5ull * SECOND_NS);
    bench_origin_set_link(config->origin, &link);
    before = bench_origin_traffic(config->origin).requests;
    if (lookups(&r, TAIL_LOOKUPS, each, reply) < 0)
        return reply->rc;
    bench_origin_settle(config->origin, SECOND_NS / 5, 5ull * SECOND_NS);
    reply->requests = bench_origin_traffic(config->origin).requests - before;
    for (unsigned i = 0; i < TAIL_LOOKUPS; i++)
        if (each[i] > config->latency / 2)
            each[nr++] = each[i];
    if (nr < TAIL_LOOKUPS / 5)
        return 0;                       /* ops = 0: a small database, most of it is resident */
    reply->ops = nr;
    bench_summarize(each, nr, &reply->median[0], &reply->p99[0]);
    reader_close(&r);
    return 0;
}

/* ---- a hot set ---------------------------------------------------------- */

/* Stretches of neighbouring rows here and there, asked for as often as Zipf says. */
struct hot {
    uint64_t rows, stretch;    /* rows of each */
    unsigned nr;
    uint64_t first[HOT_MOST];
    double upto[HOT_MOST];     /* sum of the shares */
    uint64_t state;
};

static void hot_init(struct hot *hot, const struct bench_config *config, uint64_t seed)
{
    uint64_t pieces = config->db_bytes / STRETCH_BYTES;
    double sum = 0;

    *hot = (struct hot){ .rows = config->rows, .state = 0x9e3779b97f4a7c15u ^ seed << 24 };
    hot->nr = (unsigned)(pieces / 4 < HOT_MOST ? pieces / 4 : HOT_MOST);
    hot->nr = hot->nr ? hot->nr : 1;
    hot->stretch = config->rows / (pieces ? pieces : 1);
    hot->stretch = hot->stretch ? hot->stretch : 1;
    for (unsigned i = 0; i < hot->nr; i++) {
        hot->first[i] = bench_xorshift(&hot->state) % (config->rows - hot->stretch + 1);
        hot->upto[i] = sum += 1.0 / (i + 1);
    }
    for (unsigned i = 0; i < hot->nr; i++)
        hot->upto[i] /= sum;
}

static uint64_t hot_key(struct hot *hot)
{
    double share = (double)(bench_xorshift(&hot->state) >> 11) * 0x1p-53;
    unsigned low = 0, high = hot->nr - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (hot->upto[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return hot->first[low] + bench_xorshift(&hot->state) % hot->stretch + 1;
}

/* Lookups per second of each window from start on, until the origin has had nothing to do for as
 * long as it takes to see how fast they get. */
static int fill_windows(const struct bench_config *config, struct reader *r, struct hot *hot,
                        double start, double *rates, unsigned *ret_nr, struct bench_reply *reply)
{
    uint64_t requests = 0;
    unsigned nr = 0, quiet = 0;

    while (nr < WINDOWS && quiet < WARM_WINDOWS) {
        double end = start + WINDOW_SECONDS * (nr + 1), now;
        uint64_t ops = 0, came;

        do {
            if (bench_lookup(r->db, r->stmt, hot_key(hot), reply) < 0)
                return reply->rc;
            ops++;
            now = hl_units_now();
        } while (now < end);
        /* A lookup that outlasts its window leaves the next ones empty. */
        rates[nr++] = (double)ops / WINDOW_SECONDS;
        while (nr < WINDOWS && now >= start + WINDOW_SECONDS * (nr + 1))
            rates[nr++] = 0;
        came = bench_origin_traffic(config->origin).requests;
        quiet = came == requests ? quiet + 1 : 0;
        requests = came;
    }
    *ret_nr = nr;
    return 0;
}

/* The end of the first window from which on, for three windows, 95 % of the warm rate are
 * reached. */
static double time_to_warm(double *rates, unsigned nr, double *ret_warm)
{
    double last[WARM_WINDOWS], p99;
    unsigned i;

    memcpy(last, rates + nr - WARM_WINDOWS, sizeof last);
    bench_summarize(last, WARM_WINDOWS, ret_warm, &p99);
    for (i = 0; i + 3 < nr; i++)
        if (rates[i] >= 0.95 * *ret_warm
            && rates[i] + rates[i + 1] + rates[i + 2] >= 3 * 0.95 * *ret_warm)
            break;
    return WINDOW_SECONDS * (i + 1);
}

/* arg: system, round << 16 */
static int job_list(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    uint64_t before = bench_origin_traffic(config->origin).bytes;
    static double rates[WINDOWS];
    double start = hl_units_now();
    struct reader r;
    struct hot hot;
    unsigned nr = 0;

    /* The list is to be measured, not the disk. */
    setenv("HUGELITE_TIER_SIZE", "0", 1);
    hot_init(&hot, config, arg >> 16);
    if (reader_open(config, (enum bench_system_id)(arg & 255), 0, &r, reply) < 0
        || fill_windows(config, &r, &hot, start, rates, &nr, reply) < 0)
        return reply->rc;
    if (nr == WINDOWS)
        return bench_fail(reply, ETIMEDOUT, "%s: the hot set was not warm after %.0f s",
                          bench_source(config, (enum bench_system_id)(arg & 255)),
                          WINDOWS * WINDOW_SECONDS);
    reply->seconds = time_to_warm(rates, nr, &reply->mean[0]);
    reply->source_bytes = bench_origin_traffic(config->origin).bytes - before;
    reader_close(&r);
    return 0;
}

/* ---- in the parent ------------------------------------------------------ */

static const enum bench_system_id systems[] = { BENCH_REMOTE, BENCH_REMOTE_ZST, BENCH_DOWNLOAD };
#define NR_SYSTEMS (sizeof systems / sizeof *systems)

/* A job on a cold database. */
static int run_cold(const struct bench_config *config, bool keep_state, enum bench_link_kind link,
                    bench_job *job, uint64_t arg, struct bench_reply *reply)
{
    int rc = bench_remote_make_cold(config, keep_state, reply);

    bench_remote_link(config, link);
    if (rc == 0)
        rc = bench_run_job(config, job, arg, reply);
    bench_remote_link(config, BENCH_L_FREE);
    return rc;
}

static int lookups_once(const struct bench_config *config, unsigned system, unsigned round,
                        struct bench_remote_lookup *lookup, struct bench_reply *reply)
{
    for (unsigned f = 0; f < BENCH_NR_FIRSTS; f++) {
        int rc = run_cold(config, f != BENCH_F_EMPTY, BENCH_L_LATENCY, job_lookups,
                          system | (uint64_t)f << 8 | (uint64_t)round << 16, reply);

        if (rc < 0)
            return rc;
        bench_add(&lookup->seconds[f], reply->first_seconds);
        bench_add(&lookup->rounds[f], (double)reply->rounds);
        bench_add(&lookup->requests[f], (double)reply->requests);
        for (unsigned w = 0; w < 2 && f == BENCH_F_EMPTY; w++) {
            bench_add(&lookup->median[w], reply->median[w]);
            bench_add(&lookup->mean[w], reply->mean[w]);
        }
        if (f == BENCH_F_EMPTY)
            bench_add(&lookup->later_requests, (double)reply->ops);
    }
    return 0;
}

int bench_remote_lookups(const struct bench_config *config, struct bench_remote *remote,
                         struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++) {
        int rc;

        bench_remote_link(config, BENCH_L_LATENCY);
        rc = bench_run_job(config, bench_job_request, 0, reply);
        if (rc < 0)
            return rc;
        bench_add(&remote->request_seconds, reply->seconds);
        for (unsigned i = 0; i < NR_SYSTEMS; i++) {
            unsigned s = systems[i];

            if (!bench_takes_part(config, s, BENCH_G_REMOTE_LOOKUP, 1))
                continue;
            bench_progress("remote lookups, round %u of %u, %s", round + 1, config->rounds,
                           config->systems[s].label);
            rc = lookups_once(config, s, round, &remote->lookups[s], reply);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int bench_remote_scans(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned i = 0; i < NR_SYSTEMS; i++) {
            unsigned s = systems[i];
            int rc;

            if (!bench_takes_part(config, s, BENCH_G_REMOTE_SCAN, 1))
                continue;
            bench_progress("remote scan, round %u of %u, %s", round + 1, config->rounds,
                           config->systems[s].label);
            rc = run_cold(config, false, BENCH_L_LIMITED, job_scan, s, reply);
            if (rc < 0)
                return rc;
            bench_add(&remote->scans[s].seconds, reply->seconds);
            bench_add(&remote->scans[s].requests, (double)reply->requests);
        }
    return 0;
}

int bench_remote_tails(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned i = 0; i < NR_SYSTEMS * 2; i++) {
            unsigned s = systems[i / 2], slow = i % 2;
            struct bench_remote_tail *tail = &remote->tails[s];
            int rc;

            if (!bench_takes_part(config, s, BENCH_G_REMOTE_TAIL, 1))
                continue;
            bench_progress("%s responses, round %u of %u, %s", slow ? "some slow" : "steady",
                           round + 1, config->rounds, config->systems[s].label);
            rc = run_cold(config, false, BENCH_L_LATENCY, job_tail,
                          s | (uint64_t)slow << 8 | (uint64_t)round << 16, reply);
            if (rc < 0)
                return rc;
            if (reply->ops == 0)
                continue;
            bench_add(&tail->median[slow], reply->median[0]);
            bench_add(&tail->p99[slow], reply->p99[0]);
            bench_add(&tail->requests[slow], (double)reply->requests);
        }
    return 0;
}

int bench_remote_lists(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned i = 0; i < NR_SYSTEMS * 2; i++) {
            unsigned s = systems[i / 2], recorded = i % 2;
            int rc;

            if (!bench_takes_part(config, s, BENCH_G_REMOTE_LIST, 1))
                continue;
            bench_progress("hot set, %s, round %u of %u, %s",
                           recorded ? "recorded list" : "nothing known", round + 1,
                           config->rounds, config->systems[s].label);
            rc = run_cold(config, recorded, BENCH_L_LIMITED, job_list,
                          s | (uint64_t)round << 16, reply);
            if (rc < 0)
                return rc;
            bench_add(&remote->lists[s].seconds[recorded], reply->seconds);
            bench_add(&remote->lists[s].rate[recorded], reply->mean[0]);
            bench_add(&remote->lists[s].bytes[recorded], (double)reply->source_bytes);
        }
    return 0;
}
