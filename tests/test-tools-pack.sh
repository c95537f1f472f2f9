#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack: what pack writes is a Zstandard file to zstd, whose frames decode one by one to
# the parts that its seek table says, with checksums in both places; the same for any number of
# threads; of IN's permissions; and is read through the cache as IN is.

. ./functions.sh
requires zstd python3 numfmt
cd "$tmpdir"
umask 022
make_db x.db 25000

# The specification's own words, in another language: FILE ORIGINAL FRAME
cat >parse.py <<'P'
import struct, subprocess, sys
data, original, size = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), int(sys.argv[3])
number, descriptor, magic = struct.unpack("<IBI", data[-9:])
assert magic == 0x8F92EAB1 and descriptor == 0x80, (magic, descriptor)
table = data[-9 - 12 * number - 8:]
assert struct.unpack("<II", table[:8]) == (0x184D2A5E, 12 * number + 9), table[:8]
assert number == -(-len(original) // size), number
at = decoded_at = 0
for i in range(number):
    encoded, decoded, checksum = struct.unpack("<III", table[8 + 12 * i:20 + 12 * i])
    frame = data[at:at + encoded]
    assert frame[:4] == b"\x28\xb5\x2f\xfd", i
    assert frame[4] & 4, "frame %d has no checksum" % i
    assert frame[4] & 0x20 or frame[4] >> 6, "frame %d does not tell its size" % i
    assert struct.unpack("<I", frame[-4:])[0] == checksum, i
    assert decoded == min(size, len(original) - decoded_at), (i, decoded)
    if i in (number // 2, number - 1):      # by itself, without the others
        alone = subprocess.run(["zstd", "-dc"], input=frame, stdout=subprocess.PIPE, check=True)
        assert alone.stdout == original[decoded_at:decoded_at + decoded], i
    at += encoded
    decoded_at += decoded
assert decoded_at == len(original) and at == len(data) - len(table), (at, decoded_at)
P

check() {   # ORIGINAL PACKED FRAME
    zstd -q -t "$2" || die "$2: zstd -t"
    zstd -q -d -c "$2" >plain && cmp plain "$1" || die "$2: is not $1 when zstd unpacks it"
    python3 parse.py "$2" "$1" "$3" || die "$2: table"
    expect_status 0 "$HUGELITE" verify "$2"
}

# The defaults, in --help and in the manual page
level=$("$HUGELITE" pack --help | sed -n 's/.*--level.*default \([0-9]*\)$/\1/p')
frame=$("$HUGELITE" pack --help | sed -n 's/^ *default \([0-9]*[KM]\)$/\1/p')
grep -q "; $level without it" "$abs_top_srcdir/tools/hugelite-pack.pod" || die "the page's --level"
grep -q "; $frame without it" "$abs_top_srcdir/tools/hugelite-pack.pod" || die "the page's --frame"
default_bytes=$(numfmt --from=iec "$frame")

expect_status 0 "$HUGELITE" pack x.db x.db.zst
[ ! -s err ] || die "on stderr: $(cat err)"
size=$(stat -c %s x.db.zst)
frames=$((($(stat -c %s x.db) + default_bytes - 1) / default_bytes))
figure='[0-9.]+ .iB'
grep -qE "^x.db.zst: $size bytes \($figure\), [0-9.]+ times smaller than $(stat -c %s x.db) bytes \
\($figure\), in $frames frames of $figure, packed and checked in [0-9.]+ s, $figure/s$" out ||
    die "$(cat out)"
expect 1 "$(wc -l <out)" lines
expect "err out parse.py x.db x.db.zst" "$(ls -A | LC_ALL=C sort | xargs)" files
check x.db x.db.zst $default_bytes
[ $((size * 2)) -lt "$(stat -c %s x.db)" ] || die "it hardly compresses: $size bytes"
expect 644 "$(stat -c %a x.db.zst)" mode

# Said or not, the defaults are the defaults.
expect_status 0 "$HUGELITE" pack x.db again --level "$level" --frame "$frame"
cmp again x.db.zst || die "--level $level --frame $frame is not the default"

# Read as it is
"$HUGELITE" sql x.db "SELECT count(*), sum(k), max(v) FROM t" >plain.sql
expect_status 0 "$HUGELITE" sql x.db.zst "SELECT count(*), sum(k), max(v) FROM t"
cmp out plain.sql || die "another answer: $(cat out)"

# One thread or many, the same bytes.
for threads in 1 3 1000; do
    expect_status 0 "$HUGELITE" pack x.db again --threads $threads --force
    cmp again x.db.zst || die "--threads $threads writes another file"
done

# Frames of any allowed size, and levels
for frame in 4K 256K 2m; do
    expect_status 0 "$HUGELITE" pack x.db frames --frame $frame --force
    bytes=${frame%[KkMm]}
    case $frame in *K) bytes=$((bytes * 1024)) ;; *[mM]) bytes=$((bytes << 20)) ;; esac
    check x.db frames $bytes
done
for level in 1 19; do
    expect_status 0 "$HUGELITE" pack x.db level$level --level $level
    check x.db level$level $default_bytes
done
[ "$(stat -c %s level19)" -lt "$(stat -c %s level1)" ] || die "level 19 is no smaller than level 1"

# Sizes around those of a frame and a batch, and what does not compress
for bytes in 1 4095 4096 4097 1048576 1048577 3333333; do
    head -c $bytes /dev/urandom >noise
    expect_status 0 "$HUGELITE" pack --any noise noise.zst --force --frame 4K
    check noise noise.zst 4096
done
head -c 3000000 /dev/zero >zeros
expect_status 0 "$HUGELITE" pack --any zeros zeros.zst
check zeros zeros.zst $default_bytes

# Permissions: IN's, as far as the umask leaves them.
chmod 664 x.db
expect_status 0 "$HUGELITE" pack x.db mode --force
expect 644 "$(stat -c %a mode)" mode
(umask 077 && expect_status 0 "$HUGELITE" pack x.db mode --force)
expect 600 "$(stat -c %a mode)" "mode under umask 077"
chmod 444 x.db
expect_status 0 "$HUGELITE" pack x.db mode --force
expect 444 "$(stat -c %a mode)" "mode of a read-only file"

# Odd names, of both files; one is as long as a name can be.
chmod 644 x.db
for name in "a b" "q?x=1#%25" $'new\nline' "grüße-日本" "quo'te" "$(printf '%0240d' 1)"; do
    mkdir -p odd
    cp x.db "odd/$name"
    expect_status 0 "$HUGELITE" pack "./odd/$name" "$tmpdir/odd/$name.packed.db"
    cmp "odd/$name.packed.db" x.db.zst || die "packed under the name $(printf %q "$name")"
    expect_status 0 "$HUGELITE" verify "odd/$name.packed.db"
    expect xx "$(find odd -type f -printf x)" "files"
    rm -r odd
done
expect_status 0 "$HUGELITE" pack -- x.db ./-dash
cmp ./-dash x.db.zst
