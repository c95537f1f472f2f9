/* SPDX-License-Identifier: MIT
 *
 * test-transfer-fork: fork() and exit() in the middle of transfers.
 *
 * Passes when a child, which has no transfer thread, begins anew, and is told -ECHILD of what its
 * parent asked for; when the parent's transfers go on; and when a process that exits while
 * transfers are under way does so in time.
 */
#include "config.h"

#include "kit-transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LENGTH 200000
#define CHILDREN 12
#define SEED 31

static struct kit_origin *origin;
static struct hl_target target;
static char buffers[4][LENGTH], own[LENGTH];
static struct hl_transfer transfers[4];

static void start_all(void)
{
    for (unsigned i = 0; i < 4; i++) {
        transfers[i] = (struct hl_transfer){ .target = &target, .length = LENGTH,
                                             .src_offset = 8 * i, .buffer = buffers[i] };
        EXPECT_RC(hl_transfer_start(&transfers[i]), 0);
    }
}

static void child(void)
{
    struct hl_transfer transfer = { .target = &target, .length = LENGTH, .buffer = own };

    EXPECT_RC(hl_transfer_wait(&transfers[0]), -ECHILD);
    hl_transfer_cancel(&transfers[1]);
    hl_transfer_hurry(&transfers[2]);
    EXPECT_RC(kit_transfer(&transfer), 0);
    EXPECT_PATTERN(own, LENGTH, SEED, 0);
}

static void forks(void)
{
    pid_t pids[CHILDREN];

    kit_origin_order(origin, "fault delay_ms=30");
    kit_origin_order(origin, "fault path=/db drip=1000000");
    for (unsigned i = 0; i < CHILDREN; i++) {
        start_all();
        test_sleep_ms(i * 20 % 50);
        pids[i] = kit_transfer_fork();
        if (pids[i] == 0) {
            child();
            exit(0); /* with its handlers */
        }
        for (unsigned j = 0; j < 4; j++) {
            EXPECT_RC(hl_transfer_wait(&transfers[j]), 0);
            EXPECT_PATTERN(buffers[j], LENGTH, SEED, 8 * j);
        }
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        EXPECT_CHILD(pids[i], 0);
}

static void exits(void)
{
    double begun = test_now();
    pid_t pid;

    kit_origin_order(origin, "fault hang=yes");
    pid = kit_transfer_fork();
    if (pid == 0) {
        start_all();
        test_sleep_ms(20);
        exit(0);
    }
    EXPECT_CHILD(pid, 0);
    EXPECT(test_now() - begun < TEST_HANG_S); /* the requests would fail after twice that */
}

int main(void)
{
    test_file(test_path(kit_transfer_dir(), "db"), LENGTH + 64, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db"));
    forks();
    exits();
    return 0;
}
