#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The cases under pressure of `hugelite bench` on a small database: every system has its rounds with
# figures that can be, all within the limit that is told, and no memory cgroup is left, nor
# after Ctrl-C in the middle; where none can be made, the report says so and has the rest.
. ./functions.sh
requires python3 pgrep
options=(--size 128M --dir "$tmpdir/keep" --pool "$pooldir" --processes 1 --json)

expect_status 0 "$HUGELITE" bench "${options[@]}" --cases zipf,uniform,beside,cores --rounds 1 \
    --seconds 0.05
cp "$tmpdir/out" "$tmpdir/report"
python3 - "$tmpdir/report" <<'PY' || die "wrong report: $(cat "$tmpdir/report")"
import json, sys
r = json.load(open(sys.argv[1]))
size, p = r["database"]["bytes"], r["pressure"]
assert p["limit_beside_pool_bytes"] < p["limit_bytes"] <= size / 4, p
got = {(x["case"], x.get("system") or x["scan"]): x for x in p["results"]}
want = {("uniform", s) for s in ("stock", "mmap", "pread", "small")}
want |= {("beside", s) for s in ("nothing", "stock", "hugelite")}
want |= {("cores", s) for s in ("mmap", "hugelite")}
if p["note"] is None:
    want |= {("zipf", s) for s in ("mmap", "pread", "small", "random")}
assert set(got) == want, set(got) ^ want
for (case, name), x in got.items():
    if case in ("zipf", "uniform", "beside"):
        assert len(x["rounds"]) == 1 and min(x["rounds"]) > 0, x
        if name in ("small", "nothing", "hugelite"):
            # Not all of it fits, and what is asked for most does.
            assert all(0 <= reads < 3 for reads in x["reads_rounds"]), x
    if case in ("zipf", "uniform"):
        assert (x.get("ratio", 0) > 0) == (name != "small"), x
        assert ("evictions" in x) == (name == "small"), x
    if case == "beside":
        assert all(0 < m <= p99 for m, p99 in zip(x["median_rounds"], x["p99_rounds"])), x
        assert len(x["scanned_rows_rounds"]) == (0 if name == "nothing" else 1), x
    if case == "cores":
        assert x["ratio"] > 0 and min(x["one_rounds"] + x["all_rounds"]) > 0, x
PY

# A crowd, and as a table.
expect_status 0 "$HUGELITE" bench --size 8M --pool "$pooldir" --cases readers,uniform --rounds 1 \
    --systems stock,hugelite,pread --seconds 0.02 --processes 1
grep -qF 'uniform, in the page cache, 1 reader' "$tmpdir/out" || die "no table: $(cat "$tmpdir/out")"
python3 - "$tmpdir/report" || exit 0 <<'PY'
import json, sys
sys.exit(json.load(open(sys.argv[1]))["pressure"]["note"] is not None)
PY
# A process takes more than a stack and less than a copy of the database.
python3 - "$tmpdir/out" <<'PY' || die "wrong report: $(cat "$tmpdir/out")"
import re, sys
lines = open(sys.argv[1]).read().split("memory of 200 processes")[1].splitlines()[1:3]
for line, name in zip(lines, ("stock", "hugelite")):
    each = re.match(r"  %s +[\d.]+ MiB +([\d.]+) KiB" % name, line)
    assert each and 64 < float(each[1]) < 4096, line
assert float(re.search(r"([\d.]+)x$", lines[1])[1]) > 1, lines
PY

# Ctrl-C while a process is in the group.
"$(command -v python3)" -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$HUGELITE" bench "${options[@]}" --cases zipf --rounds 1 \
    --seconds 600 >"$tmpdir/out" 2>"$tmpdir/err" &
pid=$!
in_group() {
    local child
    for child in $(pgrep -P "$pid"); do
        group=$(grep -o 'hugelite-bench-[^/]*' "/proc/$child/cgroup" 2>/dev/null) && return 0
    done
    kill -0 "$pid" || die "it ended: $(cat "$tmpdir/err")"
    return 1
}
await in_group
kill -INT "$pid"
status=0
wait "$pid" || status=$?
expect 130 "$status" "exit status after Ctrl-C ($(cat "$tmpdir/err"))"
for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ ! -e "$dir/$group" ] || die "$dir/$group is left"
done
expect "" "$(ls "${pooldir%/pool}")" "on the pool's mount after Ctrl-C"
