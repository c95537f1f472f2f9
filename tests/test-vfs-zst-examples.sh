#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-vfs-zst-examples: a database made by hugelite pack, in the programs people have.
#
# Passes when the shell, Python and C examples read it by its name alone, and give what stock SQLite
# gives over the plain one; Python through the loadable extension joins the two; and files of gzip,
# xz and plain zstd are refused with a command that mends them.
. ./functions.sh
requires sqlite3 zstd gzip xz make pkg-config "${CC:-cc}"

db=$tmpdir/x.db
make_db "$db" 20000
sum=$(sqlite3 "$db" 'SELECT sum(k) FROM t')
"$HUGELITE" pack "$db" "$db.zst" 2>/dev/null
zstd -dc "$db.zst" 2>/dev/null | cmp - "$db" || die "zstd -d does not give the database back"

examples=$srcdir/../examples
expect "$sum" "$("$examples/query.sh" "$db.zst" 'SELECT sum(k) FROM t')" "query.sh"
expect "immutable, zstd-seekable" \
    "$("$examples/query.sh" "$db.zst" 'SELECT 1 FROM t; PRAGMA hugelite_mode' | tail -n 1)"
make -s -C "$examples" BUILD="$abs_top_builddir" OUT="$tmpdir" CC="${CC:-cc}" ||
    die "examples/query.c does not build"
expect "20000|$sum" "$("$tmpdir/query" "$db.zst" 'SELECT count(*), sum(k) FROM t')" "query"

# What cannot be read at an offset, and then with the command that mends it.
try_refused() {         # NAME
    expect_status 1 "$examples/query.sh" "$tmpdir/$1" 'SELECT sum(k) FROM t'
    grep -q "$tmpdir/$1: .*hugelite pack" "$tmpdir/err" ||
        die "$1: no command that mends it: $(cat "$tmpdir/err")"
    expect_status 1 "$tmpdir/query" "$tmpdir/$1" 'SELECT sum(k) FROM t'
    grep -q "hugelite pack" "$tmpdir/err" || die "$1: the C example does not say why"
}
zstd -qk "$db" -o "$tmpdir/plain.zst"
gzip -c "$db" >"$tmpdir/x.db.gz"
xz -0c "$db" >"$tmpdir/x.db.xz"
for name in plain.zst x.db.gz x.db.xz; do
    try_refused "$name"
done

requires_python_ext
expect "20000|$sum" \
    "$("$PYTHON_EXT" "$examples/query.py" "$db.zst" 'SELECT count(*), sum(k) FROM t')" "query.py"
"$PYTHON_EXT" - "$db" "$sum" <<'PY'
import os, pathlib, sqlite3, sys
path, expected = sys.argv[1], int(sys.argv[2])
uri = pathlib.Path(path).as_uri()
loader = sqlite3.connect(":memory:")
loader.enable_load_extension(True)
loader.load_extension(os.environ["HUGELITE_SO"])
db = sqlite3.connect(uri + ".zst?vfs=hugelite", uri=True)
db.execute("ATTACH ? AS p", (uri + "?vfs=hugelite",))
assert db.execute("SELECT sum(a.k), count(*) FROM main.t AS a JOIN p.t AS b USING(id)"
                  " WHERE a.v = b.v").fetchone() == (expected, 20000)
decoded, size = db.execute("SELECT frames_decoded, bytes FROM hugelite_stat"
                           " WHERE source LIKE '%.zst'").fetchone()
assert decoded > 0 and size == os.stat(path).st_size
try:
    db.execute("DELETE FROM t")
    sys.exit("a write went through")
except sqlite3.OperationalError as error:
    assert error.sqlite_errorname == "SQLITE_READONLY", error.sqlite_errorname
PY

expect_status 0 "$PYTHON_EXT" "$examples/readers.py" "$db.zst"
grep -q "chunks of 2 MiB filled" "$tmpdir/out" || die "readers.py: $(cat "$tmpdir/out")"
mv "$db" "$tmpdir/elsewhere.db"
expect_status 1 "$PYTHON_EXT" "$examples/readers.py" "$db.zst"
grep -q "zstd -d $db.zst -o $db" "$tmpdir/err" || die "readers.py: $(cat "$tmpdir/err")"
