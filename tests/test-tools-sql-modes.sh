#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-sql-modes: the four output modes: csv and json read back as the values that were
# stored, whatever they are; column lines up; list is what the sqlite3 shell prints.

. ./functions.sh
requires python3
cd "$tmpdir"

python3 - <<'P'
import sqlite3
db = sqlite3.connect("x.db")
db.execute("CREATE TABLE v(id INTEGER PRIMARY KEY, x)")
values = [None, 0, -1, 2**63 - 1, -2**63, 0.1, 1.0, -2.5e-300, 1/3, float("inf"), "", "plain",
          'quo"te', "com,ma", "line\nfeed", "cr\rlf\r\n", "tab\t\x01\x1f\x7f", "back\\slash", "grüße 日本 😀",
          b"", b"\x00\xff'\"", "X'00'"]
db.executemany("INSERT INTO v(x) VALUES(?)", [(x,) for x in values])
db.commit()
P

expect_status 0 "$HUGELITE" sql x.db --mode json "SELECT id, x, typeof(x) AS kind FROM v; SELECT 1 AS a WHERE 0"
python3 - out <<'P' || die "json: $(cat out)"
import json, sqlite3, sys
lines = open(sys.argv[1], encoding="utf8", newline="\n").read().split("\n")
assert len(lines) == 3 and lines[2] == "", lines
assert json.loads(lines[1]) == [], lines[1]
stored = sqlite3.connect("x.db").execute("SELECT id, x, typeof(x) FROM v").fetchall()
rows = json.loads(lines[0])
assert [list(r) for r in rows] == [["id", "x", "kind"]] * len(stored)
for row, (i, x, kind) in zip(rows, stored):
    want = x.hex() if kind == "blob" else x
    assert (row["id"], row["x"], row["kind"]) == (i, want, kind), (row, x)
    assert type(row["x"]) is type(want), (row, x)
P

expect_status 0 "$HUGELITE" sql x.db --mode csv "SELECT id, x AS \"the, x\" FROM v WHERE typeof(x) = 'text'"
python3 - out <<'P' || die "csv: $(cat out)"
import csv, sqlite3, sys
rows = list(csv.reader(open(sys.argv[1], encoding="utf8", newline="")))
stored = sqlite3.connect("x.db").execute("SELECT id, x FROM v WHERE typeof(x) = 'text'").fetchall()
assert rows[0] == ["id", "the, x"], rows[0]
assert rows[1:] == [[str(i), x] for i, x in stored], rows
P

expect_status 0 "$HUGELITE" sql x.db --mode list "SELECT 1, 'a', NULL, 2.5, x'00ff'; SELECT 'b'"
expect $'1|a||2.5|X\'00ff\'\nb' "$(cat out)" list
expect_status 0 "$HUGELITE" sql x.db "SELECT 1, 2"
expect "1|2" "$(cat out)" "list is the default"

# Aligned by characters, not bytes; control characters cannot reach the terminal.
expect_status 0 "$HUGELITE" sql x.db --mode column \
    "SELECT 'grüße' AS a, 1 AS b UNION ALL SELECT char(27) || '[2J', 22 UNION ALL SELECT NULL, NULL"
expect $'a      b\ngrüße  1\n?[2J   22\n       ' "$(cat out)" column

# More rows than share one set of widths: all of them come, once.
expect_status 0 "$HUGELITE" sql x.db --mode column "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL
    SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n"
expect $((2501 * 2500 / 2)) "$(awk '{ s += $1 } END { print s }' out)" "sum of 2500 rows"

# Whoever stops reading ends the query too: this one would never end.
timeout 60 "$HUGELITE" sql x.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i FROM n" 2>/dev/null | head -n 1 >out || true
expect 1 "$(cat out)" "first row"
if [ -e /dev/full ]; then
    status=0
    timeout 60 "$HUGELITE" sql x.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT i FROM n" >/dev/full 2>err || status=$?
    expect 1 $status "writing to /dev/full"
fi
