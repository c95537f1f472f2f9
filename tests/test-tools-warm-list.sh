#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-warm-list: warm --list loads the chunks that readers have needed, and no others, and stops at --bytes;
# --rate holds a remote and a local database to so many bytes a second, and a signal ends it soon; without
# a list, for a file, and without a state directory, --list is an error.

. ./functions.sh
requires python3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }
resident() {
    "$HUGELITE" stat --json >"$tmpdir/out"
    json "max([v['resident_bytes'] for v in d['volumes'] if v['source'].endswith('/$1')] + [0]) // 2097152"
}
complains() { grep -qF -- "$1" "$tmpdir/err" || die "expected '$1' in: $(cat "$tmpdir/err")"; }

export HUGELITE_STATE=$tmpdir/state HUGELITE_TIER_SIZE=0
unset http_proxy all_proxy ALL_PROXY
www=$tmpdir/www
mkdir "$www"
make_db "$www/x.db" 100000
touch -d '1 hour ago' "$www"/*.db
start_origin "$www"
url=$origin_url/x.db

expect_status 1 "$HUGELITE" warm "$url" --list
complains "'$url': no list has been recorded yet"
expect_status 1 "$HUGELITE" warm "$www/x.db" --list
complains "is a file of this machine"
HUGELITE_STATE=none expect_status 1 "$HUGELITE" warm "$url" --list
complains "no list has been recorded"

# Readers look at the end and in the middle.
rm -rf "$pooldir"
"$HUGELITE" sql "$url" 'SELECT max(length(v)) FROM t WHERE id > 90000' >/dev/null
"$HUGELITE" sql "$url" 'SELECT max(length(v)) FROM t WHERE id BETWEEN 40000 AND 45000' >/dev/null
"$HUGELITE" ls --json >"$tmpdir/out"
chunks=$(json 'd["sources"][0]["warm_chunks"]')
[ "$chunks" -gt 1 ] && [ "$chunks" -lt 8 ] || die "a list of $chunks chunks"
rm -rf "$pooldir"
expect_status 0 "$HUGELITE" warm "$url" --list
grep -q "^$url: [0-9]* bytes" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
expect "$chunks" "$(resident x.db)" "chunks of the list"
"$HUGELITE" evict --all >/dev/null
expect_status 0 "$HUGELITE" warm "$url" --list --bytes 1M
grep -qE "^$url: ([0-9]+) bytes" "$tmpdir/out"
[ "$(sed -E 's/^[^ ]* ([0-9]+) bytes.*/\1/' "$tmpdir/out")" -le 2097152 ] || die "--bytes 1M: $(cat "$tmpdir/out")"

# 10 MiB at 8 MiB a second, which takes nearly a second at least.
for source in "$url" "$www/x.db"; do
    "$HUGELITE" evict --all >/dev/null
    began=$(date +%s%N)
    expect_status 0 "$HUGELITE" warm "$source" --rate 8M --bytes 10M
    took=$((($(date +%s%N) - began) / 1000000))
    [ "$took" -ge 800 ] || die "--rate 8M: 10 MiB of $source in $took ms"
    grep -q ": 10485760 bytes" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
done

# It waits: for its turn when there is something, or at the origin.
is_warming() {
    if [ -n "$limit" ]; then [ "$(resident x.db)" -gt 0 ]
    else [ "$(origin_order stat | sed -n 's/^in_flight //p')" -gt 0 ]; fi
}
# It waits neither for its turn nor for an origin that hangs when it is told to stop.
for limit in "--rate 100K" ""; do
    "$HUGELITE" evict --all >/dev/null
    [ -n "$limit" ] || origin_order fault skip=1 hang=yes >/dev/null
    "$HUGELITE" warm "$url" $limit >"$tmpdir/out" 2>"$tmpdir/err" &
    warm=$!
    await is_warming
    # A job in the background of a script ignores SIGINT.
    kill -TERM $warm
    status=0
    wait $warm || status=$?
    expect 1 $status "exit status"
    complains "interrupted: "     # neither done, which takes it minutes, nor timed out
done
