/* SPDX-License-Identifier: MIT
 *
 * bench-trace.c - `hugelite bench --trace`: a workload of several readers, and which chunks it reads.
 *
 * The readers are connections of one process that take turns of about TURN_PAGES pages, so that each
 * gets about as much of the machine as another, and a trace is the same for the same options.
 * What the trace is good for, and its format, are in bench/README.md ("Replacement").
 *
 * Entry points: bench_trace_workload, bench_trace.
 * See also: bench-trace-vfs.c (writes), bench-zipf.c (which rows), bench/replay.c (reads).
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench-trace.h"
#include "tools.h"

enum {
    CHUNK_BYTES = 2 << 20,
    TOUCHES_A_CHUNK = 8192, /* pages read in a trace, for each chunk of a volume */
    TURN_PAGES = 64,
    RANGE_ROWS = 4096,      /* of a range, at most */
    HOT_SHARE = 8,          /* the hot set of ranges is that part of the rows */
    HOT_MOVES = 16,         /* in a trace, each by half its length */
    ELSEWHERE = 10,         /* one range of so many is outside of it */
};

enum role { NOBODY, ZIPF, SHUFFLED, UNIFORM, SCAN, RANGE };

struct workload {
    const char *name;
    enum role role;
    enum role second; /* of the last reader, or of the second half when there are two volumes */
    unsigned volumes;
};

static const struct workload workloads[] = {
    { "zipf", ZIPF, NOBODY, 1 },
    { "shuffled", SHUFFLED, NOBODY, 1 },
    { "uniform", UNIFORM, NOBODY, 1 },
    { "scan", ZIPF, SCAN, 1 },
    { "range", RANGE, NOBODY, 1 },
    { "volumes", ZIPF, SCAN, 2 },
};

struct reader {
    enum role role;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    bool running; /* the statement has rows to come */
    uint64_t state;
};

struct run {
    const struct bench_config *config;
    struct bench_recorder recorder;
    struct bench_zipf zipf, hot_zipf;
    uint64_t touches; /* in all */
    struct reader readers[BENCH_MAX_READERS];
};

int bench_trace_workload(const char *name)
{
    for (unsigned i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(workloads[i].name, name))
            return (int)i;
    return -1;
}

/* The row that a rank is when neighbours in rank are none in the table.  Two may be one row. */
static uint64_t shuffle(uint64_t rank, uint64_t rows)
{
    uint64_t x = (rank + 1) * 0x9e3779b97f4a7c15u;

    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x % rows;
}

/* Where a range begins: in a stretch of the table that moves on. */
static uint64_t range_start(const struct run *run, struct reader *reader)
{
    uint64_t rows = run->config->rows, hot = run->hot_zipf.nr;
    uint64_t move = run->recorder.touches * HOT_MOVES / run->touches;

    if (bench_xorshift(&reader->state) % ELSEWHERE == 0)
        return bench_xorshift(&reader->state) % rows;
    return (move * (hot / 2) + shuffle(bench_zipf_rank(&run->hot_zipf, &reader->state), hot))
           % rows;
}

static void bind(const struct run *run, struct reader *reader)
{
    uint64_t rows = run->config->rows, row = 0;

    switch (reader->role) {
    case ZIPF:
        row = bench_zipf_rank(&run->zipf, &reader->state);
        break;
    case SHUFFLED:
        row = shuffle(bench_zipf_rank(&run->zipf, &reader->state), rows);
        break;
    case UNIFORM:
        row = bench_xorshift(&reader->state) % rows;
        break;
    case RANGE:
        row = range_start(run, reader);
        sqlite3_bind_int64(reader->stmt, 2,
                           (int64_t)(row + 1 + bench_xorshift(&reader->state) % RANGE_ROWS));
        break;
    case SCAN:
    case NOBODY:
        return;
    }
    sqlite3_bind_int64(reader->stmt, 1, (int64_t)row + 1);
}

/* A row, or the end of a statement. */
static int step(const struct run *run, struct reader *reader, struct bench_reply *reply)
{
    int rc;

    if (!reader->running)
        bind(run, reader);
    rc = sqlite3_step(reader->stmt);
    if (rc == SQLITE_ROW)
        (void)sqlite3_column_blob(reader->stmt, 0);
    else if (rc != SQLITE_DONE)
        return bench_fail(reply, EIO, "%s: %s", run->config->db, sqlite3_errmsg(reader->db));
    reader->running = rc == SQLITE_ROW && (reader->role == SCAN || reader->role == RANGE);
    if (!reader->running)
        sqlite3_reset(reader->stmt);
    return 0;
}

static int take_turns(struct run *run, unsigned nr_readers, struct bench_reply *reply)
{
    struct bench_recorder *recorder = &run->recorder;

    while (recorder->touches < run->touches)
        for (unsigned i = 0; i < nr_readers; i++) {
            uint64_t end = recorder->touches + TURN_PAGES;

            while (recorder->touches < end)
                if (step(run, &run->readers[i], reply) < 0)
                    return reply->rc;
            bench_recorder_flush(recorder);
        }
    return 0;
}

/* ---- the child ------------------------------------------------------------------ */

static uint32_t chunks_of(const struct bench_config *config)
{
    return (uint32_t)((config->db_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

/* immutable=1, as in the other cases, so that no lock is taken and nothing asked again. */
static int open_reader(struct run *run, unsigned number, unsigned volume,
                       struct bench_reply *reply)
{
    static const char *const statements[] = {
        [ZIPF] = "SELECT v FROM kv WHERE id=?1",
        [SHUFFLED] = "SELECT v FROM kv WHERE id=?1",
        [UNIFORM] = "SELECT v FROM kv WHERE id=?1",
        [SCAN] = "SELECT v FROM kv",
        [RANGE] = "SELECT v FROM kv WHERE id BETWEEN ?1 AND ?2",
    };
    struct reader *reader = &run->readers[number];
    char path[3 * PATH_MAX], uri[3 * PATH_MAX + 128];

    reader->state = 0x9e3779b97f4a7c15u ^ (uint64_t)(number + 1) << 32;
    bench_escape(run->config->db, path, sizeof path);
    snprintf(uri, sizeof uri, "file:%s?mode=ro&immutable=1&reader=%u&base=%u", path, number,
             volume * chunks_of(run->config));
    if (sqlite3_open_v2(uri, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                        BENCH_RECORDER_VFS) != SQLITE_OK
        || sqlite3_exec(reader->db, "PRAGMA mmap_size=0; PRAGMA cache_size=1", NULL, NULL, NULL)
               != SQLITE_OK
        || sqlite3_prepare_v3(reader->db, statements[reader->role], -1, SQLITE_PREPARE_PERSISTENT,
                              &reader->stmt, NULL) != SQLITE_OK)
        return bench_fail(reply, EIO, "%s: %s", run->config->db, sqlite3_errmsg(reader->db));
    return 0;
}

static void write_header(const struct run *run, const struct workload *workload,
                         unsigned nr_readers)
{
    FILE *f = run->recorder.file;

    fprintf(f, "hugelite-trace 1\nworkload %s\nreaders %u\n", workload->name, nr_readers);
    for (unsigned i = 0; i < workload->volumes; i++)
        fprintf(f, "volume %u %" PRIu32 "\n", i, chunks_of(run->config));
    fprintf(f, "visits\n");
}

/* The same file stands for both volumes: what tells them apart is the number of the first chunk. */
static int open_readers(struct run *run, const struct workload *workload, unsigned nr_readers,
                        struct bench_reply *reply)
{
    unsigned nr_second = workload->volumes > 1 ? nr_readers / 2 : 1;

    for (unsigned i = 0; i < nr_readers; i++) {
        bool second = workload->second != NOBODY && i >= nr_readers - nr_second;

        run->readers[i].role = second ? workload->second : workload->role;
        if (open_reader(run, i, second ? workload->volumes - 1 : 0, reply) < 0)
            return reply->rc;
    }
    return 0;
}

static int record(struct run *run, struct bench_reply *reply)
{
    const struct bench_config *config = run->config;
    const struct workload *workload = &workloads[config->workload];
    unsigned nr_readers = config->max_count;
    int rc = bench_recorder_register(&run->recorder);

    if (rc != SQLITE_OK)
        return bench_fail(reply, EIO, "registering the VFS: %s", sqlite3_errstr(rc));
    if (workload->second != NOBODY && nr_readers < 2)
        nr_readers = 2;
    run->touches = (uint64_t)chunks_of(config) * workload->volumes * TOUCHES_A_CHUNK;
    run->zipf = bench_zipf_of(config->rows);
    run->hot_zipf = bench_zipf_of(config->rows / HOT_SHARE + 1);
    if (open_readers(run, workload, nr_readers, reply) < 0)
        return reply->rc;
    /* The schema has been read: the trace begins with the workload. */
    run->recorder.file = fopen(config->trace_building, "we");
    if (!run->recorder.file)
        return bench_fail(reply, errno, "%s: %s", config->trace_building, strerror(errno));
    write_header(run, workload, nr_readers);
    if (take_turns(run, nr_readers, reply) < 0)
        return reply->rc;
    reply->ops = run->recorder.visits;
    reply->rows = run->recorder.touches;
    return 0;
}

static int job_record(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct run *run = calloc(1, sizeof *run);
    FILE *f;

    (void)arg;
    if (!run)
        return bench_fail(reply, ENOMEM, "no memory");
    run->config = config;
    if (record(run, reply) < 0)
        return reply->rc;
    f = run->recorder.file;
    if (fflush(f) != 0 || ferror(f) || fclose(f) != 0
        || rename(config->trace_building, config->trace) < 0)
        return bench_fail(reply, errno, "%s: %s", config->trace, strerror(errno));
    return 0;
}

int bench_trace(struct bench_config *config)
{
    struct bench_reply reply = { 0 };
    int rc;

    if ((size_t)snprintf(config->trace_building, sizeof config->trace_building, "%s.%d.tmp",
                         config->trace, (int)getpid()) >= sizeof config->trace_building) {
        config->trace_building[0] = '\0';
        hl_tool_error("bench", "%s: the name is too long", config->trace);
        return -ENAMETOOLONG;
    }
    bench_progress("recording %s", workloads[config->workload].name);
    rc = bench_run_job(config, job_record, 0, &reply);
    bench_progress("%s", "");
    if (rc == 0)
        config->trace_building[0] = '\0';
    if (rc == 0)
        printf("%s: %s, %" PRIu64 " pages read in %" PRIu64 " visits\n", config->trace,
               workloads[config->workload].name, reply.rows, reply.ops);
    else if (rc != -EINTR)
        hl_tool_error("bench", "%s", reply.message);
    return rc;
}
