/* SPDX-License-Identifier: MIT
 *
 * seccomp.h - refuse system calls from here on, as containers do.
 */
#ifndef HUGELITE_TEST_SECCOMP_H
#define HUGELITE_TEST_SECCOMP_H

#include "test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The system call of this number fails with this errno in this thread, those that it starts and its children.
 * Call it before there are others.  Skips the test where that is refused. */
static inline void seccomp_refuse(unsigned number, unsigned err)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof steps / sizeof *steps, steps };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        test_skip("cannot install a seccomp filter here: %s", strerror(errno));
}

#endif
