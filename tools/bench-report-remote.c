/* SPDX-License-Identifier: MIT
 *
 * bench-report-remote.c - what `hugelite bench` says of remote cases: each figure beside the one
 * it is to reach.
 *
 * Entry points: bench_report_remote_table, bench_report_remote_json.
 * See also: bench-remote.c (who measures).
 */
#include <config.h>
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "tools.h"

#define LABEL_WIDTH 38

/* What is to be reached. */
static const double first_most[BENCH_NR_FIRSTS] = { 3, 2, 2 };
static const double later_most = 1.2, use_least = 0.95, p99_most = 2, requests_most = 1.07,
                    list_most = 0.4;

static const struct {
    const char *name;              /* in --json */
    const char *title;             /* in the table */
} firsts[BENCH_NR_FIRSTS] = {
    [BENCH_F_EMPTY] = { "empty", "nothing known" },
    [BENCH_F_CATALOG] = { "catalog", "catalog, no disk tier" },
    [BENCH_F_TIER] = { "tier", "catalog and disk tier" },
};

/* ---- figures ------------------------------------------------------------ */

static uint64_t encoded_bytes(const struct bench_config *config, unsigned s)
{
    return bench_source_bytes(config, (enum bench_system_id)s);
}

/* GETs of a cold scan: of 8 MiB, a tenth more, and ten. */
static double scan_requests_most(const struct bench_config *config, unsigned s)
{
    return (double)encoded_bytes(config, s) / (8u << 20) * 1.1 + 10;
}

/* Bytes of the file over what the link could have brought meanwhile; 0 = it has no limit. */
static double link_use(const struct bench_config *config, const struct bench_results *r,
                       unsigned s)
{
    double seconds = bench_median(&r->remote.scans[s].seconds);

    return config->rate && seconds > 0
           ? (double)encoded_bytes(config, s) / ((double)config->rate * seconds) : 0;
}

/* ---- the table ---------------------------------------------------------- */

static void cell_time(const struct bench_series *series)
{
    char text[32];

    bench_format_value(text, sizeof text, bench_median(series), false);
    printf(" %11s", text);
}

static void say_link(const struct bench_config *config, const struct bench_results *r)
{
    char bytes[HL_UNITS_ROOM], text[32];

    printf("remote: %g ms before each response; where many bytes move, a link of ",
           config->latency * 1e3);
    if (config->rate)
        printf("%s a second\n", hl_units_short(bytes, config->rate));
    else
        puts("no limit");
    if (r->remote.request_seconds.nr) {
        bench_format_value(text, sizeof text, bench_median(&r->remote.request_seconds), false);
        printf("A latency is what a request for a page takes through libcurl alone: %s\n", text);
    }
    putchar('\n');
}

static void print_firsts(const struct bench_config *config, const struct bench_results *r)
{
    printf("%-*s %11s %9s %8s %7s %9s\n", LABEL_WIDTH, "first lookup, cold, from before the open",
           "median", "latencies", "at most", "rounds", "requests");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_remote_lookup *l = &r->remote.lookups[s];

        for (unsigned f = 0; f < BENCH_NR_FIRSTS && l->seconds[f].nr; f++) {
            char text[80];

            snprintf(text, sizeof text, "%s: %s", config->systems[s].name, firsts[f].title);
            printf("  %-*s", LABEL_WIDTH, text);
            cell_time(&l->seconds[f]);
            printf(" %9.2f %8.2f %7.0f %9.0f\n",
                   bench_median_ratio(&l->seconds[f], &r->remote.request_seconds), first_most[f],
                   bench_median(&l->rounds[f]), bench_median(&l->requests[f]));
        }
    }
    putchar('\n');
}

static void print_later(const struct bench_config *config, const struct bench_results *r)
{
    printf("%-*s", LABEL_WIDTH, "later cold lookups, in latencies");
    for (unsigned w = 0; w < 2; w++) {
        char text[32];

        snprintf(text, sizeof text, "of %u", bench_windows[w]);
        printf(" %11s %9s", text, "mean");
    }
    printf(" %8s %9s\n", "at most", "requests");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_remote_lookup *l = &r->remote.lookups[s];

        if (l->median[0].nr == 0)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        for (unsigned w = 0; w < 2; w++)
            printf(" %11.2f %9.2f", bench_median_ratio(&l->median[w], &r->remote.request_seconds),
                   bench_median_ratio(&l->mean[w], &r->remote.request_seconds));
        printf(" %8.2f %9.0f\n", later_most, bench_median(&l->later_requests));
    }
    putchar('\n');
}

static void print_scans(const struct bench_config *config, const struct bench_results *r)
{
    printf("%-*s %11s %9s %9s %9s %9s %8s\n", LABEL_WIDTH, "cold scan, from before the open",
           "median", "best", "link use", "at least", "requests", "at most");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_remote_scan *scan = &r->remote.scans[s];
        char text[32];

        if (scan->seconds.nr == 0)
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        cell_time(&scan->seconds);
        bench_format_value(text, sizeof text, bench_best(&scan->seconds, false), false);
        printf(" %9s", text);
        if (config->rate)
            printf(" %9.3f", link_use(config, r, s));
        else
            printf(" %9s", "-");
        if (bench_is_remote(s))
            printf(" %9.2f %9.0f %8.0f", use_least, bench_median(&scan->requests),
                   scan_requests_most(config, s));
        putchar('\n');
    }
    putchar('\n');
}

static void print_tails(const struct bench_config *config, const struct bench_results *r)
{
    char text[64];

    snprintf(text, sizeof text, "%.0f %% of responses ten times later", BENCH_SLOW_SHARE * 100);
    printf("%-*s %11s %11s %8s %8s %9s %8s\n", LABEL_WIDTH, text, "p50 without", "p99 with",
           "ratio", "at most", "requests", "at most");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_remote_tail *t = &r->remote.tails[s];

        if (!bench_takes_part(config, s, BENCH_G_REMOTE_TAIL, 1))
            continue;
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        if (t->p99[1].nr == 0) {
            puts(" too few lookups needed the origin; take a larger --size");
            continue;
        }
        cell_time(&t->median[0]);
        cell_time(&t->p99[1]);
        printf(" %8.2f %8.2f %8.3fx %8.2f\n", bench_median_ratio(&t->p99[1], &t->median[0]),
               p99_most, bench_median_ratio(&t->requests[1], &t->requests[0]), requests_most);
    }
    putchar('\n');
}

static void print_lists(const struct bench_config *config, const struct bench_results *r)
{
    printf("%-*s %11s %11s %8s %8s %11s %11s\n", LABEL_WIDTH, "hot set, open to 95 % of warm",
           "no list", "with a list", "ratio", "at most", "link alone", "lookups/s");
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++) {
        const struct bench_remote_list *l = &r->remote.lists[s];
        char text[32], link[32] = "-";

        if (l->seconds[1].nr == 0)
            continue;
        bench_format_value(text, sizeof text, bench_median(&l->rate[1]), true);
        if (config->rate)
            bench_format_value(link, sizeof link,
                               bench_median(&l->bytes[1]) / (double)config->rate, false);
        printf("  %-*s", LABEL_WIDTH - 2, config->systems[s].label);
        cell_time(&l->seconds[0]);
        cell_time(&l->seconds[1]);
        printf(" %8.2f %8.2f %11s %11s\n", bench_median_ratio(&l->seconds[1], &l->seconds[0]),
               list_most, link, text);
    }
    putchar('\n');
}

static bool chosen(const struct bench_config *config, enum bench_group group)
{
    return config->groups >> group & 1;
}

void bench_report_remote_table(const struct bench_config *config, const struct bench_results *r)
{
    if (!config->origin || !(config->groups & BENCH_REMOTE_GROUPS))
        return;
    say_link(config, r);
    if (chosen(config, BENCH_G_REMOTE_LOOKUP)) {
        print_firsts(config, r);
        print_later(config, r);
    }
    if (chosen(config, BENCH_G_REMOTE_SCAN))
        print_scans(config, r);
    if (chosen(config, BENCH_G_REMOTE_TAIL))
        print_tails(config, r);
    if (chosen(config, BENCH_G_REMOTE_LIST))
        print_lists(config, r);
}

/* ---- JSON --------------------------------------------------------------- */

static void json_lookups(struct hl_json *json, const struct bench_config *config,
                         const struct bench_results *r, unsigned s)
{
    const struct bench_remote_lookup *l = &r->remote.lookups[s];

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_open(json, "first", '[');
    for (unsigned f = 0; f < BENCH_NR_FIRSTS; f++) {
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "known", firsts[f].name);
        hl_json_real(json, "latencies",
                     bench_median_ratio(&l->seconds[f], &r->remote.request_seconds));
        hl_json_real(json, "at_most", first_most[f]);
        bench_json_series(json, "rounds", &l->seconds[f]);
        bench_json_series(json, "round_trips", &l->rounds[f]);
        bench_json_series(json, "requests", &l->requests[f]);
        hl_json_close(json, '}');
    }
    hl_json_close(json, ']');
    hl_json_open(json, "later", '[');
    for (unsigned w = 0; w < 2; w++) {
        hl_json_open(json, NULL, '{');
        hl_json_number(json, "lookups", bench_windows[w]);
        hl_json_real(json, "median_latencies",
                     bench_median_ratio(&l->median[w], &r->remote.request_seconds));
        hl_json_real(json, "mean_latencies",
                     bench_median_ratio(&l->mean[w], &r->remote.request_seconds));
        hl_json_real(json, "at_most", later_most);
        bench_json_series(json, "median_rounds", &l->median[w]);
        bench_json_series(json, "mean_rounds", &l->mean[w]);
        hl_json_close(json, '}');
    }
    hl_json_close(json, ']');
    bench_json_series(json, "later_requests", &l->later_requests);
    hl_json_close(json, '}');
}

static void json_scan(struct hl_json *json, const struct bench_config *config,
                      const struct bench_results *r, unsigned s)
{
    const struct bench_remote_scan *scan = &r->remote.scans[s];

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_number(json, "encoded_bytes", encoded_bytes(config, s));
    hl_json_real(json, "median", bench_median(&scan->seconds));
    if (config->rate)
        hl_json_real(json, "link_use", link_use(config, r, s));
    if (bench_is_remote(s)) {
        hl_json_real(json, "link_use_at_least", use_least);
        hl_json_real(json, "requests_at_most", scan_requests_most(config, s));
    }
    bench_json_series(json, "rounds", &scan->seconds);
    bench_json_series(json, "requests", &scan->requests);
    hl_json_close(json, '}');
}

static void json_tail(struct hl_json *json, const struct bench_config *config,
                      const struct bench_results *r, unsigned s)
{
    const struct bench_remote_tail *t = &r->remote.tails[s];

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_real(json, "p99_of_median", bench_median_ratio(&t->p99[1], &t->median[0]));
    hl_json_real(json, "p99_at_most", p99_most);
    hl_json_real(json, "requests_ratio", bench_median_ratio(&t->requests[1], &t->requests[0]));
    hl_json_real(json, "requests_at_most", requests_most);
    for (unsigned slow = 0; slow < 2; slow++) {
        hl_json_open(json, slow ? "slow" : "steady", '{');
        bench_json_series(json, "median_rounds", &t->median[slow]);
        bench_json_series(json, "p99_rounds", &t->p99[slow]);
        bench_json_series(json, "requests", &t->requests[slow]);
        hl_json_close(json, '}');
    }
    hl_json_close(json, '}');
}

static void json_list(struct hl_json *json, const struct bench_config *config,
                      const struct bench_results *r, unsigned s)
{
    const struct bench_remote_list *l = &r->remote.lists[s];

    hl_json_open(json, NULL, '{');
    hl_json_string(json, "system", config->systems[s].name);
    hl_json_real(json, "ratio", bench_median_ratio(&l->seconds[1], &l->seconds[0]));
    hl_json_real(json, "at_most", list_most);
    bench_json_series(json, "without_rounds", &l->seconds[0]);
    bench_json_series(json, "with_rounds", &l->seconds[1]);
    bench_json_series(json, "warm_rate_rounds", &l->rate[1]);
    bench_json_series(json, "with_bytes", &l->bytes[1]);
    hl_json_close(json, '}');
}

void bench_report_remote_json(struct hl_json *json, const struct bench_config *config,
                              const struct bench_results *r)
{
    static const struct {
        const char *key;
        enum bench_group group;
        void (*write)(struct hl_json *json, const struct bench_config *config,
                      const struct bench_results *r, unsigned s);
    } list[] = {
        { "lookups", BENCH_G_REMOTE_LOOKUP, json_lookups },
        { "scans", BENCH_G_REMOTE_SCAN, json_scan },
        { "tails", BENCH_G_REMOTE_TAIL, json_tail },
        { "lists", BENCH_G_REMOTE_LIST, json_list },
    };

    if (!config->origin || !(config->groups & BENCH_REMOTE_GROUPS))
        return;
    hl_json_open(json, "remote", '{');
    hl_json_real(json, "latency_seconds", config->latency);
    hl_json_number(json, "rate_bytes_per_second", config->rate);
    bench_json_series(json, "request_seconds", &r->remote.request_seconds);
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        hl_json_open(json, list[i].key, '[');
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
            if (chosen(config, list[i].group) && bench_takes_part(config, s, list[i].group, 1))
                list[i].write(json, config, r, s);
        hl_json_close(json, ']');
    }
    hl_json_close(json, '}');
}
