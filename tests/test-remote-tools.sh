#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-remote-tools: every command that takes a SOURCE takes a URL; none of them, nor what they leave on disk,
# shows the password or the signature in it; what goes wrong at the origin is a sentence and status 1.

. ./functions.sh

export HUGELITE_STATE=$tmpdir/state
unset http_proxy https_proxy all_proxy ALL_PROXY no_proxy NO_PROXY HTTPS_PROXY
mkdir "$tmpdir/www"
make_db "$tmpdir/www/x.db" 50000
"$HUGELITE" pack "$tmpdir/www/x.db" "$tmpdir/www/x.db.zst" >"$tmpdir/out"
want=$(sqlite3 "$tmpdir/www/x.db" 'SELECT count(*), sum(k), max(v) FROM t')
start_origin "$tmpdir/www"
origin_order "fault authorized=no authorization='Basic c29tZW9uZTpzZXNhbWU=' status=401"

# Nothing that a command says has a secret in it.
discreet() {
    ! grep -aq -e sesame -e c29tZW9uZTpzZXNhbWU -e SIGNATURE "$@" || { cat "$@" >&2; die "a secret is out"; }
}

for name in x.db x.db.zst; do
    url="http://someone:sesame@127.0.0.1:$origin_port/$name?X-Amz-Signature=SIGNATURE"
    expect_status 0 "$HUGELITE" sql "$url" 'SELECT count(*), sum(k), max(v) FROM t'
    expect "$want" "$(cat "$tmpdir/out")" "rows of $name"
    discreet "$tmpdir/out" "$tmpdir/err"
    for command in verify warm evict; do
        [ $command$name != verifyx.db ] || continue     # has no checksums to compare
        expect_status 0 "$HUGELITE" $command "$url"
        discreet "$tmpdir/out" "$tmpdir/err"
    done
    expect_status 1 "$HUGELITE" sql "${url/sesame@/SIGNATURE@}" 'SELECT count(*) FROM sqlite_schema'
    grep -q 401 "$tmpdir/err" || { cat "$tmpdir/err" >&2; die "no word of the 401"; }
    discreet "$tmpdir/out" "$tmpdir/err"
    expect_status 1 "$HUGELITE" verify "${url/$name/none.db}"
    grep -q 404 "$tmpdir/err" || { cat "$tmpdir/err" >&2; die "no word of the 404"; }
    discreet "$tmpdir/out" "$tmpdir/err"
done

for options in '' --json; do
    expect_status 0 "$HUGELITE" stat $options
    grep -q "127.0.0.1:$origin_port/x.db.zst" "$tmpdir/out"
    discreet "$tmpdir/out" "$tmpdir/err"
done
expect_status 0 "$HUGELITE" ls
grep -q "127.0.0.1:$origin_port/x.db.zst" "$tmpdir/out"
discreet "$tmpdir/out" "$tmpdir/err"

# The files: the catalog, the tier, the pool's tables.
find "$HUGELITE_STATE" -type f | grep -q . || die "no state directory was made"
find "$HUGELITE_STATE" "$HUGELITE_POOL" >"$tmpdir/names"
discreet "$tmpdir/names"
while IFS= read -r file; do
    discreet "$file"
done < <(find "$HUGELITE_STATE" "$HUGELITE_POOL" -type f ! -name '*.image')

expect_status 0 "$HUGELITE" rm "$url"
expect_status 0 "$HUGELITE" ls
! grep -q "x.db.zst" "$tmpdir/out" || die "rm has not forgotten it"
