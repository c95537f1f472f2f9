/* SPDX-License-Identifier: MIT
 *
 * bench-db.c - the database that `hugelite bench` reads: the user's own, or one
 * made here, always the same for the same size.
 *
 * Entry point: bench_db_prepare.
 * See also: bench-system.c (the copies of it), bench.c.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "tools.h"

#define PAGE_BYTES 4096
#define ROWS_PER_COMMIT 200000u
#define V_MIN 88u
#define V_MAX 184u
#define WORDS 256u
#define WORD_ROOM 16

static int sqlite_fail(struct bench_reply *reply, sqlite3 *db, const char *path)
{
    return bench_fail(reply, EIO, "%s: %s", path, sqlite3_errmsg(db));
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* One of WORDS words of one to three syllables and a space; returns its length. */
static unsigned word(unsigned number, char out[WORD_ROOM])
{
    static const char syllables[32][5] = {
        "an", "ber", "co", "den", "el", "for", "ga", "hol", "in", "ju", "ka", "ler", "mo", "ning",
        "or", "per", "qui", "ra", "ston", "ter", "un", "ver", "wa", "xi", "yo", "zen", "tion",
        "ment", "ly", "sh", "al", "ed",
    };
    uint64_t r = mix(number + 1);
    unsigned nr = 1 + (unsigned)(r >> 60) % 4 % 3, length = 0;

    for (unsigned i = 0; i < nr; i++, r >>= 5) {
        const char *s = syllables[r & 31];
        size_t n = strlen(s);

        memcpy(out + length, s, n);
        length += (unsigned)n;
    }
    out[length++] = ' ';
    return length;
}

/* The text of a row, all from the row's number: words, the first ones more often than the
 * last, of a length that varies.  Packed, it takes about a third, as texts in databases do. */
static unsigned row_text(uint64_t id, char *text)
{
    uint64_t r = mix(id);
    unsigned length = V_MIN + (unsigned)(r % (V_MAX - V_MIN + 1)), done = 0;

    while (done < length) {
        char one[WORD_ROOM];
        unsigned n;

        r = mix(r + id);
        n = word((unsigned)((r & 0xffff) * (r >> 16 & 0xffff) >> 16) * WORDS >> 16, one);
        n = n < length - done ? n : length - done;
        memcpy(text + done, one, n);
        done += n;
    }
    return length;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    int64_t value = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

/* Commits now and then and keeps no journal, so neither memory nor disk hold more
 * than the database.  A half-built file is no loss: it has another name. */
static int job_build(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    const char *path = config->db_building;
    int64_t want = (int64_t)((config->size + PAGE_BYTES - 1) / PAGE_BYTES), pages = 0;
    sqlite3_stmt *insert, *count;
    char text[V_MAX], sql[64];
    sqlite3 *db;
    uint64_t id = 0;

    (void)arg;
    unlink(path);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") != SQLITE_OK
        || sqlite3_exec(db, "PRAGMA page_size=4096; PRAGMA journal_mode=OFF;"
                        "PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;"
                        "PRAGMA locking_mode=EXCLUSIVE;"
                        "CREATE TABLE kv(id INTEGER PRIMARY KEY, k, v); BEGIN",
                        NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(db, "INSERT INTO kv VALUES(?1,?2,?3)", -1, &insert, NULL)
               != SQLITE_OK
        || sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &count, NULL) != SQLITE_OK)
        return sqlite_fail(reply, db, path);

    while (pages < want) {
        for (unsigned i = 0; i < 2000; i++) {
            id++;
            sqlite3_bind_int64(insert, 1, (int64_t)id);
            sqlite3_bind_int64(insert, 2, (int64_t)(mix(id) >> 16));
            sqlite3_bind_text(insert, 3, text, (int)row_text(id, text), SQLITE_STATIC);
            if (sqlite3_step(insert) != SQLITE_DONE)
                return sqlite_fail(reply, db, path);
            sqlite3_reset(insert);
        }
        if (id % ROWS_PER_COMMIT == 0) {
            if (sqlite3_exec(db, "COMMIT; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
                return sqlite_fail(reply, db, path);
            bench_progress("building the database: %.0f %%", 100.0 * (double)pages / (double)want);
        }
        if (sqlite3_step(count) == SQLITE_ROW)
            pages = sqlite3_column_int64(count, 0);
        sqlite3_reset(count);
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(count);
    snprintf(sql, sizeof sql, "COMMIT; PRAGMA user_version=%d", BENCH_DB_VERSION);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK || sqlite3_close(db) != SQLITE_OK)
        return sqlite_fail(reply, db, path);
    return 0;
}

static int job_inspect(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct stat st;
    sqlite3 *db;

    (void)arg;
    if (sqlite3_open_v2(config->db, &db, SQLITE_OPEN_READONLY, "unix") != SQLITE_OK
        || number(db, "SELECT count(*) FROM sqlite_schema") < 0)
        return sqlite_fail(reply, db, config->db);
    if (stat(config->db, &st) < 0)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    reply->bytes = (uint64_t)st.st_size;
    if (!config->db_option) {
        reply->rows = (uint64_t)number(db, "SELECT max(id) FROM kv");
        if (number(db, "PRAGMA user_version") != BENCH_DB_VERSION || (int64_t)reply->rows <= 0)
            return bench_fail(reply, ESTALE, "%s: not made by this version", config->db);
    }
    sqlite3_close(db);
    return 0;
}

static int complain(const struct bench_reply *reply)
{
    hl_tool_error("bench", "%s", reply->message);
    return reply->rc;
}

static int build(struct bench_config *config)
{
    struct bench_reply reply;
    int rc;

    if ((size_t)snprintf(config->db_building, sizeof config->db_building, "%s.%d.tmp", config->db,
                         (int)getpid()) >= sizeof config->db_building) {
        config->db_building[0] = '\0';
        bench_fail(&reply, ENAMETOOLONG, "%s: the name is too long", config->db);
        return complain(&reply);
    }
    bench_progress("building the database");
    rc = bench_run_job(config, job_build, 0, &reply);
    if (rc < 0)
        return complain(&reply);
    if (rename(config->db_building, config->db) < 0) {
        bench_fail(&reply, errno, "%s: %s", config->db, strerror(errno));
        return complain(&reply);
    }
    config->db_building[0] = '\0';
    return 0;
}

/* immutable=1 reads the file alone; with a log beside it that would be another
 * database than the one the user means. */
static int refuse_log(const char *path)
{
    static const char *const suffixes[] = { "-wal", "-journal" };
    char name[PATH_MAX + 16];
    struct stat st;

    for (unsigned i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (stat(name, &st) == 0 && st.st_size > 0) {
            hl_tool_error("bench", "%s: not empty; close its users, or run "
                          "`sqlite3 %s 'PRAGMA journal_mode=DELETE'`", name, path);
            return -EBUSY;
        }
    }
    return 0;
}

int bench_db_prepare(struct bench_config *config)
{
    const char *tmp = getenv("TMPDIR");
    struct bench_reply reply;
    int rc;

    if (config->db_option) {
        if (!realpath(config->db_option, config->db)) {
            bench_fail(&reply, errno, "%s: %s", config->db_option, strerror(errno));
            return complain(&reply);
        }
        rc = refuse_log(config->db);
        if (rc < 0)
            return rc;
    } else {
        char dir[PATH_MAX];

        if (config->dir_option) {
            if (mkdir(config->dir_option, 0777) < 0 && errno != EEXIST) {
                bench_fail(&reply, errno, "%s: %s", config->dir_option, strerror(errno));
                return complain(&reply);
            }
            if (!realpath(config->dir_option, dir)) {
                bench_fail(&reply, errno, "%s: %s", config->dir_option, strerror(errno));
                return complain(&reply);
            }
        } else {
            rc = bench_dir_make(tmp && *tmp == '/' ? tmp : "/var/tmp", config->db_dir);
            if (rc < 0) {
                bench_fail(&reply, -rc, "no directory for the database: %s", strerror(-rc));
                return complain(&reply);
            }
            strcpy(dir, config->db_dir);
        }
        if ((size_t)snprintf(config->db, sizeof config->db, "%.4000s/hugelite-bench-%" PRIu64
                             ".db", dir, config->size) >= sizeof config->db) {
            bench_fail(&reply, ENAMETOOLONG, "%s: the name is too long", dir);
            return complain(&reply);
        }
        /* What is there from an earlier run serves when its stamp is ours. */
        if (access(config->db, F_OK) < 0
            || bench_run_job(config, job_inspect, 0, &reply) == -ESTALE) {
            rc = build(config);
            if (rc < 0)
                return rc;
        }
    }
    rc = bench_run_job(config, job_inspect, 0, &reply);
    if (rc < 0)
        return complain(&reply);
    config->db_bytes = reply.bytes;
    config->rows = reply.rows;
    return 0;
}
