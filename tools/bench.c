/* SPDX-License-Identifier: MIT
 *
 * bench.c - `hugelite bench`: N processes read one database through hugelite and
 * through stock SQLite as it is at its best, side by side in one run.
 *
 * Entry point: cmd_bench.
 * See also: bench.h (the plan), bench-system.c, bench-worker.c, bench-db.c,
 * bench-report.c, hugelite-bench.pod.
 */
#include <config.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "tools.h"

static const char help[] =
    "usage: hugelite bench [OPTION]...\n"
    "Read one database by several processes, through hugelite and through stock\n"
    "SQLite, side by side.\n"
    "\n"
    "      --size SIZE       make a database of this size (1G)\n"
    "      --dir DIR         keep that database in DIR and use it again\n"
    "      --db FILE         read this database instead; wants --sql\n"
    "      --sql SQL         the statement to measure in FILE\n"
    "      --processes LIST  how many readers at a time (1,2,4)\n"
    "      --systems LIST    of stock,mmap,copy,cache,pread,hugelite,zst,small,noheap,\n"
    "                        unpack,squashfs,remote,remotezst,download,random (those\n"
    "                        that belong to the cases)\n"
    "      --cases LIST      of lookup,transaction,scan,count,fresh,cold, and of\n"
    "                        coldscan,coldlookup,analytic,pack,remotelookup,\n"
    "                        remotescan,remotecold,remotetail,remotelist,zipf,uniform,\n"
    "                        beside,cores,readers; remote is those of that name, and\n"
    "                        pressure the last five (the first six)\n"
    "      --latency MS      of each response to a remote case (25)\n"
    "      --rate SIZE       of the link, bytes a second, where a remote case moves\n"
    "                        many; 0 is no limit (48M)\n"
    "      --seconds S       of one measurement (0.5)\n"
    "      --rounds N        over all systems (3)\n"
    "      --pool DIR        use this pool; by default HUGELITE_POOL, or a pool of its\n"
    "                        own that is removed again\n"
    "      --trace FILE      measure nothing: record which chunks a workload reads\n"
    "      --workload NAME   of the trace: zipf, shuffled, uniform, scan, range or\n"
    "                        volumes (zipf)\n"
    "      --no-huge-heap    SQLite's memory, and hugelite's buffers, on small pages\n"
    "      --json            every round, for programs\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version\n";

enum { OPT_SIZE = 256, OPT_DIR, OPT_DB, OPT_SQL, OPT_PROCESSES, OPT_SYSTEMS, OPT_CASES,
       OPT_SECONDS, OPT_ROUNDS, OPT_POOL, OPT_NO_HUGE_HEAP, OPT_JSON, OPT_LATENCY, OPT_RATE,
       OPT_TRACE, OPT_WORKLOAD };

static const struct option options[] = {
    { "size", required_argument, NULL, OPT_SIZE },
    { "dir", required_argument, NULL, OPT_DIR },
    { "db", required_argument, NULL, OPT_DB },
    { "sql", required_argument, NULL, OPT_SQL },
    { "processes", required_argument, NULL, OPT_PROCESSES },
    { "systems", required_argument, NULL, OPT_SYSTEMS },
    { "cases", required_argument, NULL, OPT_CASES },
    { "latency", required_argument, NULL, OPT_LATENCY },
    { "rate", required_argument, NULL, OPT_RATE },
    { "seconds", required_argument, NULL, OPT_SECONDS },
    { "rounds", required_argument, NULL, OPT_ROUNDS },
    { "pool", required_argument, NULL, OPT_POOL },
    { "no-huge-heap", no_argument, NULL, OPT_NO_HUGE_HEAP },
    { "json", no_argument, NULL, OPT_JSON },
    { "trace", required_argument, NULL, OPT_TRACE },
    { "workload", required_argument, NULL, OPT_WORKLOAD },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

/* ---- the command line --------------------------------------------------- */

static int parse_processes(struct bench_config *config, const char *text)
{
    config->nr_counts = config->max_count = 0;
    while (config->nr_counts < BENCH_MAX_COUNTS) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (end == text || *text < '0' || *text > '9' || n < 1 || n > BENCH_MAX_READERS
            || (*end && *end != ','))
            break;
        config->counts[config->nr_counts++] = (unsigned)n;
        if (n > config->max_count)
            config->max_count = (unsigned)n;
        if (!*end)
            return 0;
        text = end + 1;
    }
    return hl_tool_usage("bench", "--processes takes up to %d numbers from 1 to %d, as in 1,2,4",
                         BENCH_MAX_COUNTS, BENCH_MAX_READERS);
}

/* A list of names: a bit for each, in *ret_bits. */
static int parse_names(const char *option, const char *text, const char *const *names,
                       unsigned nr, unsigned *ret_bits)
{
    *ret_bits = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        unsigned i;

        for (i = 0; i < nr; i++)
            if (strlen(names[i]) == length && !strncmp(names[i], text, length))
                break;
        if (i == nr)
            return hl_tool_usage("bench", "%s: '%.*s' is none of those it takes", option,
                                 (int)length, text);
        *ret_bits |= 1u << i;
        if (!text[length])
            return 0;
        text += length + 1;
    }
}

static int parse_systems(struct bench_config *config, const char *text)
{
    const char *names[BENCH_NR_SYSTEMS];
    unsigned bits;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        names[s] = bench_systems[s].name;
    if (parse_names("--systems", text, names, BENCH_NR_SYSTEMS, &bits))
        return 2;
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        config->systems[s].wanted = bits >> s & 1;
    return 0;
}

static int parse(struct bench_config *config, int argc, char **argv)
{
    static const char *const groups[BENCH_NR_GROUPS + 2] = {
        [BENCH_G_LOOKUP] = "lookup", [BENCH_G_TRANSACTION] = "transaction",
        [BENCH_G_SCAN] = "scan", [BENCH_G_COUNT] = "count", [BENCH_G_FRESH] = "fresh",
        [BENCH_G_COLD] = "cold", [BENCH_G_COLD_SCAN] = "coldscan",
        [BENCH_G_COLD_LOOKUP] = "coldlookup", [BENCH_G_ANALYTIC] = "analytic",
        [BENCH_G_PACK] = "pack", [BENCH_G_REMOTE_LOOKUP] = "remotelookup",
        [BENCH_G_REMOTE_SCAN] = "remotescan", [BENCH_G_REMOTE_COLD] = "remotecold",
        [BENCH_G_REMOTE_TAIL] = "remotetail", [BENCH_G_REMOTE_LIST] = "remotelist",
        [BENCH_G_ZIPF] = "zipf", [BENCH_G_UNIFORM] = "uniform", [BENCH_G_BESIDE] = "beside",
        [BENCH_G_CORES] = "cores", [BENCH_G_READERS] = "readers",
        [BENCH_NR_GROUPS] = "remote", [BENCH_NR_GROUPS + 1] = "pressure",
    };
    bool sized = false, chosen = false, named = false, loaded = false;
    double value;
    char *end;
    int c;

    memcpy(config->systems, bench_systems, sizeof config->systems);
    config->size = 1u << 30;
    config->seconds = 0.5;
    config->latency = 0.025;
    config->rate = 48u << 20;
    config->rounds = 3;
    config->groups = BENCH_WARM_GROUPS | 1u << BENCH_G_FRESH | 1u << BENCH_G_COLD;
    parse_processes(config, "1,2,4");

    opterr = 0;
    optind = 1;
    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1)
        switch (c) {
        case OPT_SIZE:
            if (hugelite_parse_size(optarg, &config->size) < 0 || config->size < 1u << 20)
                return hl_tool_usage("bench", "--size '%s': not a size of 1M or more", optarg);
            sized = true;
            break;
        case OPT_DIR:
            config->dir_option = optarg;
            break;
        case OPT_DB:
            config->db_option = optarg;
            break;
        case OPT_SQL:
            config->sql = optarg;
            break;
        case OPT_PROCESSES:
            if (parse_processes(config, optarg))
                return 2;
            break;
        case OPT_SYSTEMS:
            if (parse_systems(config, optarg))
                return 2;
            named = true;
            break;
        case OPT_CASES:
            if (parse_names("--cases", optarg, groups, BENCH_NR_GROUPS + 2, &config->groups))
                return 2;
            if (config->groups >> BENCH_NR_GROUPS & 1)
                config->groups |= BENCH_REMOTE_GROUPS;
            if (config->groups >> (BENCH_NR_GROUPS + 1) & 1)
                config->groups |= BENCH_PRESSURE_GROUPS;
            config->groups &= (1u << BENCH_NR_GROUPS) - 1;
            chosen = true;
            break;
        case OPT_SECONDS:
            value = strtod(optarg, &end);
            if (end == optarg || *end || !(value > 0 && value <= 3600))
                return hl_tool_usage("bench", "--seconds '%s': not a time up to 3600", optarg);
            config->seconds = value;
            break;
        case OPT_LATENCY:
            value = strtod(optarg, &end);
            if (end == optarg || *end || !(value >= 0 && value <= 10000))
                return hl_tool_usage("bench", "--latency '%s': not milliseconds up to 10000",
                                     optarg);
            config->latency = value / 1000;
            break;
        case OPT_RATE:
            if (hugelite_parse_size(optarg, &config->rate) < 0
                || (config->rate && config->rate < 1u << 16))
                return hl_tool_usage("bench", "--rate '%s': not a size of 64K or more, nor 0",
                                     optarg);
            break;
        case OPT_ROUNDS:
            value = strtod(optarg, &end);
            if (end == optarg || *end || !(value >= 1 && value <= BENCH_MAX_ROUNDS)
                || value != (unsigned)value)
                return hl_tool_usage("bench", "--rounds '%s': not a number from 1 to %d", optarg,
                                     BENCH_MAX_ROUNDS);
            config->rounds = (unsigned)value;
            break;
        case OPT_POOL:
            config->pool_option = optarg;
            break;
        case OPT_NO_HUGE_HEAP:
            config->no_huge_heap = true;
            break;
        case OPT_TRACE:
            config->trace = optarg;
            break;
        case OPT_WORKLOAD:
            config->workload = bench_trace_workload(optarg);
            if (config->workload < 0)
                return hl_tool_usage("bench", "--workload '%s': not one of those there are",
                                     optarg);
            loaded = true;
            break;
        case OPT_JSON:
            config->json = true;
            break;
        case 'h':
            hl_tool_help(help);
            return -1;
        case 'V':
            hl_tool_version();
            return -1;
        default:
            return hl_tool_bad_option("bench", argv, c);
        }
    if (optind < argc)
        return hl_tool_usage("bench", "unexpected argument '%s'", argv[optind]);
    if (!config->db_option != !config->sql)
        return hl_tool_usage("bench", "--db and --sql go together");
    if (config->db_option && (sized || config->dir_option))
        return hl_tool_usage("bench", "--db is a database there is; --size and --dir make one");
    if (config->db_option && chosen)
        return hl_tool_usage("bench", "--cases is for the database made here, --sql for yours");
    if (loaded && !config->trace)
        return hl_tool_usage("bench", "--workload is what --trace records");
    if (config->trace && (chosen || named || config->db_option || config->json))
        return hl_tool_usage("bench", "--trace measures nothing and reads the database made here");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && !named; s++)
        config->systems[s].wanted = config->systems[s].by_default & config->groups;
    /* A packed copy of the user's database is made, and scanned cold, when it is asked for. */
    if (config->db_option && (config->systems[BENCH_ZST].wanted
                              || config->systems[BENCH_UNPACK].wanted
                              || config->systems[BENCH_SQUASHFS].wanted))
        config->groups |= 1u << BENCH_G_COLD_SCAN;
    if (config->db_option && (config->systems[BENCH_REMOTE].wanted
                              || config->systems[BENCH_REMOTE_ZST].wanted
                              || config->systems[BENCH_DOWNLOAD].wanted))
        config->groups |= 1u << BENCH_G_REMOTE_SCAN | 1u << BENCH_G_REMOTE_COLD;
    return 0;
}

/* ---- the plan ----------------------------------------------------------- */

struct plan {
    struct bench_config *config;
    struct bench_results *results;
    struct bench_child workers[BENCH_NR_SYSTEMS][BENCH_MAX_READERS];
    struct bench_reply replies[BENCH_MAX_READERS];
};

/* Warm cases are measured on workers, and fresh processes beside them. */
static bool has_worker(const struct bench_config *config, unsigned system, unsigned readers)
{
    for (unsigned g = 0; g < BENCH_NR_GROUPS; g++)
        if ((BENCH_WARM_GROUPS | 1u << BENCH_G_FRESH) & config->groups & 1u << g
            && bench_takes_part(config, system, g, readers))
            return true;
    return false;
}

/* A system that cannot run is left out with its reason; of hugelite itself that
 * is a failure, which the caller tells by systems[].skipped. */
static int start_workers(struct plan *plan)
{
    struct bench_config *config = plan->config;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        for (unsigned i = 0; i < config->max_count && has_worker(config, s, i + 1); i++) {
            struct bench_reply *reply = &plan->replies[0];
            int rc;

            bench_progress("warming %s, reader %u", config->systems[s].label, i + 1);
            rc = bench_worker_start(config, s, i, &plan->workers[s][i], reply);
            if (rc == -EINTR)
                return rc;
            if (rc == -EINVAL) {                 /* the user's statement, with any system */
                hl_tool_error("bench", "%s", reply->message);
                return rc;
            }
            if (rc < 0) {
                snprintf(config->systems[s].why, sizeof config->systems[s].why, "%.300s",
                         reply->message);
                config->systems[s].skipped = true;
            } else if (s == BENCH_MMAP) {
                config->mmap_bytes = reply->mapped_bytes;
            }
        }
    return 0;
}

static int measure_warm(struct plan *plan, enum bench_case which, unsigned n)
{
    struct bench_config *config = plan->config;
    unsigned readers = config->counts[n];

    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
            double sum = 0;
            int rc;

            if (!bench_takes_part(config, s, bench_case_group(which), readers))
                continue;
            bench_progress("%s, %u reader%s, round %u of %u, %s", bench_case_name(which), readers,
                           readers == 1 ? "" : "s", round + 1, config->rounds,
                           config->systems[s].label);
            rc = bench_workers_measure(plan->workers[s], readers, which, plan->replies);
            if (rc < 0)
                return rc;
            for (unsigned i = 0; i < readers; i++)
                sum += bench_case_is_rate(which)
                       ? (double)plan->replies[i].ops / plan->replies[i].seconds
                       : plan->replies[i].seconds / readers;
            bench_add(&plan->results->series[which][n][s], sum);
        }
    return 0;
}

/* Fresh processes: the workers keep the volume, its chunks and the page cache
 * warm and mapped beside them, so what one gains is what a further reader costs. */
static int measure_fresh(struct plan *plan, enum bench_case which)
{
    struct bench_config *config = plan->config;
    struct bench_results *results = plan->results;

    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
            /* an open is so short that one alone says little */
            unsigned tries = which == BENCH_OPEN ? 7 : 1;
            struct bench_series seconds = { .nr = 0 };

            if (!bench_takes_part(config, s, bench_case_group(which), 1))
                continue;
            bench_progress("%s, round %u of %u, %s", bench_case_name(which), round + 1,
                           config->rounds, config->systems[s].label);
            for (unsigned i = 0; i < tries; i++) {
                int rc = bench_fresh_measure(config, s, 1, which, plan->replies);

                if (rc < 0)
                    return rc;
                bench_add(&seconds, plan->replies[0].seconds);
            }
            bench_add(&results->series[which][0][s], bench_median(&seconds));
            if (s == BENCH_HUGELITE)
                bench_add(&results->heap_bytes[which], (double)plan->replies[0].heap_bytes);
            if (which == BENCH_FRESH_SCAN || which == BENCH_FRESH_SQL) {
                bench_add(&results->page_tables[s], (double)plan->replies[0].page_tables);
                bench_add(&results->private_bytes[s], (double)plan->replies[0].private_bytes);
            }
        }
    return 0;
}

/* N processes start together on an empty cache.  The promise: whatever N is, the
 * source is read once. */
static int measure_cold(struct plan *plan, enum bench_system_id system, unsigned n)
{
    struct bench_config *config = plan->config;
    struct bench_cold_readers *cold = &plan->results->cold[system][n];
    struct bench_reply before, after;
    unsigned readers = config->counts[n];
    enum bench_case which = config->sql ? BENCH_FRESH_SQL : BENCH_FRESH_SCAN;
    struct bench_series seconds = { .nr = 0 };
    int rc;

    bench_progress("cold cache, %u readers, %s", readers, config->systems[system].label);
    rc = bench_is_remote(system) ? bench_remote_make_cold(config, false, &before)
                                 : bench_run_job(config, bench_job_pool_evict, system, &before);
    if (rc < 0) {
        plan->replies[0] = before;
        return rc;
    }
    bench_remote_link(config, BENCH_L_LIMITED);
    rc = bench_fresh_measure(config, system, readers, which, plan->replies);
    bench_remote_link(config, BENCH_L_FREE);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < readers; i++)
        bench_add(&seconds, plan->replies[i].open_seconds + plan->replies[i].seconds);
    rc = bench_run_job(config, bench_job_pool_stat, system, &after);
    if (rc < 0) {
        plan->replies[0] = after;
        return rc;
    }
    cold->done = true;
    cold->readers = readers;
    cold->seconds = bench_best(&seconds, true);
    cold->fastest = bench_best(&seconds, false);
    cold->source_bytes = after.source_bytes - before.source_bytes;
    cold->fills = after.fills - before.fills;
    cold->frames_decoded = after.frames_decoded - before.frames_decoded;
    return 0;
}

static int run_remote(struct plan *plan)
{
    struct bench_config *config = plan->config;
    struct bench_remote *remote = &plan->results->remote;
    struct bench_reply *reply = &plan->replies[0];
    int rc = 0;

    if (config->groups >> BENCH_G_REMOTE_LOOKUP & 1)
        rc = bench_remote_lookups(config, remote, reply);
    if (rc == 0 && config->groups >> BENCH_G_REMOTE_SCAN & 1)
        rc = bench_remote_scans(config, remote, reply);
    if (rc == 0 && config->groups >> BENCH_G_REMOTE_TAIL & 1)
        rc = bench_remote_tails(config, remote, reply);
    if (rc == 0 && config->groups >> BENCH_G_REMOTE_LIST & 1)
        rc = bench_remote_lists(config, remote, reply);
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        for (unsigned n = 0; n < config->nr_counts && rc == 0; n++)
            if (config->groups >> BENCH_G_REMOTE_COLD & 1
                && bench_takes_part(config, s, BENCH_G_REMOTE_COLD, 1))
                rc = measure_cold(plan, s, n);
    return rc;
}

/* What begins with an empty cache: by then the workers have left. */
static int run_cold(struct plan *plan)
{
    struct bench_config *config = plan->config;
    struct bench_reply *reply = &plan->replies[0];
    int rc = 0;

    if (config->groups & (1u << BENCH_G_COLD_SCAN | 1u << BENCH_G_COLD_LOOKUP
                          | BENCH_REMOTE_GROUPS | BENCH_PRESSURE_GROUPS))
        bench_children_kill();
    if (config->groups >> BENCH_G_COLD_SCAN & 1)
        rc = bench_cold_scans(config, plan->results, reply);
    if (rc == 0 && config->groups >> BENCH_G_COLD_LOOKUP & 1)
        rc = bench_cold_lookups(config, plan->results, reply);
    if (rc == 0 && config->groups >> BENCH_G_PACK & 1
        && bench_takes_part(config, BENCH_ZST, BENCH_G_PACK, 1))
        rc = bench_packs(config, plan->results, reply);
    if (rc == 0 && config->groups & BENCH_REMOTE_GROUPS)
        rc = run_remote(plan);
    if (rc == 0 && config->groups & BENCH_PRESSURE_GROUPS)
        rc = bench_pressure(config, &plan->results->pressure, reply);
    return rc;
}

static int run(struct plan *plan)
{
    static const enum bench_case own[] = { BENCH_LOOKUP, BENCH_LOOKUP_TXN, BENCH_SCAN, BENCH_COUNT,
                                           BENCH_OPEN, BENCH_FRESH_SCAN, BENCH_FRESH_COUNT,
                                           BENCH_SORT, BENCH_GROUP, BENCH_JOIN };
    static const enum bench_case user[] = { BENCH_SQL, BENCH_OPEN, BENCH_FRESH_SQL };
    struct bench_config *config = plan->config;
    const enum bench_case *list = config->sql ? user : own;
    unsigned nr = config->sql ? sizeof user / sizeof *user : sizeof own / sizeof *own;
    struct bench_reply *reply = &plan->replies[0];
    int rc = start_workers(plan);

    for (unsigned i = 0; i < nr && rc == 0; i++) {
        if (!(config->groups >> bench_case_group(list[i]) & 1))
            continue;
        if (bench_case_is_fresh(list[i]))
            rc = measure_fresh(plan, list[i]);
        else
            for (unsigned n = 0; n < config->nr_counts && rc == 0; n++)
                rc = measure_warm(plan, list[i], n);
    }
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && config->groups >> BENCH_G_COLD & 1; s++)
        for (unsigned n = 0; n < config->nr_counts && rc == 0; n++)
            if (bench_is_hugelite(s) && bench_takes_part(config, s, BENCH_G_COLD, 1))
                rc = measure_cold(plan, s, n);
    if (rc == 0)
        rc = run_cold(plan);
    if (rc == 0)
        rc = bench_run_job(config, bench_job_look_at_page_cache, 0, reply);
    if (rc == 0 && reply->resident_bytes < config->db_bytes - config->db_bytes / 200)
        config->left_cache = config->db_bytes - reply->resident_bytes;
    return rc;
}

static int measure(struct plan *plan)
{
    struct bench_config *config = plan->config;
    int rc = bench_systems_prepare(config);

    if (rc < 0)
        return rc;
    rc = run(plan);
    if (rc < 0 && rc != -EINTR && rc != -EINVAL)
        hl_tool_error("bench", "%s", plan->replies[0].message);
    if (rc == 0 && config->json)
        bench_report_json(config, plan->results);
    else if (rc == 0)
        bench_report_table(config, plan->results);
    return rc;
}

int cmd_bench(int argc, char **argv)
{
    struct bench_config *config = calloc(1, sizeof *config);
    struct plan *plan = calloc(1, sizeof *plan);
    int rc, signo;

    if (!config || !plan || !(plan->results = calloc(1, sizeof *plan->results)))
        return hl_tool_error("bench", "no memory");
    plan->config = config;
    rc = parse(config, argc, argv);
    if (rc)
        goto out;
    rc = bench_processes_init();
    if (rc < 0) {
        rc = hl_tool_error("bench", "%s", strerror(-rc));
        goto out;
    }

    rc = bench_db_prepare(config);           /* these two say themselves what failed */
    if (rc == 0)
        rc = config->trace ? bench_trace(config) : measure(plan);
    if (rc < 0)
        bench_progress("%s", "");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && rc == 0; s++)
        if ((s == BENCH_HUGELITE || s == BENCH_ZST || bench_is_remote(s))
            && config->systems[s].wanted && config->systems[s].skipped) {
            hl_tool_error("bench", "%s was left out: %s", config->systems[s].label,
                          config->systems[s].why);
            rc = -ENODATA;
        }
    bench_cleanup(config);

    signo = bench_interrupted();
    if (signo) {
        sigset_t all;

        /* end as the signal would have ended us, for the shell to see */
        signal(signo, SIG_DFL);
        raise(signo);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
    }
    rc = rc < 0;
out:
    free(plan->results);
    free(plan);
    free(config);
    return rc == -1 ? 0 : rc;
}
