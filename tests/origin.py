# SPDX-License-Identifier: MIT
"""origin.py - an HTTP/1.1 origin for tests: serves a directory, counts, and misbehaves as it is told.

usage: origin.py [--host ADDRESS] [--tls CERT KEY] DIR

Prints "PORT CONTROL" and serves the files of DIR on PORT until its parent is gone: GET and HEAD,
ranges, If-Match, If-None-Match, If-Unmodified-Since, If-Range, strong ETags made of size, mtime and content,
kept-alive connections.  CONTROL is a port that takes one line with an order, and answers with lines:

  stat                 requests, bytes (of bodies, sent), in_flight, most_in_flight, connections
  log                  a line for each request: METHOD PATH key=value...
  forget               counters and log from zero
  latency_ms=N         before each answer; 0 = none
  rate=N               bytes per second over all connections; 0 = no limit
  replace PATH         another ETag from now on, as if the object had been replaced
  down, up             close the port and all connections; listen again
  drop                 reset all connections
  fault KEY=VALUE...   misbehave; all faults that meet a request apply to it, later ones first
  clear                no faults, latency, rate any more
  clear PATTERN        no faults for just this path=PATTERN any more

A fault meets requests of which all of these hold:
  path=PATTERN (as in a shell, default *)  method=GET  skip=N (not the first N)  count=N (so many)
  probability=P (drawn from a sequence that is the same each time; seed=N: another)
  ranged=yes|no (with a Range or without)  range=PATTERN (what it says)
  authorized=no (without, or with another than, authorization=TEXT)
and does to them:
  delay_ms=N           before the headers             drip=N            bytes per second of the body
  hold=yes             none until the fault is cleared
  beside=N             none until so many are in flight
  hang=yes             no answer at all               stall=N           none any more after N bytes of the body
  reset=N              RST after N bytes of the body; -1 = before the headers
  truncate=N           close after N bytes of it      extra=N           N bytes more, in Content-Length too
  overrun=N            N bytes more than Content-Length says            corrupt=N  byte N of the body is another
  content_range=WHAT   shift, total, star, none, or what to send        ignore_range=yes   200 and the whole
  status=N             and a page that says so, no object; 200 too      retry_after=TEXT   a header
  redirect=URL         302 or status                                    gzip=yes   Content-Encoding, and so it is
  etag=WHAT            none, weak, or what to send    last_modified=none    no such header
  length=WHAT          none (ends with the connection), chunked, or what Content-Length says
  header=LINE          one line more                  garbage=yes       bytes in the headers that are none
  close=yes            the connection after this one  raw=TEXT          the answer, \\r\\n and all, then close
"""
import argparse
import ctypes
import email.utils
import fnmatch
import gzip
import hashlib
import itertools
import os
import random
import select
import shlex
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

PIECE = 1 << 20
SLOW_PIECE = 16 << 10
libc = ctypes.CDLL(None, use_errno=True)


class Gone(Exception):
    """The connection is at its end."""


class Object:
    """One version of a file, open."""

    sums = {}
    salts = {}

    def __init__(self, root, path):
        name = urllib.parse.unquote(path)
        if ".." in name.split("/"):
            raise FileNotFoundError(path)
        self.fd = os.open(root + "/" + name.lstrip("/"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.fstat(self.fd)
            if not os.path.isfile("/proc/self/fd/%d" % self.fd):
                raise FileNotFoundError(path)
            self.size = stat.st_size
            key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if key not in self.sums:
                self.sums[key] = self.sum()
            self.etag = '"%x-%x-%s%s"' % (stat.st_size, stat.st_mtime_ns, self.sums[key],
                                          self.salts.get(path, ""))
            self.modified = int(stat.st_mtime)
        except BaseException:
            os.close(self.fd)
            raise

    def sum(self):
        digest = hashlib.blake2b(digest_size=8)
        at = 0
        while True:
            piece = os.pread(self.fd, PIECE, at)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)
            at += len(piece)

    def close(self):
        os.close(self.fd)


class Fault:
    """What a fault meets, and what it does: a dictionary of its effects."""

    conditions = ("path", "method", "skip", "count", "probability", "seed", "ranged", "range",
                  "authorized", "authorization")
    effects = ("delay_ms", "hold", "beside", "drip", "hang", "stall", "reset", "truncate", "extra", "overrun", "corrupt",
               "content_range", "ignore_range", "status", "retry_after", "redirect", "gzip", "etag",
               "last_modified", "length", "header", "garbage", "close", "raw")
    numbers = ("skip", "count", "seed", "delay_ms", "beside", "drip", "stall", "reset", "truncate", "extra",
               "overrun", "corrupt", "status")

    def __init__(self, words):
        values = {}
        for word in words:
            key, sep, value = word.partition("=")
            if not sep or key not in self.conditions + self.effects:
                raise ValueError("no such part of a fault: " + word)
            values[key] = int(value) if key in self.numbers else value
        self.path = values.get("path", "*")
        self.method = values.get("method")
        self.skip = values.get("skip", 0)
        self.count = values.get("count", -1)
        self.probability = float(values.get("probability", 1))
        self.random = random.Random(values.get("seed", 1))
        self.ranged = values.get("ranged")
        self.range = values.get("range", "*")
        self.authorized = values.get("authorized")
        self.authorization = values.get("authorization")
        self.does = {key: values[key] for key in self.effects if key in values}

    def meets(self, request):
        if not fnmatch.fnmatchcase(request.path, self.path) or self.count == 0:
            return False
        if self.method and request.method != self.method:
            return False
        if self.ranged and (self.ranged == "yes") != ("range" in request.headers):
            return False
        if not fnmatch.fnmatchcase(request.headers.get("range", ""), self.range):
            return False
        if self.authorized and request.headers.get("authorization") == self.authorization:
            return False
        if self.random.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.count > 0:
            self.count -= 1
        return True


class Request:
    def __init__(self, line, headers):
        parts = line.split(" ")
        if len(parts) != 3:
            raise Gone()
        self.method, self.target, self.version = parts
        # A request to a proxy names the whole URL.
        if self.target.startswith("http://"):
            self.target = "/" + self.target.split("/", 3)[3]
        self.path = self.target.partition("?")[0]
        self.headers = headers
        self.status = 0
        self.sent = 0
        self.ending = False


class Origin:
    """What all connections share: the faults, the counters, the link."""

    def __init__(self, root, host, tls):
        self.root = root
        self.host = host
        self.tls = tls
        self.lock = threading.Lock()
        self.news = threading.Condition(self.lock)
        self.faults = []
        self.gathering = []             # what befalls requests that wait for others beside them
        self.latency_ms = 0
        self.rate = 0
        self.link_free = 0.0
        self.connections = {}
        self.numbers = itertools.count(1)
        self.listener = None
        self.port = 0
        self.in_flight = self.ending = 0
        self.forget()

    def forget(self):
        self.requests = self.bytes = self.accepted = 0
        self.most_in_flight = self.in_flight
        self.lines = []

    # ---- the port

    def listen(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                if listener is not self.listener:
                    reset(connection)
                    return
                self.accepted += 1
                number = next(self.numbers)
                self.connections[number] = connection
            threading.Thread(target=Connection(self, connection, number).run, daemon=True).start()

    def drop(self):
        with self.lock:
            victims = list(self.connections.values())
        for victim in victims:
            reset(victim)

    def down(self):
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)     # wakes accept()
            listener.close()
        self.drop()

    # ---- counting

    def begin(self, request):
        """A request has come: count it, and say what it will meet with."""
        does = {}
        with self.lock:
            self.requests += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            for fault in self.faults:
                if fault.meets(request):
                    does.update(fault.does)
                    if "hold" in fault.does:
                        does["hold"] = fault
            if "beside" in does:
                self.gathering.append(does)
            for other in self.gathering:
                if self.in_flight >= other["beside"]:
                    other["beside"] = 0
            self.gathering = [other for other in self.gathering if other["beside"]]
            self.news.notify_all()
        return does

    def wait_for_others(self, does):
        """For as long as a request is held, or until there are others beside it."""
        with self.lock:
            self.news.wait_for(lambda: does.get("hold") not in self.faults)
            self.news.wait_for(lambda: not does.get("beside"))

    def about_to_end(self, request):
        """The last bytes go out next.  Whoever has them may ask at once what has been counted."""
        with self.lock:
            self.ending += not request.ending
            request.ending = True

    def end(self, request, number):
        get = request.headers.get
        with self.lock:
            self.in_flight -= 1
            self.ending -= request.ending
            self.news.notify_all()
            self.lines.append(
                "%s %s range=%s if_match=%s if_unmodified_since=%s authorization=%s cookie=%s host=%s"
                " connection=%d status=%d bytes=%d" % (
                    request.method, request.target, get("range", "-"), get("if-match", "-"),
                    get("if-unmodified-since", "-").replace(" ", "_"),
                    get("authorization", "no").split(" ")[0], "yes" if get("cookie") else "no",
                    get("host", "-"), number, request.status, request.sent))

    def pass_link(self, length):
        """Wait until the link has carried so many bytes more."""
        with self.lock:
            if not self.rate:
                return
            now = time.monotonic()
            # A sleep that was too long is made up for.
            self.link_free = max(now - 0.02, self.link_free) + length / self.rate
            wait = self.link_free - now
        if wait > 0:
            time.sleep(wait)

    # ---- orders

    def order(self, line):
        words = shlex.split(line)
        verb = words[0] if words else ""
        key, sep, value = verb.partition("=")
        if verb in ("stat", "log", "forget"):
            with self.lock:             # for a while: a client need not read to the end
                self.news.wait_for(lambda: not self.ending, timeout=1)
        if verb == "stat":
            with self.lock:
                return ["requests %d" % self.requests, "bytes %d" % self.bytes,
                        "in_flight %d" % self.in_flight,
                        "most_in_flight %d" % self.most_in_flight,
                        "connections %d" % self.accepted]
        if verb == "log":
            with self.lock:
                return list(self.lines)
        if verb == "fault":
            fault = Fault(words[1:])
            with self.lock:
                self.faults.append(fault)
        elif verb == "clear" and words[1:]:
            with self.lock:
                self.faults = [fault for fault in self.faults if fault.path != words[1]]
                self.news.notify_all()
        elif verb == "clear":
            with self.lock:
                self.faults = []
                self.latency_ms = self.rate = 0
                self.news.notify_all()
        elif verb == "forget":
            with self.lock:
                self.forget()
        elif verb == "replace":
            Object.salts[words[1]] = "-%d" % time.monotonic_ns()
        elif verb == "down":
            self.down()
        elif verb == "up":
            if not self.listener:
                self.listen()
        elif verb == "drop":
            self.drop()
        elif key == "latency_ms" and sep:
            self.latency_ms = int(value)
        elif key == "rate" and sep:
            self.rate = int(value)
        else:
            raise ValueError("no such order: " + line)
        return []


def reset(connection):
    """RST, whatever the connection's thread is doing: connect() to nowhere is how Linux disconnects."""
    try:
        libc.connect(connection.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16)
    except OSError:
        pass


class Connection:
    def __init__(self, origin, connection, number):
        self.origin = origin
        self.stream = connection
        self.number = number
        self.received = b""

    def run(self):
        try:
            if self.origin.tls:
                self.wrap()
            while self.serve_one():
                pass
        except (OSError, Gone, ValueError):
            pass
        finally:
            with self.origin.lock:
                del self.origin.connections[self.number]
                self.stream.close()

    def wrap(self):
        """TLS.  The wrapper takes the descriptor, so it is what others may reset from now on."""
        with self.origin.lock:
            self.stream = self.origin.tls.wrap_socket(self.stream, server_side=True,
                                                      do_handshake_on_connect=False)
            self.origin.connections[self.number] = self.stream
        self.stream.do_handshake()

    # ---- one request

    def read_request(self):
        while b"\r\n\r\n" not in self.received:
            more = self.stream.recv(65536)
            if not more or len(self.received) > 1 << 20:
                raise Gone()
            self.received += more
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
        return Request(lines[0], headers)

    def serve_one(self):
        request = self.read_request()
        does = self.origin.begin(request)
        try:
            self.origin.wait_for_others(does)
            delay_ms = self.origin.latency_ms + does.get("delay_ms", 0)
            if delay_ms:
                time.sleep(delay_ms / 1000)
            if "hang" in does:
                self.wait_for_the_end()
            if does.get("reset", 0) < 0:
                self.reset()
            if "raw" in does:
                self.origin.about_to_end(request)
                self.send(request, does["raw"].encode("latin-1").decode("unicode_escape")
                          .encode("latin-1"), does)
                raise Gone()
            Answer(self, request, does).send()
            if "close" in does or request.headers.get("connection", "").lower() == "close":
                return False
            return request.version == "HTTP/1.1"
        finally:
            self.origin.end(request, self.number)

    def wait_for_the_end(self):
        poll = select.poll()
        poll.register(self.stream.fileno(), select.POLLIN | select.POLLRDHUP)
        poll.poll()
        raise Gone()

    def reset(self):
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone()

    def send(self, request, data, does):
        """Part of a body, at the pace of the link and of a drip."""
        drip = does.get("drip", 0)
        slow = drip or self.origin.rate
        piece = max(1, min(SLOW_PIECE, drip // 20)) if drip else SLOW_PIECE if slow else len(data) or 1
        data = memoryview(data)
        for at in range(0, len(data), piece):
            part = data[at:at + piece]
            if drip:
                time.sleep(len(part) / drip)
            self.origin.pass_link(len(part))
            self.stream.sendall(part)
            self.count(request, len(part))

    def send_file(self, request, fd, offset, length):
        done = 0
        while done < length:
            if length - done <= 8 * PIECE:
                self.origin.about_to_end(request)
            n = os.sendfile(self.stream.fileno(), fd, offset + done, min(length - done, 8 * PIECE))
            if n == 0:
                raise Gone()
            done += n
            self.count(request, n)

    def count(self, request, length):
        request.sent += length
        with self.origin.lock:
            self.origin.bytes += length


class Answer:
    """The answer to a request, as the object and the faults make it."""

    def __init__(self, connection, request, does):
        self.connection = connection
        self.request = request
        self.does = does
        self.object = None
        self.status = 200
        self.headers = []
        self.body = b""                 # or, if first is not None, first..last of the object
        self.first = self.last = None

    def send(self):
        try:
            self.make()
            self.put()
        finally:
            if self.object:
                self.object.close()

    # ---- what it should be

    def make(self):
        does = self.does
        if "redirect" in does:
            self.headers.append("Location: " + does["redirect"])
            return self.page(does.get("status", 302))
        if "status" in does:
            return self.page(does["status"])
        if self.request.method not in ("GET", "HEAD"):
            return self.page(405)
        try:
            self.object = Object(self.connection.origin.root, self.request.path)
        except PermissionError:
            return self.page(403)
        except OSError:
            return self.page(404)
        self.describe()
        refusal = self.refused()
        if refusal == 304:
            self.status = 304
        elif refusal:
            self.page(refusal)
        else:
            self.choose_range()

    def page(self, status):
        self.status = status
        self.headers.append("Content-Type: text/html")
        if "retry_after" in self.does:
            self.headers.append("Retry-After: " + self.does["retry_after"])
        self.body = b"<!DOCTYPE html>\n<html><body><h1>%d</h1>says the origin</body></html>\n" % status

    def describe(self):
        etag = self.does.get("etag")
        if etag == "weak":
            self.headers.append("ETag: W/" + self.object.etag)
        elif etag != "none":
            self.headers.append("ETag: " + (etag or self.object.etag))
        if self.does.get("last_modified") != "none":
            self.headers.append("Last-Modified: " +
                                email.utils.formatdate(self.object.modified, usegmt=True))
        self.headers.append("Accept-Ranges: bytes")
        self.headers.append("Content-Type: application/octet-stream")

    def refused(self):
        """RFC 9110, 13.2.2.  The status, or 0."""
        get = self.request.headers.get
        strong = None if self.does.get("etag") in ("none", "weak") else \
            self.does.get("etag", self.object.etag)
        if get("if-match"):
            tags = [tag.strip() for tag in get("if-match").split(",")]
            if "*" not in tags and strong not in tags:
                return 412
        elif get("if-unmodified-since"):
            since = email.utils.parsedate_to_datetime(get("if-unmodified-since")).timestamp()
            if self.object.modified > since:
                return 412
        if strong and get("if-none-match") == strong:
            return 304
        return 0

    def choose_range(self):
        size = self.object.size
        self.first, self.last = 0, size - 1
        asked = self.request.headers.get("range", "")
        if not asked.startswith("bytes=") or "," in asked or "ignore_range" in self.does:
            return
        if self.request.headers.get("if-range", self.object.etag) != self.object.etag:
            return
        low, _, high = asked[len("bytes="):].partition("-")
        if low == "":
            first, last = max(0, size - int(high)), size - 1
        else:
            first, last = int(low), min(int(high) if high else size - 1, size - 1)
        if first > last:
            self.first = None
            self.headers.append("Content-Range: bytes */%d" % size)
            self.page(416)
            return
        self.first, self.last = first, last
        self.status = 206
        self.content_range(first, last, size)

    def content_range(self, first, last, size):
        how = self.does.get("content_range")
        shift = -1 if first > 0 else 1
        text = {None: "bytes %d-%d/%d" % (first, last, size),
                "shift": "bytes %d-%d/%d" % (first + shift, last + shift, size),
                "total": "bytes %d-%d/%d" % (first, last, size + 4096),
                "star": "bytes %d-%d/*" % (first, last)}.get(how, how)
        if text != "none":
            self.headers.append("Content-Range: " + text)

    # ---- how it goes out

    def put(self):
        does, length = self.does, self.length()
        if "gzip" in does:
            self.body = gzip.compress(self.bytes(), 1)
            self.first = None
            length = len(self.body)
            self.headers.append("Content-Encoding: gzip")
        length += does.get("extra", 0)
        how = does.get("length")
        if self.status in (204, 304):
            length = 0
        elif how == "chunked":
            self.headers.append("Transfer-Encoding: chunked")
        elif how == "none":
            self.headers.append("Connection: close")
        else:
            self.headers.append("Content-Length: %s" % (how or length))
        if "header" in does:
            self.headers.append(does["header"])
        head = "HTTP/1.1 %d Answer\r\n%s\r\n\r\n" % (self.status, "\r\n".join(self.headers))
        head = head.encode("latin-1")
        if "garbage" in does:
            head = head.replace(b"\r\n", b"\r\n\x01\xff\x80 no colon here\x7f\r\n", 1)
        self.request.status = self.status
        bodyless = self.request.method == "HEAD" or self.status in (204, 304)
        if bodyless or not length:
            self.connection.origin.about_to_end(self.request)
        self.connection.stream.sendall(head)
        if bodyless:
            return
        self.put_body(length + does.get("overrun", 0), how)

    def length(self):
        return len(self.body) if self.first is None else self.last - self.first + 1

    def bytes(self):
        if self.first is None:
            return self.body
        return os.pread(self.object.fd, self.length(), self.first)

    def put_body(self, length, how):
        does, connection = self.does, self.connection
        ends = [does[key] for key in ("reset", "truncate", "stall") if key in does]
        spoilt = {"drip", "corrupt", "extra", "overrun", "length"} & does.keys()
        if (self.first is None or ends or spoilt or connection.origin.tls or connection.origin.rate):
            self.put_pieces(min([length] + ends), how == "chunked")
        else:
            connection.send_file(self.request, self.object.fd, self.first, length)
        if "stall" in does:
            connection.wait_for_the_end()
        if "reset" in does:
            time.sleep(0.02)            # a RST throws away what has not been read
            connection.reset()
        if "truncate" in does or how == "none":
            raise Gone()

    def put_pieces(self, length, chunked):
        """Length bytes of the body; behind its end come others."""
        corrupt, at = self.does.get("corrupt", -1), 0
        while at < length:
            want = min(PIECE, length - at)
            if self.first is None:
                piece = self.body[at:at + want]
            else:
                piece = os.pread(self.object.fd, max(0, min(want, self.length() - at)),
                                 self.first + at)
            piece = bytearray(piece.ljust(want, b"?"))
            if at <= corrupt < at + want:
                piece[corrupt - at] ^= 0xff
            if at + want == length and "stall" not in self.does:
                self.connection.origin.about_to_end(self.request)
            if chunked:
                self.connection.stream.sendall(b"%x\r\n" % want)
            self.connection.send(self.request, piece, self.does)
            if chunked:
                self.connection.stream.sendall(b"\r\n")
            at += want
        if chunked and not {"reset", "truncate", "stall"} & self.does.keys():
            self.connection.stream.sendall(b"0\r\n\r\n")


# ---- the process ---------------------------------------------------------------

def take_orders(origin, listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=take_order, args=(origin, connection), daemon=True).start()


def take_order(origin, connection):
    with connection, connection.makefile("rw", encoding="latin-1") as stream:
        line = stream.readline()
        try:
            answer = origin.order(line)
        except (ValueError, IndexError, OSError) as error:
            answer = ["error: %s" % error]
        try:
            stream.write("".join(part + "\n" for part in answer + ["."]))
        except OSError:
            pass


def hash_all(root):
    """So that no first request waits for it."""
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                Object(root, urllib.parse.quote(os.path.relpath(os.path.join(folder, name), root))).close()
            except OSError:
                pass


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("dir")
    args = parser.parse_args()
    parent = os.getppid()
    tls = None
    if args.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.tls[0], args.tls[1])
    origin = Origin(os.path.realpath(args.dir), args.host, tls)
    hash_all(origin.root)
    origin.listen()
    control = socket.socket()
    control.bind(("127.0.0.1", 0))
    control.listen(16)
    threading.Thread(target=take_orders, args=(origin, control), daemon=True).start()
    print(origin.port, control.getsockname()[1], flush=True)
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
