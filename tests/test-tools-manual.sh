#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-manual: each command has a manual page that podchecker accepts, whose options are
# those of --help, and which the overview page names; the JSON keys that stat and doctor
# print are those that their pages promise.

. ./functions.sh
requires podchecker python3
tools=$abs_top_srcdir/tools

expect_status 0 "$HUGELITE" --help
commands=$(sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' "$tmpdir/out")
[ -n "$commands" ] || die "no commands in: $(cat "$tmpdir/out")"

for pod in "$tools"/*.pod; do
    podchecker -warnings -warnings "$pod" >"$tmpdir/out" 2>&1 || die "$pod: $(cat "$tmpdir/out")"
    ! grep -q WARNING "$tmpdir/out" || die "$pod: $(cat "$tmpdir/out")"
    # The order is the same on every page.
    python3 - "$pod" <<'P' || die "$pod: sections"
import re, sys
order = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES",
         "LIMITATIONS", "EXAMPLES", "SEE ALSO"]
heads = re.findall(r"^=head1 (.*)$", open(sys.argv[1], encoding="utf8").read(), re.M)
places = [order.index(h) for h in heads if h in order]
assert places == sorted(places), heads
for h in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
    assert h in heads, h
P
done

# Long options of --help, and of the =item lines, one a line, sorted.
long_options() { grep -oE -e '--[a-z][a-z-]*' | sort -u; }
for command in "" $commands; do
    pod=$tools/hugelite${command:+-$command}.pod
    [ -f "$pod" ] || die "there is no manual page for '$command'"
    expect_status 0 "$HUGELITE" $command --help
    if [ -n "$command" ]; then
        long_options <"$tmpdir/out" >"$tmpdir/help"
        grep -q "hugelite-$command(1)" "$tools/hugelite.pod" || die "hugelite.pod: no word of $command"
        grep -q "^=item B<$command>" "$tools/hugelite.pod" || die "hugelite.pod: no item $command"
    else
        printf '%s\n' --help --version >"$tmpdir/help"
    fi
    grep '^=item.*B<-' "$pod" | long_options >"$tmpdir/manual"
    diff "$tmpdir/help" "$tmpdir/manual" >&2 || die "$pod: options differ from --help (< help, > page)"
done

# JSON keys, as paths like volumes[].fills
cat >"$tmpdir/keys.py" <<'P'
import json, sys
def walk(value, path):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, path + "." + key if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path + "[]")
    else:
        yield path
print("\n".join(sorted(set(walk(json.load(open(sys.argv[1])), "")))))
P
make_db "$tmpdir/x.db" 100
"$HUGELITE" warm "$tmpdir/x.db" >/dev/null
expect_status 0 "$HUGELITE" stat --json
python3 "$tmpdir/keys.py" "$tmpdir/out" >"$tmpdir/have"
grep '^=item C<' "$tools/hugelite-stat.pod" | grep -oE 'C<[^>]*>' | sed 's/^C<//; s/>$//' |
    sort >"$tmpdir/manual"
LC_ALL=C sort -o "$tmpdir/have" "$tmpdir/have"
LC_ALL=C sort -o "$tmpdir/manual" "$tmpdir/manual"
diff "$tmpdir/have" "$tmpdir/manual" >&2 || die "stat --json: keys differ (< printed, > page)"

# What no remote database has been read for, the page of ls has all the same; test-tools-ls.sh compares.
"$HUGELITE" doctor --json >"$tmpdir/out" || true
python3 "$tmpdir/keys.py" "$tmpdir/out" | tr '.' '\n' | sed 's/\[\]$//' | LC_ALL=C sort -u >"$tmpdir/have"
sed -n '/^=item B<--json>/,/^=item B<-h>/p' "$tools/hugelite-doctor.pod" | grep -oE 'C<[^>]*>' |
    sed 's/^C<//; s/>$//' | LC_ALL=C sort -u >"$tmpdir/manual"
if ! grep -q '"mounts":\[{' "$tmpdir/out"; then      # a machine without one cannot show its keys
    for key in path size_bytes free_bytes mode writable; do echo $key; done >>"$tmpdir/have"
    LC_ALL=C sort -u -o "$tmpdir/have" "$tmpdir/have"
fi
diff "$tmpdir/have" "$tmpdir/manual" >&2 || die "doctor --json: keys differ (< printed, > page)"
