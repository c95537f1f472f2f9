#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-sql-prompt: on a terminal there is a prompt: statements may span lines, an error
# does not end it, Ctrl-C interrupts a query and leaves at the prompt, .quit and the end
# of input leave too, always with exit 0.

. ./functions.sh
requires python3
cd "$tmpdir"
make_db x.db 20

talk() {
    local status=0
    python3 "$srcdir/test-tools-pty.py" "$HUGELITE" sql x.db >out 2>&1 || status=$?
    expect 0 $status "exit status: $(cat -v out)"
}

talk <<'S'
expect hugelite> $
send .help\n
expect \.tables.*\.quit.*hugelite> $
send .tables\n
expect t\r\nhugelite> $
send .schema\n
expect CREATE TABLE t\(.*hugelite> $
send SELECT id,\n
expect \.\.\.> $
send  k FROM t WHERE id < 3;\n
expect id  k\r\n1   7919\r\n2   15838\r\nhugelite> $
send nonsense;\n
expect syntax error.*hugelite> $
send .nonsense\n
expect unknown command '.nonsense'.*hugelite> $
send SELECT 40 + 2;\n
expect 42\r\nhugelite> $
send .quit\n
S

# A query that never ends, Ctrl-C, and on with the next; Ctrl-C at the prompt leaves.
talk <<'S'
expect hugelite> $
send SELECT 4700 + 11; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;\n
expect \r\n4711\r\n$
send \x03
expect interrupted.*hugelite> $
send SELECT 5 + 5;\n
expect 10\r\nhugelite> $
send \x03
S

# The end of input
talk <<'S'
expect hugelite> $
send \x04
S
