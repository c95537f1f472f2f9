/* SPDX-License-Identifier: MIT
 *
 * bench-load.c - the processes of the cases under pressure: lookups for a time, by Zipf or
 * uniform, told apart by seconds; a scan beside them; and processes that only are there.
 *
 * Entry points: bench_job_load, bench_job_load_timed, bench_job_scan_beside, bench_job_attend.
 * See also: bench-pressure.c (who calls), bench-zipf.c (keys).
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "bench.h"
#include "tools.h"

enum {
    /* Before the clock starts: as long as is measured, and not longer than this. */
    WARM_SECONDS = 20,

    LOOK_EVERY = 16,        /* lookups between two looks at the clock */
    SCAN_LOOK_EVERY = 1024, /* rows */

    /* Times are counted in classes, of which each power of two nanoseconds has so many. */
    CLASSES = 64,
    POWERS = 36,
};

/* ---- what a job is told ------------------------------------------------------ */

struct order {
    enum bench_system_id system;
    enum bench_keys keys;
    unsigned reader;
    bool in_group;
};

uint64_t bench_load_arg(enum bench_system_id system, enum bench_keys keys, unsigned reader,
                        bool in_group)
{
    return (uint64_t)system | (uint64_t)keys << 8 | (uint64_t)in_group << 9
           | (uint64_t)reader << 16;
}

static struct order order_of(uint64_t arg)
{
    return (struct order){ .system = (enum bench_system_id)(arg & 255),
                           .keys = (enum bench_keys)(arg >> 8 & 1),
                           .in_group = arg >> 9 & 1, .reader = (unsigned)(arg >> 16) };
}

/* ---- the lookups ------------------------------------------------------------- */

struct load {
    const struct bench_config *config;
    struct order order;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    struct bench_zipf zipf;
    uint64_t state;          /* of the keys */
    uint32_t *times;         /* by class; NULL = nobody asks */
};

/* The kernel is told what a program that knows its reads would tell it.  SQLite offers no way, so
 * the mapping is looked for. */
static int advise_random(const char *path, struct bench_reply *reply)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[PATH_MAX + 128];
    bool found = false;

    while (f && fgets(line, sizeof line, f)) {
        uintptr_t from, to;

        line[strcspn(line, "\n")] = '\0';
        if (!strstr(line, path) || sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) != 2)
            continue;
        if (madvise((void *)from, to - from, MADV_RANDOM) < 0)
            return bench_fail(reply, errno, "MADV_RANDOM: %s", strerror(errno));
        found = true;
    }
    if (f)
        fclose(f);
    return found ? 0 : bench_fail(reply, ENOENT, "%s: not mapped", path);
}

static uint64_t next_id(struct load *load)
{
    return 1 + (load->order.keys == BENCH_K_ZIPF
                ? bench_zipf_rank(&load->zipf, &load->state)
                : bench_xorshift(&load->state) % load->config->rows);
}

/* Other keys for each reader, the same for each system. */
static int begin(struct load *load, const struct bench_config *config, uint64_t arg,
                 struct bench_reply *reply)
{
    *load = (struct load){ .config = config, .order = order_of(arg) };
    load->state = 0x9e3779b97f4a7c15u ^ (uint64_t)(load->order.reader + 1) << 32;
    if (load->order.in_group && bench_group_enter(config, reply) < 0)
        return reply->rc;
    if (load->order.keys == BENCH_K_ZIPF)
        load->zipf = bench_zipf_of(config->rows);
    if (bench_open_and_prepare(config, load->order.system, BENCH_LOOKUP, &load->db, &load->stmt,
                               reply) < 0
        || bench_lookup(load->db, load->stmt, next_id(load), reply) < 0)
        return reply->rc;
    if (load->order.system == BENCH_RANDOM)
        return advise_random(bench_source(config, BENCH_RANDOM), reply);
    return 0;
}

/* Nanoseconds; CLASSES of equal width between a power of two and the next. */
static unsigned class_of(uint64_t ns)
{
    unsigned power;

    if (ns < CLASSES)
        return (unsigned)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    if (power >= POWERS)
        return CLASSES * (POWERS - 5) - 1;
    return CLASSES * (power - 5) + (unsigned)(ns >> (power - 6)) % CLASSES;
}

/* The middle of a class. */
static double time_of(unsigned class)
{
    unsigned power = class / CLASSES;

    if (power == 0)
        return class;
    return ldexp(CLASSES + class % CLASSES + 0.5, (int)power - 1);
}

static double quantile(const uint32_t *times, uint64_t nr, double part)
{
    uint64_t seen = 0, want = (uint64_t)((double)nr * part);

    for (unsigned i = 0; i < CLASSES * (POWERS - 5); i++) {
        seen += times[i];
        if (seen > want)
            return time_of(i) * 1e-9;
    }
    return 0;
}

static int look_up_some(struct load *load, struct bench_reply *reply)
{
    double before = load->times ? hl_units_now() : 0;

    for (unsigned i = 0; i < LOOK_EVERY; i++) {
        if (bench_lookup(load->db, load->stmt, next_id(load), reply) < 0)
            return reply->rc;
        if (load->times) {
            double now = hl_units_now();

            load->times[class_of((uint64_t)((now - before) * 1e9))]++;
            before = now;
        }
    }
    return 0;
}

/* windows: lookups of each whole second, or NULL.  Returns how many there were, in reply->ops. */
static int look_up(struct load *load, double seconds, _Atomic uint32_t *windows,
                   struct bench_reply *reply)
{
    double start = hl_units_now(), now;

    reply->ops = 0;
    do {
        if (look_up_some(load, reply) < 0)
            return reply->rc;
        reply->ops += LOOK_EVERY;
        now = hl_units_now();
        if (windows && now < start + BENCH_MAX_SECONDS)
            atomic_fetch_add_explicit(&windows[(unsigned)(now - start)], LOOK_EVERY,
                                      memory_order_relaxed);
    } while (now < start + seconds);
    reply->seconds = now - start;
    return 0;
}

/* What the pool or the page cache did not have: pages that SQLite had to read through xRead, or
 * faults that waited for the disk. */
static uint64_t misses(struct load *load)
{
    struct rusage usage;
    int pages = 0, highest;

    if (bench_is_hugelite(load->order.system)) {
        sqlite3_db_status(load->db, SQLITE_DBSTATUS_CACHE_MISS, &pages, &highest, 0);
        return (uint64_t)pages;
    }
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_majflt;
}

static int run(struct load *load, struct bench_reply *reply)
{
    _Atomic uint32_t *windows = bench_windows_of(load->order.reader);
    double seconds = load->config->seconds;
    uint64_t before;

    if (look_up(load, seconds < WARM_SECONDS ? seconds : WARM_SECONDS, NULL, reply) < 0)
        return reply->rc;
    for (unsigned i = 0; i < BENCH_MAX_SECONDS; i++)
        atomic_store_explicit(&windows[i], 0, memory_order_relaxed);
    if (load->times)
        memset(load->times, 0, CLASSES * POWERS * sizeof *load->times);
    bench_barrier();
    before = misses(load);
    if (look_up(load, seconds, windows, reply) < 0)
        return reply->rc;
    reply->misses = misses(load) - before;
    return 0;
}

int bench_job_load(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct load load;

    return begin(&load, config, arg, reply) < 0 ? reply->rc : run(&load, reply);
}

/* The clock is looked at for each lookup. */
int bench_job_load_timed(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    static uint32_t times[CLASSES * POWERS];
    struct load load;

    if (begin(&load, config, arg, reply) < 0)
        return reply->rc;
    load.times = times;
    if (run(&load, reply) < 0)
        return reply->rc;
    reply->median[0] = quantile(times, reply->ops, 0.5);
    reply->p99[0] = quantile(times, reply->ops, 0.99);
    return 0;
}

/* ---- beside them ------------------------------------------------------------- */

/* One scan after the other, as long as the lookups last. */
int bench_job_scan_beside(const struct bench_config *config, uint64_t arg,
                          struct bench_reply *reply)
{
    sqlite3_stmt *stmt;
    sqlite3 *db;
    double end;
    int rc = SQLITE_ROW;

    if (bench_open_and_prepare(config, order_of(arg).system, BENCH_OPEN, &db, &stmt, reply) < 0)
        return reply->rc;
    sqlite3_finalize(stmt);
    if (sqlite3_prepare_v2(db, "SELECT length(v) FROM kv", -1, &stmt, NULL) != SQLITE_OK)
        return bench_fail(reply, EIO, "%s: %s", config->db, sqlite3_errmsg(db));
    bench_barrier();
    end = hl_units_now() + config->seconds;
    do {
        for (unsigned i = 0; i < SCAN_LOOK_EVERY && rc == SQLITE_ROW; i++)
            rc = sqlite3_step(stmt);
        reply->ops += SCAN_LOOK_EVERY;
        if (rc == SQLITE_DONE)
            rc = sqlite3_reset(stmt) == SQLITE_OK ? SQLITE_ROW : SQLITE_ERROR;
    } while (rc == SQLITE_ROW && hl_units_now() < end);
    if (rc != SQLITE_ROW)
        return bench_fail(reply, EIO, "scan: %s", sqlite3_errmsg(db));
    reply->seconds = config->seconds;
    return 0;
}

/* Stock SQLite as it comes has looked at one row, the others at every page. */
int bench_job_attend(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct order order = order_of(arg);
    enum bench_case which = order.system == BENCH_STOCK ? BENCH_OPEN : BENCH_COUNT;
    sqlite3_stmt *stmt;
    sqlite3 *db;

    if (bench_group_enter(config, reply) < 0
        || bench_open_and_prepare(config, order.system, which, &db, &stmt, reply) < 0
        || bench_run_statement(db, stmt, reply) < 0)
        return reply->rc;
    bench_barrier();
    return 0;
}
