#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-ls: ls lists what was read from a remote source, with the figures that are true of it, makes no state
# directory by looking, asks no server, and its JSON keys are those that its page promises; without a state
# directory there is nothing to list, and a catalog that cannot be opened is said.

. ./functions.sh
requires python3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }

export HUGELITE_STATE=$tmpdir/state HUGELITE_TIER_SIZE=64M
unset http_proxy all_proxy ALL_PROXY
www=$tmpdir/www
mkdir "$www"
make_db "$www/x.db" 40000
touch -d '1 hour ago' "$www/x.db"
"$HUGELITE" pack "$www/x.db" "$www/x.db.zst" >/dev/null
start_origin "$www"

nothing() {
    expect_status 0 "$HUGELITE" ls
    expect "no remote database has been read yet" "$(cat "$tmpdir/out")"
    expect_status 0 "$HUGELITE" ls --json
    expect "[]" "$(json 'd["sources"]')"
    expect_status 0 "$HUGELITE" rm --all
}
nothing
"$HUGELITE" stat >/dev/null 2>&1 || true
"$HUGELITE" doctor >/dev/null 2>&1 || true
[ ! -e "$HUGELITE_STATE" ] || die "looking made a state directory"
HUGELITE_STATE=none nothing

# A local database is no matter of the catalog.
"$HUGELITE" sql "$www/x.db" 'SELECT 1' >/dev/null
[ ! -e "$HUGELITE_STATE" ] || die "a local database made a state directory"

"$HUGELITE" sql "http://joe:hunter2@127.0.0.1:$origin_port/x.db.zst?sig=c0ffee&se=1" 'SELECT count(v) FROM t' >/dev/null
"$HUGELITE" sql "$origin_url/x.db" 'SELECT v FROM t WHERE id = 777' >/dev/null
before=$(origin_order stat)
expect_status 0 "$HUGELITE" ls --json
expect "$before" "$(origin_order stat)" "requests after ls"
expect 1 "$(wc -l <"$tmpdir/out")" "lines of JSON"
! grep -qF -e hunter2 -e c0ffee "$tmpdir/out" || die "credentials: $(cat "$tmpdir/out")"
! grep -rqF -e hunter2 -e c0ffee "$HUGELITE_STATE" || die "credentials in the state directory"
expect "$HUGELITE_STATE 67108864" "$(json '"%s %d" % (d["state_dir"], d["tier_size"])')"
expect "['$origin_url/x.db', '$origin_url/x.db.zst?...']" "$(json '[s["source"] for s in d["sources"]]')"
plain=$(stat -c %s "$www/x.db") packed=$(stat -c %s "$www/x.db.zst")
expect "[($plain, $plain), ($plain, $packed)]" "$(json '[(s["bytes"], s["encoded_bytes"]) for s in d["sources"]]')"
expect "{'etag'}" "$(json 'set(s["validator"] for s in d["sources"])')"
expect True "$(json 'all(0 < s["tier_bytes"] <= s["encoded_bytes"] for s in d["sources"])')" "tier_bytes"
expect True "$(json 'd["sources"][1]["tier_bytes"] > 9 * d["sources"][1]["encoded_bytes"] / 10')" "of all that was read"
expect True "$(json 'd["sources"][1]["warm_chunks"] > 0')" warm_chunks
python3 - "$tmpdir/out" <<'P'
import datetime, json, sys
for source in json.load(open(sys.argv[1]))["sources"]:
    for key in ("validated", "opened"):
        then = datetime.datetime.strptime(source[key], "%Y-%m-%dT%H:%M:%SZ")
        assert abs((datetime.datetime.utcnow() - then).total_seconds()) < 100, source
P

python3 - "$tmpdir/out" "$abs_top_srcdir/tools/hugelite-ls.pod" <<'P'
import json, re, sys
data = json.load(open(sys.argv[1]))
have = [k for k in data if k != "sources"] + ["sources[]." + k for k in data["sources"][0]]
page = [key for line in open(sys.argv[2], encoding="utf8") if line.startswith("=item C<")
        for key in re.findall("C<([^>]*)>", line)]
assert sorted(have) == sorted(page), (have, page)
P

expect_status 0 "$HUGELITE" ls
for word in source bytes encoded_bytes validator validated tier_bytes warm_chunks etag "$plain" "$packed"; do
    grep -qw -- "$word" "$tmpdir/out" || die "the table lacks $word: $(cat "$tmpdir/out")"
done
expect 3 "$(wc -l <"$tmpdir/out")" "lines of the table"

# The origin is down: ls is as before, and stat marks what is served all the same.
origin_order down >/dev/null
expect_status 0 "$HUGELITE" ls
expect 3 "$(wc -l <"$tmpdir/out")" "lines of the table"
"$HUGELITE" sql "$origin_url/x.db.zst?" 'SELECT count(v) FROM t' >/dev/null || die "known, and down"
expect_status 0 "$HUGELITE" stat
grep -q "(unvalidated)" "$tmpdir/out" || die "stat: $(cat "$tmpdir/out")"
grep -q "^state_dir  *$HUGELITE_STATE$" "$tmpdir/out" || die "stat: $(cat "$tmpdir/out")"
expect_status 0 "$HUGELITE" stat --json
expect "('$HUGELITE_STATE', True, 67108864, '')" \
    "$(json '(d["pool"]["state_dir"], d["pool"]["tier_bytes"] > 0, d["pool"]["tier_size"], d["pool"]["notice"])')"

# What is no directory
touch "$tmpdir/file"
HUGELITE_STATE=$tmpdir/file expect_status 1 "$HUGELITE" ls
grep -q "hugelite ls: there is no catalog: " "$tmpdir/err" || die "$(cat "$tmpdir/err")"
