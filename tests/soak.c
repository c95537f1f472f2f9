/* SPDX-License-Identifier: MIT
 *
 * soak [-t SECONDS] [-n PROCESSES] [-k KILLS] [-s SEED]: processes that read, fill, evict, open
 * and close, over more data than the pools hold, make the pools larger and smaller and give volumes
 * shares of them, and are killed at random, KILLS a second; others are stopped for a while.
 * README.md ("The soak") says how to run it for an hour.
 *
 * Every byte that is read is compared with the source.  Those who survive must not notice: any
 * error is counted, and so is a wait that is too long, in two ways.  More than one nap begun for
 * the sake of one who is dead already: exact on a machine of any load.  And any call that takes
 * longer than LONG_S and LAGS times the machine's lag, which is by how much a sleeper of a
 * millisecond is late just then.  Now and then all stand still, and the tables are audited; at the
 * end nothing may be left, and as many chunks can be held as the budget of the moment has, not one more.
 *
 * Exit status: 0 nothing found, 1 a defect, 2 wrong usage.  Interrupted it ends, audits and
 * reports.
 */
#include "config.h"

#include "kit.h"

#include "chunk.h"
#include "hugelite-vfs.h"
#include "pool.h"
#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 64,
    BUDGET = 24,      /* chunks of each pool, as it is made */
    BUDGET_MOST = 40, /* as it may become */
    RAW_CHUNKS = 20,  /* of each of the fixed sources */
    NEW_CHUNKS = 3,   /* of the one that is replaced */
    ROWS = 30000,
    AUDIT_EVERY = 100, /* kills */
    REPORT_S = 10,
    LAGS = 20,
    ENDED_MAX = 20, /* of themselves, and then it has no sense to go on */
};
#define LONG_S 2.0

enum role { FETCHER, READER, MAPPER, WARMER, EVICTOR, RESIZER, OPENER, QUERIER, ROLES };
enum { RAW, RAW_ODD, PACKED, REPLACED, SOURCES };
enum { EXIT_WRONG = 10, EXIT_DISTURBED };

static struct shared {
    _Atomic unsigned pause, stop, versions;
    _Atomic uint64_t lag_ns; /* of the machine, lately */
    _Atomic uint64_t longest_ns, reads, bytes, checks, wrong, disturbed;
    uint64_t fills, evictions, waits; /* as the last audit saw them */
    struct worker {
        _Atomic unsigned paused, stops;
    } workers[WORKERS_MAX];
} *shared;

static const char *paths[SOURCES], *database, *dirs[2];
static const char *mounts[2]; /* our own; NULL: the machine's */
static const uint64_t seeds[SOURCES] = { 71, 72, 73, 1000 };
static unsigned nr_pools, nr_workers = 6, kills_a_second = 10;
static volatile sig_atomic_t interrupted;

/* ---- a worker ------------------------------------------------------------------ */

static struct worker *me;
static const char *doing;
static struct hugelite_pool *pool;
static double began;
static unsigned stops_before;

static void wrong(const char *what, uint64_t offset)
{
    atomic_fetch_add(&shared->wrong, 1);
    fprintf(stderr, "soak: WRONG BYTES: %s at %llu\n", what, (unsigned long long)offset);
    _exit(EXIT_WRONG);
}

static void disturbed(const char *what, double seconds)
{
    atomic_fetch_add(&shared->disturbed, 1);
    fprintf(stderr, "soak: DISTURBED: %s: %s (%.3f s, the machine's lag is %.3f s): %s\n", doing,
            what, seconds, (double)atomic_load(&shared->lag_ns) / 1e9, hugelite_error());
    _exit(EXIT_DISTURBED);
}

static void begin(const char *what)
{
    doing = what;
    stops_before = atomic_load(&me->stops);
    began = test_now();
}

/* Of a call that should have succeeded. */
static void end(int rc)
{
    double took = test_now() - began;
    uint64_t ns = (uint64_t)(took * 1e9), longest = atomic_load(&shared->longest_ns);

    if (rc < 0)
        disturbed(strerror(-rc), took);
    if (atomic_load(&me->stops) != stops_before)
        return; /* it stood still itself */
    while (ns > longest && !atomic_compare_exchange_weak(&shared->longest_ns, &longest, ns))
        ;
    if (took > LONG_S + LAGS * (double)atomic_load(&shared->lag_ns) / 1e9)
        disturbed("took too long", took);
}

/* A nap for the sake of one who is dead when it begins: he may have died since the engine asked, but that is
 * once. */
static int (*real_wait)(const void *word, uint32_t seen, const struct timespec *timeout);

static int count_wait(const void *word, uint32_t seen, const struct timespec *timeout)
{
    static _Thread_local const void *last;
    static _Thread_local uint64_t last_owner;
    uint64_t now = atomic_load((const _Atomic uint64_t *)word), owner = now & HL_OWNER_MASK;
    bool claimed = hl_chunk_state(now) == HL_CHUNK_FILLING ||
                   hl_chunk_state(now) == HL_CHUNK_EVICTING;

    if (claimed && !hl_member_alive(pool, owner)) {
        if (last == word && last_owner == owner)
            disturbed("a second nap for one who is dead", 0);
        last = word;
        last_owner = owner;
    }
    return real_wait(word, seen, timeout);
}

/* All stand still while the tables are looked through. */
static bool goes_on(void)
{
    while (atomic_load(&shared->pause)) {
        atomic_store(&me->paused, 1);
        usleep(500);
    }
    atomic_store(&me->paused, 0);
    return !atomic_load(&shared->stop);
}

static void compare(const void *p, uint64_t length, uint64_t seed, uint64_t offset,
                    const char *what)
{
    if (!kit_is_pattern(p, length, seed, offset))
        wrong(what, offset);
    atomic_fetch_add(&shared->bytes, length);
    atomic_fetch_add(&shared->reads, 1);
}

struct opened {
    struct hugelite_volume *vol;
    uint64_t seed, bytes;
};

/* Which of its versions is it?  It must stay that one. */
static uint64_t seed_of_version(struct hugelite_volume *vol)
{
    uint64_t word;

    begin("read a version");
    end(hugelite_volume_read(vol, 0, sizeof word, &word));
    for (uint64_t v = atomic_load(&shared->versions) + 2; v-- > 0;)
        if (test_pattern(seeds[REPLACED] + v, 0) == word)
            return seeds[REPLACED] + v;
    wrong("no version begins so", 0);
    return 0;
}

static struct opened open_one(void)
{
    unsigned source = (unsigned)random() % SOURCES;
    struct opened o;

    begin("open");
    end(hugelite_volume_open(pool, paths[source], &o.vol));
    o.bytes = hugelite_volume_bytes(o.vol);
    o.seed = source == REPLACED ? seed_of_version(o.vol) : seeds[source];
    return o;
}

static void close_one(struct opened *o)
{
    begin("close");
    hugelite_volume_close(o->vol);
    end(0);
}

static uint64_t some_offset(const struct opened *o)
{
    return (uint64_t)random() * 4096 % o->bytes & ~7ull;
}

static uint32_t some_length(const struct opened *o, uint64_t offset)
{
    uint64_t length = random() % 4 ? 4096 : 256 * 1024, left = o->bytes - offset;
    uint64_t in_chunk = CHUNK - offset % CHUNK;

    length = length < left ? length : left;
    return (uint32_t)(length < in_chunk ? length : in_chunk);
}

/* Holds one while it looks at others. */
static void fetch_some(struct opened *o)
{
    const void *held, *data;
    uint64_t at = some_offset(o);
    uint32_t length = some_length(o, at);

    begin("fetch");
    end(hugelite_volume_fetch(o->vol, at, length, &held));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t there = some_offset(o);
        uint32_t n = some_length(o, there);

        begin("fetch");
        end(hugelite_volume_fetch(o->vol, there, n, &data));
        compare(data, n, o->seed, there, "fetch");
        hugelite_volume_release(o->vol, data);
    }
    compare(held, length, o->seed, at, "a held chunk");
    hugelite_volume_release(o->vol, held);
}

static void read_some(struct opened *o, char *buffer)
{
    uint64_t at = some_offset(o);

    for (unsigned i = 0; i < 8; i++) {
        uint32_t n = some_length(o, at);
        const void *data;
        int rc;

        begin("try_fetch");
        rc = hugelite_volume_try_fetch(o->vol, at, n, &data);
        end(rc == -EAGAIN ? 0 : rc);
        if (rc == 0) {
            compare(data, n, o->seed, at, "try_fetch");
            hugelite_volume_release(o->vol, data);
        } else {
            begin("read");
            end(hugelite_volume_read(o->vol, at, n, buffer));
            compare(buffer, n, o->seed, at, "read");
        }
        at = i % 4 == 3 || at + n >= o->bytes ? some_offset(o) : at + n;
        at &= ~7ull;
    }
}

static void map_some(struct opened *o)
{
    const void *base;

    begin("map");
    end(hugelite_volume_map(o->vol, &base));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = some_offset(o);
        uint32_t n = some_length(o, at);

        begin("touch");
        (void)*((const volatile char *)base + at);
        end(0);
        compare((const char *)base + at, n, o->seed, at, "map");
    }
}

static void warm_some(struct opened *o)
{
    uint64_t at = some_offset(o), left = o->bytes - at;

    begin("warm");
    end(hugelite_volume_warm(o->vol, at, left < 3 * CHUNK ? left : 3 * CHUNK, NULL, NULL));
}

static void evict_some(void)
{
    const char *source = random() % 3 ? paths[(unsigned)random() % SOURCES] : NULL;
    int rc;

    begin("evict");
    rc = hugelite_pool_evict(pool, source, NULL);
    end(rc == -ENOENT ? 0 : rc); /* nobody has opened it yet */
    usleep((useconds_t)random() % 3000);
}

/* So many that each process can hold what it holds at a time, and fill one more: less would be a
 * -EBUSY that is right. */
static uint64_t some_budget(void)
{
    unsigned least = 2 * nr_workers + 4;

    return (least < BUDGET ? least + (unsigned)random() % (BUDGET_MOST - least) : BUDGET) * CHUNK;
}

static void resize_some(void)
{
    int rc = 0;

    if (random() % 3) {
        begin("resize");
        rc = hugelite_pool_resize(pool, some_budget(), NULL);
    } else {
        begin("set a share");
        rc = hugelite_pool_set_share(pool, paths[(unsigned)random() % SOURCES],
                                     random() % 3 ? some_budget() : 0);
    }
    end(rc == -ENOENT ? 0 : rc); /* nobody has opened it yet */
    usleep((useconds_t)random() % 3000);
}

static int64_t query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        disturbed(sqlite3_errmsg(db), 0);
    value = sqlite3_column_type(statement, 0) == SQLITE_TEXT
                ? strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0
                : sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void query_some(const char *dir)
{
    sqlite3 *db;
    char *uri = sqlite3_mprintf("file:%s?vfs=hugelite&pool=%s&immutable=1", database, dir);

    begin("open a database");
    end(sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) ? -EIO : 0);
    sqlite3_free(uri);
    for (unsigned i = 0; i < 20; i++) {
        int64_t id = 1 + random() % ROWS;
        char sql[80];

        snprintf(sql, sizeof sql, "SELECT k FROM t WHERE id = %lld", (long long)id);
        begin("lookup");
        if (query(db, sql) != test_db_k(id))
            wrong("a lookup", (uint64_t)id);
        end(0);
        atomic_fetch_add(&shared->reads, 1);
    }
    if (random() % 4 == 0) {
        doing = "integrity_check";
        if (query(db, "PRAGMA integrity_check") != 1)
            wrong("integrity_check", 0);
        atomic_fetch_add(&shared->checks, 1);
    }
    sqlite3_close(db);
}

static void work(enum role role, const char *dir)
{
    static char buffer[256 * 1024];
    struct opened o = { 0 };

    if (role == QUERIER) {
        query_some(dir);
        return;
    }
    if (role == EVICTOR || role == RESIZER) {
        role == EVICTOR ? evict_some() : resize_some();
        return;
    }
    o = open_one();
    for (unsigned i = 0; i < (role == OPENER ? 1 : 20) && goes_on(); i++) {
        if (role == FETCHER || role == OPENER)
            fetch_some(&o);
        else if (role == READER)
            read_some(&o, buffer);
        else if (role == MAPPER)
            map_some(&o);
        else
            warm_some(&o);
    }
    close_one(&o);
}

static void open_pool(const char *dir)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = BUDGET * CHUNK };

    begin("attach");
    end(hugelite_pool_open(dir, &opts, &pool));
}

static void run_worker(void *arg)
{
    enum role role = (enum role)(random() % ROLES);
    const char *dir = dirs[(unsigned)random() % nr_pools];

    me = arg;
    signal(SIGINT, SIG_IGN);
    real_wait = hl_sys.futex_wait;
    hl_sys.futex_wait = count_wait;
    if (role == QUERIER)
        EXPECT_EQ(hugelite_vfs_register(0), 0);
    open_pool(dir);
    while (goes_on()) {
        work(role, dir);
        if (role == OPENER && random() % 4 == 0) {
            hugelite_pool_close(pool);
            open_pool(dir);
        }
    }
    hugelite_pool_close(pool);
}

/* ---- the machine ------------------------------------------------------------------ */

static uint64_t free_blocks(const char *mount)
{
    struct statfs fs;

    EXPECT_EQ(statfs(mount, &fs), 0);
    return fs.f_bfree;
}

/* A mount of our own, where root may make one, tells to the page what is free afterwards. */
static const char *place(const char *type, const char *options)
{
    const char *dir = test_path(test_dir(), "mount");

    EXPECT_EQ(mkdir(dir, 0755), 0);
    kit_mount(type, options, dir);
    return dir;
}

static void make_places(void)
{
    char options[64];

    /* The control segment, the chunks, and a few pages for a moment. */
    if (test_on_hugepages()) {
        snprintf(options, sizeof options, "pagesize=2M,size=%uM", 2 * (BUDGET_MOST + 8));
        if (geteuid() == 0)
            mounts[nr_pools] = place("hugetlbfs", options);
        dirs[nr_pools] = mounts[nr_pools] ? test_path(mounts[nr_pools], "pool") : test_pool_dir();
        nr_pools++;
    }
    if (geteuid() == 0) {
        snprintf(options, sizeof options, "size=%uM", 2 * (BUDGET_MOST + 8));
        mounts[nr_pools] = place("tmpfs", options);
        dirs[nr_pools] = test_path(mounts[nr_pools], "pool");
        nr_pools++;
    } else if (!nr_pools) {
        dirs[nr_pools++] = test_pool_dir();
    }
}

static void replace_source(void)
{
    const char *now = paths[REPLACED];
    char next[4096];

    snprintf(next, sizeof next, "%s.next", now);
    test_file(next, NEW_CHUNKS * CHUNK - 4096,
              seeds[REPLACED] + atomic_load(&shared->versions) + 1);
    atomic_fetch_add(&shared->versions, 1);
    EXPECT_EQ(rename(next, now), 0);
}

static void make_sources(void)
{
    const char *dir = test_dir();

    paths[RAW] = test_path(dir, "raw");
    paths[RAW_ODD] = test_path(dir, "odd");
    paths[PACKED] = test_path(dir, "packed.zst");
    paths[REPLACED] = test_path(dir, "replaced");
    database = test_path(dir, "table.db");
    test_file(paths[RAW], RAW_CHUNKS * CHUNK, seeds[RAW]);
    test_file(paths[RAW_ODD], RAW_CHUNKS * CHUNK - 12345, seeds[RAW_ODD]);
    kit_age(paths[RAW]);
    kit_zst(paths[PACKED], RAW_CHUNKS * CHUNK - 8, seeds[PACKED], 256 * 1024, 0);
    test_db(database, ROWS);
    kit_age(database);
    replace_source();
}

/* ---- the audit --------------------------------------------------------------------- */

struct audit {
    bool last;
};

static void count_volumes(void)
{
    static struct hugelite_volume_stat volumes[64];
    size_t nr;

    EXPECT_RC(hugelite_pool_volumes(pool, volumes, 64, &nr), 0);
    for (size_t i = 0; i < nr && i < 64; i++) {
        shared->fills += volumes[i].fills;
        shared->evictions += volumes[i].evictions;
        shared->waits += volumes[i].waits;
        EXPECT_EQ(volumes[i].errors, 0);
    }
}

/* What a resizer that was killed had begun is done, and the budget is kept to. */
static void audit_budget(void)
{
    struct hugelite_pool_stat st;
    uint64_t held;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_RC(hugelite_pool_resize(pool, st.budget_bytes, &held), 0);
    EXPECT_EQ(held, 0);
    EXPECT(kit_resident_chunks(pool) * CHUNK <= st.budget_bytes);
}

/* As many can be held as there is budget for, and no more. */
static void hold_all(void)
{
    struct hugelite_volume *vols[3];
    struct hugelite_pool_stat st;
    uint64_t most, nr = 0;
    const void *data;
    int rc = 0;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    most = st.budget_bytes / CHUNK;
    EXPECT(most < 3 * RAW_CHUNKS);
    for (unsigned i = 0; i < 3; i++) {
        vols[i] = kit_volume(pool, paths[i]);
        EXPECT_RC(hugelite_pool_set_share(pool, paths[i], 0), 0);
    }
    for (; nr <= most && rc == 0; nr++)
        rc = hugelite_volume_fetch(vols[nr / RAW_CHUNKS], nr % RAW_CHUNKS * CHUNK, 8, &data);
    EXPECT_EQ(nr, most + 1);
    EXPECT_RC(rc, -EBUSY);
    for (unsigned i = 0; i < 3; i++)
        hugelite_volume_close(vols[i]);
}

static void run_audit(void *arg)
{
    const struct audit *audit = arg;

    signal(SIGINT, SIG_IGN);
    shared->fills = shared->evictions = shared->waits = 0;
    for (unsigned i = 0; i < nr_pools; i++) {
        pool = kit_pool(dirs[i], BUDGET);
        count_volumes();
        audit_budget();
        kit_audit(pool);
        if (audit->last) {
            hold_all();
            kit_audit_empty(pool);
        }
        hugelite_pool_close(pool);
    }
}

/* By a process of its own, as each of them does.  True when all is in order. */
static bool audit(bool last)
{
    struct audit what = { last };
    pid_t pid = kit_fork(run_audit, &what);
    int status;

    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (status)
        fprintf(stderr, "soak: AUDIT FAILED\n");
    return status == 0;
}

/* With nobody left, and the pools removed, every page of the mounts is free again. */
static bool is_all_free(const uint64_t *before)
{
    bool good = true;

    for (unsigned i = 0; i < nr_pools; i++) {
        char command[4200];

        snprintf(command, sizeof command, "rm -rf '%s'", dirs[i]);
        EXPECT_EQ(system(command), 0);
        if (!mounts[i]) {
            printf("soak: not root: the free pages of pool %u are not compared\n", i);
            continue;
        }
        if (free_blocks(mounts[i]) != before[i]) {
            fprintf(stderr, "soak: LOST: %llu blocks of pool %u were free, now %llu\n",
                    (unsigned long long)before[i], i, (unsigned long long)free_blocks(mounts[i]));
            good = false;
        }
        umount(mounts[i]);
    }
    return good;
}

/* ---- the killing -------------------------------------------------------------------- */

static pid_t pids[WORKERS_MAX];
static unsigned kills, stops, audits, failed_audits, ended_badly;

static void start(unsigned i)
{
    srandom((unsigned)random());
    atomic_store(&shared->workers[i].paused, 0);
    pids[i] = kit_fork(run_worker, &shared->workers[i]);
}

/* Someone who ends by himself has met something. */
static void bury(unsigned i)
{
    int status;

    EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
    pids[i] = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return;
    if (status == 0 && atomic_load(&shared->stop))
        return;
    fprintf(stderr, "soak: a worker has ended: status %x\n", (unsigned)status);
    ended_badly++;
}

static void look_for_ended(void)
{
    for (unsigned i = 0; i < nr_workers; i++) {
        siginfo_t info = { 0 };

        if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
            bury(i);
            start(i);
        }
    }
}

static void kill_one(void)
{
    unsigned i = (unsigned)random() % nr_workers;

    kill(pids[i], SIGKILL);
    bury(i);
    start(i);
    kills++;
}

/* For a while, and then it goes on, or is killed as it stands. */
static void stop_one(void)
{
    unsigned i = (unsigned)random() % nr_workers;

    atomic_fetch_add(&shared->workers[i].stops, 1);
    kill(pids[i], SIGSTOP);
    usleep((useconds_t)random() % 100000);
    if (random() % 2) {
        kill(pids[i], SIGKILL);
        bury(i);
        start(i);
        kills++;
    } else {
        atomic_fetch_add(&shared->workers[i].stops, 1);
        kill(pids[i], SIGCONT);
    }
    stops++;
}

static void stand_still_and_audit(void)
{
    atomic_store(&shared->pause, 1);
    for (unsigned i = 0; i < nr_workers; i++)
        while (!atomic_load(&shared->workers[i].paused) && ended_badly < ENDED_MAX) {
            look_for_ended();
            usleep(500);
        }
    failed_audits += !audit(false);
    audits++;
    atomic_store(&shared->pause, 0);
}

/* Sleep, and note by how much a sleep is longer than it should be; older lags count less and less. */
static void sleep_on(void)
{
    double start_s = test_now();
    uint64_t late, lag = atomic_load(&shared->lag_ns);

    test_sleep_ms(1);
    late = (uint64_t)((test_now() - start_s) * 1e9) - 1000 * 1000;
    lag -= lag / 1000;
    atomic_store(&shared->lag_ns, late > lag ? late : lag);
}

static void report(double seconds)
{
    printf("%6.0f s: %u kills, %u stops, %u replaced, %llu reads, %.1f GiB compared, "
           "%llu integrity checks, %llu fills, %llu evictions, %llu waits; longest call %.3f s, "
           "lag %.3f s; %u audits; %llu wrong, %llu disturbed, %u ended, %u audits failed\n",
           seconds, kills, stops, atomic_load(&shared->versions),
           (unsigned long long)atomic_load(&shared->reads),
           (double)atomic_load(&shared->bytes) / (1 << 30),
           (unsigned long long)atomic_load(&shared->checks), (unsigned long long)shared->fills,
           (unsigned long long)shared->evictions, (unsigned long long)shared->waits,
           (double)atomic_load(&shared->longest_ns) / 1e9,
           (double)atomic_load(&shared->lag_ns) / 1e9,
           audits, (unsigned long long)atomic_load(&shared->wrong),
           (unsigned long long)atomic_load(&shared->disturbed), ended_badly, failed_audits);
    fflush(stdout);
}

static void soak(double seconds)
{
    double start_s = test_now(), last = start_s, next_kill = start_s;

    while (!interrupted && ended_badly < ENDED_MAX && test_now() - start_s < seconds) {
        sleep_on();
        look_for_ended();
        if (test_now() >= next_kill) {
            if (random() % 8)
                kill_one();
            else
                stop_one();
            /* Twice the mean at most; never to be made up for. */
            next_kill = test_now() + (double)(random() % 1000) / 500 / kills_a_second;
            if (random() % 50 == 0)
                replace_source();
            if (kills % AUDIT_EVERY == 0 || audits == 0)
                stand_still_and_audit();
        }
        if (test_now() - last >= REPORT_S) {
            last = test_now();
            report(last - start_s);
        }
    }
    atomic_store(&shared->stop, 1);
    for (unsigned i = 0; i < nr_workers; i++)
        bury(i);
    failed_audits += !audit(true);
    audits++;
    report(test_now() - start_s);
}

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: soak [-t SECONDS] [-n PROCESSES] [-k KILLS] [-s SEED]\n");
    return 2;
}

static bool number(const char *text, unsigned long least, unsigned long most, unsigned *ret_number)
{
    char *rest;
    unsigned long value = strtoul(text, &rest, 10);

    *ret_number = (unsigned)value;
    return *text && !*rest && value >= least && value <= most;
}

int main(int argc, char **argv)
{
    unsigned seconds = (unsigned)kit_seconds(5), seed = (unsigned)time(NULL);
    uint64_t before[2] = { 0 };
    bool good = true;
    int option;

    while ((option = getopt(argc, argv, "t:n:k:s:")) != -1)
        if (!(option == 't'   ? number(optarg, 1, 1000000, &seconds)
              : option == 'n' ? number(optarg, 2, WORKERS_MAX, &nr_workers)
              : option == 'k' ? number(optarg, 1, 1000, &kills_a_second)
              : option == 's' ? number(optarg, 0, 0xffffffff, &seed)
                              : false))
            return usage();
    if (optind < argc)
        return usage();

    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    shared = kit_shared(sizeof *shared);
    srandom(seed);
    make_places();
    make_sources();
    for (unsigned i = 0; i < nr_pools; i++)
        before[i] = mounts[i] ? free_blocks(mounts[i]) : 0;
    printf("soak: seed %u, %u processes, %u kills a second, %u s, %u pools (%s)\n", seed,
           nr_workers, kills_a_second, seconds, nr_pools,
           test_on_hugepages() ? "hugetlb, shmem" : "shmem");
    fflush(stdout);
    for (unsigned i = 0; i < nr_workers; i++)
        start(i);
    soak(seconds);
    good = is_all_free(before);
    good = good && kills && !shared->wrong && !shared->disturbed && !ended_badly &&
           !failed_audits && shared->reads && shared->evictions;
    printf("soak: %s: %u kills, %llu wrong, %llu disturbed, %u audits\n",
           good ? "passed" : "FAILED", kills, (unsigned long long)shared->wrong,
           (unsigned long long)shared->disturbed, audits);
    return !good;
}
