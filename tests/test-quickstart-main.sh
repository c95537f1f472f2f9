#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-quickstart-main: quickstart's main job on a user's database, with this build.
#
# Passes when the four readers get the right rows through one cache that was filled
# once, their table names each of them, no process is left, and a second run
# goes well too; and when a file that is no database, one without tables, and one in WAL
# mode end with status 1 and a reason.

. ./functions.sh
requires sqlite3 python3 pgrep
quickstart=$abs_top_srcdir/quickstart
export HUGELITE_BUILD=$abs_top_builddir
# Leave in the build directory what was there, no more (make distcheck looks).
for file in make.log query; do
    [ -e "$HUGELITE_BUILD/$file" ] || cleanup_fn rm -f "$HUGELITE_BUILD/$file"
done

make_db "$tmpdir/a b's.db" 60000
sqlite3 "$tmpdir/a b's.db" 'CREATE TABLE "odd ""name"(x); INSERT INTO "odd ""name" VALUES (1), (2)'
size=$(stat -c %s "$tmpdir/a b's.db")
chunks=$(((size + 2097151) / 2097152))

for round in 1 2; do
    status=0
    "$quickstart" "$tmpdir/a b's.db" >"$tmpdir/out" 2>"$tmpdir/err" </dev/null || status=$?
    if grep -q 'first install what is missing\|not a Debian system' "$tmpdir/err"; then
        skip "$(cat "$tmpdir/err")"
    fi
    [ $status -eq 0 ] || { cat "$tmpdir/out" "$tmpdir/err" >&2; die "status $status"; }

    for reader in "sqlite3 shell" "Python's sqlite3\|sqlite3 shell" "hugelite sql" "C program"; do
        grep -q "^  \($reader\) .* s .* s .* s .* MB .* MB$" "$tmpdir/out" ||
            { cat "$tmpdir/out" >&2; die "no line for $reader"; }
    done
    grep -q 'how many rows has t? *60000$' "$tmpdir/out" || die "wrong rows for t"
    grep -q 'how many rows has odd "name? *2$' "$tmpdir/out" || die "wrong rows for the odd name"
    grep -q 'here and there in t *10000$' "$tmpdir/out" || die "wrong rows at random"

    # Filled once for all four: never more than the file has.  (Scans of tables
    # need not touch every chunk.)
    filled=$(sed -n 's/^  \([0-9]*\) chunks of 2 MiB filled.*/\1/p' "$tmpdir/out")
    [ "$filled" -ge 1 ] && [ "$filled" -le $chunks ] || die "$filled chunks filled, of $chunks"
    grep -q "^The shared cache: $pooldir, on " "$tmpdir/out" || die "the wrong pool was used"
    ! pgrep -f "$tmpdir/a b's.db" >"$tmpdir/left" || die "left running: $(cat "$tmpdir/left")"
done

head -c 100000 /dev/urandom >"$tmpdir/noise.db"
expect_status 1 "$quickstart" "$tmpdir/noise.db"
grep -q 'noise.db.*not a database' "$tmpdir/err" || die "noise: $(cat "$tmpdir/err")"

sqlite3 "$tmpdir/empty.db" 'PRAGMA user_version = 1'
expect_status 1 "$quickstart" "$tmpdir/empty.db"
grep -q 'empty.db: no table with rows' "$tmpdir/err" || die "empty: $(cat "$tmpdir/err")"

sqlite3 "$tmpdir/wal.db" 'PRAGMA journal_mode = wal; CREATE TABLE t(x); INSERT INTO t VALUES (1)'
expect_status 1 "$quickstart" "$tmpdir/wal.db"
grep -q 'wal.db: in WAL mode.*VACUUM INTO' "$tmpdir/err" || die "WAL: $(cat "$tmpdir/err")"
sqlite3 "$tmpdir/wal.db" "VACUUM INTO '$tmpdir/copy.db'"
expect_status 0 "$quickstart" "$tmpdir/copy.db"
