/* SPDX-License-Identifier: MIT
 *
 * bench-worker.c - the processes of `hugelite bench`, and what they measure.
 * Every child talks over one socket pair; a start word in shared memory lets
 * readers begin together.
 *
 * Entry points: bench_run_job, bench_worker_start, bench_workers_measure,
 * bench_fresh_measure, bench_together_start, bench_children_kill.
 * See also: bench-system.c (how each system is opened), bench.c (who calls).
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "heap.h"
#include "tools.h"

/* All that may live at once: each system's workers, and a set of fresh ones, or those that stand
 * together. */
#define MAX_CHILDREN (BENCH_MAX_READERS * (BENCH_NR_SYSTEMS + 1) + 1 + BENCH_MAX_TOGETHER)

static struct bench_shared *shared;
static struct bench_child children[MAX_CHILDREN];
static sigset_t signals, signals_before;
static volatile sig_atomic_t signal_came;

static void note_signal(int sig)
{
    signal_came = sig;
}

int bench_interrupted(void)
{
    return signal_came;
}

int bench_fail(struct bench_reply *reply, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reply->message, sizeof reply->message, format, args);
    va_end(args);
    return reply->rc = -code;
}

/* The signals stay blocked but for the one place where the parent sleeps, so
 * none can slip in between looking and sleeping. */
int bench_processes_init(void)
{
    struct sigaction act = { .sa_handler = note_signal };
    static const int list[] = { SIGINT, SIGTERM, SIGHUP };

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        children[i].fd = -1;

    sigemptyset(&signals);
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        struct sigaction before;

        /* nohup stays nohup */
        if (sigaction(list[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        sigaction(list[i], &act, NULL);
        sigaddset(&signals, list[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &signals, &signals_before);
    return 0;
}

/* ---- parent: start, wait, kill ------------------------------------------ */

typedef void child_fn(const struct bench_config *config, int fd, int a, int b, void *job);

void bench_child_begin(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        if (children[i].fd >= 0)
            close(children[i].fd);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigprocmask(SIG_SETMASK, &signals_before, NULL);
}

static int spawn(const struct bench_config *config, child_fn *fn, int a, int b, void *job,
                 struct bench_child *ret_child)
{
    struct bench_child *slot = NULL;
    pid_t parent = getpid();
    int pair[2], rc;

    for (unsigned i = 0; i < MAX_CHILDREN && !slot; i++)
        if (children[i].fd < 0)
            slot = &children[i];
    if (!slot)
        return -EAGAIN;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;

    fflush(stdout);
    fflush(stderr);
    slot->pid = fork();
    if (slot->pid < 0) {
        rc = -errno;
        close(pair[0]);
        close(pair[1]);
        return rc;
    }
    if (slot->pid == 0) {
        bench_child_begin(parent);
        close(pair[0]);
        fn(config, pair[1], a, b, job);
        _exit(0);
    }
    close(pair[1]);
    slot->fd = pair[0];
    *ret_child = *slot;
    return 0;
}

static void forget(const struct bench_child *child)
{
    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        if (children[i].fd == child->fd) {
            close(children[i].fd);
            children[i].fd = -1;
        }
}

/* End a child that has nothing more to say: its socket closes, it leaves. */
static void finish(const struct bench_child *child)
{
    forget(child);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void bench_children_kill(void)
{
    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        if (children[i].fd >= 0)
            kill(children[i].pid, SIGKILL);
    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        if (children[i].fd >= 0)
            finish(&children[i]);
}

/* Wait for what a child has to say.  Returns 0 or reply->rc; -EINTR: a signal
 * came to us; -ECHILD: the child died. */
static int wait_reply(const struct bench_child *child, struct bench_reply *reply)
{
    for (;;) {
        struct pollfd pfd = { .fd = child->fd, .events = POLLIN };
        ssize_t n;

        if (signal_came)
            return bench_fail(reply, EINTR, "interrupted");
        if (ppoll(&pfd, 1, NULL, &signals_before) < 0) {
            if (errno == EINTR)
                continue;
            return bench_fail(reply, errno, "poll: %s", strerror(errno));
        }
        n = recv(child->fd, reply, sizeof *reply, 0);
        if (n == (ssize_t)sizeof *reply)
            return reply->rc;
        if (n < 0 && errno == EINTR)
            continue;
        /* Ctrl-C in a terminal reaches the children as well; ours may be a moment later. */
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        sigset_t pending;
        sigpending(&pending);
        if (sigismember(&pending, SIGINT) > 0 || sigismember(&pending, SIGTERM) > 0
            || sigismember(&pending, SIGHUP) > 0) {
            sigsuspend(&signals_before);
            continue;
        }
        return bench_fail(reply, ECHILD, "a process of the benchmark died");
    }
}

/* ---- child: the conversation -------------------------------------------- */

static void answer(int fd, const struct bench_reply *reply)
{
    if (send(fd, reply, sizeof *reply, MSG_NOSIGNAL) != (ssize_t)sizeof *reply)
        _exit(1);
}

/* Say that we are ready and sleep until everybody is. */
static void barrier(int fd)
{
    uint32_t before = atomic_load_explicit(&shared->go, memory_order_acquire);
    struct bench_reply ready = { .ready = true };

    answer(fd, &ready);
    while (atomic_load_explicit(&shared->go, memory_order_acquire) == before)
        syscall(SYS_futex, &shared->go, FUTEX_WAIT, before, NULL, NULL, 0);
}

static void run_job(const struct bench_config *config, int fd, int a, int b, void *job)
{
    struct bench_reply reply = { 0 };
    uint64_t arg = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    bench_job *const *fn = job;

    reply.rc = (*fn)(config, arg, &reply);
    answer(fd, &reply);
}

int bench_run_job(const struct bench_config *config, bench_job *job, uint64_t arg,
                  struct bench_reply *ret_reply)
{
    struct bench_child child;
    int rc;

    memset(ret_reply, 0, sizeof *ret_reply);
    rc = spawn(config, run_job, (int)(arg >> 32), (int)(uint32_t)arg, &job, &child);
    if (rc < 0)
        return bench_fail(ret_reply, -rc, "fork: %s", strerror(-rc));
    rc = wait_reply(&child, ret_reply);
    if (rc == -EINTR)
        return rc;                      /* bench_children_kill() comes next */
    finish(&child);
    return rc;
}

/* ---- children that do a job together -------------------------------------- */

static int own_fd = -1;

void bench_barrier(void)
{
    barrier(own_fd);
}

_Atomic uint32_t *bench_windows_of(unsigned reader)
{
    return shared->windows[reader];
}

/* It stays when it has answered, for the parent to look at. */
static void run_job_together(const struct bench_config *config, int fd, int a, int b, void *job)
{
    char nothing;

    own_fd = fd;
    run_job(config, fd, a, b, job);
    while (recv(fd, &nothing, sizeof nothing, 0) < 0 && errno == EINTR)
        ;
}

int bench_together_start(const struct bench_config *config, bench_job *job, const uint64_t *args,
                         unsigned nr, struct bench_child *ret_children)
{
    for (unsigned i = 0; i < nr; i++) {
        int rc = spawn(config, run_job_together, (int)(args[i] >> 32), (int)(uint32_t)args[i],
                       &job, &ret_children[i]);

        if (rc < 0)
            return rc;
    }
    return 0;
}

void bench_together_end(const struct bench_child *those, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++)
        forget(&those[i]);
    for (unsigned i = 0; i < nr; i++)
        while (waitpid(those[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
}

/* ---- child: the cases --------------------------------------------------- */

uint64_t bench_xorshift(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static int sql_fail(struct bench_reply *reply, sqlite3 *db, const char *what)
{
    return bench_fail(reply, EIO, "%s: %s", what, sqlite3_errmsg(db));
}

static int run_text(sqlite3 *db, const char *sql, struct bench_reply *reply)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_fail(reply, db, sql);
}

/* Step a statement to its end, looking at every column as a program would. */
int bench_run_statement(sqlite3 *db, sqlite3_stmt *stmt, struct bench_reply *reply)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(stmt); i++)
            (void)sqlite3_column_blob(stmt, i);
    if (rc != SQLITE_DONE) {
        sql_fail(reply, db, sqlite3_sql(stmt));
        sqlite3_reset(stmt);
        return reply->rc;
    }
    sqlite3_reset(stmt);
    return 0;
}

const char *bench_case_sql(const struct bench_config *config, enum bench_case which)
{
    switch (which) {
    case BENCH_LOOKUP:
    case BENCH_LOOKUP_TXN:
        return "SELECT v FROM kv WHERE id=?1";
    case BENCH_SCAN:
    case BENCH_FRESH_SCAN:
        return "SELECT sum(length(v)) FROM kv";
    case BENCH_COUNT:
    case BENCH_FRESH_COUNT:
        return "SELECT count(*) FROM kv";
    /* A million rows: enough that SQLite's heap outgrows what the processor keeps at hand. */
    case BENCH_SORT:
        return "SELECT v FROM kv WHERE id<=1000000 ORDER BY k";
    case BENCH_GROUP:
        return "SELECT k%500009 AS g, count(*), max(v) FROM kv WHERE id<=1000000 GROUP BY g";
    case BENCH_JOIN:
        return "WITH t AS MATERIALIZED (SELECT id, k FROM kv WHERE id<=1000000) "
               "SELECT count(*) FROM t AS a JOIN t AS b ON a.k=b.k";
    case BENCH_OPEN:
        return config->sql ? config->sql : "SELECT v FROM kv WHERE id=1";
    default:
        return config->sql;
    }
}

static int lookups(const struct bench_config *config, sqlite3 *db, sqlite3_stmt *stmt,
                   uint64_t seed, bool one_transaction, struct bench_reply *reply)
{
    uint64_t keys = seed, ops = 0, seen = 0;
    double start = hl_units_now(), end = start + config->seconds, t;

    if (one_transaction && run_text(db, "BEGIN", reply) < 0)
        return reply->rc;
    do {
        for (int i = 0; i < 64; i++) {
            sqlite3_bind_int64(stmt, 1, (int64_t)(bench_xorshift(&keys) % config->rows) + 1);
            if (sqlite3_step(stmt) != SQLITE_ROW)
                return sql_fail(reply, db, "point lookup");
            seen += sqlite3_column_text(stmt, 0)[0];
            sqlite3_reset(stmt);
        }
        ops += 64;
        t = hl_units_now();
    } while (t < end);
    if (one_transaction && run_text(db, "COMMIT", reply) < 0)
        return reply->rc;
    reply->ops = seen ? ops : 0;         /* the bytes were looked at */
    reply->seconds = t - start;
    return 0;
}

/* Seconds of one run: as many runs as fill the time asked for, at least one, so
 * that a statement of a millisecond is not measured by a single try. */
static int repeats(const struct bench_config *config, sqlite3 *db, sqlite3_stmt *stmt,
                   struct bench_reply *reply)
{
    double start = hl_units_now(), t;
    uint64_t runs = 0;

    do {
        if (bench_run_statement(db, stmt, reply) < 0)
            return reply->rc;
        runs++;
        t = hl_units_now();
    } while (t < start + config->seconds);
    reply->ops = runs;
    reply->seconds = (t - start) / (double)runs;
    return 0;
}

struct worker {
    sqlite3 *db;
    sqlite3_stmt *stmt[BENCH_NR_CASES];
};

static int prepare(const struct bench_config *config, struct worker *w, enum bench_case which,
                   struct bench_reply *reply)
{
    if (!w->stmt[which]
        && sqlite3_prepare_v3(w->db, bench_case_sql(config, which), -1, SQLITE_PREPARE_PERSISTENT,
                              &w->stmt[which], NULL) != SQLITE_OK)
        return config->sql ? bench_fail(reply, EINVAL, "--sql: %s", sqlite3_errmsg(w->db))
                           : sql_fail(reply, w->db, bench_case_sql(config, which));
    if (!w->stmt[which])
        return bench_fail(reply, EINVAL, "--sql: there is no statement in it");
    if (config->sql && sqlite3_bind_parameter_count(w->stmt[which]) > 0)
        return bench_fail(reply, EINVAL, "--sql: parameters are not supported");
    return 0;
}

static int measure(const struct bench_config *config, struct worker *w, enum bench_case which,
                   unsigned slot, struct bench_reply *reply)
{
    /* Same keys for every system, other keys for every reader. */
    uint64_t seed = 0x9e3779b97f4a7c15u ^ (uint64_t)(slot + 1) << 32;

    switch (which) {
    case BENCH_LOOKUP:
    case BENCH_LOOKUP_TXN:
        return lookups(config, w->db, w->stmt[which], seed, which == BENCH_LOOKUP_TXN, reply);
    default:
        return repeats(config, w->db, w->stmt[which], reply);
    }
}

/* ---- child: a reader that stays ----------------------------------------- */

static void worker_main(const struct bench_config *config, int fd, int system, int slot, void *job)
{
    static const enum bench_case own[] = { BENCH_LOOKUP, BENCH_LOOKUP_TXN, BENCH_SCAN,
                                           BENCH_COUNT };
    static const enum bench_case user[] = { BENCH_SQL };
    const enum bench_case *cases = config->sql ? user : own;
    unsigned nr_cases = config->sql ? 1 : sizeof own / sizeof *own;
    struct bench_reply reply = { 0 };
    struct worker w = { 0 };
    enum bench_case which;

    (void)job;
    bench_heap_start(config, (enum bench_system_id)system);
    reply.rc = bench_system_open(config, (enum bench_system_id)system, &w.db, &reply);
    for (unsigned i = 0; i < nr_cases && reply.rc == 0; i++)
        prepare(config, &w, cases[i], &reply);
    /* Warm: every page looked at once, which is what count(*) does, so page tables and
     * private caches are as full as they get. */
    for (unsigned i = 0; i < nr_cases && reply.rc == 0; i++)
        if (cases[i] == BENCH_COUNT || cases[i] == BENCH_SQL)
            bench_run_statement(w.db, w.stmt[cases[i]], &reply);
    answer(fd, &reply);
    if (reply.rc < 0)
        return;

    while (recv(fd, &which, sizeof which, 0) == (ssize_t)sizeof which) {
        memset(&reply, 0, sizeof reply);
        barrier(fd);
        measure(config, &w, which, (unsigned)slot, &reply);
        answer(fd, &reply);
    }
    /* No closing ceremony: the parent is done with us, exit cleans up. */
}

int bench_worker_start(const struct bench_config *config, enum bench_system_id system,
                       unsigned slot, struct bench_child *ret_child, struct bench_reply *reply)
{
    int rc;

    memset(reply, 0, sizeof *reply);
    rc = spawn(config, worker_main, (int)system, (int)slot, NULL, ret_child);
    if (rc < 0)
        return bench_fail(reply, -rc, "fork: %s", strerror(-rc));
    return wait_reply(ret_child, reply);
}

/* Wait until all stand at the start, let them go, collect what they say. */
int bench_together_measure(const struct bench_child *workers, unsigned nr,
                           struct bench_reply *replies)
{
    for (unsigned i = 0; i < nr; i++) {
        memset(&replies[i], 0, sizeof replies[i]);
        if (wait_reply(&workers[i], &replies[i]) < 0) {
            replies[0] = replies[i];
            return replies[0].rc;
        }
    }
    atomic_fetch_add_explicit(&shared->go, 1, memory_order_release);
    syscall(SYS_futex, &shared->go, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    for (unsigned i = 0; i < nr; i++)
        if (wait_reply(&workers[i], &replies[i]) < 0) {
            replies[0] = replies[i];
            return replies[0].rc;
        }
    return 0;
}

int bench_workers_measure(struct bench_child *workers, unsigned nr, enum bench_case which,
                          struct bench_reply *replies)
{
    for (unsigned i = 0; i < nr; i++)
        if (send(workers[i].fd, &which, sizeof which, MSG_NOSIGNAL) < 0)
            return bench_fail(replies, errno, "a process of the benchmark died");
    return bench_together_measure(workers, nr, replies);
}

/* ---- child: a fresh process --------------------------------------------- */

static uint64_t proc_kilobytes(const char *path, const char *const *keys)
{
    FILE *f = fopen(path, "re");
    char line[256];
    uint64_t sum = 0;

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        for (unsigned i = 0; keys[i]; i++)
            if (!strncmp(line, keys[i], strlen(keys[i])))
                sum += strtoull(line + strlen(keys[i]), NULL, 10);
    fclose(f);
    return sum;
}

static uint64_t page_tables(void)
{
    return 1024 * proc_kilobytes("/proc/self/status", (const char *const[]){ "VmPTE:", NULL });
}

static uint64_t private_bytes(void)
{
    return 1024 * proc_kilobytes("/proc/self/smaps_rollup",
                                 (const char *const[]){ "Private_Clean:", "Private_Dirty:",
                                                        "Private_Hugetlb:", NULL });
}

static void fresh_main(const struct bench_config *config, int fd, int system, int which_int,
                       void *job)
{
    enum bench_case which = (enum bench_case)which_int;
    struct bench_reply reply = { 0 };
    struct worker w = { 0 };
    bool analytic = bench_case_group(which) == BENCH_G_ANALYTIC;
    uint64_t tables = page_tables(), private = private_bytes();
    double start, opened;

    (void)job;
    /* The other cases are what a program pays that has the library: no heap of its own. */
    if (analytic)
        bench_heap_start(config, (enum bench_system_id)system);
    barrier(fd);
    start = hl_units_now();
    if (bench_system_open(config, (enum bench_system_id)system, &w.db, &reply) == 0
        && prepare(config, &w, BENCH_OPEN, &reply) == 0) {
        int rc = sqlite3_step(w.stmt[BENCH_OPEN]);

        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            sql_fail(&reply, w.db, "first row");
        else if (rc == SQLITE_ROW)
            (void)sqlite3_column_blob(w.stmt[BENCH_OPEN], 0);
    }
    opened = hl_units_now();
    reply.open_seconds = opened - start;
    if (reply.rc == 0) {
        sqlite3_reset(w.stmt[BENCH_OPEN]);
        if (which == BENCH_OPEN)
            reply.seconds = reply.open_seconds;
        else if ((!analytic || run_text(w.db, "PRAGMA temp_store=memory;"
                                        "PRAGMA cache_size=-1000000", &reply) == 0)
                 && prepare(config, &w, which, &reply) == 0) {
            double before = hl_units_now();

            bench_run_statement(w.db, w.stmt[which], &reply);
            reply.seconds = hl_units_now() - before;
            reply.heap_bytes = hl_heap_huge_bytes();
            reply.page_tables = page_tables();
            reply.page_tables -= reply.page_tables < tables ? reply.page_tables : tables;
            reply.private_bytes = private_bytes();
            reply.private_bytes -= reply.private_bytes < private ? reply.private_bytes : private;
        }
    }
    answer(fd, &reply);
}

int bench_fresh_measure(const struct bench_config *config, enum bench_system_id system,
                        unsigned nr, enum bench_case which, struct bench_reply *replies)
{
    struct bench_child fresh[BENCH_MAX_READERS] = { 0 };
    int rc;

    for (unsigned i = 0; i < nr; i++) {
        rc = spawn(config, fresh_main, (int)system, (int)which, NULL, &fresh[i]);
        if (rc < 0)
            return bench_fail(replies, -rc, "fork: %s", strerror(-rc));
    }
    rc = bench_together_measure(fresh, nr, replies);
    if (rc < 0)
        return rc;                      /* the caller ends everything */
    bench_together_end(fresh, nr);
    return 0;
}
