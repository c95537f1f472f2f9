/* SPDX-License-Identifier: MIT
 *
 * gbench.h - Google Benchmark for benchmarks written in C.
 *
 * In calling order:
 *
 *      static void fetch(struct gbench *g)
 *      {
 *          while (gbench_loop(g, 64))
 *              for (int i = 0; i < 64; i++)
 *                  ... what is measured ...
 *      }
 *
 *      gbench_context("pool", "hugetlb");
 *      gbench_register(&(struct gbench_case){ .name = "BM_fetch", .fn = fetch });
 *      return gbench_main(argc, argv);
 *
 * The options are Google Benchmark's (--benchmark_filter=, --benchmark_format=json,
 * --benchmark_min_time= ...).  A function is called several times with more and
 * more iterations; with threads, by each thread at once.
 */
#ifndef HL_GBENCH_H
#define HL_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GBENCH_ARGS 4

struct gbench;                     /* one run of one benchmark, in one thread */

struct gbench_case {
    const char *name;              /* a question with its sizes, as in BM_evict/2MiB */
    void (*fn)(struct gbench *g);
    const char *arg_names[GBENCH_ARGS]; /* shown in the name; NULL ends them */
    int64_t args[GBENCH_ARGS];
    int threads;                   /* 0 = one */
    bool manual_time;              /* fn tells by gbench_set_time() what an iteration took */
    const char *unit;              /* "ns" (NULL), "us", "ms" */
    int64_t iterations;            /* 0 = as many as --benchmark_min_time wants */
};

void gbench_register(const struct gbench_case *c);

/* A line of the result's context.  Before gbench_main(). */
void gbench_context(const char *key, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Run what the command line asks for.  Returns the exit code: 0, or 1 when a
 * benchmark called gbench_fail() or an option is unknown. */
int gbench_main(int argc, char **argv);

/* Go on for n more iterations?  A batch keeps the cost of asking out of what takes
 * nanoseconds; with manual time n is 1. */
bool gbench_loop(struct gbench *g, int64_t n);

int64_t gbench_arg(const struct gbench *g, int i);
int gbench_thread(const struct gbench *g);

/* The clock stands still between the two; each costs some hundred nanoseconds. */
void gbench_pause(struct gbench *g);
void gbench_resume(struct gbench *g);

/* Seconds of this iteration, where manual_time is set. */
void gbench_set_time(struct gbench *g, double seconds);

/* After the loop: for the rates that are printed. */
void gbench_set_bytes(struct gbench *g, int64_t bytes);
void gbench_set_items(struct gbench *g, int64_t items);
/* A figure of its own; with threads their mean. */
void gbench_counter(struct gbench *g, const char *name, double value);

/* End this benchmark without a result: it cannot run here, for a reason that a person can
 * mend; or it is broken, and gbench_main() will return 1.  Return at once after it. */
void gbench_skip(struct gbench *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void gbench_fail(struct gbench *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Seconds of a clock that never steps back. */
double gbench_now(void);

#ifdef __cplusplus
}
#endif
#endif
