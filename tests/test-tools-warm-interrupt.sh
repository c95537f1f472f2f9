#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-warm-interrupt: Ctrl-C stops a warm with exit 1, says how far it came, and
# the pool is as good as before; on a terminal it shows its progress until then.

. ./functions.sh
requires python3
export HUGELITE_POOL_SIZE=8M

# Far more than can be loaded in the time of this test, and none of it on disk.
truncate -s 64G "$tmpdir/huge"
"$HUGELITE" warm "$tmpdir/huge" >"$tmpdir/out" 2>"$tmpdir/err" &
warm=$!
evicts() { # chunks, when the pool of four has been filled
    "$HUGELITE" stat --json >"$tmpdir/stat" && python3 -c 'import json, sys
sys.exit(sum(v["evictions"] for v in json.load(open(sys.argv[1]))["volumes"]) < 8)' "$tmpdir/stat"
} 2>/dev/null
await evicts
kill -INT $warm || die "it ended by itself: $(cat "$tmpdir/out" "$tmpdir/err")"
status=0
wait $warm || status=$?
expect 1 $status "exit status after SIGINT"
grep -qE "interrupted: [1-9][0-9]* of 68719476736 bytes \([0-9]+ %\) were done" "$tmpdir/err" ||
    die "$(cat "$tmpdir/err")"
[ ! -s "$tmpdir/out" ] || die "on stdout: $(cat "$tmpdir/out")"

make_db "$tmpdir/x.db" 100
expect_status 0 "$HUGELITE" sql "$tmpdir/x.db" "SELECT count(*) FROM t"
expect 100 "$(cat "$tmpdir/out")"

# On a terminal: bytes, percent, rate and what is left; then ^C typed.
status=0
python3 "$srcdir/test-tools-pty.py" "$HUGELITE" warm "$tmpdir/huge" >"$tmpdir/out" 2>&1 <<'S' || status=$?
expect of 64\.0 GiB \([0-9]+ %\), [0-9.]+ [KMG]iB/s, [^\r]* left
send \x03
expect interrupted: [0-9]+ of 68719476736 bytes
S
expect 1 $status "exit status after ^C: $(cat -v "$tmpdir/out")"
