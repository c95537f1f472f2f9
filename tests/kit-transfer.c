/* SPDX-License-Identifier: MIT
 *
 * kit-transfer.c - see kit-transfer.h.
 */
#include "config.h"

#include "kit-transfer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *kit_transfer_dir(void)
{
    static const char *dir;

    if (!dir)
        dir = test_dir();
    return dir;
}

void kit_target(struct hl_target *target, const char *url)
{
    free(target->url);
    free(target->moved);
    *target = (struct hl_target){ .url = strdup(url), .name = "the object" };
    EXPECT(target->url);
}

int kit_transfer(struct hl_transfer *transfer)
{
    int rc = hl_transfer_start(transfer);

    return rc < 0 ? rc : hl_transfer_wait(transfer);
}

pid_t kit_transfer_fork(void)
{
    pid_t pid;

    hl_transfer_fork_prepare();
    pid = fork();
    if (pid == 0)
        hl_transfer_fork_child();
    else
        hl_transfer_fork_parent();
    EXPECT(pid >= 0);
    return pid;
}
