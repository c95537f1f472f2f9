#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-changed: an IN that is written to, cut, replaced or gets a log while it is
# packed is noticed, whoever did it, and there is no OUT; an OUT that appears meanwhile is not
# overwritten without --force.

. ./functions.sh
requires sqlite3
cd "$tmpdir"
make_db original 30000

begun() { [ -n "$(compgen -G '.y.pack-*')" ] || [ -e y ] || ! kill -0 $pack 2>/dev/null; }

# stopped ARGUMENT...: pack x.db to y, stopped on the way; tried again if it was too fast
stopped() {
    local try i state
    for ((try = 0; try < 20; try++)); do
        rm -f y x.db x.db-wal
        cp original x.db
        "$HUGELITE" pack x.db y --level 15 --threads 1 "$@" >out 2>err &
        pack=$!
        await begun
        kill -STOP $pack 2>/dev/null || true
        state=
        until [ "$state" = T ] || [ "$state" = Z ]; do
            state=$(awk '{ print $3 }' /proc/$pack/stat 2>/dev/null || echo Z)
        done
        # Its mode is the last thing but its name: until then it has not looked at IN again.
        [ $state = Z ] || [ "$(stat -c %a .y.pack-* 2>/dev/null)" != 600 ] || return 0
        kill -CONT $pack 2>/dev/null || true
        wait $pack || die "$(cat err)"
    done
    die "it was too fast to be stopped"
}
goes_on() {   # STATUS WORDS
    status=0
    kill -CONT $pack
    wait $pack || status=$?
    expect "$1" $status "exit status: $(cat err)"
    grep -q "^hugelite pack: $2" err || [ "$1" -eq 0 ] || die "$(cat err)"
    [ "$1" -eq 0 ] || [ ! -s out ] || die "stdout: $(cat out)"
    [ -z "$(find . -name '.y.pack-*')" ] || die "it left $(find . -name '.y.pack-*')"
}
no_out() { [ ! -e y ] || die "there is a y"; }

# Not SQLite, so its lock stops nobody: the last bytes; then a byte of the header, with the times of before
stopped
printf 'x' | dd of=x.db bs=1 seek=$(($(stat -c %s x.db) - 5)) conv=notrunc status=none
goes_on 1 "x.db: has changed while it was packed; pack it again"
no_out
stopped
touch -r x.db times
printf '\x01\x01' | dd of=x.db bs=1 seek=26 conv=notrunc status=none
touch -r times x.db
goes_on 1 "x.db: has changed while it was packed"
no_out
stopped --any
echo more >>x.db
goes_on 1 "x.db: has changed while it was packed"
no_out

# Cut short
stopped
truncate -s 100000 x.db
goes_on 1 "x.db: was cut while it was packed: there is nothing at byte [0-9]*$"
no_out

# Another file under the name
stopped
cp original x2
mv x2 x.db
goes_on 1 "x.db: was replaced while it was packed"
no_out
stopped
rm x.db
goes_on 1 "x.db: was replaced while it was packed"
no_out

# A log
stopped
echo frames >x.db-wal
goes_on 1 "x.db: has a write-ahead log beside it"
no_out
rm x.db-wal

# A y of somebody else
stopped
echo precious >y
goes_on 1 "y: is there already; --force replaces it"
expect precious "$(cat y)" "what y has"
stopped --force
echo precious >y
goes_on 0 ""
expect_status 0 "$HUGELITE" verify y

# The directory is gone with all that was in it.
mkdir sub
rm -f y x.db
cp original x.db
"$HUGELITE" pack x.db sub/y --level 15 --threads 1 >out 2>err &
pack=$!
has_written() { [ -n "$(find sub -name '.y.pack-*' -size +0)" ]; }
await has_written
kill -STOP $pack
rm -r sub
kill -CONT $pack
status=0
wait $pack || status=$?
expect 1 $status "exit status: $(cat err)"
grep -q "^hugelite pack: sub/y: cannot get its name: " err || die "$(cat err)"
