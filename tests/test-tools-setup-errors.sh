#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-setup-errors: not root, more than the memory there is, a mount that is not ours, a place
# that cannot be: exit 1, the reason, and nothing changed.

. ./functions.sh
nr=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
fails() {   # WORDS ARGS...
    local words=$1
    shift
    expect_status 1 "$@"
    grep -q -- "hugelite setup: .*$words" "$tmpdir/err" || die "$*: $(cat "$tmpdir/err")"
    [ ! -s "$tmpdir/out" ] || die "$*: stdout: $(cat "$tmpdir/out")"
}

if [ "$(id -u)" -ne 0 ]; then
    fails "only root" "$HUGELITE" setup --size 1G
    fails "only root" "$HUGELITE" setup --undo
    exit 0
fi
if command -v setpriv >/dev/null && setpriv --reuid=65534 --clear-groups test -x "$HUGELITE"; then
    fails "only root" setpriv --reuid=65534 --clear-groups "$HUGELITE" setup --size 1G
    fails "only root" setpriv --reuid=65534 --clear-groups "$HUGELITE" setup --undo
fi
fails "no such group" "$HUGELITE" setup --size 2M --mount "$tmpdir/m" --group no-such-group-here
: >"$tmpdir/file"
fails "Not a directory" "$HUGELITE" setup --size 2M --mount "$tmpdir/file/m"
[ -w $nr ] || skip "no huge pages to set"
fails "of memory are available; ask for less" "$HUGELITE" setup --size 100T --mount "$tmpdir/m"
[ ! -e "$tmpdir/m" ] || die "the directory stays"

if [ -n "${HUGELITE_TEST_MOUNT:-}" ]; then
    fails "did not make" "$HUGELITE" setup --size 2M --mount "$HUGELITE_TEST_MOUNT"
    fails "it stays" "$HUGELITE" setup --undo --mount "$HUGELITE_TEST_MOUNT"
    [ -d "$HUGELITE_TEST_MOUNT" ] && stat -f -c %T "$HUGELITE_TEST_MOUNT" | grep -q hugetlbfs ||
        die "the test's mount is gone"
fi
