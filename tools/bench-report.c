/* SPDX-License-Identifier: MIT
 *
 * bench-report.c - what `hugelite bench` says: medians and ratios as a table for
 * people, every round as JSON for programs.
 *
 * Entry points: bench_report_table, bench_report_json, bench_progress.
 * See also: bench.c (who fills the results).
 */
#include <config.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

static const struct {
    const char *name;              /* in --json */
    const char *title;             /* in the table */
    bool is_rate, is_fresh;
    enum bench_group group;
} cases[BENCH_NR_CASES] = {
    [BENCH_LOOKUP] = { "lookup_autocommit", "point lookups/s, a transaction each",
                       true, false, BENCH_G_LOOKUP },
    [BENCH_LOOKUP_TXN] = { "lookup_transaction", "point lookups/s, in one transaction",
                           true, false, BENCH_G_TRANSACTION },
    [BENCH_SCAN] = { "scan", "full scan, sum(length(v))", false, false, BENCH_G_SCAN },
    [BENCH_COUNT] = { "count", "count(*)", false, false, BENCH_G_COUNT },
    [BENCH_SQL] = { "sql", "your statement", false, false, BENCH_G_SCAN },
    [BENCH_OPEN] = { "open", "fresh process: open to first row", false, true, BENCH_G_FRESH },
    [BENCH_FRESH_SCAN] = { "fresh_scan", "fresh process: its first full scan",
                           false, true, BENCH_G_FRESH },
    [BENCH_FRESH_COUNT] = { "fresh_count", "fresh process: its first count(*)",
                           false, true, BENCH_G_FRESH },
    [BENCH_FRESH_SQL] = { "fresh_sql", "fresh process: your statement",
                           false, true, BENCH_G_FRESH },
    [BENCH_SORT] = { "sort", "fresh process: sort of a million rows",
                     false, true, BENCH_G_ANALYTIC },
    [BENCH_GROUP] = { "group", "fresh process: GROUP BY", false, true, BENCH_G_ANALYTIC },
    [BENCH_JOIN] = { "join", "fresh process: join", false, true, BENCH_G_ANALYTIC },
};

const char *bench_case_name(enum bench_case which)
{
    return cases[which].name;
}

bool bench_case_is_rate(enum bench_case which)
{
    return cases[which].is_rate;
}

bool bench_case_is_fresh(enum bench_case which)
{
    return cases[which].is_fresh;
}

enum bench_group bench_case_group(enum bench_case which)
{
    return cases[which].group;
}

void bench_progress(const char *format, ...)
{
    static int terminal = -1;
    va_list args;

    if (terminal < 0)
        terminal = isatty(STDERR_FILENO);
    if (!terminal)
        return;
    fputs("\r\033[K", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
}

/* ---- figures ------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(const double *values, unsigned nr)
{
    double sorted[BENCH_MAX_ROUNDS];

    if (nr == 0)
        return 0;
    memcpy(sorted, values, nr * sizeof *values);
    qsort(sorted, nr, sizeof *sorted, compare);
    return nr % 2 ? sorted[nr / 2] : (sorted[nr / 2 - 1] + sorted[nr / 2]) / 2;
}

void bench_add(struct bench_series *series, double value)
{
    if (series->nr < BENCH_MAX_ROUNDS)
        series->round[series->nr++] = value;
}

double bench_median(const struct bench_series *series)
{
    return median_of(series->round, series->nr);
}

double bench_best(const struct bench_series *series, bool highest)
{
    double best = series->nr ? series->round[0] : 0;

    for (unsigned i = 1; i < series->nr; i++)
        if (highest ? series->round[i] > best : series->round[i] < best)
            best = series->round[i];
    return best;
}

double bench_ratio(const struct bench_series *system, const struct bench_series *hugelite,
                   bool is_rate)
{
    double ratios[BENCH_MAX_ROUNDS];
    unsigned nr = system->nr < hugelite->nr ? system->nr : hugelite->nr, used = 0;

    for (unsigned i = 0; i < nr; i++)
        if (system->round[i] > 0 && hugelite->round[i] > 0)
            ratios[used++] = is_rate ? hugelite->round[i] / system->round[i]
                                     : system->round[i] / hugelite->round[i];
    return median_of(ratios, used);
}

static void cpu_name(char *out, size_t room)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];

    snprintf(out, room, "unknown CPU");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');

        if (!strncmp(line, "model name", 10) && colon) {
            colon[1 + strcspn(colon + 1, "\n")] = '\0';
            snprintf(out, room, "%s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    fclose(f);
}

/* ---- the table ---------------------------------------------------------- */

#define LABEL_WIDTH 38

void bench_format_value(char *out, size_t room, double value, bool is_rate)
{
    if (is_rate)
        snprintf(out, room, value < 99950 ? "%.1f k" : "%.0f k", value / 1e3);
    else if (value < 1e-3)
        snprintf(out, room, value < 1e-5 ? "%.2f us" : "%.0f us", value * 1e6);
    else if (value < 1)
        snprintf(out, room, value < 0.1 ? "%.2f ms" : "%.1f ms", value * 1e3);
    else
        snprintf(out, room, "%.3f s", value);
}

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

static void say_head(const struct bench_config *config)
{
    char bytes[HL_UNITS_ROOM], cpu[256];
    struct utsname u;

    uname(&u);
    cpu_name(cpu, sizeof cpu);
    printf("%s: %s", config->db, hl_units_bytes(bytes, config->db_bytes));
    if (config->rows)
        printf(", %" PRIu64 " rows", config->rows);
    printf("\n%ld x %s, Linux %s, SQLite %s, hugelite %s", sysconf(_SC_NPROCESSORS_ONLN), cpu,
           u.release, sqlite3_libversion(), hugelite_version());
    if (config->pages[0])
        printf(", pool on %s pages of %s", config->pages,
               hl_units_short(bytes, config->page_bytes));
    printf("\nWarm: the file is in the page cache, the pool is full.  Medians of %u rounds that"
           " alternate between the systems.\n"
           "\"ratio\": hugelite's speed in times that of the line, the median of the rounds'"
           " ratios; above 1 hugelite is faster.\n\n", config->rounds);
}

static bool measured(const struct bench_results *r, enum bench_case c, const unsigned nr_counts)
{
    for (unsigned n = 0; n < nr_counts; n++)
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
            if (r->series[c][n][s].nr)
                return true;
    return false;
}

static void print_case(const struct bench_config *config, const struct bench_results *r,
                       enum bench_case c)
{
    unsigned columns = cases[c].is_fresh ? 1 : config->nr_counts;
    char text[64], bytes[HL_UNITS_ROOM];

    printf("%-*s", LABEL_WIDTH, cases[c].title);
    for (unsigned n = 0; n < columns; n++) {
        snprintf(text, sizeof text, "%u reader%s", config->counts[n], plural(config->counts[n]));
        printf(" %11s %9s %7s", cases[c].is_fresh ? "median" : text, "best", "ratio");
    }
    putchar('\n');
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        bool any = false;

        for (unsigned n = 0; n < columns; n++)
            any = any || r->series[c][n][s].nr > 0;
        if (!any)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        for (unsigned n = 0; n < columns; n++) {
            const struct bench_series *series = &r->series[c][n][s];
            double ratio = bench_ratio(series, &r->series[c][n][BENCH_HUGELITE], cases[c].is_rate);
            bool last = n + 1 == columns;

            if (series->nr == 0) {
                printf(last ? " %11s" : " %11s %9s %7s", "-", "", "");
                continue;
            }
            bench_format_value(text, sizeof text, bench_median(series), cases[c].is_rate);
            printf(" %11s", text);
            bench_format_value(text, sizeof text, bench_best(series, cases[c].is_rate),
                         cases[c].is_rate);
            printf(" %9s", text);
            if (s != BENCH_HUGELITE && ratio > 0)
                printf(" %6.2fx", ratio);
            else if (!last)
                printf(" %7s", "");
        }
        putchar('\n');
    }
    if (bench_median(&r->heap_bytes[c]) > 0)
        printf("  (hugelite's heap took %s of huge pages)\n",
               hl_units_short(bytes, (uint64_t)bench_median(&r->heap_bytes[c])));
    putchar('\n');
}

static void memory_block(const struct bench_config *config, const struct bench_results *r)
{
    struct hl_table *table;
    char text[64], bytes[HL_UNITS_ROOM];
    bool any = false;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        any = any || r->page_tables[s].nr;
    if (!any || !(table = hl_table_new(3, "lrr")))
        return;
    hl_table_cell(table, config->sql ? "a further reader, after your statement"
                                     : "a further reader, after a full scan");
    hl_table_cell(table, "page tables");
    hl_table_cell(table, "private memory");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        if (r->page_tables[s].nr == 0)
            continue;
        snprintf(text, sizeof text, "  %s", config->systems[s].label);
        hl_table_cell(table, text);
        hl_table_cell(table, hl_units_cell(bytes, (uint64_t)bench_median(&r->page_tables[s])));
        hl_table_cell(table, hl_units_cell(bytes, (uint64_t)bench_median(&r->private_bytes[s])));
    }
    hl_table_print(table, stdout);
    hl_table_free(table);
    putchar('\n');
}

static void say_cold_readers(const struct bench_config *config, const struct bench_results *r)
{
    char bytes[HL_UNITS_ROOM], slowest[64], fastest[64];
    bool any = false;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        for (unsigned n = 0; n < config->nr_counts; n++) {
            const struct bench_cold_readers *c = &r->cold[s][n];
            if (!c->done)
                continue;
            any = true;
            bench_format_value(slowest, sizeof slowest, c->seconds, false);
            bench_format_value(fastest, sizeof fastest, c->fastest, false);
            printf("%s, %u reader%s at once, cold cache: %s", config->systems[s].label, c->readers,
                   plural(c->readers), slowest);
            if (c->readers > 1)
                printf(", the fastest %s", fastest);
            printf("; read %s of the source, %.3f of its size, in %" PRIu64 " fills",
                   hl_units_bytes(bytes, c->source_bytes),
                   (double)c->source_bytes / (double)bench_source_bytes(config, s),
                   c->fills);
            if (s == BENCH_ZST || s == BENCH_REMOTE_ZST)
                printf("; decoded %" PRIu64 " frames, there are %" PRIu64, c->frames_decoded,
                       config->packing.frames);
            putchar('\n');
        }
    if (any)
        putchar('\n');
}

void bench_report_table(const struct bench_config *config, const struct bench_results *r)
{
    char bytes[HL_UNITS_ROOM];

    bench_progress("%s", "");
    say_head(config);
    for (enum bench_case c = 0; c < BENCH_NR_CASES; c++)
        if (measured(r, c, config->nr_counts))
            print_case(config, r, c);
    memory_block(config, r);
    say_cold_readers(config, r);
    bench_report_cold_table(config, r);
    bench_report_pack_table(config, r);
    bench_report_remote_table(config, r);
    bench_report_pressure_table(config, r);
    if (config->mmap_bytes && config->mmap_bytes < config->db_bytes)
        printf("note: this SQLite maps at most %s of a file; the rest it reads with pread\n",
               hl_units_bytes(bytes, config->mmap_bytes));
    if (config->left_cache)
        printf("note: memory is short: %s of the file left the page cache meanwhile, so what stock"
               " SQLite reads came from the disk in part\n",
               hl_units_bytes(bytes, config->left_cache));
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (config->systems[s].wanted && config->systems[s].why[0])
            printf("note: %s%s: %s\n", config->systems[s].label,
                   config->systems[s].skipped ? " left out" : "", config->systems[s].why);
}

/* ---- JSON --------------------------------------------------------------- */

void bench_json_series(struct hl_json *json, const char *key, const struct bench_series *series)
{
    hl_json_open(json, key, '[');
    for (unsigned i = 0; i < series->nr; i++)
        hl_json_real(json, NULL, series->round[i]);
    hl_json_close(json, ']');
}

static void json_context(struct hl_json *json, const struct bench_config *config)
{
    struct hl_hugepages pages;
    struct utsname u;
    char cpu[256];

    uname(&u);
    cpu_name(cpu, sizeof cpu);
    hl_json_open(json, "context", '{');
    hl_json_string(json, "kernel", u.release);
    hl_json_string(json, "cpu", cpu);
    hl_json_number(json, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    hl_json_string(json, "sqlite", sqlite3_libversion());
    hl_json_string(json, "hugelite", hugelite_version());
    hl_json_string(json, "pool_pages", config->pages[0] ? config->pages : NULL);
    hl_json_number(json, "pool_page_bytes", config->page_bytes);
    hl_json_number(json, "huge_pages", hl_hugepages_read(&pages) == 0 ? pages.total : 0);
    hl_json_number(json, "huge_pages_free_before", config->huge_free);
    hl_json_number(json, "stock_mmap_bytes", config->mmap_bytes);
    hl_json_number(json, "left_page_cache_bytes", config->left_cache);
    hl_json_number(json, "rounds", config->rounds);
    hl_json_real(json, "seconds", config->seconds);
    hl_json_close(json, '}');
}

static void json_cold_readers(struct hl_json *json, const char *system,
                              const struct bench_cold_readers *cold)
{
    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", system);
    hl_json_number(json, "readers", cold->readers);
    hl_json_real(json, "seconds", cold->seconds);
    hl_json_real(json, "fastest_seconds", cold->fastest);
    hl_json_number(json, "source_bytes", cold->source_bytes);
    hl_json_number(json, "fills", cold->fills);
    hl_json_number(json, "frames_decoded", cold->frames_decoded);
    hl_json_close(json, '}');
}

void bench_report_json(const struct bench_config *config, const struct bench_results *r)
{
    struct hl_json json;

    bench_progress("%s", "");
    hl_json_begin(&json, stdout);
    hl_json_open(&json, NULL, '{');
    hl_json_number(&json, "version", 1);
    json_context(&json, config);
    hl_json_open(&json, "database", '{');
    hl_json_string(&json, "path", config->db);
    hl_json_number(&json, "bytes", config->db_bytes);
    if (config->rows)
        hl_json_number(&json, "rows", config->rows);
    hl_json_string(&json, "sql", config->sql);
    hl_json_close(&json, '}');

    hl_json_open(&json, "systems", '[');
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        if (!config->systems[s].wanted)
            continue;
        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "name", config->systems[s].name);
        hl_json_bool(&json, "skipped", config->systems[s].skipped);
        hl_json_string(&json, "note", config->systems[s].why[0] ? config->systems[s].why : NULL);
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');

    hl_json_open(&json, "results", '[');
    for (enum bench_case c = 0; c < BENCH_NR_CASES; c++)
        for (unsigned n = 0; n < config->nr_counts; n++)
            for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
                const struct bench_series *series = &r->series[c][n][s];
                double ratio = bench_ratio(series, &r->series[c][n][BENCH_HUGELITE],
                                           cases[c].is_rate);

                if (series->nr == 0)
                    continue;
                hl_json_open(&json, NULL, '{');
                hl_json_string(&json, "case", cases[c].name);
                hl_json_number(&json, "readers", cases[c].is_fresh ? 1 : config->counts[n]);
                hl_json_string(&json, "system", config->systems[s].name);
                hl_json_string(&json, "unit", cases[c].is_rate ? "per_second" : "seconds");
                hl_json_real(&json, "median", bench_median(series));
                hl_json_real(&json, "best", bench_best(series, cases[c].is_rate));
                if (ratio > 0)
                    hl_json_real(&json, "ratio", ratio);
                if (s == BENCH_HUGELITE && bench_median(&r->heap_bytes[c]) > 0)
                    hl_json_number(&json, "heap_bytes", (uint64_t)bench_median(&r->heap_bytes[c]));
                bench_json_series(&json, "rounds", series);
                hl_json_close(&json, '}');
            }
    hl_json_close(&json, ']');

    hl_json_open(&json, "further_reader", '[');
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        if (r->page_tables[s].nr == 0)
            continue;
        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "system", config->systems[s].name);
        hl_json_number(&json, "page_table_bytes", (uint64_t)bench_median(&r->page_tables[s]));
        hl_json_number(&json, "private_bytes", (uint64_t)bench_median(&r->private_bytes[s]));
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');

    hl_json_open(&json, "cold_readers", '[');
    for (unsigned x = 0; x < BENCH_NR_SYSTEMS; x++)
        for (unsigned n = 0; n < config->nr_counts; n++)
            if (r->cold[x][n].done)
                json_cold_readers(&json, config->systems[x].name, &r->cold[x][n]);
    hl_json_close(&json, ']');
    bench_report_cold_json(&json, config, r);
    bench_report_pack_json(&json, r);
    bench_report_remote_json(&json, config, r);
    bench_report_pressure_json(&json, config, r);
    hl_json_close(&json, '}');
}
