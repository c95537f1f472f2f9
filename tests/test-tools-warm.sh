#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-warm: warm makes the whole database resident, reading each byte once; a second
# one reads nothing; queries after it read nothing; of a database larger than the budget it says how
# much is there.

. ./functions.sh
requires python3

field() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))["volumes"]
assert len(v) == 1; print(v[0][sys.argv[2]])' "$tmpdir/out" "$1"; }

make_db "$tmpdir/x.db" 60000
bytes=$(stat -c %s "$tmpdir/x.db")
rounded=$(((bytes + 2097151) / 2097152 * 2097152))
[ "$rounded" -gt 6000000 ] && [ "$rounded" -lt 30000000 ] || die "the database has $bytes bytes"

expect_status 0 "$HUGELITE" warm "$tmpdir/x.db"
grep -qF "$tmpdir/x.db: $bytes bytes" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
grep -q "of which $bytes bytes .* were read" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
[ ! -s "$tmpdir/err" ] || die "progress although stderr is no terminal: $(cat "$tmpdir/err")"
expect_status 0 "$HUGELITE" stat --json
expect "$rounded" "$(field resident_bytes)" resident_bytes
expect "$bytes" "$(field source_bytes)" source_bytes

expect_status 0 "$HUGELITE" warm "$tmpdir/x.db"
grep -qF "in the cache already" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
expect_status 0 "$HUGELITE" sql "$tmpdir/x.db" "SELECT count(*), sum(length(v)) FROM t"
expect_status 0 "$HUGELITE" stat --json
expect "$bytes" "$(field source_bytes)" "source_bytes after a second warm and a scan"

# Four times the budget: it works, and the output is honest.
rm -rf "$pooldir"
export HUGELITE_POOL_SIZE=8M
truncate -s 32M "$tmpdir/large"
expect_status 0 "$HUGELITE" warm "$tmpdir/large"
grep -q "bytes .* of it are in the cache now: the pool's budget is 8388608 bytes" "$tmpdir/out" ||
    die "$(cat "$tmpdir/out")"
expect_status 0 "$HUGELITE" stat --json
[ "$(field resident_bytes)" -le 8388608 ] || die "more than the budget: $(field resident_bytes)"
