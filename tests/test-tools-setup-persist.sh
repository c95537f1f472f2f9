#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-setup-persist: --persist writes sysctl.d, fstab and for a group tmpfiles.d, leaves
# other people's lines alone, does not write twice; mount(8) takes the line; --undo
# takes all of it out again.

. ./functions.sh
requires_root
requires unshare
[ -w /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages ] || skip "no huge pages to set"
if [ -z "${test_inside:-}" ]; then
    unshare --mount true 2>/dev/null || skip "no right to mount"
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi

# An /etc of our own.
mkdir "$tmpdir/etc"
cp /etc/passwd /etc/group "$tmpdir/etc"
printf '# the machine\nproc /proc proc defaults 0 0\n\nhugelite /elsewhere hugetlbfs size=2M 0 0' \
    >"$tmpdir/etc/fstab"
chmod 640 "$tmpdir/etc/fstab"
mount --bind "$tmpdir/etc" /etc
grep -vF /elsewhere /etc/fstab >"$tmpdir/fstab-foreign"

m="$tmpdir/a mount"
cleanup_fn "$HUGELITE" setup --undo --mount "$m"
status=0
"$HUGELITE" setup --size 8M --mount "$m" --persist >"$tmpdir/out" 2>"$tmpdir/err" || status=$?
if [ $status -eq 1 ] && grep -qE "the kernel gave|of memory are available|default huge page" "$tmpdir/err"; then
    skip "$(head -n 1 "$tmpdir/err")"
fi
expect 0 $status "setup --persist: $(cat "$tmpdir/err")"
total=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)
grep -q "^vm.nr_hugepages = [0-9]" /etc/sysctl.d/60-hugelite.conf || die "sysctl.d"
persisted=$(sed -n 's/^vm.nr_hugepages = //p' /etc/sysctl.d/60-hugelite.conf)
[ "$persisted" -ge 4 ] && [ "$total" -ge 4 ] || die "persisted $persisted, there are $total"
expect 640 "$(stat -c %a /etc/fstab)" "mode of fstab"
expect "" "$(diff <(grep -v '^hugelite' /etc/fstab) "$tmpdir/fstab-foreign")" "other lines"
grep -q '^hugelite /elsewhere hugetlbfs size=2M 0 0$' /etc/fstab || die "another mount's line is gone"
expect 1 "$(grep -c 'a\\040mount' /etc/fstab)" "our lines"
for file in /etc/sysctl.d/60-hugelite.conf /etc/fstab; do
    grep -q "^wrote $file: " "$tmpdir/out" || die "it does not print $file: $(cat "$tmpdir/out")"
done
[ ! -e /etc/tmpfiles.d/hugelite.conf ] || die "tmpfiles.d without a group"

# Again, with a group: replaced, not added.
expect_status 0 "$HUGELITE" setup --size 8M --mount "$m" --persist --group 65533
expect 1 "$(grep -c 'a\\040mount' /etc/fstab)" "our lines after a second run"
expect 1 "$(grep -c nr_hugepages /etc/sysctl.d/60-hugelite.conf)" "lines of sysctl.d"
expect "d \"$m/hugelite\" 2770 root 65533 -" "$(cat /etc/tmpfiles.d/hugelite.conf)"

# What boot will do: mount(8) with that line.
umount "$m"
mount "$m" 2>"$tmpdir/err" || die "mount(8) refuses the line: $(cat "$tmpdir/err") $(cat /etc/fstab)"
expect "1770 65533 4" "$(stat -c '%a %g' "$m") $(stat -f -c %b "$m")" "as mounted at boot"
if command -v systemd-tmpfiles >/dev/null; then
    systemd-tmpfiles --create /etc/tmpfiles.d/hugelite.conf 2>"$tmpdir/err" || cat "$tmpdir/err" >&2
    expect "2770 65533" "$(stat -c '%a %g' "$m/hugelite")" "the pool as made at boot"
fi

# The other mount stays persisted, and so do the pages; without it both go.
expect_status 0 "$HUGELITE" setup --undo --mount "$m"
! grep -q 'a\\040mount' /etc/fstab || die "the line stays"
[ ! -e /etc/tmpfiles.d/hugelite.conf ] || die "tmpfiles.d stays"
[ -e /etc/sysctl.d/60-hugelite.conf ] || die "the pages of /elsewhere are forgotten"
expect_status 0 "$HUGELITE" setup --undo --mount /elsewhere
[ ! -e /etc/sysctl.d/60-hugelite.conf ] || die "sysctl.d stays"
expect "" "$(diff /etc/fstab "$tmpdir/fstab-foreign")" "fstab at the end"
