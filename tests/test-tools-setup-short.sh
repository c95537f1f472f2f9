#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-setup-short: when the kernel gives fewer huge pages than asked, setup says how many,
# gives back what it got, mounts nothing and exits 1.  The kernel is played: a folder in the place
# of sysfs, and a library that grants at most so many pages.

. ./functions.sh
requires_root
requires unshare
cc=${CC:-cc}
command -v "${cc%% *}" >/dev/null || skip "needs a C compiler"
if [ -z "${test_inside:-}" ]; then
    unshare --mount true 2>/dev/null || skip "no right to mount"
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi
cd "$tmpdir"
cat >stingy.c <<'C'
/* Of what is written to nr_hugepages, at most STINGY_MOST is kept. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
ssize_t write(int fd, const void *data, size_t length)
{
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    char link[64], path[4096], less[32];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = '\0';
    if (strstr(path, "/compact_memory"))
        return (ssize_t)length;
    if (strstr(path, "/nr_hugepages") && atol(data) > atol(getenv("STINGY_MOST"))) {
        int shorter = snprintf(less, sizeof less, "%s\n", getenv("STINGY_MOST"));

        ftruncate(fd, 0);
        return real(fd, less, (size_t)shorter) == shorter ? (ssize_t)length : -1;
    }
    if (strstr(path, "/nr_hugepages"))
        ftruncate(fd, 0);
    return real(fd, data, length);
}
C
$cc -shared -fPIC -o stingy.so stingy.c -ldl 2>/dev/null || skip "cannot build a shared library"

sys=/sys/kernel/mm/hugepages
[ -d $sys ] || skip "no huge pages here"
mount -t tmpfs none $sys
mkdir $sys/hugepages-2048kB
cd $sys/hugepages-2048kB
echo 10 >nr_hugepages
echo 3 >free_hugepages
echo 1 >resv_hugepages
echo 0 >surplus_hugepages
echo 0 >nr_overcommit_hugepages
cd "$tmpdir"

# Asked 20, 2 are free, so 18 more are needed; the kernel stops at 15, that is 5 more.
expect_status 1 env LD_PRELOAD="$tmpdir/stingy.so" STINGY_MOST=15 \
    "$HUGELITE" setup --size 40M --mount "$tmpdir/m"
grep -q "the kernel gave 5 of 18 more huge pages; they are given back" err || die "$(cat err)"
grep -q -- "--size 14M" err || die "it does not say how much there would be: $(cat err)"
grep -q "hugepages=28" err || die "it does not say what to put on the command line: $(cat err)"
expect 10 "$(cat $sys/hugepages-2048kB/nr_hugepages)" "pages given back"
! grep -qF "$tmpdir/m " /proc/self/mounts || die "something is mounted"
[ ! -e "$tmpdir/m" ] || die "the directory stays"
! grep -qF "$tmpdir/m" /run/hugelite-setup 2>/dev/null || die "a record stays"

# None at all
expect_status 1 env LD_PRELOAD="$tmpdir/stingy.so" STINGY_MOST=10 \
    "$HUGELITE" setup --size 40M --mount "$tmpdir/m"
grep -q "the kernel gave 0 of 18" err || die "$(cat err)"
expect 10 "$(cat $sys/hugepages-2048kB/nr_hugepages)" "pages"

# A kernel without huge pages of 2 MiB
rm -r $sys/hugepages-2048kB
expect_status 1 "$HUGELITE" setup --size 40M --mount "$tmpdir/m"
grep -q "no huge pages of 2 MiB" err || die "$(cat err)"
expect_status 1 "$HUGELITE" doctor
grep -q "problem .*no huge pages of 2 MiB" out || die "$(cat out)"
