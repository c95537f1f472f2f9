#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The remote cases of `hugelite bench` on a small database: each has its rounds for each system, a first
# lookup counts at least one round trip and no more than requests, N cold readers bring each byte once, a
# link of a given rate brings no more than that, and neither server, state nor pool is left.
. ./functions.sh
requires python3
requires ps

bench() {
    expect_status 0 "$HUGELITE" bench --size 16M --dir "$tmpdir/keep" --pool "$pooldir" \
        --processes 1,2 --json "$@"
}
left() { ls "$tmpdir/keep" "${pooldir%/pool}" | grep hugelite-bench- | grep -v '\.db' || true; }

bench --cases remotelookup,remotescan,remotecold --latency 2 --rate 60M --rounds 2
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
r = json.load(open(sys.argv[1]))
assert {s["name"]: s["skipped"] for s in r["systems"]} == {
    "remote": False, "remotezst": False, "download": False}, r["systems"]
size, packed, remote = r["database"]["bytes"], r["packed"]["bytes"], r["remote"]
assert remote["latency_seconds"] == 0.002 and remote["rate_bytes_per_second"] == 60 << 20
assert len(remote["request_seconds"]) == 2 and min(remote["request_seconds"]) >= 0.002, remote

assert [x["system"] for x in remote["lookups"]] == ["remote", "remotezst"], remote["lookups"]
for x in remote["lookups"]:
    assert [f["known"] for f in x["first"]] == ["empty", "catalog", "tier"], x
    for f in x["first"]:
        assert len(f["rounds"]) == 2 and min(f["rounds"]) > 0 and f["latencies"] > 0, f
        for rounds, requests, seconds in zip(f["round_trips"], f["requests"], f["rounds"]):
            assert 1 <= rounds <= requests, f
            assert rounds * 0.002 <= seconds, f
    assert [w["lookups"] for w in x["later"]] == [100, 1000], x
    for w in x["later"]:
        assert min(w["median_rounds"]) > 0 and min(w["mean_rounds"]) > 0, w

scans = {x["system"]: x for x in remote["scans"]}
assert set(scans) == {"remote", "remotezst", "download"}, scans
for name, x in scans.items():
    assert x["encoded_bytes"] == (packed if name == "remotezst" else size), x
    # the link may make up for a moment that it was late
    assert min(x["rounds"]) * 1.03 + 0.06 > x["encoded_bytes"] / (60 << 20), x
    assert 0 < x["link_use"] <= 1.05, x
    if name != "download":
        assert min(x["requests"]) >= 1, x
assert scans["download"]["requests"] == [1, 1], scans["download"]

cold = {(x["system"], x["readers"]): x for x in r["cold_readers"]}
assert set(cold) == {(s, n) for s in ("remote", "remotezst") for n in (1, 2)}, list(cold)
for (name, n), x in cold.items():
    bytes_there = size if name == "remote" else packed
    assert bytes_there <= x["source_bytes"] < bytes_there * 1.1 + (1 << 20), (x, bytes_there)
PY
expect "" "$(cat "$tmpdir/err")" "stderr"
expect "" "$(left)" "left behind"
expect "" "$(ps -e -o args= | grep -F "$tmpdir/keep" | grep -v grep || true)" "processes"

bench --cases remotelist --systems remote --latency 2 --rate 0 --rounds 1
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
lists = json.load(open(sys.argv[1]))["remote"]["lists"]
assert [x["system"] for x in lists] == ["remote"], lists
for x in lists:
    assert len(x["without_rounds"]) == len(x["with_rounds"]) == 1 and x["ratio"] > 0, x
    assert min(x["warm_rate_rounds"]) > 1000, x
PY

# Warm, beside the plain file.
bench --cases lookup,scan --systems hugelite,remote,remotezst --seconds 0.01 --rounds 1
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import json, sys
r = json.load(open(sys.argv[1]))
got = {(x["case"], x["readers"], x["system"]): x["ratio"] for x in r["results"]}
assert set(got) == {(c, n, s) for c in ("lookup_autocommit", "scan") for n in (1, 2)
                    for s in ("hugelite", "remote", "remotezst")}, list(got)
assert min(got.values()) > 0 and "remote" not in r, got
PY
expect "" "$(left)" "left behind"

# A table for people, with what is to be reached.
expect_status 0 "$HUGELITE" bench --size 16M --dir "$tmpdir/keep" --pool "$pooldir" --rounds 1 \
    --cases remotescan --systems remote --rate 0
for text in 'cold scan' '  hugelite, http ' 'at most' 'no limit'; do
    grep -qF -- "$text" "$tmpdir/out" || die "the table lacks '$text': $(cat "$tmpdir/out")"
done
