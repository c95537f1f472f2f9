#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-infra-hugepages: with-hugepages gives a mount and gives it back.
#
# Passes when a command sees a hugetlbfs mount of the size asked for, that is
# gone afterwards with its directory, its state file and its processes; when
# exit statuses come through; when a run that is killed with -9 at any of its three
# steps is put right by the next; and when SIGTERM ends all of it.

. ./functions.sh
requires_root
requires flock setsid unshare
with=$srcdir/with-hugepages
states=/run/hugelite-hugepages.d
nr=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
unset HUGELITE_TEST_MOUNT HUGELITE_POOL
export TMPDIR=$tmpdir

# No right to it (a container, or no such kernel)?
bash "$with" -p 4 sh -c 'test -n "$HUGELITE_TEST_MOUNT"' 2>"$tmpdir/err" ||
    skip "no huge pages to be had: $(tail -n 1 "$tmpdir/err")"

# A mount of that size, and nothing of it left in the end.
bash "$with" -p 4 sh -c 'echo "$HUGELITE_TEST_MOUNT" && stat -f -c "%T %b %f" "$HUGELITE_TEST_MOUNT"' \
    >"$tmpdir/out"
mount=$(head -n 1 "$tmpdir/out")
expect "hugetlbfs 4 4" "$(tail -n 1 "$tmpdir/out")" "the mount"
[ ! -e "$mount" ] || die "$mount is left"
! grep -q " $mount " /proc/self/mountinfo || die "$mount is still mounted"

# Statuses, and wrong usage.
expect_status 7 bash "$with" -p 4 sh -c 'exit 7'
expect_status 2 bash "$with"
expect_status 2 bash "$with" -p 0 true
expect_status 2 bash "$with" -p x true

# Start one that holds 5 pages; sets run, command (the pid in it) and state.
start_holder() {
    rm -f "$tmpdir/pid"
    bash "$with" -p 5 sh -c 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec sleep 600' "$tmpdir/pid" &
    run=$!
    await [ -e "$tmpdir/pid" ]
    command=$(cat "$tmpdir/pid")
    # The state file that this run has open (8 is its lock).
    state=$(readlink /proc/$run/fd/8)
    expect "held 5" "$(tail -n 1 "$state")" "the state file"
}
gone() { [ ! -e /proc/$1 ]; }

# SIGTERM ends the command too, and the pages go back.
start_holder
kill -TERM $run
status=0
wait $run || status=$?
expect 143 $status "status after SIGTERM"
[ ! -e "$state" ] || die "$state is left after SIGTERM"
await gone $command

# Killed with -9: its state stays as long as its command lives, then the next run
# mends it (any run: others on this machine may be quicker than ours).
start_holder
kill -KILL $run
wait $run 2>/dev/null || true
bash "$with" -p 1 true
[ -e "$state" ] || die "mended while its command was still running"
kill -KILL $command
await gone $command
bash "$with" -p 1 true
[ ! -e "$state" ] || die "$state is left after kill -9"

# What a dead run owes follows from its last line, wherever it was: the same
# functions on a number and state files of our own.
. "$with"
states=$tmpdir/states nr=$tmpdir/nr
mkdir "$states"
mends() {   # WHAT NUMBER-FOUND NUMBER-WANTED LINE...
    local what=$1 found=$2 want=$3
    shift 3
    echo "$found" >"$nr"
    printf '%s\n' "$@" >"$states/dead"
    mend_leftovers 2>"$tmpdir/err"
    grep -q 'giving back the pages of a run that was killed' "$tmpdir/err" || die "$what: silent"
    expect "$want" "$(cat "$nr")" "$what"
    [ ! -e "$states/dead" ] || die "$what: its state file is left"
}
mends "killed before it wrote anything"      100 100 ""
mends "killed before it raised"              100 100 "take 100 8"
mends "killed after it raised"               108 100 "take 100 8"
mends "killed after the kernel gave 3 of 8"  103 100 "take 100 8"
mends "killed while it held 8"               120 112 "take 100 8" "held 8"
mends "killed before it lowered"             120 112 "held 8" "give 120 8"
mends "killed after it lowered"              112 112 "held 8" "give 120 8"
mends "more owed than there is"                5   0 "held 8"
# And a live one is left alone.
echo 120 >"$nr"
echo "held 8" >"$states/live"
(flock 8 && mend_leftovers) 8>>"$states/live"
expect 120 "$(cat "$nr")" "the pages of a live run"
[ -e "$states/live" ] || die "the state file of a live run is gone"
