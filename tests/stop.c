/* SPDX-License-Identifier: MIT
 *
 * stop.c - replaces the entries of hl_sys by ones that count, and act at a given
 * count.
 *
 * Entry points: stop.h.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "layout.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef UFFDIO_POISON /* headers before Linux 6.6; the structure is as long as this one */
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_zeropage)
#endif

static struct hl_sys real;
static _Atomic unsigned counts[STOP_CALLS];

static struct {
    _Atomic unsigned at; /* 0 = not set */
    void (*action)(void);
} before[STOP_CALLS], after[STOP_CALLS];

static _Atomic int fail_err;
static uint64_t fail_from, fail_length;
static _Atomic unsigned contended;
static _Atomic unsigned fail_nth; /* 0 = not set */
static int fail_call_err;

static _Atomic unsigned kind_counts[STOP_KINDS];
static struct {
    _Atomic unsigned kind; /* STOP_KINDS = none */
    unsigned from, to;     /* counts of that kind */
    int err;
    _Atomic unsigned came;
} failing = { .kind = STOP_KINDS };

static _Atomic bool held;
static _Atomic unsigned nr_held;
static pthread_t holder;

static unsigned arrive(enum stop_call call)
{
    unsigned nr = atomic_fetch_add(&counts[call], 1) + 1;

    if (nr == atomic_load(&before[call].at))
        before[call].action();
    return nr;
}

static void leave(enum stop_call call, unsigned nr)
{
    int saved = errno;

    if (nr == atomic_load(&after[call].at))
        after[call].action();
    errno = saved;
}

/* Is this the call that is to fail? */
static bool fails(void)
{
    unsigned nr = atomic_load(&fail_nth);

    while (nr && !atomic_compare_exchange_weak(&fail_nth, &nr, nr - 1))
        ;
    if (nr == 1)
        errno = fail_call_err;
    return nr == 1;
}

/* Is this one of those that are to fail?  0, or an errno, or STOP_... */
static int fails_as(enum stop_kind kind)
{
    unsigned nr = atomic_fetch_add(&kind_counts[kind], 1) + 1;

    if (atomic_load(&failing.kind) != kind || nr < failing.from || nr >= failing.to)
        return 0;
    atomic_fetch_add(&failing.came, 1);
    return failing.err;
}

static bool fails_kind(enum stop_kind kind)
{
    int err = fails_as(kind);

    if (err)
        errno = err;
    return err;
}

/* A call that counts as one of its kind, and as any; fallible: its stop_kind, or STOP_KINDS. */
#define WRAP(type, name, kind, fallible, params, args) \
    static type hook_##name params \
    { \
        enum stop_call call = (kind); \
        enum stop_kind as = (fallible); \
        unsigned any = arrive(STOP_ANY), nr = call ? arrive(call) : 0; \
        type result = as != STOP_KINDS && (fails() || fails_kind(as)) ? (type)-1 : \
                                                                        real.name args; \
        if (call) \
            leave(call, nr); \
        leave(STOP_ANY, any); \
        return result; \
    }

static enum stop_call kind_of_unlink(const char *path)
{
    return strstr(path, ".image") ? STOP_UNLINK : STOP_ANY;
}

WRAP(int, openat, STOP_ANY, STOP_K_OPENAT, (int dir, const char *path, int flags, mode_t mode),
     (dir, path, flags, mode))
WRAP(int, close, STOP_ANY, STOP_KINDS, (int fd), (fd))
WRAP(int, fstat, STOP_ANY, STOP_K_FSTAT, (int fd, struct stat *st), (fd, st))
WRAP(int, stat, STOP_ANY, STOP_K_STAT, (const char *path, struct stat *st), (path, st))
WRAP(int, fstatfs, STOP_ANY, STOP_K_FSTATFS, (int fd, struct statfs *st), (fd, st))
WRAP(int, ftruncate, STOP_ANY, STOP_K_FTRUNCATE, (int fd, off_t length), (fd, length))
WRAP(int, fallocate, mode ? STOP_PUNCH : STOP_ANY, mode ? STOP_K_PUNCH : STOP_K_FALLOCATE,
     (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
WRAP(int, unlinkat, kind_of_unlink(path), STOP_K_UNLINKAT, (int dir, const char *path, int flags),
     (dir, path, flags))
WRAP(int, mkdir, STOP_ANY, STOP_K_MKDIR, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, STOP_ANY, STOP_K_MKDIR, (int dir, const char *path, mode_t mode),
     (dir, path, mode))
WRAP(int, fchmod, STOP_ANY, STOP_K_FCHMOD, (int fd, mode_t mode), (fd, mode))
WRAP(void *, mmap, STOP_ANY, STOP_K_MMAP,
     (void *addr, size_t length, int prot, int flags, int fd, off_t offset),
     (addr, length, prot, flags, fd, offset))
WRAP(int, munmap, STOP_ANY, STOP_KINDS, (void *addr, size_t length), (addr, length))
WRAP(int, mprotect, STOP_ANY, STOP_K_MPROTECT, (void *addr, size_t length, int prot),
     (addr, length, prot))
WRAP(int, madvise, STOP_ANY, STOP_K_MADVISE, (void *addr, size_t length, int advice),
     (addr, length, advice))
WRAP(int, userfaultfd, STOP_ANY, STOP_K_USERFAULTFD, (int flags), (flags))
WRAP(int, membarrier, STOP_FENCE, STOP_K_MEMBARRIER, (int command), (command))
WRAP(int, eventfd, STOP_ANY, STOP_K_EVENTFD, (unsigned value, int flags), (value, flags))

/* A read (or a write) that is to fail, or to bring less than it could.  False: do it as it is. */
static bool cut_read(enum stop_kind kind, size_t *length, ssize_t *ret_result)
{
    int err = fails_as(kind);

    if (err == STOP_SHORT) {
        *length = (*length + 1) / 2;
        return false;
    }
    errno = err;
    *ret_result = err == STOP_END ? 0 : -1;
    return err != 0;
}

static ssize_t hook_pread(int fd, void *buffer, size_t length, off_t offset)
{
    unsigned any = arrive(STOP_ANY), nr = arrive(STOP_PREAD);
    int err = atomic_load(&fail_err);
    ssize_t result;

    if (atomic_load(&held) && !pthread_equal(holder, pthread_self())) {
        atomic_fetch_add(&nr_held, 1);
        while (atomic_load(&held))
            usleep(1000);
        atomic_fetch_sub(&nr_held, 1);
    }
    if (fails()) {
        result = -1;
    } else if (err && (uint64_t)offset < fail_from + fail_length &&
        (uint64_t)offset + length > fail_from) {
        errno = err;
        result = -1;
    } else if (!cut_read(STOP_K_PREAD, &length, &result)) {
        result = real.pread(fd, buffer, length, offset);
    }
    leave(STOP_PREAD, nr);
    leave(STOP_ANY, any);
    return result;
}

static ssize_t hook_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
    unsigned any = arrive(STOP_ANY);
    ssize_t result = -1;

    if (!fails() && !cut_read(STOP_K_PWRITE, &length, &result))
        result = real.pwrite(fd, buffer, length, offset);
    leave(STOP_ANY, any);
    return result;
}

/* What follows does not count as any: when the fault thread polls, and who sleeps, is chance. */
static ssize_t hook_read(int fd, void *buffer, size_t length)
{
    ssize_t result;

    return cut_read(STOP_K_READ, &length, &result) ? result : real.read(fd, buffer, length);
}

static int hook_poll(struct pollfd *fds, nfds_t nr, int timeout_ms)
{
    return fails_kind(STOP_K_POLL) ? -1 : real.poll(fds, nr, timeout_ms);
}

static int hook_lease(int fd, int command, int arg)
{
    return fails_kind(STOP_K_LEASE) ? -1 : real.lease(fd, command, arg);
}

static int hook_futex_wait(const void *word, uint32_t seen, const struct timespec *timeout)
{
    return fails_kind(STOP_K_FUTEX_WAIT) ? -1 : real.futex_wait(word, seen, timeout);
}

static void put_stray_page(int fd, const struct uffdio_copy *copy)
{
    struct uffdio_copy stray = *copy;
    void *garbage = aligned_alloc(4096, copy->len);

    EXPECT(garbage != NULL);
    memset(garbage, 0xdb, copy->len);
    stray.src = (uintptr_t)garbage;
    stray.mode = UFFDIO_COPY_MODE_DONTWAKE;
    real.ioctl(fd, UFFDIO_COPY, &stray);
    free(garbage);
}

/* True: that was the answer.  Else the kernel is asked. */
static bool fail_copy(int fd, struct uffdio_copy *copy)
{
    int err = atomic_load(&contended) ? EAGAIN : 0;
    struct uffdio_copy half = *copy;

    if (err)
        atomic_fetch_sub(&contended, 1);
    else if (fails())
        err = fail_call_err;
    else
        err = fails_as(STOP_K_COPY);
    half.len = copy->len / 2 & ~(uint64_t)4095;
    if (err == STOP_STRAY_PAGE) {
        put_stray_page(fd, copy);
        err = 0;
    } else if (err == STOP_SHORT && half.len && real.ioctl(fd, UFFDIO_COPY, &half) == 0) {
        copy->copy = half.copy;
        errno = EAGAIN;
        return true;
    }
    if (err <= 0) /* a huge page cannot be copied in part */
        return false;
    copy->copy = -err;
    errno = err;
    return true;
}

static enum stop_kind kind_of_ioctl(unsigned long request)
{
    switch (request) {
    case UFFDIO_API: return STOP_K_API;
    case UFFDIO_REGISTER: return STOP_K_REGISTER;
    case UFFDIO_CONTINUE: return STOP_K_CONTINUE;
    case UFFDIO_POISON: return STOP_K_POISON;
    default: return STOP_KINDS;
    }
}

static int hook_ioctl(int fd, unsigned long request, void *arg)
{
    enum stop_call call = request == UFFDIO_COPY ? STOP_COPY : STOP_ANY;
    enum stop_kind as = kind_of_ioctl(request);
    unsigned any = arrive(STOP_ANY), nr = call ? arrive(call) : 0;
    int result;

    if (call && fail_copy(fd, arg))
        return -1;
    result = as != STOP_KINDS && (fails() || fails_kind(as)) ? -1 : real.ioctl(fd, request, arg);
    if (call)
        leave(call, nr);
    leave(STOP_ANY, any);
    return result;
}

static int hook_lock(int fd, int command, struct flock *lock)
{
    bool takes = command == F_OFD_SETLK && lock->l_type == F_WRLCK &&
                 lock->l_start == HL_LOCK_POOL;
    enum stop_kind as = command == F_OFD_GETLK ? STOP_K_GETLK : STOP_K_LOCK;
    bool may_fail = lock->l_type != F_UNLCK;
    unsigned any = arrive(STOP_ANY);
    int result = may_fail && (fails() || fails_kind(as)) ? -1 : real.lock(fd, command, lock);

    if (takes && result == 0)
        leave(STOP_LOCK, arrive(STOP_LOCK));
    leave(STOP_ANY, any);
    return result;
}

static void hook(void)
{
    if (real.openat)
        return;
    real = hl_sys;
    hl_sys.openat = hook_openat;
    hl_sys.close = hook_close;
    hl_sys.fstat = hook_fstat;
    hl_sys.stat = hook_stat;
    hl_sys.fstatfs = hook_fstatfs;
    hl_sys.ftruncate = hook_ftruncate;
    hl_sys.fallocate = hook_fallocate;
    hl_sys.unlinkat = hook_unlinkat;
    hl_sys.mkdir = hook_mkdir;
    hl_sys.fchmod = hook_fchmod;
    hl_sys.mkdirat = hook_mkdirat;
    hl_sys.pread = hook_pread;
    hl_sys.pwrite = hook_pwrite;
    hl_sys.read = hook_read;
    hl_sys.poll = hook_poll;
    hl_sys.lease = hook_lease;
    hl_sys.futex_wait = hook_futex_wait;
    hl_sys.mmap = hook_mmap;
    hl_sys.munmap = hook_munmap;
    hl_sys.mprotect = hook_mprotect;
    hl_sys.madvise = hook_madvise;
    hl_sys.ioctl = hook_ioctl;
    hl_sys.lock = hook_lock;
    hl_sys.userfaultfd = hook_userfaultfd;
    hl_sys.eventfd = hook_eventfd;
    hl_sys.membarrier = hook_membarrier;
}

void stop_before(enum stop_call call, unsigned nth, void (*action)(void))
{
    hook();
    before[call].action = action;
    atomic_store(&before[call].at, atomic_load(&counts[call]) + nth);
}

void stop_after(enum stop_call call, unsigned nth, void (*action)(void))
{
    hook();
    after[call].action = action;
    atomic_store(&after[call].at, atomic_load(&counts[call]) + nth);
}

void stop_die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void stop_freeze(void)
{
    raise(SIGSTOP);
}

unsigned stop_count(enum stop_call call)
{
    hook();
    return atomic_load(&counts[call]);
}

void stop_fail_reads(int err, uint64_t from, uint64_t length)
{
    hook();
    fail_from = from;
    fail_length = length;
    atomic_store(&fail_err, err);
}

void stop_fail_call(unsigned nth, int err)
{
    hook();
    fail_call_err = err;
    atomic_store(&fail_nth, nth);
}

int stop_failed(void)
{
    return atomic_load(&fail_nth) == 0;
}

void stop_fail_kind(enum stop_kind kind, unsigned nth, unsigned nr, int err)
{
    hook();
    atomic_store(&failing.kind, STOP_KINDS);
    failing.from = atomic_load(&kind_counts[kind]) + nth;
    failing.to = failing.from + nr;
    failing.err = err;
    atomic_store(&failing.came, 0);
    atomic_store(&failing.kind, kind);
}

unsigned stop_failed_kind(void)
{
    return atomic_load(&failing.came);
}

unsigned stop_count_kind(enum stop_kind kind)
{
    hook();
    return atomic_load(&kind_counts[kind]);
}

const char *stop_kind_name(enum stop_kind kind)
{
    static const char *const names[STOP_KINDS] = {
        [STOP_K_OPENAT] = "openat",
        [STOP_K_FSTAT] = "fstat",
        [STOP_K_STAT] = "stat",
        [STOP_K_FSTATFS] = "fstatfs",
        [STOP_K_FTRUNCATE] = "ftruncate",
        [STOP_K_FALLOCATE] = "fallocate",
        [STOP_K_PUNCH] = "fallocate(FALLOC_FL_PUNCH_HOLE)",
        [STOP_K_UNLINKAT] = "unlinkat",
        [STOP_K_MKDIR] = "mkdir",
        [STOP_K_FCHMOD] = "fchmod",
        [STOP_K_PREAD] = "pread",
        [STOP_K_PWRITE] = "pwrite",
        [STOP_K_READ] = "read",
        [STOP_K_MMAP] = "mmap",
        [STOP_K_MPROTECT] = "mprotect",
        [STOP_K_MADVISE] = "madvise",
        [STOP_K_API] = "UFFDIO_API",
        [STOP_K_REGISTER] = "UFFDIO_REGISTER",
        [STOP_K_COPY] = "UFFDIO_COPY",
        [STOP_K_CONTINUE] = "UFFDIO_CONTINUE",
        [STOP_K_POISON] = "UFFDIO_POISON",
        [STOP_K_LOCK] = "fcntl(F_OFD_SETLK)",
        [STOP_K_GETLK] = "fcntl(F_OFD_GETLK)",
        [STOP_K_LEASE] = "fcntl(F_SETLEASE)",
        [STOP_K_POLL] = "poll",
        [STOP_K_USERFAULTFD] = "userfaultfd",
        [STOP_K_EVENTFD] = "eventfd",
        [STOP_K_MEMBARRIER] = "membarrier",
        [STOP_K_FUTEX_WAIT] = "futex(FUTEX_WAIT)",
    };

    return names[kind];
}

const char *stop_err_name(int err)
{
    switch (err) {
    case STOP_SHORT: return "a part";
    case STOP_END: return "the end";
    case STOP_STRAY_PAGE: return "a stray page";
    default: return strerrorname_np(err);
    }
}

void stop_hold_reads(void)
{
    hook();
    holder = pthread_self();
    atomic_store(&held, true);
}

void stop_resume_reads(void)
{
    atomic_store(&held, false);
}

void stop_await_held(unsigned nr)
{
    kit_await(&nr_held, nr);
}

void stop_contend_copies(unsigned nr)
{
    hook();
    atomic_store(&contended, nr);
}
