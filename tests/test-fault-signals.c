/* SPDX-License-Identifier: MIT
 *
 * test-fault-signals: a host that lives on signals.
 *
 * A timer interrupts every 2 ms, without SA_RESTART, and its handler reads from the
 * volume by pointer.  Passes when fetch, read, warm, evict and plain reads all work
 * and are right, no handler ever runs on the engine's thread, which blocks all
 * signals, and a process with a full file descriptor table gets an error and not a
 * hang.
 */
#include "config.h"

#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#define CHUNKS 10
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 71

static const volatile uint64_t *base;
static _Atomic unsigned handled, wrong;
static pthread_t main_thread;

static void on_alarm(int signal)
{
    unsigned nr = atomic_fetch_add(&handled, 1);
    uint64_t offset = nr % CHUNKS * CHUNK + nr % 1000 * 8;

    (void)signal;
    if (!pthread_equal(pthread_self(), main_thread))
        atomic_fetch_or(&wrong, 1);
    if (base && base[offset / 8] != test_pattern(SEED, offset))
        atomic_fetch_or(&wrong, 2);
}

/* Of each thread but the first: "SigBlk" has all that can be blocked. */
static void expect_blocked(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(tasks != NULL);
    while ((entry = readdir(tasks))) {
        char path[300], line[256];
        unsigned long long blocked;
        FILE *f;

        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        f = fopen(path, "re");
        EXPECT(f != NULL);
        while (fgets(line, sizeof line, f))
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1) {
                nr++;
                /* glibc keeps its two, SIGKILL and SIGSTOP cannot be. */
                EXPECT_EQ(blocked | 0x180040100ull, ~0ull);
            }
        fclose(f);
    }
    closedir(tasks);
    EXPECT(TEST_SANITIZED || nr == 1);
}

static void full_table(const char *path, const char *dir)
{
    struct rlimit limit = { 40, 40 };
    struct hugelite_pool *pool = NULL;
    struct hugelite_volume *vol = NULL;
    int rc;

    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned left = 0; left < 12; left++) {
        int fds[40], nr = 0, fd;

        while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
            fds[nr++] = fd;
        for (unsigned i = 0; i < left; i++)
            close(fds[--nr]);
        rc = hugelite_pool_open(dir, NULL, &pool);
        if (rc == 0)
            rc = hugelite_volume_open(pool, path, &vol);
        while (nr)
            close(fds[--nr]);
        if (rc == 0) {
            kit_verify_chunk(vol, SEED, 1);
            hugelite_volume_close(vol);
        } else {
            EXPECT_RC(rc, -EMFILE);
            EXPECT(hugelite_error()[0]);
        }
        hugelite_pool_close(pool);
        pool = NULL;
    }
    EXPECT_RC(rc, 0); /* twelve are enough */
}

int main(void)
{
    struct itimerval timer = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = on_alarm };
    const char *path = test_path(test_dir(), "db"), *dir = test_pool_dir();
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *at;

    main_thread = pthread_self();
    test_file(path, BYTES, SEED);
    EXPECT_EQ(sigaction(SIGALRM, &action, NULL), 0);
    EXPECT_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
    pool = kit_pool(dir, 8);
    expect_blocked();
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_volume_map(vol, &at), 0);
    kit_pattern(at, BYTES, SEED, 0);
    base = at;
    for (unsigned i = 0; i < 5; i++) {
        kit_pattern(at, BYTES, SEED, 0);
        kit_verify_read(vol, SEED);
        EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    }
    base = NULL;
    EXPECT_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    EXPECT(atomic_load(&handled) > 20);
    EXPECT_EQ(atomic_load(&wrong), 0);

    if (!TEST_SANITIZED)
        full_table(path, dir);
    return 0;
}
