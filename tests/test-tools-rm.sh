#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-rm: rm makes catalog, disk tier and pool forget a source, by the name that it is opened by and
# by the one that ls shows, one of many or all; the next open asks for everything; what is not known, or
# is a file, is an error that leaves the others alone; readers go on.

. ./functions.sh
requires python3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }
known() {
    "$HUGELITE" ls --json >"$tmpdir/out"
    json '[s["source"].rsplit("/", 1)[1] for s in d["sources"]]'
}
resident() {
    "$HUGELITE" stat --json >"$tmpdir/out"
    json "sum(v['resident_bytes'] for v in d['volumes'] if '$1' in v['source'])"
}
requests() { origin_order log | wc -l; }

export HUGELITE_STATE=$tmpdir/state HUGELITE_TIER_SIZE=64M
unset http_proxy all_proxy ALL_PROXY
www=$tmpdir/www
mkdir "$www"
make_db "$www/a.db" 20000
for name in b c d; do cp "$www/a.db" "$www/$name.db"; done
touch -d '1 hour ago' "$www"/*.db
start_origin "$www"
signed="$origin_url/d.db?sig=c0ffee&se=1&part=2"
read_all() { "$HUGELITE" sql "$1" 'SELECT count(v) FROM t' >/dev/null; }

for name in a b c; do read_all "$origin_url/$name.db"; done
read_all "$signed"
expect "['a.db', 'b.db', 'c.db', 'd.db?...']" "$(known)"
[ "$(resident /a.db)" -gt 0 ] || die "a.db is not in the pool"

expect_status 0 "$HUGELITE" rm "$origin_url/a.db"
grep -q "^forgot $origin_url/a.db: [1-9][0-9]* bytes .*of the disk tier, [1-9][0-9]* bytes .*of the cache$" \
    "$tmpdir/out" || die "rm: $(cat "$tmpdir/out")"
expect "['b.db', 'c.db', 'd.db?...']" "$(known)"
expect 0 "$(resident /a.db)" "resident after rm"
[ "$(resident /b.db)" -gt 0 ] || die "b.db has gone, too"

# Known: one request.  Forgotten: two, and its bytes once more.
origin_order forget >/dev/null
read_all "$origin_url/b.db"
expect 1 "$(requests)" "requests for a known one"
origin_order forget >/dev/null
read_all "$origin_url/a.db"
[ "$(requests)" -gt 2 ] || die "a.db was not forgotten: $(origin_order log)"

# By the name that is shown; with other credentials; not known; a file.
expect_status 0 "$HUGELITE" rm "$origin_url/d.db?..."
expect "['a.db', 'b.db', 'c.db']" "$(known)"
read_all "$signed"
expect_status 0 "$HUGELITE" rm "$origin_url/d.db?part=2&sig=other&se=9"
expect "['a.db', 'b.db', 'c.db']" "$(known)"
expect_status 1 "$HUGELITE" rm "$signed"
grep -qF "hugelite rm: '$origin_url/d.db?...': not known" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
expect_status 1 "$HUGELITE" rm "$www/a.db"
grep -qF "is a file of this machine" "$tmpdir/err" || die "$(cat "$tmpdir/err")"
[ -e "$www/a.db" ] || die "rm removed a file"
expect_status 1 "$HUGELITE" rm "$origin_url/none.db" "$origin_url/c.db"
expect "['a.db', 'b.db']" "$(known)"

# A reader that has it open goes on.
mkfifo "$tmpdir/in"
"$HUGELITE" sql "$origin_url/b.db" <"$tmpdir/in" >"$tmpdir/reader" 2>&1 &
reader=$!
exec 7>"$tmpdir/in"
echo "SELECT count(v) FROM t;" >&7
await grep -q 20000 "$tmpdir/reader"
expect_status 0 "$HUGELITE" rm --all
echo "SELECT sum(id) FROM t;" >&7
exec 7>&-
wait $reader || die "the reader: $(cat "$tmpdir/reader")"
expect 200010000 "$(tail -n 1 "$tmpdir/reader")"

expect_status 0 "$HUGELITE" rm --all
expect "[]" "$(known)"
expect 0 "$(resident .db)" "resident after rm --all"
