#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `hugelite bench --db --sql` measures the user's statement and leaves a pool that was there
# before in its place; its table has a line for each system; what is wrong with the
# statement or the file is said, with exit status 1.
. ./functions.sh
requires sqlite3

make_db "$tmpdir/my data.db" 20000
"$HUGELITE" warm "$tmpdir/my data.db" >/dev/null 2>&1 || die "warm failed"

run() {
    "$HUGELITE" bench --db "$tmpdir/my data.db" --rounds 1 --seconds 0.01 --processes 1,2 "$@"
}
expect_status 0 run --systems stock,mmap,hugelite --sql 'SELECT k, v FROM t WHERE k < 100'
for text in 'your statement' 'fresh process: your statement' '  stock ' \
    '  stock, immutable, mmap ' '  hugelite ' '2 readers at once, cold cache' 'of its size'; do
    grep -qF -- "$text" "$tmpdir/out" || die "the table lacks '$text': $(cat "$tmpdir/out")"
done
[ -d "$pooldir" ] || die "the benchmark removed a pool that it had not made"

# a private cache for each, when asked for
expect_status 0 run --systems cache,hugelite --sql 'SELECT count(*) FROM t'
grep -q 'all in its cache' "$tmpdir/out" || die "no line for the cache: $(cat "$tmpdir/out")"

expect_status 1 run --sql 'SELECT absent FROM t'
grep -q 'no such column' "$tmpdir/err" || die "said: $(cat "$tmpdir/err")"
expect_status 1 run --sql 'SELECT ?1 FROM t'
grep -q 'parameters' "$tmpdir/err" || die "said: $(cat "$tmpdir/err")"
expect_status 1 run --sql '-- nothing'
grep -q 'no statement' "$tmpdir/err" || die "said: $(cat "$tmpdir/err")"

printf 'log' >"$tmpdir/my data.db-wal"
expect_status 1 run --sql 'SELECT 1'
grep -q -- '-wal: not empty' "$tmpdir/err" || die "said: $(cat "$tmpdir/err")"
rm "$tmpdir/my data.db-wal"

expect_status 1 "$HUGELITE" bench --db "$tmpdir/absent.db" --sql 'SELECT 1'
grep -q 'absent.db: No such file' "$tmpdir/err" || die "said: $(cat "$tmpdir/err")"
