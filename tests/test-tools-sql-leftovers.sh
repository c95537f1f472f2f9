#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-sql-leftovers: what a dead or living writer leaves beside a database is either
# read correctly or refused with the command that puts it right; that command does.

. ./functions.sh
requires sqlite3 python3
cd "$tmpdir"

# Die in mid-transaction with changed pages in the file: a hot journal.
make_db hot.db 20000
sqlite3 hot.db "SELECT sum(k), count(*) FROM t" >before
python3 - <<'P'
import os, signal, sqlite3
pid = os.fork()
if pid == 0:
    db = sqlite3.connect("hot.db", isolation_level=None)
    db.execute("PRAGMA cache_size = 5")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE t SET k = -1, v = 'x' || v")
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
P
[ -s hot.db-journal ] || die "no journal: the test is wrong"
expect_status 1 "$HUGELITE" sql hot.db "SELECT sum(k), count(*) FROM t"
[ ! -s out ] || die "served with a hot journal: $(cat out)"
grep -q "^hugelite sql: .*hot.db.*journal" err || die "$(cat err)"
command=$(grep -o "sqlite3 '.*" err) || die "no command to mend it in: $(cat err)"
bash -c "$command" >/dev/null
expect_status 0 "$HUGELITE" sql hot.db "SELECT sum(k), count(*) FROM t"
cmp before out || die "after rollback: $(cat out), before: $(cat before)"

# A write-ahead log with a commit that the file does not have yet.
make_db wal.db 1000
python3 - <<'P'
import os, signal, sqlite3
pid = os.fork()
if pid == 0:
    db = sqlite3.connect("wal.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("UPDATE t SET k = 4711 WHERE id = 5")
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
P
[ -s wal.db-wal ] || die "no log: the test is wrong"
expect_status 0 "$HUGELITE" sql wal.db "SELECT k FROM t WHERE id = 5"
expect 4711 "$(cat out)" "with a write-ahead log"
grep -q "not cached: .*WAL" err || die "it does not say that it is not cached: $(cat err)"

# A writer at work: we wait for it a little, and read what it committed.
make_db busy.db 1000
python3 - >writer 2>&1 <<'P' &
import sqlite3, time
db = sqlite3.connect("busy.db", isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
db.execute("UPDATE t SET k = 99 WHERE id = 5")
open("locked", "w").close()
time.sleep(1)
db.execute("COMMIT")
P
await [ -e locked ]
expect_status 0 "$HUGELITE" sql busy.db "SELECT k FROM t WHERE id = 5"
expect 99 "$(cat out)" "beside a writer"
