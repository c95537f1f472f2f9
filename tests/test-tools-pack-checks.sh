#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-checks: a file that does not read back as it was written, in a frame or in the table,
# or that cannot be brought to disk, never gets its name; where the file system does not know how to rename
# without replacing, pack finds another way.  The kernel is played by a library.

. ./functions.sh
cc=${CC:-cc}
command -v "${cc%% *}" >/dev/null || skip "needs a C compiler"
cd "$tmpdir"
cat >liar.c <<'C'
/* LIAR=flip:N   what is written at byte N of a file gets there with another bit
 * LIAR=sync     fsync() fails
 * LIAR=read     reading back fails
 * LIAR=rename   renameat2() is not supported; LIAR=link: nor is a second name */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int lies(const char *what)
{
    const char *liar = getenv("LIAR");
    return liar && strncmp(liar, what, strlen(what)) == 0;
}

static int is_hidden(int fd)
{
    return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    off64_t at = lies("flip:") ? atoll(getenv("LIAR") + 5) : -1;

    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (at >= offset && at < offset + (off64_t)length) {
        char *other = malloc(length);
        ssize_t rc;

        memcpy(other, data, length);
        other[at - offset] ^= 4;
        rc = real(fd, other, length, offset);
        free(other);
        return rc;
    }
    return real(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return pwrite64(fd, data, length, offset);
}

ssize_t pread64(int fd, void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, void *, size_t, off64_t);

    if (!real)
        real = (ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    if (lies("read") && is_hidden(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd, data, length, offset);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
    return pread64(fd, data, length, offset);
}

int fsync(int fd)
{
    (void)fd;
    if (!lies("sync"))
        return 0;
    errno = EIO;
    return -1;
}

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
    if (flags && (lies("rename") || lies("link"))) {
        errno = EINVAL;
        return -1;
    }
    return renameat(from, a, to, b);
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
    int (*real)(int, const char *, int, const char *, int) =
        (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");

    if (lies("link")) {
        errno = EPERM;
        return -1;
    }
    return real(from, a, to, b, flags);
}
C
$cc -shared -fPIC -o liar.so liar.c -ldl 2>cc.err || skip "cannot build a shared library"
make_db x.db 12000
expect_status 0 "$HUGELITE" pack x.db whole
bytes=$(stat -c %s whole)
pack() { env LD_PRELOAD="$tmpdir/liar.so" LIAR="$1" "$HUGELITE" pack x.db y --threads 2; }

failed() {   # WORDS LIE
    expect_status 1 pack "$2"
    grep -q "^hugelite pack: $1" err || die "$2: $(cat err)"
    [ ! -s out ] && [ ! -e y ] && [ -z "$(compgen -G '.y.pack-*')" ] || die "$2: $(ls -A | xargs)"
}
failed "y: frame 0 is damaged when it is read back: " flip:0
failed "y: frame [0-9]* is damaged when it is read back: " flip:$((bytes / 2))
failed "y: the seek table is damaged when it is read back" flip:$((bytes - 30))
failed "y: reading at [0-9]*: Input/output error" read
failed "y: Input/output error" sync

expect_status 0 pack rename
cmp y whole
expect 1 "$(stat -c %h y)" "names of y"
[ -z "$(compgen -G '.y.pack-*')" ] || die "the hidden name stays"
echo former >y
expect_status 1 pack rename
grep -q "^hugelite pack: y: is there already" err || die "$(cat err)"
expect former "$(cat y)"
rm y
failed "y: cannot get its name: Operation not permitted" link
