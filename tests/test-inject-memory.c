/* SPDX-License-Identifier: MIT
 *
 * test-inject-memory: the Nth allocation of the engine fails, for every N until it does not
 * come; and all from the Nth on; and the same of threads and condition variables.
 *
 * The stories of test-inject-calls are told meanwhile, raw and compressed; allocations are
 * malloc() and its like, strdup(), asprintf(), realpath(), fopen(), opendir().  Passes when each
 * call into the engine gives the right bytes or an error with a sentence; when the same process
 * then reads every byte right, and the tables are in order; and when no block, descriptor,
 * mapping or thread is left.  And memory that is wanting must not cost another its lock: closing
 * a descriptor drops all locks of SQLite's kind that the process has on that file.
 */
#include "config.h"

#include "inject-kit.h"
#include "kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct lack {
    enum ik_want want;
    unsigned nth, nr;
};

static unsigned nr_runs;

static void arm(void *arg)
{
    const struct lack *lack = arg;

    ik_deny(lack->want, lack->nth, lack->nr);
}

static bool disarm(void)
{
    bool denied = ik_denied();

    ik_deny(IK_MEMORY, 1, 0);
    return denied;
}

static void sweep(const struct ik_story *story, const struct ik_ground *ground)
{
    static const unsigned rows[] = { 1, 1000000 };

    ik_settle(story, ground);
    for (enum ik_want want = 0; want < IK_WANTS; want++)
        for (int row = 0; row < 2; row++) {
            struct lack lack = { want, 0, rows[row] };

            do {
                lack.nth++;
                ik_say("%s, %s: %s number %u fails%s", ground->name, story->name,
                       ik_want_name(want), lack.nth, row ? ", and all that follow" : "");
                nr_runs++;
            } while (ik_run(story, ground, arm, disarm, &lack));
            fprintf(stderr, "%s, %s: %u times %s\n", ground->name, story->name, lack.nth - 1,
                    ik_want_name(want));
            EXPECT(want != IK_MEMORY || lack.nth > 5);
        }
    ik_say("%s", "");
}

/* Is byte 0 locked, as somebody else sees it? */
static bool is_locked(const char *path)
{
    int status;
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int fd = open(path, O_RDWR | O_CLOEXEC);

        _exit(fd >= 0 && fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type != F_UNLCK);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The process has a lock on a file that the engine has not opened yet, and opens it as a volume. */
static void keep_lock(void)
{
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
    const char *path = test_path(test_dir(), "locked");
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 2);
    struct hugelite_volume *vol;
    bool denied = true;
    int fd;

    for (unsigned nth = 1; denied; nth++) {
        unlink(path);
        test_file(path, 5000, 1);
        fd = open(path, O_RDWR | O_CLOEXEC);
        EXPECT_EQ(fcntl(fd, F_SETLK, &lock), 0);
        ik_say("a volume is opened: allocation number %u fails", nth);
        ik_deny(IK_MEMORY, nth, 1);
        if (IK_SAID(hugelite_volume_open(pool, path, &vol)) == 0)
            hugelite_volume_close(vol);
        denied = disarm();
        EXPECT(is_locked(path));
        close(fd);
    }
    ik_say("%s", "");
    hugelite_pool_close(pool);
}

int main(void)
{
    struct ik_ground raw = ik_ground("raw", false), zst = ik_ground("zst", true);

    sweep(&ik_made, &raw);
    sweep(&ik_attached, &raw);
    sweep(&ik_wounded, &raw);
    sweep(&ik_made, &zst);
    keep_lock();
    fprintf(stderr, "%u runs\n", nr_runs);
    return 0;
}
