#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `hugelite bench --json` on a small database of its own: every case for every system
# that can run here, the promise that N cold readers read the source once (but for the few
# pages that are served before their chunk is filled), the database
# kept in --dir and used again as it is, and nothing else left behind.
. ./functions.sh
requires python3

bench() {
    expect_status 0 "$HUGELITE" bench --size 8M --dir "$tmpdir/keep" --pool "$pooldir" \
        --rounds 2 --seconds 0.01 --processes 1,2 --json "$@"
}

bench
cp "$tmpdir/out" "$tmpdir/first"
db=$(ls "$tmpdir"/keep/*.db)
stamp=$(stat -c '%i %y' "$db")
python3 - "$tmpdir/first" "$(test_on_hugepages && echo hugetlb || echo shmem)" <<'PY' ||
import json, sys
r = json.load(open(sys.argv[1]))
assert r["version"] == 1
assert r["context"]["pool_pages"] == sys.argv[2], r["context"]
for key in "kernel", "cpu", "cpus", "sqlite", "hugelite", "rounds":
    assert r["context"][key], key
size = r["database"]["bytes"]
assert 8 << 20 <= size < 9 << 20 and r["database"]["rows"] > 10000, r["database"]

runs = [s["name"] for s in r["systems"] if not s["skipped"]]
for s in r["systems"]:
    assert s["name"] in ("stock", "mmap", "copy", "hugelite"), s
    assert not s["skipped"] or s["note"], s
for name in "stock", "mmap", "hugelite":
    assert name in runs, r["systems"]

got = {(x["case"], x["readers"], x["system"]): x for x in r["results"]}
for name in runs:
    for case in "lookup_autocommit", "lookup_transaction", "scan", "count":
        for n in 1, 2:
            x = got.pop((case, n, name))
            assert len(x["rounds"]) == 2 and min(x["rounds"]) > 0, x
            assert x["unit"] == ("per_second" if case.startswith("lookup") else "seconds")
            assert x["ratio"] > 0, x
            best = max if x["unit"] == "per_second" else min
            assert x["best"] == best(x["rounds"]), x
            assert abs(x["median"] - sum(x["rounds"]) / 2) <= 1e-9 * x["median"], x
    for case in "open", "fresh_scan", "fresh_count":
        assert got.pop((case, 1, name))["median"] > 0
assert not got, list(got)

assert {x["system"] for x in r["further_reader"]} == set(runs)
assert [x["readers"] for x in r["cold_readers"]] == [1, 2]
for x in r["cold_readers"]:
    assert size <= x["source_bytes"] <= size + x["readers"] * 8 * 4096, x
    assert x["fills"] == -(-size // (2 << 20)), x
PY
die "wrong report: $(cat "$tmpdir/first")"
expect "" "$(cat "$tmpdir/err")" "stderr"

bench --systems hugelite
expect "$stamp" "$(stat -c '%i %y' "$db")" "the kept database"

# A file of that name which we did not make is made anew, not believed.
sqlite=$(command -v sqlite3) || skip "the rest needs the command sqlite3"
"$sqlite" "$db" 'PRAGMA user_version=77'
bench --systems hugelite
expect 2 "$("$sqlite" "$db" 'PRAGMA user_version')" "the stamp of the database made anew"

expect "$db" "$(ls -d "$tmpdir"/keep/*)" "in --dir"
[ ! -e "$pooldir" ] || die "the pool was made by the benchmark and is still there"
expect "" "$(ls "${pooldir%/pool}")" "left beside the pool"
