#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-vfs-example-c: the C example builds against the static libraries as another program
# would, and reads a database; its errors say why.
. ./functions.sh
requires sqlite3 make pkg-config "${CC:-cc}"

make -s -C "$srcdir/../examples" BUILD="$abs_top_builddir" OUT="$tmpdir" CC="${CC:-cc}" ||
    die "examples/query.c does not build"
make_db "$tmpdir/x.db" 1000
expect "1000|$(sqlite3 "$tmpdir/x.db" 'SELECT sum(k) FROM t')" \
    "$("$tmpdir/query" "$tmpdir/x.db" 'SELECT count(*), sum(k) FROM t')"
expect_status 2 "$tmpdir/query"
expect_status 1 "$tmpdir/query" "$tmpdir/none.db" 'SELECT 1'
grep -q 'none.db: No such file' "$tmpdir/err" || die "no reason given: $(cat "$tmpdir/err")"
