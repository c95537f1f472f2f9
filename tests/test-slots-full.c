/* SPDX-License-Identifier: MIT
 *
 * test-slots-full: databases that together are more than a pool's tables hold.
 *
 * Passes when one that is too large for them is refused; when a volume gets less room to grow, or the
 * place of the one that has been unused for longest, before it is refused; when a volume
 * that cannot be taken down at this moment (somebody alive fills a chunk of it, its image cannot be
 * removed) goes later; when an entry that does not fit its source is refused; and when nothing is lost by all that.
 */
#include "config.h"

#include "audit-kit.h"

#include "chunk.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUDGET 8

static const char *dir;
static struct hugelite_pool *pool;

/* A file of zeros that takes no room. */
static const char *sparse(const char *name, uint64_t chunks)
{
    const char *path = test_path(test_dir(), name);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    if (ftruncate(fd, (off_t)(chunks * CHUNK)) < 0)
        test_skip("no files of %llu GiB here", (unsigned long long)(chunks * CHUNK >> 30));
    close(fd);
    return path;
}

static struct hl_slot *use(const char *path)
{
    struct hugelite_volume *vol = kit_volume(pool, path);
    struct hl_slot *slot = vol->volume->slot;
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, 0, 4096, &data), 0);
    hugelite_volume_release(vol, data);
    hugelite_volume_close(vol);
    return slot;
}

static int refused(const char *path)
{
    struct hugelite_volume *vol;
    int rc = hugelite_volume_open(pool, path, &vol);

    EXPECT(rc < 0);
    return rc;
}

/* The oldest cannot go: a chunk of it is claimed by somebody alive. */
static void claimed(const char *next, struct hl_slot *oldest)
{
    uint64_t patience = hl_patience_ns;
    _Atomic uint64_t *word = &pool->words[oldest->first + 7];

    hl_patience_ns = 20 * 1000 * 1000;
    atomic_store(word, pool->owner | HL_CHUNK_FILLING);
    EXPECT_RC(refused(next), -ENOSPC);
    EXPECT_CONTAINS(hugelite_error(), "tables are full");
    EXPECT_EQ(atomic_load(&oldest->state), HL_SLOT_DYING);
    /* The same of somebody dead, for whom another waits. */
    atomic_store(word, HL_OWNER(HL_MEMBERS - 1, 9) | HL_CHUNK_FILLING | HL_CHUNK_WAITERS);
    hl_patience_ns = patience;
    use(next);
    EXPECT_EQ(atomic_load(word) & HL_CHUNK_STATE, HL_CHUNK_EMPTY);
    ak_clean(pool);
}

/* Something that is no file has the place of an image. */
static void in_the_way(const char *path)
{
    struct hl_slot *slot = use(path);
    char name[HL_IMAGE_NAME_BYTES];
    const char *image;
    int fd;

    hl_slot_image_name(pool, slot, name);
    image = test_path(dir, name);
    EXPECT_EQ(unlink(image), 0);
    EXPECT_EQ(mkdir(image, 0700), 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT_EQ(pwrite(fd, "new", 3, 0), 3); /* another version: the old one should go */
    close(fd);
    use(path);
    EXPECT_EQ(atomic_load(&slot->state), HL_SLOT_DYING);
    EXPECT_EQ(rmdir(image), 0);
    use(path);
    EXPECT_EQ(atomic_load(&slot->state), HL_SLOT_FREE);
    ak_clean(pool);
}

int main(void)
{
    struct hugelite_volume *a, *b;
    const char *half, *other, *third, *small;
    struct hl_slot *slot;
    uint64_t bytes;

    dir = test_pool_dir();
    pool = kit_pool(dir, BUDGET);
    half = sparse("half", pool->nr_words / 4); /* and as much again to grow */
    other = sparse("other", pool->nr_words / 4);
    third = sparse("third", pool->nr_words / 4);
    small = sparse("small", 40);
    EXPECT_RC(refused(sparse("huge", (uint64_t)pool->nr_words + 1)), -EFBIG);
    EXPECT_CONTAINS(hugelite_error(), "larger budget");

    a = kit_volume(pool, half);
    EXPECT_EQ(a->volume->slot->capacity, pool->nr_words / 4 * 2);
    b = kit_volume(pool, other);
    EXPECT_RC(refused(small), -ENOSPC); /* both are open */
    hugelite_volume_close(a);
    slot = use(small); /* in the place of the first one */
    EXPECT_EQ(slot->capacity, 80);
    a = kit_volume(pool, third); /* beside it, without room to grow */
    EXPECT_EQ(a->volume->slot->capacity, pool->nr_words / 4);
    ak_clean(pool);
    hugelite_volume_close(a);
    hugelite_volume_close(b);

    slot = use(other); /* so that the small one, and then the third, is the oldest */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    use(small);
    use(third);
    claimed(half, slot);

    /* A slot whose size is not its source's. */
    slot = use(small);
    bytes = slot->bytes;
    atomic_store(&slot->bytes, bytes - 1);
    EXPECT_RC(refused(small), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "damaged");
    atomic_store(&slot->bytes, bytes);
    in_the_way(small);

    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
