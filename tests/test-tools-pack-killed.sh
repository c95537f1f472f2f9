#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-killed: stopped by Ctrl-C or SIGTERM, or killed, at any moment, pack leaves
# either no OUT, or the former one, or a whole one; what a killed one leaves is hidden, and goes with the next
# pack of the same OUT, while what a living one has begun stays.

. ./functions.sh
requires python3 zstd
cd "$tmpdir"
make_db x.db 25000
expect_status 0 "$HUGELITE" pack x.db whole

hidden() { compgen -G '.y.pack-*' || true; }
begun() { [ -n "$(hidden)" ] || [ -e y ] || ! kill -0 $1 2>/dev/null; }

# SIGINT and SIGTERM are answered with a sentence, and nothing is left.
for signal in INT TERM; do
    for ((try = 0; try < 20; try++)); do
        "$HUGELITE" pack x.db y --level 22 --threads 1 --force >out 2>err &
        pack=$!
        await begun $pack
        kill -$signal $pack || true
        status=0
        wait $pack || status=$?
        [ $status -eq 0 ] || break          # else it had been too fast
        cmp y whole >/dev/null || zstd -q -t y || die "y is not whole"
        rm y
    done
    expect 1 $status "exit status after SIG$signal"
    grep -qx "hugelite pack: y: interrupted, nothing was written" err || die "$(cat err)"
    [ ! -e y ] && [ -z "$(hidden)" ] && [ ! -s out ] || die "SIG$signal leaves $(ls -A | xargs)"
done

# ^C on a terminal, with progress until then.  Sparse: nothing of it is on disk.
truncate -s 64G huge
status=0
python3 "$srcdir/test-tools-pty.py" "$HUGELITE" pack --any huge y >log 2>&1 <<'S' || status=$?
expect huge: [0-9.]+ .iB of 64\.0 GiB \([0-9]+ %\), [0-9.]+ [KMG]iB/s
send \x03
expect y: interrupted, nothing was written
S
expect 1 $status "exit status after ^C: $(cat -v log)"
[ ! -e y ] && [ -z "$(hidden)" ] || die "^C leaves $(ls -A | xargs)"

# kill -9 at moments from the beginning to beyond the end, over no OUT and over a former one
left=0
for ((i = 0; i < 24; i++)); do
    rm -f y
    [ $((i % 2)) -eq 0 ] || echo former >y
    "$HUGELITE" pack x.db y --force --threads 2 >out 2>err &
    pack=$!
    sleep "0.0$((i / 4))$((i % 4 * 3))"
    kill -KILL $pack 2>/dev/null || true
    { wait $pack || true; } 2>/dev/null
    if [ -e y ] && ! grep -qx former y; then
        cmp y whole || die "half a file under the final name"
    elif [ $((i % 2)) -eq 1 ]; then
        expect former "$(cat y 2>&1)" "the former file"
    fi
    [ -z "$(hidden)" ] || left=1
    [ "$(hidden | wc -l)" -le 1 ] || die "an earlier one was not removed: $(hidden)"
done
# One at least that surely leaves something
for ((try = 0; try < 20 && left == 0; try++)); do
    rm -f y
    "$HUGELITE" pack x.db y --level 22 --threads 1 >out 2>err &
    pack=$!
    await begun $pack
    kill -KILL $pack 2>/dev/null || true
    { wait $pack || true; } 2>/dev/null
    [ -z "$(hidden)" ] || left=1
done
[ $left -eq 1 ] || die "nothing was ever left: it was always too fast"

# What a living one has begun stays; stale ones go, and nothing else.
rm -f y .y.pack-*
"$HUGELITE" pack --any huge y >out 2>err &
living=$!
await begun $living
mine=$(hidden)
[ -n "$mine" ] || die "$(cat err)"
others=".y.pack-0123456789abcde .y.pack-0123456789abcdeg .z.pack-0123456789abcdef .y.pack- y.pack-0123456789abcdef"
touch $others
touch .y.pack-0123456789abcdef .y.pack-fedcba9876543210
expect_status 0 "$HUGELITE" pack x.db y
cmp y whole
[ -e "$mine" ] || die "the file of a living process was removed"
for other in $others; do
    [ -e "$other" ] || die "$other was removed"
done
[ ! -e .y.pack-0123456789abcdef ] && [ ! -e .y.pack-fedcba9876543210 ] || die "stale ones stay"
kill -TERM $living
wait $living || true
[ ! -e "$mine" ] || die "$mine stays"
cmp y whole || die "the second touched y"
