# SPDX-License-Identifier: MIT
"""Run a command on a terminal of its own and talk to it, as a script on stdin says:
    expect REGEX    wait until this appears in what was written since the last expect
    send TEXT       type this (with escapes as in Python)
What the command writes goes to stdout.  Exit status: the command's; 124 after 90 seconds."""
import os
import pty
import re
import select
import sys
import time

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])

seen = b""
deadline = time.monotonic() + 90


def read():
    """More of what the command writes; False when it has ended."""
    global seen
    if not select.select([terminal], [], [], 0.1)[0]:
        return True
    try:
        data = os.read(terminal, 65536)
    except OSError:  # Linux says EIO when nobody holds the other side
        return False
    sys.stdout.buffer.write(data)
    seen += data
    return bool(data)


def give_up(why):
    sys.stdout.flush()
    print("\n[%s; seen since the last match: %r]" % (why, seen), file=sys.stderr)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    sys.exit(124)


for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    if word == "send":
        os.write(terminal, rest.encode().decode("unicode_escape").encode("latin1"))
    elif word == "expect":
        pattern = re.compile(rest.encode(), re.S)
        while not (match := pattern.search(seen)):
            if time.monotonic() > deadline:
                give_up("timeout waiting for %s" % rest)
            if not read() and not pattern.search(seen):
                give_up("ended while waiting for %s" % rest)
        seen = seen[match.end():]

while read():
    if time.monotonic() > deadline:
        give_up("timeout waiting for the end")
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
