/* SPDX-License-Identifier: MIT
 *
 * sys.h - the table of system calls that the engine makes, so that a test can
 * make the third mmap fail, or die just before a UFFDIO_COPY.
 *
 * Each entry behaves as its manual page says: -1 and errno on failure.
 */
#ifndef HL_SYS_H
#define HL_SYS_H

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>

struct hl_sys {
    int (*openat)(int dir, const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    int (*fstat)(int fd, struct stat *st);
    int (*stat)(const char *path, struct stat *st);
    int (*fstatfs)(int fd, struct statfs *st);
    int (*ftruncate)(int fd, off_t length);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    int (*unlinkat)(int dir, const char *path, int flags);
    int (*mkdir)(const char *path, mode_t mode);
    int (*mkdirat)(int dir, const char *path, mode_t mode);
    int (*fchmod)(int fd, mode_t mode);
    ssize_t (*pread)(int fd, void *buffer, size_t length, off_t offset);
    ssize_t (*pwrite)(int fd, const void *buffer, size_t length, off_t offset);
    ssize_t (*read)(int fd, void *buffer, size_t length);
    void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
    int (*munmap)(void *addr, size_t length);
    int (*mprotect)(void *addr, size_t length, int prot);
    int (*madvise)(void *addr, size_t length, int advice);
    int (*ioctl)(int fd, unsigned long request, void *arg);
    int (*lock)(int fd, int command, struct flock *lock);
    int (*lease)(int fd, int command, int arg);
    int (*poll)(struct pollfd *fds, nfds_t nr, int timeout_ms);
    int (*userfaultfd)(int flags);
    int (*eventfd)(unsigned value, int flags);
    int (*membarrier)(int command);
    int (*futex_wait)(const void *word, uint32_t seen, const struct timespec *timeout);
    int (*futex_wake)(const void *word, int nr);
};

extern struct hl_sys hl_sys;

/* CLOCK_MONOTONIC, and CLOCK_REALTIME, in nanoseconds. */
uint64_t hl_now_ns(void);
uint64_t hl_today_ns(void);

/* How long anything may wait for another process, in nanoseconds: 10 s.  A test sets it lower. */
extern uint64_t hl_patience_ns;

#endif
