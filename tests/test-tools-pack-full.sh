#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-full: a full disk, at the frames or at the table, and a limit of file size are said
# clearly, and leave nothing: no OUT, no hidden file, the former OUT as it was.

. ./functions.sh
may_mount() { [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; }
if [ -z "${test_inside:-}" ] && may_mount; then
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi
cd "$tmpdir"
make_db x.db 25000
expect_status 0 "$HUGELITE" pack x.db whole --frame 4K
bytes=$(stat -c %s whole)

failed() {   # WORDS DIR
    grep -q "^hugelite pack: $2/y: writing: $1" err || die "$(cat err)"
    expect 1 "$(wc -l <err)" lines
    [ -z "$(find "$2" -name '.y*')" ] || die "it left $(find "$2" -name '.y*')"
}

# A limit, whose signal would kill
mkdir d
status=0
(
    ulimit -f 100
    exec "$HUGELITE" pack x.db d/y >out 2>err
) || status=$?
expect 1 $status "exit status: $(cat err)"
failed "File too large" d
[ ! -e d/y ] || die "there is a y"

[ -n "${test_inside:-}" ] || skip "a full disk needs the right to mount; a limit was tried"
mkdir m
cleanup_fn umount -l "$tmpdir/m"
# Far too small; and just so that the frames find room and the table does not
for size in 400000 $((bytes / 4096 * 4096)); do
    mount -t tmpfs -o size=$size none m
    expect_status 1 "$HUGELITE" pack x.db m/y --frame 4K
    failed "No space left on device" m
    [ ! -e m/y ] || die "there is a y"
    umount m
done
mount -t tmpfs -o size=400000 none m
echo former >m/y
expect_status 1 "$HUGELITE" pack x.db m/y --force
failed "No space left on device" m
expect former "$(cat m/y)" "the former file"
umount m
mount -t tmpfs -o size=$((bytes + 65536)) none m
expect_status 0 "$HUGELITE" pack x.db m/y --frame 4K
cmp m/y whole
