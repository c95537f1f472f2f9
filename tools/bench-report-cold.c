/* SPDX-License-Identifier: MIT
 *
 * bench-report-cold.c - what `hugelite bench` says of cold cases: scans beside the limit that the
 * processors set, lookups beside the cost of a frame.
 *
 * Entry points: bench_report_cold_table, bench_report_cold_json.
 * See also: bench-cold.c (who measures), bench-report.c (the other cases).
 */
#include <config.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

#define LABEL_WIDTH 38

static const struct {
    const char *name;              /* in --json */
    const char *title;             /* in the table */
} statements[BENCH_NR_STATEMENTS] = {
    [BENCH_S_SCAN] = { "scan", "cold full scan, sum(length(v))" },
    [BENCH_S_COUNT] = { "count", "cold count(*)" },
    [BENCH_S_SQL] = { "sql", "your statement, cold" },
};

/* ---- figures ------------------------------------------------------------ */

/* Round by round: a figure of its own from what was measured beside. */
static struct bench_series each_round(const struct bench_series *a, const struct bench_series *b)
{
    struct bench_series ratio = { .nr = 0 };

    for (unsigned i = 0; i < a->nr && i < b->nr; i++)
        if (a->round[i] > 0 && b->round[i] > 0)
            bench_add(&ratio, a->round[i] / b->round[i]);
    return ratio;
}

double bench_median_ratio(const struct bench_series *above, const struct bench_series *below)
{
    struct bench_series ratio = each_round(above, below);

    return bench_median(&ratio);
}

/* Bytes of the database per second. */
static struct bench_series rates_of(const struct bench_config *config,
                                    const struct bench_series *seconds)
{
    struct bench_series rates = { .nr = 0 };

    for (unsigned i = 0; i < seconds->nr; i++)
        bench_add(&rates, (double)config->db_bytes / seconds->round[i]);
    return rates;
}

/* c / (1/S + 1/D + 1/K), and not more than S, since a statement is one thread's. */
static void limits_of(const struct bench_config *config, const struct bench_results *r,
                      enum bench_statement statement, enum bench_system_id system,
                      struct bench_series *ret_limit, struct bench_series *ret_capped)
{
    struct bench_series warm = rates_of(config, &r->scans[statement].warm[system]);
    const struct bench_series *decode = system == BENCH_ZST ? &r->rates.decode : &r->rates.read;
    double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);

    ret_limit->nr = ret_capped->nr = 0;
    for (unsigned i = 0; i < warm.nr && i < decode->nr && i < r->rates.copy.nr; i++) {
        double limit = processors / (1 / warm.round[i] + 1 / decode->round[i]
                                     + 1 / r->rates.copy.round[i]);

        if (!(decode->round[i] > 0 && r->rates.copy.round[i] > 0))
            return;
        bench_add(ret_limit, limit);
        bench_add(ret_capped, limit < warm.round[i] ? limit : warm.round[i]);
    }
}

static bool scanned(const struct bench_results *r, enum bench_statement statement)
{
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (r->scans[statement].seconds[s].nr)
            return true;
    return false;
}

static bool looked_up(const struct bench_results *r)
{
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (r->lookups.seconds[s].nr)
            return true;
    return false;
}

/* ---- the table ---------------------------------------------------------- */

static void print_time(const struct bench_series *series, int width)
{
    char text[32];

    if (series->nr == 0)
        strcpy(text, "-");
    else
        bench_format_value(text, sizeof text, bench_median(series), false);
    printf(" %*s", width, text);
}

static void print_ratio(double ratio)
{
    if (ratio > 0)
        printf(" %6.2fx", ratio);
    else
        printf(" %7s", "");
}

static void say_packed(const struct bench_config *config)
{
    char packed[HL_UNITS_ROOM], frame[HL_UNITS_ROOM];

    if (config->packing.frames)
        printf("packed: %s, 1/%.2f of the database, %" PRIu64 " frames of %s\n",
               hl_units_bytes(packed, config->packing.bytes),
               (double)config->packing.decoded_bytes / (double)config->packing.bytes,
               config->packing.frames, hl_units_short(frame, config->packing.frame_bytes));
}

static void say_rates(const struct bench_config *config, const struct bench_rate_series *rates)
{
    if (rates->read.nr == 0)
        return;
    printf("rates, MB/s of the database: pread %.0f", bench_median(&rates->read) / 1e6);
    if (bench_median(&rates->copy) > 0)
        printf(", UFFDIO_COPY (K) %.0f", bench_median(&rates->copy) / 1e6);
    if (config->packing.frames)
        printf(", zstd (D) %.0f, with all %ld processors at it %.0f each",
               bench_median(&rates->decode) / 1e6, sysconf(_SC_NPROCESSORS_ONLN),
               bench_median(&rates->decode_all) / 1e6);
    printf("\n\n");
}

static void say_limit(const struct bench_config *config, const struct bench_results *r,
                      enum bench_statement statement, enum bench_system_id system)
{
    struct bench_series limit, capped;
    struct bench_series rate = rates_of(config, &r->scans[statement].seconds[system]);
    struct bench_series warm = rates_of(config, &r->scans[statement].warm[system]);

    limits_of(config, r, statement, system, &limit, &capped);
    if (limit.nr == 0 || rate.nr == 0)
        return;
    printf("  %s: %.0f MB/s, %.2f of c/(1/S+1/%s+1/K) = %.0f; S %.0f, and %.2f of the lesser\n",
           config->systems[system].label, bench_median(&rate) / 1e6,
           bench_median_ratio(&rate, &limit),
           system == BENCH_ZST ? "D" : "pread", bench_median(&limit) / 1e6,
           bench_median(&warm) / 1e6, bench_median_ratio(&rate, &capped));
}

static void print_scan(const struct bench_config *config, const struct bench_results *r,
                       enum bench_statement statement)
{
    const struct bench_cold_scan *scan = &r->scans[statement];

    printf("%-*s %11s %9s %7s %11s\n", LABEL_WIDTH, statements[statement].title, "median", "best",
           "ratio", "then warm");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        char text[32];

        if (scan->seconds[s].nr == 0)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        print_time(&scan->seconds[s], 11);
        bench_format_value(text, sizeof text, bench_best(&scan->seconds[s], false), false);
        printf(" %9s", text);
        print_ratio(s == BENCH_ZST ? 0 : bench_median_ratio(&scan->seconds[s],
                                                      &scan->seconds[BENCH_ZST]));
        print_time(&scan->warm[s], 11);
        if (s == BENCH_UNPACK) {
            bench_format_value(text, sizeof text, bench_median(&scan->unpacking), false);
            printf("   (zstd -d: %s)", text);
        }
        putchar('\n');
    }
    say_limit(config, r, statement, BENCH_ZST);
    say_limit(config, r, statement, BENCH_HUGELITE);
    putchar('\n');
}

/* Whose speed a line's ratio tells. */
static enum bench_system_id reference(unsigned system)
{
    return system == BENCH_SQUASHFS ? BENCH_ZST : BENCH_HUGELITE;
}

static void say_frame(const struct bench_config *config, const struct bench_results *r)
{
    const struct bench_cold_lookup *l = &r->lookups;
    char text[3][32];

    if (l->seconds[BENCH_ZST].nr == 0)
        return;
    bench_format_value(text[0], sizeof text[0], bench_median(&r->rates.frame_seconds), false);
    bench_format_value(text[1], sizeof text[1], bench_median(&r->rates.frame_read_seconds), false);
    printf("  %s: decoding a frame costs %s, %s with its pread; the median of the first %u and %u"
           " lookups is %.2f and %.2f of it\n", config->systems[BENCH_ZST].label, text[0], text[1],
           bench_windows[0], bench_windows[1],
           bench_median_ratio(&l->median[BENCH_ZST][0], &r->rates.frame_seconds),
           bench_median_ratio(&l->median[BENCH_ZST][1], &r->rates.frame_seconds));
}

/* The pool that is too small, beside those that have none. */
static void say_small(const struct bench_config *config, const struct bench_results *r)
{
    static const enum bench_system_id stock[] = { BENCH_STOCK, BENCH_MMAP, BENCH_PREAD };
    const struct bench_series *seconds = r->lookups.seconds;
    const char *separator = ":";

    if (seconds[BENCH_SMALL].nr == 0)
        return;
    for (unsigned i = 0; i < sizeof stock / sizeof *stock; i++) {
        double ratio = bench_median_ratio(&seconds[stock[i]], &seconds[BENCH_SMALL]);

        if (ratio <= 0)
            continue;
        if (*separator == ':')
            printf("  %s", config->systems[BENCH_SMALL].label);
        printf("%s %.2fx of \"%s\"", separator, ratio, config->systems[stock[i]].label);
        separator = ",";
    }
    if (*separator == ',')
        putchar('\n');
}

static void print_lookups(const struct bench_config *config, const struct bench_results *r)
{
    const struct bench_cold_lookup *l = &r->lookups;
    char text[64];

    snprintf(text, sizeof text, "cold lookups, %u at random", BENCH_COLD_LOOKUPS);
    printf("%-*s %11s %7s", LABEL_WIDTH, text, "all", "ratio");
    for (unsigned w = 0; w < BENCH_NR_WINDOWS; w++) {
        snprintf(text, sizeof text, "of %u", bench_windows[w]);
        printf(" %9s %9s", text, "p99");
    }
    printf(" %7s %11s\n", "early", "warmed 1st");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        if (l->seconds[s].nr == 0)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        print_time(&l->seconds[s], 11);
        print_ratio(s == BENCH_ZST || s == BENCH_HUGELITE
                    ? 0 : bench_median_ratio(&l->seconds[s], &l->seconds[reference(s)]));
        for (unsigned w = 0; w < BENCH_NR_WINDOWS; w++) {
            print_time(&l->median[s][w], 9);
            print_time(&l->p99[s][w], 9);
        }
        if (l->early_reads[s].nr)
            printf(" %7.0f", bench_median(&l->early_reads[s]));
        if (l->warming[s].nr) {
            print_time(&l->warming[s], 11);
            printf(" %.2fx", bench_median_ratio(&l->warming[s], &l->seconds[s]));
        }
        putchar('\n');
    }
    say_frame(config, r);
    say_small(config, r);
    putchar('\n');
}

void bench_report_cold_table(const struct bench_config *config, const struct bench_results *r)
{
    if (r->rates.read.nr || config->packing.frames) {
        say_packed(config);
        say_rates(config, &r->rates);
    }
    for (enum bench_statement st = 0; st < BENCH_NR_STATEMENTS; st++)
        if (scanned(r, st))
            print_scan(config, r, st);
    if (looked_up(r))
        print_lookups(config, r);
    if (r->rates.read.nr)
        printf("Cold: a fresh process, nothing in the pool, all files in the page cache; the time"
               " is from before the open.\nThe ratio is of \"%s\" on scans and for squashfs,"
               " else of \"%s\".\n\n", config->systems[BENCH_ZST].label,
               config->systems[BENCH_HUGELITE].label);
}

/* ---- JSON --------------------------------------------------------------- */

static void json_packed(struct hl_json *json, const struct bench_config *config)
{
    if (!config->packing.frames)
        return;
    hl_json_open(json, "packed", '{');
    hl_json_number(json, "bytes", config->packing.bytes);
    hl_json_number(json, "frames", config->packing.frames);
    hl_json_number(json, "frame_bytes", config->packing.frame_bytes);
    hl_json_close(json, '}');
}

static void json_rates(struct hl_json *json, const struct bench_rate_series *rates)
{
    if (rates->read.nr == 0)
        return;
    hl_json_open(json, "rates", '{');
    bench_json_series(json, "pread_bytes_per_second", &rates->read);
    bench_json_series(json, "copy_bytes_per_second", &rates->copy);
    bench_json_series(json, "decode_bytes_per_second", &rates->decode);
    bench_json_series(json, "decode_all_bytes_per_second", &rates->decode_all);
    bench_json_series(json, "frame_seconds", &rates->frame_seconds);
    bench_json_series(json, "frame_read_seconds", &rates->frame_read_seconds);
    hl_json_close(json, '}');
}

static void json_scan(struct hl_json *json, const struct bench_config *config,
                      const struct bench_results *r, enum bench_statement st, unsigned s)
{
    const struct bench_cold_scan *scan = &r->scans[st];
    struct bench_series limit = { .nr = 0 }, capped = { .nr = 0 };
    struct bench_series rate = rates_of(config, &scan->seconds[s]);

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "case", statements[st].name);
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_real(json, "median", bench_median(&scan->seconds[s]));
    if (s != BENCH_ZST && scan->seconds[BENCH_ZST].nr)
        hl_json_real(json, "ratio",
                     bench_median_ratio(&scan->seconds[s], &scan->seconds[BENCH_ZST]));
    if (s == BENCH_ZST || s == BENCH_HUGELITE)
        limits_of(config, r, st, s, &limit, &capped);
    if (limit.nr) {
        hl_json_real(json, "of_limit", bench_median_ratio(&rate, &limit));
        hl_json_real(json, "of_limit_or_warm", bench_median_ratio(&rate, &capped));
        bench_json_series(json, "limit_bytes_per_second", &limit);
    }
    bench_json_series(json, "rounds", &scan->seconds[s]);
    bench_json_series(json, "warm_rounds", &scan->warm[s]);
    if (s == BENCH_UNPACK)
        bench_json_series(json, "unpacking_rounds", &scan->unpacking);
    hl_json_close(json, '}');
}

static void json_lookups(struct hl_json *json, const struct bench_config *config,
                         const struct bench_results *r, unsigned s)
{
    const struct bench_cold_lookup *l = &r->lookups;
    enum bench_system_id against = reference(s);

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_number(json, "lookups", BENCH_COLD_LOOKUPS);
    hl_json_real(json, "median", bench_median(&l->seconds[s]));
    if (s != against && l->seconds[against].nr)
        hl_json_real(json, "ratio", bench_median_ratio(&l->seconds[s], &l->seconds[against]));
    bench_json_series(json, "rounds", &l->seconds[s]);
    if (l->warming[s].nr)
        bench_json_series(json, "warmed_first_rounds", &l->warming[s]);
    if (l->early_reads[s].nr)
        bench_json_series(json, "early_reads", &l->early_reads[s]);
    hl_json_open(json, "single", '[');
    for (unsigned w = 0; w < BENCH_NR_WINDOWS; w++) {
        hl_json_open(json, NULL, '{');
        hl_json_number(json, "first", bench_windows[w]);
        bench_json_series(json, "median_rounds", &l->median[s][w]);
        bench_json_series(json, "p99_rounds", &l->p99[s][w]);
        hl_json_close(json, '}');
    }
    hl_json_close(json, ']');
    hl_json_close(json, '}');
}

void bench_report_cold_json(struct hl_json *json, const struct bench_config *config,
                            const struct bench_results *r)
{
    json_packed(json, config);
    json_rates(json, &r->rates);
    hl_json_open(json, "cold_scans", '[');
    for (enum bench_statement st = 0; st < BENCH_NR_STATEMENTS; st++)
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
            if (r->scans[st].seconds[s].nr)
                json_scan(json, config, r, st, s);
    hl_json_close(json, ']');
    hl_json_open(json, "cold_lookups", '[');
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (r->lookups.seconds[s].nr)
            json_lookups(json, config, r, s);
    hl_json_close(json, ']');
}
