# SPDX-License-Identifier: MIT
"""aws.py - what is around an S3 client, for tests: the container endpoint, an instance's metadata
service (IMDSv2), and a store that recomputes each signature by itself.

usage: aws.py DIR

Prints its port and serves on 127.0.0.1 until its parent is gone.  The files of DIR say what it
does, and are read anew for each request:

  container.json       what GET /container... answers
  container.auth       the Authorization that it wants (none: any)
  token                what PUT /latest/api/token answers (none: 404), and the others then want
  role                 the role's name (none: 404)
  instance.json        what it answers with this role's name
  status               the status of all these answers, instead of 200
  delay_ms             before all answers
  keys.json            AccessKeyId, SecretAccessKey, Token, Region of the store; "" = anonymous
  objects/BUCKET/KEY   its objects
  certificate.pem      for CONNECT to any host: then it is that host, with TLS

A path of an instance may begin with "/other...": that is another instance with the same files.
log gets a line for each request: METHOD HOST PATH STATUS.
"""
import ctypes
import email.utils
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

ROOT = sys.argv[1]
ROLES = "/latest/meta-data/iam/security-credentials/"
log_lock = threading.Lock()


def told(name, otherwise=None):
    try:
        with open(os.path.join(ROOT, name), encoding="latin-1") as file:
            return file.read()
    except FileNotFoundError:
        return otherwise


def digest(text):
    return hashlib.sha256(text.encode("latin-1")).hexdigest()


def sign(secret, scope, text):
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "aws"

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", headers=(), length=None):
        with log_lock, open(os.path.join(ROOT, "log"), "a", encoding="latin-1") as file:
            file.write("%s %s %s %d\n" % (self.command, self.headers.get("host"), self.path,
                                         status))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", len(body) if length is None else length)
        self.end_headers()
        self.wfile.write(body)

    def issue(self, name):
        body = told(name)
        status = int(told("status", "200"))
        self.send(404 if body is None else status, (body or "").encode("latin-1"))

    def own_path(self):
        return re.sub("^/other[^/]*", "", self.path)

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(ROOT, "certificate.pem"))
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = socketserver._SocketWriter(self.connection)
        self.close_connection = False

    def do_PUT(self):
        time.sleep(int(told("delay_ms", "0")) / 1000)
        if self.own_path() != "/latest/api/token":
            self.send(405)
        elif self.headers.get("x-aws-ec2-metadata-token-ttl-seconds") != "21600":
            self.send(400)
        else:
            self.issue("token")

    def do_GET(self):
        time.sleep(int(told("delay_ms", "0")) / 1000)
        if self.path.startswith("/container"):
            wanted = told("container.auth")
            if wanted is not None and self.headers.get("authorization") != wanted:
                self.send(401)
            else:
                self.issue("container.json")
        elif self.own_path().startswith("/latest/"):
            if self.headers.get("x-aws-ec2-metadata-token") != told("token"):
                self.send(401)
            elif self.own_path() == ROLES:
                self.issue("role")
            elif self.own_path() == ROLES + told("role", "").strip():
                self.issue("instance.json")
            else:
                self.send(404)
        else:
            self.serve_object()

    # ---- the store

    def refuse(self, status, code, headers=()):
        self.send(status, ("<Error><Code>%s</Code></Error>" % code).encode(), headers)

    def canonical(self, path, query, names, payload):
        """Of what has been understood of the request, not of how it was written."""
        decoded = urllib.parse.unquote_to_bytes(path)
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        lines = [self.command, urllib.parse.quote(decoded, safe="/-_.~"),
                 "&".join(sorted("=".join(urllib.parse.quote(t, safe="-_.~") for t in pair)
                                 for pair in pairs))]
        for name in names:
            value = self.headers.get(name) or ""
            lines.append("%s:%s" % (name, re.sub(" +", " ", value.strip())))
        return "\n".join(lines + ["", ";".join(names), payload])

    def accepted(self, path, query):
        """Sends what there is to say against the request, or returns True."""
        keys = json.loads(told("keys.json", '""'))
        header = self.headers.get("authorization")
        if keys == "":
            if header is None:
                return True
            self.refuse(403, "SignedWhereAnonymousWasExpected")
            return False
        match = re.fullmatch(r"AWS4-HMAC-SHA256 "
                             r"Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, *"
                             r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})",
                             header or "")
        if not match:
            self.refuse(403, "AccessDenied")
            return False
        key, day, region, names, signature = match.groups()
        names = names.split(";")
        here = keys["Region"]
        if region != here or ".s3." in self.headers["host"] and here not in self.headers["host"]:
            self.refuse(301 if region == here else 400, "AuthorizationHeaderMalformed",
                        [("x-amz-bucket-region", here)])
            return False
        present = [n.lower() for n in self.headers if n.lower().startswith("x-amz-")] + ["host"]
        date = self.headers.get("x-amz-date", "")
        payload = self.headers.get("x-amz-content-sha256", "")
        text = "\n".join(("AWS4-HMAC-SHA256", date, "%s/%s/s3/aws4_request" % (day, region),
                          digest(self.canonical(path, query, names, payload))))
        if (key != keys["AccessKeyId"] or names != sorted(names) or
                not set(present) <= set(names) or date[:8] != day or
                payload != "UNSIGNED-PAYLOAD" or
                self.headers.get("x-amz-security-token", "") != keys.get("Token", "") or
                sign(keys["SecretAccessKey"], (day, region, "s3", "aws4_request"),
                     text) != signature):
            self.refuse(403, "SignatureDoesNotMatch")
            return False
        return True

    def serve_object(self):
        path, _, query = self.path.partition("?")
        if not self.accepted(path, query):
            return
        name = urllib.parse.unquote(path)
        if ".s3." in self.headers["host"]:
            name = "/" + self.headers["host"].split(".s3.")[0] + name
        try:
            with open(os.path.join(ROOT, "objects") + name, "rb") as file:
                body = file.read()
        except OSError:
            self.refuse(404, "NoSuchKey")
            return
        etag = '"%s"' % hashlib.md5(body).hexdigest()
        if self.headers.get("if-match", etag) != etag:
            self.refuse(412, "PreconditionFailed")
            return
        headers = [("ETag", etag), ("Last-Modified", email.utils.formatdate(0, usegmt=True)),
                   ("Accept-Ranges", "bytes")]
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range", ""))
        if not wanted:
            self.send(200, body, headers)
            return
        first, last = wanted.groups()
        begin = int(first) if first else max(0, len(body) - int(last))
        end = min(len(body), int(last) + 1) if first and last else len(body)
        if begin >= len(body):
            self.send(416, b"", [("Content-Range", "bytes */%d" % len(body))])
            return
        headers.append(("Content-Range", "bytes %d-%d/%d" % (begin, end - 1, len(body))))
        self.send(206, body[begin:end], headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
