/* SPDX-License-Identifier: MIT
 *
 * test-inject-calls: the Nth system call of each kind fails, for every N until it does not come.
 *
 * A pool is made, or is there; its volume, raw or compressed, on the pages of this run and on
 * small ones, is opened, mapped, looked up, fetched, read, warmed, evicted, checked and closed.
 * Each kind of call meets each errno that it may meet (EINTR, EIO, ENOMEM, ENOSPC, EMFILE,
 * EAGAIN, ...), and reads that are short or at the end.  Passes when each call into the engine
 * gives the right bytes or an error with a sentence; when the same process then reads every byte
 * right, and the tables are in order; and when descriptors, mappings, threads and blocks of
 * memory are as many as before.  Nothing may take longer than 20 seconds.  In CI thinned, as
 * inject-kit.h says, and four of twelve combinations of story, encoding and pages; all with
 * HUGELITE_TEST_SECONDS (two minutes).
 */
#include "config.h"

#include "inject-kit.h"
#include "kit.h"
#include "stop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAYS = 8 };

static const int ways[STOP_KINDS][WAYS] = {
    [STOP_K_OPENAT] = { EMFILE, EINTR, EIO, ENOMEM },
    [STOP_K_FSTAT] = { EIO, ENOMEM },
    [STOP_K_STAT] = { EIO, ENOMEM, EINTR },
    [STOP_K_FSTATFS] = { EIO, EINTR },
    [STOP_K_FTRUNCATE] = { EIO, ENOSPC, EINTR, EPERM },
    [STOP_K_FALLOCATE] = { ENOSPC, ENOMEM, EINTR },
    [STOP_K_PUNCH] = { ENOMEM, EIO, EINTR, EPERM },
    [STOP_K_UNLINKAT] = { EIO, EPERM, EBUSY, ENOMEM },
    [STOP_K_MKDIR] = { ENOSPC, EIO, EPERM },
    [STOP_K_FCHMOD] = { EPERM, EIO },
    [STOP_K_PREAD] = { EIO, EINTR, ENOMEM, EAGAIN, STOP_SHORT, STOP_END },
    [STOP_K_READ] = { EAGAIN, EINTR, STOP_SHORT, STOP_END },
    [STOP_K_MMAP] = { ENOMEM, EAGAIN },
    [STOP_K_MPROTECT] = { ENOMEM },
    [STOP_K_MADVISE] = { ENOMEM, EINTR, EAGAIN },
    [STOP_K_API] = { EINVAL, EPERM, ENOMEM },
    [STOP_K_REGISTER] = { ENOMEM, EBUSY, EPERM },
    [STOP_K_COPY] = { EAGAIN, ENOMEM, ENOSPC, EEXIST, EIO, EPERM, STOP_SHORT, STOP_STRAY_PAGE },
    [STOP_K_CONTINUE] = { EAGAIN, ENOMEM, EINVAL },
    [STOP_K_POISON] = { EAGAIN, ENOMEM, EPERM },
    [STOP_K_LOCK] = { EINTR, EAGAIN, ENOLCK },
    [STOP_K_GETLK] = { EINTR, ENOLCK },
    [STOP_K_LEASE] = { EAGAIN, EINVAL },
    [STOP_K_POLL] = { EINTR, ENOMEM },
    [STOP_K_USERFAULTFD] = { EPERM, EMFILE, ENOMEM },
    [STOP_K_EVENTFD] = { EMFILE, ENOMEM },
    [STOP_K_MEMBARRIER] = { EPERM, ENOMEM },
    [STOP_K_FUTEX_WAIT] = { EINTR, EAGAIN, ENOMEM },
};

struct failure {
    enum stop_kind kind;
    unsigned nth;
    int err;
};

static unsigned nr_runs, nr_failed, nr_sweeps;

static void arm(void *arg)
{
    const struct failure *failure = arg;

    stop_fail_kind(failure->kind, failure->nth, 1, failure->err);
}

static bool disarm(void)
{
    bool failed = stop_failed_kind();

    stop_fail_kind(STOP_K_OPENAT, 1, 0, 0);
    return failed;
}

static unsigned nr_ways(enum stop_kind kind)
{
    unsigned nr = 0;

    while (nr < WAYS && ways[kind][nr])
        nr++;
    return nr;
}

/* Has the nth call of the kind come, in any of its ways? */
static bool fail_nth(const struct ik_story *story, const struct ik_ground *ground,
                     enum stop_kind kind, unsigned nth)
{
    unsigned nr = nr_ways(kind);
    bool came = false;

    for (unsigned way = 0; way < nr; way++) {
        struct failure failure = { kind, nth, ways[kind][way] };
        bool failed;

        if (!ik_takes(nth + nr_sweeps, way, nr))
            continue;
        ik_say("%s, %s: %s number %u fails with %s", ground->name, story->name,
               stop_kind_name(kind), nth, stop_err_name(failure.err));
        failed = ik_run(story, ground, arm, disarm, &failure);
        nr_runs++;
        nr_failed += failed;
        came = came || failed;
    }
    return came;
}

static void sweep(const struct ik_story *story, const struct ik_ground *ground)
{
    unsigned most = 0;

    ik_settle(story, ground);
    for (enum stop_kind kind = 0; kind < STOP_KINDS; kind++) {
        unsigned nth = 1;

        while (fail_nth(story, ground, kind, nth))
            nth = ik_next(nth);
        most += nth - 1;
    }
    ik_say("%s", "");
    nr_sweeps++;
    fprintf(stderr, "%s, %s: about %u calls\n", ground->name, story->name, most);
}

int main(void)
{
    struct ik_ground raw = ik_ground("raw", false), zst = ik_ground("zst", true);

    sweep(&ik_made, &raw);
    sweep(&ik_wounded, &raw);
    if (ik_is_full()) {
        sweep(&ik_attached, &raw);
        sweep(&ik_made, &zst);
        sweep(&ik_attached, &zst);
        sweep(&ik_wounded, &zst);
    }
    if (test_on_hugepages()) {
        setenv("HUGELITE_TEST_PAGES", "shmem", 1);
        unsetenv("HUGELITE_TEST_POOLS");
        raw = ik_ground("raw on small pages", false);
        zst = ik_ground("zst on small pages", true);
    }
    sweep(&ik_attached, &raw);
    sweep(&ik_made, &zst);
    if (ik_is_full()) {
        sweep(&ik_made, &raw);
        sweep(&ik_wounded, &raw);
        sweep(&ik_attached, &zst);
        sweep(&ik_wounded, &zst);
    }
    fprintf(stderr, "%u runs, in %u of them a call failed\n", nr_runs, nr_failed);
    EXPECT(nr_failed > 150);
    return 0;
}
