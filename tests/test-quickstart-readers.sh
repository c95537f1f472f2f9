#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-quickstart-readers: examples/readers.py notices what is wrong, and cleans up.
#
# Passes when wrong rows, a reader that fails, readers that fill nothing, and a second file that is not
# compressed, or is of another database, end it with status 1 and a reason, and when SIGINT and
# SIGTERM end the readers too. The program hugelite is played by a script.

. ./functions.sh
requires sqlite3 pgrep
requires_python_ext
readers=$abs_top_srcdir/examples/readers.py
make_db "$tmpdir/x.db" 1000
unset HUGELITE_QUERY
export HUGELITE=$tmpdir/hugelite

play() {    # the body of `hugelite sql`
    cat >"$HUGELITE" <<SH
#!/bin/sh
[ "\$1" = sql ] || exit 1
$1
SH
    chmod +x "$HUGELITE"
}

expect_status 2 "$PYTHON_EXT" "$readers"
expect_status 2 "$PYTHON_EXT" "$readers" -x
expect_status 2 "$PYTHON_EXT" "$readers" a b c d
expect_status 0 "$PYTHON_EXT" "$readers" -h

# Its `stat` fails, so nothing can have been filled.
play 'exec sqlite3 -batch "$2" "$3"'
expect_status 1 "$PYTHON_EXT" "$readers" "$tmpdir/x.db"
grep -q 'they did not go through Hugelite' "$tmpdir/err" || die "$(cat "$tmpdir/err")"

play 'echo "disk on fire" >&2; exit 1'
expect_status 1 "$PYTHON_EXT" "$readers" "$tmpdir/x.db"
grep -q 'disk on fire' "$tmpdir/err" || die "the reason is lost: $(cat "$tmpdir/err")"

# Rows are compared between stock and Hugelite: the real program, but for one digit.
real=$abs_top_builddir/tools/hugelite
cat >"$HUGELITE" <<SH
#!/bin/sh
[ "\$1" = sql ] || exec "$real" "\$@"
"$real" "\$@" | sed s/1/2/
SH
expect_status 1 "$PYTHON_EXT" "$readers" "$tmpdir/x.db"
grep -q 'hugelite sql: .* gave other rows' "$tmpdir/err" || die "$(cat "$tmpdir/err")"

# The two ways may be the database and its compressed twin.
HUGELITE=$real expect_status 1 "$PYTHON_EXT" "$readers" "$tmpdir/x.db" "$tmpdir/x.db"
grep -q 'x.db: not as hugelite pack makes it' "$tmpdir/err" || die "$(cat "$tmpdir/err")"
make_db "$tmpdir/y.db" 999
"$real" pack "$tmpdir/y.db" "$tmpdir/y.db.zst" >/dev/null
HUGELITE=$real expect_status 1 "$PYTHON_EXT" "$readers" "$tmpdir/x.db" "$tmpdir/y.db.zst"
grep -q 'sqlite3 shell: packed gave other rows' "$tmpdir/err" || die "$(cat "$tmpdir/err")"

play 'exec sleep 3600'
for signal in INT TERM; do
    env --default-signal=INT "$PYTHON_EXT" "$readers" "$tmpdir/x.db" >/dev/null 2>&1 &
    run=$!
    readers_run() { pgrep -x sleep -P $run >"$tmpdir/children"; }
    await readers_run
    kill -$signal $run
    status=0
    wait $run || status=$?
    [ $status -eq 130 ] || [ $status -eq 143 ] || die "status $status after SIG$signal"
    for child in $(cat "$tmpdir/children"); do
        [ ! -e /proc/$child ] || die "a reader lives on after SIG$signal"
    done
done
