#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-origin-faults: origin.py serves what a good origin does, misbehaves as it is told and no
# longer than that, counts it all, and keeps to its link's rate.

. ./functions.sh

mkdir "$tmpdir/www"
head -c 3000000 /dev/urandom >"$tmpdir/www/x.db"
start_origin "$tmpdir/www"
export origin_port origin_control

"$PYTHON" - "$tmpdir/www/x.db" <<'PY'
import http.client, os, socket, sys, time

data = open(sys.argv[1], "rb").read()
port, control = int(os.environ["origin_port"]), int(os.environ["origin_control"])


def order(text):
    with socket.create_connection(("127.0.0.1", control)) as s, s.makefile("rw") as f:
        f.write(text + "\n")
        f.flush()
        answer = f.read()
    assert answer.endswith(".\n") and not answer.startswith("error"), answer
    return answer


def ask(headers={}, method="GET", path="/x.db", connection=None, timeout=5):
    c = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    c.request(method, path, headers=headers)
    r = c.getresponse()
    return r, r.read()


def what(fault, headers={"Range": "bytes=0-99"}, timeout=5):
    """The status and body, or the name of what went wrong; and the next answer is good again."""
    order("fault count=1 " + fault)
    try:
        r, body = ask(headers, timeout=timeout)
        result = r.status, body, r.headers
    except Exception as error:
        result = type(error).__name__, b"", {}
    r, body = ask({"Range": "bytes=7-9"})
    assert (r.status, body) == (206, data[7:10]), fault
    return result


# As it should be: one connection for all of them.
c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
r, body = ask(connection=c)
assert r.status == 200 and body == data
etag, modified = r.headers["ETag"], r.headers["Last-Modified"]
assert etag[0] == '"'
for text, first, last in (("0-0", 0, 0), ("5-104", 5, 104), ("-10", len(data) - 10, len(data) - 1),
                          ("2999990-5000000", 2999990, len(data) - 1), ("-9999999", 0, len(data) - 1)):
    r, body = ask({"Range": "bytes=" + text, "If-Match": etag}, connection=c)
    assert r.status == 206 and body == data[first:last + 1], text
    assert r.headers["Content-Range"] == "bytes %d-%d/%d" % (first, last, len(data))
r, body = ask({"Range": "bytes=3000000-"}, connection=c)
assert r.status == 416 and r.headers["Content-Range"] == "bytes */3000000"
assert ask({"If-Match": '"other"'}, connection=c)[0].status == 412
assert ask({"If-None-Match": etag}, connection=c)[0].status == 304
assert ask({"If-Unmodified-Since": modified}, connection=c)[0].status == 200
assert ask({"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, connection=c)[0].status == 412
r, body = ask(method="HEAD", connection=c)
assert r.headers["Content-Length"] == "3000000" and body == b""
assert ask(path="/none", connection=c)[0].status == 404
assert ask(path="/../x.db", connection=c)[0].status == 404
assert "connections 1\n" in order("stat"), order("stat")

# Badly.
assert what("reset=-1")[0] == "ConnectionResetError"
assert what("reset=10", timeout=1)[0] == "ConnectionResetError"
assert what("truncate=10")[0] == "IncompleteRead"
assert what("hang=yes", timeout=0.2)[0] == "TimeoutError" or sys.version_info < (3, 10)
assert what("stall=10", timeout=0.2)[0] == "TimeoutError" or sys.version_info < (3, 10)
assert len(what("extra=10")[1]) == 110
assert what("overrun=10")[1] == data[:100]
assert what("corrupt=3")[1] == data[:3] + bytes([data[3] ^ 255]) + data[4:100]
assert what("content_range=shift")[2]["Content-Range"] == "bytes 1-100/3000000"
assert what("content_range=total")[2]["Content-Range"] == "bytes 0-99/3004096"
assert what("content_range='bytes x'")[2]["Content-Range"] == "bytes x"
assert what("content_range=none")[2]["Content-Range"] is None
assert what("ignore_range=yes")[:2] == (200, data)
status, body, headers = what("status=503 retry_after=7")
assert status == 503 and b"<html>" in body and headers["Retry-After"] == "7"
status, body, headers = what("status=200")
assert status == 200 and b"<html>" in body and headers["Content-Type"] == "text/html"
assert what("redirect=http://127.0.0.2/y")[2]["Location"] == "http://127.0.0.2/y"
assert what("gzip=yes")[2]["Content-Encoding"] == "gzip"
assert what("etag=none")[2]["ETag"] is None
assert what("etag=weak")[2]["ETag"] == "W/" + etag
assert what("length=chunked")[:2] == (206, data[:100])
assert what("length=none")[:2] == (206, data[:100])
assert what("raw='HTTP/1.1 200 OK\\r\\n\\r\\nhello'")[:2] == (200, b"hello")
began = time.monotonic()
assert what("drip=500")[1] == data[:100] and 0.18 < time.monotonic() - began < 20
began = time.monotonic()
assert what("delay_ms=200")[1] == data[:100] and 0.2 <= time.monotonic() - began < 20

# Only those whom it concerns, and as often as was said.
order("fault path=/y* method=HEAD status=500")
order("fault ranged=no skip=1 status=502")
assert [ask()[0].status for _ in range(3)] == [200, 502, 502]
assert ask({"Range": "bytes=0-1"})[0].status == 206
order("clear")
order("fault probability=0.3 status=500")
bad = sum(ask({"Range": "bytes=0-1"})[0].status == 500 for _ in range(100))
assert 15 < bad < 45, bad
order("clear")
order("fault authorized=no authorization='Basic abc' status=401")
assert ask()[0].status == 401 and ask({"Authorization": "Basic abc"})[0].status == 200
order("clear")

# Another version, a port that is closed and opened again, a slow link.
order("replace /x.db")
assert ask({"If-Match": etag})[0].status == 412
order("down")
try:
    ask()
    raise AssertionError("not down")
except ConnectionRefusedError:
    pass
order("up")
order("rate=10000000")
began = time.monotonic()
assert ask()[1] == data
seconds = time.monotonic() - began
assert 0.27 < seconds < 20, seconds
order("rate=0")
order("forget")
ask({"Range": "bytes=3-5", "Authorization": "Basic secret"}, path="/x.db?sig=1")
log = order("log")
assert "GET /x.db?sig=1 range=bytes=3-5 " in log and "authorization=Basic " in log, log
assert "secret" not in log and " status=206 bytes=3\n" in log
assert order("stat").startswith("requests 1\nbytes 3\nin_flight 0\nmost_in_flight 1\n"), order("stat")
PY
