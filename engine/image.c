/* SPDX-License-Identifier: MIT
 *
 * image.c - the sparse file whose offsets are the database's, mapped whole and
 * read-only, registered for missing pages.  What UFFDIO_COPY and UFFDIO_CONTINUE answer
 * here, and what it means, was measured on Linux 6.18 for hugetlbfs and tmpfs.
 *
 * Entry points: image.h.  See also: chunk.c (who may call when), fault.c.
 */
#include "config.h"

#include "image.h"

#include "chunk.h"
#include "error.h"
#include "hugelite.h"
#include "layout.h"
#include "pool.h"
#include "sys.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef UFFD_FEATURE_POISON /* headers before Linux 6.6 */
struct uffdio_poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Rounds of COPY before we give up: each is an EAGAIN or a stray page removed. */
enum { POPULATE_ROUNDS = 1000 };

static char *chunk_address(const struct hl_image *image, uint32_t index)
{
    return image->base + ((uint64_t)index << HL_CHUNK_SHIFT);
}

int hl_image_attach(struct hugelite_pool *pool, const char *name, uint64_t length,
                    struct hl_image *ret_image)
{
    struct hl_image image = { .uffd = pool->uffd,
                              .hugetlb = pool->hugetlb,
                              .has_poison = pool->has_poison,
                              .length = length,
                              .wounds_lock = HL_LOCK_INIT(HL_RANK_WOUNDS) };
    struct uffdio_register registration;
    struct stat st;
    const char *call;
    int cause;

    if (pool->uncached)
        return hl_error(EPERM, "pool '%s': image %s cannot be mapped: %s", pool->dir, name,
                        pool->uncached_why);
    image.fd = hl_sys.openat(pool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (image.fd < 0)
        return hl_error(errno, "pool '%s': image %s: %s", pool->dir, name, strerror(errno));
    if (hl_sys.fstat(image.fd, &st) < 0) {
        cause = errno;
        hl_sys.close(image.fd);
        return hl_error(cause, "pool '%s': image %s: %s", pool->dir, name, strerror(cause));
    }
    if ((uint64_t)st.st_size != length) {
        hl_sys.close(image.fd);
        return hl_error(EBADMSG, "pool '%s': image %s has not the length that the pool says",
                        pool->dir, name);
    }

    /* Nobody may touch the range before it is registered, or zeros become
     * resident for everybody: hence PROT_NONE first.  A forked child must not
     * have it at all, since there it is not registered. */
    call = "mmap";
    image.base = hl_sys.mmap(NULL, length, PROT_NONE, MAP_SHARED | MAP_NORESERVE, image.fd, 0);
    if (image.base == MAP_FAILED)
        goto failed;
    registration = (struct uffdio_register){
        .range = { (uintptr_t)image.base, length },
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    call = "UFFDIO_REGISTER";
    if (hl_sys.ioctl(image.uffd, UFFDIO_REGISTER, &registration) < 0)
        goto failed;
    call = "madvise";
    if (hl_sys.madvise(image.base, length, MADV_DONTFORK) < 0 ||
        hl_sys.madvise(image.base, length, MADV_DONTDUMP) < 0)
        goto failed;
    call = "mprotect";
    if (hl_sys.mprotect(image.base, length, PROT_READ) < 0)
        goto failed;
    call = "table of failed faults";
    image.wounds = calloc(1, length >> HL_CHUNK_SHIFT);
    if (!image.wounds)
        goto failed;

    *ret_image = image;
    return 0;

failed:
    cause = errno;
    if (image.base != MAP_FAILED)
        hl_sys.munmap(image.base, length);
    hl_sys.close(image.fd);
    return hl_error(cause, "pool '%s': cannot map image %s: %s: %s", pool->dir, name, call,
                    strerror(cause));
}

void hl_image_detach(struct hl_image *image)
{
    hl_sys.munmap(image->base, image->length);
    hl_sys.close(image->fd);
    free(image->wounds);
}

int hl_image_punch(int fd, uint32_t index, uint32_t nr)
{
    if (hl_sys.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t)index << HL_CHUNK_SHIFT, (off_t)nr << HL_CHUNK_SHIFT) < 0)
        return hl_error(errno, "cannot punch %u chunks of an image: %s", nr, strerror(errno));
    return 0;
}

static void wake(struct hl_image *image, uint32_t index)
{
    struct uffdio_range range = { (uintptr_t)chunk_address(image, index), HL_CHUNK_BYTES };

    hl_sys.ioctl(image->uffd, UFFDIO_WAKE, &range);
}

/* Is there a page?  On hugetlb UFFDIO_CONTINUE knows, although we registered for
 * MISSING only, and maps it besides.  On tmpfs, and where a kernel refuses that, populating answers EFAULT
 * at a hole, because the kernel may not wait for us (UFFD_USER_MODE_ONLY). */
static bool is_resident(struct hl_image *image, uint32_t index)
{
    if (image->hugetlb) {
        for (int round = 0; round < POPULATE_ROUNDS; round++) {
            struct uffdio_continue c = {
                .range = { (uintptr_t)chunk_address(image, index), HL_CHUNK_BYTES },
                .mode = UFFDIO_CONTINUE_MODE_DONTWAKE,
            };

            if (hl_sys.ioctl(image->uffd, UFFDIO_CONTINUE, &c) == 0 || errno == EEXIST)
                return true;
            if (errno == EINVAL)
                break;
            if (errno != EAGAIN)
                return errno != EFAULT; /* whatever else fails, it is no hole */
            sched_yield();
        }
    }
    return hl_sys.madvise(chunk_address(image, index), HL_CHUNK_BYTES, MADV_POPULATE_READ) == 0 ||
           errno != EFAULT;
}

bool hl_image_settle(struct hl_image *image, uint32_t index)
{
    if (!is_resident(image, index))
        return false;
    wake(image, index);
    return true;
}

/* UFFDIO_COPY says EEXIST for a page that is there, and on Linux 6.18 also when
 * there is no free huge page; only residency tells the two apart.  We hold the claim and the chunk was a
 * hole, so a page that is there came from outside the protocol (a stray
 * mapping's zeros) or from an owner that died between copy and publish.  Neither
 * is to be trusted: punch it and copy again. */
int hl_image_populate(struct hl_image *image, uint32_t index, const void *data)
{
    uint64_t done = 0;
    unsigned holes = 0;

    for (int round = 0; round < POPULATE_ROUNDS; round++) {
        struct uffdio_copy copy = {
            .dst = (uintptr_t)chunk_address(image, index) + done,
            .src = (uintptr_t)data + done,
            .len = HL_CHUNK_BYTES - done,
        };
        int rc;

        if (hl_sys.ioctl(image->uffd, UFFDIO_COPY, &copy) == 0)
            return 0;

        switch (errno) {
        case EAGAIN: /* part of it (small pages), or contention in the kernel */
            if (copy.copy > 0)
                done += (uint64_t)copy.copy;
            else
                sched_yield();
            continue;

        case EEXIST:
            if (image->hugetlb && !is_resident(image, index)) {
                /* A stray page may have been there and gone: once more, then
                 * believe that there is no free page. */
                if (holes++)
                    return hl_error(ENOSPC, "no free huge page");
                continue;
            }
            break; /* a stray page: punch it */

        case ENOMEM:
        case ENOSPC:
            hl_image_punch(image->fd, index, 1); /* what we put there of a small-page chunk */
            return hl_error(ENOSPC, "no free page in the pool's file system");

        default:
            rc = errno;
            hl_image_punch(image->fd, index, 1);
            return hl_error(rc, "UFFDIO_COPY of chunk %u: %s", index, strerror(rc));
        }

        rc = hl_image_punch(image->fd, index, 1);
        if (rc < 0)
            return rc;
        done = 0;
    }
    hl_image_punch(image->fd, index, 1);
    return hl_error(EBUSY, "chunk %u: another program keeps touching the image", index);
}

int hl_image_wound(struct hl_image *image, uint32_t first, uint32_t last, const char *name)
{
    uint32_t index = first;
    int rc = 0;

    if (atomic_load_explicit(&image->nr_wounds, memory_order_seq_cst) == 0)
        return 0;
    hl_lock(&image->wounds_lock);
    while (index < last && !image->wounds[index])
        index++;
    if (image->wounds[index]) {
        int err = image->wounds[index];

        rc = image->wound_last == index
                 ? hl_error(err, "%s", image->wound_why)
                 : hl_error(err, "%s: chunk %u: could not be had when it was touched: %s", name,
                            index, strerror(err));
    }
    hl_unlock(&image->wounds_lock);
    return rc;
}

/* A chunk that another process fills while we are about to poison it here may be fetched and
 * touched by a thread of ours at once.  So: count the wound, then look at the word; a fetch sees
 * the word resident, then looks at the count (both seq_cst, so one sees the other).  The lock
 * keeps a healer until the poison that it is to remove is there. */
bool hl_image_poison(struct hl_image *image, uint32_t index, const _Atomic uint64_t *word, int err)
{
    struct uffdio_poison poison = {
        .range = { (uintptr_t)chunk_address(image, index), HL_CHUNK_BYTES },
    };
    uint8_t before;
    uint64_t seen;
    int rc = -1;

    hl_lock(&image->wounds_lock);
    before = image->wounds[index];
    if (!before)
        atomic_fetch_add_explicit(&image->nr_wounds, 1, memory_order_seq_cst);
    image->wounds[index] = (uint8_t)err;
    seen = word ? atomic_load_explicit(word, memory_order_seq_cst) : 0;
    if (hl_chunk_state(seen) == HL_CHUNK_RESIDENT ||
        (hl_chunk_state(seen) == HL_CHUNK_EVICTING && !(seen & HL_CHUNK_DOOMED))) {
        if (!before)
            atomic_fetch_sub_explicit(&image->nr_wounds, 1, memory_order_seq_cst);
        image->wounds[index] = before;
        hl_unlock(&image->wounds_lock);
        return false;
    }
    image->wound_last = index;
    snprintf(image->wound_why, sizeof image->wound_why, "%s", hugelite_error());

    for (int round = 0; image->has_poison && round < POPULATE_ROUNDS; round++) {
        rc = hl_sys.ioctl(image->uffd, UFFDIO_POISON, &poison);
        if (rc == 0 || errno != EAGAIN)
            break;
        sched_yield();
    }
    if (rc < 0) {
        /* EEXIST: another process has filled it, or it is poisoned already.  Else
         * this kernel has no poison, and whoever waits must not wait for ever. */
        if (!image->has_poison || errno != EEXIST)
            hl_sys.mprotect(chunk_address(image, index), HL_CHUNK_BYTES, PROT_NONE);
        wake(image, index);
    }
    hl_unlock(&image->wounds_lock);
    return true;
}

int hl_image_heal(struct hl_image *image, uint32_t index)
{
    int rc = 0;

    hl_lock(&image->wounds_lock);
    if (image->wounds[index]) {
        if (hl_sys.madvise(chunk_address(image, index), HL_CHUNK_BYTES, MADV_DONTNEED) < 0 ||
            hl_sys.mprotect(chunk_address(image, index), HL_CHUNK_BYTES, PROT_READ) < 0) {
            rc = hl_error(errno, "chunk %u: cannot be mapped again after a failed fault: %s",
                          index, strerror(errno));
        } else {
            image->wounds[index] = 0;
            atomic_fetch_sub_explicit(&image->nr_wounds, 1, memory_order_seq_cst);
        }
    }
    hl_unlock(&image->wounds_lock);
    return rc;
}
