#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# rgw.sh - a cold scan of s3://bucket/key beside what curl gets out of the same store with parallel range GETs
# of 8 MiB, round by round.  The store is a Ceph RADOS Gateway on the loopback interface, started and
# ended here (../tests/start-rgw).
#
# Run it from a build tree (bench/../tools/hugelite) or with HUGELITE naming the program.  The database is
# that of `hugelite bench`.  curl runs in several ways, and the fastest of a round counts: 2, 4, 6
# and 8 processes with a connection each, and one process with as many connections.
#
# Store and client share this machine's processors.  "limit": the fastest curl, and then what a scan of
# the same file on disk takes of the processors' time, by all of them; what is left when curl alone
# keeps them busy, which "idle" tells.

set -eu

usage()
{
    cat <<'USAGE'
usage: bench/rgw.sh [--size SIZE] [--rounds N] [--dir DIR]
  --size SIZE   of the database (512M)
  --rounds N    over all of them (5)
  --dir DIR     keep the database in DIR and use it again
USAGE
}

die() { printf 'rgw.sh: %s\n' "$*" >&2; exit 1; }

size=512M rounds=5 dir=
while [ $# -gt 0 ]; do
    case $1 in
    --size | --rounds | --dir)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        printf -v "${1#--}" %s "$2"
        shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
case $rounds in '' | *[!0-9]* | 0) usage >&2; exit 2 ;; esac

here=$(cd -- "$(dirname -- "$0")" && pwd)
hugelite=${HUGELITE:-$PWD/tools/hugelite}
[ -x "$hugelite" ] || die "$hugelite: not there; run this from a build tree, or set HUGELITE"
for tool in curl python3 "$here/../tests/start-rgw"; do
    command -v "$tool" >/dev/null || die "needs $tool"
done

work=$(mktemp -d "${TMPDIR:-/var/tmp}/hugelite-rgw-XXXXXX")
work=$(cd -- "$work" && pwd)
pool=
leave()
{
    local status=$?

    trap - EXIT
    trap '' INT TERM HUP
    [ ! -d "$work/rgw" ] || "$here/../tests/stop-rgw" --purge "$work/rgw" >/dev/null 2>&1 || :
    rm -rf -- "$work" ${pool:+"$pool"}
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- the database, in the store ----

mkdir -p "${dir:=$work/db}"
export HUGELITE_STATE=none
"$hugelite" bench --size "$size" --dir "$dir" --cases count --systems stock --processes 1 \
    --rounds 1 --seconds 0.01 >/dev/null
bytes=$(python3 - "$size" <<'PY'
import sys
t = sys.argv[1]
print(int(t.rstrip("KMGT")) << {"K": 10, "M": 20, "G": 30, "T": 40}.get(t[-1], 0))
PY
)
db=$dir/hugelite-bench-$bytes.db
[ -f "$db.zst" ] || "$hugelite" pack --level 3 "$db" "$db.zst" >/dev/null 2>&1
env=$("$here/../tests/start-rgw" "$work/rgw" 0 2>"$work/start") || die "$(tail -3 "$work/start")"
eval "$env"

s3() # CURL-ARGUMENT...
{
    curl -sS --fail --aws-sigv4 "aws:amz:$AWS_REGION:s3" \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"
}
s3 -X PUT "$AWS_ENDPOINT_URL/bench" >/dev/null
for key in db db.zst; do
    s3 -T "${db%.db}.$key" "$AWS_ENDPOINT_URL/bench/x.$key" >/dev/null
done

# ---- the peer ----

# ranges KEY PARTS PART: a curl configuration that fetches each PARTSth 8 MiB from PART on
ranges()
{
    local end first total
    total=$(stat -c %s "${db%.db}.${1#x.}")
    for ((first = $3 << 23; first < total; first += $2 << 23)); do
        end=$((first + (8 << 20) - 1))
        [ "$end" -lt "$total" ] || end=$((total - 1))
        printf 'url = "%s/bench/%s"\nrange = "%d-%d"\noutput = "/dev/null"\n' \
            "$AWS_ENDPOINT_URL" "$1" "$first" "$end"
        printf 'user = "%s:%s"\naws-sigv4 = "aws:amz:%s:s3"\n' "$AWS_ACCESS_KEY_ID" \
            "$AWS_SECRET_ACCESS_KEY" "$AWS_REGION"
        printf 'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\nsilent\nshow-error\nfail\nnext\n'
    done | sed '$d'
}

curl_processes() # KEY N
{
    local i pids=()
    for ((i = 0; i < $2; i++)); do
        curl -K "$work/$1.$2.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
}
curl_parallel() { curl --parallel --parallel-immediate --parallel-max "$2" -K "$work/$1.1.0"; }

for key in x.db x.db.zst; do
    for n in 1 2 4 6 8; do
        for ((i = 0; i < n; i++)); do
            ranges $key $n $i >"$work/$key.$n.$i"
        done
    done
done

# ---- hugelite ----

place=${HUGELITE_POOL:+$(dirname -- "$HUGELITE_POOL")}
place=${place:-$(awk '$3 == "hugetlbfs" { print $2; exit }' /proc/self/mounts)}
[ -n "$place" ] && [ -w "$place" ] || place=/dev/shm
pool=$(mktemp -d "$place/hugelite-rgw-XXXXXX")
export HUGELITE_POOL=$pool/pool HUGELITE_STATE=$work/state
export HUGELITE_POOL_SIZE=$((bytes / 1048576 + 64))M

# A pool with nothing of it, and no state.
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("CREATE TABLE t(a)")' \
    "$work/other.db"
cold()
{
    rm -rf "$HUGELITE_POOL" "$HUGELITE_STATE"
    "$hugelite" sql "$work/other.db" 'SELECT 1' >/dev/null
}
scan() { "$hugelite" sql "$1" "$2" >"$work/answer"; }

# ---- the rounds ----

# Ticks of all processors, and those in which they had nothing to do.
ticks() { awk '/^cpu / { print $2 + $3 + $4 + $5 + $6 + $7 + $8, $5 + $6 }' /proc/stat; }

timed() # WHAT COMMAND...: a line of figures: seconds, processor time, share of idleness
{
    local after before what=$1 TIMEFORMAT='%R %U %S'
    shift
    before=$(ticks)
    { time "$@" 2>"$work/err"; } 2>"$work/time" || die "$*: $(cat "$work/err")"
    after=$(ticks)
    echo "$round $what $(cat "$work/time") $before $after" >>"$work/figures"
}

: >"$work/figures"
for ((round = 1; round <= rounds; round++)); do
    for key in x.db x.db.zst; do
        for n in 2 4 6 8; do
            for way in processes parallel; do
                timed "$key curl-$way-$n" curl_$way $key $n
            done
        done
        for statement in 'count(*)' 'sum(length(v))'; do
            cold
            timed "$key $statement" scan "s3://bench/$key" "SELECT $statement FROM kv"
            cold
            timed "$key local-$statement" scan "${db%.db}.${key#x.}" "SELECT $statement FROM kv"
        done
    done
done

python3 - "$work/figures" "$(stat -c %s "$db")" "$(stat -c %s "$db.zst")" <<'PY'
import collections, os, statistics, sys
bytes_of = {"x.db": int(sys.argv[2]), "x.db.zst": int(sys.argv[3])}
rounds = collections.defaultdict(dict)
for line in open(sys.argv[1]):
    number, key, what, *rest = line.split()
    real, user, system, all0, idle0, all1, idle1 = map(float, rest)
    idle = (idle1 - idle0) / max(all1 - all0, 1)
    rounds[key, number][what] = real, user + system, idle
form = "%-10s %-22s %9s %8s %8s %9s %6s"
print(form % ("object", "", "median", "MB/s", "of curl", "of limit", "idle"))
for key, size in bytes_of.items():
    mine = [r for (k, _), r in rounds.items() if k == key]
    curls = [min((r[w], w) for w in r if w.startswith("curl")) for r in mine]
    fastest = [c[0][0] for c in curls]
    name = "fastest curl (%s)" % collections.Counter(c[1] for c in curls).most_common(1)[0][0][5:]
    median = statistics.median(fastest)
    idle = "%.0f %%" % (100 * statistics.median(c[0][2] for c in curls))
    print(form % (key, name, "%.3f s" % median, "%.0f" % (size / median / 1e6), "", "", idle))
    for what in "count(*)", "sum(length(v))":
        median = statistics.median(r[what][0] for r in mine)
        limits = [f + r["local-" + what][1] / os.cpu_count() for f, r in zip(fastest, mine)]
        print(form % (key, what, "%.3f s" % median, "%.0f" % (size / median / 1e6),
                      "%.2f" % statistics.median(f / r[what][0] for f, r in zip(fastest, mine)),
                      "%.2f" % statistics.median(l / r[what][0] for l, r in zip(limits, mine)),
                      "%.0f %%" % (100 * statistics.median(r[what][2] for r in mine))))
print("To be reached: 0.90 of curl.")
PY
