/* SPDX-License-Identifier: MIT
 *
 * The file that is packed.  A database must be all there is of it: no journal to roll
 * back, no write-ahead log, no transaction under way; SQLite's own VFS keeps writers off while it
 * is read.
 *
 * That lock is taken on the file, not by a connection: a connection to a database in WAL
 * mode would leave two files beside it.  It does not stop the checkpoint of a log, hence
 * the look at the end.
 *
 * Entry points: pack.h.  See also: ../vfs/file.c (the same questions, for a reader).
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "codec.h"
#include "error.h"
#include "pack.h"
#include "source.h"
#include "tools.h"

enum {
    BUSY_MS = 2000, /* a transaction of somebody else may end in this time */
    NAP_MS = 10,
    /* https://sqlite.org/fileformat2.html#the_database_header */
    HEADER_BYTES = 100,
    HEADER_PAGE_BYTES = 16,
    HEADER_CHANGES = 24,
    HEADER_PAGES = 28,
    HEADER_VALID_FOR = 92,
};

struct hl_pack_input {
    const char *name;             /* the caller's */
    char *path;                   /* absolute, as SQLite wants it */
    sqlite3_filename sqlite_name; /* with those of its journal and log; NULL = any file */
    sqlite3_file *locked;         /* holds SHARED; NULL = no lock was asked for */
    int fd;
    struct stat st;
    unsigned char head[HEADER_BYTES];
};

int hl_pack_input_fd(const struct hl_pack_input *input)
{
    return input->fd;
}

const struct stat *hl_pack_input_stat(const struct hl_pack_input *input)
{
    return &input->st;
}

/* POSIX drops all locks of a process on a file with any descriptor of it, so ours goes last. */
void hl_pack_input_close(struct hl_pack_input *input)
{
    if (!input)
        return;
    if (input->locked && input->locked->pMethods)
        input->locked->pMethods->xClose(input->locked);
    sqlite3_free(input->locked);
    sqlite3_free_filename(input->sqlite_name);
    if (input->fd >= 0)
        close(input->fd);
    free(input->path);
    free(input);
}

static void close_inputp(struct hl_pack_input **input)
{
    hl_pack_input_close(*input);
}

static int read_head(const struct hl_pack_input *input, unsigned char head[HEADER_BYTES])
{
    memset(head, 0, HEADER_BYTES);
    if (pread(input->fd, head, HEADER_BYTES, 0) < 0)
        return hl_error(errno, "%s: cannot be read: %s", input->name, strerror(errno));
    return 0;
}

static uint32_t get_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Under the lock.  A file may be longer than its header says (SQLITE_FCNTL_CHUNK_SIZE). */
static int check_database(const struct hl_pack_input *input)
{
    const unsigned char *head = input->head;
    uint64_t bytes = (uint64_t)input->st.st_size;
    uint32_t page_bytes = (uint32_t)head[HEADER_PAGE_BYTES] << 8 | head[HEADER_PAGE_BYTES + 1];
    bool pages_valid = memcmp(head + HEADER_CHANGES, head + HEADER_VALID_FOR, 4) == 0;
    uint64_t pages = get_be32(head + HEADER_PAGES);

    if (page_bytes == 1)
        page_bytes = 65536;
    if (page_bytes < 512 || (page_bytes & (page_bytes - 1)))
        return hl_error(EBADMSG, "%s: its header is damaged: no page has %" PRIu32 " bytes",
                        input->name, page_bytes);
    if (pages_valid && pages * page_bytes > bytes)
        return hl_error(EBADMSG, "%s: is truncated: it has %" PRIu64 " bytes, its header says %"
                        PRIu64, input->name, bytes, pages * page_bytes);
    if (bytes % page_bytes)
        return hl_error(EBADMSG, "%s: is truncated or damaged: %" PRIu64 " bytes are no whole "
                        "number of pages of %" PRIu32, input->name, bytes, page_bytes);
    return 0;
}

/* The journal of a transaction that is over is gone, empty or begins with zeros. */
static int check_journal(const struct hl_pack_input *input)
{
    const char *path = sqlite3_filename_journal(input->sqlite_name);
    unsigned char first = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return hl_error(errno, "%s: whether it is hot cannot be seen: %s", path, strerror(errno));
    got = pread(fd, &first, 1, 0);
    close(fd);
    if (got == 1 && first != 0)
        return hl_error(EBUSY, "%s: a writer died and left a hot journal; open the database once "
                        "with a program that may write it, as in: sqlite3 '%s' .schema",
                        input->name, input->name);
    return 0;
}

static int check_log(const struct hl_pack_input *input)
{
    struct stat st;

    if (stat(sqlite3_filename_wal(input->sqlite_name), &st) < 0 || st.st_size == 0)
        return 0;
    return hl_error(EBUSY, "%s: has a write-ahead log beside it, which may hold the newest of it; "
                    "take it in with: sqlite3 '%s' 'PRAGMA wal_checkpoint(TRUNCATE)'",
                    input->name, input->name);
}

/* Take SHARED, when nobody is about to write.  Others may finish a transaction first. */
static int lock_shared(struct hl_pack_input *input)
{
    const sqlite3_io_methods *methods = input->locked->pMethods;
    int writing = 0, rc;

    for (int waited = 0;; waited += NAP_MS) {
        rc = methods->xLock(input->locked, SQLITE_LOCK_SHARED);
        if (rc == SQLITE_OK)
            rc = methods->xCheckReservedLock(input->locked, &writing);
        if (rc == SQLITE_OK && !writing)
            return 0;
        if (rc != SQLITE_OK && rc != SQLITE_BUSY)
            return hl_error(EIO, "%s: cannot be locked: %s", input->name, sqlite3_errstr(rc));
        methods->xUnlock(input->locked, SQLITE_LOCK_NONE);
        if (waited >= BUSY_MS || hl_tool_stopped)
            return hl_error(EBUSY, "%s: a program is writing to it; try again when its "
                            "transaction has ended", input->name);
        sqlite3_sleep(NAP_MS);
    }
}

/* SQLite finds the names of the journal and the log behind that of the database. */
static int name_database(struct hl_pack_input *input)
{
    char *journal, *log;

    input->path = realpath(input->name, NULL);
    if (!input->path)
        return hl_error(errno, "%s: %s", input->name, strerror(errno));
    journal = sqlite3_mprintf("%s-journal", input->path);
    log = sqlite3_mprintf("%s-wal", input->path);
    if (journal && log)
        input->sqlite_name = sqlite3_create_filename(input->path, journal, log, 0, NULL);
    sqlite3_free(journal);
    sqlite3_free(log);
    return input->sqlite_name ? 0 : hl_error(ENOMEM, "%s: no memory to open it", input->name);
}

static int lock_database(struct hl_pack_input *input)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, rc;

    if (!vfs)
        return hl_error(ENOSYS, "this SQLite has no VFS 'unix'");
    rc = name_database(input);
    if (rc < 0)
        return rc;
    input->locked = sqlite3_malloc(vfs->szOsFile);
    if (!input->locked)
        return hl_error(ENOMEM, "%s: no memory to open it", input->name);
    memset(input->locked, 0, (size_t)vfs->szOsFile);
    rc = vfs->xOpen(vfs, input->sqlite_name, input->locked, flags, &flags);
    if (rc != SQLITE_OK)
        return hl_error(EIO, "%s: %s", input->name, sqlite3_errstr(rc));
    return lock_shared(input);
}

static int stat_input(struct hl_pack_input *input)
{
    if (fstat(input->fd, &input->st) < 0)
        return hl_error(errno, "%s: %s", input->name, strerror(errno));
    if (input->st.st_size == 0)
        return hl_error(ENODATA, "%s: is empty", input->name);
    return 0;
}

static int open_file(struct hl_pack_input *input)
{
    /* O_NONBLOCK: a FIFO without a writer must not hold us. */
    input->fd = open(input->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (input->fd < 0 || fstat(input->fd, &input->st) < 0)
        return hl_error(errno, "%s: %s", input->name, strerror(errno));
    if (S_ISDIR(input->st.st_mode))
        return hl_error(EISDIR, "%s: is a directory, not a database file", input->name);
    if (!S_ISREG(input->st.st_mode))
        return hl_error(EINVAL, "%s: is not a regular file", input->name);
    return stat_input(input);
}

/* What is compressed already wants another command than --any. */
static int refuse_content(const struct hl_pack_input *input)
{
    struct hl_source *source = NULL;
    struct hl_codec *codec = NULL;
    bool packed = false;
    int rc = hl_source_open(input->name, &source);

    if (rc == 0)
        rc = hl_codec_open(source, &codec);
    if (rc == 0) {
        packed = codec->ops != &hl_codec_raw;
        codec->ops->close(codec);
    }
    hl_source_close(source);
    if (rc == -EMEDIUMTYPE)
        return rc;
    if (packed)
        return hl_error(EINVAL, "%s: is packed already, and opens as it is", input->name);
    return hl_error(EINVAL, "%s: is not an SQLite database; --any packs any file", input->name);
}

static int settle_database(struct hl_pack_input *input)
{
    int rc;

    if (input->st.st_size < HEADER_BYTES || memcmp(input->head, "SQLite format 3", 16) != 0)
        return refuse_content(input);
    rc = lock_database(input);
    if (rc == 0) /* what was seen before the lock may be of yesterday */
        rc = stat_input(input);
    if (rc == 0)
        rc = read_head(input, input->head);
    if (rc == 0)
        rc = check_journal(input);
    if (rc == 0)
        rc = check_log(input);
    if (rc == 0)
        rc = check_database(input);
    return rc;
}

int hl_pack_input_open(const char *name, bool any, struct hl_pack_input **ret_input)
{
    HL_CLEANUP(close_inputp) struct hl_pack_input *input = calloc(1, sizeof *input);
    int rc;

    if (!input)
        return hl_error(ENOMEM, "%s: no memory to open it", name);
    input->name = name;
    input->fd = -1;
    rc = open_file(input);
    if (rc == 0)
        rc = read_head(input, input->head);
    if (rc == 0 && !any)
        rc = settle_database(input);
    if (rc < 0)
        return rc;
    *ret_input = HL_TAKE(input);
    return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int hl_pack_input_check(struct hl_pack_input *input)
{
    unsigned char head[HEADER_BYTES];
    struct stat st;
    int rc;

    if (fstat(input->fd, &st) < 0)
        return hl_error(errno, "%s: %s", input->name, strerror(errno));
    rc = read_head(input, head);
    if (rc < 0)
        return rc;
    if (st.st_size != input->st.st_size || !same_time(&st.st_mtim, &input->st.st_mtim) ||
        memcmp(head, input->head, HEADER_BYTES) != 0)
        return hl_error(ESTALE, "%s: has changed while it was packed; pack it again",
                        input->name);
    /* Somebody has written to it, if only to its log, or another file has its name. */
    if (stat(input->name, &st) < 0 || st.st_dev != input->st.st_dev ||
        st.st_ino != input->st.st_ino)
        return hl_error(ESTALE, "%s: was replaced while it was packed; pack it again",
                        input->name);
    return input->sqlite_name ? check_log(input) : 0;
}
