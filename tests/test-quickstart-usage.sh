#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-quickstart-usage: quickstart says how to use it, and refuses what it cannot.
#
# Passes when -h prints the usage with status 0, and unknown options, a file that
# does not exist and a second argument end with status 2 and a reason, before
# anything is installed or built.

. ./functions.sh
quickstart=$abs_top_srcdir/quickstart
export HUGELITE_BUILD=$tmpdir/build

for option in -h --help; do
    expect_status 0 "$quickstart" $option
    grep -q '^usage: ./quickstart \[DB\]' "$tmpdir/out" || die "$option prints no usage"
    grep -q './quickstart test' "$tmpdir/out" || die "$option does not mention test"
done

for arguments in "-x" "--tests" "$tmpdir/nosuch.db" "$tmpdir" "test more" "a b"; do
    expect_status 2 "$quickstart" $arguments
    grep -q '^usage: ./quickstart \[DB\]' "$tmpdir/err" || die "'$arguments': no usage on stderr"
    [ ! -s "$tmpdir/out" ] || die "'$arguments': wrote to stdout"
done
expect_status 2 "$quickstart" "$tmpdir/nosuch.db"
grep -q "nosuch.db': no such file" "$tmpdir/err" || die "does not name the missing file"
[ ! -e "$HUGELITE_BUILD" ] || die "built something nonetheless"
