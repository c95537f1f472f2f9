#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-quickstart-packages: examples/packages.py turns package stanzas into tables.
#
# Passes when fields, edges of every kind, alternatives, versions, tags and folded
# lines arrive as its comment says, the newest of several versions counts, and an
# input without packages makes no file and ends with status 1.

. ./functions.sh
requires sqlite3 python3
python3 -c 'import sqlite3' 2>/dev/null || skip "needs a python3 with the module sqlite3"
packages=$abs_top_srcdir/examples/packages.py
db=$tmpdir/p.db

cat >"$tmpdir/in" <<'TXT'
Package: alpha
Version: 2.0-1
Architecture: amd64
Installed-Size: 12
Size: 3456
Maintainer: Ann Other <ann@example.org>
Section: libs
Priority: optional
Depends: beta (>= 1.2), gamma:any | delta (<< 3~rc1) [amd64],
 epsilon
Pre-Depends: libc6
Provides: virtual-alpha (= 2.0)
Tag: role::program, implemented-in::c,
 role::program
Description: first line, with été
 folded line
Homepage: https://example.org/

Package: alpha
Version: 1.0-1
Description: too old

Package: beta
Source: alpha-source (1.9)
Maintainer: Ann Other <ann@example.org>
Recommends: alpha
Description: the second one
TXT
expect_status 0 python3 "$packages" "$db" <"$tmpdir/in"
grep -q '^2 packages, 7 edges between them$' "$tmpdir/out" || die "says $(cat "$tmpdir/out")"

q() { sqlite3 "$db" "$1"; }
expect "ok" "$(q 'PRAGMA integrity_check')" integrity
expect "1|alpha|2.0-1|amd64|libs|optional|alpha|1|12288|3456|https://example.org/" \
    "$(q "SELECT id, name, version, architecture, section, priority, source, maintainer,
          installed_bytes, download_bytes, homepage FROM package WHERE name = 'alpha'")" alpha
expect "first line, with été
folded line" "$(q "SELECT description FROM package WHERE id = 1")" description
expect "2|beta||alpha-source|1" \
    "$(q "SELECT id, name, installed_bytes, source, maintainer FROM package WHERE id = 2")" beta
expect "1|Ann Other|ann@example.org" "$(q 'SELECT * FROM maintainer')" maintainer
expect "Pre-Depends|libc6||0
Depends|beta|>= 1.2|1
Depends|gamma||2
Depends|delta|<< 3~rc1|2
Depends|epsilon||3
Provides|virtual-alpha|= 2.0|10" \
    "$(q 'SELECT kind, target, relation, choice FROM depends WHERE package = 1 ORDER BY choice, rowid')" edges
expect "Recommends|alpha" "$(q 'SELECT kind, target FROM depends WHERE package = 2')" edges
expect "implemented-in::c role::program" \
    "$(q "SELECT group_concat(tag, ' ') FROM tag WHERE package = 1")" tags
if q "SELECT 1 FROM sqlite_master WHERE name = 'search'" | grep -q 1; then
    expect "beta" "$(q "SELECT name FROM search WHERE search MATCH 'second'")" search
fi

expect_status 1 python3 "$packages" "$tmpdir/none.db" </dev/null
grep -q 'no package in the input' "$tmpdir/err" || die "$(cat "$tmpdir/err")"
expect_status 1 python3 "$packages" "$tmpdir/no/such/dir/x.db" <"$tmpdir/in"
expect_status 2 python3 "$packages"
expect "p.db" "$(cd "$tmpdir" && ls | grep db)" "files made"
