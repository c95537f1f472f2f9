/* SPDX-License-Identifier: MIT
 *
 * fault.c - the safety net: a touch of a chunk that is not resident, by a user of
 * hugelite_volume_map(), stops the toucher and sends a message here.
 * The thread fills the chunk, or poisons it so that nobody waits for ever.
 *
 * It takes no lock that a faulting thread may hold: of ours only those under which nobody
 * touches an image (lock.h), and not malloc's, but for a remote volume, whose requests need memory.
 *
 * Entry points: fault.h.
 */
#include "config.h"

#include "fault.h"

#include "buffer.h"
#include "chunk.h"
#include "cold.h"
#include "decoder.h"
#include "error.h"
#include "headroom.h"
#include "lump.h"
#include "pool.h"
#include "source.h"
#include "sys.h"
#include "volume.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif

enum { MESSAGES = 16, TRIM_MS = 500 };

static void serve(struct hugelite_pool *pool, uintptr_t address)
{
    struct hl_volume *volume = hl_volume_enter(pool, address);
    uint64_t deadline_ns;
    uint32_t index;

    if (!volume)
        return; /* unmapped meanwhile, and with that the toucher is awake */
    deadline_ns = hl_now_ns() + hl_volume_patience_ns(volume);
    index = (uint32_t)((address - (uintptr_t)volume->image.base) >> HL_CHUNK_SHIFT);
    if (index < volume->nr_chunks)
        hl_cold_notice(volume, &volume->fault_sequences,
                       address - (uintptr_t)volume->image.base);

    for (;;) {
        const _Atomic uint64_t *word = &pool->words[volume->first + index];
        int rc;

        if (index >= volume->nr_chunks)
            rc = hl_error(ERANGE, "%s: chunk %u is past its end at %llu", volume->source->name, index,
                          (unsigned long long)volume->bytes);
        else
            rc = hl_chunk_make_resident(volume, index, deadline_ns);
        if (rc < 0) {
            if (hl_image_poison(&volume->image, index, word, -rc))
                break;
            continue;
        }
        if (hl_image_settle(&volume->image, index))
            break;
        /* Resident by its word and a hole in fact: evicted again since, or punched by a stranger. */
        hl_chunk_drop(volume, index);
        if (hl_now_ns() >= deadline_ns) {
            rc = hl_error(EBUSY, "%s: chunk %u: is removed from the pool again and again by a stranger",
                          volume->source->name, index);
            hl_image_poison(&volume->image, index, NULL, -rc);
            break;
        }
    }
    hl_volume_leave(volume);
}

static void *fault_main(void *arg)
{
    struct hugelite_pool *pool = arg;
    struct pollfd fds[2] = {
        { .fd = pool->uffd, .events = POLLIN },
        { .fd = pool->stop_fd, .events = POLLIN },
    };

    pthread_setname_np(pthread_self(), "hugelite-fault");
    for (;;) {
        struct uffd_msg messages[MESSAGES];
        ssize_t got;

        /* Once a while, to give idle fill buffers back. */
        hl_sys.poll(fds, 2, TRIM_MS);
        if (fds[1].revents)
            return NULL;
        if (!(fds[0].revents & POLLIN)) {
            hl_buffer_trim();
            hl_lump_trim();
            hl_decoder_trim();
            continue;
        }
        got = hl_sys.read(pool->uffd, messages, sizeof messages);
        for (ssize_t i = 0; i < got / (ssize_t)sizeof *messages; i++)
            if (messages[i].event == UFFD_EVENT_PAGEFAULT)
                serve(pool, (uintptr_t)messages[i].arg.pagefault.address);
    }
}

/* The handshake is once only for a descriptor, and a kernel that does not know a
 * feature refuses all: ask for everything, then for less. */
static int open_uffd(struct hugelite_pool *pool)
{
    uint64_t needed = pool->hugetlb ? UFFD_FEATURE_MISSING_HUGETLBFS : UFFD_FEATURE_MISSING_SHMEM;
    uint64_t wished[] = { needed | UFFD_FEATURE_POISON, needed };
    int cause = 0;

    for (size_t i = 0; i < sizeof wished / sizeof *wished; i++) {
        struct uffdio_api api = { .api = UFFD_API, .features = wished[i] };
        int fd = hl_sys.userfaultfd(O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
            return hl_error(errno, "userfaultfd is refused: %s; `hugelite doctor` tells what to do",
                            strerror(errno));
        if (hl_sys.ioctl(fd, UFFDIO_API, &api) == 0) {
            pool->uffd = fd;
            pool->has_poison = wished[i] & UFFD_FEATURE_POISON;
            return 0;
        }
        cause = errno;
        hl_sys.close(fd);
    }
    return hl_error(cause == EINVAL ? ENOSYS : cause, "this kernel's userfaultfd cannot serve %s",
                    pool->hugetlb ? "hugetlbfs" : "tmpfs");
}

int hl_fault_start(struct hugelite_pool *pool)
{
    sigset_t all, old;
    int rc;

    if (pool->uncached)
        return 0;
    rc = open_uffd(pool);
    if (rc == -EPERM || rc == -EACCES || rc == -ENOSYS) {
        hl_pool_do_without(pool);
        return 0;
    }
    if (rc < 0)
        return rc;
    pool->stop_fd = hl_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->stop_fd < 0)
        return hl_error(errno, "eventfd: %s", strerror(errno));
    hl_headroom_settle();

    /* The host's signals are not for this thread: a handler that ran here and touched
     * the image would wait for itself. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&pool->fault_thread, NULL, fault_main, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return hl_error(rc, "cannot start the fault thread: %s", strerror(rc));
    pool->fault_thread_runs = true;
    return 0;
}

void hl_fault_stop(struct hugelite_pool *pool)
{
    if (pool->fault_thread_runs) {
        eventfd_write(pool->stop_fd, 1);
        pthread_join(pool->fault_thread, NULL);
        pool->fault_thread_runs = false;
    }
    if (pool->stop_fd >= 0)
        hl_sys.close(pool->stop_fd);
    if (pool->uffd >= 0)
        hl_sys.close(pool->uffd);
    pool->stop_fd = pool->uffd = -1;
}
