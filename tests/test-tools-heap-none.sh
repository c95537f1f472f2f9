#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-heap-none: without huge pages, or with too few left, sql works as it always did and says nothing;
# and a heap whose pages run out while it grows goes on with small ones.

. ./functions.sh
requires python3 unshare mount
requires_root
[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ] || skip "needs a kernel with huge pages of 2 MiB"
unshare --mount true 2>/dev/null || skip "needs a mount namespace of its own"

# The program reads how many there are from these files: here it finds others in their place.
files=$tmpdir/hugepages-2048kB
mkdir "$files"
say() {       # TOTAL FREE
    echo "$1" >"$files/nr_hugepages"
    echo "$2" >"$files/free_hugepages"
    echo 0 | tee "$files/resv_hugepages" "$files/surplus_hugepages" >"$files/nr_overcommit_hugepages"
}
sql() {
    unshare --mount bash -c 'mount --bind "$0" /sys/kernel/mm/hugepages/hugepages-2048kB && exec "$@"' \
        "$files" "$HUGELITE" sql "$tmpdir/a.db" "$@" >"$tmpdir/out" 2>"$tmpdir/err" ||
        die "status $?: $(cat "$tmpdir/err")"
    [ ! -s "$tmpdir/err" ] || die "stderr: $(cat "$tmpdir/err")"
}

make_db "$tmpdir/a.db" 60000
query="PRAGMA temp_store=memory; PRAGMA cache_size=-100000; CREATE TEMP TABLE x AS SELECT v FROM t;
    SELECT count(*), max(v), (SELECT max(heap_bytes) FROM hugelite_stat) FROM (SELECT v FROM x ORDER BY v)"
sqlite3 "$tmpdir/a.db" "SELECT count(*), max(v) FROM t" >"$tmpdir/want"

expect_heap() {       # BYTES WHAT
    sql "$query"
    expect "$(cat "$tmpdir/want")|$1" "$(cat "$tmpdir/out")" "$2"
}

say 0 0
expect_heap 0 "without huge pages"
say 100 25
expect_heap 0 "with a quarter left"
say 7 7
expect_heap 0 "with fewer than eight in all"

# From here on real pages are taken: two of sixteen, then small ones.
free=$(($(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages) -
    $(cat /sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages)))
[ "$free" -ge 8 ] || skip "needs 8 huge pages that are not reserved, there are $free"
say 16 16
expect_heap $((4 << 20)) "with an eighth of 16 pages"
say 400 101
expect_heap_once() { sql "$query"; cut -d'|' -f3 <"$tmpdir/out"; }
[ "$(expect_heap_once)" -gt 0 ] || die "with one page to spare none was taken"
