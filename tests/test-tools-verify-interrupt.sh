#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-verify-interrupt: on a terminal verify shows its progress; ^C stops it with exit status 1
# and says how far it came.

. ./functions.sh
requires python3
cd "$tmpdir"
# Sixteen gigabytes that are small on disk: one frame of zeros, many times.
head -c 2097152 /dev/zero >zeros
"$HUGELITE" pack --any zeros one --frame 2M >/dev/null
python3 - <<'P'
import struct
one = open("one", "rb").read()
frame, entry, number = one[:-29], one[-21:-9], 8192
table = entry * number + struct.pack("<IBI", number, 0x80, 0x8F92EAB1)
open("many", "wb").write(frame * number + struct.pack("<II", 0x184D2A5E, len(table)) + table)
P
status=0
python3 "$srcdir/test-tools-pty.py" "$HUGELITE" verify many --threads 1 >log 2>&1 <<'S' || status=$?
expect many: [0-9.]+ .iB of 16\.0 GiB \([0-9]+ %\), [0-9.]+ [KMG]iB/s
send \x03
expect 'many': interrupted: [1-9][0-9]* of 17179869184 bytes \([0-9]+ %\) were checked
S
expect 1 $status "exit status after ^C: $(cat -v log)"
