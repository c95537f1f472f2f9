#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-usage: help and version go to stdout with exit 0; wrong usage says what is
# wrong and where help is, on stderr, with exit 2; output that cannot be written is a failure.

. ./functions.sh

commands="doctor setup sql pack verify warm evict resize stat ls rm bench"

quiet_err() { [ ! -s "$tmpdir/err" ] || die "$1: unexpected on stderr: $(cat "$tmpdir/err")"; }
quiet_out() { [ ! -s "$tmpdir/out" ] || die "$1: unexpected on stdout: $(cat "$tmpdir/out")"; }
err_has() { grep -qF -- "$1" "$tmpdir/err" || die "expected '$1' in: $(cat "$tmpdir/err")"; }

for option in -h --help; do
    expect_status 0 "$HUGELITE" $option
    quiet_err "$option"
    for command in $commands; do
        grep -q "^  $command " "$tmpdir/out" || die "$option does not list $command"
    done
done
for option in -V --version; do
    expect_status 0 "$HUGELITE" $option
    grep -qE '^hugelite [0-9]+\.[0-9]+\.[0-9]+$' "$tmpdir/out" || die "version: $(cat "$tmpdir/out")"
done
version=$(cat "$tmpdir/out")

for command in $commands; do
    for option in -h --help; do
        expect_status 0 "$HUGELITE" "$command" $option
        quiet_err "$command $option"
        head -n 1 "$tmpdir/out" | grep -q "^usage: hugelite $command" ||
            die "$command $option: $(head -n 1 "$tmpdir/out")"
    done
    for option in -V --version; do
        expect_status 0 "$HUGELITE" "$command" $option
        expect "$version" "$(cat "$tmpdir/out")" "$command $option"
    done
    for option in --nonsense -x; do
        expect_status 2 "$HUGELITE" "$command" $option
        quiet_out "$command $option"
        err_has "hugelite $command: "
        err_has "'$option'"
        err_has "Try 'hugelite $command --help'."
    done
done

# hugelite itself
expect_status 2 "$HUGELITE"
quiet_out "no command"
expect_status 2 "$HUGELITE" nonsense
err_has "unknown command 'nonsense'"
err_has "Try 'hugelite --help'."
expect_status 2 "$HUGELITE" --nonsense
err_has "unknown option '--nonsense'"
expect_status 2 "$HUGELITE" -x stat
err_has "unknown option '-x'"

# arguments: each line is wrong, and says so with these words
wrong() {
    local words=$1
    shift
    expect_status 2 "$HUGELITE" "$@"
    quiet_out "$*"
    err_has "hugelite $1: "
    err_has "$words"
}
wrong "unexpected argument 'x'" doctor x
wrong "unexpected argument 'x'" stat x
wrong "'--pool' needs a value" stat --pool
wrong "'--json' takes no value" stat --json=1
wrong "which database?" sql
wrong "SOURCE is empty" sql ''
wrong "unexpected argument 'b'" sql x.db a b
wrong "--mode 'html': not one of list, column, csv, json" sql --mode html x.db
wrong "'--mode' needs a value" sql x.db --mode
wrong "name IN" pack
wrong "name IN" pack x.db
wrong "unexpected argument 'z'" pack x y z
wrong "IN is empty" pack '' y
wrong "OUT is empty" pack x ''
wrong "OUT '-': must be a file" pack x -
wrong "--level '0': not a number from 1 to 22" pack x y --level 0
wrong "--level '23': not a number" pack x y --level 23
wrong "--level '3x': not a number" pack x y --level 3x
wrong "--level '': not a number" pack x y --level ''
wrong "--frame '64Q': not a size as in 64K" pack x y --frame 64Q
wrong "--frame '0': not a power of two from 4K to 2M" pack x y --frame 0
wrong "--frame '2K': not a power of two" pack x y --frame 2K
wrong "--frame '4M': not a power of two" pack x y --frame 4M
wrong "--frame '100000': not a power of two" pack x y --frame 100000
wrong "--threads '0': not a number from 1 to" pack x y --threads 0
wrong "--threads '-1': not a number from 1 to" pack x y --threads -1
wrong "'--frame' needs a value" pack x y --frame
wrong "'--force' takes no value" pack x y --force=1
wrong "which database?" verify
wrong "unexpected argument 'y'" verify x y
wrong "--threads 'many': not a number from 1 to" verify x --threads many
wrong "SOURCE is empty" verify ''
wrong "which database?" warm
wrong "unexpected argument 'y'" warm x y
wrong "exclude each other" warm x --table t --list
wrong "--rate 'fast': not a size as in 20M" warm x --rate fast
wrong "--rate '0': must be more than 0" warm x --rate 0
wrong "--bytes '1Q': not a size" warm x --bytes 1Q
wrong "--bytes '0': must be more than 0" warm x --bytes 0
wrong "'--table' needs a value" warm x --table
wrong "which database?" evict
wrong "exclude each other" evict --all x
wrong "unexpected argument 'y'" evict x y
wrong "unexpected argument 'x'" ls x
wrong "'--json' takes no value" ls --json=1
wrong "to which SIZE?" resize
wrong "'much': not a size" resize much
wrong "unexpected argument 'z'" resize 4M y z
wrong "which database?" rm
wrong "exclude each other" rm --all x
wrong "IN 'https://h/x.db': must be a file of this machine" pack https://h/x.db y
wrong "OUT 's3://b/y': must be a file of this machine" pack x s3://b/y
wrong "say --size" setup
wrong "--size 'lots': not a size" setup --size lots
wrong "--size '1Q': not a size" setup --size 1Q
wrong "more than 0" setup --size 0
wrong "not an octal mode" setup --size 2M --mode 8
wrong "not an octal mode" setup --size 2M --mode 7777
wrong "not an octal mode" setup --size 2M --mode rwx
wrong "not an absolute path" setup --size 2M --mount mnt
wrong "--undo goes with --mount only" setup --undo --size 2M
wrong "--undo goes with --mount only" setup --undo --persist
wrong "unexpected argument 'x'" setup --undo x

# What stands in a URL is not repeated, not even in a message about something else.
secret() { ! grep -qF -e hunter2 -e c0ffee "$tmpdir/err" || die "$*: $(cat "$tmpdir/err")"; }
url='https://joe:hunter2@h:8080/a/x.db?sig=c0ffee&part=1'
for words in "sql x 1" "warm x" "verify x" "evict x" "evict --all" "stat" "ls" "rm --all" "doctor" \
    "pack x y" ""; do
    expect_status 2 "$HUGELITE" $words "$url"
    err_has "https://h:8080/a/x.db?..."
    secret "$words"
done
expect_status 2 "$HUGELITE" ls 'https://joe:hun/ter2@h/x'
err_has "https://..."
! grep -qF hun "$tmpdir/err" || die "$(cat "$tmpdir/err")"

# A full disk is not success.
if [ -e /dev/full ]; then
    status=0
    "$HUGELITE" --help >/dev/full 2>"$tmpdir/err" || status=$?
    expect 1 $status "writing to /dev/full"
    err_has "cannot write the output"
fi
