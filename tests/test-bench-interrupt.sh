#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ctrl-C leaves nothing behind: at several moments the benchmark ends by the signal, with no
# process of its own alive and its directories, its pool and its database gone.  What a run
# that was killed with -9 has left is removed by the next one.
. ./functions.sh
export TMPDIR=$tmpdir
place=${pooldir%/pool}
# processes of the group of the benchmark, its children among them
alive() { ps -e -o pgid=,stat= | awk -v g="$1" '$1 == g && $2 !~ /^Z/' | wc -l; }

start() {
    # setsid: a group of its own.  Python, since bash starts background jobs with SIGINT ignored.
    "$python" -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.setpgid(0, 0)
os.execv(sys.argv[1], sys.argv[1:])' "$HUGELITE" bench --size 16M --seconds 0.3 --rounds 20 \
        --processes 2 --pool "$pooldir" "$@" >"$tmpdir/out" 2>"$tmpdir/err" &
    pid=$!
    # Before that, the signal would meet bash or Python.
    await is_bench
}
is_bench() {
    case $(tr '\0' ' ' <"/proc/$pid/cmdline") in "$HUGELITE bench"*) ;; *) return 1 ;; esac
}
is_empty() { [ "$(alive "$pid")" = 0 ]; }
has_begun() { ls "$tmpdir" | grep -q hugelite-bench; }
python=$(command -v python3) || skip "needs python3"
requires ps

interrupt() {
    local delay=$1
    shift
    start "$@"
    sleep "$delay"
    kill -INT "$pid"
    status=0
    wait "$pid" || status=$?
    expect 130 "$status" "exit status after Ctrl-C at $delay s ($(cat "$tmpdir/err"))"
    # a program that one of its processes ran has been killed, too, and needs a moment to go
    await is_empty
    expect "" "$(ls "$place")" "on the pool's mount after Ctrl-C at $delay s"
    expect "" "$(ls "$tmpdir" | grep hugelite-bench || true)" "in TMPDIR after Ctrl-C at $delay s"
    ! cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -q "$tmpdir" ||
        die "a loop device after Ctrl-C at $delay s"
}
for delay in 0.05 0.4 1.5 3; do
    interrupt $delay
done
# while it packs, makes a squashfs image, unpacks, has it mounted
for delay in 0.4 0.8 2; do
    interrupt $delay --cases coldscan
done
# while its server is up
for delay in 0.4 1.5; do
    interrupt $delay --cases remote
done

start
await has_begun         # there is something to leave
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
await is_empty
[ -n "$(ls "$tmpdir" | grep hugelite-bench)" ] || die "kill -9 came too early to leave anything"
rm -rf "$pooldir"       # named by us, so it is ours to remove
expect_status 0 "$HUGELITE" bench --size 8M --seconds 0.01 --rounds 1 --processes 1 \
    --pool "$pooldir"
expect "" "$(ls "$tmpdir" | grep hugelite-bench || true)" "in TMPDIR after the next run"
expect "" "$(ls "$place")" "on the pool's mount after the next run"
