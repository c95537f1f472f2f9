#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-doctor-audit: `hugelite doctor --audit` says what is in a pool and what is wrong with it, in text and
# as JSON, exit 0 when all is accounted for and 1 when not; --repair mends it; what cannot be
# opened, and wrong arguments, are refused with a sentence.

. ./functions.sh
requires python3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }
says() { grep -qE -- "$1" "$tmpdir/out" || die "expected '$1' in: $(cat "$tmpdir/out")"; }
complains() { grep -qE -- "$1" "$tmpdir/err" || die "expected '$1' in: $(cat "$tmpdir/err")"; }

# Arguments, and no pool.
expect_status 2 "$HUGELITE" doctor --repair
complains "^hugelite doctor: --repair goes with --audit"
expect_status 2 "$HUGELITE" doctor --pool "$pooldir"
complains "^hugelite doctor: --pool goes with --audit"
expect_status 2 "$HUGELITE" doctor --audit --pool
complains "option '--pool' needs a value"
expect_status 2 "$HUGELITE" doctor --audit "$pooldir"
complains "unexpected argument"
expect_status 1 "$HUGELITE" doctor --audit
complains "^hugelite doctor: pool '$pooldir': not found"
expect 0 "$(wc -c <"$tmpdir/out")" "bytes on stdout"
expect_status 1 "$HUGELITE" doctor --audit --pool "$tmpdir"
complains "neither on hugetlbfs nor on tmpfs"
[ ! -e "$pooldir" ] || die "doctor made a pool"

# A pool in order.
make_db "$tmpdir/x.db" 20000
"$HUGELITE" warm "$tmpdir/x.db" >/dev/null
resident=$("$HUGELITE" stat --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["pool"]["resident_bytes"] // 2097152)')
[ "$resident" -gt 0 ] || die "nothing is resident"
expect_status 0 "$HUGELITE" doctor --audit
says "^pool +$pooldir, "
says "^processes +1, this program included"
says "^budget +16 chunks: $resident resident, $((16 - resident)) free, 0 being"
says "^all accounted for$"
expect_status 0 "$HUGELITE" doctor --audit --json --pool "$pooldir"
expect 1 "$(wc -l <"$tmpdir/out")" "lines of JSON"
expect "(1, True, '$pooldir', 1, 0)" \
    "$(json '(d["version"], d["ok"], d["pool"]["dir"], d["volumes"], len(d["findings"]))')"
expect "(16, $resident, 0, 0)" \
    "$(json 'tuple(d["budget"][k] for k in ("chunks", "resident", "moving", "orphaned"))')"

# What the dead leave is a note: a pool is in order with it.
touch "$pooldir/abandoned.image"
expect_status 0 "$HUGELITE" doctor --audit
says "^note +1 images of no volume"
says "^ +- abandoned\.image, 0 bytes"
says "^all accounted for: what the dead left"

# A chunk that a stranger punched is a problem, until it is mended.
image=$(ls "$pooldir"/*-*.image)
fallocate -p -o 0 -l 2M "$image"
expect_status 1 "$HUGELITE" doctor --audit
says "^problem +1 chunks that are said to be resident, and lack pages"
says "chunk 0 of $tmpdir/x\.db"
says "^1 problems; .hugelite doctor --audit --repair."
expect_status 1 "$HUGELITE" doctor --audit --json
expect "(False, ['images_left', 'chunks_hollow'], [False, True], [0, 0])" "$(json '(d["ok"],
    [f["finding"] for f in d["findings"]], [f["problem"] for f in d["findings"]],
    [f["repaired"] for f in d["findings"]])')"

# The page names each key.
python3 - "$tmpdir/out" <<'P' | LC_ALL=C sort -u >"$tmpdir/have"
import json, sys
def walk(value):
    for inner in value if isinstance(value, list) else []:
        yield from walk(inner)
    for key, inner in value.items() if isinstance(value, dict) else []:
        yield key
        yield from walk(inner)
print("\n".join(walk(json.load(open(sys.argv[1])))))
P
sed -n '/^=item B<--audit>/,/^=item B<--repair>/p' "$srcdir/../tools/hugelite-doctor.pod" |
    grep -oE 'C<[^>]*>' | sed 's/^C<//; s/>$//' | LC_ALL=C sort -u >"$tmpdir/manual"
diff "$tmpdir/have" "$tmpdir/manual" >&2 || die "keys differ (< printed, > page)"

expect_status 0 "$HUGELITE" doctor --audit --repair
says "lack pages; 1 repaired$"
says "\(repaired\)$"
says "^all accounted for$"
[ ! -e "$pooldir/abandoned.image" ] || die "the image of no volume is there still"
expect_status 0 "$HUGELITE" doctor --audit --repair --json
expect "(True, [])" "$(json '(d["ok"], d["findings"])')"
expect_status 0 "$HUGELITE" sql "$tmpdir/x.db" "SELECT count(*) FROM t"
expect 20000 "$(cat "$tmpdir/out")"

# Damage that is refused at the door is said to be that, with the remedy.
python3 - "$pooldir/control" <<'P'
import mmap, sys
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[0:8] = b"notapool"
P
expect_status 1 "$HUGELITE" doctor --audit --repair
complains "its control file is not one; remove the directory"

# Somebody else's.
[ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || exit 0
as="setpriv --reuid=65534 --clear-groups"
$as test -x "$HUGELITE" || exit 0
chmod 700 "$pooldir"
expect_status 1 $as "$HUGELITE" doctor --audit --pool "$pooldir"
complains "^hugelite doctor: pool '$pooldir': Permission denied"
