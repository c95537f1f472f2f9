#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-stat: stat and evict do not make a pool and say when there is none; stat --json
# is the JSON promised, its figures those of what was read; evict takes one database, then all.

. ./functions.sh
requires python3

json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }

for command in "stat" "stat --json" "evict --all" "evict x.db"; do
    expect_status 1 "$HUGELITE" $command
    grep -qF "hugelite ${command%% *}: pool '$pooldir': not found" "$tmpdir/err" ||
        die "$command: $(cat "$tmpdir/err")"
    [ ! -s "$tmpdir/out" ] || die "$command: stdout without a pool"
    [ ! -e "$pooldir" ] || die "$command made a pool"
done

make_db "$tmpdir/a.db" 30000
make_db "$tmpdir/b.db" 100
a_bytes=$(stat -c %s "$tmpdir/a.db") b_bytes=$(stat -c %s "$tmpdir/b.db")
chunk=2097152
a_chunks=$(((a_bytes + chunk - 1) / chunk))

"$HUGELITE" warm "$tmpdir/a.db" >/dev/null
"$HUGELITE" warm "$tmpdir/b.db" >/dev/null
expect_status 0 "$HUGELITE" stat --json
expect 1 "$(wc -l <"$tmpdir/out")" "lines of JSON"
expect "['version', 'pool', 'volumes']" "$(json 'list(d)')"
pool_keys="'dir', 'pages', 'page_bytes', 'budget_bytes', 'resident_bytes', 'readers', 'heap_bytes'"
expect "[$pool_keys, 'state_dir', 'tier_bytes', 'tier_size', 'notice']" "$(json 'list(d["pool"])')"
volume_keys="'source', 'bytes', 'resident_bytes', 'fills', 'source_bytes', 'evictions', 'waits', 'errors'"
expect "[$volume_keys, 'frames_decoded', 'early_reads', 'requests', 'tier_bytes', 'unvalidated', 'share_bytes']" \
    "$(json 'list(d["volumes"][0])')"
expect 1 "$(json 'd["version"]')" version
expect "$pooldir" "$(json 'd["pool"]["dir"]')" pool.dir
expect 33554432 "$(json 'd["pool"]["budget_bytes"]')" pool.budget_bytes
expect 0 "$(json 'd["pool"]["readers"]')" pool.readers
expect $(((a_chunks + 1) * chunk)) "$(json 'd["pool"]["resident_bytes"]')" pool.resident_bytes
if test_on_hugepages; then pages="hugetlb 2097152"; else pages="shmem $(getconf PAGESIZE)"; fi
expect "$pages" "$(json '"%s %d" % (d["pool"]["pages"], d["pool"]["page_bytes"])')" pool.pages
expect "['$tmpdir/a.db', '$tmpdir/b.db']" "$(json 'sorted(v["source"] for v in d["volumes"])')"
a='[v for v in d["volumes"] if v["source"].endswith("a.db")][0]'
expect "$a_bytes $((a_chunks * chunk)) $a_chunks $a_bytes" \
    "$(json "'%d %d %d %d' % ($a['bytes'], $a['resident_bytes'], $a['fills'], $a['source_bytes'])")"
expect "0 0" "$(json "'%d %d' % ($a['evictions'], $a['errors'])")"
expect True "$(json "all(type(x) is int for v in d['volumes'] for k, x in v.items() if k != 'source')")"

# The table has the same figures and titles.
expect_status 0 "$HUGELITE" stat
for word in pool pages budget_bytes resident_bytes readers source bytes fills source_bytes \
    evictions waits errors "$a_bytes" "$b_bytes" "$tmpdir/a.db"; do
    grep -qw -- "$word" "$tmpdir/out" || die "the table lacks $word: $(cat "$tmpdir/out")"
done

# A reader counts as one, as long as it has the database open.
mkfifo "$tmpdir/in"
"$HUGELITE" sql "$tmpdir/a.db" <"$tmpdir/in" >"$tmpdir/reader" 2>&1 &
reader=$!
exec 7>"$tmpdir/in"
echo "SELECT count(*) FROM t;" >&7
await grep -qx 30000 "$tmpdir/reader"
expect_status 0 "$HUGELITE" stat --json
expect 1 "$(json 'd["pool"]["readers"]')" "pool.readers with a reader"
exec 7>&-
wait $reader || die "the reader failed"
expect_status 0 "$HUGELITE" stat --json
expect 0 "$(json 'd["pool"]["readers"]')" "pool.readers after it"

# One database goes, the other stays.
expect_status 0 "$HUGELITE" evict "$tmpdir/a.db"
grep -q "^evicted $((a_chunks * chunk)) bytes" "$tmpdir/out" || die "evict: $(cat "$tmpdir/out")"
expect_status 0 "$HUGELITE" stat --json
expect 2097152 "$(json 'd["pool"]["resident_bytes"]')" "resident after evict"
expect "$a_chunks" "$(json "$a['evictions']")" evictions
expect_status 0 "$HUGELITE" evict --all --pool "$pooldir"
expect_status 0 "$HUGELITE" stat --json
expect 0 "$(json 'd["pool"]["resident_bytes"]')" "resident after evict --all"
expect_status 1 "$HUGELITE" evict "$tmpdir/never.db"
grep -q "not in the cache" "$tmpdir/err" || die "evict: $(cat "$tmpdir/err")"

# --pool wins over HUGELITE_POOL, and what is no pool is refused.
expect_status 1 "$HUGELITE" stat --pool "$tmpdir/none"
grep -qF "pool '$tmpdir/none': not found" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
expect_status 1 "$HUGELITE" stat --pool "$tmpdir"
grep -qF "neither on hugetlbfs nor on tmpfs" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
