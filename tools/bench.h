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

#define BENCH_MAX_READERS 16      /* processes of one system at a time */
#define BENCH_MAX_COUNTS 8        /* entries of --processes */
#define BENCH_MAX_ROUNDS 99
#define BENCH_DB_VERSION 1        /* of the content we generate; part of the stamp */

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
    BENCH_NR_CASES,
};

/* What --cases chooses from. */
enum bench_group { BENCH_G_LOOKUP, BENCH_G_TRANSACTION, BENCH_G_SCAN, BENCH_G_COUNT, BENCH_G_FRESH,
                   BENCH_G_COLD, BENCH_NR_GROUPS };

enum bench_system_id {
    BENCH_STOCK,           /* as anybody opens it */
    BENCH_MMAP,            /* immutable=1, mmap_size as far as the build allows */
    BENCH_COPY,            /* the same on a copy of the file in hugetlbfs */
    BENCH_CACHE,           /* immutable=1, a private page cache that holds the database */
    BENCH_HUGELITE,
    BENCH_NR_SYSTEMS,
};

struct bench_system {
    const char *name;      /* in --systems and --json */
    const char *label;     /* in the table */
    bool wanted;
    bool skipped;
    char why[320];         /* why skipped; or what to know about it, or "" */
    unsigned max_readers;  /* more do not fit the memory */
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
    /* one-shot jobs */
    uint64_t bytes, rows, mapped_bytes;
    uint64_t source_bytes, fills, resident_bytes, page_bytes;
    char pages[16];
};

struct bench_config {
    /* what was asked for */
    const char *db_option, *sql, *dir_option, *pool_option;
    uint64_t size;
    unsigned counts[BENCH_MAX_COUNTS], nr_counts, max_count;
    double seconds;
    unsigned rounds;
    bool json;
    unsigned groups;       /* --cases: a bit for each of enum bench_group */
    struct bench_system systems[BENCH_NR_SYSTEMS];

    /* what there is */
    char db[PATH_MAX];
    char db_building[PATH_MAX]; /* to be removed if we leave before it is whole */
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
    uint64_t mmap_bytes;   /* what stock SQLite really maps */
    uint64_t huge_free;    /* free huge pages before we took any */
    uint64_t left_cache;   /* bytes of the file not in the page cache at the end, if many */
};

struct bench_series {
    double round[BENCH_MAX_ROUNDS];
    unsigned nr;
};

struct bench_results {
    /* by case, by entry of --processes (0 for the fresh ones), by system */
    struct bench_series series[BENCH_NR_CASES][BENCH_MAX_COUNTS][BENCH_NR_SYSTEMS];
    struct bench_series page_tables[BENCH_NR_SYSTEMS];
    struct bench_series private_bytes[BENCH_NR_SYSTEMS];
    struct {
        bool done;
        unsigned readers;
        double seconds;            /* until the last of them had its answer */
        uint64_t source_bytes, fills;
    } cold[BENCH_MAX_COUNTS];
};

/* ---- processes (bench-worker.c) ----------------------------------------- */

struct bench_child {
    pid_t pid;
    int fd;                /* its end of the conversation; -1 = none */
};

/* Shared by all processes: the start signal. */
struct bench_shared {
    _Atomic uint32_t go;   /* counts starts; children sleep on it */
};

int bench_processes_init(void);

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

void bench_children_kill(void);
int bench_interrupted(void);       /* 0, or the signal that came */

/* ---- the systems (bench-system.c) --------------------------------------- */

extern const struct bench_system bench_systems[BENCH_NR_SYSTEMS];

/* A directory of our own, held by a lock so that a later run can tell it from
 * what a killed one left behind (which it removes).  Returns 0 or -errno. */
int bench_dir_make(const char *parent, char ret_dir[PATH_MAX]);

int bench_systems_prepare(struct bench_config *config);
int bench_system_open(const struct bench_config *config, enum bench_system_id system,
                      sqlite3 **ret_db, struct bench_reply *reply);
void bench_cleanup(struct bench_config *config);

bench_job bench_job_pool_evict, bench_job_pool_stat, bench_job_read_file,
    bench_job_look_at_page_cache;

/* ---- the database (bench-db.c) ------------------------------------------ */

int bench_db_prepare(struct bench_config *config);

/* ---- the report (bench-report.c) ---------------------------------------- */

const char *bench_case_name(enum bench_case which);
bool bench_case_is_rate(enum bench_case which);
bool bench_case_is_fresh(enum bench_case which);
enum bench_group bench_case_group(enum bench_case which);
double bench_median(const struct bench_series *series);
double bench_best(const struct bench_series *series, bool highest);
/* How many times hugelite is better than a system: the median over the rounds
 * of the ratio within a round; 0 = not known. */
double bench_ratio(const struct bench_series *system, const struct bench_series *hugelite,
                   bool is_rate);
void bench_report_table(const struct bench_config *config, const struct bench_results *results);
void bench_report_json(const struct bench_config *config, const struct bench_results *results);

/* Progress on a terminal; nothing elsewhere. */
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fill reply->message and return -code. */
int bench_fail(struct bench_reply *reply, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
