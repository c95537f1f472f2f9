#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The micro-benchmarks run: each one that is listed gives a time in a dry run, none fails,
# a fill comes with its ratio, and their scratch directories are gone afterwards.
. ./functions.sh
requires python3

for program in micro-pool micro-codec micro-vfs; do
    exe=$abs_top_builddir/bench/$program
    [ -x "$exe" ] || skip "bench/$program is not built: Google Benchmark was not found"
    export TMPDIR=$tmpdir HUGELITE_TEST_POOLS=${pooldir%/pool}
    "$exe" --benchmark_list_tests >"$tmpdir/list" 2>"$tmpdir/err" ||
        die "$program --benchmark_list_tests: $(cat "$tmpdir/err")"
    "$exe" --benchmark_min_time=0.001 --benchmark_format=json >"$tmpdir/json" 2>"$tmpdir/err" ||
        die "$program: $(cat "$tmpdir/err" "$tmpdir/json")"
    python3 - "$program" "$tmpdir/list" "$tmpdir/json" <<'PY' || die "$program: wrong output"
import json, sys
program, listed, out = sys.argv[1], open(sys.argv[2]).read().split(), json.load(open(sys.argv[3]))
done = {b["name"]: b for b in out["benchmarks"]}
assert listed and set(listed) == set(done), (listed, list(done))
for name, b in done.items():
    if b.get("error_occurred"):
        assert b["error_message"].startswith("skipped: "), b
        print(name, b["error_message"])
    else:
        assert b["real_time"] > 0, b
assert any(not b.get("error_occurred") for b in done.values())
for key in "kernel", "pool", "huge_pages":
    assert out["context"][key], key
if program == "micro-pool":
    fill = next(b for n, b in done.items() if n.startswith("BM_fill/"))
    assert fill.get("error_occurred") or fill["ratio"] > 0, fill
if program == "micro-codec":
    for name, b in done.items():
        assert name.startswith("BM_libzstd") or b["ratio"] > 0, b
PY
    left=$(ls "$tmpdir" "${pooldir%/pool}" | grep hugelite-micro || true)
    expect "" "$left" "left behind by $program"
done
