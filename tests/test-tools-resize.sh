#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-resize: the budget of a pool, and the share of a database, by the tool: what it prints, what stat says then,
# what is resident; sizes and databases that cannot be; no pool.

. ./functions.sh
requires python3
stat() {
    "$HUGELITE" stat --json >"$tmpdir/stat"
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$tmpdir/stat" "$1"
}

expect_status 1 "$HUGELITE" resize 8M --pool "$tmpdir/none"
grep -q "hugelite resize: " "$tmpdir/err" || die "no pool: $(cat "$tmpdir/err")"

export HUGELITE_POOL_SIZE=16M
make_db "$tmpdir/x.db" 200000
"$HUGELITE" warm "$tmpdir/x.db" >/dev/null
expect 16777216 "$(stat 'd["pool"]["budget_bytes"]')" "the first budget"

expect_status 0 "$HUGELITE" resize 8M
expect "the budget is 8388608 bytes (8.0 MiB)" "$(cat "$tmpdir/out")"
expect 8388608 "$(stat 'd["pool"]["budget_bytes"]')" "a smaller budget"
[ "$(stat 'd["pool"]["resident_bytes"]')" -le 8388608 ] || die "more is resident than the budget"
expect_status 0 "$HUGELITE" resize 24M
expect 25165824 "$(stat 'd["pool"]["budget_bytes"]')" "a larger budget"

expect_status 0 "$HUGELITE" resize 4M "$tmpdir/x.db"
expect "at most 4194304 bytes (4.0 MiB) of the budget" "$(cat "$tmpdir/out")"
expect 4194304 "$(stat 'd["volumes"][0]["share_bytes"]')" "the share"
"$HUGELITE" evict --all >/dev/null
"$HUGELITE" warm "$tmpdir/x.db" >/dev/null
expect 4194304 "$(stat 'd["volumes"][0]["resident_bytes"]')" "resident with a share"
expect_status 0 "$HUGELITE" resize 0 "$tmpdir/x.db"
expect 0 "$(stat 'd["volumes"][0]["share_bytes"]')" "no share"

expect_status 1 "$HUGELITE" resize 1M
grep -q "2M at least" "$tmpdir/err" || die "too small: $(cat "$tmpdir/err")"
expect_status 1 "$HUGELITE" resize 100T
grep -q "no further" "$tmpdir/err" || die "too large: $(cat "$tmpdir/err")"
expect_status 1 "$HUGELITE" resize 8M "$tmpdir/y.db"
grep -q "y.db': not in the cache" "$tmpdir/err" || die "unknown: $(cat "$tmpdir/err")"
expect 25165824 "$(stat 'd["pool"]["budget_bytes"]')" "after what was refused"
