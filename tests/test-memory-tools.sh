#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-memory-tools: what users of SQLite and of the tools see where a pool finds no room at
# all: a tmpfs that is full, a hugetlbfs without a free page; and in a cgroup with little memory.
#
# Passes when raw and compressed databases are read to the same rows as ever, with one sentence
# that says why they are not cached, no image is made, what needs the cache says so, and the
# pool is made once there is room, as large as the cgroup allows.

. ./functions.sh
requires sqlite3
requires_root
if [ -z "${test_inside:-}" ]; then
    unshare --mount true 2>/dev/null || skip "needs the right to mount"
    test_inside=1 unshare --mount --propagation private bash "$0" || exit $?
    exit 0
fi
cd "$tmpdir"
make_db x.db 60000
"$HUGELITE" pack x.db x.zst
query="SELECT count(*), sum(k), max(v) FROM t"
rows=$(sqlite3 x.db "$query")
mkdir m
cleanup_fn umount -l "$tmpdir/m"
export HUGELITE_POOL=$tmpdir/m/pool

read_uncached() {   # SENTENCE, of which SQLite logs some 200 bytes
    local file
    for file in x.db x.zst; do
        expect_status 0 "$HUGELITE" sql $file "$query"
        expect "$rows" "$(cat out)" "rows of $file"
        expect 1 "$(wc -l <err)" "lines: $(cat err)"
        grep -q "^hugelite sql: .*not cached: .*$1" err || die "$(cat err)"
    done
    expect_status 0 "$HUGELITE" verify x.zst
    expect_status 1 "$HUGELITE" warm x.zst
    grep -q "^hugelite warm: .*$1" err || die "$(cat err)"
    expect_status 1 "$HUGELITE" stat
    expect "hugelite stat: pool '$HUGELITE_POOL': not found; the first reader makes one" "$(cat err)"
    expect "" "$(find m -name '*.image')" images
}

read_cached() {
    expect_status 0 "$HUGELITE" sql x.zst "$query"
    expect "$rows" "$(cat out)" rows
    expect "" "$(cat err)" "what it said"
    expect_status 0 "$HUGELITE" stat
    grep -q "x.zst" out || die "$(cat out)"
}

# A tmpfs that somebody has filled
mount -t tmpfs -o size=16M none m
fallocate -l 16M m/other
read_uncached "no room for its control file"
(unset HUGELITE_POOL_SIZE && read_uncached "no room for a pool")
HUGELITE_POOL_SIZE=1M expect_status 1 "$HUGELITE" sql x.zst "$query"
grep -q "the budget must be 2M at least" err || die "$(cat err)"
rm m/other
read_cached
umount m

# Huge pages: of a mount that has none, all are taken
if mount -t hugetlbfs -o size=2M,pagesize=2M none m 2>/dev/null; then
    fallocate -l 2M m/other || skip "needs a huge page; run as root through tests/run-tests"
    (unset HUGELITE_POOL_SIZE && read_uncached "no free huge pages")
    read_uncached "no room for its control file"
    umount m
fi

# The default budget is a part of what the cgroup has left
mkdir g
if mount -t cgroup -o memory none g 2>/dev/null; then
    cleanup_fn umount -l "$tmpdir/g"
    group=g/hugelite-memory-$$
    mkdir $group
    cleanup_fn rmdir "$tmpdir/$group"
    echo 64M >$group/memory.limit_in_bytes
    mount -t tmpfs -o size=1G none m
    unset HUGELITE_POOL_SIZE
    bash -c 'echo $$ >'$group'/cgroup.procs && exec "$@"' - "$HUGELITE" sql x.zst "$query" >out 2>err
    expect "$rows" "$(cat out)" rows
    expect_status 0 "$HUGELITE" stat --json
    budget=$(sed -n 's/.*"budget_bytes": *\([0-9]*\).*/\1/p' out | head -n 1)
    [ "$budget" -gt 2097152 ] && [ "$budget" -le 16777216 ] || die "a budget of $budget in a group of 64M"
    rm -rf m/pool
fi
