#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-pack-quiescent: a database with a hot journal, with a write-ahead log that holds
# something, or with a transaction that writes under way is refused, the first two with the command that
# mends it, which is run here; an idle journal or log is no obstacle; while it is packed a
# writer waits, a reader does not; and nothing is left beside IN.

. ./functions.sh
requires sqlite3 python3 zstd
cd "$tmpdir"

refused() {   # WORDS NAME: in at most some seconds, with nothing written
    expect_status 1 timeout 60 "$HUGELITE" pack "$2" y
    grep -q "^hugelite pack: $2: $1" err || die "$2: $(cat err)"
    [ ! -e y ] && [ -z "$(find . -name '.*.pack-*')" ] || die "$2: something was written"
}

# The command that the message ends with.
mend() {
    sed 's/.*[:,] \(sqlite3 .*\)/\1/' err >command
    sh ./command >/dev/null || die "the command does not work: $(cat command)"
}

packed() {   # NAME: packs, and is whole
    expect_status 0 "$HUGELITE" pack "$1" y
    zstd -q -d -c y | cmp - "$1" || die "$1: is not what was packed"
    expect "$2" "$("$HUGELITE" sql y "SELECT sum(k) FROM t")" "$1: its content"
    rm y
}

# ---- a journal ----------------------------------------------------------------
make_db hot 3000
sum=$(sqlite3 hot "SELECT sum(k) FROM t")
(python3 - || true) 2>/dev/null <<'P'
import os, sqlite3
db = sqlite3.connect("hot", isolation_level=None)
db.execute("PRAGMA cache_size=5")
db.execute("PRAGMA cache_spill=5")
db.execute("BEGIN")
db.execute("UPDATE t SET k = k + 1")
os.kill(os.getpid(), 9)
P
[ -s hot-journal ] || die "no hot journal was made"
refused "a writer died and left a hot journal; open the database once" hot
mend
packed hot "$sum"

for mode in persist truncate; do
    sqlite3 hot "PRAGMA journal_mode=$mode; UPDATE t SET k = k + 1" >/dev/null
    [ -e hot-journal ] || die "journal_mode=$mode leaves no journal"
    sum=$(sqlite3 hot "SELECT sum(k) FROM t")
    packed hot "$sum"
done

# ---- a log --------------------------------------------------------------------
make_db wal 3000
(python3 - || true) 2>/dev/null <<'P'
import os, sqlite3
db = sqlite3.connect("wal", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("UPDATE t SET k = k + 1 WHERE id < 100")
os.kill(os.getpid(), 9)
P
[ -s wal-wal ] || die "no log was made"
refused "has a write-ahead log beside it" wal
cp wal only
mend
sum=$(sqlite3 wal "SELECT sum(k) FROM t")
rm -f wal-wal wal-shm
packed wal "$sum"          # its header still says WAL
expect "wal" "$(ls -d wal*)" "files beside it"
: >wal-wal
packed wal "$sum"
rm wal-wal
# Without its log it is another database, which is the user's affair.
expect_status 0 "$HUGELITE" pack only y --any
rm y

# ---- others -------------------------------------------------------------------
# Locks of a second process: holds what is asked for until its stdin ends.
cat >hold.py <<'P'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for sql in sys.argv[2:]:
    db.execute(sql).fetchall()
print("held", flush=True)
sys.stdin.read()
P
make_db busy 3000
sum=$(sqlite3 busy "SELECT sum(k) FROM t")
hold() {
    coproc HOLD { python3 hold.py "$@"; }
    read -r word <&"${HOLD[0]}"
    expect held "$word"
}
let_go() {
    eval "exec ${HOLD[1]}>&-"
    wait "$HOLD_PID"
}

hold busy "BEGIN" "SELECT count(*) FROM t"
packed busy "$sum"
let_go
hold busy "BEGIN IMMEDIATE"
refused "a program is writing to it; try again" busy
let_go
hold busy "BEGIN EXCLUSIVE" "UPDATE t SET k = 0"
refused "a program is writing to it; try again" busy
let_go
packed busy "$sum"
# One that ends soon is waited for.
hold busy "BEGIN IMMEDIATE"
"$HUGELITE" pack busy y >out 2>err &
pack=$!
sleep 0.3
kill -0 $pack || die "it did not wait: $(cat err)"
let_go
wait $pack || die "it did not go on: $(cat err)"
rm y

# ---- while it is packed --------------------------------------------------------
make_db busy 30000
sum=$(sqlite3 busy "SELECT sum(k) FROM t")
for ((try = 0; try < 20; try++)); do          # it may be too fast to be stopped
    rm -f y
    "$HUGELITE" pack busy y --level 15 --threads 1 >packout 2>packerr &
    pack=$!
    begun() { [ -n "$(compgen -G '.y.pack-*')" ] || [ -e y ] || ! kill -0 $pack 2>/dev/null; }
    await begun
    kill -STOP $pack 2>/dev/null || true
    stopped() { [ ! -e /proc/$pack ] || grep -q '^State:[[:space:]]*[TZ]' /proc/$pack/status; }
    await stopped
    # Its mode is the last thing but its name: until then it has the lock.
    [ "$(stat -c %a .y.pack-* 2>/dev/null)" != 600 ] || break
    kill -CONT $pack 2>/dev/null || true
    wait $pack
done
[ $try -lt 20 ] || die "it was too fast to be stopped"
expect_status 0 sqlite3 busy "SELECT sum(k) FROM t"
expect "$sum" "$(cat out)" "a reader beside it"
status=0
sqlite3 busy "UPDATE t SET k = 0" 2>err2 || status=$?
[ $status -ne 0 ] && grep -q locked err2 || die "a writer got through: $(cat err2)"
kill -CONT $pack
wait $pack || die "pack: $(cat packerr)"
expect "$sum" "$("$HUGELITE" sql y "SELECT sum(k) FROM t")"
sqlite3 busy "UPDATE t SET k = 0" || die "the lock stayed"
