/* SPDX-License-Identifier: MIT
 *
 * test-crash-anywhere: kill -9 before each single system call.
 *
 * Four stories (making a pool and filling from it; an open that takes a volume's old
 * version down; evicting; closing) are told once for each system call that the engine
 * makes in them, and the teller dies just before that call.  Passes when after each
 * death a new process opens the pool soon, reads every byte right, and
 * finds tables that agree with the images; and nothing is leaked.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 3
#define BUDGET 2
#define BYTES (CHUNKS * CHUNK - 12)

static const char *path, *other, *dir;
static unsigned die_at;

static void arm(void)
{
    stop_before(STOP_ANY, die_at, stop_die);
}

static void make_and_fill(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    arm();
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void supersede(void)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol;

    /* An old version of the same name, with chunks of it resident. */
    unlink(other);
    test_file(other, CHUNK + 5000, 2);
    vol = kit_volume(pool, other);
    kit_verify(vol, 2);
    hugelite_volume_close(vol);
    unlink(other);
    test_file(other, CHUNK + 5000, 3);
    arm();
    vol = kit_volume(pool, other);
    kit_verify(vol, 3);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void evict(void)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);

    kit_verify(vol, 1);
    arm();
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    kit_verify_chunk(vol, 1, 2);
    EXPECT_RC(hugelite_pool_evict(pool, path, NULL), 0);
    kit_verify_chunk(vol, 1, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void close_last(void)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol, *now;

    unlink(other);
    test_file(other, CHUNK + 5000, 2);
    vol = kit_volume(pool, other);
    kit_verify(vol, 2);
    unlink(other);
    test_file(other, CHUNK + 5000, 3);
    now = kit_volume(pool, other);
    kit_verify(now, 3);
    arm();
    hugelite_volume_close(vol); /* the last reader of the old version */
    hugelite_volume_close(now);
    hugelite_pool_close(pool);
}

static void story(void *arg)
{
    void (*const *tell)(void) = arg;

    (*tell)();
    _exit(5); /* came to its end */
}

static void look(void *arg)
{
    double start = test_now();
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    alarm(TEST_HANG_S);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    EXPECT(test_now() - start < TEST_HANG_S);
    hugelite_volume_close(vol);
    if (access(other, F_OK) == 0) {
        vol = kit_volume(pool, other);
        kit_verify_read(vol, 3);
        hugelite_volume_close(vol);
    }
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    static void (*const stories[])(void) = { make_and_fill, supersede, evict, close_last };
    static const char *const names[] = { "make and fill", "supersede", "evict", "close" };

    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    other = test_path(test_dir(), "other");
    test_file(path, BYTES, 1);
    for (unsigned s = 0; s < sizeof stories / sizeof *stories; s++) {
        for (die_at = 1;; die_at++) {
            int status;
            pid_t pid;

            if (stories[s] == make_and_fill)
                unlink(test_path(dir, "control"));
            pid = kit_fork(story, (void *)&stories[s]);
            EXPECT_EQ(waitpid(pid, &status, 0), pid);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 5)
                break;
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                test_fail(__FILE__, __LINE__, "%s, call %u: status %x", names[s], die_at,
                          (unsigned)status);
            pid = kit_fork(look, NULL);
            EXPECT_EQ(waitpid(pid, &status, 0), pid);
            if (status)
                test_fail(__FILE__, __LINE__, "after a death before call %u of '%s'", die_at,
                          names[s]);
        }
        fprintf(stderr, "%s: died before each of %u calls\n", names[s], die_at - 1);
        EXPECT(die_at > 5);
    }
    return 0;
}
