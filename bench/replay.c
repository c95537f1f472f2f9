/* SPDX-License-Identifier: MIT
 *
 * replay.c - plays recorded traces of chunks to policies of replacement, and prints how often each
 * misses, how much of the way from LRU to Belady's OPT it goes, and what its fills and reads cost.
 *
 * See also: replay.h, README.md ("Replacement"), tools/bench-trace.c (records).
 */
#include <config.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "replay.h"

enum {
    CACHES_MAX = 8,
    FILL_PRICE = 100, /* of a fill, in reads of a page: README.md, "Replacement" */
    LRU = 1,          /* its place in variants[] */
};

static const char help[] =
    "usage: replay [OPTION]... TRACE...\n"
    "Play traces of `hugelite bench --trace` to policies of replacement.\n"
    "\n"
    "      --cache LIST   sizes of the cache, in percent of the chunks (5,10,25,50)\n"
    "      --fill PRICE   of a fill, in reads of a page (100)\n"
    "      --warm PERCENT of a trace that is played before anything is counted (0)\n"
    "      --counts       numbers for programs: workload, admission, policy, chunks of\n"
    "                     the cache, visits, misses, fills, early reads\n"
    "  -h, --help         this text\n";

struct variant {
    const char *name;
    const struct policy_ops *ops;
    struct policy_options options;
};

#define S3FIFO .promote = 2, .small = 10, .ghost = 90

static const struct variant variants[] = {
    { "fifo", &clock_ops, { .bits = 0 } },
    { "lru", &lru_ops, { .bits = 0 } },
    { "2-random", &random2_ops, { .bits = 0 } },
    { "clock-every", &clock_ops, { .bits = 1, .start = 1, .every = true } },
    { "clock", &clock_ops, { .bits = 1 } },
    { "clock-2bit", &clock_ops, { .bits = 2 } },
    { "clock-2bit-interior", &clock_ops, { .bits = 2, .interior = true } },
    { "clock-3bit", &clock_ops, { .bits = 3 } },
    { "sieve", &sieve_ops, { .bits = 1 } },
    { "sieve-2bit", &sieve_ops, { .bits = 2 } },
    { "s3fifo-1bit", &s3fifo_ops, { .bits = 1, .promote = 1, .small = 10, .ghost = 90 } },
    { "s3fifo-2bit", &s3fifo_ops, { .bits = 2, S3FIFO } },
    { "s3fifo-2bit-every", &s3fifo_ops, { .bits = 2, S3FIFO, .every = true } },
    { "s3fifo-2bit-interior", &s3fifo_ops, { .bits = 2, S3FIFO, .interior = true } },
    { "2q-2bit", &s3fifo_ops, { .bits = 2, .promote = 8, .small = 10, .ghost = 90 } },
    { "engine", &engine_ops, { .bits = 2 } },
    { "engine-every", &engine_ops, { .bits = 2, .every = true } },
    { "engine-interior", &engine_ops, { .bits = 2, .interior = true } },
    { "engine-follow", &engine_ops, { .bits = 2, .follow = true } },
    { "arc", &arc_ops, { .bits = 0 } },
    { "fixed", &fixed_ops, { .bits = 0 } },
    { "opt-pass", &opt_ops, { .pass = true } },
    { "opt", &opt_ops, { .bits = 0 } },
};

enum { NR_VARIANTS = sizeof variants / sizeof *variants, OPT = NR_VARIANTS - 1 };

static const struct {
    const char *name;
    struct admission_options options;
} admissions[] = {
    { "all", { .earns = 0 } },
    { "12-own", { .earns = 12, .window = 1 } },
    { "12", { .earns = 12, .window = 1, .shared = true } },
    { "16", { .earns = HL_EARNS, .window = 1, .shared = true } },
    { "16-int", { .earns = HL_EARNS, .window = 1, .shared = true, .interior = 3 } },
    { "16-apart", { .earns = HL_EARNS, .window = 1, .shared = true, .interior = 3, .apart = true } },
    { "16-kept", { .earns = HL_EARNS, .window = 1, .shared = true, .kept = true } },
};

enum { NR_ADMISSIONS = sizeof admissions / sizeof *admissions };

/* ---- one policy ------------------------------------------------------------- */

struct outcome {
    uint64_t visits, misses, fills, early_reads;
};

static bool has_room(struct policy *policy, uint32_t reads)
{
    if (policy->ops->room)
        return policy->ops->room(policy, reads);
    return policy->nr_resident + policy->ahead < policy->capacity;
}

static void play_visit(struct policy *policy, struct admission *admission,
                       const struct visit *visit, struct outcome *outcome)
{
    uint32_t touches = visit->leaves + visit->interiors, early;
    uint32_t spared = admission->options.kept ? visit->interiors : 0;

    outcome->visits += !visit->again;
    policy->sequential = admission_is_sequential(admission, visit);
    if (policy->resident[visit->chunk]) {
        policy->ops->hit(policy, visit->chunk);
        return;
    }
    outcome->misses += !visit->again;
    early = admission_early_reads(admission, visit, has_room(policy, touches));
    if (early > touches || (policy->ops->wants && !policy->ops->wants(policy, visit->chunk))) {
        outcome->early_reads += touches - spared;
        return;
    }
    /* Who goes on reading page by page has missed already; from whom a chunk was taken has not. */
    outcome->misses += visit->again && !admission->options.earns;
    outcome->early_reads += early > spared ? early - spared : 0;
    outcome->fills++;
    policy->earned = admission_has_earned(admission, visit);
    admission_filled(admission, visit);
    policy->followed = !policy->sequential && early > 1 && early < touches;
    policy->ops->fill(policy, visit->chunk);
    if (policy->options.every && touches > early + 1)
        policy->ops->hit(policy, visit->chunk);
}

static bool play(const struct trace *trace, size_t warm, unsigned variant, unsigned admits,
                 uint32_t capacity, struct outcome *ret_outcome)
{
    struct policy *policy = policy_open(variants[variant].ops, &variants[variant].options, trace,
                                        capacity);
    struct admission admission;
    bool ready = admission_open(&admission, &admissions[admits].options, trace) && policy;

    *ret_outcome = (struct outcome){ 0 };
    for (size_t i = 0; i < trace->nr_visits && ready; i++) {
        policy->now = i;
        if (i == warm)
            *ret_outcome = (struct outcome){ 0 };
        admission_see(&admission, &trace->visits[i]);
        play_visit(policy, &admission, &trace->visits[i], ret_outcome);
    }
    admission_close(&admission);
    if (policy)
        policy_close(policy);
    return ready;
}

/* ---- all of them ------------------------------------------------------------ */

struct plan {
    unsigned caches[CACHES_MAX], nr_caches; /* percent */
    double fill, warm; /* warm: share of a trace */
    bool counts;
};

typedef struct outcome table[NR_ADMISSIONS][NR_VARIANTS][CACHES_MAX];

static uint32_t capacity_of(const struct trace *trace, unsigned percent)
{
    uint32_t capacity = (uint32_t)((uint64_t)trace->nr_chunks * percent / 100);

    return capacity ? capacity : 1;
}

static bool play_all(const struct plan *plan, const struct trace *trace, table results)
{
    size_t warm = (size_t)(plan->warm * (double)trace->nr_visits);

    for (unsigned a = 0; a < NR_ADMISSIONS; a++)
        for (unsigned v = 0; v < NR_VARIANTS; v++)
            for (unsigned c = 0; c < plan->nr_caches; c++)
                if (!play(trace, warm, v, a, capacity_of(trace, plan->caches[c]),
                          &results[a][v][c]))
                    return false;
    return true;
}

static void print_counts(const struct plan *plan, const struct trace *trace, table results)
{
    for (unsigned a = 0; a < NR_ADMISSIONS; a++)
        for (unsigned v = 0; v < NR_VARIANTS; v++)
            for (unsigned c = 0; c < plan->nr_caches; c++) {
                const struct outcome *o = &results[a][v][c];

                printf("%s %s %s %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                       trace->workload, admissions[a].name, variants[v].name,
                       capacity_of(trace, plan->caches[c]), o->visits, o->misses, o->fills,
                       o->early_reads);
            }
}

/* Both ends of the gap fill at every miss, as one does who knows of no admission. */
static void print_cell(const struct plan *plan, const struct trace *trace, table results,
                       const struct outcome *o, unsigned c)
{
    double lru = (double)results[0][LRU][c].misses, opt = (double)results[0][OPT][c].misses;
    double cost = plan->fill * (double)o->fills + (double)o->early_reads;

    printf(" %5.1f ", 100 * (double)o->misses / (double)o->visits);
    if (lru > opt)
        printf("%4.0f", 100 * (lru - (double)o->misses) / (lru - opt));
    else
        printf("   -");
    printf(" %5.0f |", 1000 * cost / ((1 - plan->warm) * (double)trace->nr_touches));
}

static void print_table(const struct plan *plan, const struct trace *trace, table results)
{
    printf("\n%s: %" PRIu32 " chunks, %" PRIu32 " readers, %zu visits, %" PRIu64 " pages\n\n"
           "| admission | policy               |", trace->workload, trace->nr_chunks,
           trace->nr_readers, trace->nr_visits, trace->nr_touches);
    for (unsigned c = 0; c < plan->nr_caches; c++)
        printf(" %2u %%: miss gap cost |", plan->caches[c]);
    printf("\n|---|---|");
    for (unsigned c = 0; c < plan->nr_caches; c++)
        printf("---|");
    printf("\n");
    for (unsigned a = 0; a < NR_ADMISSIONS; a++)
        for (unsigned v = 0; v < NR_VARIANTS; v++) {
            printf("| %-9s | %-20s |", admissions[a].name, variants[v].name);
            for (unsigned c = 0; c < plan->nr_caches; c++)
                print_cell(plan, trace, results, &results[a][v][c], c);
            printf("\n");
        }
}

static int replay(const struct plan *plan, const char *path)
{
    static table results;
    struct trace trace;
    int rc;

    if (trace_read(path, &trace) < 0)
        return 1;
    rc = !play_all(plan, &trace, results);
    if (rc)
        fprintf(stderr, "replay: %s: no memory\n", path);
    else if (plan->counts)
        print_counts(plan, &trace, results);
    else
        print_table(plan, &trace, results);
    trace_free(&trace);
    return rc;
}

static bool parse_caches(struct plan *plan, const char *text)
{
    for (plan->nr_caches = 0; plan->nr_caches < CACHES_MAX; text++) {
        char *end;
        unsigned long percent = strtoul(text, &end, 10);

        if (end == text || *text < '0' || *text > '9' || percent < 1 || percent > 100)
            return false;
        plan->caches[plan->nr_caches++] = (unsigned)percent;
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        text = end;
    }
    return false;
}

static int usage(const char *what)
{
    fprintf(stderr, "replay: %s; see replay --help\n", what);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "cache", required_argument, NULL, 'c' }, { "fill", required_argument, NULL, 'f' },
        { "warm", required_argument, NULL, 'w' },  { "counts", no_argument, NULL, 'n' },
        { "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 },
    };
    struct plan plan = { .fill = FILL_PRICE };
    char *end;
    int c, rc = 0;

    parse_caches(&plan, "5,10,25,50");
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (c) {
        case 'c':
            if (!parse_caches(&plan, optarg))
                return usage("--cache takes up to 8 numbers from 1 to 100, as in 5,25");
            break;
        case 'f':
            plan.fill = strtod(optarg, &end);
            if (end == optarg || *end || !(plan.fill >= 0 && plan.fill <= 1e9))
                return usage("--fill takes a number of reads");
            break;
        case 'w':
            plan.warm = strtod(optarg, &end) / 100;
            if (end == optarg || *end || !(plan.warm >= 0 && plan.warm <= 0.9))
                return usage("--warm takes a number from 0 to 90");
            break;
        case 'n':
            plan.counts = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return usage("no such option");
        }
    if (optind == argc)
        return usage("no trace was named");
    for (; optind < argc && rc == 0; optind++)
        rc = replay(&plan, argv[optind]);
    return rc;
}
