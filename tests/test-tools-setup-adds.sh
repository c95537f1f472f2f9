#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-setup-adds: setup adds just the pages that are not free and unreserved, --undo takes
# just those away, and no more than are free then.  The machine's numbers are played by a folder in
# the place of sysfs; the mount is real.

. ./functions.sh
requires_root
requires unshare
sys=/sys/kernel/mm/hugepages
[ -w $sys/hugepages-2048kB/nr_hugepages ] || skip "no huge pages to set"
if [ -z "${test_inside:-}" ]; then
    unshare --mount true 2>/dev/null || skip "no right to mount"
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi
m=$tmpdir/m
available=$(($(cat $sys/hugepages-2048kB/free_hugepages) - $(cat $sys/hugepages-2048kB/resv_hugepages)))
[ "$available" -ge 8 ] || skip "needs 8 huge pages that are not reserved, there are $available"

machine() {   # TOTAL FREE RESERVED
    echo "$1" >"$fake/nr_hugepages"
    echo "$2" >"$fake/free_hugepages"
    echo "$3" >"$fake/resv_hugepages"
}
mount -t tmpfs none $sys
fake=$sys/hugepages-2048kB
mkdir $fake
echo 0 >$fake/surplus_hugepages
echo 0 >$fake/nr_overcommit_hugepages
cleanup_fn umount -l $sys
cleanup_fn rm -f "$fake/nr_hugepages"       # so that no number of ours is written in the end
cleanup_fn "$HUGELITE" setup --undo --mount "$m"

# 4 wanted; of 3 free ones 2 are promised to others: 3 are added.
machine 10 3 2
expect_status 0 "$HUGELITE" setup --size 8M --mount "$m"
expect 13 "$(cat $fake/nr_hugepages)" "pages of the machine"
grep -qx "3 huge pages were added, 1 were free already" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
expect "3 1 $m" "$(grep -F " $m" /run/hugelite-setup)" record

# 3 more wanted when all is promised: 3 are added, 6 are owed.
machine 13 6 6
expect_status 0 "$HUGELITE" setup --size 14M --mount "$m"
expect 16 "$(cat $fake/nr_hugepages)" "pages of the machine"
expect "6 1 $m" "$(grep -F " $m" /run/hugelite-setup)" record

# Enough are free: none is added, nothing is owed for them.
machine 16 9 8
expect_status 0 "$HUGELITE" setup --size 16M --mount "$m"
expect 16 "$(cat $fake/nr_hugepages)" "pages of the machine"
expect "6 1 $m" "$(grep -F " $m" /run/hugelite-setup)" record

# Others use some at the end: what is free goes, the rest stays and is told.
machine 16 7 3
expect_status 0 "$HUGELITE" setup --undo --mount "$m"
expect 12 "$(cat $fake/nr_hugepages)" "pages of the machine"
grep -qx "gave back 4 huge pages" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
grep -qx "2 huge pages stay: others use them now" "$tmpdir/out" || die "$(cat "$tmpdir/out")"

# A mount that went by itself (umount, a mount namespace that ended): the pages are still owed.
machine 20 0 0
expect_status 0 "$HUGELITE" setup --size 8M --mount "$m"
expect 24 "$(cat $fake/nr_hugepages)" "pages of the machine"
umount "$m"
machine 24 4 0
expect_status 0 "$HUGELITE" setup --size 8M --mount "$m"
expect 24 "$(cat $fake/nr_hugepages)" "set up again after umount"
expect "4 1 $m" "$(grep -F " $m" /run/hugelite-setup)" record
umount "$m"
expect_status 0 "$HUGELITE" setup --undo --mount "$m"
expect 20 "$(cat $fake/nr_hugepages)" "undone after umount"
! grep -qF " $m" /run/hugelite-setup 2>/dev/null || die "a record stays"
