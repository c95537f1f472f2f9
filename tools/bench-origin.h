/* SPDX-License-Identifier: MIT
 *
 * bench-origin.h - the web server that remote cases of `hugelite bench` read from: a process of
 * its own on the loopback interface, behind a link whose latency and rate are set as a case
 * needs them.
 *
 * It serves whole files and ranges of them by HTTP/1.1 on kept connections.  Each response waits
 * for the latency before its headers; all connections share the rate, in turns of a few KiB, so
 * that a small response is not stuck behind a large one.  Every request is logged.
 */
#ifndef HL_BENCH_ORIGIN_H
#define HL_BENCH_ORIGIN_H

#include <stddef.h>
#include <stdint.h>

struct bench_origin;

/* Files it serves, at most. */
#define BENCH_ORIGIN_FILES 2

struct bench_link {
    uint64_t latency_ns;     /* of each response */
    uint64_t rate;           /* bytes per second of all connections together; 0 = no limit */
    double slow_share;       /* of the responses: these wait ten times as long */
};

/* What it has done since it was started. */
struct bench_traffic {
    uint64_t requests;       /* received, whatever came of them */
    uint64_t bytes;          /* sent, without headers */
};

/* Begin to serve files, with no latency and no limit.  Returns 0 or -errno.  The process dies
 * with its parent. */
int bench_origin_start(const char *const *paths, unsigned nr, struct bench_origin **ret_origin);
void bench_origin_stop(struct bench_origin *origin); /* NULL is fine */

/* Where one of the files is found. */
void bench_origin_url(const struct bench_origin *origin, unsigned file, char *out, size_t room);

/* From now on; which of the responses are slow begins anew, too. */
void bench_origin_set_link(struct bench_origin *origin, const struct bench_link *link);

/* The rest may be called by any child of the process that has started it. */

struct bench_traffic bench_origin_traffic(const struct bench_origin *origin);

/* How many requests there were one after the other, each sent when the one before had been
 * answered, among those that came after the first `skip` and whose answers had gone out by
 * then (CLOCK_MONOTONIC). */
unsigned bench_origin_rounds(const struct bench_origin *origin, uint64_t skip, uint64_t until_ns);

/* Wait until no request has been under way for so long, up to the patience; nanoseconds. */
void bench_origin_settle(const struct bench_origin *origin, uint64_t quiet_ns,
                         uint64_t patience_ns);

#endif
