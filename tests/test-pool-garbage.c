/* SPDX-License-Identifier: MIT
 *
 * test-pool-garbage: a control segment whose tables hold random bytes.
 *
 * Passes when in 40 rounds of overwriting parts of a pool's members, readers, slots,
 * tickets or words (behind a good header) a process that opens it, reads two files
 * and evicts neither crashes nor hangs, and never gets a wrong byte: each call
 * succeeds or says why not.
 */
#include "config.h"

#include "kit.h"

#include "layout.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 40
#define CHUNKS 5

static const char *dir, *paths[2];
static uint64_t state = 4711;

static uint64_t next(void)
{
    state = test_pattern(state, 8);
    return state >> 16;
}

static void look(struct hugelite_pool *pool, unsigned which)
{
    struct hugelite_volume *vol;
    struct hugelite_volume_stat st;
    char *buffer;

    if (hugelite_volume_open(pool, paths[which], &vol) < 0)
        return;
    EXPECT_RC(hugelite_volume_stat(vol, &st), 0);
    for (unsigned i = 0; i < CHUNKS; i++) {
        const void *data;

        if (hugelite_volume_fetch(vol, i * CHUNK, 4096, &data) < 0)
            continue;
        EXPECT_PATTERN(data, 4096, which, i * CHUNK);
        hugelite_volume_release(vol, data);
    }
    buffer = malloc(3 * CHUNK);
    EXPECT(buffer != NULL);
    EXPECT_RC(hugelite_volume_read(vol, 1000, 3 * CHUNK, buffer), 0);
    EXPECT_PATTERN(buffer, 3 * CHUNK, which, 1000);
    free(buffer);
    hugelite_volume_close(vol);
}

static void user(void *arg)
{
    struct hugelite_volume_stat st[4];
    struct hugelite_pool_stat pool_st;
    struct hugelite_pool *pool;
    size_t nr;

    (void)arg;
    hl_patience_ns = 20 * 1000 * 1000;
    alarm(TEST_HANG_S);
    pool = kit_pool(dir, 4);
    look(pool, 0);
    look(pool, 1);
    EXPECT_RC(hugelite_pool_stat(pool, &pool_st), 0);
    (void)hugelite_pool_volumes(pool, st, 4, &nr);
    (void)hugelite_pool_evict(pool, NULL, NULL);
    look(pool, 0);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hl_control *c;
    uint64_t bytes;
    int fd;

    dir = test_pool_dir();
    for (unsigned i = 0; i < 2; i++) {
        paths[i] = test_path(test_dir(), i ? "b" : "a");
        test_file(paths[i], CHUNKS * CHUNK - 77, i);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t from, length;

        if (round % 10 == 0) { /* a new one, in use as before */
            unlink(test_path(dir, "control"));
            EXPECT_CHILD(kit_fork(user, NULL), 0);
        }
        fd = open(test_path(dir, "control"), O_RDWR | O_CLOEXEC);
        EXPECT(fd >= 0);
        bytes = (uint64_t)lseek(fd, 0, SEEK_END);
        c = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        EXPECT(c != MAP_FAILED);
        switch (next() % 7) {
        case 0:
            from = c->members_at;
            length = HL_MEMBERS * sizeof(struct hl_member);
            break;
        case 1:
            from = c->readers_at;
            length = HL_READERS * sizeof(struct hl_reader);
            break;
        case 2:
            from = c->slots_at;
            length = 3 * sizeof(struct hl_slot);
            break;
        case 3:
            from = c->tickets_at;
            length = c->nr_tickets * sizeof(uint64_t);
            break;
        case 4:
            from = c->words_at;
            length = 200 * sizeof(uint64_t);
            break;
        case 5: /* the rings' entries */
            from = c->free_at;
            length = c->words_at - from;
            break;
        default: /* the limit, the rings' ends, the hand and readers_top */
            from = offsetof(struct hl_control, limit) & ~7ul;
            length = sizeof *c - from;
        }
        for (unsigned i = 0; i < 1 + next() % 64; i++) {
            uint64_t at = from + next() % (length / 8) * 8;

            /* Half of it small numbers, which pass more checks. */
            *(uint64_t *)((char *)c + at) = next() % 2 ? next() << 32 ^ next() : next() % 8;
        }
        EXPECT_CHILD(kit_fork(user, NULL), 0);
        munmap(c, bytes);
        close(fd);
    }
    return 0;
}
