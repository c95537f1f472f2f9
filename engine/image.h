/* SPDX-License-Identifier: MIT
 *
 * image.h - one volume's image file: mapping it, and the three things that are
 * ever done to a chunk of it.
 */
#ifndef HL_IMAGE_H
#define HL_IMAGE_H

#include "lock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hugelite_pool;

#define HL_WOUND_BYTES 512u

struct hl_image {
    int fd;
    int uffd;       /* of the pool */
    bool hugetlb;
    bool has_poison;
    char *base;
    uint64_t length;          /* of file and mapping; more than the database */
    struct hl_lock wounds_lock;
    uint8_t *wounds;             /* per chunk: 0, or it may be poisoned in this process, with this errno */
    _Atomic uint32_t nr_wounds;  /* not 0: a fetch must heal what it is about to hand out */
    uint32_t wound_last;         /* the chunk of the last one, and the sentence about it */
    char wound_why[HL_WOUND_BYTES];
};

/* Map an image that exists, and register it. */
int hl_image_attach(struct hugelite_pool *pool, const char *name, uint64_t length,
                    struct hl_image *ret_image);
void hl_image_detach(struct hl_image *image);

/* Put HL_CHUNK_BYTES from data at a chunk that is a hole; the caller has claimed it.
 * A page that is there already is not ours: it is punched and replaced.
 * Returns 0, -ENOSPC (no free page: evict something), -EFAULT and others (for good). */
int hl_image_populate(struct hl_image *image, uint32_t index, const void *data);

/* Make chunks holes again. */
int hl_image_punch(int fd, uint32_t index, uint32_t nr);

/* After a fault on a chunk that is said to be resident: map it and wake who waits.
 * False when it is a hole. */
bool hl_image_settle(struct hl_image *image, uint32_t index);

/* Fail whoever waits for this chunk, in this process, with SIGBUS.  err: why, of which this thread's
 * hugelite_error() has the sentence.  Not when the chunk's word has become resident: then false, and the
 * fault is to be served.  word may be NULL. */
bool hl_image_poison(struct hl_image *image, uint32_t index, const _Atomic uint64_t *word, int err);

/* Remove what poison there is from a chunk that is resident and pinned.  0 or -errno: it is there still. */
int hl_image_heal(struct hl_image *image, uint32_t index);

/* Why touches of these chunks have failed in this process: 0, or the first one's -errno with the sentence. */
int hl_image_wound(struct hl_image *image, uint32_t first, uint32_t last, const char *name);

#endif
