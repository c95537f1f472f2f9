#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-setup: set up, again (nothing changes), larger, for a group, undone: the mount owns
# exactly its pages, a reader uses it, and at the end the machine has as many huge pages
# as before, whoever else changes their number meanwhile by the same lock.

. ./functions.sh
requires_root
requires setpriv unshare python3
[ -w /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages ] || skip "no huge pages to set"
if [ -z "${test_inside:-}" ]; then
    unshare --mount true 2>/dev/null || skip "no right to mount"
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi
export HUGELITE_POOL= HUGELITE_POOL_SIZE=

m="$tmpdir/a mount"
# What another dead test left would be counted as ours.
record() { grep -F " $m" /run/hugelite-setup 2>/dev/null || true; }
option() { grep -F "$(printf '%s' "$m" | sed 's/ /\\040/')" /proc/self/mounts | tail -n 1 |
    grep -oE "[ ,]$1=[0-9]+" | grep -oE '[0-9]+' || true; }
cleanup_fn "$HUGELITE" setup --undo --mount "$m"

# A machine short of memory says so; that is no failure of ours.
setup() {
    local status=0
    "$HUGELITE" setup "$@" >"$tmpdir/out" 2>"$tmpdir/err" || status=$?
    if [ $status -eq 1 ] && grep -qE "the kernel gave|of memory are available" "$tmpdir/err"; then
        skip "$(head -n 1 "$tmpdir/err")"
    fi
    [ $status -eq 0 ] || die "setup $*: $status: $(cat "$tmpdir/err")"
}

setup --size 31M --mount "$m"
expect 33554432 "$(option size)" "size= of 31M"
expect 33554432 "$(option min_size)" "min_size="
expect 1777 "$(stat -c %a "$m")" mode
expect "0:0" "$(stat -c %u:%g "$m")" owner
expect "16 16" "$(stat -f -c '%b %f' "$m")" "pages of the mount"
added=$(sed -n 's/^\([0-9]*\) huge pages were added.*/\1/p' "$tmpdir/out")
free=$(sed -n 's/.* \([0-9]*\) were free already$/\1/p' "$tmpdir/out")
expect 16 $((added + free)) "pages added and found: $(cat "$tmpdir/out")"
expect "$added 1 $m" "$(record)" record
grep -q hugetlbfs /proc/self/mounts && grep -q "nosuid,nodev,noexec" /proc/self/mounts || die "mount flags"

# Again: nothing changes, and a reader is not disturbed.
make_db "$tmpdir/x.db" 30000
mkfifo "$tmpdir/in"
chmod 644 "$tmpdir/x.db"
as="setpriv --reuid=65534 --clear-groups"
$as test -x "$HUGELITE" || as=
HUGELITE_POOL="$m/nobody" $as "$HUGELITE" sql "$tmpdir/x.db" <"$tmpdir/in" >"$tmpdir/reader" 2>&1 &
reader=$!
exec 7>"$tmpdir/in"
echo "SELECT count(*) FROM t;" >&7
await grep -qx 30000 "$tmpdir/reader"
grep -F "$m" /proc/self/mounts >"$tmpdir/mounts" || true
setup --size 32M --mount "$m"
grep -q "set up already" "$tmpdir/out" || die "second run: $(cat "$tmpdir/out")"
expect "$added 1 $m" "$(record)" "record after the second run"
expect 1 "$(grep -c 'a\\040mount hugetlbfs' /proc/self/mounts)" "mounts there"

# In use: neither larger nor undone, and it says by whom.
for args in "--size 64M" "--undo"; do
    expect_status 1 "$HUGELITE" setup $args --mount "$m"
    grep -q "is in use, nothing is changed" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
    grep -q "process $reader" "$tmpdir/err" || die "not the reader $reader: $(cat "$tmpdir/err")"
    expect 33554432 "$(option size)" "size= after $args in use"
    expect "$added 1 $m" "$(record)" "record after $args in use"
done
echo "SELECT 41 + 1;" >&7
exec 7>&-
wait $reader || die "the reader failed: $(cat "$tmpdir/reader")"
grep -qx 42 "$tmpdir/reader" || die "the reader said: $(cat "$tmpdir/reader")"

# Smaller is refused.
expect_status 1 "$HUGELITE" setup --size 2M --mount "$m"
grep -q "to make it smaller" "$tmpdir/err" || die "$(cat "$tmpdir/err")"

# Larger, for a group.  Its members share the pool that root made for them.
setup --size 40M --mount "$m" --group 65533
expect 41943040 "$(option size)" "size= of 40M"
expect "1770 65533" "$(stat -c '%a %g' "$m")" "mode and group of the mount"
expect "2770 0 65533" "$(stat -c '%a %u %g' "$m/hugelite")" "the group's pool"
more=$(sed -n 's/^\([0-9]*\) huge pages were added.*/\1/p' "$tmpdir/out")
expect "$((added + more)) 1 $m" "$(record)" "record after growing"
if [ -n "$as" ]; then
    for uid in 65531 65532; do
        HUGELITE_POOL="$m/hugelite" setpriv --reuid=$uid --regid=$uid --groups=65533 \
            "$HUGELITE" sql "$tmpdir/x.db" "SELECT count(*) FROM t" >"$tmpdir/out" 2>"$tmpdir/err" ||
            die "member $uid: $(cat "$tmpdir/err")"
        expect 30000 "$(cat "$tmpdir/out")" "member $uid"
    done
    ! HUGELITE_POOL="$m/hugelite" $as "$HUGELITE" sql "$tmpdir/x.db" "SELECT 1" \
        >"$tmpdir/out" 2>&1 || die "a stranger used the group's pool"
fi

# Two set-ups at once: neither loses the other's pages.
m2="$tmpdir/second"
cleanup_fn "$HUGELITE" setup --undo --mount "$m2"
"$HUGELITE" setup --size 8M --mount "$m2" >"$tmpdir/out2" 2>&1 &
second=$!
setup --size 48M --mount "$m"
wait $second || die "the second set-up: $(cat "$tmpdir/out2")"
expect "24 4" "$(stat -f -c %b "$m") $(stat -f -c %b "$m2")" "pages of both"

# Undone, as often as one likes; what was added is owed no more.
owed=$(record | cut -d' ' -f1)
"$HUGELITE" setup --undo --mount "$m2" >/dev/null || die "undo of the second"
expect_status 0 "$HUGELITE" setup --undo --mount "$m"
# Others may have taken some of them in between.
grep -qx "gave back $owed huge pages" "$tmpdir/out" ||
    grep -q "huge pages stay: others use them now" "$tmpdir/out" || die "owed $owed: $(cat "$tmpdir/out")"
[ -z "$(option size)" ] || die "still mounted"
[ ! -e "$m" ] || die "the directory stays"
expect "" "$(record)" "record after undo"
expect_status 0 "$HUGELITE" setup --undo --mount "$m"
grep -q "nothing is set up there" "$tmpdir/out" || die "second undo: $(cat "$tmpdir/out")"
