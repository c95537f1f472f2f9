/* SPDX-License-Identifier: MIT
 *
 * bench-report-pressure.c - what `hugelite bench` says of the cases under pressure.
 *
 * Entry points: bench_report_pressure_table, bench_report_pressure_json.
 * See also: bench-pressure.c (who measures), bench-report.c (the other cases).
 */
#include <config.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

#define LABEL_WIDTH 38

static const struct {
    const char *name;                /* in --json */
    const char *label;               /* in the table */
} besides[BENCH_NR_BESIDES] = {
    [BENCH_BY_NOTHING] = { "nothing", "nothing" },
    [BENCH_BY_STOCK] = { "stock", "a scan by stock SQLite" },
    [BENCH_BY_HUGELITE] = { "hugelite", "a scan by hugelite" },
};

static bool any_load(const struct bench_load loads[BENCH_NR_SYSTEMS])
{
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (loads[s].rate.nr)
            return true;
    return false;
}

/* What a crowd may take: the cached data, and as many processes of stock SQLite. */
static double allowance(const struct bench_pressure *p, enum bench_system_id system,
                        unsigned round)
{
    const struct bench_crowd *idle = &p->crowd[BENCH_STOCK];
    const struct bench_series *cached = &p->crowd[system].cached;

    if (round >= idle->memory.nr || round >= cached->nr)
        return 0;
    return cached->round[round] + idle->memory.round[round];
}

static double crowd_ratio(const struct bench_pressure *p, enum bench_system_id system)
{
    const struct bench_crowd *crowd = &p->crowd[system];
    struct bench_series ratio = { .nr = 0 };

    for (unsigned i = 0; i < crowd->pool.nr; i++)
        if (allowance(p, system, i) > 0)
            bench_add(&ratio, (crowd->memory.round[i] + crowd->pool.round[i])
                              / allowance(p, system, i));
    return ratio.nr ? bench_median(&ratio) : 0;
}

/* ---- the table ------------------------------------------------------------------ */

static void print_figure(const struct bench_series *series, const char *format)
{
    if (series->nr)
        printf(format, bench_median(series));
    else
        printf(" %9s", "-");
}

static void print_load(const struct bench_config *config,
                       const struct bench_load loads[BENCH_NR_SYSTEMS], const char *title,
                       unsigned readers)
{
    char text[64];

    snprintf(text, sizeof text, "%s, %u reader%s", title, readers, readers == 1 ? "" : "s");
    printf("%-*s %11s %9s %7s %9s %9s %9s\n", LABEL_WIDTH, text, "lookups/s", "best", "ratio",
           "worst 1 s", "reads", "evicted");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_load *l = &loads[s];
        double ratio = s == BENCH_SMALL
                       ? 0 : bench_ratio(&l->rate, &loads[BENCH_SMALL].rate, true);

        if (l->rate.nr == 0)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        bench_format_value(text, sizeof text, bench_median(&l->rate), true);
        printf(" %11s", text);
        bench_format_value(text, sizeof text, bench_best(&l->rate, true), true);
        printf(" %9s", text);
        if (ratio > 0)
            printf(" %6.2fx", ratio);
        else
            printf(" %7s", "");
        print_figure(&l->worst, " %9.2f");
        print_figure(&l->reads, " %9.3f");
        if (l->evictions.nr)
            printf(" %9.0f", bench_median(&l->evictions));
        putchar('\n');
    }
    putchar('\n');
}

static void print_beside(const struct bench_pressure *p)
{
    const struct bench_beside_load *b = p->beside;
    char text[32];

    if (b[BENCH_BY_NOTHING].rate.nr == 0)
        return;
    printf("%-*s %9s %9s %11s %9s %11s\n", LABEL_WIDTH, "lookups by Zipf, 1 reader, beside",
           "median", "p99", "lookups/s", "reads", "rows/s");
    for (unsigned by = 0; by < BENCH_NR_BESIDES; by++) {
        printf("  %-*s", LABEL_WIDTH - 2, besides[by].label);
        bench_format_value(text, sizeof text, bench_median(&b[by].median), false);
        printf(" %9s", text);
        bench_format_value(text, sizeof text, bench_median(&b[by].p99), false);
        printf(" %9s", text);
        bench_format_value(text, sizeof text, bench_median(&b[by].rate), true);
        printf(" %11s", text);
        print_figure(&b[by].reads, " %9.3f");
        if (b[by].scanned.nr) {
            bench_format_value(text, sizeof text, bench_median(&b[by].scanned), true);
            printf(" %11s", text);
        }
        putchar('\n');
    }
    printf("  the scan by hugelite: median lookup %.2f of that beside stock's scan, %.2f of that"
           " beside nothing\n\n",
           bench_median_ratio(&b[BENCH_BY_HUGELITE].median, &b[BENCH_BY_STOCK].median),
           bench_median_ratio(&b[BENCH_BY_HUGELITE].median, &b[BENCH_BY_NOTHING].median));
}

static void print_cores(const struct bench_config *config, const struct bench_pressure *p)
{
    bool titled = false;
    char text[32];

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        if (p->one[s].nr == 0)
            continue;
        if (!titled)
            printf("%-*s %11s %11s %7s\n", LABEL_WIDTH, "warm lookups/s", "1 process",
                   "all cores", "ratio");
        titled = true;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        bench_format_value(text, sizeof text, bench_median(&p->one[s]), true);
        printf(" %11s", text);
        bench_format_value(text, sizeof text, bench_median(&p->all[s]), true);
        printf(" %11s %6.2fx\n", text, bench_median_ratio(&p->all[s], &p->one[s]));
    }
    if (titled)
        putchar('\n');
}

static void print_crowd(const struct bench_config *config, const struct bench_pressure *p)
{
    char text[HL_UNITS_ROOM], title[64];
    bool titled = false;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_crowd *c = &p->crowd[s];
        double memory = bench_median(&c->memory);

        if (c->memory.nr == 0)
            continue;
        snprintf(title, sizeof title, "memory of %u processes", BENCH_MAX_TOGETHER);
        if (!titled)
            printf("%-*s %11s %11s %11s %7s\n", LABEL_WIDTH, title, "together", "each",
                   "the pool", "ratio");
        titled = true;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        printf(" %11s", hl_units_short(text, (uint64_t)memory));
        printf(" %11s", hl_units_short(text, (uint64_t)(memory / BENCH_MAX_TOGETHER)));
        if (c->pool.nr)
            printf(" %11s %6.3fx", hl_units_short(text, (uint64_t)bench_median(&c->pool)),
                   crowd_ratio(p, s));
        putchar('\n');
    }
    if (titled)
        printf("  the ratio is to the data in the pool and the processes of \"%s\"\n\n",
               config->systems[BENCH_STOCK].label);
}

void bench_report_pressure_table(const struct bench_config *config,
                                 const struct bench_results *results)
{
    const struct bench_pressure *p = &results->pressure;
    char limit[HL_UNITS_ROOM], beside[HL_UNITS_ROOM];

    for (unsigned n = 0; n < config->nr_counts; n++)
        if (any_load(p->zipf[n]))
            print_load(config, p->zipf[n], "Zipf, memory of a quarter", config->counts[n]);
    if (any_load(p->zipf[0]))
        printf("Each system had %s for all of its processes and what they read of the file, from a"
               " page cache without it.\nOf hugelite's that is the pool with its tables, and %s for"
               " the rest.\n\n", hl_units_short(limit, p->limit),
               hl_units_short(beside, p->limit_beside_pool));
    for (unsigned n = 0; n < config->nr_counts; n++)
        if (any_load(p->uniform[n]))
            print_load(config, p->uniform[n], "uniform, in the page cache", config->counts[n]);
    print_beside(p);
    print_cores(config, p);
    print_crowd(config, p);
    if (config->group_why[0])
        printf("note: zipf and readers left out: %s\n", config->group_why);
}

/* ---- JSON ----------------------------------------------------------------------- */

static void json_load(struct hl_json *json, const struct bench_config *config, const char *name,
                      const struct bench_load loads[BENCH_NR_SYSTEMS], unsigned readers)
{
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_load *l = &loads[s];

        if (l->rate.nr == 0)
            continue;
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "case", name);
        hl_json_number(json, "readers", readers);
        hl_json_string(json, "system", config->systems[s].name);
        hl_json_real(json, "median", bench_median(&l->rate));
        if (s != BENCH_SMALL && loads[BENCH_SMALL].rate.nr)
            hl_json_real(json, "ratio", bench_ratio(&l->rate, &loads[BENCH_SMALL].rate, true));
        bench_json_series(json, "rounds", &l->rate);
        bench_json_series(json, "worst_second_rounds", &l->worst);
        bench_json_series(json, "reads_rounds", &l->reads);
        if (l->evictions.nr)
            bench_json_series(json, "evictions", &l->evictions);
        hl_json_close(json, '}');
    }
}

static void json_beside(struct hl_json *json, const struct bench_pressure *p)
{
    for (unsigned by = 0; by < BENCH_NR_BESIDES; by++) {
        const struct bench_beside_load *b = &p->beside[by];

        if (b->rate.nr == 0)
            continue;
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "case", "beside");
        hl_json_string(json, "scan", besides[by].name);
        bench_json_series(json, "median_rounds", &b->median);
        bench_json_series(json, "p99_rounds", &b->p99);
        bench_json_series(json, "rounds", &b->rate);
        bench_json_series(json, "reads_rounds", &b->reads);
        bench_json_series(json, "scanned_rows_rounds", &b->scanned);
        hl_json_close(json, '}');
    }
}

static void json_system(struct hl_json *json, const struct bench_config *config,
                        const struct bench_pressure *p, unsigned s)
{
    const struct bench_crowd *c = &p->crowd[s];

    if (p->one[s].nr) {
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "case", "cores");
        hl_json_string(json, "system", config->systems[s].name);
        hl_json_real(json, "ratio", bench_median_ratio(&p->all[s], &p->one[s]));
        bench_json_series(json, "one_rounds", &p->one[s]);
        bench_json_series(json, "all_rounds", &p->all[s]);
        hl_json_close(json, '}');
    }
    if (c->memory.nr) {
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "case", "readers");
        hl_json_number(json, "readers", BENCH_MAX_TOGETHER);
        hl_json_string(json, "system", config->systems[s].name);
        bench_json_series(json, "bytes_rounds", &c->memory);
        if (c->pool.nr) {
            bench_json_series(json, "pool_bytes_rounds", &c->pool);
            bench_json_series(json, "cached_bytes_rounds", &c->cached);
            hl_json_real(json, "ratio", crowd_ratio(p, s));
        }
        hl_json_close(json, '}');
    }
}

void bench_report_pressure_json(struct hl_json *json, const struct bench_config *config,
                                const struct bench_results *results)
{
    const struct bench_pressure *p = &results->pressure;

    if (!(config->groups & BENCH_PRESSURE_GROUPS))
        return;
    hl_json_open(json, "pressure", '{');
    hl_json_string(json, "note", config->group_why[0] ? config->group_why : NULL);
    hl_json_number(json, "limit_bytes", p->limit);
    hl_json_number(json, "limit_beside_pool_bytes", p->limit_beside_pool);
    hl_json_open(json, "results", '[');
    for (unsigned n = 0; n < config->nr_counts; n++) {
        json_load(json, config, "zipf", p->zipf[n], config->counts[n]);
        json_load(json, config, "uniform", p->uniform[n], config->counts[n]);
    }
    json_beside(json, p);
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        json_system(json, config, p, s);
    hl_json_close(json, ']');
    hl_json_close(json, '}');
}
