#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-warm-table: warm --table loads the chunks of a table or an index and no others, its overflow
# pages too, of a file and of a remote database, plain and compressed, of small and large pages; queries of it then
# fill nothing more; a deep tree on a slow origin costs few requests; what has no pages is an error.

. ./functions.sh
requires sqlite3
[ "$(sqlite3 :memory: "SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')")" = 1 ] ||
    skip "needs a sqlite3 with dbstat"

export HUGELITE_STATE=none HUGELITE_POOL_SIZE=64M
unset http_proxy all_proxy ALL_PROXY
www=$tmpdir/www
mkdir "$www"
make() {   # PAGE_SIZE FILE
    sqlite3 "$2" <<SQL
PRAGMA page_size=$1; PRAGMA synchronous=off;
CREATE TABLE before(x); CREATE TABLE "a table"(id INTEGER PRIMARY KEY, k, v); CREATE TABLE long(id, b);
CREATE TABLE w(a PRIMARY KEY, b) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
INSERT INTO before SELECT randomblob(10000) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO "a table" SELECT i, i * 7919 % 100003, hex(i) || 'some text' FROM n;
INSERT INTO before SELECT randomblob(10000) FROM before;
INSERT INTO long SELECT id, randomblob(100000 + id) FROM "a table" LIMIT 40;
INSERT INTO before SELECT randomblob(9000) FROM before LIMIT 300;
INSERT INTO w SELECT hex(randomblob(400)), id FROM "a table" LIMIT 3000;
CREATE INDEX ik ON "a table"(k);
CREATE VIEW vw AS SELECT 1;
SQL
}
# Pages and chunks of a table, as SQLite sees them.
truth() { sqlite3 "$1" "SELECT count(*), count(DISTINCT (pageno - 1) * pgsize / 2097152) FROM dbstat WHERE name = '$2'"; }
resident() {
    "$HUGELITE" stat --json | grep -oE "/$1\",\"bytes\":[0-9]+,\"resident_bytes\":[0-9]+" |
        sed 's/.*://' | sort -n | tail -n 1 | { read -r bytes; echo $((bytes / 2097152)); }
}
fills() { "$HUGELITE" stat --json | grep -oE '"fills":[0-9]+' | sed 's/.*://' | { n=0; while read -r f; do n=$((n + f)); done; echo $n; }; }

make 4096 "$www/x.db"
make 512 "$www/small.db"
make 65536 "$www/large.db"
touch -d '1 hour ago' "$www"/*.db
"$HUGELITE" pack "$www/x.db" "$www/x.db.zst" >/dev/null
start_origin "$www"

check() {   # SOURCE FILE NAME
    local pages chunks there
    IFS='|' read -r pages chunks <<<"$(truth "$2" "$3")"
    [ "$pages" -gt 1 ] || die "$3 has $pages pages"
    rm -rf "$pooldir"
    expect_status 0 "$HUGELITE" warm "$1" --table "$3"
    grep -qF ": $3, $pages pages: " "$tmpdir/out" || die "$1 $3: $pages pages: $(cat "$tmpdir/out")"
    # The schema is asked for by SQLite, and may bring the first chunk.
    there=$(resident "${1##*/}")
    [ "$there" -ge "$chunks" ] || die "$1 $3: $there of $chunks chunks"
    [ "$there" -le $((chunks + 1)) ] || die "$1 $3: $there chunks, not $chunks"
}
for name in "a table" long w ik; do
    check "$www/x.db" "$www/x.db" "$name"
    check "$origin_url/x.db.zst" "$www/x.db" "$name"
done
check "$www/x.db.zst" "$www/x.db" long
check "$origin_url/x.db" "$www/x.db" long
check "$origin_url/small.db" "$www/small.db" "a table"
check "$www/small.db" "$www/small.db" long
check "$www/small.db" "$www/small.db" w
check "$www/large.db" "$www/large.db" long

# All of it is there, so that nothing is filled any more.
rm -rf "$pooldir"
expect_status 0 "$HUGELITE" warm "$origin_url/x.db.zst" --table "A TABLE"
before=$(fills)
expect "60000|$((60000 * 60001 / 2))" "$("$HUGELITE" sql "$origin_url/x.db.zst" 'SELECT count(v), sum(id) FROM "a table" NOT INDEXED')"
after=$(fills)
[ "$after" -le $((before + 1)) ] || die "the query filled $((after - before)) chunks"

# Round trips, not pages: a level of the tree at a time.
rm -rf "$pooldir"
origin_order latency_ms=100 >/dev/null
origin_order forget >/dev/null
expect_status 0 "$HUGELITE" warm "$origin_url/small.db" --table "a table"
requests=$(origin_order log | wc -l)
[ "$requests" -le 20 ] || die "$requests requests: $(origin_order log)"
origin_order clear >/dev/null

# A bound
rm -rf "$pooldir"
expect_status 0 "$HUGELITE" warm "$origin_url/x.db" --table before --bytes 5M
[ "$(resident x.db)" -le 4 ] || die "--bytes 5M: $(resident x.db) chunks"

for wrong in "nothing:has no table or index 'nothing'" "vw:has no pages of its own: it is a view"; do
    expect_status 1 "$HUGELITE" warm "$origin_url/x.db.zst" --table "${wrong%%:*}"
    grep -qF "hugelite warm: '$origin_url/x.db.zst': ${wrong#*:}" "$tmpdir/err" ||
        grep -qF "${wrong#*:}" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
done
head -c 100000 /dev/zero >"$www/zeros"
expect_status 1 "$HUGELITE" warm "$origin_url/zeros" --table t
