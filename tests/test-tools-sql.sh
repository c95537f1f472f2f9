#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-sql: SQL from the command line and from stdin gives what stock SQLite gives, served
# by the cache; errors of SQL end it with exit 1 after what came before; nothing can be
# written; Ctrl-C interrupts a query.

. ./functions.sh
requires sqlite3
cd "$tmpdir"
make_db x.db 5000
sha=$(sha256sum x.db)

sql() { expect_status 0 "$HUGELITE" sql x.db "$@"; }

for query in "SELECT * FROM t WHERE id IN (1, 77, 5000)" \
    "SELECT count(*), sum(id), avg(k), max(length(v)) FROM t" \
    "SELECT id, v FROM t ORDER BY k LIMIT 100" \
    "SELECT 1; SELECT NULL, 'a', 2.5; SELECT 3" \
    "SELECT 1 WHERE 0" \
    " -- only a comment" "" ";;"; do
    sql "$query"
    sqlite3 x.db "$query" >stock
    cmp stock out || die "differs from stock: $query"
done

# It was read through the cache.
sql "SELECT source, fills > 0, errors FROM hugelite_stat"
expect "$tmpdir/x.db|1|0" "$(cat out)"

# stdin: statements over lines, several in a line, the last without a semicolon
printf 'SELECT 1;SELECT\n 2\n;\n\n-- note;\nSELECT "id" FROM t\nWHERE id = 3; SELECT %s' "';';" >in.sql
printf '\nSELECT 4' >>in.sql
status=0
"$HUGELITE" sql x.db <in.sql >out 2>err || status=$?
expect 0 $status "script: $(cat err)"
expect $'1\n2\n3\n;\n4' "$(cat out)" "script"
: | "$HUGELITE" sql x.db >out || die "empty stdin"
[ ! -s out ] || die "empty stdin printed: $(cat out)"
printf 'SELECT 1;\nSEL\0ECT 2;\n' >in.sql
expect_status 1 "$HUGELITE" sql x.db <in.sql
grep -q "zero byte" err || die "$(cat err)"

# The first error ends it, with what came before.
expect_status 1 "$HUGELITE" sql x.db "SELECT 1; SELECT * FROM nope; SELECT 2"
expect 1 "$(cat out)"
expect "hugelite sql: no such table: nope" "$(cat err)"
printf 'SELECT 1;\nnonsense;\nSELECT 2;\n' >in.sql
expect_status 1 "$HUGELITE" sql x.db <in.sql
expect 1 "$(cat out)"
grep -q 'near "nonsense": syntax error' err || die "$(cat err)"

for statement in "INSERT INTO t VALUES (0, 0, '')" "DELETE FROM t" "CREATE TABLE u(x)" \
    "PRAGMA user_version = 7" "VACUUM"; do
    expect_status 1 "$HUGELITE" sql x.db "$statement"
    grep -q "read-\?only" err || die "$statement: $(cat err)"
    expect_status 1 "$HUGELITE" sql --immutable x.db "$statement"
done
expect "$sha" "$(sha256sum x.db)" "the file"
[ "$(ls x.db*)" = x.db ] || die "left beside it: $(ls x.db*)"

# A change by another program is seen by the next run; the statement between was right too.
sqlite3 x.db "UPDATE t SET k = -1 WHERE id = 1"
sql "SELECT k FROM t WHERE id = 1"
expect -1 "$(cat out)" "after a change"

# Ctrl-C in the middle of a query that never ends
"$HUGELITE" sql x.db "SELECT 7; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT count(*) FROM n; SELECT 8" >out 2>err &
query=$!
# When it has computed for a fifth of a second it is in the middle.
computes() { [ "$(awk '{ print $14 }' /proc/$query/stat)" -ge $(($(getconf CLK_TCK) / 5)) ]; }
await computes
kill -INT $query
status=0
wait $query || status=$?
expect 1 $status "exit status after SIGINT"
expect 7 "$(cat out)" "what came before"
expect "hugelite sql: interrupted" "$(cat err)"
