#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-vfs-extension: the extension in programs that know nothing of it: the stock sqlite3
# shell and Python.
#
# Passes when it exports its two functions and no other, needs no libsqlite3 of its own,
# loads twice, serves a database through each of the examples, stays loaded for
# connections opened later, and errors reach the user in words.
. ./functions.sh
requires sqlite3 nm

make_db "$tmpdir/x y%20?#.db" 5000
db="$tmpdir/x y%20?#.db"
name="file:$(printf %s "$db" | sed 's/%/%25/g; s/?/%3f/g; s/#/%23/g')?vfs=hugelite"
sum=$(sqlite3 "$db" 'SELECT sum(k) FROM t')

expect "hugelite_vfs_register sqlite3_hugelite_init" \
    "$(nm -D --defined-only "$HUGELITE_SO" | awk '{ print $3 }' | sort | xargs)" "exported names"
if ldd "$HUGELITE_SO" | grep -q libsqlite3; then
    die "the extension brings a libsqlite3 of its own"
fi

examples=$srcdir/../examples
expect "$sum" "$("$examples/query.sh" "$db" 'SELECT sum(k) FROM t')" "query.sh"
expect "cached" "$("$examples/query.sh" "$db" 'SELECT 1 FROM t; PRAGMA hugelite_mode' | tail -n 1)"
expect_status 2 "$examples/query.sh" "$db"
expect_status 1 "$examples/query.sh" "$tmpdir/none.db" 'SELECT * FROM t'
grep -q 'none.db: No such file' "$tmpdir/err" ||
    die "query.sh does not say why: $(cat "$tmpdir/err")"

# Twice in one process; the second database is opened by a connection made after loading.
expect "$sum $sum" "$(sqlite3 -batch -bail :memory: ".load $HUGELITE_SO" ".load $HUGELITE_SO" \
    "ATTACH '$name' AS a" \
    'SELECT sum(k) FROM a.t' \
    ".open \"$name&immutable=1\"" \
    'SELECT sum(k) FROM t' | xargs)" "shell"
expect "hugelite/unix" "$(sqlite3 -batch -bail :memory: ".load $HUGELITE_SO" \
    ".open \"$name\"" '.vfsname main')"

requires_python_ext
expect "5000|$sum" \
    "$("$PYTHON_EXT" "$examples/query.py" "$db" 'SELECT count(*), sum(k) FROM t')" "query.py"
expect_status 2 "$PYTHON_EXT" "$examples/query.py" "$db"
expect_status 1 "$PYTHON_EXT" "$examples/query.py" "$tmpdir/none.db" 'SELECT * FROM t'
grep -q 'none.db: No such file' "$tmpdir/err" ||
    die "query.py does not say why: $(cat "$tmpdir/err")"

"$PYTHON_EXT" - "$db" "$sum" <<'PY'
import os, pathlib, sqlite3, sys
path, expected = sys.argv[1], int(sys.argv[2])
uri = pathlib.Path(path).as_uri()
loader = sqlite3.connect(":memory:")
loader.enable_load_extension(True)
loader.load_extension(os.environ["HUGELITE_SO"])
loader.execute("ATTACH ? AS a", (uri + "?vfs=hugelite",))
assert loader.execute("SELECT sum(k) FROM a.t").fetchone() == (expected,)
assert loader.execute("PRAGMA a.mmap_size").fetchone()[0] == os.stat(path).st_size
loader.close()                          # it stays, though who loaded it is gone
db = sqlite3.connect(uri + "?vfs=hugelite&immutable=1", uri=True)
assert db.execute("SELECT sum(k) FROM t").fetchone() == (expected,)
assert db.execute("SELECT fills FROM hugelite_stat").fetchone()[0] >= 1
try:
    db.execute("DELETE FROM t")
    sys.exit("a write went through")
except sqlite3.OperationalError as error:
    assert error.sqlite_errorname == "SQLITE_READONLY", error.sqlite_errorname
PY
