/* SPDX-License-Identifier: MIT
 *
 * bench-pressure.c - what is left of the speed when memory is short and others are busy: lookups with
 * a cache of a quarter of the database, beside a scan, on one processor and on all, and what
 * two hundred readers take.
 *
 * Entry point: bench_pressure.
 * See also: bench-load.c (the processes), bench-group.c (limits), bench-report-pressure.c.
 */
#include <config.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

enum {
    SHARE = 4,                        /* a cache is that part of the database */
    READERS = BENCH_MAX_TOGETHER,
};
/* What the processes of hugelite have beside the pool: a part of the limit, at least this. */
#define BESIDE_SHARE 8u
#define BESIDE_MIN (16u << 20)

struct pressure {
    const struct bench_config *config;
    struct bench_pressure *results;
    struct bench_reply *reply;        /* of what failed */
    unsigned round;
};

/* Say it on the terminal: which case, which system. */
static void progress(const struct pressure *p, const char *what, unsigned readers,
                     const char *label)
{
    bench_progress("%s, %u reader%s, round %u of %u, %s", what, readers, readers == 1 ? "" : "s",
                   p->round + 1, p->config->rounds, label);
}

/* ---- a pool of its own for each measurement ------------------------------------ */

/* What the files of a pool take of the machine's memory. */
static uint64_t pool_files(const char *dir)
{
    uint64_t bytes = 0;
    struct dirent *e;
    struct stat st;
    DIR *d = opendir(dir);

    if (!d)
        return 0;
    while ((e = readdir(d)))
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += 512 * (uint64_t)st.st_blocks;
    closedir(d);
    return bytes;
}

/* Make BENCH_SMALL's pool anew, empty.  arg: bytes that it may take, its tables included.
 * reply->bytes: its tables. */
static int job_make_pool(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = arg };
    struct hugelite_pool *pool;
    int rc;

    bench_remove_tree(config->small_pool);
    rc = hugelite_pool_open(config->small_pool, &opts, &pool);
    if (rc == 0) {
        reply->bytes = pool_files(config->small_pool);
        rc = hugelite_pool_resize(pool, arg - reply->bytes, NULL);
    }
    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    hugelite_pool_close(pool);
    return 0;
}

/* ---- lookups under a limit ------------------------------------------------------ */

/* The readers' windows together, the worst against the mean. */
static double worst_window(unsigned readers, unsigned seconds)
{
    double worst = 0, all = 0;

    for (unsigned w = 0; w < seconds; w++) {
        double sum = 0;

        for (unsigned i = 0; i < readers; i++)
            sum += atomic_load_explicit(&bench_windows_of(i)[w], memory_order_relaxed);
        all += sum;
        if (w == 0 || sum < worst)
            worst = sum;
    }
    return all > 0 ? worst * seconds / all : 0;
}

/* Readers by themselves until they are done; replies[readers]. */
static int run_readers(const struct pressure *p, enum bench_system_id system,
                       enum bench_keys keys, unsigned readers, bool in_group,
                       struct bench_reply *replies)
{
    struct bench_child children[BENCH_MAX_READERS];
    uint64_t args[BENCH_MAX_READERS];
    int rc;

    for (unsigned i = 0; i < readers; i++)
        args[i] = bench_load_arg(system, keys, i, in_group);
    rc = bench_together_start(p->config, bench_job_load, args, readers, children);
    if (rc < 0)
        return bench_fail(p->reply, -rc, "fork: %s", strerror(-rc));
    rc = bench_together_measure(children, readers, replies);
    if (rc < 0) {
        *p->reply = replies[0];
        return rc;
    }
    bench_together_end(children, readers);
    return 0;
}

static void add_load(const struct pressure *p, enum bench_system_id system,
                     struct bench_load *load, unsigned readers, const struct bench_reply *replies)
{
    double rate = 0, lookups = 0, misses = 0;

    for (unsigned i = 0; i < readers; i++) {
        rate += (double)replies[i].ops / replies[i].seconds;
        lookups += (double)replies[i].ops;
        misses += (double)replies[i].misses;
    }
    bench_add(&load->rate, rate);
    if (system != BENCH_STOCK && system != BENCH_PREAD) /* these tell us nothing */
        bench_add(&load->reads, misses / lookups);
    if (p->config->seconds >= 2)
        bench_add(&load->worst, worst_window(readers, (unsigned)p->config->seconds));
}

static int add_evictions(const struct pressure *p, enum bench_system_id system,
                         struct bench_load *load)
{
    int rc;

    if (!bench_is_hugelite(system))
        return 0;
    rc = bench_run_job(p->config, bench_job_pool_stat, system, p->reply);
    if (rc == 0)
        bench_add(&load->evictions, (double)p->reply->evictions);
    return rc;
}

/* The same memory for every system.  Of hugelite's, the pool is on huge pages, which no memory
 * cgroup counts, so that the limit of its processes, the pages of the source that they read
 * included, is what the pool leaves of it.  (A pool on small pages is counted.) */
static int limited_load(const struct pressure *p, enum bench_system_id system, unsigned readers,
                        struct bench_load *load)
{
    const struct bench_config *config = p->config;
    uint64_t limit = p->results->limit, beside = p->results->limit_beside_pool;
    struct bench_reply replies[BENCH_MAX_READERS];
    int rc = bench_run_job(config, bench_job_drop_page_cache, 0, p->reply);

    if (rc == 0 && system == BENCH_SMALL) {
        rc = bench_run_job(config, job_make_pool, limit - beside, p->reply);
        if (!strcmp(config->pages, "hugetlb"))
            limit = beside;
    }
    if (rc < 0)
        return rc;
    rc = bench_group_make(config, limit);
    if (rc < 0)
        return bench_fail(p->reply, -rc, "a memory cgroup: %s", strerror(-rc));
    rc = run_readers(p, system, BENCH_K_ZIPF, readers, true, replies);
    if (rc < 0)
        return rc;
    bench_group_remove(config);
    add_load(p, system, load, readers, replies);
    return add_evictions(p, system, load);
}

static int free_load(const struct pressure *p, enum bench_system_id system, unsigned readers,
                     struct bench_load *load)
{
    struct bench_reply replies[BENCH_MAX_READERS];
    int rc = 0;

    if (system == BENCH_SMALL)
        rc = bench_run_job(p->config, job_make_pool, p->results->limit, p->reply);
    if (rc == 0)
        rc = run_readers(p, system, BENCH_K_UNIFORM, readers, false, replies);
    if (rc < 0)
        return rc;
    add_load(p, system, load, readers, replies);
    return add_evictions(p, system, load);
}

static int loads(const struct pressure *p, enum bench_group group)
{
    const struct bench_config *config = p->config;
    bool zipf = group == BENCH_G_ZIPF;
    int rc = 0;

    for (unsigned n = 0; n < config->nr_counts; n++)
        for (unsigned s = 0; s < BENCH_NR_SYSTEMS && rc == 0; s++) {
            unsigned readers = config->counts[n];

            if (!bench_takes_part(config, s, group, readers))
                continue;
            progress(p, zipf ? "lookups by Zipf, a limit of memory" : "uniform lookups", readers,
                     config->systems[s].label);
            rc = zipf ? limited_load(p, s, readers, &p->results->zipf[n][s])
                      : free_load(p, s, readers, &p->results->uniform[n][s]);
        }
    return rc;
}

/* ---- beside a scan ---------------------------------------------------------------- */

/* What the scanner costs the lookups as another program on this machine is not the pool's: so it
 * scans through stock SQLite, and then through the pool. */
static int beside(const struct pressure *p, enum bench_beside by)
{
    static const char *const names[BENCH_NR_BESIDES] = {
        [BENCH_BY_NOTHING] = "nothing beside", [BENCH_BY_STOCK] = "a scan by stock SQLite beside",
        [BENCH_BY_HUGELITE] = "a scan by hugelite beside",
    };
    struct bench_beside_load *load = &p->results->beside[by];
    const uint64_t lookups = bench_load_arg(BENCH_SMALL, BENCH_K_ZIPF, 0, false);
    const uint64_t scan = bench_load_arg(by == BENCH_BY_STOCK ? BENCH_PREAD : BENCH_SMALL,
                                         BENCH_K_UNIFORM, 1, false);
    struct bench_child children[2];
    struct bench_reply replies[2];
    unsigned nr = by == BENCH_BY_NOTHING ? 1 : 2;
    int rc = bench_run_job(p->config, job_make_pool, p->results->limit, p->reply);

    if (rc < 0)
        return rc;
    progress(p, "lookups by Zipf", 1, names[by]);
    rc = bench_together_start(p->config, bench_job_load_timed, &lookups, 1, &children[0]);
    if (rc == 0 && nr > 1)
        rc = bench_together_start(p->config, bench_job_scan_beside, &scan, 1, &children[1]);
    if (rc < 0)
        return bench_fail(p->reply, -rc, "fork: %s", strerror(-rc));
    rc = bench_together_measure(children, nr, replies);
    if (rc < 0) {
        *p->reply = replies[0];
        return rc;
    }
    bench_together_end(children, nr);
    bench_add(&load->median, replies[0].median[0]);
    bench_add(&load->p99, replies[0].p99[0]);
    bench_add(&load->rate, (double)replies[0].ops / replies[0].seconds);
    bench_add(&load->reads, (double)replies[0].misses / (double)replies[0].ops);
    if (nr > 1)
        bench_add(&load->scanned, (double)replies[1].ops / replies[1].seconds);
    return 0;
}

/* ---- on one processor and on all ---------------------------------------------------- */

static int cores(const struct pressure *p, enum bench_system_id system)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned all = processors < BENCH_MAX_READERS ? (unsigned)processors : BENCH_MAX_READERS;
    struct bench_reply replies[BENCH_MAX_READERS];
    struct bench_series *const to[] = { &p->results->one[system], &p->results->all[system] };
    const unsigned readers[] = { 1, all };

    for (unsigned i = 0; i < 2; i++) {
        double rate = 0;
        int rc;

        progress(p, "warm lookups", readers[i], p->config->systems[system].label);
        rc = run_readers(p, system, BENCH_K_UNIFORM, readers[i], false, replies);
        if (rc < 0)
            return rc;
        for (unsigned r = 0; r < readers[i]; r++)
            rate += (double)replies[r].ops / replies[r].seconds;
        bench_add(to[i], rate);
    }
    return 0;
}

/* ---- many readers --------------------------------------------------------------------- */

static int crowd(const struct pressure *p, enum bench_system_id system)
{
    const struct bench_config *config = p->config;
    struct bench_crowd *crowd = &p->results->crowd[system];
    struct bench_child children[READERS];
    struct bench_reply *replies = calloc(READERS, sizeof *replies);
    uint64_t args[READERS];
    int rc;

    if (!replies)
        return bench_fail(p->reply, ENOMEM, "no memory");
    progress(p, "memory", READERS, config->systems[system].label);
    for (unsigned i = 0; i < READERS; i++)
        args[i] = bench_load_arg(system, BENCH_K_UNIFORM, i, true);
    rc = bench_group_make(config, 0);
    if (rc < 0)
        bench_fail(p->reply, -rc, "a memory cgroup: %s", strerror(-rc));
    if (rc == 0) {
        rc = bench_together_start(config, bench_job_attend, args, READERS, children);
        if (rc < 0)
            bench_fail(p->reply, -rc, "fork: %s", strerror(-rc));
    }
    if (rc == 0) {
        rc = bench_together_measure(children, READERS, replies);
        *p->reply = replies[0];
    }
    free(replies);
    if (rc < 0)
        return rc;
    bench_add(&crowd->memory, (double)bench_group_bytes(config));
    if (bench_is_hugelite(system)) {
        bench_add(&crowd->pool, (double)pool_files(bench_pool(config, system)));
        rc = bench_run_job(config, bench_job_pool_stat, system, p->reply);
        bench_add(&crowd->cached, (double)p->reply->resident_bytes);
    }
    bench_together_end(children, READERS);
    bench_group_remove(config);
    return rc;
}

/* ---- in the parent -------------------------------------------------------------------- */

static bool wants(const struct pressure *p, enum bench_group group)
{
    return p->config->groups >> group & 1;
}

static int each_system(const struct pressure *p, enum bench_group group,
                       int (*measure)(const struct pressure *p, enum bench_system_id system))
{
    int rc = 0;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && rc == 0 && wants(p, group); s++)
        if (bench_takes_part(p->config, s, group, 1))
            rc = measure(p, s);
    return rc;
}

static int one_round(const struct pressure *p)
{
    int rc = each_system(p, BENCH_G_CORES, cores);

    if (rc == 0 && !p->config->group_why[0])
        rc = each_system(p, BENCH_G_READERS, crowd);
    if (rc == 0 && wants(p, BENCH_G_UNIFORM))
        rc = loads(p, BENCH_G_UNIFORM);
    for (unsigned by = 0; by < BENCH_NR_BESIDES && rc == 0 && wants(p, BENCH_G_BESIDE); by++)
        if (bench_takes_part(p->config, BENCH_SMALL, BENCH_G_BESIDE, 1))
            rc = beside(p, by);
    if (rc == 0 && wants(p, BENCH_G_ZIPF) && !p->config->group_why[0])
        rc = loads(p, BENCH_G_ZIPF);
    if (rc == 0 && wants(p, BENCH_G_ZIPF))
        rc = bench_run_job(p->config, bench_job_read_file, BENCH_HUGELITE, p->reply);
    return rc;
}

int bench_pressure(const struct bench_config *config, struct bench_pressure *pressure,
                   struct bench_reply *reply)
{
    struct pressure p = { .config = config, .results = pressure, .reply = reply };
    uint64_t limit = config->db_bytes / SHARE & ~(uint64_t)(HUGELITE_CHUNK_BYTES - 1);
    uint64_t beside_pool = limit / BESIDE_SHARE & ~(uint64_t)(HUGELITE_CHUNK_BYTES - 1);
    int rc = 0;

    pressure->limit = limit;
    pressure->limit_beside_pool = beside_pool > BESIDE_MIN ? beside_pool : BESIDE_MIN;
    for (; p.round < config->rounds && rc == 0; p.round++)
        rc = one_round(&p);
    return rc;
}
