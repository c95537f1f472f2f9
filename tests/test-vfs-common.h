/* SPDX-License-Identifier: MIT
 *
 * test-vfs-common.h - what the tests of the VFS share: a pool of their own, SQLite's
 * log in memory, short ways to run SQL, compressed files, and a peer: another process with
 * stock SQLite, as two connections of one process would share SQLite's locks.
 */
#ifndef HUGELITE_TEST_VFS_COMMON_H
#define HUGELITE_TEST_VFS_COMMON_H

#include "config.h"

#include "test.h"

#include "hugelite-vfs.h"
#include "seekable.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

/* ---- the log --------------------------------------------------------------- */

static char vfs_log_text[65536];
static pthread_mutex_t vfs_log_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void vfs_log_line(void *arg, int code, const char *message)
{
    size_t used;

    (void)arg;
    pthread_mutex_lock(&vfs_log_lock);
    used = strlen(vfs_log_text);
    snprintf(vfs_log_text + used, sizeof vfs_log_text - used, "(%d) %s\n", code, message);
    pthread_mutex_unlock(&vfs_log_lock);
}

static inline void vfs_log_clear(void)
{
    vfs_log_text[0] = '\0';
}

/* How often the log says this. */
static inline int vfs_log_count(const char *what)
{
    int n = 0;

    for (const char *p = vfs_log_text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* ---- a peer ---------------------------------------------------------------- */

struct peer {
    pid_t pid;
    int fd;
};

struct peer_reply {
    int rc; /* extended */
    int64_t value; /* of the first column of the last row */
};

/* Runs one SQL text after another until its parent goes. */
static inline void peer_main(int fd)
{
    static char sql[8192];
    sqlite3 *db = NULL;

    for (;;) {
        struct peer_reply reply = { 0 };
        ssize_t got = recv(fd, sql, sizeof sql - 1, 0);
        const char *rest = sql;

        if (got <= 0)
            _exit(0);
        sql[got] = '\0';
        if (strncmp(sql, "open ", 5) == 0) {
            sqlite3_close(db);
            reply.rc = sqlite3_open_v2(sql + 5, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                       "unix");
            sqlite3_busy_timeout(db, 5000);
            rest = "";
        }
        while (reply.rc == SQLITE_OK && *rest) {
            sqlite3_stmt *stmt;

            reply.rc = sqlite3_prepare_v2(db, rest, -1, &stmt, &rest);
            if (!stmt)
                continue;
            while ((reply.rc = sqlite3_step(stmt)) == SQLITE_ROW)
                reply.value = sqlite3_column_int64(stmt, 0);
            if (reply.rc == SQLITE_DONE)
                reply.rc = SQLITE_OK;
            if (reply.rc != SQLITE_OK)
                reply.rc = sqlite3_extended_errcode(db);
            sqlite3_finalize(stmt);
        }
        if (send(fd, &reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply)
            _exit(1);
    }
}

/* Start it before SQLite is used here: what SQLite knows of locks is not for a child. */
static inline struct peer peer_start(void)
{
    struct peer peer;
    int fds[2];

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    peer.pid = fork();
    EXPECT(peer.pid >= 0);
    if (peer.pid == 0) {
        close(fds[0]);
        peer_main(fds[1]);
    }
    close(fds[1]);
    peer.fd = fds[0];
    return peer;
}

static inline int peer_ask(struct peer peer, const char *sql, int64_t *ret_value)
{
    struct peer_reply reply;

    EXPECT_EQ(send(peer.fd, sql, strlen(sql), MSG_NOSIGNAL), (ssize_t)strlen(sql));
    EXPECT_EQ(recv(peer.fd, &reply, sizeof reply, 0), (ssize_t)sizeof reply);
    *ret_value = reply.value;
    return reply.rc;
}

static inline int peer_rc(struct peer peer, const char *sql)
{
    int64_t value;

    return peer_ask(peer, sql, &value);
}

static inline void peer_sql(struct peer peer, const char *sql)
{
    int rc = peer_rc(peer, sql);

    if (rc != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "peer: %s: %s", sql, sqlite3_errstr(rc));
}

static inline int64_t peer_int(struct peer peer, const char *sql)
{
    int64_t value;

    EXPECT_EQ(peer_ask(peer, sql, &value), SQLITE_OK);
    return value;
}

static inline void peer_open(struct peer peer, const char *path)
{
    char text[4200];

    snprintf(text, sizeof text, "open %s", path);
    peer_sql(peer, text);
}

static inline void peer_kill(struct peer peer)
{
    kill(peer.pid, SIGKILL);
    waitpid(peer.pid, NULL, 0);
    close(peer.fd);
}

static inline void peer_stop(struct peer peer)
{
    shutdown(peer.fd, SHUT_RDWR); /* a later peer holds a copy of it */
    close(peer.fd);
    EXPECT_CHILD(peer.pid, 0);
}

/* ---- SQL here -------------------------------------------------------------- */

/* Once, after the peers: a pool, and the VFS. */
static inline void vfs_begin_in(const char *pool)
{
    setenv("HUGELITE_POOL", pool, 1);
    setenv("HUGELITE_POOL_SIZE", "32M", 1);
    sqlite3_config(SQLITE_CONFIG_LOG, vfs_log_line, NULL);
    EXPECT_EQ(hugelite_vfs_register(0), SQLITE_OK);
}

/* The same with a pool of its own. */
static inline void vfs_begin(void)
{
    vfs_begin_in(test_pool_dir());
}

/* params: "" or "&immutable=1" and the like; vfs "hugelite" or "unix". */
static inline int vfs_try(const char *path, const char *vfs, const char *params, sqlite3 **ret_db)
{
    char *uri = sqlite3_mprintf("file:%s?vfs=%s%s", path, vfs, params);
    int rc = sqlite3_open_v2(uri, ret_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL);

    sqlite3_free(uri);
    return rc;
}

static inline sqlite3 *vfs_open(const char *path, const char *params)
{
    sqlite3 *db;

    if (vfs_try(path, "hugelite", params, &db) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "open %s%s: %s", path, params, sqlite3_errmsg(db));
    sqlite3_extended_result_codes(db, 1);
    return db;
}

static inline sqlite3 *stock_open(const char *path)
{
    sqlite3 *db;

    EXPECT_EQ(vfs_try(path, "unix", "", &db), SQLITE_OK);
    return db;
}

static inline TEST_NORETURN void sql_fail(sqlite3 *db, const char *sql)
{
    fputs(vfs_log_text, stderr);
    test_fail(__FILE__, __LINE__, "%s: %s", sql, sqlite3_errmsg(db));
}

/* Runs all of it; the extended code. */
static inline int sql_rc(sqlite3 *db, const char *sql)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db);
}

static inline void sql_exec(sqlite3 *db, const char *sql)
{
    if (sql_rc(db, sql) != SQLITE_OK)
        sql_fail(db, sql);
}

static inline sqlite3_stmt *sql_first_row(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        sql_fail(db, sql);
    return stmt;
}

static inline int64_t sql_int(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = sql_first_row(db, sql);
    int64_t value = sqlite3_column_int64(stmt, 0);

    sqlite3_finalize(stmt);
    return value;
}

/* Kept until this is called four more times. */
static inline const char *sql_text(sqlite3 *db, const char *sql)
{
    static char texts[4][4096];
    static unsigned turn;
    sqlite3_stmt *stmt = sql_first_row(db, sql);
    const char *value = (const char *)sqlite3_column_text(stmt, 0);
    char *text = texts[turn++ % 4];

    snprintf(text, sizeof texts[0], "%s", value ? value : "(null)");
    sqlite3_finalize(stmt);
    return text;
}

/* A hash of all rows and columns of a query. */
static inline uint64_t sql_hash(sqlite3 *db, const char *sql)
{
    uint64_t hash = 0xcbf29ce484222325u;
    sqlite3_stmt *stmt;
    int rc;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        sql_fail(db, sql);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const unsigned char *p = sqlite3_column_blob(stmt, i);
            int n = sqlite3_column_bytes(stmt, i);

            for (int j = 0; j < n; j++)
                hash = (hash ^ p[j]) * 0x100000001b3u;
            hash = (hash ^ 0xff) * 0x100000001b3u;
        }
    if (rc != SQLITE_DONE)
        sql_fail(db, sql);
    sqlite3_finalize(stmt);
    return hash;
}

/* Pages that the pager had to read by xRead since the last call. */
static inline int sql_misses(sqlite3 *db)
{
    int misses, high;

    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &misses, &high, 1);
    return misses;
}

/* ---- files ----------------------------------------------------------------- */

static inline void *file_load(const char *path, size_t *ret_bytes)
{
    FILE *f = fopen(path, "rbe");
    struct stat st;
    char *bytes;

    EXPECT(f && fstat(fileno(f), &st) == 0);
    bytes = malloc((size_t)st.st_size + 1);
    EXPECT(bytes);
    EXPECT_EQ(fread(bytes, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    *ret_bytes = (size_t)st.st_size;
    return bytes;
}

static inline void file_store(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wbe");

    EXPECT(f);
    EXPECT_EQ(fwrite(bytes, 1, n, f), n);
    EXPECT_EQ(fclose(f), 0);
}

/* Turn over the bits of one byte. */
static inline void file_spoil(const char *path, uint64_t offset)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte;

    EXPECT(fd >= 0);
    EXPECT_EQ(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0xff;
    EXPECT_EQ(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

/* ---- compressed files ------------------------------------------------------ */

enum { ZST_FRAMES_MAX = 16384 };

struct zst {
    unsigned nr_frames;
    uint64_t at[ZST_FRAMES_MAX + 1]; /* where each begins in the file, and where the table does */
};

/* One frame with a checksum, which is its last four bytes. */
static inline struct hl_seekable_entry zst_add_frame(ZSTD_CCtx *context, const void *from,
                                                     size_t bytes, FILE *to)
{
    size_t room = ZSTD_compressBound(bytes), n;
    unsigned char *frame = malloc(room), *sum;
    struct hl_seekable_entry entry;

    EXPECT(frame);
    n = ZSTD_compress2(context, frame, room, from, bytes);
    if (ZSTD_isError(n))
        test_fail(__FILE__, __LINE__, "zstd: %s", ZSTD_getErrorName(n));
    EXPECT_EQ(fwrite(frame, 1, n, to), n);
    sum = frame + n - 4;
    entry = (struct hl_seekable_entry){
        .encoded_bytes = (uint32_t)n,
        .decoded_bytes = (uint32_t)bytes,
        .checksum = sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 |
                    (uint32_t)sum[3] << 24,
    };
    free(frame);
    return entry;
}

/* Write the seekable form of a file, in frames of frame_bytes.  *ret_zst may be NULL. */
static inline void zst_make(const char *from, const char *to, uint32_t frame_bytes,
                            struct zst *ret_zst)
{
    static struct hl_seekable_entry entries[ZST_FRAMES_MAX];
    static unsigned char table[ZST_FRAMES_MAX * HL_SEEKABLE_ENTRY_BYTES + 64];
    ZSTD_CCtx *context = ZSTD_createCCtx();
    struct zst zst = { 0 };
    size_t bytes, n;
    char *image = file_load(from, &bytes);
    FILE *f = fopen(to, "wbe");

    EXPECT(f && context);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    for (size_t done = 0; done < bytes; done += n, zst.nr_frames++) {
        n = bytes - done < frame_bytes ? bytes - done : frame_bytes;
        EXPECT(zst.nr_frames < ZST_FRAMES_MAX);
        entries[zst.nr_frames] = zst_add_frame(context, image + done, n, f);
        zst.at[zst.nr_frames + 1] = zst.at[zst.nr_frames] + entries[zst.nr_frames].encoded_bytes;
    }
    hl_seekable_write(entries, zst.nr_frames, table);
    n = hl_seekable_table_bytes(zst.nr_frames);
    EXPECT_EQ(fwrite(table, 1, n, f), n);
    EXPECT_EQ(fclose(f), 0);
    ZSTD_freeCCtx(context);
    free(image);
    if (ret_zst)
        *ret_zst = zst;
}

#endif
