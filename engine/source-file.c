/* SPDX-License-Identifier: MIT
 *
 * source-file.c - a regular file of this machine as a source.  Its validator is device, inode,
 * size, mtime and its first 100 bytes, which in an SQLite database hold the
 * change counter: two commits within one tick of the clock still differ.
 *
 * Descriptors are shared by inode and parked instead of closed.  POSIX says that closing
 * *any* descriptor of a file drops all fcntl locks that the process holds on
 * it, and SQLite's locks are such: a close here would unlock a stock
 * connection of the same process in the middle of its transaction.  A parked
 * descriptor serves the next open of the same file.  When the file has no name any more, or
 * when more than PARKED_MAX are idle, it is closed as soon as that can do no harm.
 *
 * Entry point: hl_source_file (ops).  See also: source.h.
 */
#include "config.h"

#include "cleanup.h"
#include "error.h"
#include "lock.h"
#include "source.h"
#include "sys.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 100, PARKED_MAX = 16, CROWDED = 256 };

/* Two ticks of the slowest kernel clock that file times come from (100 Hz): a writer who spills pages
 * and rolls back within a tick of the last commit leaves no trace in size, mtime and head. */
enum { TICKS_NS = 20 * 1000 * 1000 };

/* One descriptor of this process, used by refs sources. */
struct shared_file {
    struct shared_file *next;
    dev_t dev;
    ino_t ino;
    int fd;
    unsigned refs; /* 0 = parked */
};

/* What tells one version from another; hashed, so no padding may hide in it. */
struct stamp {
    uint64_t dev, ino, size, mtime_s, mtime_ns;
    unsigned char head[104]; /* HEAD_BYTES used */
};

struct file_source {
    struct hl_source base;
    struct shared_file *file;
    struct stamp stamp;
    bool settled; /* when it was opened: then any change has another mtime */
};

static struct hl_lock files_lock = HL_LOCK_INIT(HL_RANK_FILES);
static struct shared_file *files; /* most recently used first */

void hl_source_file_fork_prepare(void)
{
    hl_lock(&files_lock);
}

void hl_source_file_fork_done(void)
{
    hl_unlock(&files_lock);
}

/* Does anybody, this process included, lock a byte of the file?  An open file
 * description asks on behalf of itself, so the locks of our own process count. */
static bool is_locked(int fd)
{
    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    return hl_sys.lock(fd, F_OFD_GETLK, &probe) < 0 || probe.l_type != F_UNLCK;
}

static bool has_name(int fd)
{
    struct stat st;

    return hl_sys.fstat(fd, &st) < 0 || st.st_nlink > 0;
}

/* May this descriptor be closed without taking a lock from anybody?  A write lease is granted
 * only when nobody else has the file open, and makes whoever opens it now wait
 * until our close: so nobody can come by a lock in between.  Only the file's owner gets one.
 * Others, when very many are parked, must do with a look at the locks. */
static bool may_close(int fd, unsigned parked)
{
    /* The signal for a broken lease would by default be SIGIO, which kills. */
    if (hl_sys.lease(fd, F_SETSIG, SIGURG) == 0 && hl_sys.lease(fd, F_SETLEASE, F_WRLCK) == 0)
        return true;
    return parked > CROWDED && !is_locked(fd);
}

/* Under files_lock. */
static void trim_parked(void)
{
    unsigned parked = 0;

    for (struct shared_file **link = &files; *link;) {
        struct shared_file *file = *link;

        if (file->refs || (++parked <= PARKED_MAX && has_name(file->fd)) ||
            !may_close(file->fd, parked)) {
            link = &file->next;
            continue;
        }
        *link = file->next;
        hl_sys.close(file->fd);
        free(file);
    }
}

/* Under files_lock. */
static struct shared_file *find_file(dev_t dev, ino_t ino)
{
    for (struct shared_file *file = files; file; file = file->next)
        if (file->dev == dev && file->ino == ino)
            return file;
    return NULL;
}

static void list_file(struct shared_file *file)
{
    hl_lock(&files_lock);
    file->next = files;
    files = file;
    trim_parked();
    hl_unlock(&files_lock);
}

static int share_file(const char *name, struct shared_file **ret_file)
{
    struct shared_file *file;
    struct stat st;
    int fd, rc;

    if (hl_sys.stat(name, &st) < 0)
        return hl_error(errno, "%s: %s", name, strerror(errno));

    hl_lock(&files_lock);
    file = find_file(st.st_dev, st.st_ino);
    if (file)
        file->refs++;
    hl_unlock(&files_lock);
    if (file) {
        *ret_file = file;
        return 0;
    }

    /* Before it is open: it must not be closed for want of memory. */
    file = malloc(sizeof *file);
    if (!file)
        return hl_error(ENOMEM, "%s: no memory to open it", name);
    /* O_NONBLOCK: a FIFO without a writer must not hold us. */
    fd = hl_sys.openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        rc = hl_error(errno, "%s: %s", name, strerror(errno));
        free(file);
        return rc;
    }
    *file = (struct shared_file){ .fd = fd };
    if (hl_sys.fstat(fd, &st) < 0) {
        rc = hl_error(errno, "%s: %s", name, strerror(errno));
        list_file(file); /* parked, as a file that nobody will ask for */
        return rc;
    }
    if (!S_ISREG(st.st_mode)) {
        hl_sys.close(fd);
        free(file);
        if (S_ISDIR(st.st_mode))
            return hl_error(EISDIR, "%s: is a directory, not a database file", name);
        return hl_error(EINVAL, "%s: is not a regular file", name);
    }
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->refs = 1;
    list_file(file);
    *ret_file = file;
    return 0;
}

static void park_file(struct shared_file *file)
{
    hl_lock(&files_lock);
    file->refs--;
    for (struct shared_file **link = &files; *link; link = &(*link)->next)
        if (*link == file) {
            *link = file->next;
            break;
        }
    file->next = files;
    files = file;
    trim_parked();
    hl_unlock(&files_lock);
}

static int read_fully(const char *name, int fd, uint64_t offset, uint32_t length, void *buffer)
{
    char *p = buffer;

    while (length) {
        ssize_t got = hl_sys.pread(fd, p, length, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hl_error(errno, "%s: reading at %llu: %s", name, (unsigned long long)offset,
                            strerror(errno));
        if (got == 0)
            return hl_error(ESTALE, "%s: ends at byte %llu, it was longer when opened", name,
                            (unsigned long long)offset);
        p += got;
        offset += (uint64_t)got;
        length -= (uint32_t)got;
    }
    return 0;
}

static void stamp_stat(struct stamp *stamp, const struct stat *st)
{
    stamp->dev = st->st_dev;
    stamp->ino = st->st_ino;
    stamp->size = (uint64_t)st->st_size;
    stamp->mtime_s = (uint64_t)st->st_mtim.tv_sec;
    stamp->mtime_ns = (uint64_t)st->st_mtim.tv_nsec;
}

static bool same_file_state(const struct stamp *stamp, const struct stat *st)
{
    struct stamp now = *stamp;

    stamp_stat(&now, st);
    return memcmp(&now, stamp, sizeof now) == 0;
}

static void file_close(struct hl_source *base)
{
    struct file_source *src = (struct file_source *)base;

    if (src->file)
        park_file(src->file);
    free(base->name);
    free(src);
}

static void close_sourcep(struct file_source **src)
{
    if (*src)
        file_close(&(*src)->base);
}

static int file_open(const char *name, struct hl_source **ret_source)
{
    HL_CLEANUP(close_sourcep) struct file_source *src = calloc(1, sizeof *src);
    struct stat st;
    int rc;

    if (!src)
        return hl_error(ENOMEM, "%s: no memory to open it", name);
    src->base.ops = &hl_source_file;

    /* Absolute from here on, so that a chdir() of the host changes nothing. */
    src->base.name = realpath(name, NULL);
    if (!src->base.name)
        return hl_error(errno, "%s: %s", name, strerror(errno));
    rc = share_file(src->base.name, &src->file);
    if (rc < 0)
        return rc;
    if (hl_sys.fstat(src->file->fd, &st) < 0)
        return hl_error(errno, "%s: %s", name, strerror(errno));
    if (st.st_size == 0)
        return hl_error(ENODATA, "%s: is empty", name);

    stamp_stat(&src->stamp, &st);
    src->base.src_bytes = src->stamp.size;
    src->base.settled_ns = src->stamp.mtime_s * 1000000000 + src->stamp.mtime_ns + TICKS_NS;
    src->settled = hl_today_ns() >= src->base.settled_ns;
    rc = read_fully(src->base.name, src->file->fd, 0,
                    src->stamp.size < HEAD_BYTES ? (uint32_t)src->stamp.size : HEAD_BYTES,
                    src->stamp.head);
    if (rc < 0)
        return rc;

    hl_source_hash(&src->stamp, sizeof src->stamp, src->base.key);
    hl_source_hash(src->base.name, strlen(src->base.name), src->base.name_key);

    *ret_source = &HL_TAKE(src)->base;
    return 0;
}

/* Two commits within one tick of a coarse clock have the same mtime, but not the same head. */
static int check_head(struct file_source *src)
{
    uint32_t length = src->stamp.size < HEAD_BYTES ? (uint32_t)src->stamp.size : HEAD_BYTES;
    unsigned char head[HEAD_BYTES];
    int rc = read_fully(src->base.name, src->file->fd, 0, length, head);

    if (rc == 0 && memcmp(head, src->stamp.head, length))
        rc = hl_error(ESTALE, "%s: has changed since it was opened; open it again",
                      src->base.name);
    return rc;
}

static int file_read(struct hl_source *base, uint64_t src_offset, uint32_t length, void *buffer)
{
    struct file_source *src = (struct file_source *)base;
    struct stat st;
    int rc;

    rc = read_fully(base->name, src->file->fd, src_offset, length, buffer);
    if (rc < 0)
        return rc;

    /* After the read, not before: what changed during it must be noticed. */
    if (hl_sys.fstat(src->file->fd, &st) < 0)
        return hl_error(errno, "%s: %s", base->name, strerror(errno));
    if (!same_file_state(&src->stamp, &st))
        return hl_error(ESTALE, "%s: has changed since it was opened; open it again", base->name);
    return src->settled ? 0 : check_head(src);
}

static int file_check(struct hl_source *base)
{
    struct file_source *src = (struct file_source *)base;
    struct stat st;

    if (hl_sys.stat(base->name, &st) < 0)
        return hl_error(errno == ENOENT || errno == ENOTDIR ? ESTALE : errno, "%s: %s", base->name,
                        strerror(errno));
    if (!same_file_state(&src->stamp, &st))
        return hl_error(ESTALE, "%s: has changed since it was opened", base->name);
    return check_head(src);
}

static void file_name_key(const char *name, uint64_t ret_key[2])
{
    char *real = realpath(name, NULL);
    const char *canonical = real ? real : name;

    hl_source_hash(canonical, strlen(canonical), ret_key);
    free(real);
}

const struct hl_source_ops hl_source_file = {
    .prefix = "",
    .open = file_open,
    .read = file_read,
    .check = file_check,
    .close = file_close,
    .name_key = file_name_key,
};
