/* SPDX-License-Identifier: MIT
 *
 * test-memory-hook: where fill buffers come from is the program's to say, once and in time.
 *
 * Passes when fills use the memory that hugelite_set_memory() names, of which each page has been
 * touched, and give all of it back; when a struct without its size or half of its calls is
 * refused with -EINVAL, and a second word, or one after a first use or an opened pool, with
 * -EBUSY; and when an allocator that has nothing makes a fill say -ENOMEM and no more.
 */
#include "config.h"

#include "kit.h"

#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES (5 * CHUNK - 9)
#define SEED 31

static const char *path;
static _Atomic unsigned nr_got, nr_put;
static _Atomic bool refuse, mixed_up;
static int tag;

/* What is out: two buffers and some spare room for decode contexts. */
static struct {
    _Atomic(void *) memory;
    size_t bytes;
} out[64];

static void *allocate(void *arg, size_t bytes)
{
    void *memory;

    if (arg != &tag)
        mixed_up = true;
    if (refuse)
        return NULL;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    for (unsigned i = 0; i < sizeof out / sizeof *out; i++) {
        void *none = NULL;

        if (atomic_compare_exchange_strong(&out[i].memory, &none, memory)) {
            out[i].bytes = bytes;
            nr_got++;
            return memory;
        }
    }
    mixed_up = true;
    return memory;
}

static void release(void *arg, void *memory, size_t bytes)
{
    bool known = false;

    if (arg != &tag)
        mixed_up = true;
    for (unsigned i = 0; i < sizeof out / sizeof *out && !known; i++)
        if (out[i].memory == memory && out[i].bytes == bytes) {
            out[i].memory = NULL;
            known = true;
        }
    if (!known)
        mixed_up = true;
    munmap(memory, bytes);
    nr_put++;
}

static const struct hugelite_memory ours = { sizeof ours, allocate, release, &tag };

static void expect_late(void)
{
    EXPECT_RC(hugelite_set_memory(&ours), -EBUSY);
    EXPECT_CONTAINS(hugelite_error(), "hugelite_set_memory");
    EXPECT_EQ(nr_got, 0);
}

static void after_a_pool(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 4);

    (void)arg;
    expect_late();
    hugelite_pool_close(pool);
    expect_late();
}

static void after_a_use(void *arg)
{
    void *memory = hl_memory_get(4096);

    (void)arg;
    EXPECT(memory != NULL);
    expect_late();
    hl_memory_put(memory, 4096);
    expect_late();
}

static void wrong(void *arg)
{
    struct hugelite_memory half = ours;

    (void)arg;
    EXPECT_RC(hugelite_set_memory(NULL), -EINVAL);
    half.size = 0;
    EXPECT_RC(hugelite_set_memory(&half), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), "size");
    half = ours;
    half.release = NULL;
    EXPECT_RC(hugelite_set_memory(&half), -EINVAL);
    half = ours;
    half.allocate = NULL;
    EXPECT_RC(hugelite_set_memory(&half), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), "allocate");
    /* A pool that cannot be opened is none, and what was refused has set nothing. */
    EXPECT_RC(hugelite_pool_open("/nowhere/at/all", NULL, &(struct hugelite_pool *){ NULL }),
              -ENOENT);
    EXPECT_RC(hugelite_set_memory(&ours), 0);
}

static void nothing_there(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *data;

    (void)arg;
    refuse = true;
    EXPECT_RC(hugelite_set_memory(&ours), 0);
    pool = kit_pool(test_pool_dir(), 4);
    vol = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 1, &data), -ENOMEM);
    refuse = false;
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 1, &data), 0);
    EXPECT_PATTERN(data, 64, SEED, 0);
    hugelite_volume_release(vol, data);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    kit_audit(pool);
    hugelite_pool_close(pool);
}

static void expect_touched(size_t bytes)
{
    unsigned char here[1024];
    char *memory = hl_memory_get(bytes);

    EXPECT(memory != NULL);
    EXPECT_EQ((uintptr_t)memory % 4096, 0);
    EXPECT_EQ(mincore(memory, bytes, here), 0);
    for (size_t i = 0; i < (bytes + 4095) / 4096; i++)
        EXPECT_EQ(here[i] & 1, 1);
    memset(memory, 0xa5, bytes);
    hl_memory_put(memory, bytes);
}

static void by_default(void *arg)
{
    (void)arg;
    expect_touched(4096);
    expect_touched(3 * 4096 + 1);
    expect_touched(CHUNK);
    expect_touched(CHUNK + 5);
}

int main(void)
{
    struct hugelite_memory changed = ours;
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    path = test_path(test_dir(), "x");
    test_file(path, BYTES, SEED);
    EXPECT_CHILD(kit_fork(by_default, NULL), 0);
    EXPECT_CHILD(kit_fork(wrong, NULL), 0);
    EXPECT_CHILD(kit_fork(after_a_pool, NULL), 0);
    EXPECT_CHILD(kit_fork(after_a_use, NULL), 0);
    EXPECT_CHILD(kit_fork(nothing_there, NULL), 0);

    EXPECT_RC(hugelite_set_memory(&changed), 0);
    changed = (struct hugelite_memory){ 0 }; /* it was copied */
    EXPECT_RC(hugelite_set_memory(&ours), -EBUSY);
    expect_touched(CHUNK);
    EXPECT_EQ(nr_got, 1);
    EXPECT_EQ(nr_put, 1);

    pool = kit_pool(test_pool_dir(), 4);
    vol = kit_volume(pool, path);
    kit_verify(vol, SEED);
    EXPECT(nr_got > 1);
    hugelite_volume_close(vol);
    /* Idle buffers go back within two looks of the fault thread, half a second each. */
    for (double until = test_now() + TEST_HANG_S; nr_put != nr_got && test_now() < until;)
        test_sleep_ms(10);
    EXPECT_EQ(nr_put, nr_got);
    EXPECT(!mixed_up);
    hugelite_pool_close(pool);
    return 0;
}
