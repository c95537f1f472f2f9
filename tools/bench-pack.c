/* SPDX-License-Identifier: MIT
 *
 * bench-pack.c - `hugelite pack` and `hugelite verify` beside zstd: how long each program takes for
 * the database, file to file.
 *
 * Entry points: bench_packs, bench_report_pack_table, bench_report_pack_json.
 * See also: bench-packed.c (runs programs).
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

static const struct {
    const char *name;              /* in --json */
    const char *label;             /* in the table */
} programs[BENCH_NR_PROGRAMS] = {
    [BENCH_P_ZSTD] = { "zstd", "zstd -T0" },
    [BENCH_P_PACK] = { "pack", "hugelite pack" },
    [BENCH_P_ZSTD_TEST] = { "zstd_test", "zstd -t" },
    [BENCH_P_VERIFY] = { "verify", "hugelite verify" },
};

/* arg: enum bench_program */
static int job_program(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    char out[PATH_MAX + 32], level[16];
    const char *const lists[BENCH_NR_PROGRAMS][9] = {
        [BENCH_P_ZSTD] = { "zstd", "-q", "-f", "-T0", level, "-o", out, config->db, NULL },
        [BENCH_P_PACK] = { "/proc/self/exe", "pack", "--force", "--level", BENCH_PACK_LEVEL,
                           config->db, out, NULL },
        [BENCH_P_ZSTD_TEST] = { "zstd", "-q", "-t", config->packed, NULL },
        [BENCH_P_VERIFY] = { "/proc/self/exe", "verify", config->packed, NULL },
    };
    double start = hl_units_now();

    snprintf(out, sizeof out, "%s/%s.zst", config->work_dir, programs[arg].name);
    snprintf(level, sizeof level, "-%s", BENCH_PACK_LEVEL);
    if (bench_run_program(lists[arg], reply) < 0)
        return reply->rc;
    reply->seconds = hl_units_now() - start;
    unlink(out);
    return 0;
}

int bench_packs(const struct bench_config *config, struct bench_results *results,
                struct bench_reply *reply)
{
    for (unsigned round = 0; round < config->rounds; round++)
        for (unsigned p = 0; p < BENCH_NR_PROGRAMS; p++) {
            int rc;

            if ((p == BENCH_P_ZSTD || p == BENCH_P_ZSTD_TEST) && !bench_have_program("zstd"))
                continue;
            bench_progress("%s, round %u of %u", programs[p].label, round + 1, config->rounds);
            rc = bench_run_job(config, job_program, p, reply);
            if (rc < 0)
                return rc;
            bench_add(&results->programs[p], reply->seconds);
        }
    return 0;
}

/* How many times faster ours is.  zstd -t has one thread: it counts as often as there are
 * processors. */
static double ratio_of(const struct bench_results *r, enum bench_program ours)
{
    enum bench_program peer = ours == BENCH_P_PACK ? BENCH_P_ZSTD : BENCH_P_ZSTD_TEST;
    double processors = ours == BENCH_P_VERIFY ? (double)sysconf(_SC_NPROCESSORS_ONLN) : 1;

    return bench_ratio(&r->programs[peer], &r->programs[ours], false) / processors;
}

void bench_report_pack_table(const struct bench_config *config, const struct bench_results *r)
{
    if (r->programs[BENCH_P_PACK].nr == 0)
        return;
    printf("%-38s %11s %9s %9s\n", "packing and checking", "median", "best", "MB/s");
    for (unsigned p = 0; p < BENCH_NR_PROGRAMS; p++) {
        const struct bench_series *series = &r->programs[p];
        char median[32], best[32];

        if (series->nr == 0)
            continue;
        bench_format_value(median, sizeof median, bench_median(series), false);
        bench_format_value(best, sizeof best, bench_best(series, false), false);
        printf("  %-36s %11s %9s %9.0f", programs[p].label, median, best,
               (double)config->db_bytes / bench_median(series) / 1e6);
        if ((p == BENCH_P_PACK || p == BENCH_P_VERIFY) && ratio_of(r, p) > 0)
            printf("   %.2f of %s%s", ratio_of(r, p), programs[p - 1].label,
                   p == BENCH_P_VERIFY ? " times the processors" : "");
        putchar('\n');
    }
    putchar('\n');
}

void bench_report_pack_json(struct hl_json *json, const struct bench_results *r)
{
    hl_json_open(json, "packing", '[');
    for (unsigned p = 0; p < BENCH_NR_PROGRAMS; p++) {
        if (r->programs[p].nr == 0)
            continue;
        hl_json_open(json, NULL, '{');
        hl_json_string(json, "program", programs[p].name);
        hl_json_real(json, "median", bench_median(&r->programs[p]));
        if ((p == BENCH_P_PACK || p == BENCH_P_VERIFY) && ratio_of(r, p) > 0)
            hl_json_real(json, "ratio", ratio_of(r, p));
        bench_json_series(json, "rounds", &r->programs[p]);
        hl_json_close(json, '}');
    }
    hl_json_close(json, ']');
}
