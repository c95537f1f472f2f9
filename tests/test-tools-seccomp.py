# SPDX-License-Identifier: MIT
"""Run a command with userfaultfd(2) refused by a seccomp filter, as containers do (EPERM)."""
import ctypes
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": (0xC000003E, 323), "aarch64": (0xC00000B7, 282)}
if platform.machine() not in NUMBERS:
    sys.exit(77)
arch, number = NUMBERS[platform.machine()]

LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO_EPERM = 0x7FFF0000, 0x00050001
program = [
    (LOAD, 0, 0, 4),                 # the architecture
    (JUMP_EQUAL, 0, 3, arch),
    (LOAD, 0, 0, 0),                 # the number of the system call
    (JUMP_EQUAL, 0, 1, number),
    (RETURN, 0, 0, ERRNO_EPERM),
    (RETURN, 0, 0, ALLOW),
]
code = b"".join(struct.pack("HBBI", *step) for step in program)
buffer = ctypes.create_string_buffer(code)
header = ctypes.create_string_buffer(struct.pack("HL", len(program), ctypes.addressof(buffer)))

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
        libc.prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0) != 0:
    print("no seccomp: " + os.strerror(ctypes.get_errno()), file=sys.stderr)
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
