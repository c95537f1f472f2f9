#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-verify: each damaged frame is named, with its number and its bytes of the database, and
# no other; damage to the table, a file that is cut short, one without a table, a plain one and an unreadable one are
# refused with the reason; frames of other programs, large, uneven or without checksums, are checked.

. ./functions.sh
requires zstd python3
cd "$tmpdir"
make_db x.db 15000
"$HUGELITE" pack x.db x.db.zst --frame 16K >/dev/null
bytes=$(stat -c %s x.db)
frames=$(((bytes + 16383) / 16384))

for threads in "" "--threads 1" "--threads 3"; do
    expect_status 0 "$HUGELITE" verify x.db.zst $threads
    grep -qE "^x.db.zst: $frames frames, $bytes bytes \(.*\) decoded in [0-9.]+ s, [0-9.]+ .iB/s: no damage$" out ||
        die "$(cat out)"
    expect 1 "$(wc -l <out)" lines
    [ ! -s err ] || die "$(cat err)"
done
expect_status 0 "$HUGELITE" verify "$tmpdir/x.db.zst"

# table FILE: where each frame begins, and the table; damage FILE OFFSET: other bits there
cat >table.py <<'P'
import struct, sys
data = open(sys.argv[1], "rb").read()
number = struct.unpack("<I", data[-9:-5])[0]
table, at = len(data) - 17 - 12 * number, 0
for i in range(number):
    print(at)
    at += struct.unpack("<I", data[table + 8 + 12 * i:][:4])[0]
assert at == table
print(table)
P
python3 table.py x.db.zst >starts
start() { sed -n "$(($1 + 1))p" starts; }
damage() {
    python3 - "$@" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    for at in map(int, sys.argv[2:]):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))
P
}
bad_frames() {   # FRAME...: these are bad, in the file y
    local i
    expect_status 1 "$HUGELITE" verify y
    [ ! -s out ] || die "$(cat out)"
    for i; do
        to=$(((i + 1) * 16384 < bytes ? (i + 1) * 16384 : bytes))
        grep -q "^hugelite verify: .*y: frame $i (decoded bytes $((i * 16384)) to $((to - 1))): ." err ||
            die "frame $i is not named: $(cat err)"
    done
    expect "hugelite verify: y: $# of $frames frames are bad" "$(tail -n 1 err)"
    expect $(($# + 1)) "$(wc -l <err)" "lines: $(cat err)"
}

# In a frame's content, header, checksum; in several, the first and the last
cp x.db.zst y
damage y $(($(start 3) + 100))
bad_frames 3
cp x.db.zst y
damage y "$(start 3)"
bad_frames 3
cp x.db.zst y
damage y $(($(start 4) - 1))
bad_frames 3
cp x.db.zst y
damage y $(($(start 1) - 1)) $(($(start 5) + 60)) $(($(start 6) + 60)) $(($(start $((frames - 1))) + 30))
bad_frames 0 5 6 $((frames - 1))
cp x.db.zst y
for ((i = 0; i < frames; i++)); do damaged[i]=$(($(start $i) + 40)); done
damage y "${damaged[@]}"
bad_frames $(seq 0 $((frames - 1)))

# The checksum of frame 2 in the table
cp x.db.zst y
damage y $(($(start "$frames") + 8 + 12 * 2 + 8))
bad_frames 2
grep -q "its checksum is [0-9a-f]*, in the seek table [0-9a-f]*$" err || die "$(cat err)"

# Two frames in each other's place: both are sound Zstandard.
python3 - x.db.zst y $(start 7) $(start 8) $(start 9) <<'P'
import sys
data, (a, b, c) = open(sys.argv[1], "rb").read(), map(int, sys.argv[3:])
open(sys.argv[2], "wb").write(data[:a] + data[b:c] + data[a:b] + data[c:])
P
expect_status 1 "$HUGELITE" verify y
grep -q "frame 7 " err && grep -q "frame 8 " err || die "$(cat err)"

refused() {   # WORDS FILE
    expect_status 1 timeout 60 "$HUGELITE" verify "$2"
    grep -q "^hugelite verify: .*$2: .*$1" err || die "$2: $(cat err)"
    expect 1 "$(wc -l <err)" "lines: $(cat err)"
    [ ! -s out ] || die "$2: stdout: $(cat out)"
}

# The table
cp x.db.zst y
damage y $(($(start "$frames") + 8 + 12 * 2))            # encoded bytes of frame 2
refused "seek table is damaged" y
cp x.db.zst y
damage y $(($(start "$frames") + 1))                      # its header
refused "seek table is damaged" y
cp x.db.zst y
damage y $(($(stat -c %s y) - 9))                        # number of frames
refused "seek table is damaged" y
cp x.db.zst y
truncate -s -1 y
refused "no seek table at its end" y
truncate -s 100000 y
refused "no seek table at its end" y

# Others
refused "is not compressed.* hugelite sql 'x.db' 'PRAGMA integrity_check'" x.db
zstd -q x.db -o free.zst
refused "no seek table at its end.*hugelite pack" free.zst
gzip -c x.db >x.gz
refused "gzip.*hugelite pack" x.gz
refused "No such file" absent
mkdir d
refused "is a directory" d
: >empty
refused "is empty" empty
if [ "$(id -u)" -ne 0 ]; then
    cp x.db.zst secret
    chmod 000 secret
    refused "Permission denied" secret
fi
# And what the message says works.
expect_status 0 "$HUGELITE" sql x.db 'PRAGMA integrity_check'
expect ok "$(cat out)"

# Of other programs: FILE SIZE... makes frames of these sizes in turn, CHECKSUMS in the table or not
cat >other.py <<'P'
import struct, subprocess, sys
flags, name, source, sizes = sys.argv[1], sys.argv[2], sys.argv[3], list(map(int, sys.argv[4:]))
original = open(source, "rb").read()
out, entries, at = b"", b"", 0
while at < len(original):
    part = original[at:at + sizes[0]]
    sizes = sizes[1:] + sizes[:1]
    frame = subprocess.run(["zstd", "-qc", "--check" if "f" in flags else "--no-check"], input=part,
                           stdout=subprocess.PIPE, check=True).stdout
    entries += struct.pack("<II", len(frame), len(part))
    if "t" in flags:
        entries += frame[-4:]
    out, at = out + frame, at + len(part)
number = len(entries) // (12 if "t" in flags else 8)
footer = struct.pack("<IBI", number, 0x80 if "t" in flags else 0, 0x8F92EAB1)
open(name, "wb").write(out + struct.pack("<II", 0x184D2A5E, len(entries) + 9) + entries + footer)
P
# Frames that are larger than any buffer
cat x.db x.db x.db >large
python3 other.py ft y large 3000000 100
expect_status 0 "$HUGELITE" verify y
damage y 150000
expect_status 1 "$HUGELITE" verify y
grep -q "frame 0 (decoded bytes 0 to 2999999): " err || die "$(cat err)"
expect 2 "$(wc -l <err)" "lines: $(cat err)"
# No checksum in the table, but in the frames; and nowhere
python3 other.py f y large 3000000 70000
expect_status 0 "$HUGELITE" verify y
grep -q "seek table has no checksums" out || die "$(cat out)"
damage y 150000
expect_status 1 "$HUGELITE" verify y
python3 other.py n y large 3000000 70000
expect_status 0 "$HUGELITE" verify y
