#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-heap: sql keeps SQLite's memory on huge pages.  While it sorts, stat shows the bytes; when
# the statement is over most go back, and all when it ends, be it by kill -9; with --no-huge-heap
# there are none.  Sorters, joins and groups answer the same with and without.

. ./functions.sh
requires python3
requires_hugepages 24

# An eighth of the machine's pages is what a heap may have; with few of them the growth below is not seen.
total=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)
free=$(($(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages) -
    $(cat /sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages)))
[ $((total / 8)) -ge 16 ] && [ "$free" -ge $((total / 4 + 24)) ] ||
    skip "needs 128 huge pages of which a quarter and 24 are not reserved, has $total, and $free such"

heap() {
    "$HUGELITE" stat --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["pool"]["heap_bytes"])'
}

heap_is() { [ "$(heap)" -eq "$1" ]; }
heap_at_most() { [ "$(heap)" -le "$1" ]; }
heap_at_least() { [ "$(heap)" -ge "$1" ]; }
said() { grep -qx -- "$1" "$tmpdir/reader"; }

start() {
    rm -f "$tmpdir/in"
    mkfifo "$tmpdir/in"
    "$HUGELITE" sql "$tmpdir/a.db" "$@" <"$tmpdir/in" >"$tmpdir/reader" 2>&1 &
    reader=$!
    exec 7>"$tmpdir/in"
    echo "SELECT 'ready' FROM t WHERE id = 1;" >&7
    await said ready
}

make_db "$tmpdir/a.db" 100000
mib=1048576

# A few pages to begin with; more while what is computed has to be kept.
start
await heap_at_least $((2 * mib))
await heap_at_most $((8 * mib))
expect 0 $(($(heap) % (2 * mib))) "bytes beside whole huge pages"
cat >&7 <<'SQL'
PRAGMA temp_store=memory; PRAGMA cache_size=-100000;
SELECT 'sorted', (SELECT max(heap_bytes) FROM hugelite_stat WHERE x.k > 0)
  FROM (SELECT k, v FROM t ORDER BY v LIMIT 99999) x LIMIT 1;
SQL
await grep -q sorted "$tmpdir/reader"
peak=$(grep sorted "$tmpdir/reader")
[ "${peak#*|}" -ge $((12 * mib)) ] || die "while it sorts: $peak"

# Given back while it waits for its next statement.
await heap_at_most $((8 * mib))

# At its end, and at a sudden one.
exec 7>&-
wait $reader || die "sql failed: $(cat "$tmpdir/reader")"
expect 0 "$(heap)" "the heap after its end"
start
await heap_at_least $((2 * mib))
kill -9 $reader
wait $reader 2>/dev/null || true
exec 7>&-
expect 0 "$(heap)" "the heap of one that was killed"

# Turned off.
start --no-huge-heap
expect 0 "$(heap)" "the heap with --no-huge-heap"
exec 7>&-
wait $reader || die "sql failed: $(cat "$tmpdir/reader")"

# The same answers.
cat >"$tmpdir/queries.sql" <<'SQL'
PRAGMA threads=2;
PRAGMA temp_store=memory; PRAGMA cache_size=-100000;
SELECT id, k FROM t ORDER BY v DESC LIMIT 1000 OFFSET 9000;
SELECT k % 97, count(*), sum(id), max(v) FROM t GROUP BY 1 ORDER BY 3;
SELECT count(*), sum(a.id - b.id), max(b.v) FROM t a JOIN t b ON a.k = b.k + 7919 WHERE a.id < 30000;
SELECT count(DISTINCT v), group_concat(k, ',') FROM (SELECT v, k FROM t ORDER BY k LIMIT 10000);
SELECT id, sum(k) OVER (ORDER BY v ROWS 10 PRECEDING) s FROM t WHERE id < 20000 ORDER BY s LIMIT 500;
PRAGMA cache_size=-500;
SELECT id, v FROM t ORDER BY k LIMIT 1000 OFFSET 70000;
SQL
"$HUGELITE" sql "$tmpdir/a.db" <"$tmpdir/queries.sql" >"$tmpdir/with"
"$HUGELITE" sql "$tmpdir/a.db" --no-huge-heap <"$tmpdir/queries.sql" >"$tmpdir/without"
sqlite3 "$tmpdir/a.db" <"$tmpdir/queries.sql" >"$tmpdir/stock"
cmp "$tmpdir/with" "$tmpdir/without"
cmp "$tmpdir/with" "$tmpdir/stock"
[ "$(wc -l <"$tmpdir/with")" -gt 2500 ] || die "the queries answered little: $(head "$tmpdir/with")"
