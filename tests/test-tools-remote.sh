#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-remote: sql, warm, stat, verify and evict take a URL, plain or compressed; stat counts
# its requests; a user, a password and a signature in it are repeated nowhere; verify finds a damaged frame and
# stops when the origin fails; a state directory that cannot be used is told of once, and done without.

. ./functions.sh
requires python3 sqlite3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }
says() { grep -qF -- "$1" "$tmpdir/out" || die "expected '$1' in: $(cat "$tmpdir/out")"; }
complains() { grep -qF -- "$1" "$tmpdir/err" || die "expected '$1' in: $(cat "$tmpdir/err")"; }
secret() { ! grep -qF -e hunter2 -e c0ffee "$tmpdir/out" "$tmpdir/err" || die "$*"; }

export HUGELITE_STATE=none
unset http_proxy all_proxy ALL_PROXY
www=$tmpdir/www
mkdir "$www"
make_db "$www/x.db" 40000
touch -d '1 hour ago' "$www/x.db"
"$HUGELITE" pack "$www/x.db" "$www/x.db.zst" >/dev/null
bytes=$(stat -c %s "$www/x.db")
start_origin "$www"

# With all that may be secret in a URL.
with_secrets() { echo "http://joe:hunter2@127.0.0.1:$origin_port/$1?sig=c0ffee&se=1"; }
for file in x.db x.db.zst; do
    url=$(with_secrets $file)
    shown="$origin_url/$file?..."
    expect_status 0 "$HUGELITE" sql "$url" 'SELECT count(*), sum(id) FROM t; PRAGMA hugelite_mode'
    says "40000|800020000"
    says "immutable, remote"
    expect_status 0 "$HUGELITE" evict "$url"
    secret evict
    expect_status 0 "$HUGELITE" warm "$url"
    says "$shown: $bytes bytes"
    says "request"
    secret warm
    expect_status 0 "$HUGELITE" warm "$url"
    says "$shown: $bytes bytes"
    says "were in the cache already"
    expect_status 0 "$HUGELITE" stat
    says "$shown"
    secret stat
    expect_status 0 "$HUGELITE" stat --json
    secret stat --json
    v="[v for v in d['volumes'] if v['source'] == '$shown'][0]"
    expect "$bytes True 0" "$(json "'%d %s %d' % ($v['bytes'], $v['requests'] > 0, $v['unvalidated'])")"
    expect '' "$(json 'd["pool"]["notice"]')"
    expect "['', 0, 0]" "$(json '[d["pool"][k] for k in ("state_dir", "tier_bytes", "tier_size")]')"
done
expect_status 0 "$HUGELITE" stat --json
expect "$(origin_order stat | sed -n 's/^requests *=* *//p')" "$(json 'sum(v["requests"] for v in d["volumes"])')" requests

# verify: all, damage, an origin that fails.
expect_status 0 "$HUGELITE" verify "$(with_secrets x.db.zst)"
says "$origin_url/x.db.zst?...: "
says "no damage"
expect_status 1 "$HUGELITE" verify "$(with_secrets x.db)"
complains "is not compressed"
secret verify

# Of this one, more than the open brings.
sqlite3 "$www/y.db" 'CREATE TABLE y AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    SELECT randomblob(1000) FROM n'
"$HUGELITE" pack "$www/y.db" "$www/y.db.zst" >/dev/null
origin_order 'fault path=/y.db.zst* skip=2 corrupt=1000' >/dev/null
expect_status 1 "$HUGELITE" verify "$(with_secrets y.db.zst)"
complains "frames are bad"
secret verify
origin_order clear >/dev/null
origin_order 'fault path=/y.db.zst* skip=2 status=403' >/dev/null
expect_status 1 "$HUGELITE" verify "$(with_secrets y.db.zst)"
expect 1 "$(wc -l <"$tmpdir/err")" "lines about an origin that fails: $(cat "$tmpdir/err")"
complains "$origin_url/y.db.zst?..."
secret verify
origin_order clear >/dev/null

# What is wrong is told once, by each, and without secrets.
for words in "sql URL BEGIN" "warm URL" "warm URL --table t" "verify URL"; do
    expect_status 1 "$HUGELITE" ${words/URL/$(with_secrets none.db)}
    complains "hugelite ${words%% *}: $origin_url/none.db?..."
    expect 1 "$(wc -l <"$tmpdir/err")" "lines of $words"
    secret "$words"
done
expect_status 1 "$HUGELITE" evict "$(with_secrets none.db)"
complains "'$origin_url/none.db?...': not in the cache"
expect_status 1 "$HUGELITE" sql "$(with_secrets x.db)" 'SELECT * FROM nothing'
secret "sql error"
expect_status 1 "$HUGELITE" warm "$(with_secrets x.db)" --table nothing
complains "'$origin_url/x.db?...': has no table or index 'nothing'"
secret "warm --table"
expect_status 1 "$HUGELITE" sql ftp://joe:hunter2@h/x 1
complains "https:// and s3:// only"
secret ftp

# A state directory that cannot be made.
touch "$tmpdir/file"
export HUGELITE_STATE=$tmpdir/file/state
for words in "sql URL BEGIN" "warm URL" "verify URL"; do
    expect_status 0 "$HUGELITE" ${words/URL/$origin_url/x.db.zst}
    expect 1 "$(grep -c "^hugelite ${words%% *}: note: " "$tmpdir/err")" "notices of $words: $(cat "$tmpdir/err")"
done
