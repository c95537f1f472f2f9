/* SPDX-License-Identifier: MIT
 *
 * coverage-exit.c - in a build that tests/coverage makes: who ends by _exit(), or by a kill -9 of its
 * own (stop_die), writes its counts first.  Empty in any other build.
 *
 * See also: coverage, stop.c.
 */
#include "config.h"

#ifdef HL_TEST_COVERAGE

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

void __gcov_dump(void);

/* In the program itself, so that they come before libc's.  The kernel ends the process, hence
 * nothing of it runs between the counts and the end but its other threads. */
void _exit(int status)
{
    __gcov_dump();
    for (;;)
        syscall(SYS_exit_group, status);
}

int kill(pid_t pid, int signo)
{
    if (pid == getpid() && signo == SIGKILL)
        __gcov_dump();
    return (int)syscall(SYS_kill, pid, signo);
}

#endif
