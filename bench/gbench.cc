/* SPDX-License-Identifier: MIT
 *
 * gbench.cc - the shim between benchmarks in C and Google Benchmark; the only C++
 * of this project.  A gbench is a benchmark::State under another name.
 *
 * Entry points: gbench_register, gbench_main, and what a benchmark calls inside.
 * See also: gbench.h.
 */
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "gbench.h"

static std::atomic<bool> failed;

static benchmark::State *state_of(struct gbench *g)
{
    return reinterpret_cast<benchmark::State *>(g);
}

static const benchmark::State *state_of(const struct gbench *g)
{
    return reinterpret_cast<const benchmark::State *>(g);
}

static std::string format_text(const char *format, va_list args)
{
    char text[512];

    std::vsnprintf(text, sizeof text, format, args);
    return text;
}

void gbench_register(const struct gbench_case *c)
{
    auto fn = c->fn;
    auto *b = benchmark::RegisterBenchmark(c->name, [fn](benchmark::State &state) {
        fn(reinterpret_cast<struct gbench *>(&state));
    });
    std::vector<std::string> names;
    std::vector<int64_t> args;

    for (int i = 0; i < GBENCH_ARGS && c->arg_names[i]; i++) {
        names.push_back(c->arg_names[i]);
        args.push_back(c->args[i]);
    }
    if (!names.empty())
        b->ArgNames(names)->Args(args);
    if (c->threads > 1)
        b->Threads(c->threads);
    if (c->manual_time)
        b->UseManualTime();
    else
        b->UseRealTime();
    if (c->iterations)
        b->Iterations(c->iterations);
    if (c->unit && !std::strcmp(c->unit, "us"))
        b->Unit(benchmark::kMicrosecond);
    else if (c->unit && !std::strcmp(c->unit, "ms"))
        b->Unit(benchmark::kMillisecond);
}

void gbench_context(const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    benchmark::AddCustomContext(key, format_text(format, args));
    va_end(args);
}

int gbench_main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return failed ? 1 : 0;
}

bool gbench_loop(struct gbench *g, int64_t n)
{
    return state_of(g)->KeepRunningBatch(n);
}

int64_t gbench_arg(const struct gbench *g, int i)
{
    return state_of(g)->range(static_cast<std::size_t>(i));
}

int gbench_thread(const struct gbench *g)
{
    return state_of(g)->thread_index();
}

void gbench_pause(struct gbench *g)
{
    state_of(g)->PauseTiming();
}

void gbench_resume(struct gbench *g)
{
    state_of(g)->ResumeTiming();
}

void gbench_set_time(struct gbench *g, double seconds)
{
    state_of(g)->SetIterationTime(seconds);
}

void gbench_set_bytes(struct gbench *g, int64_t bytes)
{
    state_of(g)->SetBytesProcessed(bytes);
}

void gbench_set_items(struct gbench *g, int64_t items)
{
    state_of(g)->SetItemsProcessed(items);
}

void gbench_counter(struct gbench *g, const char *name, double value)
{
    state_of(g)->counters[name] = benchmark::Counter(value, benchmark::Counter::kAvgThreads);
}

void gbench_skip(struct gbench *g, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    state_of(g)->SkipWithError(("skipped: " + format_text(format, args)).c_str());
    va_end(args);
}

void gbench_fail(struct gbench *g, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    failed = true;
    state_of(g)->SkipWithError(("failed: " + format_text(format, args)).c_str());
    va_end(args);
}

double gbench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<double>(ts.tv_sec) + 1e-9 * static_cast<double>(ts.tv_nsec);
}
