/* SPDX-License-Identifier: MIT
 *
 * test-memory-heap-bytes: what members say that they use as heap is added up, for as long as
 * they live.
 *
 * Passes when hugelite_pool_stat() of each process shows the sum of what all say; when it
 * forgets the bytes of one that is killed, of one that closes the pool, and of the former owner
 * of a seat that is taken anew; and when an inherited handle answers -ECHILD and changes nothing.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <unistd.h>

#define MIB (1ull << 20)

static const char *dir;
static struct hugelite_pool *pool;
static struct {
    _Atomic unsigned said;
} *shared;

static uint64_t heap_bytes(struct hugelite_pool *of)
{
    struct hugelite_pool_stat st;

    EXPECT_RC(hugelite_pool_stat(of, &st), 0);
    return st.heap_bytes;
}

static void member(void *arg)
{
    struct hugelite_pool *mine = kit_pool(dir, 4);

    (void)arg;
    EXPECT_EQ(heap_bytes(mine), 10 * MIB);
    EXPECT_RC(hugelite_pool_set_heap(mine, 1 * MIB), 0);
    EXPECT_RC(hugelite_pool_set_heap(mine, 4 * MIB), 0); /* instead, not besides */
    EXPECT_EQ(heap_bytes(mine), 14 * MIB);
    shared->said++;
    for (;;)
        pause();
}

static void taker_of_the_seat(void *arg)
{
    struct hugelite_pool *mine = kit_pool(dir, 4);

    (void)arg;
    EXPECT_EQ(heap_bytes(mine), 10 * MIB);
    EXPECT_RC(hugelite_pool_set_heap(mine, 6 * MIB), 0);
    EXPECT_EQ(heap_bytes(mine), 16 * MIB);
    hugelite_pool_close(mine);
}

static void inheritor(void *arg)
{
    (void)arg;
    EXPECT_RC(hugelite_pool_set_heap(pool, 1), -ECHILD);
    EXPECT_CONTAINS(hugelite_error(), "fork()");
    hugelite_pool_close(pool);
}

int main(void)
{
    pid_t pid;

    dir = test_pool_dir();
    shared = kit_shared(sizeof *shared);
    pool = kit_pool(dir, 4);
    EXPECT_EQ(heap_bytes(pool), 0);
    EXPECT_RC(hugelite_pool_set_heap(pool, 10 * MIB), 0);
    EXPECT_EQ(heap_bytes(pool), 10 * MIB);

    pid = kit_fork(member, NULL);
    kit_await(&shared->said, 1);
    EXPECT_EQ(heap_bytes(pool), 14 * MIB);
    kit_kill(pid);
    EXPECT_EQ(heap_bytes(pool), 10 * MIB);

    EXPECT_CHILD(kit_fork(taker_of_the_seat, NULL), 0);
    EXPECT_EQ(heap_bytes(pool), 10 * MIB);
    EXPECT_CHILD(kit_fork(inheritor, NULL), 0);
    EXPECT_EQ(heap_bytes(pool), 10 * MIB);

    hugelite_pool_close(pool);
    pool = kit_pool(dir, 4);
    EXPECT_EQ(heap_bytes(pool), 0);
    hugelite_pool_close(pool);
    return 0;
}
