#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-vfs-python-fork: Python's multiprocessing, with and without fork, over one cache.
#
# Passes when workers forked from a process that has databases open read through
# connections of their own, an inherited connection gives an exception and no signal, the
# parent goes on, and all of it filled each chunk once.
. ./functions.sh
requires_python_ext
make_db "$tmpdir/x.db" 60000

cat >"$tmpdir/workers.py" <<'PY'
import multiprocessing, os, sqlite3, sys

path = sys.argv[1]
uri = f"file:{path}?vfs=hugelite&immutable=1"
loader = sqlite3.connect(":memory:")
loader.enable_load_extension(True)
loader.load_extension(os.environ["HUGELITE_SO"])
inherited = None
query = "SELECT sum(k), count(v) FROM t WHERE id % 8 <> ?"

def own(n):
    db = sqlite3.connect(uri, uri=True)
    value = db.execute(query, (n % 8,)).fetchone()
    db.close()
    return value

def through_parents(n):
    try:
        inherited.execute("SELECT sum(k) FROM t").fetchone()
    except sqlite3.Error as error:
        return type(error).__name__
    return "no error"

if __name__ == "__main__":
    inherited = sqlite3.connect(uri, uri=True)
    total = inherited.execute("SELECT sum(k) FROM t").fetchone()
    expected = [inherited.execute(query, (n % 8,)).fetchone() for n in range(24)]
    for method in "fork", "spawn":
        with multiprocessing.get_context(method).Pool(4) as pool:
            assert pool.map(own, range(24)) == expected, method
    with multiprocessing.get_context("fork").Pool(2) as pool:
        seen = set(pool.map(through_parents, range(4)))
    assert "no error" not in seen, seen
    assert inherited.execute("SELECT sum(k) FROM t").fetchone() == total
    fills, size, errors = inherited.execute(
        "SELECT fills, bytes, errors FROM hugelite_stat").fetchone()
    assert fills == -(-size // (2 << 20)), (fills, size)
    assert errors == 0
PY
"$PYTHON_EXT" "$tmpdir/workers.py" "$tmpdir/x.db"
