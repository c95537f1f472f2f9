/* SPDX-License-Identifier: MIT
 *
 * replay-trace.c - reads what `hugelite bench --trace` writes; the format is in README.md ("Traces").
 *
 * Entry points: trace_read, trace_free.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

enum { READERS_MAX = 256, CHUNKS_MAX = 1 << 24 };

static int complain(const char *path, unsigned long line, const char *what)
{
    fprintf(stderr, "replay: %s:%lu: %s\n", path, line, what);
    return -1;
}

/* The lines before the first visit: version, workload, readers, volumes. */
static int read_header(struct trace *trace, const char *path, FILE *f, unsigned long *ret_line)
{
    char text[4400];
    unsigned long line = 0;
    uint32_t version = 0, volume, chunks, volumes = 0;

    while (fgets(text, sizeof text, f)) {
        line++;
        if (line == 1) {
            if (sscanf(text, "hugelite-trace %" SCNu32, &version) != 1 || version != 1)
                return complain(path, line, "not a trace of version 1");
        } else if (sscanf(text, "workload %63s", trace->workload) == 1) {
            continue;
        } else if (sscanf(text, "readers %" SCNu32, &trace->nr_readers) == 1) {
            continue;
        } else if (sscanf(text, "volume %" SCNu32 " %" SCNu32, &volume, &chunks) == 2) {
            if (volume != volumes++ || !chunks || chunks > CHUNKS_MAX - trace->nr_chunks)
                return complain(path, line, "a wrong volume");
            trace->nr_chunks += chunks;
        } else if (!strcmp(text, "visits\n")) {
            *ret_line = line;
            if (!trace->nr_chunks || !trace->nr_readers || trace->nr_readers > READERS_MAX)
                return complain(path, line, "a header without readers or volumes");
            return 0;
        } else {
            return complain(path, line, "not a line of a header");
        }
    }
    return complain(path, line, "ends before its visits");
}

static int read_visits(struct trace *trace, const char *path, FILE *f, unsigned long line)
{
    uint32_t last[READERS_MAX];
    size_t room = 0;
    char text[128];

    memset(last, 0xff, sizeof last);
    while (fgets(text, sizeof text, f)) {
        struct visit *v;
        uint32_t reader;

        line++;
        if (trace->nr_visits == room) {
            room = room ? 2 * room : 4096;
            v = realloc(trace->visits, room * sizeof *v);
            if (!v)
                return complain(path, line, "no memory");
            trace->visits = v;
        }
        v = &trace->visits[trace->nr_visits++];
        if (sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, &reader, &v->chunk,
                   &v->leaves, &v->interiors) != 4 || !strchr(text, '\n'))
            return complain(path, line, "not a visit");
        if (reader >= trace->nr_readers || v->chunk >= trace->nr_chunks ||
            (!v->leaves && !v->interiors))
            return complain(path, line, "a visit by nobody, to nothing, or for nothing");
        v->reader = (uint16_t)reader;
        v->again = last[reader] == v->chunk;
        last[reader] = v->chunk;
        trace->nr_touches += (uint64_t)v->leaves + v->interiors;
    }
    return ferror(f) ? complain(path, line, strerror(errno)) : 0;
}

int trace_read(const char *path, struct trace *ret_trace)
{
    FILE *f = fopen(path, "re");
    unsigned long line = 0;
    int rc;

    *ret_trace = (struct trace){ .nr_chunks = 0 };
    if (!f) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    rc = read_header(ret_trace, path, f, &line);
    if (rc == 0)
        rc = read_visits(ret_trace, path, f, line);
    if (rc == 0 && !ret_trace->nr_visits)
        rc = complain(path, line, "has no visits");
    if (rc < 0)
        trace_free(ret_trace);
    fclose(f);
    return rc;
}

void trace_free(struct trace *trace)
{
    free(trace->visits);
    trace->visits = NULL;
}
