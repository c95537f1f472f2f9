/* SPDX-License-Identifier: MIT
 *
 * sys.c - the system calls themselves, and the clock.
 *
 * Entry points: hl_sys, hl_now_ns().
 */
#include "config.h"

#include "sys.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t hl_patience_ns = 10ull * 1000 * 1000 * 1000;

static int sys_openat(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags, mode);
}

/* Once for each early read, and glibc's goes through newfstatat(), which looks up an empty path.
 * Where a long has 64 bits the kernel's struct stat is glibc's. */
static int sys_fstat(int fd, struct stat *st)
{
#if defined(SYS_fstat) && defined(__LP64__)
    return (int)syscall(SYS_fstat, fd, st);
#else
    return fstat(fd, st);
#endif
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg);
}

static int sys_lock(int fd, int command, struct flock *lock)
{
    return fcntl(fd, command, lock);
}

static int sys_lease(int fd, int command, int arg)
{
    return fcntl(fd, command, arg);
}

static int sys_userfaultfd(int flags)
{
    int fd, made;

    fd = (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
    if (fd >= 0)
        return fd;

    /* A seccomp profile may refuse the call and still hand us the device:
     * userfaultfd.rst, "Creating a userfaultfd". */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
    {
        int cause = errno;

        fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            errno = cause;
            return -1;
        }
    }
    made = ioctl(fd, USERFAULTFD_IOC_NEW, flags | UFFD_USER_MODE_ONLY);
    {
        int cause = errno;

        close(fd);
        errno = cause;
    }
    return made;
}

static int sys_membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* The words lie in a shared file mapping, hence no FUTEX_PRIVATE_FLAG. */
static int sys_futex_wait(const void *word, uint32_t seen, const struct timespec *timeout)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout, NULL, 0);
}

static int sys_futex_wake(const void *word, int nr)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE, nr, NULL, NULL, 0);
}

struct hl_sys hl_sys = {
    .openat = sys_openat,
    .close = close,
    .fstat = sys_fstat,
    .stat = stat,
    .fstatfs = fstatfs,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .unlinkat = unlinkat,
    .mkdir = mkdir,
    .mkdirat = mkdirat,
    .fchmod = fchmod,
    .pread = pread,
    .pwrite = pwrite,
    .read = read,
    .mmap = mmap,
    .munmap = munmap,
    .mprotect = mprotect,
    .madvise = madvise,
    .ioctl = sys_ioctl,
    .lock = sys_lock,
    .lease = sys_lease,
    .poll = poll,
    .userfaultfd = sys_userfaultfd,
    .eventfd = eventfd,
    .membarrier = sys_membarrier,
    .futex_wait = sys_futex_wait,
    .futex_wake = sys_futex_wake,
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t hl_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t hl_today_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
