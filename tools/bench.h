/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the files of `hugelite bench` share.
 *
 * The program itself never opens a database nor a pool: all that happens in
 * children, so that a "fresh process" is one, and so that Ctrl-C has one place
 * that waits (bench_child_wait) and one that cleans up (bench_cleanup).
 */
#ifndef HL_BENCH_H
#define HL_BENCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sqlite3.h>

struct bench_origin;

#define BENCH_MAX_READERS 16      /* processes of one system at a time */
#define BENCH_MAX_COUNTS 8        /* entries of --processes */
#define BENCH_MAX_ROUNDS 99
#define BENCH_PACK_LEVEL "3"      /* of `hugelite pack`, zstd and squashfs */
#define BENCH_COLD_LOOKUPS 10000u /* of a fresh process on an empty cache */
#define BENCH_DB_VERSION 2        /* of the content we generate; part of the stamp */
#define BENCH_MAX_TOGETHER 200    /* processes that do a job together */
#define BENCH_MAX_SECONDS 3600
#define BENCH_SLOW_SHARE 0.05     /* of the responses in the case with a slow tail */

enum bench_case {
    BENCH_LOOKUP,          /* point lookups, a transaction each; per second */
    BENCH_LOOKUP_TXN,      /* point lookups inside one transaction; per second */
    BENCH_SCAN,            /* sum(length(v)) over all rows; seconds */
    BENCH_COUNT,           /* count(*); seconds */
    BENCH_SQL,             /* the user's statement, all its rows; seconds */
    BENCH_OPEN,            /* fresh process: open to first row; seconds */
    BENCH_FRESH_SCAN,      /* fresh process: its first full scan; seconds */
    BENCH_FRESH_COUNT,     /* fresh process: its first count(*); seconds */
    BENCH_FRESH_SQL,       /* fresh process: the user's statement; seconds */
    BENCH_SORT,            /* fresh process: what makes SQLite use its heap; seconds */
    BENCH_GROUP,
    BENCH_JOIN,
    BENCH_NR_CASES,
};

/* What --cases chooses from. */
enum bench_group { BENCH_G_LOOKUP, BENCH_G_TRANSACTION, BENCH_G_SCAN, BENCH_G_COUNT, BENCH_G_FRESH,
                   BENCH_G_COLD, BENCH_G_COLD_SCAN, BENCH_G_COLD_LOOKUP, BENCH_G_ANALYTIC,
                   BENCH_G_PACK, BENCH_G_REMOTE_LOOKUP, BENCH_G_REMOTE_SCAN, BENCH_G_REMOTE_COLD,
                   BENCH_G_REMOTE_TAIL, BENCH_G_REMOTE_LIST,
                   BENCH_G_ZIPF, BENCH_G_UNIFORM, BENCH_G_BESIDE, BENCH_G_CORES, BENCH_G_READERS,
                   BENCH_NR_GROUPS };
#define BENCH_WARM_GROUPS ((1u << BENCH_G_LOOKUP) | (1u << BENCH_G_TRANSACTION) \
                           | (1u << BENCH_G_SCAN) | (1u << BENCH_G_COUNT))
#define BENCH_REMOTE_GROUPS ((1u << BENCH_G_REMOTE_LOOKUP) | (1u << BENCH_G_REMOTE_SCAN) \
                             | (1u << BENCH_G_REMOTE_COLD) | (1u << BENCH_G_REMOTE_TAIL) \
                             | (1u << BENCH_G_REMOTE_LIST))
#define BENCH_PRESSURE_GROUPS ((1u << BENCH_G_ZIPF) | (1u << BENCH_G_UNIFORM) \
                               | (1u << BENCH_G_BESIDE) | (1u << BENCH_G_CORES) \
                               | (1u << BENCH_G_READERS))

enum bench_system_id {
    BENCH_STOCK,           /* as anybody opens it */
    BENCH_MMAP,            /* immutable=1, mmap_size as far as the build allows */
    BENCH_COPY,            /* the same on a copy of the file in hugetlbfs */
    BENCH_CACHE,           /* immutable=1, a private page cache that holds the database */
    BENCH_PREAD,           /* immutable=1, nothing else */
    BENCH_HUGELITE,
    BENCH_ZST,             /* hugelite over the packed database */
    BENCH_SMALL,           /* hugelite, in a pool of a quarter of the database */
    BENCH_NOHEAP,          /* hugelite, SQLite's memory where it usually is */
    BENCH_UNPACK,          /* zstd -d into a file, then as BENCH_MMAP */
    BENCH_SQUASHFS,        /* as BENCH_MMAP, on a squashfs image of the database */
    BENCH_REMOTE,          /* hugelite over the database on our own web server */
    BENCH_REMOTE_ZST,      /* the same, packed */
    BENCH_DOWNLOAD,        /* fetched into a file, then as BENCH_MMAP */
    BENCH_RANDOM,          /* as BENCH_MMAP, the kernel told that reads are random */
    BENCH_NR_SYSTEMS,
};

struct bench_system {
    const char *name;      /* in --systems and --json */
    const char *label;     /* in the table */
    unsigned groups;       /* where it can take part: a bit for each of enum bench_group */
    unsigned by_default;   /* where it does without being named */
    bool wanted;
    bool skipped;
    char why[320];         /* why skipped; or what to know about it, or "" */
    unsigned max_readers;  /* more do not fit the memory */
};

/* Latencies are told of the first hundred lookups, of the first thousand and of all. */
enum { BENCH_NR_WINDOWS = 3 };
extern const unsigned bench_windows[BENCH_NR_WINDOWS];

/* What is left of earlier runs when a remote database is looked into first. */
enum bench_first {
    BENCH_F_EMPTY,         /* nothing */
    BENCH_F_CATALOG,       /* the catalog, and no disk tier */
    BENCH_F_TIER,          /* the catalog and the disk tier */
    BENCH_NR_FIRSTS,
};

/* The packed database. */
struct bench_packed {
    uint64_t bytes, frames, decoded_bytes;
    uint64_t frame_bytes;  /* decoded, of the largest */
};

/* What a cold scan cannot do without, in bytes of the database per second, and what a
 * cold lookup cannot.  0 = not measured. */
struct bench_rates {
    double decode;         /* D: libzstd, one thread, in memory, frames of the packed database */
    double decode_all;     /* the same by all processors at once, of each */
    double copy;           /* K: UFFDIO_COPY, one thread */
    double read;           /* pread of the plain file, one thread */
    double frame_seconds;  /* decoding one frame somewhere in the file, in memory; median */
    double frame_read_seconds; /* reading it by pread, too */
};

/* What one child answers: one struct for all jobs, since they are small. */
struct bench_reply {
    int rc;                /* 0 or -errno; message says what failed */
    char message[320];
    bool ready;            /* "I wait at the barrier", the others are unset */
    uint64_t ops;
    double seconds;
    double open_seconds;   /* open to first row, in a fresh process */
    uint64_t page_tables;  /* bytes this process gained: VmPTE */
    uint64_t private_bytes; /* bytes this process gained: smaps_rollup Private_* */
    uint64_t heap_bytes;   /* huge pages of its heap */
    /* one-shot jobs */
    uint64_t bytes, rows, mapped_bytes;
    uint64_t source_bytes, fills, resident_bytes, page_bytes, frames_decoded, early_reads;
    char pages[16];
    /* of cold cases */
    double unpack_seconds, warm_seconds; /* before the statement; of the statement once more */
    double median[BENCH_NR_WINDOWS], p99[BENCH_NR_WINDOWS]; /* of single lookups */
    struct bench_packed packed;
    struct bench_rates rates;
    /* of remote cases */
    double first_seconds;  /* before the open to the first row */
    double mean[BENCH_NR_WINDOWS]; /* of single lookups */
    uint64_t requests, rounds; /* as the origin saw them; one after the other */
    /* of cases under pressure */
    uint64_t misses;       /* reads that the cache did not answer */
    uint64_t evictions;
};

struct bench_config {
    /* what was asked for */
    const char *db_option, *sql, *dir_option, *pool_option;
    uint64_t size;
    unsigned counts[BENCH_MAX_COUNTS], nr_counts, max_count;
    double seconds;
    unsigned rounds;
    bool json;
    bool no_huge_heap;     /* --no-huge-heap */
    double latency;        /* --latency, in seconds */
    uint64_t rate;         /* --rate, in bytes per second; 0 = no limit */
    unsigned groups;       /* --cases: a bit for each of enum bench_group */
    const char *trace;     /* --trace: nothing is measured, a trace is written */
    int workload;          /* --workload: bench_trace_workload() */
    struct bench_system systems[BENCH_NR_SYSTEMS];

    /* what there is */
    char db[PATH_MAX];
    char db_building[PATH_MAX]; /* to be removed if we leave before it is whole */
    char trace_building[PATH_MAX]; /* the same */
    char db_dir[PATH_MAX]; /* our directory for a database not to be kept, "" = none */
    uint64_t db_bytes;
    uint64_t rows;
    char pool[PATH_MAX];   /* of hugelite */
    bool pool_made;        /* there was none: we remove it at the end */
    char pages[16];        /* "hugetlb" or "shmem" */
    uint64_t page_bytes;
    char huge_dir[PATH_MAX]; /* our directory on hugetlbfs, "" = none */
    char shm_dir[PATH_MAX];  /* our directory on /dev/shm, "" = none */
    char copy[PATH_MAX];   /* the copy in hugetlbfs */
    char work_dir[PATH_MAX]; /* our directory on disk beside the database, "" = none */
    char packed[PATH_MAX]; /* the packed database */
    struct bench_packed packing;
    char unpacked[PATH_MAX], squashfs_image[PATH_MAX], squashfs_mount[PATH_MAX];
    char small_pool[PATH_MAX];
    char group_dir[PATH_MAX]; /* our memory cgroup, "" = none */
    char group_why[320];   /* why there is none */
    bool group_unified;    /* it is of version 2 */
    struct bench_origin *origin; /* NULL = not needed */
    char remote_url[2][PATH_MAX]; /* the database; the packed one */
    char remote_pool[PATH_MAX], state_dir[PATH_MAX], downloaded[PATH_MAX];
    uint64_t pool_budget, small_budget, remote_budget; /* of each pool, in bytes */
    uint64_t mmap_bytes;   /* what stock SQLite really maps */
    uint64_t huge_free;    /* free huge pages before we took any */
    uint64_t left_cache;   /* bytes of the file not in the page cache at the end, if many */
};

struct bench_series {
    double round[BENCH_MAX_ROUNDS];
    unsigned nr;
};

/* Programs that pack a database, or check a packed one; each of ours after its peer. */
enum bench_program { BENCH_P_ZSTD, BENCH_P_PACK, BENCH_P_ZSTD_TEST, BENCH_P_VERIFY,
                     BENCH_NR_PROGRAMS };

/* The statements that a cold scan is tried with. */
enum bench_statement { BENCH_S_SCAN, BENCH_S_COUNT, BENCH_S_SQL, BENCH_NR_STATEMENTS };

/* A fresh process on an empty cache; all seconds are from before the open to the last row. */
struct bench_cold_scan {
    struct bench_series seconds[BENCH_NR_SYSTEMS];
    struct bench_series unpacking;               /* the part of it that is zstd's */
    struct bench_series warm[BENCH_NR_SYSTEMS];  /* the statement once more, in that process */
};

struct bench_cold_lookup {
    struct bench_series seconds[BENCH_NR_SYSTEMS]; /* of all BENCH_COLD_LOOKUPS */
    struct bench_series warming[BENCH_NR_SYSTEMS]; /* hugelite_volume_warm() and then the same */
    struct bench_series median[BENCH_NR_SYSTEMS][BENCH_NR_WINDOWS];
    struct bench_series p99[BENCH_NR_SYSTEMS][BENCH_NR_WINDOWS];
    struct bench_series early_reads[BENCH_NR_SYSTEMS];
};

struct bench_rate_series {
    struct bench_series decode, decode_all, copy, read, frame_seconds, frame_read_seconds;
};

/* N fresh processes at once on an empty cache. */
struct bench_cold_readers {
    bool done;
    unsigned readers;
    double seconds;        /* until the last of them had its answer */
    double fastest;        /* until the first had */
    uint64_t source_bytes, fills, frames_decoded;
};

/* Lookups in a cold remote database, one by one. */
struct bench_remote_lookup {
    struct bench_series seconds[BENCH_NR_FIRSTS];  /* the first, with the open */
    struct bench_series rounds[BENCH_NR_FIRSTS];   /* requests one after the other until then */
    struct bench_series requests[BENCH_NR_FIRSTS]; /* all until then */
    struct bench_series median[2], mean[2];        /* the next ones: of bench_windows[0], [1] */
    struct bench_series later_requests;            /* of bench_windows[1] of them */
};

struct bench_remote_scan {
    struct bench_series seconds; /* before the open to the last row */
    struct bench_series requests;
};

/* Lookups of one request each; a share of the responses is slow, or none. */
struct bench_remote_tail {
    struct bench_series median[2], p99[2], requests[2]; /* [0] none, [1] some are slow */
};

/* From the open until lookups on a hot set are as fast as they get. */
struct bench_remote_list {
    struct bench_series seconds[2]; /* [0] nothing known, [1] with a recorded list */
    struct bench_series rate[2];    /* lookups per second then */
    struct bench_series bytes[2];   /* that the origin has sent */
};

struct bench_remote {
    struct bench_series request_seconds; /* of one request through libcurl, median */
    struct bench_remote_lookup lookups[BENCH_NR_SYSTEMS];
    struct bench_remote_scan scans[BENCH_NR_SYSTEMS];
    struct bench_remote_tail tails[BENCH_NR_SYSTEMS];
    struct bench_remote_list lists[BENCH_NR_SYSTEMS];
};

/* Lookups by several processes for a time. */
struct bench_load {
    struct bench_series rate;      /* per second, of all together */
    struct bench_series worst;     /* the worst one-second window against the mean */
    struct bench_series reads;     /* that the cache did not answer, for each lookup */
    struct bench_series evictions; /* of the pool, from its beginning */
};

/* What runs beside lookups. */
enum bench_beside { BENCH_BY_NOTHING, BENCH_BY_STOCK, BENCH_BY_HUGELITE, BENCH_NR_BESIDES };

struct bench_beside_load {
    struct bench_series median, p99, rate, reads;
    struct bench_series scanned;   /* by the other, rows per second */
};

/* Many processes that have opened the database. */
struct bench_crowd {
    struct bench_series memory;    /* of the processes together */
    struct bench_series pool;      /* of the pool's files */
    struct bench_series cached;    /* the part of it that is data */
};

struct bench_pressure {
    struct bench_load zipf[BENCH_MAX_COUNTS][BENCH_NR_SYSTEMS];
    struct bench_load uniform[BENCH_MAX_COUNTS][BENCH_NR_SYSTEMS];
    uint64_t limit;                /* of zipf: bytes for each system */
    uint64_t limit_beside_pool;    /* of that, what hugelite's processes have but for the pool */
    struct bench_beside_load beside[BENCH_NR_BESIDES];
    struct bench_series one[BENCH_NR_SYSTEMS], all[BENCH_NR_SYSTEMS]; /* processors */
    struct bench_crowd crowd[BENCH_NR_SYSTEMS];
};

struct bench_results {
    /* by case, by entry of --processes (0 for the fresh ones), by system */
    struct bench_series series[BENCH_NR_CASES][BENCH_MAX_COUNTS][BENCH_NR_SYSTEMS];
    struct bench_series page_tables[BENCH_NR_SYSTEMS];
    struct bench_series private_bytes[BENCH_NR_SYSTEMS];
    struct bench_series heap_bytes[BENCH_NR_CASES];     /* of hugelite */
    struct bench_cold_readers cold[BENCH_NR_SYSTEMS][BENCH_MAX_COUNTS];
    struct bench_cold_scan scans[BENCH_NR_STATEMENTS];
    struct bench_cold_lookup lookups;
    struct bench_rate_series rates;
    struct bench_series programs[BENCH_NR_PROGRAMS]; /* seconds */
    struct bench_remote remote;
    struct bench_pressure pressure;
};

/* ---- processes (bench-worker.c) ----------------------------------------- */

struct bench_child {
    pid_t pid;
    int fd;                /* its end of the conversation; -1 = none */
};

/* Shared by all processes. */
struct bench_shared {
    _Atomic uint32_t go;   /* counts starts; children sleep on it */
    _Atomic uint32_t windows[BENCH_MAX_READERS][BENCH_MAX_SECONDS]; /* lookups in each second */
};

int bench_processes_init(void);

/* In a child that has just been forked: it dies with its parent, however that one dies, holds
 * none of what is said to others, and takes signals as a program does. */
void bench_child_begin(pid_t parent);

/* Run job(config, arg, reply) in a child of its own and wait for its reply.
 * Returns 0 or -errno with the message in reply; -EINTR when Ctrl-C came. */
typedef int bench_job(const struct bench_config *config, uint64_t arg, struct bench_reply *reply);
int bench_run_job(const struct bench_config *config, bench_job *job, uint64_t arg,
                  struct bench_reply *ret_reply);

/* A reader that stays: opened and warmed, it then measures what it is told. */
int bench_worker_start(const struct bench_config *config, enum bench_system_id system,
                       unsigned slot, struct bench_child *ret_child, struct bench_reply *reply);

/* Let the first nr of workers do a case together; replies[nr]. */
int bench_workers_measure(struct bench_child *workers, unsigned nr, enum bench_case which,
                          struct bench_reply *replies);

/* nr fresh processes do a case together; replies[nr]. */
int bench_fresh_measure(const struct bench_config *config, enum bench_system_id system,
                        unsigned nr, enum bench_case which, struct bench_reply *replies);

/* nr children, at most BENCH_MAX_TOGETHER, that run job(config, args[i], reply), which calls
 * bench_barrier() once, when it is ready to be measured.  Then let them go, and collect what they say;
 * they stay until they are ended.  After a failure bench_children_kill() is what ends them. */
int bench_together_start(const struct bench_config *config, bench_job *job, const uint64_t *args,
                         unsigned nr, struct bench_child *ret_children);
void bench_barrier(void);
int bench_together_measure(const struct bench_child *children, unsigned nr,
                           struct bench_reply *replies);
void bench_together_end(const struct bench_child *children, unsigned nr);
_Atomic uint32_t *bench_windows_of(unsigned reader);

/* What children share that run a statement of their own. */
const char *bench_case_sql(const struct bench_config *config, enum bench_case which);
int bench_run_statement(sqlite3 *db, sqlite3_stmt *stmt, struct bench_reply *reply);
uint64_t bench_xorshift(uint64_t *state);

void bench_children_kill(void);
int bench_interrupted(void);       /* 0, or the signal that came */

/* ---- the systems (bench-system.c) --------------------------------------- */

extern const struct bench_system bench_systems[BENCH_NR_SYSTEMS];

/* A directory of our own, held by a lock so that a later run can tell it from
 * what a killed one left behind (which it removes).  Returns 0 or -errno. */
int bench_dir_make(const char *parent, char ret_dir[PATH_MAX]);

/* Does a system take part in a group of cases, with that many readers? */
bool bench_takes_part(const struct bench_config *config, unsigned system, enum bench_group group,
                      unsigned readers);
bool bench_is_hugelite(enum bench_system_id system);
bool bench_is_remote(enum bench_system_id system); /* and one of hugelite's */

/* In a child that is to be one of hugelite's: its heap on huge pages, where there are some. */
void bench_heap_start(const struct bench_config *config, enum bench_system_id system);

/* Encoded bytes of what one of hugelite's reads. */
uint64_t bench_source_bytes(const struct bench_config *config, enum bench_system_id system);

/* What a system reads, and for one of hugelite's, through which pool. */
const char *bench_source(const struct bench_config *config, enum bench_system_id system);
const char *bench_pool(const struct bench_config *config, enum bench_system_id system);

/* A directory of ours on the mount of the pool. */
int bench_dir_beside_pool(struct bench_config *config, const char **ret_dir);

/* With all that is in it; nothing happens when it is not there. */
void bench_remove_tree(const char *path);

void bench_skip(struct bench_system *system, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A path as a URI has it. */
void bench_escape(const char *path, char *out, size_t room);
int bench_systems_prepare(struct bench_config *config);
int bench_system_open(const struct bench_config *config, enum bench_system_id system,
                      sqlite3 **ret_db, struct bench_reply *reply);
void bench_cleanup(struct bench_config *config);

/* arg: enum bench_system_id */
bench_job bench_job_pool_evict, bench_job_pool_stat, bench_job_read_file;
bench_job bench_job_look_at_page_cache;
bench_job bench_job_drop_page_cache; /* what of the database is in it */

/* ---- the packed database and its peers (bench-packed.c) ------------------ */

/* Pack it, where a system wants it, and make what the peers of the packed one read.  Says
 * itself what failed. */
int bench_packed_prepare(struct bench_config *config);
void bench_packed_cleanup(struct bench_config *config);

/* Run argv[0] to its end, from a child; it dies with that one.  What it says on stderr is the
 * message when it fails. */
int bench_run_program(const char *const *argv, struct bench_reply *reply);
bool bench_have_program(const char *name);

bench_job bench_job_unpack;        /* into config->unpacked */
bench_job bench_job_remount;       /* the squashfs image, so that none of it is cached decoded */
bench_job bench_job_rates;

/* ---- packing (bench-pack.c) ---------------------------------------------- */

struct hl_json;
int bench_packs(const struct bench_config *config, struct bench_results *results,
                struct bench_reply *reply);
void bench_report_pack_table(const struct bench_config *config,
                             const struct bench_results *results);
void bench_report_pack_json(struct hl_json *json, const struct bench_results *results);

/* ---- cold cases (bench-cold.c) ------------------------------------------ */

int bench_cold_scans(const struct bench_config *config, struct bench_results *results,
                     struct bench_reply *reply);
int bench_cold_lookups(const struct bench_config *config, struct bench_results *results,
                       struct bench_reply *reply);

/* For jobs of the cold cases. */
int bench_open_and_prepare(const struct bench_config *config, enum bench_system_id system,
                           enum bench_case which, sqlite3 **ret_db, sqlite3_stmt **ret_stmt,
                           struct bench_reply *reply);
int bench_lookup(sqlite3 *db, sqlite3_stmt *stmt, uint64_t id, struct bench_reply *reply);
/* Sorts nr values. */
void bench_summarize(double *values, unsigned nr, double *ret_median, double *ret_p99);

/* ---- remote cases (bench-remote.c) -------------------------------------- */

/* Start the origin, where a system wants it, and say where hugelite keeps its state.  Says itself
 * what failed. */
int bench_remote_prepare(struct bench_config *config);

/* Nothing of a remote database in the pool, nor, without keep_state, anywhere else. */
int bench_remote_make_cold(const struct bench_config *config, bool keep_state,
                           struct bench_reply *reply);

/* Latency and rate as asked for, or with no limit to the rate; or neither. */
enum bench_link_kind { BENCH_L_FREE, BENCH_L_LATENCY, BENCH_L_LIMITED };
void bench_remote_link(const struct bench_config *config, enum bench_link_kind kind);

int bench_remote_lookups(const struct bench_config *config, struct bench_remote *remote,
                         struct bench_reply *reply);
int bench_remote_scans(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply);
int bench_remote_tails(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply);
int bench_remote_lists(const struct bench_config *config, struct bench_remote *remote,
                       struct bench_reply *reply);

/* Plain libcurl (bench-http.c): the median time of a request for a page on a kept connection, and
 * a whole file. */
bench_job bench_job_request;
int bench_http_download(const char *url, const char *path, struct bench_reply *reply);

void bench_report_remote_table(const struct bench_config *config,
                               const struct bench_results *results);
void bench_report_remote_json(struct hl_json *json, const struct bench_config *config,
                              const struct bench_results *results);

/* ---- keys (bench-zipf.c) -------------------------------------------------- */

struct bench_zipf {
    uint64_t nr;
    double zeta, eta, alpha;
};

struct bench_zipf bench_zipf_of(uint64_t nr);
/* 0 is the most frequent. */
uint64_t bench_zipf_rank(const struct bench_zipf *z, uint64_t *state);

/* ---- memory cgroups (bench-group.c) -------------------------------------- */

/* Find where one can be made; if nowhere, config->group_why says why. */
void bench_group_prepare(struct bench_config *config);

/* One at a time, for processes that enter it.  limit: bytes, 0 = none.  Returns 0 or -errno. */
int bench_group_make(const struct bench_config *config, uint64_t limit);
int bench_group_enter(const struct bench_config *config, struct bench_reply *reply);
uint64_t bench_group_bytes(const struct bench_config *config);
void bench_group_remove(const struct bench_config *config);

/* ---- cases under pressure (bench-pressure.c) ------------------------------ */

int bench_pressure(const struct bench_config *config, struct bench_pressure *pressure,
                   struct bench_reply *reply);

/* Their processes (bench-load.c). */
enum bench_keys { BENCH_K_ZIPF, BENCH_K_UNIFORM };
uint64_t bench_load_arg(enum bench_system_id system, enum bench_keys keys, unsigned reader,
                        bool in_group);
bench_job bench_job_load, bench_job_load_timed;
bench_job bench_job_scan_beside;   /* arg: as of a load */
bench_job bench_job_attend;        /* arg: as of a load; opens, reads and waits */

void bench_report_pressure_table(const struct bench_config *config,
                                 const struct bench_results *results);
void bench_report_pressure_json(struct hl_json *json, const struct bench_config *config,
                                const struct bench_results *results);

/* ---- the database (bench-db.c) ------------------------------------------ */

int bench_db_prepare(struct bench_config *config);

/* ---- traces (bench-trace.c) ---------------------------------------------- */

/* The workload of that name, or -1. */
int bench_trace_workload(const char *name);

/* Write config->trace.  Says itself what failed. */
int bench_trace(struct bench_config *config);

/* ---- the report (bench-report.c) ---------------------------------------- */

const char *bench_case_name(enum bench_case which);
bool bench_case_is_rate(enum bench_case which);
bool bench_case_is_fresh(enum bench_case which);
enum bench_group bench_case_group(enum bench_case which);
void bench_add(struct bench_series *series, double value);
double bench_median(const struct bench_series *series);
double bench_best(const struct bench_series *series, bool highest);
/* How many times hugelite is better than a system: the median over the rounds
 * of the ratio within a round; 0 = not known. */
double bench_ratio(const struct bench_series *system, const struct bench_series *hugelite,
                   bool is_rate);
void bench_report_table(const struct bench_config *config, const struct bench_results *results);
void bench_report_json(const struct bench_config *config, const struct bench_results *results);

/* The median over the rounds of above / below in one round. */
double bench_median_ratio(const struct bench_series *above, const struct bench_series *below);

void bench_json_series(struct hl_json *json, const char *key, const struct bench_series *series);
void bench_format_value(char *out, size_t room, double value, bool is_rate);

/* Cold cases (bench-report-cold.c). */
void bench_report_cold_table(const struct bench_config *config,
                             const struct bench_results *results);
void bench_report_cold_json(struct hl_json *json, const struct bench_config *config,
                            const struct bench_results *results);

/* Progress on a terminal; nothing elsewhere. */
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fill reply->message and return -code. */
int bench_fail(struct bench_reply *reply, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
