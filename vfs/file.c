/* SPDX-License-Identifier: MIT
 *
 * file.c - one open main database: pages out of the cache, locks and all else
 * by the file that the VFS below has open.  Opening and each read transaction
 * follow the numbered rules below; each has a test (tests/test-vfs-*).
 *
 * Opening:
 *   1. A URI parameter we do not know that is named hugelite_... is an error.
 *   2. immutable=1, a remote name, or a medium that cannot be written: the volume is
 *      opened at once, and from then on there is no lock and no question.
 *   3. Else the file is opened in the VFS below, for reading only.  Its volume waits for
 *      the first lock, as no version can be trusted before.
 *   4. Unless its first bytes are not a database's: then the engine is asked at once.  What it
 *      decodes is immutable, as in rule 2: nobody writes into a compressed file, and no journal
 *      beside it is its own.  What it refuses is refused; what it takes as it is, is no
 *      database, and SQLite says so.
 *   5. Nothing is ever created or written: SQLITE_OPEN_READONLY is what we answer.
 *   6. What fails is remembered and told by extension.c, where SQLite lets the
 *      sentence through to the user; without it the first read fails.
 *
 * Each read transaction of a file that may change (SHARED lock taken):
 *   7. Still the version we serve: go on.
 *   8. The name leads to another inode: open that one, lock that one, start again.
 *   9. The name is gone, the file is empty, in WAL mode or has a WAL beside it: the
 *      VFS below serves it, as it would without us.  It is compressed now: an error, as
 *      SQLite knows only when it opens a file that this one needs no lock.
 *  10. Else open the present version, and make sure that the pager forgets what it
 *      remembers of the former one.
 *
 * Each page, of any file:
 *  11. A pointer into the cache, if the engine has or gets one; else xRead copies it, which
 *      knows ways past the cache: for one page of a chunk that is not worth its fill yet, for a
 *      good frame of a chunk with a bad one, when there is no room.
 *
 * Entry points: hl_file_methods, hl_file_open().  See also: vfs.c, uri.c.
 */
#include "config.h"

#include "vfs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
    /* SQLite may look a little past the end of a page when the page is corrupt. */
    OVERREAD_BYTES = 256,

    /* What is asked for ahead of its use: of a page that is larger, its beginning. */
    CACHE_LINE_BYTES = 64,
    PREFETCH_HEADER_BYTES = 128,
    PREFETCH_MAX_BYTES = 4096,

    /* A file that is replaced again and again while we look is busy in the end. */
    PATIENCE_S = 2,

    /* Of the database header: https://sqlite.org/fileformat2.html#the_database_header */
    HEADER_MAGIC_BYTES = 16,
    HEADER_WRITE_VERSION = 18, /* and the read version behind it: 2 = WAL */
    HEAD_BYTES = 20,
    HEADER_VERSION = 24,       /* 16 bytes that the pager compares at each transaction */
    VERSION_BYTES = 16,
    HEADER_SCHEMA_COOKIE = 40,
    COOKIE_BYTES = 4,
};

struct hl_file {
    sqlite3_file base;
    struct hugelite_volume *volume; /* the version served; NULL = real serves */
    sqlite3_file *real;             /* behind us in memory; no pMethods = not open */
    struct hugelite_pool *pool;
    const char *name;  /* SQLite's, with the URI parameters behind it; outlives us */
    const char *why;   /* real serves because ... ; for people */
    char *message;     /* the last failure or warning, owned; NULL = none */
    int code;          /* not 0: opening failed, and this is the code */
    int flags;         /* for opening real again */
    int lock;          /* SQLITE_LOCK_NONE... */
    int page_bytes;    /* of fetched pages; 0 = no last one of a chunk so far */
    const char *told_why; /* the why that the log has */
    bool told_journal;
    uint32_t salt;     /* into the schema cookie: another file than the one opened first */
    sqlite3_int64 expected; /* where the next page of a scan begins */
    uint64_t fetched_at;    /* clock of the CPU when the last page of a scan was fetched */
    bool immutable;
    bool remote;       /* and immutable */
    bool fetches;      /* the pager has a mmap_size, that is: it calls xFetch */
    bool changed;      /* another version since the pager asked */
    bool was_locked;   /* the pager has read a version before */
    unsigned char version[VERSION_BYTES]; /* as served last with page 1 */
};

static inline struct hl_file *to_file(sqlite3_file *base)
{
    return (struct hl_file *)base;
}

size_t hl_file_bytes(void)
{
    return (sizeof(struct hl_file) + 15) & ~(size_t)15;
}

/* ---- saying why ----------------------------------------------------------- */

/* To SQLite's log, and kept for PRAGMA hugelite_error. */
static void __attribute__((format(printf, 3, 4)))
tell(struct hl_file *file, int code, const char *format, ...)
{
    char *message;
    va_list ap;

    va_start(ap, format);
    message = sqlite3_vmprintf(format, ap);
    va_end(ap);
    if (!message)
        return;
    sqlite3_log(code, "hugelite: %s", message);
    sqlite3_free(file->message);
    file->message = message;
}

/* The engine said no: its sentence, and the code for SQLite. */
static int engine_failed(struct hl_file *file, int rc, enum hl_during during)
{
    int code;

    if (during == HL_DURING_READ && file->remote)
        during = HL_DURING_REMOTE_READ;
    code = hl_vfs_code(rc, during);
    hl_vfs_set_errno(-rc);
    tell(file, code, "%s", hugelite_error());
    return code;
}

/* Rule 6. */
static int __attribute__((format(printf, 3, 4)))
open_failed(struct hl_file *file, int code, const char *format, ...)
{
    va_list ap;
    char *cause;

    va_start(ap, format);
    cause = sqlite3_vmprintf(format, ap);
    va_end(ap);
    tell(file, code, "%s", cause ? cause : "out of memory");
    sqlite3_free(cause);
    file->code = code;
    return SQLITE_OK;
}

static void serve_directly(struct hl_file *file, const char *why)
{
    file->why = why;
    if (file->told_why == why) /* once, not for each transaction */
        return;
    file->told_why = why;
    sqlite3_log(SQLITE_NOTICE, "hugelite: %s: not cached: %s", file->name, why);
}

/* ---- the file below ------------------------------------------------------- */

static bool real_is_open(const struct hl_file *file)
{
    return file->real->pMethods != NULL;
}

static int open_real(struct hl_file *file)
{
    sqlite3_vfs *below = hl_vfs_below();
    int flags = (file->flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
                SQLITE_OPEN_READONLY;
    int out_flags, rc;

    memset(file->real, 0, (size_t)below->szOsFile);
    rc = below->xOpen(below, file->name, file->real, flags, &out_flags);
    if (rc != SQLITE_OK && file->real->pMethods) {
        file->real->pMethods->xClose(file->real);
        file->real->pMethods = NULL;
    }
    return rc;
}

/* The errno of what just failed in the VFS below. */
static int cause_below(void)
{
    sqlite3_vfs *below = hl_vfs_below();
    int err = below->xGetLastError ? below->xGetLastError(below, 0, NULL) : 0;

    hl_vfs_set_errno(err);
    return err ? err : EIO;
}

static void close_real(struct hl_file *file)
{
    if (real_is_open(file))
        file->real->pMethods->xClose(file->real);
    file->real->pMethods = NULL;
}

/* What the VFS below would not say, or would wait for: open() of a FIFO blocks.
 * Returns NULL for a regular file, else what is wrong with it, with errno. */
static const char *unfit(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return strerror(errno);
    if (S_ISREG(st.st_mode))
        return NULL;
    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    return S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file";
}

static bool is_empty(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size == 0;
}

static bool has_moved(struct hl_file *file)
{
    int moved = 0;

    file->real->pMethods->xFileControl(file->real, SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved;
}

/* For SQLite an empty file does not exist, which is right for journals and logs. */
static bool exists(const char *path)
{
    sqlite3_vfs *below = hl_vfs_below();
    int yes = 0;

    return below->xAccess(below, path, SQLITE_ACCESS_EXISTS, &yes) == SQLITE_OK && yes;
}

/* The journal of a program that died in mid-transaction begins with a byte
 * other than 0; of one that has committed, it is gone, empty or zeroed. */
static bool journal_is_hot(struct hl_file *file)
{
    sqlite3_vfs *below = hl_vfs_below();
    const char *path = sqlite3_filename_journal(file->name);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_JOURNAL, rc;
    unsigned char first = 0;
    sqlite3_file *journal;

    if (!exists(path))
        return false;
    journal = sqlite3_malloc64((sqlite3_uint64)below->szOsFile);
    if (!journal)
        return false;
    memset(journal, 0, (size_t)below->szOsFile);
    rc = below->xOpen(below, path, journal, flags, &flags);
    if (rc == SQLITE_OK)
        journal->pMethods->xRead(journal, &first, 1, 0);
    if (journal->pMethods)
        journal->pMethods->xClose(journal);
    sqlite3_free(journal);
    return first != 0;
}

/* ---- versions ------------------------------------------------------------- */

static void drop_volume(struct hl_file *file)
{
    hugelite_volume_close(file->volume);
    file->volume = NULL;
    file->page_bytes = 0; /* another version may have another */
}

/* The first bytes of the file below; zeros where there are none.  By that VFS, as it minds that
 * closing a descriptor of our own would drop SQLite's locks. */
static void read_head(struct hl_file *file, unsigned char head[HEAD_BYTES])
{
    memset(head, 0, HEAD_BYTES);
    file->real->pMethods->xRead(file->real, head, HEAD_BYTES, 0);
}

/* Neither a database nor empty: the engine knows whether it is compressed. */
static bool may_be_compressed(const unsigned char head[HEAD_BYTES])
{
    static const unsigned char nothing[HEADER_MAGIC_BYTES];

    return memcmp(head, "SQLite format 3", HEADER_MAGIC_BYTES) != 0 &&
           memcmp(head, nothing, HEADER_MAGIC_BYTES) != 0;
}

static bool is_compressed(const struct hl_file *file)
{
    return strcmp(hugelite_volume_encoding(file->volume), "raw") != 0;
}

/* Why the file, locked for reading, cannot come from the cache (rule 9); NULL
 * when it can. */
static const char *reason_against(struct hl_file *file, const unsigned char head[HEAD_BYTES])
{
    if (may_be_compressed(head))
        return NULL;
    if (head[HEADER_WRITE_VERSION] == 2 || head[HEADER_WRITE_VERSION + 1] == 2)
        return "the database is in WAL mode; PRAGMA journal_mode=DELETE, or immutable=1 if "
               "nobody writes, lets it be cached";
    if (exists(sqlite3_filename_wal(file->name)))
        return "there is a write-ahead log beside it";
    return NULL;
}

/* A lack that passes, or of our own making: the file is readable all the same. */
static const char *lack(int rc)
{
    switch (-rc) {
    case ENODATA:
        return "the file is empty";
    case EFBIG:
    case ENOSPC:
    case EUSERS:
        return "the pool has no room for another volume";
    case ENOMEM:
        return "not enough memory to open a volume";
    case EMFILE:
    case ENFILE:
        return "too many files are open";
    case ETIMEDOUT:
        return "the pool does not answer";
    case ENOENT:
        return "the file has been deleted";
    }
    return NULL;
}

enum outcome { SERVED, AGAIN, MOVED, FAILED };

/* The real file is locked for reading: have the right version in file->volume,
 * or none.  *ret_code is set when FAILED. */
static enum outcome settle(struct hl_file *file, int *ret_code)
{
    unsigned char head[HEAD_BYTES];
    int rc;

    if (file->volume) {
        rc = hugelite_volume_check(file->volume);
        if (rc == 0)
            return SERVED; /* rule 7 */
        if (rc != -ESTALE) {
            *ret_code = engine_failed(file, rc, HL_DURING_READ);
            return FAILED;
        }
        drop_volume(file);
    }
    file->changed = file->was_locked;

    if (has_moved(file)) {
        if (access(file->name, F_OK) == 0)
            return MOVED; /* rule 8 */
        serve_directly(file, "the file has been deleted");
        return SERVED;
    }
    read_head(file, head);
    file->why = reason_against(file, head);
    if (!file->why)
        file->why = hugelite_pool_uncached(file->pool);
    if (file->why) {
        serve_directly(file, file->why);
        return SERVED;
    }

    rc = hugelite_volume_open(file->pool, file->name, &file->volume);
    if (rc == -ESTALE)
        return AGAIN;
    if (rc < 0) {
        const char *why = lack(rc);

        if (!why || may_be_compressed(head)) {
            *ret_code = engine_failed(file, rc, HL_DURING_READ);
            return FAILED;
        }
        serve_directly(file, why);
        return SERVED;
    }

    if (is_compressed(file)) {
        drop_volume(file);
        hl_vfs_set_errno(ESTALE);
        *ret_code = SQLITE_IOERR_READ;
        tell(file, *ret_code, "%s: is compressed now, it was a plain database when it was opened; "
             "open it again", file->name);
        return FAILED;
    }

    /* The lock is on the inode that real has open, the volume is of the name:
     * were they not the same, the lock would protect nothing. */
    if (has_moved(file)) {
        drop_volume(file);
        return MOVED;
    }
    rc = hugelite_volume_check(file->volume);
    if (rc == 0)
        return SERVED; /* rule 10 */
    drop_volume(file);
    if (rc == -ESTALE)
        return AGAIN;
    *ret_code = engine_failed(file, rc, HL_DURING_READ);
    return FAILED;
}

/* Rule 8.  The new file's schema may differ while its schema cookie does not, as both began
 * at 1: prepared statements would then read the wrong tables.  So the cookie is
 * shown differently for each file. */
static int open_the_other(struct hl_file *file)
{
    const char *wrong = unfit(file->name);
    int err = errno, rc;

    if (wrong) {
        hl_vfs_set_errno(err);
        rc = hl_vfs_code(-err, HL_DURING_OPEN);
        tell(file, rc, "%s: has been replaced: %s", file->name, wrong);
        return rc;
    }
    rc = open_real(file);
    if (rc != SQLITE_OK) {
        tell(file, rc, "%s: has been replaced: %s", file->name, strerror(cause_below()));
        return rc;
    }
    file->salt += 0x9e3779b9;
    return SQLITE_OK;
}

/* Lock what the name leads to now, and settle which version that is. */
static enum outcome try_read(struct hl_file *file, int *ret_code)
{
    enum outcome outcome;

    if (!real_is_open(file)) { /* MOVED before */
        *ret_code = open_the_other(file);
        if (*ret_code != SQLITE_OK)
            return FAILED;
    }
    *ret_code = file->real->pMethods->xLock(file->real, SQLITE_LOCK_SHARED);
    if (*ret_code != SQLITE_OK)
        return FAILED;
    outcome = settle(file, ret_code);
    if (outcome != SERVED)
        file->real->pMethods->xUnlock(file->real, SQLITE_LOCK_NONE);
    if (outcome == MOVED)
        close_real(file);
    return outcome;
}

static int begin_read(struct hl_file *file)
{
    struct timespec now, end = { 0, 0 };
    enum outcome outcome;
    int rc = SQLITE_OK;

    for (;;) {
        outcome = try_read(file, &rc);
        if (outcome == SERVED) {
            file->was_locked = true;
            return SQLITE_OK;
        }
        if (outcome == FAILED)
            return rc;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!end.tv_sec)
            end.tv_sec = now.tv_sec + PATIENCE_S;
        else if (now.tv_sec >= end.tv_sec)
            break;
    }
    tell(file, SQLITE_BUSY, "%s: keeps being replaced, for %d seconds by now", file->name,
         PATIENCE_S);
    return SQLITE_BUSY;
}

/* ---- reading -------------------------------------------------------------- */

/* Called for reads that touch the header, when there may be something to hide or to note. */
static void dress_header(struct hl_file *file, unsigned char *bytes, int length,
                         sqlite3_int64 offset)
{
    unsigned char *version = bytes + (HEADER_VERSION - offset);

    if (offset > HEADER_VERSION || offset + length < HEADER_VERSION + VERSION_BYTES)
        return;

    if (offset == HEADER_VERSION && length == VERSION_BYTES) {
        /* The pager asks whether its cache is still good.  Another version may have
         * the same 16 bytes: show others than these and than those it has. */
        if (file->changed) {
            unsigned char shown = version[0] ^ 0x80;

            if (shown == file->version[0])
                shown = version[0] ^ 0x40;
            version[0] = shown;
            file->changed = false;
        }
        return;
    }
    memcpy(file->version, version, VERSION_BYTES);

    if (file->salt && offset + length >= HEADER_SCHEMA_COOKIE + COOKIE_BYTES) {
        unsigned char *cookie = bytes + (HEADER_SCHEMA_COOKIE - offset);

        for (int i = 0; i < COOKIE_BYTES; i++)
            cookie[i] ^= (unsigned char)(file->salt >> (24 - 8 * i));
    }
}

/* Opening failed, which is told when the connection is complete.  Until then SQLite reads
 * the header without a lock, and gets what an empty file gives; asks the size, if the file
 * was to be immutable, and gets one that makes it read page 1; and that read fails. */
enum { FAILED_FILE_BYTES = 65536 };

static int read_failed_file(struct hl_file *file, void *buffer, int length, sqlite3_int64 offset)
{
    memset(buffer, 0, (size_t)length);
    if (offset == 0 && length <= 100)
        return SQLITE_IOERR_SHORT_READ;
    return file->code ? file->code : SQLITE_IOERR_READ;
}

static int read_volume(struct hl_file *file, void *buffer, int length, sqlite3_int64 offset)
{
    uint64_t bytes = hugelite_volume_bytes(file->volume);
    uint64_t start = (uint64_t)offset, there = (uint64_t)length;
    int rc;

    if (start >= bytes)
        there = 0;
    else if (there > bytes - start)
        there = bytes - start;

    if (there) {
        rc = hugelite_volume_read(file->volume, start, there, buffer);
        if (rc < 0)
            return engine_failed(file, rc, HL_DURING_READ);
    }
    if (there < (uint64_t)length) {
        memset((char *)buffer + there, 0, (size_t)length - there);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *buffer, int length, sqlite3_int64 offset)
{
    struct hl_file *file = to_file(base);
    int rc;

    if (file->volume)
        rc = read_volume(file, buffer, length, offset);
    else if (real_is_open(file))
        rc = file->real->pMethods->xRead(file->real, buffer, length, offset);
    else
        return read_failed_file(file, buffer, length, offset);

    if (offset <= HEADER_VERSION && (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ))
        dress_header(file, buffer, length, offset);
    return rc;
}

/* Anything but a pointer: most are no failure but a page for xRead (rule 11). */
static int fetch_failed(struct hl_file *file, int rc)
{
    switch (-rc) {
    case EAGAIN:
    case EBADMSG: /* xRead names the frame if it is this page's */
    case EBUSY:
    case EMFILE:
    case ENOMEM:
    case ERANGE:
    case ETIMEDOUT:
        return SQLITE_OK;
    }
    return engine_failed(file, rc, HL_DURING_READ);
}

/* Does a page lie so near the end of its chunk that an overread of it would run into the next? */
static inline bool is_last_in_chunk(sqlite3_int64 offset, int length)
{
    return ((uint64_t)offset & (HUGELITE_CHUNK_BYTES - 1)) + (uint64_t)length + OVERREAD_BYTES >
           HUGELITE_CHUNK_BYTES;
}

/* Then hold the next chunk, too.  Were such pages left to xRead, a scan would fill the
 * pager's own cache with them: one page in 512, and a private copy in each process.
 * A scan comes there next, so it is mostly on its way; if not, xRead it is. */
static int fetch_next_too(struct hl_file *file, sqlite3_int64 offset, int length)
{
    const void *next;

    return hugelite_volume_try_fetch(file->volume, (uint64_t)offset + (uint64_t)length, 1, &next);
}

static inline void prefetch(const char *from, int length)
{
    if (length > PREFETCH_MAX_BYTES)
        length = PREFETCH_MAX_BYTES;
    for (int i = 0; i < length; i += CACHE_LINE_BYTES)
        __builtin_prefetch(from + i);
}

/* SQLite touches a page here and there: header, a binary search among cells, a row. Each would
 * be a cache miss of its own, one waiting for the other; asked for at once, they
 * overlap.  In a scan the page comes ahead of its turn, while SQLite works on the one
 * before: all of it when pages are slow to come, as with rows; the header alone when
 * they are fast, as in count(*), where the rest is not looked at.  A prefetch never
 * faults, so it does not matter what is resident.  What it gains: bench/README.md. */
static inline void prefetch_page(struct hl_file *file, sqlite3_int64 offset, int length,
                                 const char *page)
{
    if (offset == file->expected) {
        int ahead = PREFETCH_HEADER_BYTES;
#if defined(__x86_64__)
        uint64_t now = __builtin_ia32_rdtsc();

        if (now - file->fetched_at > (uint64_t)length / 2) /* over half a tick for a byte */
            ahead = length;
        file->fetched_at = now;
#endif
        prefetch(page + length, ahead);
    } else {
        prefetch(page, length);
    }
    file->expected = offset + length;
}

/* The warm path: a test, a comparison, the engine. */
static int file_fetch(sqlite3_file *base, sqlite3_int64 offset, int length, void **ret_page)
{
    struct hl_file *file = to_file(base);
    const void *page;
    int rc;

    *ret_page = NULL;
    if (__builtin_expect(!file->volume, 0))
        return SQLITE_OK;
    rc = hugelite_volume_try_fetch(file->volume, (uint64_t)offset, (uint32_t)length, &page);
    if (__builtin_expect(rc < 0, 0))
        return fetch_failed(file, rc);
    if (__builtin_expect(is_last_in_chunk(offset, length), 0)) {
        rc = fetch_next_too(file, offset, length);
        if (rc < 0) {
            hugelite_volume_release(file->volume, page);
            return fetch_failed(file, rc);
        }
        file->page_bytes = length;
    }
    prefetch_page(file, offset, length, page);
    *ret_page = (void *)(uintptr_t)page; /* SQLite's type has no const; it does not write */
    return SQLITE_OK;
}

static int file_unfetch(sqlite3_file *base, sqlite3_int64 offset, void *page)
{
    struct hl_file *file = to_file(base);

    if (!page || !file->volume) /* without a page it is a hint to unmap all */
        return SQLITE_OK;
    /* Any page that was last in its chunk has set page_bytes; the size is one for all. */
    if (__builtin_expect(is_last_in_chunk(offset, file->page_bytes), 0))
        hugelite_volume_release(file->volume, (char *)page + file->page_bytes);
    hugelite_volume_release(file->volume, page);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_bytes)
{
    struct hl_file *file = to_file(base);

    if (file->volume) {
        *ret_bytes = (sqlite3_int64)hugelite_volume_bytes(file->volume);
        return SQLITE_OK;
    }
    if (real_is_open(file))
        return file->real->pMethods->xFileSize(file->real, ret_bytes);
    *ret_bytes = FAILED_FILE_BYTES;
    return SQLITE_OK;
}

/* ---- what a reader does not do -------------------------------------------- */

static int file_write(sqlite3_file *base, const void *buffer, int length, sqlite3_int64 offset)
{
    (void)base, (void)buffer, (void)length, (void)offset;
    return SQLITE_READONLY;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 bytes)
{
    (void)base, (void)bytes;
    return SQLITE_READONLY;
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)base, (void)flags;
    return SQLITE_OK;
}

/* ---- locks ---------------------------------------------------------------- */

static int file_lock(sqlite3_file *base, int level)
{
    struct hl_file *file = to_file(base);
    int rc;

    if (file->code)
        return file->code;
    if (file->immutable)
        return SQLITE_OK;
    if (file->lock == SQLITE_LOCK_NONE && level == SQLITE_LOCK_SHARED)
        rc = begin_read(file);
    else
        rc = file->real->pMethods->xLock(file->real, level);
    if (rc == SQLITE_OK && file->lock < level)
        file->lock = level;
    return rc;
}

static int file_unlock(sqlite3_file *base, int level)
{
    struct hl_file *file = to_file(base);

    if (file->lock > level)
        file->lock = level;
    return real_is_open(file) ? file->real->pMethods->xUnlock(file->real, level) : SQLITE_OK;
}

/* The pager asks this when it has seen a journal.  If nobody is writing and the
 * journal is hot, the pager answers SQLITE_READONLY_ROLLBACK, whose text helps nobody. */
static int file_check_reserved_lock(sqlite3_file *base, int *ret_reserved)
{
    struct hl_file *file = to_file(base);
    int rc;

    *ret_reserved = 0;
    if (!real_is_open(file))
        return SQLITE_OK;
    rc = file->real->pMethods->xCheckReservedLock(file->real, ret_reserved);
    if (rc == SQLITE_OK && !*ret_reserved && !file->told_journal && journal_is_hot(file)) {
        file->told_journal = true;
        tell(file, SQLITE_READONLY_ROLLBACK,
             "%s: a writer died and left a hot journal; open the database once with a program "
             "that may write it, as in: sqlite3 '%s' .schema", file->name, file->name);
    }
    return rc;
}

/* ---- the rest of the table ------------------------------------------------ */

/* mmap_size is a switch here: the pager calls xFetch when it is not 0.  How
 * much may be mapped is the pool's business, and the file below maps nothing. */
static void mmap_size(struct hl_file *file, sqlite3_int64 *bytes)
{
    if (*bytes >= 0)
        file->fetches = *bytes > 0;
    *bytes = file->fetches && file->volume ? (sqlite3_int64)hugelite_volume_bytes(file->volume)
                                           : 0;
}

/* The origin could not be asked whether what it has now is what we serve. */
static bool is_unvalidated(const struct hl_file *file)
{
    struct hugelite_volume_stat stat;

    return hugelite_volume_stat(file->volume, &stat) == 0 && stat.unvalidated;
}

static char *mode(const struct hl_file *file)
{
    bool compressed = file->volume && is_compressed(file);

    if (file->volume)
        return sqlite3_mprintf("%s%s%s%s%s%s", file->immutable ? "immutable" : "cached",
                               file->remote ? ", remote" : "", compressed ? ", " : "",
                               compressed ? hugelite_volume_encoding(file->volume) : "",
                               hugelite_pool_uncached(file->pool) ? ", uncached" : "",
                               file->remote && is_unvalidated(file) ? ", unvalidated" : "");
    if (file->why)
        return sqlite3_mprintf("direct: %s", file->why);
    return sqlite3_mprintf("not read yet");
}

/* PRAGMA hugelite_mode: how the file is served.  PRAGMA hugelite_error: the last
 * failure or warning in words, as SQLite has only a number for it. */
static int pragma(struct hl_file *file, char **args)
{
    if (sqlite3_stricmp(args[1], "hugelite_mode") == 0) {
        args[0] = mode(file);
        return SQLITE_OK;
    }
    if (sqlite3_stricmp(args[1], "hugelite_error") == 0) {
        args[0] = sqlite3_mprintf("%s", file->message ? file->message : "");
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    struct hl_file *file = to_file(base);
    int rc = SQLITE_NOTFOUND;

    switch (op) {
    case SQLITE_FCNTL_MMAP_SIZE:
        mmap_size(file, arg);
        return SQLITE_OK;
    case SQLITE_FCNTL_PRAGMA:
        rc = pragma(file, arg);
        if (rc != SQLITE_NOTFOUND)
            return rc;
        break;
    case SQLITE_FCNTL_SIZE_HINT:
    case SQLITE_FCNTL_CHUNK_SIZE: /* would make the file larger */
        return SQLITE_OK;
    }

    if (real_is_open(file))
        rc = file->real->pMethods->xFileControl(file->real, op, arg);
    if (op == SQLITE_FCNTL_VFSNAME) {
        char **name = arg;

        *name = rc == SQLITE_OK ? sqlite3_mprintf("hugelite/%z", *name)
                                : sqlite3_mprintf("hugelite/%s", hl_vfs_below()->zName);
        rc = SQLITE_OK;
    }
    return rc;
}

static int file_sector_size(sqlite3_file *base)
{
    struct hl_file *file = to_file(base);

    return real_is_open(file) ? file->real->pMethods->xSectorSize(file->real) : 4096;
}

static int file_device_characteristics(sqlite3_file *base)
{
    struct hl_file *file = to_file(base);

    if (file->immutable)
        return SQLITE_IOCAP_IMMUTABLE;
    return real_is_open(file) ? file->real->pMethods->xDeviceCharacteristics(file->real) : 0;
}

/* The pager maps the WAL index: from here on a checkpoint may write the file under our
 * SHARED lock, so the cache is out of it until the next one. */
static int file_shm_map(sqlite3_file *base, int region, int bytes, int extend,
                        void volatile **ret_region)
{
    struct hl_file *file = to_file(base);

    if (file->volume) {
        drop_volume(file);
        file->changed = true;
        serve_directly(file, "there is a write-ahead log beside it");
    }
    if (!real_is_open(file) || file->real->pMethods->iVersion < 2)
        return SQLITE_IOERR_SHMMAP;
    return file->real->pMethods->xShmMap(file->real, region, bytes, extend, ret_region);
}

static int file_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    struct hl_file *file = to_file(base);

    return file->real->pMethods->xShmLock(file->real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
    struct hl_file *file = to_file(base);

    file->real->pMethods->xShmBarrier(file->real);
}

static int file_shm_unmap(sqlite3_file *base, int delete)
{
    struct hl_file *file = to_file(base);

    if (!real_is_open(file) || file->real->pMethods->iVersion < 2)
        return SQLITE_OK;
    return file->real->pMethods->xShmUnmap(file->real, delete);
}

static int file_close(sqlite3_file *base)
{
    struct hl_file *file = to_file(base);

    drop_volume(file);
    close_real(file);
    hl_pools_close(file->pool);
    sqlite3_free(file->message);
    memset(file, 0, sizeof *file);
    return SQLITE_OK;
}

const sqlite3_io_methods hl_file_methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

/* ---- opening -------------------------------------------------------------- */

/* File systems that nobody can write to, however mounted.  A mere read-only
 * mount of another kind may be written elsewhere. */
static bool medium_is_read_only(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return false;
    switch ((uint32_t)fs.f_type) {
    case 0x73717368: /* squashfs */
    case 0x00009660: /* iso9660 */
    case 0xe0f5e1e2: /* erofs */
    case 0x28cd3d45: /* cramfs */
    case 0x453dcd28: /* cramfs, the other byte order */
    case 0x00007275: /* romfs */
        return true;
    }
    return false;
}

/* The user's word is taken, so nothing beside the file is read; but a log
 * or a journal there says that somebody did write. */
static void warn_of_writers(struct hl_file *file)
{
    const char *log = sqlite3_filename_wal(file->name);

    if (exists(log))
        tell(file, SQLITE_WARNING,
             "%s: opened as immutable, so what is in %s is not seen", file->name, log);
    else if (journal_is_hot(file))
        tell(file, SQLITE_WARNING,
             "%s: opened as immutable, but a writer died and left a hot journal: the data may be "
             "inconsistent", file->name);
}

static int open_real_first(struct hl_file *file)
{
    int rc = open_real(file);

    if (rc != SQLITE_OK)
        return open_failed(file, rc, "%s: %s", file->name, strerror(cause_below()));
    return SQLITE_OK;
}

static int refused(struct hl_file *file, int rc)
{
    hl_vfs_set_errno(-rc);
    return open_failed(file, hl_vfs_code(rc, HL_DURING_OPEN), "%s", hugelite_error());
}

/* The volume is open, but its pages do not come from the pool. */
static void note_uncached(struct hl_file *file)
{
    const char *why = hugelite_pool_uncached(file->pool);

    if (why) /* without the name, which may hold credentials */
        tell(file, SQLITE_NOTICE, "not cached: %s", why);
}

/* Rule 2. */
static int open_immutable(struct hl_file *file)
{
    int rc = hugelite_volume_open(file->pool, file->name, &file->volume);

    if (rc == -ENODATA && !file->remote && is_empty(file->name)) { /* not: decodes to nothing */
        serve_directly(file, lack(rc));
        return open_real_first(file);
    }
    if (rc < 0)
        return refused(file, rc);
    if (!file->remote && !is_compressed(file))
        warn_of_writers(file);
    note_uncached(file);
    return SQLITE_OK;
}

/* Rules 3 and 4. */
static int open_plain_or_compressed(struct hl_file *file)
{
    unsigned char head[HEAD_BYTES];
    int rc = open_real_first(file);

    if (rc != SQLITE_OK || file->code)
        return rc;
    read_head(file, head);
    if (!may_be_compressed(head))
        return SQLITE_OK;

    rc = hugelite_volume_open(file->pool, file->name, &file->volume);
    if (rc == 0 && !is_compressed(file)) {
        drop_volume(file); /* until there is a lock */
        return SQLITE_OK;
    }
    close_real(file);
    if (rc < 0)
        return refused(file, rc);
    file->immutable = true;
    note_uncached(file);
    return SQLITE_OK;
}

static int look_at(struct hl_file *file)
{
    const char *wrong = unfit(file->name);
    int err = errno;

    if (!wrong)
        return SQLITE_OK;
    hl_vfs_set_errno(err);
    return open_failed(file, hl_vfs_code(-err, HL_DURING_OPEN), "%s: %s%s", file->name, wrong,
                       err == ENOENT && (file->flags & SQLITE_OPEN_CREATE)
                           ? "; hugelite makes no databases" : "");
}

static int open_file(struct hl_file *file)
{
    struct hl_uri uri;
    const char *bad;
    int rc;

    if (hl_uri_parse(file->name, &uri, &bad) < 0) {
        hl_vfs_set_errno(EINVAL);
        return open_failed(file, SQLITE_CANTOPEN, "%s%sURI parameter %s: %s",
                           hl_uri_is_remote(file->name) ? "" : file->name,
                           hl_uri_is_remote(file->name) ? "" : ": ", bad,
                           strcmp(bad, "pool") == 0 ? "wants a directory"
                                                    : "not known to this version");
    }
    file->remote = uri.remote;
    if (!file->remote)
        look_at(file);
    if (file->code)
        return SQLITE_OK;
    file->immutable = uri.immutable || medium_is_read_only(file->name);

    rc = hl_pools_open(uri.pool, &file->pool);
    if (rc < 0) {
        hl_vfs_set_errno(-rc);
        return open_failed(file, SQLITE_CANTOPEN, "%s", hugelite_error());
    }
    return file->immutable ? open_immutable(file) : open_plain_or_compressed(file);
}

int hl_file_open(const char *name, sqlite3_file *base, int flags, int *ret_flags)
{
    struct hl_file *file = to_file(base);
    int rc;

    memset(file, 0, sizeof *file);
    file->real = (sqlite3_file *)((char *)base + hl_file_bytes());
    file->real->pMethods = NULL;
    file->name = name;
    file->flags = flags;
    hl_vfs_set_errno(0);

    rc = open_file(file);
    if (file->code)
        file->immutable = false;
    base->pMethods = &hl_file_methods;
    if (ret_flags) /* rule 5 */
        *ret_flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
                     SQLITE_OPEN_READONLY;
    return rc;
}

const char *hl_file_open_error(sqlite3_file *base, int *ret_code)
{
    struct hl_file *file = to_file(base);

    if (base->pMethods != &hl_file_methods || !file->code)
        return NULL;
    *ret_code = file->code;
    return file->message ? file->message : "out of memory";
}

bool hl_file_fetches(sqlite3_file *base)
{
    return base->pMethods == &hl_file_methods && to_file(base)->fetches;
}
