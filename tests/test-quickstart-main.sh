#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-quickstart-main: quickstart's main job on a user's database, with this build.
#
# Passes when the four readers get the right rows through one cache that was filled
# once, their table names each of them, no process is left, and a second run
# goes well too; when the same readers read what it compressed, with each frame in it decoded, in a
# file that is kept in the build directory until the database changes, and nothing is made beside the
# database; and when a file that is no database, one without tables, and one in WAL mode end with
# status 1 and a reason.

. ./functions.sh
requires sqlite3 python3 pgrep zstd
quickstart=$abs_top_srcdir/quickstart
export HUGELITE_BUILD=$abs_top_builddir
# Leave in the build directory what was there, no more (make distcheck looks).
for file in make.log query packed; do
    [ -e "$HUGELITE_BUILD/$file" ] || cleanup_fn rm -rf "$HUGELITE_BUILD/$file"
done
packed_of() {
    printf '%s/packed/%s.%s.zst' "$HUGELITE_BUILD" "${1##*/}" \
        "$(printf %s "$(realpath "$1")" | cksum | cut -d ' ' -f 1)"
}

make_db "$tmpdir/a b's.db" 60000
sqlite3 "$tmpdir/a b's.db" 'CREATE TABLE "odd ""name"(x); INSERT INTO "odd ""name" VALUES (1), (2)'
size=$(stat -c %s "$tmpdir/a b's.db")
chunks=$(((size + 2097151) / 2097152))
packed=$(packed_of "$tmpdir/a b's.db")
[ -d "${packed%/*}" ] || mkdir "${packed%/*}"
cleanup_fn rm -f "$packed"

for round in 1 2; do
    status=0
    "$quickstart" "$tmpdir/a b's.db" >"$tmpdir/out" 2>"$tmpdir/err" </dev/null || status=$?
    if grep -q 'first install what is missing\|not a Debian system' "$tmpdir/err"; then
        skip "$(cat "$tmpdir/err")"
    fi
    [ $status -eq 0 ] || { cat "$tmpdir/out" "$tmpdir/err" >&2; die "status $status"; }

    [ -s "$packed" ] || { cat "$tmpdir/out" "$tmpdir/err" >&2; die "not compressed"; }
    zstd -dcq "$packed" | cmp -s - "$tmpdir/a b's.db" || die "compressed wrongly"
    case $round in
    1) before=$(stat -c %i "$packed")
       grep -q "^== hugelite pack .*$packed\$" "$tmpdir/out" || die "packs without a word" ;;
    2) expect "$before" "$(stat -c %i "$packed")" "packed again, inode"
       grep -q "^== compressed already: $packed\$" "$tmpdir/out" || die "keeps it without a word" ;;
    esac
    grep -q "^The same four over ${packed##*/}, .* times smaller),\$" "$tmpdir/out" ||
        die "nothing compressed is shown"
    for reader in "sqlite3 shell" "Python's sqlite3\|sqlite3 shell" "hugelite sql" "C program"; do
        grep -q "^  \($reader\)  .* s  *[0-9.]* s  *[0-9.]* s  *[0-9.]* s$" "$tmpdir/out" ||
            { cat "$tmpdir/out" >&2; die "no line for $reader on the compressed database"; }
    done
    frames=$("$HUGELITE" verify "$packed" | sed -n 's/.*: \([0-9]*\) frames, .*/\1/p')
    decoded=$(sed -n "s/^  $frames frames of Zstandard .* decoded \([0-9]*\)$/\1/p" "$tmpdir/out")
    [ "${decoded:-0}" -ge 1 ] || { cat "$tmpdir/out" >&2; die "no frames were decoded"; }

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

expect "a b's.db" "$(cd "$tmpdir" && ls -A | grep '\.db')" "beside the database"

# What has changed is compressed anew.
sqlite3 "$tmpdir/a b's.db" 'DELETE FROM t WHERE id > 59990'
expect_status 0 "$quickstart" "$tmpdir/a b's.db"
zstd -dcq "$packed" | cmp -s - "$tmpdir/a b's.db" || die "the former database, compressed, is kept"
grep -q "^== hugelite pack " "$tmpdir/out" || die "not packed anew"

# A disk with little room, as df tells it: a word, and the rest all the same.
mkdir "$tmpdir/bin"
printf '#!/bin/sh\n[ "$2" = --output=avail ] || exec %s "$@"\necho Avail; echo 67000000\n' \
    "$(command -v df)" >"$tmpdir/bin/df"
chmod +x "$tmpdir/bin/df"
make_db "$tmpdir/c.db" 1000
PATH=$tmpdir/bin:$PATH expect_status 0 "$quickstart" "$tmpdir/c.db"
grep -q "^== c.db is not compressed: .* has 63 MB free" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
[ ! -e "$(packed_of "$tmpdir/c.db")" ] || die "packed without room"

head -c 100000 /dev/urandom >"$tmpdir/noise.db"
expect_status 1 "$quickstart" "$tmpdir/noise.db"
grep -q 'noise.db.*not a database' "$tmpdir/err" || die "noise: $(cat "$tmpdir/err")"

sqlite3 "$tmpdir/empty.db" 'PRAGMA user_version = 1'
expect_status 1 "$quickstart" "$tmpdir/empty.db"
grep -q 'empty.db: no table with rows' "$tmpdir/err" || die "empty: $(cat "$tmpdir/err")"

sqlite3 "$tmpdir/wal.db" 'PRAGMA journal_mode = wal; CREATE TABLE t(x); INSERT INTO t VALUES (1)'
expect_status 1 "$quickstart" "$tmpdir/wal.db"
grep -q 'wal.db: in WAL mode.*VACUUM INTO' "$tmpdir/err" || die "WAL: $(cat "$tmpdir/err")"
# The copy has the name of another database, and is not taken for it.
mkdir "$tmpdir/other"
copy="$tmpdir/other/a b's.db"
sqlite3 "$tmpdir/wal.db" "VACUUM INTO '${copy//\'/\'\'}'"
cleanup_fn rm -f "$(packed_of "$copy")"
expect_status 0 "$quickstart" "$copy"
zstd -dcq "$(packed_of "$copy")" | cmp -s - "$copy" || die "the copy is not compressed"
zstd -dcq "$packed" | cmp -s - "$tmpdir/a b's.db" || die "one database's name is used for another"
