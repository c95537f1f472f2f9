/* SPDX-License-Identifier: MIT
 *
 * test-crew-points: kill -9 of a process whose crew is at work, at each step.
 *
 * The steps of an early read (claimed, decoding, decoded and not yet handed over, handed over), of the
 * fill that goes on from it, and of a fill ahead.  Passes when another process then reads every
 * byte right soon, here and there and in order, and the tables agree with the
 * images; and when the same process, stopped there instead, keeps nobody from reading
 * early, and finishes its work when it goes on.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 6
#define BUDGET 6
#define BYTES (CHUNKS * CHUNK - 4096 - 8)
#define SEED 71
#define FRAME (64 * 1024)

enum step {
    CLAIMED,     /* the reader, before he looks up the frame */
    FOUND,       /* the reader, before he reads it */
    DECODED,     /* the reader, with the frame in the buffer */
    HANDED_OVER, /* the crew, before it reads the rest */
    FILLED,      /* the crew, before UFFDIO_COPY */
    COPIED,      /* the crew, after it */
    WISHED,      /* the crew, before it reads for a wish */
    WISH_FILLED, /* the crew, before UFFDIO_COPY */
    WISH_COPIED,
    STEPS,
};

static const char *const names[STEPS] = {
    "claimed", "found", "decoded", "handed over", "filled", "copied", "wished", "wish filled",
    "wish copied",
};

static const char *path, *dir;
static enum step step;
static void (*act)(void);
static pthread_t reader;
static _Atomic unsigned reader_reads, acted;
static ssize_t (*real_pread)(int fd, void *buffer, size_t length, off_t offset);
static int (*real_ioctl)(int fd, unsigned long request, void *arg);

static void arrive(enum step here)
{
    if (here == step && atomic_fetch_add(&acted, 1) == 0)
        act();
}

static ssize_t hook_pread(int fd, void *buffer, size_t length, off_t offset)
{
    if (pthread_equal(reader, pthread_self())) {
        arrive(atomic_fetch_add(&reader_reads, 1) == 0 ? CLAIMED : FOUND);
    } else {
        arrive(HANDED_OVER);
        arrive(WISHED);
    }
    return real_pread(fd, buffer, length, offset);
}

static int hook_ioctl(int fd, unsigned long request, void *arg)
{
    bool here = request == UFFDIO_COPY && !pthread_equal(reader, pthread_self());
    int rc;

    if (here) {
        arrive(FILLED);
        arrive(WISH_FILLED);
    }
    rc = real_ioctl(fd, request, arg);
    if (here && rc == 0) {
        arrive(COPIED);
        arrive(WISH_COPIED);
    }
    return rc;
}

/* Touches as the step needs them, then waits for the crew to come to it. */
static void victim(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    char *page = mmap(NULL, 4096, step == DECODED ? PROT_NONE : PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double until = test_now() + TEST_HANG_S;

    (void)arg;
    EXPECT(page != MAP_FAILED);
    signal(SIGSEGV, SIG_DFL);
    reader = pthread_self();
    real_pread = hl_sys.pread;
    real_ioctl = hl_sys.ioctl;
    hl_sys.pread = hook_pread;
    hl_sys.ioctl = hook_ioctl;
    if (step < WISHED) {
        (void)hugelite_volume_read(vol, 2 * CHUNK + CHUNK / 2, 4096, page);
    } else {
        /* The crew may come too late for all its wishes. */
        while (test_now() < until && !atomic_load(&acted)) {
            EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), 0);
            EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
        }
    }
    while (test_now() < until && !atomic_load(&acted))
        test_sleep_ms(1);
    if (!atomic_load(&acted))
        test_fail(__FILE__, __LINE__, "the step '%s' was never reached", names[step]);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void read_here_and_there(struct hugelite_volume *vol)
{
    char page[4096];

    for (unsigned i = 0; i < 3 * CHUNKS; i++) {
        uint64_t at = i * 5 % CHUNKS * CHUNK + (i + 1) * 20 * 4096;

        EXPECT_RC(hugelite_volume_read(vol, at, sizeof page, page), 0);
        EXPECT_PATTERN(page, sizeof page, SEED, at);
    }
}

static void dies(bool in_order)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol;
    double start;
    pid_t pid;
    int status;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    act = stop_die;
    pid = kit_fork(victim, NULL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (step == DECODED)
        EXPECT(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV
                                   : TEST_SANITIZED && WEXITSTATUS(status));
    else
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    kit_audit(pool); /* claims of the dead are no leak */

    vol = kit_volume(pool, path);
    start = test_now();
    if (!in_order)
        read_here_and_there(vol);
    kit_verify(vol, SEED);
    EXPECT(test_now() - start < TEST_HANG_S);
    kit_verify_read(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

static void is_stopped(void)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, path);
    uint64_t early = 0;
    double start;
    pid_t pid;
    int status;

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    act = stop_freeze;
    pid = kit_fork(victim, NULL);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));

    /* Not after its 10 s: a new reader is patient, and soon no more. */
    early = kit_stat(vol).early_reads;
    for (unsigned i = 0; i < 40; i++) {
        uint64_t chunk = step < WISHED ? 2 : i % CHUNKS;
        char page[4096];

        start = test_now();
        EXPECT_RC(hugelite_volume_read(vol, chunk * CHUNK + (i * 7 + 20) * 4096, 4096, page), 0);
        EXPECT_PATTERN(page, sizeof page, SEED, chunk * CHUNK + (i * 7 + 20) * 4096);
        if (test_now() - start > TEST_HANG_S)
            test_fail(__FILE__, __LINE__, "%s: read %u took %.1f s", names[step], i,
                      test_now() - start);
    }
    EXPECT(kit_stat(vol).early_reads - early >= 3);
    kill(pid, SIGCONT);
    EXPECT_CHILD(pid, 0);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

int main(void)
{
    kit_use_cpus(2);
    path = test_path(test_dir(), "db.zst");
    dir = test_pool_dir();
    kit_zst(path, BYTES, SEED, FRAME, 0);
    for (step = 0; step < STEPS; step++) {
        fprintf(stderr, "%s\n", names[step]);
        dies(true);
        dies(false);
    }
    step = FILLED;
    is_stopped();
    step = WISH_FILLED;
    is_stopped();
    return 0;
}
