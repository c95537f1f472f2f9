#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Wrong usage of `hugelite bench` is exit status 2 and a sentence that names the culprit;
# --help and --version are 0, and every option of the help is in the manual page.
. ./functions.sh

wrong() {
    local word=$1
    shift
    expect_status 2 "$HUGELITE" bench "$@"
    grep -q -- "$word" "$tmpdir/err" || die "bench $*: '$word' is not in: $(cat "$tmpdir/err")"
    expect "" "$(cat "$tmpdir/out")" "stdout of bench $*"
}
wrong "--size" --size much
wrong "--size" --size 1K
wrong "--processes" --processes 0
wrong "--processes" --processes 1,
wrong "--processes" --processes 17
wrong "--processes" --processes 1,2,x
wrong "'fast'" --systems mmap,fast
wrong "'rest'" --cases scan,rest
wrong "--cases" --db x.db --sql 'SELECT 1' --cases scan
wrong "--seconds" --seconds 0
wrong "--seconds" --seconds nan
wrong "--latency" --latency -1
wrong "--latency" --latency 25ms
wrong "--latency" --latency nan
wrong "--rate" --rate 1K
wrong "--rate" --rate fast
wrong "--rounds" --rounds 1.5
wrong "--rounds" --rounds 100
wrong "--rounds" --rounds nan
wrong "go together" --sql 'SELECT 1'
wrong "go together" --db x.db
wrong "make one" --db x.db --sql 'SELECT 1' --size 8M
wrong "unexpected" now
wrong "frobnicate" --frobnicate
wrong "needs a value" --rounds

expect_status 0 "$HUGELITE" bench --help
cp "$tmpdir/out" "$tmpdir/help"
expect_status 0 "$HUGELITE" bench --version
for option in $(grep -o -- '--[a-z][a-z-]*' "$tmpdir/help" | sort -u); do
    case $option in --help | --version) continue ;; esac
    grep -q -- "=item.*B<$option>" "$srcdir/../tools/hugelite-bench.pod" ||
        die "$option is not in the manual page"
done
