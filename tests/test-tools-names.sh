#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-names: databases with awkward names are read by sql, warm, evict and stat, by
# absolute and by relative path, and stat --json stays JSON even when a name is not UTF-8.

. ./functions.sh
requires python3

cd "$tmpdir"
make_db plain 50
bad=$(printf 'b\xff\xc3(\xed\xa0\x80d')       # never UTF-8: a stray byte, a cut pair, a surrogate
names=("a b" "q?x=1" "#hash" "50%25" "semi;colon" "amp&pool=x" $'new\nline' $'tab\tctl\x01' 'quo"te'
    "apos'trophe" 'back\slash' "grüße-日本-😀" "plus+" ":memory:" "file:x" "$bad")
for name in "${names[@]}"; do
    cp plain "$name"
    for path in "$tmpdir/$name" "./$name" "/$tmpdir/$name"; do
        expect_status 0 "$HUGELITE" sql "$path" "SELECT count(*) FROM t"
        expect 50 "$(cat out)" "count of $(printf %q "$path")"
    done
    expect_status 0 "$HUGELITE" sql --immutable "$name" "SELECT sum(id) FROM t"
    expect 1275 "$(cat out)" "sum of $(printf %q "$name")"
    expect_status 0 "$HUGELITE" warm "./$name"
    expect_status 0 "$HUGELITE" stat
    expect_status 0 "$HUGELITE" stat --json
    python3 - out "$name" <<'P' || die "stat --json of $(printf %q "$name")"
import json, os, sys
raw = open(sys.argv[1], "rb").read()
data = json.loads(raw.decode("utf8"))          # strict
assert raw.count(b"\n") == 1
want = os.fsencode(sys.argv[2])
names = [os.path.basename(v["source"]) for v in data["volumes"]]
if b"\xff" in want:
    # As many replacements as bytes that belong to no character.
    assert names == ["b\ufffd\ufffd(\ufffd\ufffd\ufffdd"], names
else:
    assert names == [want.decode("utf8")], names
P
    expect_status 0 "$HUGELITE" evict "$tmpdir/$name"
    rm -f "$name"
    # The pool forgets with its directory, so that each name is alone in stat.
    rm -rf "$pooldir"
done

# A pool whose directory has such a name, given by option.
odd="${pooldir%/pool}/p %41?&#ö"
expect_status 0 "$HUGELITE" sql --pool "$odd" plain "SELECT count(*) FROM t"
expect 50 "$(cat out)"
[ -d "$odd" ] || die "no pool at $odd"
expect_status 0 "$HUGELITE" stat --json --pool "$odd"
python3 -c 'import json, sys; assert json.load(open("out"))["pool"]["dir"] == sys.argv[1]' "$odd"

# Names that look like options
cp plain ./-dash
expect_status 0 "$HUGELITE" sql ./-dash "SELECT 1"
expect_status 0 "$HUGELITE" sql -- -dash "-- a comment
SELECT 2"
expect 2 "$(cat out)"
