#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-doctor-refused: where a container's filter refuses the system call userfaultfd, doctor
# and the engine go by /dev/userfaultfd when it may be opened; else doctor says what
# to ask of the container, exit 1; reading goes on without the cache, and says so, and so does stat; and what
# can only fill fails with a sentence, not with a hang.

. ./functions.sh
requires python3
status=0
python3 "$srcdir/test-tools-seccomp.py" /bin/true || status=$?
[ $status -eq 0 ] || skip "cannot install a seccomp filter here"
refused() { python3 "$srcdir/test-tools-seccomp.py" "$@"; }
make_db "$tmpdir/x.db" 100

if [ -w /dev/userfaultfd ]; then
    refused "$HUGELITE" doctor >"$tmpdir/out" || true
    grep -q "userfaultfd  ok .*by /dev/userfaultfd" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
    grep -q "seccomp filter is on" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
    expect_status 0 refused "$HUGELITE" sql "$tmpdir/x.db" "SELECT count(*) FROM t"
    expect 100 "$(cat "$tmpdir/out")"
fi

if [ "$(id -u)" -eq 0 ]; then
    requires setpriv
    as="setpriv --reuid=65534 --clear-groups --inh-caps=-all"
    chmod 1777 "${pooldir%/pool}"
    chmod 644 "$tmpdir/x.db"
else
    as=
fi
$as test -x "$HUGELITE" || skip "the build directory is closed to other users"
$as test -r "$srcdir/test-tools-seccomp.py" || skip "the sources are closed to other users"
export HUGELITE_POOL=$pooldir-2       # the first one is root's
! $as test -w /dev/userfaultfd || skip "everybody may use /dev/userfaultfd"
python=$(command -v python3)
$as "$python" -c 1 2>/dev/null || python=/usr/bin/python3
$as "$python" -c 1 2>/dev/null || skip "other users have no python3"

expect_status 1 $as "$python" "$srcdir/test-tools-seccomp.py" "$HUGELITE" doctor
grep -q "userfaultfd  problem .*system call: Operation not permitted" "$tmpdir/out" ||
    die "$(cat "$tmpdir/out")"
grep -A1 "userfaultfd  problem" "$tmpdir/out" | grep -q -- "-> .*/dev/userfaultfd" ||
    die "$(cat "$tmpdir/out")"
expect_status 0 timeout 60 $as "$python" "$srcdir/test-tools-seccomp.py" "$HUGELITE" \
    sql "$tmpdir/x.db" "SELECT count(*) FROM t; PRAGMA hugelite_mode"
grep -qx 100 "$tmpdir/out" || die "$(cat "$tmpdir/out" "$tmpdir/err")"
grep -q "direct: userfaultfd is refused" "$tmpdir/out" || die "it does not say why: $(cat "$tmpdir/out")"
expect_status 0 $as "$python" "$srcdir/test-tools-seccomp.py" "$HUGELITE" stat
grep -q "not cached: userfaultfd is refused" "$tmpdir/err" || die "stat does not say why: $(cat "$tmpdir/err")"
expect_status 1 timeout 60 $as "$python" "$srcdir/test-tools-seccomp.py" "$HUGELITE" \
    warm "$tmpdir/x.db"
grep -q "userfaultfd" "$tmpdir/err" || die "it does not say why: $(cat "$tmpdir/err")"
