#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-remote-names: URLs as people write them: IPv6 addresses, names with escapes, spaces, queries and fragments,
# capitals in the scheme and the host; and names that are none, each refused with a sentence, at once.

. ./functions.sh

export HUGELITE_STATE=$tmpdir/state
unset http_proxy https_proxy all_proxy ALL_PROXY no_proxy NO_PROXY HTTPS_PROXY
mkdir -p "$tmpdir/www/a b"
make_db "$tmpdir/www/x.db" 2000
cp "$tmpdir/www/x.db" "$tmpdir/www/a b/50%.db"

reads() {
    expect_status 0 "$HUGELITE" sql "$1" 'SELECT count(*) FROM t'
    expect 2000 "$(cat "$tmpdir/out")" "rows of $1"
}

start_origin "$tmpdir/www"
url=http://127.0.0.1:$origin_port
reads "$url/x.db"
reads "$url/a%20b/50%25.db"
reads "$url//x.db"
reads "$url/x.db?version=3&name=a%20b"
origin_order log | grep -q 'GET /x.db?version=3&name=a%20b ' || die "the query did not arrive"
reads "http://localhost:$origin_port/x.db"
reads "$url/./a%20b/../x.db"
reads "$url/x.db#fragment"
! origin_order log | grep -q fragment || die "the fragment was sent"
# Not one request for a name that has been there before, but for its validation.
origin_order forget
reads "$url/x.db"
expect 1 "$(origin_order stat | sed -n 's/^requests //p')" "requests of a known volume"

if [ -e /proc/net/if_inet6 ] && grep -q '^0\{31\}1 ' /proc/net/if_inet6; then
    start_origin "$tmpdir/www" --host ::1
    reads "http://[::1]:$origin_port/x.db"
fi

long=$(head -c 20000 /dev/zero | tr '\0' a)
for name in http:// https:// http:///x.db "http://127.0.0.1:99999/x.db" "http://127.0.0.1:port/x.db" \
    "http://[::1/x.db" "http://a b/x.db" "http://127.0.0.1:1/$long" "ftp://127.0.0.1/x.db" s3:// s3://bucket \
    s3:///key "http://127.0.0.1:1/"$'\x01\xff'; do
    expect_status 1 timeout -s KILL $hang_s "$HUGELITE" sql "$name" 'SELECT 1 FROM sqlite_schema'
    [ -s "$tmpdir/err" ] || die "no word about ${name:0:60}"
    head -c 200 "$tmpdir/err" | head -n 1 >&2
done
