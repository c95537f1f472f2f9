#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-origin-servers: origin.py with TLS, nginx (plain, with a password, HTTP/2 with TLS) and the
# S3 store start on free ports, serve, and are gone when the shell that started them is killed.

. ./functions.sh

requires setpriv openssl

mkdir "$tmpdir/www"
head -c 100000 /dev/urandom >"$tmpdir/www/x.db"
certificates "$tmpdir/ca"

# fetch URL [USER:PASSWORD]: the object, by Python, to stdout.
fetch() {
    "$PYTHON" - "$@" <<PY
import base64, ssl, sys, urllib.request
request = urllib.request.Request(sys.argv[1])
if len(sys.argv) > 2:
    request.add_header("Authorization", "Basic " + base64.b64encode(sys.argv[2].encode()).decode())
context = ssl.create_default_context(cafile="$tmpdir/ca/ca.pem")
sys.stdout.buffer.write(urllib.request.urlopen(request, context=context, timeout=60).read())
PY
}

start_origin "$tmpdir/www" --tls "$tmpdir/ca/server.pem" "$tmpdir/ca/server.key"
fetch "$origin_url/x.db" | cmp - "$tmpdir/www/x.db"
origin_order stat | grep -qx 'requests 1'

if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]; then
    start_nginx "$tmpdir/www"
    fetch "$nginx_url/x.db" | cmp - "$tmpdir/www/x.db"
    start_nginx "$tmpdir/www" --tls "$tmpdir/ca" --auth someone:secret
    fetch "$nginx_url/x.db" someone:secret | cmp - "$tmpdir/www/x.db"
    ! fetch "$nginx_url/x.db" 2>"$tmpdir/err" || die "no password was needed"
    grep -q '401' "$tmpdir/err"
    expect 2 "$(wc -l <"$nginx_log")" "requests in nginx's log"
fi

if command -v radosgw >/dev/null; then
    (
        start_rgw
        s3 bucket bucket
        s3 version bucket
        s3 put bucket 'a b/x+y.db' "$tmpdir/www/x.db"
        fetch "$(s3 presign bucket 'a b/x+y.db' 60)" | cmp - "$tmpdir/www/x.db"
        cat "$tmpdir"/rgw/pid/* >"$tmpdir/pids"
        kill -KILL $BASHPID
    ) || :
    [ -s "$tmpdir/pids" ] || die "the store has not started"
    for pid in $(cat "$tmpdir/pids"); do
        gone() { ! grep -zqsFx -- "$tmpdir/rgw/ceph.conf" "/proc/$pid/cmdline"; }
        await gone
    done
fi
