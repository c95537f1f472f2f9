/* SPDX-License-Identifier: MIT
 *
 * bench-cold.c - a fresh process on an empty cache: its scan, against what the processors
 * could do at best, and its lookups, one by one.  "Empty" is the pool's cache, or squashfs's; all
 * files are in the page cache, so that disks stay out of it.
 *
 * Entry points: bench_cold_scans, bench_cold_lookups.
 * See also: bench-packed.c (rates, and what the peers read), bench-report-cold.c.
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "tools.h"

/* The statement is run again for the warm time, more than once when it is short. */
#define WARM_SECONDS 0.3
#define WARM_RUNS 5u

const unsigned bench_windows[BENCH_NR_WINDOWS] = { 100, 1000, BENCH_COLD_LOOKUPS };

static const enum bench_case statements[BENCH_NR_STATEMENTS] = {
    [BENCH_S_SCAN] = BENCH_SCAN, [BENCH_S_COUNT] = BENCH_COUNT, [BENCH_S_SQL] = BENCH_SQL,
};

/* ---- in the child ------------------------------------------------------- */

int bench_open_and_prepare(const struct bench_config *config, enum bench_system_id system,
                           enum bench_case which, sqlite3 **ret_db, sqlite3_stmt **ret_stmt,
                           struct bench_reply *reply)
{
    if (bench_system_open(config, system, ret_db, reply) < 0)
        return reply->rc;
    if (sqlite3_prepare_v2(*ret_db, bench_case_sql(config, which), -1, ret_stmt, NULL)
        != SQLITE_OK)
        return bench_fail(reply, EIO, "%s: %s", bench_case_sql(config, which),
                          sqlite3_errmsg(*ret_db));
    return 0;
}

int bench_lookup(sqlite3 *db, sqlite3_stmt *stmt, uint64_t id, struct bench_reply *reply)
{
    int rc;

    sqlite3_bind_int64(stmt, 1, (int64_t)id);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW || !sqlite3_column_text(stmt, 0)[0])
        bench_fail(reply, EIO, "point lookup: %s",
                   rc == SQLITE_ROW ? "an empty row" : sqlite3_errmsg(db));
    sqlite3_reset(stmt);
    return reply->rc;
}

/* arg: system, statement << 8 */
static int job_scan(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    enum bench_system_id system = (enum bench_system_id)(arg & 255);
    enum bench_case which = statements[arg >> 8];
    double start = hl_units_now(), again;
    sqlite3_stmt *stmt;
    unsigned runs = 0;
    sqlite3 *db;

    if (system == BENCH_UNPACK) {
        if (bench_job_unpack(config, 0, reply) < 0)
            return reply->rc;
        reply->unpack_seconds = hl_units_now() - start;
    }
    bench_heap_start(config, system);
    if (bench_open_and_prepare(config, system, which, &db, &stmt, reply) < 0
        || bench_run_statement(db, stmt, reply) < 0)
        return reply->rc;
    again = hl_units_now();
    reply->seconds = again - start;
    do
        if (bench_run_statement(db, stmt, reply) < 0)
            return reply->rc;
    while (++runs < WARM_RUNS && hl_units_now() < again + WARM_SECONDS);
    reply->warm_seconds = (hl_units_now() - again) / runs;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void bench_summarize(double *values, unsigned nr, double *ret_median, double *ret_p99)
{
    qsort(values, nr, sizeof *values, compare);
    *ret_median = values[nr / 2];
    *ret_p99 = values[(unsigned)((double)nr * 0.99)];
}

static int warm_volume(const struct bench_config *config, enum bench_system_id system,
                       struct bench_reply *reply)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    int rc;

    bench_heap_start(config, system);
    rc = hugelite_pool_open(bench_pool(config, system), &opts, &pool);
    if (rc == 0)
        rc = hugelite_volume_open(pool, bench_source(config, system), &vol);
    if (rc == 0)
        rc = hugelite_volume_warm(vol, 0, 0, NULL, NULL);
    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    return 0;
}

/* arg: system, "warm the volume first" << 8 */
static int job_lookups(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    static double each[BENCH_COLD_LOOKUPS], sorted[BENCH_COLD_LOOKUPS];
    enum bench_system_id system = (enum bench_system_id)(arg & 255);
    uint64_t keys = 0x9e3779b97f4a7c15u;
    sqlite3_stmt *stmt;
    double start, before;
    sqlite3 *db;

    memset(each, 0, sizeof each);
    start = hl_units_now();
    if (arg >> 8 && warm_volume(config, system, reply) < 0)
        return reply->rc;
    bench_heap_start(config, system);
    if (bench_open_and_prepare(config, system, BENCH_LOOKUP, &db, &stmt, reply) < 0)
        return reply->rc;
    before = hl_units_now();
    for (unsigned i = 0; i < BENCH_COLD_LOOKUPS; i++) {
        double now;

        if (bench_lookup(db, stmt, bench_xorshift(&keys) % config->rows + 1, reply) < 0)
            return reply->rc;
        now = hl_units_now();
        each[i] = now - before;
        before = now;
    }
    reply->seconds = before - start;
    reply->ops = BENCH_COLD_LOOKUPS;
    for (unsigned w = 0; w < BENCH_NR_WINDOWS; w++) {
        memcpy(sorted, each, bench_windows[w] * sizeof *each);
        bench_summarize(sorted, bench_windows[w], &reply->median[w], &reply->p99[w]);
    }
    return 0;
}

/* ---- in the parent ------------------------------------------------------ */

/* ret_before: the counters of a volume of hugelite's. */
static int make_cold(const struct bench_config *config, enum bench_system_id system,
                     struct bench_reply *ret_before)
{
    int rc;

    memset(ret_before, 0, sizeof *ret_before);
    if (system == BENCH_SQUASHFS)
        return bench_run_job(config, bench_job_remount, 0, ret_before);
    if (!bench_is_hugelite(system))
        return 0;
    rc = bench_run_job(config, bench_job_pool_evict, system, ret_before);
    if (rc == 0 && ret_before->resident_bytes > 0)
        rc = bench_fail(ret_before, EBUSY, "%s: %" PRIu64 " bytes stayed in the pool %s",
                        bench_source(config, system), ret_before->resident_bytes,
                        bench_pool(config, system));
    return rc;
}

static void add_rates(struct bench_rate_series *series, const struct bench_rates *rates)
{
    bench_add(&series->decode, rates->decode);
    bench_add(&series->decode_all, rates->decode_all);
    bench_add(&series->copy, rates->copy);
    bench_add(&series->read, rates->read);
    bench_add(&series->frame_seconds, rates->frame_seconds);
    bench_add(&series->frame_read_seconds, rates->frame_read_seconds);
}

/* In the round they are a measure for, while the pool has given back its pages. */
static int measure_rates(const struct bench_config *config, struct bench_results *results,
                         unsigned round, struct bench_reply *reply)
{
    int rc = 0;

    if (results->rates.read.nr > round || !config->pool[0])
        return 0;                       /* the other statement's round has them */
    bench_progress("rates of decoding and copying, round %u of %u", round + 1, config->rounds);
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && rc == 0; s++)
        if (bench_is_hugelite(s) && config->systems[s].wanted && !config->systems[s].skipped)
            rc = make_cold(config, s, reply);
    if (rc == 0)
        rc = bench_run_job(config, bench_job_rates, 0, reply);
    if (rc == 0)
        add_rates(&results->rates, &reply->rates);
    return rc;
}

static int scan_once(const struct bench_config *config, unsigned system,
                     enum bench_statement statement, struct bench_cold_scan *scan,
                     struct bench_reply *reply)
{
    int rc = make_cold(config, system, reply);

    if (rc == 0)
        rc = bench_run_job(config, job_scan, system | (uint64_t)statement << 8, reply);
    if (rc < 0)
        return rc;
    bench_add(&scan->seconds[system], reply->seconds);
    bench_add(&scan->warm[system], reply->warm_seconds);
    if (system == BENCH_UNPACK)
        bench_add(&scan->unpacking, reply->unpack_seconds);
    return 0;
}

int bench_cold_scans(const struct bench_config *config, struct bench_results *results,
                     struct bench_reply *reply)
{
    unsigned first = config->sql ? BENCH_S_SQL : BENCH_S_SCAN;
    unsigned last = config->sql ? BENCH_S_SQL : BENCH_S_COUNT;

    for (unsigned round = 0; round < config->rounds; round++) {
        int rc = measure_rates(config, results, round, reply);

        if (rc < 0)
            return rc;
        for (unsigned st = first; st <= last; st++)
            for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
                if (!bench_takes_part(config, s, BENCH_G_COLD_SCAN, 1))
                    continue;
                bench_progress("cold %s, round %u of %u, %s", bench_case_name(statements[st]),
                               round + 1, config->rounds, config->systems[s].label);
                rc = scan_once(config, s, st, &results->scans[st], reply);
                if (rc < 0)
                    return rc;
            }
    }
    return 0;
}

static int lookups_once(const struct bench_config *config, unsigned system,
                        struct bench_cold_lookup *lookup, struct bench_reply *reply)
{
    struct bench_reply before, after;
    int rc = make_cold(config, system, &before);

    if (rc < 0) {
        *reply = before;
        return rc;
    }
    rc = bench_run_job(config, job_lookups, system, reply);
    if (rc < 0)
        return rc;
    bench_add(&lookup->seconds[system], reply->seconds);
    for (unsigned w = 0; w < BENCH_NR_WINDOWS; w++) {
        bench_add(&lookup->median[system][w], reply->median[w]);
        bench_add(&lookup->p99[system][w], reply->p99[w]);
    }
    if (!bench_is_hugelite(system))
        return 0;
    rc = bench_run_job(config, bench_job_pool_stat, system, &after);
    if (rc < 0) {
        *reply = after;
        return rc;
    }
    bench_add(&lookup->early_reads[system], (double)(after.early_reads - before.early_reads));
    if (system == BENCH_SMALL)
        return 0;                       /* the whole volume does not fit */
    rc = make_cold(config, system, reply);
    if (rc == 0)
        rc = bench_run_job(config, job_lookups, system | 1u << 8, reply);
    if (rc == 0)
        bench_add(&lookup->warming[system], reply->seconds);
    return rc;
}

int bench_cold_lookups(const struct bench_config *config, struct bench_results *results,
                       struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++) {
        int rc = measure_rates(config, results, round, reply);

        for (unsigned s = 0; s < BENCH_NR_SYSTEMS && rc == 0; s++) {
            if (!bench_takes_part(config, s, BENCH_G_COLD_LOOKUP, 1))
                continue;
            bench_progress("cold lookups, round %u of %u, %s", round + 1, config->rounds,
                           config->systems[s].label);
            rc = lookups_once(config, s, &results->lookups, reply);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}
