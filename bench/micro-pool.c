/* SPDX-License-Identifier: MIT
 *
 * micro-pool.c - what the engine costs: a fetch of a resident chunk, a fill beside
 * the work that no fill can do without, an eviction, a second process's first
 * touch.  README.md says what each answers.
 *
 * See also: micro.h, gbench.h, micro-vfs.c.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"
#include "sys.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define CHUNK HUGELITE_CHUNK_BYTES
/* Filled and evicted in turns of this many: more than any cache of the CPU holds. */
#define TURN 32u
#define SAMPLES 100000u

static struct hugelite_pool *pool;
static struct hugelite_volume *volume;
static char source[PATH_MAX];
static int source_fd;

static bool make_source(void)
{
    uint64_t *words = malloc(CHUNK), x = 88172645463325252u;

    snprintf(source, sizeof source, "%.4000s/source", micro.disk_dir);
    source_fd = open(source, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (source_fd < 0 || !words)
        goto failed;
    for (unsigned c = 0; c < MICRO_CHUNKS; c++) {
        for (unsigned i = 0; i < CHUNK / 8; i++)
            words[i] = micro_xorshift(&x);
        if (pwrite(source_fd, words, CHUNK, (off_t)c * CHUNK) != (ssize_t)CHUNK)
            goto failed;
    }
    free(words);
    return true;

failed:
    fprintf(stderr, "%s: %s\n", source, strerror(errno));
    free(words);
    return false;
}

/* ---- fetch -------------------------------------------------------------- */

/* One volume handle for each thread, as the API wants it. */
static struct hugelite_volume *own_volume(struct gbench *g)
{
    struct hugelite_volume *vol;

    if (hugelite_volume_open(pool, source, &vol) < 0
        || hugelite_volume_warm(vol, 0, 0, NULL, NULL) < 0) {
        gbench_fail(g, "%s", hugelite_error());
        return NULL;
    }
    return vol;
}

/* Fetch and release, the chunk after the last by `step`. */
static void fetch_resident(struct gbench *g, unsigned step)
{
    struct hugelite_volume *vol = own_volume(g);
    unsigned chunk = (unsigned)gbench_thread(g) % MICRO_CHUNKS;
    const void *data;
    int rc = 0;

    if (!vol)
        return;
    while (gbench_loop(g, 256))
        for (int i = 0; i < 256; i++) {
            rc |= hugelite_volume_fetch(vol, (uint64_t)chunk * CHUNK + 4096, 4096, &data);
            hugelite_volume_release(vol, data);
            chunk = (chunk + step) % MICRO_CHUNKS;
        }
    if (rc)
        gbench_fail(g, "%s", hugelite_error());
    hugelite_volume_close(vol);
}

static void fetch_same(struct gbench *g)
{
    fetch_resident(g, 0);
}

static void fetch_stride(struct gbench *g)
{
    fetch_resident(g, 7);          /* prime to their number: visits all */
}

/* ---- fill --------------------------------------------------------------- */

static int uffd = -1;
static char *scratch, *buffer;     /* TURN chunks of holes; one chunk */
static const char *mapped;         /* the source, page tables and all */
static int scratch_fd;

static bool open_scratch(struct gbench *g)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register reg;
    char path[PATH_MAX];

    if (uffd >= 0)
        return true;
    snprintf(path, sizeof path, "%.4000s/scratch", micro.huge_dir);
    scratch_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (scratch_fd < 0 || ftruncate(scratch_fd, (off_t)TURN * CHUNK) < 0)
        goto failed;
    unlink(path);
    scratch = mmap(NULL, (size_t)TURN * CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                   scratch_fd, 0);
    buffer = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                  -1, 0);
    mapped = mmap(NULL, (size_t)MICRO_CHUNKS * CHUNK, PROT_READ, MAP_SHARED | MAP_POPULATE,
                  source_fd, 0);
    if (scratch == MAP_FAILED || buffer == MAP_FAILED || mapped == MAP_FAILED)
        goto failed;
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    reg = (struct uffdio_register){ .range = { (uintptr_t)scratch, (uint64_t)TURN * CHUNK },
                                    .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
        goto failed;
    return true;

failed:
    gbench_skip(g, "no scratch image to UFFDIO_COPY into: %s", strerror(errno));
    return false;
}

static bool copy_in(unsigned chunk)
{
    struct uffdio_copy copy = { .dst = (uintptr_t)scratch + (uint64_t)chunk * CHUNK,
                                .src = (uintptr_t)buffer, .len = CHUNK };
    int rc;

    do
        rc = ioctl(uffd, UFFDIO_COPY, &copy);
    while (rc < 0 && errno == EAGAIN);
    return rc == 0;
}

static void punch_scratch(void)
{
    if (fallocate(scratch_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)TURN * CHUNK) < 0)
        abort();
}

static void memcpy_chunk(struct gbench *g)
{
    unsigned chunk = 0;
    int64_t bytes = 0;

    if (!open_scratch(g))
        return;
    while (gbench_loop(g, 1)) {
        memcpy(buffer, mapped + (size_t)chunk * CHUNK, CHUNK);
        chunk = (chunk + 1) % MICRO_CHUNKS;
        bytes += CHUNK;
    }
    gbench_set_bytes(g, bytes);
}

static void uffdio_copy_chunk(struct gbench *g)
{
    unsigned chunk = 0;
    int64_t bytes = 0;

    if (!open_scratch(g))
        return;
    punch_scratch();
    while (gbench_loop(g, 1)) {
        double start = gbench_now();

        if (!copy_in(chunk)) {
            gbench_skip(g, "UFFDIO_COPY: %s", strerror(errno));
            return;
        }
        gbench_set_time(g, gbench_now() - start);
        bytes += CHUNK;
        if (++chunk == TURN) {
            punch_scratch();
            chunk = 0;
        }
    }
    punch_scratch();
    gbench_set_bytes(g, bytes);
}

/* A fill from the page cache.  Beside each one, the same work without an engine: memcpy
 * of a chunk out of the page cache and UFFDIO_COPY of it; another chunk, so that neither finds
 * its source in the CPU's caches.  ratio = that work / fill, medians. */
static void fill(struct gbench *g)
{
    double *fills = malloc(SAMPLES * sizeof *fills), *limits = malloc(SAMPLES * sizeof *limits);
    unsigned turn = TURN, nr = 0;
    int64_t bytes = 0;

    if (!fills || !limits || !open_scratch(g))
        goto out;
    while (gbench_loop(g, 1)) {
        unsigned chunk = turn * 5 % TURN; /* one after the other, the crew would fill ahead */
        const void *data;
        double start, filled, limit;

        if (turn == TURN) {
            if (hugelite_pool_evict(pool, source, NULL) < 0) {
                gbench_fail(g, "%s", hugelite_error());
                goto out;
            }
            punch_scratch();
            turn = 0;
        }
        start = gbench_now();
        if (hugelite_volume_fetch(volume, (uint64_t)chunk * CHUNK, 4096, &data) < 0) {
            gbench_fail(g, "%s", hugelite_error());
            goto out;
        }
        filled = gbench_now() - start;
        hugelite_volume_release(volume, data);

        start = gbench_now();
        memcpy(buffer, mapped + (size_t)(chunk + TURN) * CHUNK, CHUNK);
        if (!copy_in(chunk)) {
            gbench_skip(g, "UFFDIO_COPY: %s", strerror(errno));
            goto out;
        }
        limit = gbench_now() - start;

        gbench_set_time(g, filled);
        if (nr < SAMPLES) {
            fills[nr] = filled;
            limits[nr++] = limit;
        }
        turn++;
        bytes += CHUNK;
    }
    punch_scratch();
    gbench_set_bytes(g, bytes);
    if (nr) {
        double median = micro_median(fills, nr), limit = micro_median(limits, nr);

        gbench_counter(g, "fill_us", median * 1e6);
        gbench_counter(g, "limit_us", limit * 1e6);
        gbench_counter(g, "ratio", limit / median);
    }
out:
    free(fills);
    free(limits);
}

/* ---- evict -------------------------------------------------------------- */

/* One call that evicts a volume; the time is of one chunk. */
static void evict(struct gbench *g)
{
    while (gbench_loop(g, 1)) {
        uint64_t bytes = 0;
        double start;

        if (hugelite_volume_warm(volume, 0, (uint64_t)TURN * CHUNK, NULL, NULL) < 0) {
            gbench_fail(g, "%s", hugelite_error());
            return;
        }
        start = gbench_now();
        if (hugelite_pool_evict(pool, source, &bytes) < 0 || bytes < CHUNK) {
            gbench_fail(g, "evicted %" PRIu64 " bytes: %s", bytes, hugelite_error());
            return;
        }
        gbench_set_time(g, (gbench_now() - start) / (double)(bytes / CHUNK));
    }
}

/* ---- a second process --------------------------------------------------- */

/* In a process of its own: attach, fetch each chunk and read a byte of it.  Prints the
 * nanoseconds for one chunk. */
static int touch_main(char **argv)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    unsigned nr = (unsigned)atoi(argv[3]);
    unsigned long sum = 0;
    double start;

    if (hugelite_pool_open(argv[1], &opts, &pool) < 0
        || hugelite_volume_open(pool, argv[2], &volume) < 0)
        goto failed;
    start = gbench_now();
    for (unsigned c = 0; c < nr; c++) {
        const void *data;

        if (hugelite_volume_fetch(volume, (uint64_t)c * CHUNK, 4096, &data) < 0)
            goto failed;
        sum += *(const volatile unsigned char *)data;
        hugelite_volume_release(volume, data);
    }
    printf("%.1f %lu\n", (gbench_now() - start) * 1e9 / nr, sum);
    hugelite_volume_close(volume);
    hugelite_pool_close(pool);
    return 0;

failed:
    fprintf(stderr, "%s\n", hugelite_error());
    return 1;
}

static void minor_fault_second_process(struct gbench *g)
{
    char nr[16];

    snprintf(nr, sizeof nr, "%u", MICRO_CHUNKS);
    if (hugelite_volume_warm(volume, 0, 0, NULL, NULL) < 0) {
        gbench_fail(g, "%s", hugelite_error());
        return;
    }
    while (gbench_loop(g, 1)) {
        double ns = 0;
        int pipes[2], status;
        FILE *in;
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
            gbench_fail(g, "%s", strerror(errno));
            return;
        }
        if (pid == 0) {
            dup2(pipes[1], 1);
            execl("/proc/self/exe", "micro-pool", "--touch", micro.pool_dir, source, nr, NULL);
            _exit(127);
        }
        close(pipes[1]);
        in = fdopen(pipes[0], "r");
        if (!in || fscanf(in, "%lf", &ns) != 1)
            ns = 0;
        if (in)
            fclose(in);
        if (waitpid(pid, &status, 0) < 0 || status != 0 || ns <= 0) {
            gbench_fail(g, "the second process failed (status %d)", status);
            return;
        }
        gbench_set_time(g, ns * 1e-9);
    }
}

/* ---- a filler that is killed -------------------------------------------- */

enum { TAKEOVERS = 200 };

/* In the filler: its first read of the source comes to an end, and it goes no further. */
static ssize_t read_and_stop(int fd, void *bytes, size_t length, off_t offset)
{
    ssize_t n = pread(fd, bytes, length, offset);

    if (length >= 4096) {
        if (write(1, "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    return n;
}

static int stop_main(char **argv)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    const void *data;

    if (hugelite_pool_open(argv[1], &opts, &pool) < 0
        || hugelite_volume_open(pool, argv[2], &volume) < 0)
        return 1;
    hl_sys.pread = read_and_stop;
    hugelite_volume_fetch(volume, (uint64_t)atoi(argv[3]) * CHUNK, 4096, &data);
    return 1;
}

/* A process in the middle of a fill of a chunk. */
static pid_t start_filler(unsigned chunk)
{
    char number[16], ready;
    int pipes[2];
    pid_t pid;

    snprintf(number, sizeof number, "%u", chunk);
    if (pipe2(pipes, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return -1;
    if (pid == 0) {
        dup2(pipes[1], 1);
        execl("/proc/self/exe", "micro-pool", "--stop", micro.pool_dir, source, number, NULL);
        _exit(127);
    }
    close(pipes[1]);
    if (read(pipes[0], &ready, 1) != 1) {
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(pipes[0]);
    return pid;
}

struct waiter {
    unsigned chunk;
    _Atomic bool begun;
    double ended;
    int rc;
};

static void *wait_for_chunk(void *arg)
{
    struct waiter *w = arg;
    const void *data;

    w->begun = true;
    w->rc = hugelite_volume_fetch(volume, (uint64_t)w->chunk * CHUNK, 4096, &data);
    w->ended = gbench_now();
    if (w->rc == 0)
        hugelite_volume_release(volume, data);
    return NULL;
}

/* Seconds from the kill to the waiter's answer; < 0: broken. */
static double take_over(unsigned chunk, double waits)
{
    struct waiter w = { .chunk = chunk };
    pid_t pid = start_filler(chunk);
    pthread_t thread;
    double until, killed;

    if (pid < 0 || pthread_create(&thread, NULL, wait_for_chunk, &w) != 0)
        return -1;
    while (!w.begun)
        ;
    until = gbench_now() + waits;
    while (gbench_now() < until)
        ;
    killed = gbench_now();
    kill(pid, SIGKILL);
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
    return w.rc == 0 ? w.ended - killed : -1;
}

static int64_t slow_us;            /* what a read of a source takes longer, as a disk would */

static ssize_t read_slowly(int fd, void *bytes, size_t length, off_t offset)
{
    if (slow_us && length >= 4096)
        usleep((useconds_t)slow_us);
    return pread(fd, bytes, length, offset);
}

/* A process is killed in the middle of a fill while another waits for it, since a part of the time
 * that a fill takes.  The time is from the kill to the bytes, so the kernel's work of ending the process is in
 * it.  fills = median in times of a fill, with nobody in the way, measured beside. */
static void takeover(struct gbench *g)
{
    static double times[TAKEOVERS], fills[TAKEOVERS];
    uint64_t random = 88172645463325252u;
    unsigned nr = 0;

    slow_us = gbench_arg(g, 0);
    hl_sys.pread = read_slowly;
    while (gbench_loop(g, 1)) {
        unsigned chunk = 2 * nr % MICRO_CHUNKS;
        const void *data;
        double start, usual;

        if (hugelite_pool_evict(pool, source, NULL) < 0)
            break;
        start = gbench_now();
        if (hugelite_volume_fetch(volume, (uint64_t)(chunk ^ 32) * CHUNK, 4096, &data) < 0)
            break;
        usual = gbench_now() - start;
        hugelite_volume_release(volume, data);
        start = take_over(chunk, usual * (double)(micro_xorshift(&random) % 1000) / 1000);
        if (start < 0)
            break;
        gbench_set_time(g, start);
        times[nr % TAKEOVERS] = start;
        fills[nr++ % TAKEOVERS] = usual;
    }
    hl_sys.pread = pread;
    if (nr < TAKEOVERS) {
        gbench_fail(g, "a takeover failed: %s", hugelite_error());
        return;
    }
    gbench_counter(g, "fills", micro_median(times, TAKEOVERS) / micro_median(fills, TAKEOVERS));
    gbench_counter(g, "p95_us", 1e6 * times[TAKEOVERS * 95 / 100]); /* sorted by now */
    gbench_counter(g, "fill_us", 1e6 * fills[TAKEOVERS / 2]);
}

/* ---- all ---------------------------------------------------------------- */

static int run(int argc, char **argv)
{
    static const struct gbench_case cases[] = {
        { .name = "BM_volume_fetch_resident/same", .fn = fetch_same },
        { .name = "BM_volume_fetch_resident/same", .fn = fetch_same, .threads = 2 },
        { .name = "BM_volume_fetch_resident/stride", .fn = fetch_stride },
        { .name = "BM_volume_fetch_resident/stride", .fn = fetch_stride, .threads = 2 },
        { .name = "BM_memcpy/2MiB", .fn = memcpy_chunk, .unit = "us" },
        { .name = "BM_uffdio_copy/2MiB", .fn = uffdio_copy_chunk, .unit = "us",
          .manual_time = true },
        { .name = "BM_fill/2MiB", .fn = fill, .unit = "us", .manual_time = true },
        { .name = "BM_evict/2MiB", .fn = evict, .unit = "us", .manual_time = true,
          .iterations = 20 },
        { .name = "BM_minor_fault_second_process/2MiB", .fn = minor_fault_second_process,
          .manual_time = true, .iterations = 20 },
        { .name = "BM_takeover/2MiB", .fn = takeover, .unit = "us", .manual_time = true,
          .arg_names = { "slow_us" }, .args = { 0 }, .iterations = TAKEOVERS },
        { .name = "BM_takeover/2MiB", .fn = takeover, .unit = "us", .manual_time = true,
          .arg_names = { "slow_us" }, .args = { 1000 }, .iterations = TAKEOVERS },
    };
    int rc;

    /* A chunk for the spare that eviction ahead of need keeps. */
    if (!make_source() || !(pool = micro_pool(MICRO_CHUNKS + 8)))
        return 1;
    if (hugelite_volume_open(pool, source, &volume) < 0
        || hugelite_volume_warm(volume, 0, 0, NULL, NULL) < 0) { /* pre-touches the pool */
        fprintf(stderr, "%s\n", hugelite_error());
        return 1;
    }
    micro_context();
    gbench_context("source", "file in the page cache, %u chunks", MICRO_CHUNKS);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        gbench_register(&cases[i]);
    rc = gbench_main(argc, argv);
    hugelite_volume_close(volume);
    hugelite_pool_close(pool);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "--touch"))
        return touch_main(argv + 1);
    if (argc == 5 && !strcmp(argv[1], "--stop"))
        return stop_main(argv + 1);
    return micro_main(argc, argv, run);
}
