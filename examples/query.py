#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# query.py DB SQL: a query through Hugelite's cache, from Python.  DB may be compressed, as by
# hugelite pack x.db x.db.zst, and elsewhere: https://host/x.db.zst, s3://bucket/key.  Wants a Python whose sqlite3 can load extensions (Debian's
# can; some builds of pyenv cannot).
import os, sqlite3, sys, urllib.parse

if len(sys.argv) != 3:
    print("usage: query.py DB SQL", file=sys.stderr)
    sys.exit(2)
try:
    loader = sqlite3.connect(":memory:")
    loader.enable_load_extension(True)
    loader.load_extension(os.environ.get("HUGELITE_SO", "hugelite"))

    where = sys.argv[1] if "://" in sys.argv[1] else os.path.abspath(sys.argv[1])
    name = "file:" + urllib.parse.quote(where, safe="/:") + "?vfs=hugelite"
    db = sqlite3.connect(name, uri=True)
    for row in db.execute(sys.argv[2]):
        print(*row, sep="|")
except (sqlite3.Error, AttributeError) as error:
    sys.exit(f"query.py: {error}")
