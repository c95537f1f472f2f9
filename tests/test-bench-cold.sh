#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The cold cases of `hugelite bench` on a small database: every system that can run here has its
# rounds, N cold readers decode no frame more often than once, the packed database is kept in
# --dir and used again as it is, and no mount, loop device or file is left.
. ./functions.sh
requires python3

bench() {
    expect_status 0 "$HUGELITE" bench --size 8M --dir "$tmpdir/keep" --pool "$pooldir" \
        --rounds 2 --seconds 0.01 --processes 1,2 --json "$@"
}
left() { ls "$tmpdir/keep" "${pooldir%/pool}" | grep hugelite-bench- | grep -v '\.db' || true; }

bench --cases coldscan,coldlookup,cold
python3 - "$tmpdir/out" "$(command -v zstd)" "$(id -u):$(command -v mksquashfs)" <<'PY' ||
import json, sys
r = json.load(open(sys.argv[1]))
zstd, squashfs = sys.argv[2], sys.argv[3].startswith("0:/")
runs = [s["name"] for s in r["systems"] if not s["skipped"]]
for s in r["systems"]:
    assert not s["skipped"] or s["note"], s
assert {"hugelite", "zst"} <= set(runs), r["systems"]
assert ("unpack" in runs) == bool(zstd), r["systems"]
assert squashfs or "squashfs" not in runs, r["systems"]
assert "small" not in runs, "a pool of two chunks?"

size, packed = r["database"]["bytes"], r["packed"]
assert 2 * packed["bytes"] < size, packed
assert -(-size // packed["frame_bytes"]) == packed["frames"], packed

scans = {(x["case"], x["system"]): x for x in r["cold_scans"]}
for case in "scan", "count":
    for name in set(runs) & {"hugelite", "zst", "unpack", "squashfs"}:
        x = scans.pop((case, name))
        assert len(x["rounds"]) == len(x["warm_rounds"]) == 2 and min(x["rounds"]) > 0, x
        if name in ("hugelite", "zst"):
            assert len(x["limit_bytes_per_second"]) == 2 and x["of_limit"] > 0, x
        if name == "unpack":
            assert all(0 < u < t for u, t in zip(x["unpacking_rounds"], x["rounds"])), x
        assert (x.get("ratio", 0) > 0) == (name != "zst"), x
assert not scans, list(scans)
for key, series in r["rates"].items():
    assert len(series) == 2 and min(series) > 0, (key, series)

lookups = {x["system"]: x for x in r["cold_lookups"]}
assert set(lookups) == set(runs) - {"unpack"}, list(lookups)
for name, x in lookups.items():
    assert len(x["rounds"]) == 2 and x["lookups"] == 10000, x
    assert [w["first"] for w in x["single"]] == [100, 1000, 10000], x
    for w in x["single"]:
        assert all(0 < m <= p for m, p in zip(w["median_rounds"], w["p99_rounds"])), w
    if name in ("hugelite", "zst"):
        assert min(x["warmed_first_rounds"]) > 0 and len(x["early_reads"]) == 2, x

cold = {(x["system"], x["readers"]): x for x in r["cold_readers"]}
assert set(cold) == {(s, n) for s in ("hugelite", "zst") for n in (1, 2)}, list(cold)
for (name, n), x in cold.items():
    assert 0 < x["fastest_seconds"] <= x["seconds"], x
    if name == "hugelite":
        assert x["frames_decoded"] == 0 and x["source_bytes"] >= size, x
    else:
        assert packed["frames"] <= x["frames_decoded"] <= packed["frames"] + 8, (x, packed)
        assert x["source_bytes"] < size, x
PY
die "wrong report: $(cat "$tmpdir/out")"
expect "" "$(cat "$tmpdir/err")" "stderr"
expect "" "$(left)" "left behind"
! grep -q "$tmpdir" /proc/self/mounts || die "a mount is left"
! cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -q "$tmpdir" ||
    die "a loop device is left"

zst=$(ls "$tmpdir"/keep/*.zst)
stamp=$(stat -c '%i %y' "$zst")
bench --cases scan,count --systems hugelite,zst
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
got = {(x["case"], x["readers"], x["system"]): x for x in json.load(open(sys.argv[1]))["results"]}
assert set(got) == {(c, n, s) for c in ("scan", "count") for n in (1, 2)
                    for s in ("hugelite", "zst")}
assert all(x["ratio"] > 0 for x in got.values())
PY
expect "$stamp" "$(stat -c '%i %y' "$zst")" "the kept packed database"

# What is no packed database of this one is packed anew.
printf 'nothing' >"$zst"
bench --cases coldscan,pack --systems zst
python3 - "$tmpdir/out" "$(command -v zstd)" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
r = json.load(open(sys.argv[1]))
assert r["packed"]["frames"] > 1, r["packed"]
programs = {p["program"]: p for p in r["packing"]}
assert set(programs) == {"pack", "verify"} | ({"zstd", "zstd_test"} if sys.argv[2] else set())
for name, p in programs.items():
    assert len(p["rounds"]) == 2 and min(p["rounds"]) > 0, p
    assert ("ratio" in p) == (bool(sys.argv[2]) and not name.startswith("zstd")), p
PY

# With and without a heap on huge pages.
bench --cases analytic
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
got = {(x["case"], x["system"]): x for x in json.load(open(sys.argv[1]))["results"]}
assert set(got) == {(c, s) for c in ("sort", "group", "join")
                    for s in ("mmap", "hugelite", "noheap")}
PY

# A user's statement on a database that is packed for it.
if command -v sqlite3 >/dev/null; then
    make_db "$tmpdir/mine.db" 20000
    TMPDIR=$tmpdir expect_status 0 "$HUGELITE" bench --db "$tmpdir/mine.db" --pool "$pooldir" \
        --rounds 1 --seconds 0.01 --processes 1 --systems hugelite,zst --sql 'SELECT sum(k) FROM t'
    for text in 'your statement, cold' '  hugelite, compressed ' 'packed: ' 'c/(1/S+1/D+1/K)'; do
        grep -qF -- "$text" "$tmpdir/out" || die "the table lacks '$text': $(cat "$tmpdir/out")"
    done
    [ ! -e "$tmpdir/mine.db.zst" ] || die "the user's directory was written to"
fi
expect "" "$(left)" "left behind"
