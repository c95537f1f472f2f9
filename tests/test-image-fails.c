/* SPDX-License-Identifier: MIT
 *
 * test-image-fails: what the kernel may answer about an image, call by call.
 *
 * Passes when an image that is not as the pool says is refused; when whether a page is there is found
 * out although UFFDIO_CONTINUE does not tell; when a stray page that cannot be removed ends the
 * fill; when a failed fault leaves its mark where the chunk is not there, and only there; and when all
 * bytes are right and no page is too many afterwards.
 */
#include "config.h"

#include "fails-kit.h"
#include "stop.h"

#include "error.h"
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 3, BUDGET = 4, SEED = 29, ROUNDS = 1000 };

static const char *dir, *path;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;
static struct hl_image *image;

/* Stretches of it that are mapped here. */
static unsigned image_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[8192];
    unsigned nr = 0;

    EXPECT(maps != NULL);
    while (fgets(line, sizeof line, maps))
        nr += strstr(line, ".image") != NULL;
    fclose(maps);
    return nr;
}

static void refused(void)
{
    char name[HL_IMAGE_NAME_BYTES];
    unsigned fds = kit_count_fds(), maps = image_maps();
    struct hl_image another;

    EXPECT_EQ(maps, 1);
    hl_slot_image_name(pool, vol->volume->slot, name);
    EXPECT_RC(hl_image_attach(pool, name, image->length + CHUNK, &another), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "has not the length that the pool says");
    EXPECT_RC(hl_image_attach(pool, "none.image", image->length, &another), -ENOENT);
    stop_fail_kind(STOP_K_FSTAT, 1, 1, EIO);
    EXPECT_RC(hl_image_attach(pool, name, image->length, &another), -EIO);
    EXPECT_EQ(kit_count_fds(), fds);
    EXPECT_EQ(image_maps(), maps);
}

static void there_or_not(void)
{
    kit_verify_chunk(vol, SEED, 0);
    EXPECT(hl_image_settle(image, 0));
    EXPECT(!hl_image_settle(image, 1));
    stop_fail_kind(STOP_K_CONTINUE, 1, ROUNDS, EAGAIN);
    EXPECT(hl_image_settle(image, 0));
    EXPECT_EQ(stop_failed_kind(), image->hugetlb ? ROUNDS : 0);
    stop_fail_kind(STOP_K_CONTINUE, 1, ROUNDS, EAGAIN);
    EXPECT(!hl_image_settle(image, 1));
    stop_fail_kind(STOP_K_CONTINUE, 1, 1, EAGAIN);
    EXPECT(!hl_image_settle(image, 1));
    stop_fail_kind(STOP_K_CONTINUE, 1, 1, EINVAL);
    EXPECT(!hl_image_settle(image, 1));
    EXPECT_EQ(stop_failed_kind(), image->hugetlb);
    if (image->hugetlb) { /* what cannot be known is no hole: no chunk is dropped for it */
        stop_fail_kind(STOP_K_CONTINUE, 1, 1, EIO);
        EXPECT(hl_image_settle(image, 1));
    }
    kit_audit(pool);
}

static int (*real_fallocate)(int fd, int mode, off_t offset, off_t length);

static int cannot_punch(int fd, int mode, off_t offset, off_t length)
{
    if (!mode)
        return real_fallocate(fd, mode, offset, length);
    errno = EIO;
    return -1;
}

static void stray_page_stays(void)
{
    char *bytes = calloc(1, CHUNK);

    EXPECT(bytes != NULL);
    atomic_store(fails_word(vol, 1), pool->owner | HL_CHUNK_FILLING);
    stop_fail_kind(STOP_K_COPY, 1, 1, STOP_STRAY_PAGE);
    real_fallocate = hl_sys.fallocate;
    hl_sys.fallocate = cannot_punch;
    EXPECT_RC(hl_image_populate(image, 1, bytes), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "punch");
    EXPECT_EQ(stop_failed_kind(), 1);
    hl_sys.fallocate = real_fallocate;
    EXPECT(hl_image_settle(image, 1)); /* the stray one */
    atomic_store(fails_word(vol, 1), HL_CHUNK_EMPTY);
    kit_verify_chunk(vol, SEED, 1);    /* which no reader sees */
    free(bytes);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    kit_audit(pool);
}

/* One chunk's word is so when a fault on it has failed. */
static bool poison(uint64_t seen, int err)
{
    _Atomic uint64_t word = seen;

    hl_error(err, "the fault of %d", err);
    return hl_image_poison(image, 2, &word, err);
}

static void wounds(void)
{
    const uint64_t is_there[] = { HL_CHUNK_RESIDENT, HL_CHUNK_EVICTING | FAILS_DEAD };

    EXPECT_RC(hl_image_wound(image, 0, CHUNKS - 1, "db"), 0);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(!poison(is_there[i], EIO)); /* it came meanwhile */
        EXPECT_EQ(atomic_load(&image->nr_wounds), 0);
        EXPECT_RC(hl_image_wound(image, 0, CHUNKS - 1, "db"), 0);
    }
    EXPECT(poison(HL_CHUNK_EVICTING | HL_CHUNK_DOOMED | FAILS_DEAD, EIO));
    EXPECT_EQ(atomic_load(&image->nr_wounds), 1);
    EXPECT_RC(hl_image_wound(image, 0, CHUNKS - 1, "db"), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "the fault of");
    EXPECT_RC(hl_image_wound(image, 0, 1, "db"), 0);

    for (unsigned i = 0; i < 2; i++) { /* the mark of the first one stays */
        EXPECT(!poison(is_there[i], ENXIO));
        EXPECT_EQ(atomic_load(&image->nr_wounds), 1);
        EXPECT_RC(hl_image_wound(image, 0, CHUNKS - 1, "db"), -EIO);
    }
    EXPECT(poison(HL_CHUNK_EMPTY, ENXIO));
    EXPECT_EQ(atomic_load(&image->nr_wounds), 1);
    EXPECT_RC(hl_image_wound(image, 2, 2, "db"), -ENXIO);
    EXPECT(hl_image_poison(image, 2, NULL, EIO));
    EXPECT_RC(hl_image_heal(image, 2), 0);
    EXPECT_EQ(atomic_load(&image->nr_wounds), 0);
    EXPECT_RC(hl_image_heal(image, 2), 0);
    kit_verify_chunk(vol, SEED, 2);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
}

/* UFFDIO_POISON never gets to it: the chunk is closed to this process until it is healed. */
static void no_poison(void)
{
    unsigned maps = image_maps();

    if (!image->has_poison)
        return;
    stop_fail_kind(STOP_K_POISON, 1, 1, EAGAIN);
    EXPECT(poison(HL_CHUNK_EMPTY, EIO));
    EXPECT_EQ(stop_failed_kind(), 1);
    EXPECT_EQ(image_maps(), maps);
    EXPECT_RC(hl_image_heal(image, 2), 0);
    stop_fail_kind(STOP_K_POISON, 1, 2 * ROUNDS, EAGAIN);
    EXPECT(poison(HL_CHUNK_EMPTY, EIO));
    EXPECT_EQ(stop_failed_kind(), ROUNDS);
    EXPECT_EQ(image_maps(), maps + 2); /* PROT_NONE in the middle */
    EXPECT_RC(hl_image_wound(image, 0, CHUNKS - 1, "db"), -EIO);
    kit_verify(vol, SEED); /* heals */
    EXPECT_EQ(atomic_load(&image->nr_wounds), 0);
}

static void uncached(void *arg)
{
    struct hl_image another;

    (void)arg;
    stop_fail_kind(STOP_K_USERFAULTFD, 1, ROUNDS, EPERM);
    pool = kit_pool(dir, BUDGET);
    EXPECT_RC(hl_image_attach(pool, "none.image", CHUNK, &another), -EPERM);
    EXPECT_CONTAINS(hugelite_error(), "cannot be mapped");
    hugelite_pool_close(pool);
}

int main(void)
{
    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    test_file(path, CHUNKS * CHUNK, SEED);
    kit_age(path);
    EXPECT_CHILD(kit_fork(uncached, NULL), 0);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    image = &vol->volume->image;

    refused();
    there_or_not();
    stray_page_stays();
    wounds();
    no_poison();

    kit_verify(vol, SEED);
    kit_audit(pool);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
