/* SPDX-License-Identifier: MIT
 *
 * inject-preload.c - for LD_PRELOAD: lets the Nth call of one kind fail in a program as it is, for
 * those that do not go through the engine's table.
 *
 * INJECT_CALL names it, INJECT_NTH says which, INJECT_ERRNO how (a number; "short" = half of the
 * bytes), and one byte goes to descriptor INJECT_FD when it came.
 *
 * See also: test-inject-pack.c.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *call; /* NULL = none, or not begun */
static _Atomic unsigned left;
static int cause, fd; /* cause 0 = short */

__attribute__((constructor)) static void begin(void)
{
    const char *nth = getenv("INJECT_NTH"), *err = getenv("INJECT_ERRNO");
    const char *to = getenv("INJECT_FD");

    if (!nth || !err || !to)
        return;
    left = (unsigned)atoi(nth);
    cause = atoi(err);
    fd = atoi(to);
    call = getenv("INJECT_CALL");
}

static bool fails(const char *name)
{
    ssize_t put;

    if (!call || strcmp(call, name) != 0 || atomic_load(&left) == 0 ||
        atomic_fetch_sub(&left, 1) != 1)
        return false;
    put = write(fd, "x", 1);
    (void)put;
    errno = cause;
    return true;
}

/* From here on others are to find them. */
#pragma GCC visibility push(default)

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that answers -1. */
#define WRAP(type, name, params, args) \
    type name params \
    { \
        return fails(#name) ? (type)-1 : REAL(name) args; \
    }

WRAP(int, fsync, (int file), (file))
WRAP(int, fchmod, (int file, mode_t mode), (file, mode))
WRAP(int, fstat, (int file, struct stat *st), (file, st))
WRAP(int, stat, (const char *path, struct stat *st), (path, st))
WRAP(int, lstat, (const char *path, struct stat *st), (path, st))
WRAP(int, fstatat, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags))
WRAP(int, flock, (int file, int operation), (file, operation))
WRAP(int, renameat, (int from_dir, const char *from, int to_dir, const char *to),
     (from_dir, from, to_dir, to))
WRAP(int, renameat2, (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),
     (from_dir, from, to_dir, to, flags))
WRAP(int, linkat, (int from_dir, const char *from, int to_dir, const char *to, int flags),
     (from_dir, from, to_dir, to, flags))
WRAP(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))

/* With a count of bytes. */
#define WRAP_BYTES(name, params, args, short_args) \
    ssize_t name params \
    { \
        if (!fails(#name)) \
            return REAL(name) args; \
        return cause ? -1 : REAL(name) short_args; \
    }

WRAP_BYTES(pread, (int file, void *buffer, size_t length, off_t offset),
           (file, buffer, length, offset), (file, buffer, (length + 1) / 2, offset))
WRAP_BYTES(pwrite, (int file, const void *buffer, size_t length, off_t offset),
           (file, buffer, length, offset), (file, buffer, (length + 1) / 2, offset))
WRAP_BYTES(getrandom, (void *buffer, size_t length, unsigned flags), (buffer, length, flags),
           (buffer, (length + 1) / 2, flags))

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails("open") ? -1 : REAL(open)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails("openat") ? -1 : REAL(openat)(dir, path, flags, mode);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    return fails("pthread_create") ? EAGAIN : REAL(pthread_create)(thread, attr, run, arg);
}

/* ---- memory ---------------------------------------------------------------- */

/* dlsym() itself may ask for some. */
static struct {
    _Alignas(16) char bytes[8192];
    size_t used;
} early;
static _Thread_local bool looking;

static void *early_block(size_t bytes)
{
    char *block = early.bytes + early.used;

    if (bytes > sizeof early.bytes - early.used)
        return NULL;
    early.used += (bytes + 15) & ~(size_t)15;
    return block;
}

static bool is_early(const void *block)
{
    return (uintptr_t)block - (uintptr_t)early.bytes < sizeof early.bytes;
}

/* Looked up once each: a call of dlsym() for each of them would cost more than it does. */
#define LOOK_UP(name) \
    static __typeof__(&name) real_##name; \
    if (!real_##name && !looking) { \
        looking = true; \
        real_##name = REAL(name); \
        looking = false; \
    }

void *malloc(size_t bytes)
{
    LOOK_UP(malloc)
    if (!real_malloc)
        return early_block(bytes);
    return fails("malloc") ? NULL : real_malloc(bytes);
}

void *calloc(size_t nr, size_t bytes)
{
    LOOK_UP(calloc)
    if (!real_calloc)
        return early_block(nr * bytes); /* zeros, as nothing of it is used twice */
    return fails("malloc") ? NULL : real_calloc(nr, bytes);
}

void *realloc(void *block, size_t bytes)
{
    LOOK_UP(realloc)
    if (is_early(block) || !real_realloc)
        abort();
    return fails("malloc") ? NULL : real_realloc(block, bytes);
}

void free(void *block)
{
    LOOK_UP(free)
    if (block && !is_early(block) && real_free)
        real_free(block);
}
