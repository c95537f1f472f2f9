# SPDX-License-Identifier: MIT
"""s3.py - what tests do to an S3 store besides reading it: buckets, objects, presigned URLs.

usage: s3.py bucket BUCKET | version BUCKET | put BUCKET KEY FILE [public] | delete BUCKET KEY
       s3.py presign BUCKET KEY SECONDS

Takes AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_CA_BUNDLE from the
environment. put prints the version id, if there is one; presign the URL.  Signs by itself (SigV4), so that
tests of signing do not measure libcurl by libcurl.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import ssl
import sys
import urllib.parse

ENDPOINT = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
REGION = os.environ.get("AWS_REGION", "us-east-1")
ACCESS_KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET_KEY = os.environ["AWS_SECRET_ACCESS_KEY"]


def signature(date, scope, request):
    key = ("AWS4" + SECRET_KEY).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def now():
    date = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    return date, "%s/%s/s3/aws4_request" % (date[:8], REGION)


def path_of(bucket, key=""):
    return urllib.parse.quote("/%s%s" % (bucket, "/" + key if key else ""), safe="/~")


def ask(method, path, body=b"", query="", extra=()):
    date, scope = now()
    headers = {"host": ENDPOINT.netloc, "x-amz-date": date,
               "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    headers.update(extra)
    names = sorted(headers)
    request = "\n".join([method, path, query] + ["%s:%s" % (n, headers[n]) for n in names] +
                        ["", ";".join(names), headers["x-amz-content-sha256"]])
    headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        ACCESS_KEY, scope, ";".join(names), signature(date, scope, request))
    if ENDPOINT.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        connection = http.client.HTTPSConnection(ENDPOINT.netloc, context=context, timeout=120)
    else:
        connection = http.client.HTTPConnection(ENDPOINT.netloc, timeout=120)
    connection.request(method, path + ("?" + query if query else ""), body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status >= 300:
        sys.exit("s3.py: %s %s: %d %s" % (method, path, response.status, text.decode("latin-1")))
    return response


def presign(path, seconds):
    date, scope = now()
    query = urllib.parse.urlencode(sorted({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": ACCESS_KEY + "/" + scope,
        "X-Amz-Date": date, "X-Amz-Expires": seconds, "X-Amz-SignedHeaders": "host"}.items()))
    request = "\n".join(("GET", path, query, "host:" + ENDPOINT.netloc, "", "host", "UNSIGNED-PAYLOAD"))
    return "%s://%s%s?%s&X-Amz-Signature=%s" % (ENDPOINT.scheme, ENDPOINT.netloc, path, query,
                                                signature(date, scope, request))


def main(verb, bucket, *rest):
    if verb == "bucket":
        ask("PUT", path_of(bucket))
    elif verb == "version":
        ask("PUT", path_of(bucket), b"<VersioningConfiguration><Status>Enabled</Status>"
            b"</VersioningConfiguration>", "versioning=")
    elif verb == "put":
        with open(rest[1], "rb") as file:
            extra = {"x-amz-acl": "public-read"} if rest[2:] == ("public",) else {}
            response = ask("PUT", path_of(bucket, rest[0]), file.read(), extra=extra)
        if response.getheader("x-amz-version-id"):
            print(response.getheader("x-amz-version-id"))
    elif verb == "delete":
        ask("DELETE", path_of(bucket, rest[0]))
    elif verb == "presign":
        print(presign(path_of(bucket, rest[0]), rest[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
