/* SPDX-License-Identifier: MIT
 *
 * test-image-older-kernel: the answers that older kernels give.
 *
 * userfaultfd without UFFDIO_POISON (before 6.6), hugetlb that refuses
 * UFFDIO_CONTINUE of ranges registered for missing pages, and UFFDIO_COPY that says
 * ENOMEM when there is no free huge page (before 6.18).  Passes when a budget beyond
 * the mount, stray pages, strange punches and a failing source by pointer (a signal,
 * no hang) are handled as on the kernel that is here.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include "pool.h"
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 8
#define CHUNKS 12
#define BYTES (CHUNKS * CHUNK - 100)
#define SEED 79

static int (*present)(int fd, unsigned long request, void *arg);
static _Atomic unsigned no_memory, refused_continues;
static sigjmp_buf back;
static const char *dir;

static int older(int fd, unsigned long request, void *arg)
{
    if (request == UFFDIO_API &&
        ((struct uffdio_api *)arg)->features & ~(uint64_t)(UFFD_FEATURE_MISSING_HUGETLBFS |
                                                           UFFD_FEATURE_MISSING_SHMEM)) {
        errno = EINVAL;
        return -1;
    }
    if (request == UFFDIO_CONTINUE) {
        atomic_fetch_add(&refused_continues, 1);
        errno = EINVAL;
        return -1;
    }
    if (request == UFFDIO_COPY) {
        struct uffdio_copy *copy = arg;
        struct uffdio_continue c = { .range = { copy->dst, copy->len },
                                     .mode = UFFDIO_CONTINUE_MODE_DONTWAKE };
        int rc = present(fd, request, arg);

        if (rc == 0 || errno != EEXIST)
            return rc;
        if (present(fd, UFFDIO_CONTINUE, &c) < 0 && errno == EFAULT) {
            atomic_fetch_add(&no_memory, 1);
            copy->copy = -ENOMEM;
            errno = ENOMEM;
        } else {
            copy->copy = -EEXIST;
            errno = EEXIST;
        }
        return -1;
    }
    return present(fd, request, arg);
}

static void on_signal(int signal)
{
    siglongjmp(back, signal);
}

static int open_image(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    char path[4096 + 300] = "";
    int fd;

    EXPECT(d != NULL);
    while ((entry = readdir(d)))
        if (strstr(entry->d_name, ".image"))
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    closedir(d);
    fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    return fd;
}

static void stranger(void *arg)
{
    volatile char *at = mmap(NULL, CHUNKS * CHUNK, PROT_READ, MAP_SHARED | MAP_NORESERVE,
                             open_image(), 0);

    (void)arg;
    EXPECT(at != MAP_FAILED);
    (void)at[2 * CHUNK];
    (void)at[3 * CHUNK + 99];
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *held[PAGES], *data;
    const volatile char *base;
    const char *path;
    unsigned nr = 0;
    int fd, rc;

    (void)argc;
    kit_own_hugepages(argv, PAGES);
    present = hl_sys.ioctl;
    hl_sys.ioctl = older;
    path = test_path(test_dir(), "db");
    test_file(path, BYTES, SEED);
    dir = test_path(getenv("HUGELITE_TEST_MOUNT"), "pool");
    pool = kit_pool(dir, 3 * PAGES);
    EXPECT(!pool->has_poison);
    vol = kit_volume(pool, path);

    kit_verify(vol, SEED);
    kit_verify(vol, SEED);
    EXPECT(atomic_load(&no_memory) > 0);
    kit_await_idle(pool);
    /* One may have left for a fill ahead that then found no page. */
    EXPECT(kit_resident_chunks(pool) == PAGES - 1 || kit_resident_chunks(pool) == PAGES - 2);
    /* Not in sequence: the crew is to have no part in it. */
    while ((rc = hugelite_volume_fetch(vol, nr * 5 % CHUNKS * CHUNK, 8, &data)) == 0)
        held[nr++] = data;
    EXPECT_RC(rc, -EBUSY);
    EXPECT_EQ(nr, PAGES - 1);
    while (nr)
        hugelite_volume_release(vol, held[--nr]);

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    EXPECT_CHILD(kit_fork(stranger, NULL), 0);
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_volume_map(vol, (const void **)&base), 0);
    fd = open_image();
    for (unsigned i = 0; i < CHUNKS; i++) {
        kit_verify_chunk(vol, SEED, i);
        EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(i * CHUNK),
                            (off_t)CHUNK), 0);
        kit_pattern((const char *)base + i * CHUNK, CHUNK - 104, SEED, i * CHUNK);
    }
    close(fd);
    EXPECT(atomic_load(&refused_continues) > 0);
    EXPECT_EQ(kit_stat(vol).errors, 0); /* want of room is none */
    kit_audit(pool);

    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    stop_fail_reads(EIO, 3 * CHUNK, CHUNK);
    rc = sigsetjmp(back, 1);
    if (rc == 0) {
        (void)base[3 * CHUNK];
        test_fail(__FILE__, __LINE__, "a chunk that cannot be read was read");
    }
    EXPECT_EQ(rc, SIGSEGV);
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 8, &data), -EIO);
    stop_fail_reads(0, 0, 0);
    signal(SIGBUS, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    kit_verify(vol, SEED);
    kit_pattern((const char *)base, 2 * CHUNK, SEED, 0);
    kit_verify_chunk(vol, SEED, 3);

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
