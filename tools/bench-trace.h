/* SPDX-License-Identifier: MIT
 *
 * bench-trace.h - between the two files of `hugelite bench --trace`: a recorder is an SQLite VFS over
 * the stock one that writes down which chunks are read.
 */
#ifndef HL_BENCH_TRACE_H
#define HL_BENCH_TRACE_H

#include <stdint.h>
#include <stdio.h>

#define BENCH_RECORDER_VFS "hugelite-recorder"

/* What one reader does to one chunk until he goes elsewhere, or his turn ends. */
struct bench_visit {
    uint32_t reader, chunk;
    uint32_t leaves, interiors; /* pages read */
};

struct bench_recorder {
    FILE *file;                 /* NULL: nothing is written yet */
    struct bench_visit visit; /* not yet written; no pages = none */
    uint64_t visits, touches;
};

/* Register the VFS; it writes to this recorder.  A database is opened with the URI parameters
 * `reader` (his number) and `base` (of the volume's first chunk).  Returns an SQLite code. */
int bench_recorder_register(struct bench_recorder *recorder);

/* The turn of a reader ends. */
void bench_recorder_flush(struct bench_recorder *recorder);

#endif
