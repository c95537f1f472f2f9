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
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

/* A call that counts as one of its kind, and as any. */
#define WRAP(type, name, kind, may_fail, params, args) \
    static type hook_##name params \
    { \
        enum stop_call call = (kind); \
        unsigned any = arrive(STOP_ANY), nr = call ? arrive(call) : 0; \
        type result = (may_fail) && fails() ? (type)-1 : real.name args; \
        if (call) \
            leave(call, nr); \
        leave(STOP_ANY, any); \
        return result; \
    }

static enum stop_call kind_of_unlink(const char *path)
{
    return strstr(path, ".image") ? STOP_UNLINK : STOP_ANY;
}

WRAP(int, openat, STOP_ANY, true, (int dir, const char *path, int flags, mode_t mode),
     (dir, path, flags, mode))
WRAP(int, close, STOP_ANY, false, (int fd), (fd))
WRAP(int, fstat, STOP_ANY, true, (int fd, struct stat *st), (fd, st))
WRAP(int, stat, STOP_ANY, true, (const char *path, struct stat *st), (path, st))
WRAP(int, fstatfs, STOP_ANY, true, (int fd, struct statfs *st), (fd, st))
WRAP(int, ftruncate, STOP_ANY, true, (int fd, off_t length), (fd, length))
WRAP(int, fallocate, mode ? STOP_PUNCH : STOP_ANY, true,
     (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
WRAP(int, unlinkat, kind_of_unlink(path), true, (int dir, const char *path, int flags),
     (dir, path, flags))
WRAP(int, mkdir, STOP_ANY, true, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchmod, STOP_ANY, true, (int fd, mode_t mode), (fd, mode))
WRAP(void *, mmap, STOP_ANY, true,
     (void *addr, size_t length, int prot, int flags, int fd, off_t offset),
     (addr, length, prot, flags, fd, offset))
WRAP(int, munmap, STOP_ANY, false, (void *addr, size_t length), (addr, length))
WRAP(int, mprotect, STOP_ANY, true, (void *addr, size_t length, int prot), (addr, length, prot))
WRAP(int, madvise, STOP_ANY, true, (void *addr, size_t length, int advice), (addr, length, advice))
WRAP(int, userfaultfd, STOP_ANY, true, (int flags), (flags))
WRAP(int, membarrier, STOP_FENCE, true, (int command), (command))
WRAP(int, eventfd, STOP_ANY, true, (unsigned value, int flags), (value, flags))

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
    } else {
        result = real.pread(fd, buffer, length, offset);
    }
    leave(STOP_PREAD, nr);
    leave(STOP_ANY, any);
    return result;
}

static int hook_ioctl(int fd, unsigned long request, void *arg)
{
    enum stop_call call = request == UFFDIO_COPY ? STOP_COPY : STOP_ANY;
    unsigned any = arrive(STOP_ANY), nr = call ? arrive(call) : 0;
    int result;

    if (call && atomic_load(&contended)) {
        atomic_fetch_sub(&contended, 1);
        ((struct uffdio_copy *)arg)->copy = -EAGAIN;
        errno = EAGAIN;
        return -1;
    }
    if (call && fails()) {
        ((struct uffdio_copy *)arg)->copy = -errno;
        return -1;
    }
    result = request != UFFDIO_WAKE && !call && fails() ? -1 : real.ioctl(fd, request, arg);
    if (call)
        leave(call, nr);
    leave(STOP_ANY, any);
    return result;
}

static int hook_lock(int fd, int command, struct flock *lock)
{
    bool takes = command == F_OFD_SETLK && lock->l_type == F_WRLCK &&
                 lock->l_start == HL_LOCK_POOL;
    unsigned any = arrive(STOP_ANY);
    int result = lock->l_type != F_UNLCK && fails() ? -1 : real.lock(fd, command, lock);

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
    hl_sys.pread = hook_pread;
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
