/* SPDX-License-Identifier: MIT
 *
 * hugelite.h - one hugepage page cache for every process that reads a database.
 *
 * A pool is a directory on hugetlbfs (or tmpfs) that holds the cache of this
 * machine; a volume is one immutable version of a database file, plain or
 * compressed, cut into chunks of 2 MiB.  In calling order:
 *
 *      struct hugelite_pool *pool;
 *      struct hugelite_volume *vol;
 *      const void *data;
 *
 *      hugelite_pool_open(NULL, NULL, &pool);
 *      hugelite_volume_open(pool, "/data/x.db", &vol);
 *      hugelite_volume_fetch(vol, 4096, 4096, &data);   ... read data ...
 *      hugelite_volume_release(vol, data);
 *      hugelite_volume_close(vol);
 *      hugelite_pool_close(pool);
 *
 * Before you start:
 *   - Every function that can fail returns 0 or a negative errno, and leaves a
 *     sentence for hugelite_error().  Nothing is ever printed.
 *   - Threads: a pool may be used by all threads.  A volume handle is used by
 *     one thread at a time, like an SQLite connection; open one per thread,
 *     they share the mapping and cost a few microseconds, and for a compressed source a walk
 *     over its seek table.
 *   - fork(): handles are not inherited.  In the child every call on one
 *     answers -ECHILD (close them, then open again) and the mapping is absent:
 *     a pointer fetched before the fork must not be followed in the child.
 *   - The pool must be on a file system of this machine, and is reached by
 *     processes of one uid or group; they trust each other.
 *
 * Manual: hugelite(3), hugelite-pool(7).  What the kernel must offer:
 * Documentation/admin-guide/mm/userfaultfd.rst and hugetlbpage.rst.
 */
#ifndef HUGELITE_H
#define HUGELITE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Bytes of a chunk: the unit of residency, and one huge page on hugetlbfs.
 * A fetched range never crosses a multiple of it. */
#define HUGELITE_CHUNK_BYTES (2u << 20)

struct hugelite_pool;
struct hugelite_volume;

/* The last error of this thread, one sentence without a newline; "" when there
 * was none.  Valid until this thread's next call into hugelite. */
const char *hugelite_error(void);

/* "0.1.0" */
const char *hugelite_version(void);

/* Parse a size as people write it: decimal digits, then nothing or one of
 * K M G T (powers of 1024), as in 320M.  *ret_bytes is set on success.
 * Returns 0, or -EINVAL (not a size), -ERANGE (more than 2^63 - 1). */
int hugelite_parse_size(const char *text, uint64_t *ret_bytes);

/* ---- pools ------------------------------------------------------------- */

struct hugelite_pool_opts {
    size_t size;              /* sizeof this struct; set it always */
    uint64_t budget_bytes;    /* of a pool made by this call; 0 = HUGELITE_POOL_SIZE,
                               * or all free huge pages, or a quarter of the free memory */
    unsigned existing;        /* 1: attach only, -ENOENT when there is no pool */
};

/* Attach this process to a pool, making the pool when there is none.
 *
 * dir       the pool's directory, made if its parent exists; NULL = the
 *           environment's HUGELITE_POOL, else "hugelite" below the first hugetlbfs
 *           mount of 2 MiB pages that this user can write and that has free pages,
 *           else /dev/shm/hugelite-UID
 * opts      NULL = all defaults
 * ret_pool  set on success.  Opening a pool again in the same process returns
 *           the same attachment; each open wants its close.
 *
 * Returns 0 or:
 *   -ENOENT   opts->existing, and no pool is there; or the parent is missing
 *   -EMEDIUMTYPE  the directory is neither on hugetlbfs nor on tmpfs
 *   -EINVAL   the huge pages of this mount are not 2 MiB; or a size is wrong
 *   -EACCES   the pool belongs to somebody else, or to a group that this process is not in
 *   -ENOSPC   no room for the directory, or for one more file in it
 *   -EPROTO   made by a build with another layout; close its users, remove the directory
 *   -EBADMSG  the control segment is damaged
 *   -EUSERS   too many processes are attached
 *   -ETIMEDOUT  another process holds the pool lock for too long
 *
 * Where the kernel, or a container's seccomp filter, refuses userfaultfd(2) or membarrier(2), the pool
 * opens all the same, and hugelite_pool_uncached() says why this process cannot use the cache:
 * hugelite_volume_read() then reads and decodes for itself, hugelite_volume_try_fetch() answers -EAGAIN,
 * and hugelite_volume_fetch(), _map() and _warm() answer -EPERM.  So it is, with -ENOSPC, where there is no
 * room for a pool to be made: no free huge page, tmpfs full.  The next open tries anew.
 *
 * Processes: each becomes a member, noticed as gone by the kernel's lock when it dies.
 * Starts one thread, with all signals blocked, that serves page faults.
 */
int hugelite_pool_open(const char *dir, const struct hugelite_pool_opts *opts,
                       struct hugelite_pool **ret_pool);

/* Close one open; the last one detaches.  The cache stays for others and for
 * later.  Volumes of this pool must be closed before.  NULL is accepted. */
void hugelite_pool_close(struct hugelite_pool *pool);

/* NULL; or why this process reads past the cache, one sentence.  Valid until the pool is closed. */
const char *hugelite_pool_uncached(const struct hugelite_pool *pool);

struct hugelite_pool_stat {
    char dir[4096];
    char pages[16];           /* "hugetlb" or "shmem" */
    uint64_t page_bytes;      /* bytes of a kernel page: 2097152, or 4096 */
    uint64_t budget_bytes;
    uint64_t resident_bytes;  /* of all volumes */
    uint64_t readers;         /* processes that have a volume open */
    uint64_t heap_bytes;      /* huge pages that its live members use as heap (hugelite_pool_set_heap) */
    char state_dir[4096];     /* of this process: catalog and disk tier; "" = none, or not used yet */
    uint64_t tier_bytes;      /* encoded bytes in the disk tier */
    uint64_t tier_size;       /* at most */
    char notice[512];         /* why the cache, the state directory, or the tier, is done without here;
                               * "" = it is not */
};

struct hugelite_volume_stat {
    char source[1024];        /* the name it was opened by first, perhaps cut */
    uint64_t bytes;           /* decoded size */
    uint64_t resident_bytes;  /* in whole chunks */
    uint64_t fills;           /* chunks filled, since the volume came into the pool */
    uint64_t source_bytes;    /* bytes really read from the source */
    uint64_t evictions;       /* chunks evicted */
    uint64_t waits;           /* times a reader waited for another's fill or eviction */
    uint64_t errors;          /* fills that failed, but for want of room */
    uint64_t frames_decoded;  /* of a compressed source; a frame that an early read decoded and a
                               * fill decoded again counts twice */
    uint64_t early_reads;     /* reads answered from the source, before or without a fill */
    uint64_t requests;        /* sent to a remote source, repeated ones included */
    uint64_t tier_bytes;      /* encoded bytes read from the disk tier instead of the source */
    uint64_t unvalidated;     /* 1: the origin could not be asked, when it was opened last, whether this
                               * is its present version */
    uint64_t superseded;      /* 1: the source has changed; goes with its last reader */
    uint64_t share_bytes;     /* at most, of the budget (hugelite_pool_set_share); 0 = all of it */
};

/* Look at a pool.  Threads: any.  Returns 0, or -ECHILD after fork(). */
int hugelite_pool_stat(struct hugelite_pool *pool, struct hugelite_pool_stat *ret_stat);

/* List the volumes of a pool: at most room of them go to array, and *ret_nr is
 * how many there are.  Threads: any.  Returns 0, or -ECHILD, -ETIMEDOUT. */
int hugelite_pool_volumes(struct hugelite_pool *pool, struct hugelite_volume_stat *array,
                          size_t room, size_t *ret_nr);

/* Make chunks of a source's volumes, or with NULL of all volumes, leave the
 * cache.  Chunks that somebody holds stay, which is no error; *ret_bytes (may
 * be NULL) counts what went.  Returns 0, -ENOENT (no such volume), -ECHILD. */
int hugelite_pool_evict(struct hugelite_pool *pool, const char *source, uint64_t *ret_bytes);

/* Give a pool another budget while it is in use: at least 2 MiB, and at most eight times the one it was
 * made with, or the machine's memory.  Huge pages for a larger one must be there (hugelite setup); when
 * it is smaller, chunks leave at once, those that nobody uses first.  *ret_held_bytes (may be NULL) is what
 * is still above the budget, since somebody holds it; it goes when its time comes.
 * Returns 0, -EINVAL (too small), -EFBIG (too large), -ECHILD, -ETIMEDOUT.  Threads: any. */
int hugelite_pool_resize(struct hugelite_pool *pool, uint64_t budget_bytes,
                         uint64_t *ret_held_bytes);

/* Let the volumes of a source have at most so many bytes of the budget, each; 0 = all of it, as at first.  One
 * that has more keeps it until it wants another chunk, and then gives its own.  Lasts for as long as the source
 * is in the pool, newer versions included.  Returns 0, -ENOENT (no such volume), -ECHILD, -ETIMEDOUT. */
int hugelite_pool_set_share(struct hugelite_pool *pool, const char *source, uint64_t bytes);

/* ---- memory ------------------------------------------------------------ */

/* Where fill buffers and decode contexts come from; without a call, mmap(2).  For programs
 * that keep a heap of their own on huge pages; a library in somebody else's program does not. */
struct hugelite_memory {
    size_t size;              /* sizeof this struct; set it always */
    /* bytes of memory, aligned to a page of 4096 bytes, or NULL.  Called by any thread, never
     * under a lock of ours that a toucher of an image may wait for; must not call hugelite. */
    void *(*allocate)(void *arg, size_t bytes);
    void (*release)(void *arg, void *memory, size_t bytes);
    void *arg;
};

/* Set it once, before the first pool is opened: -EBUSY afterwards, -EINVAL when its size is not
 * set.  The struct is copied. */
int hugelite_set_memory(const struct hugelite_memory *memory);

/* Tell a pool how many bytes of huge pages this process uses as heap, for hugelite_pool_stat() of
 * all members to add up.  It is forgotten when the process detaches or dies.  Returns 0 or -ECHILD. */
int hugelite_pool_set_heap(struct hugelite_pool *pool, uint64_t bytes);

/* ---- volumes ----------------------------------------------------------- */

/* Open the present version of a source through a pool.
 *
 * source    path of a regular file, or http://, https:// or s3://bucket/key: hugelite-remote(7)
 *           has what is needed for those.  What begins as a Zstandard file must be in the seekable format,
 *           as `hugelite pack` makes it, and the volume is what it decodes to; all
 *           else is taken as it is.
 * ret_vol   set on success; close it with hugelite_volume_close()
 *
 * A version is told by device, inode, size, mtime and the first 100 bytes
 * (where SQLite keeps its change counter); of a remote object by its strong entity tag or version id,
 * else by its date and length.  Another version is another volume.
 *
 * Returns 0 or:
 *   -ENOENT, -EACCES, ...  the source cannot be opened, as open(2) says
 *   -EISDIR, -EINVAL       it is a directory; it is not a regular file
 *   -ENODATA               it is empty, or decodes to nothing
 *   -EMEDIUMTYPE           it is compressed, but not seekable (zstd without a seek table, gzip,
 *                          xz, ...); hugelite_error() has the command that mends it
 *   -EBADMSG               its seek table is damaged
 *   -EFBIG, -ENOSPC        the pool's tables have no room for it
 *   -EUSERS                too many volumes are open
 *   -EPROTONOSUPPORT       no such kind of source; libcurl, which http, https and s3 need, is missing
 *   and of remote sources:
 *   -ENOENT, -EACCES       no such object (404, 410); it is refused (401, 403), or no credentials
 *   -EHOSTUNREACH, -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EPROTO   no such host; nobody there; hung
 *                          up; no answer in time; TLS failed
 *   -EIO                   a wrong answer: hugelite_error() says what is wrong with it
 *   -ESTALE                the pool's directory has been removed; or the source has changed
 *                          while it was opened: open it again
 *   -ECHILD, -ETIMEDOUT, -ENOMEM
 */
int hugelite_volume_open(struct hugelite_pool *pool, const char *source,
                         struct hugelite_volume **ret_vol);

/* Drop the handle and all its pins.  NULL is accepted; fine in a forked child. */
void hugelite_volume_close(struct hugelite_volume *vol);

/* Decoded size in bytes; never changes. */
uint64_t hugelite_volume_bytes(const struct hugelite_volume *vol);

/* How the source is encoded: "raw", or "zstd-seekable".  A static string. */
const char *hugelite_volume_encoding(const struct hugelite_volume *vol);

/* Is the source still the version that was opened?  Two system calls on a
 * local file, one request to a remote origin.  Returns 0, -ESTALE (changed, replaced or deleted), or why the source
 * cannot be asked. */
int hugelite_volume_check(struct hugelite_volume *vol);

/* Make part of a volume resident and point at it.
 *
 * offset, length  bytes of the decoded image; the range lies inside one chunk
 * ret_data        set on success; valid, and its chunk stays resident, until
 *                 hugelite_volume_release().  Zeros follow the last byte up to
 *                 the end of the chunk.
 *
 * Costs a few nanoseconds and no system call when the chunk is resident.
 *
 * Returns 0 or:
 *   -ERANGE    past the end of the volume, or across a chunk boundary
 *   -EMFILE    this handle holds too many chunks (64); release some
 *   -EIO, ...  the source could not be read; hugelite_error() names the call, or what the origin
 *              of a remote source answered
 *   -EBADMSG   a frame of the chunk is damaged, hugelite_error() says which; hugelite_volume_read()
 *              still gives what lies in other frames
 *   -ESTALE    the source is no longer the version that was opened
 *   -EBUSY     the budget is full and all of it is held; release something and retry
 *   -ETIMEDOUT another process holds the chunk and makes no progress; or the origin does not answer
 *   -ECHILD    after fork()
 *
 * Ownership: the pool owns the bytes, the caller holds one pin; never write.
 * Threads:   one at a time per handle.  May block on source I/O.
 * Processes: safe beside others; the pins of a dead process are void.
 */
int hugelite_volume_fetch(struct hugelite_volume *vol, uint64_t offset, uint32_t length,
                          const void **ret_data);

/* As hugelite_volume_fetch(), but answers -EAGAIN instead of waiting for a fill that is not worth the
 * wait: on a first touch, here and there, of a chunk that is not resident.  hugelite_volume_read() of
 * the same bytes then costs a pread, or the decoding of one frame, and the chunk is filled beside it,
 * or later, when it has been asked for often enough.  A sequence of touches is noticed: its
 * next chunks are filled ahead. */
int hugelite_volume_try_fetch(struct hugelite_volume *vol, uint64_t offset, uint32_t length,
                              const void **ret_data);

/* Give back one fetch.  data: any pointer into what that fetch returned. */
void hugelite_volume_release(struct hugelite_volume *vol, const void *data);

/* Copy bytes out of a volume: from the cache where they are resident, and past it where a fill is
 * not worth its wait (hugelite_volume_try_fetch) or cannot be had: no room (-EBUSY), no answer
 * (-ETIMEDOUT), damage elsewhere in the chunk (-EBADMSG).  Errors as hugelite_volume_fetch()
 * otherwise; -ERANGE past the end.  The range may cross chunks. */
int hugelite_volume_read(struct hugelite_volume *vol, uint64_t offset, uint64_t length,
                         void *buffer);

/* The whole volume as memory, to be read without asking.
 *
 * ret_base  set on success; valid until hugelite_volume_close().  A touch of
 *           what is not resident blocks while it is filled.
 *
 * Unlike fetched data this has no way to return an error: when a fill fails
 * for good, the touching thread gets SIGBUS (UFFDIO_POISON; SIGSEGV before Linux 6.6) with the
 * address in si_addr.  A handler that finds it between base and base + bytes leaves by siglongjmp(),
 * and hugelite_volume_fault() says why; hugelite(3) has an example.  Nobody else ever gets that signal
 * from us: not who uses hugelite_volume_fetch(), nor who touches what he holds by it.
 * And a system call that is given a pointer to what is not resident answers EFAULT or
 * a short count, since the kernel may not wait here (UFFD_USER_MODE_ONLY). */
int hugelite_volume_map(struct hugelite_volume *vol, const void **ret_base);

/* Why did a touch of hugelite_volume_map()'s memory fail?
 *
 * offset, length  bytes of the decoded image: where the touch was, as (const char *)si_addr - base
 *                 and 1; or the part that is to be asked about; length 0: all from there on
 *
 * Returns 0 when no touch of those chunks has failed in this process, or they have been mended
 * since; else what hugelite_volume_fetch() would have returned, with its sentence in
 * hugelite_error().  -ERANGE past the end, where every touch fails; -ECHILD.
 *
 * A chunk whose touch has failed fails every touch in this process, also when the source is well
 * again, until a hugelite_volume_fetch() of it has succeeded.
 *
 * Threads: any that may use the handle, but not in a signal handler. */
int hugelite_volume_fault(struct hugelite_volume *vol, uint64_t offset, uint64_t length);

/* Make a range resident: all of it when length is 0.  progress (may be NULL) is
 * called now and then with the bytes done and the bytes in all; when it returns
 * non-zero, the warming stops with -ECANCELED.  What does not fit
 * the budget pushes out what came first.  Errors as hugelite_volume_fetch(). */
int hugelite_volume_warm(struct hugelite_volume *vol, uint64_t offset, uint64_t length,
                         int (*progress)(void *arg, uint64_t done, uint64_t total), void *arg);

/* Counters of this volume.  Returns 0 or -ECHILD. */
int hugelite_volume_stat(struct hugelite_volume *vol, struct hugelite_volume_stat *ret_stat);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
