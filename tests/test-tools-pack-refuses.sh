#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-refuses: what is no database, or a damaged one, is refused by name and with the
# reason, and leaves nothing; OUT is replaced with --force only, and never when it is IN or no
# regular file.

. ./functions.sh
cd "$tmpdir"
make_db x.db 2000
mkdir d

bad() {   # WORDS ARGUMENT...: fails with these words in one line, and leaves nothing
    local words=$1
    shift
    expect_status 1 timeout 60 "$HUGELITE" pack "$@"
    grep -q "^hugelite pack: .*$words" err || die "pack $*: $(cat err)"
    expect 1 "$(wc -l <err)" "lines of pack $*"
    [ ! -s out ] || die "pack $*: stdout: $(cat out)"
    [ ! -e y ] || die "pack $*: wrote y"
    [ -z "$(find . -name '.*.pack-*')" ] || die "pack $*: left $(find . -name '.*.pack-*')"
}

# IN
bad "absent: No such file" absent y
bad "x.db/x: Not a directory" x.db/x y
bad "d: is a directory" d y
mkfifo pipe
bad "pipe: is not a regular file" pipe y
bad "/dev/zero: is not a regular file" --any /dev/zero y
: >empty
bad "empty: is empty" empty y
bad "empty: is empty" --any empty y
printf '%0200d' 7 >text
bad "text: is not an SQLite database; --any packs any file" text y
printf 'SQLite format 3' >short                # one byte less than the magic
bad "short: is not an SQLite database" short y
expect_status 0 "$HUGELITE" pack --any text z
bad "z: is packed already" z y
rm z
gzip -k text
bad "gunzip -c .*text.gz" text.gz y

# The header: page size, number of pages, whole pages
damaged() {   # OFFSET HEX...: x.db with these bytes there
    local at=$1
    shift
    cp x.db damaged
    printf "$(printf '\\x%s' "$@")" | dd of=damaged bs=1 seek="$at" conv=notrunc status=none
}
damaged 16 0f ff
bad "damaged: its header is damaged: no page has 4095 bytes" damaged y
damaged 16 01 00
bad "damaged: its header is damaged: no page has 256 bytes" damaged y
damaged 28 7f ff ff ff
bad "damaged: is truncated: it has [0-9]* bytes, its header says 8796093018112" damaged y
# ... which nobody believes when an old SQLite has written last.
damaged 28 7f ff ff ff
printf '\xff' | dd of=damaged bs=1 seek=92 conv=notrunc status=none
expect_status 0 "$HUGELITE" pack damaged y
rm y
cp x.db damaged
truncate -s -4096 damaged
bad "damaged: is truncated: it has" damaged y
cp x.db damaged
truncate -s +100 damaged
bad "damaged: is truncated or damaged: [0-9]* bytes are no whole number of pages of 4096" damaged y
# Longer than the header says is a way to grow in steps (SQLITE_FCNTL_CHUNK_SIZE).
cp x.db longer
truncate -s +1M longer
expect_status 0 "$HUGELITE" pack longer y
rm y

# OUT
cp x.db keep
bad "keep: is there already; --force replaces it" x.db keep
cmp keep x.db || die "keep was touched"
bad "d: is a directory" x.db d
bad "d: is a directory" x.db d --force
bad "none/y: its directory cannot be opened: No such file" x.db none/y
bad "y/: names a directory" x.db y/
bad "pipe: is not a regular file" x.db pipe --force
bad "/dev/null: is not a regular file" x.db /dev/null --force
[ -c /dev/null ] || die "/dev/null is gone"
bad "x.db: is the file to be packed" x.db x.db --force
ln x.db same
bad "same: is the file to be packed" x.db same --force
ln -s x.db link
bad "link: is the file to be packed" x.db link --force
bad "x.db: is the file to be packed" link x.db --force
cmp keep x.db || die "x.db was touched"
# A pipe behind /dev/stdout
"$HUGELITE" pack x.db /dev/stdout --force 2>err | cat >out || true
grep -q "^hugelite pack: /dev/stdout: " err || die "/dev/stdout: $(cat err)"
[ -L /dev/stdout ] && [ ! -s out ] || die "/dev/stdout was replaced or written"

expect_status 0 "$HUGELITE" pack x.db keep --force
expect_status 0 "$HUGELITE" verify keep
# A link stays one: what it names is replaced.
ln -s keep2 link2
bad "link2: No such file" x.db link2 --force
echo old >keep2
expect_status 0 "$HUGELITE" pack x.db link2 --force
[ -L link2 ] || die "link2 is no link any more"
cmp keep keep2 || die "keep2 is not what was packed"

if [ "$(id -u)" -ne 0 ]; then
    chmod 000 x.db
    bad "x.db: Permission denied" x.db y
    chmod 644 x.db
    mkdir closed
    chmod 555 closed
    bad "closed/y: cannot be written: Permission denied" x.db closed/y
    chmod 755 closed
fi
