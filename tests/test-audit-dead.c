/* SPDX-License-Identifier: MIT
 *
 * test-audit-dead: what killed processes leave is found, and put right.
 *
 * Passes when processes are killed while they fill, evict, hold a chunk, take a volume down, or
 * anywhere while they open one, and the audit finds what each has left and nothing else, all
 * of it harmless; when its repair leaves nothing to find; and when every byte is right then.
 */
#include "config.h"

#include "audit-kit.h"
#include "stop.h"

#include "chunk.h"
#include "pool.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUDGET 4
#define CHUNKS 6

static const char *dir, *path, *other;
static _Atomic unsigned *ready;
static unsigned call, nth, after;

static void reader(void *arg)
{
    struct hugelite_volume *vol = kit_volume(kit_pool(dir, BUDGET), path);

    (void)arg;
    if (after)
        stop_after(call, nth, stop_die);
    else
        stop_before(call, nth, stop_die);
    kit_verify(vol, 1);
    test_fail(__FILE__, __LINE__, "call %u did not come %u times", call, nth);
}

static void holder(void *arg)
{
    const void *data;

    (void)arg;
    EXPECT_RC(hugelite_volume_fetch(kit_volume(kit_pool(dir, BUDGET), path), 0, 8, &data), 0);
    atomic_store(ready, 1);
    pause();
}

/* Takes the old version down, and dies before its image is gone. */
static void replacer(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);

    (void)arg;
    test_file(path, CHUNKS * CHUNK, 1);
    stop_before(STOP_UNLINK, 1, stop_die);
    kit_volume(pool, path);
    test_fail(__FILE__, __LINE__, "no image was removed");
}

/* Opens a volume that the pool does not know, and dies at the nth call. */
static void opener(void *arg)
{
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);

    (void)arg;
    stop_before(STOP_ANY, nth, stop_die);
    kit_volume(pool, other);
    _exit(0);
}

static bool dies(void (*run)(void *))
{
    pid_t pid = kit_fork(run, NULL);
    int status;

    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return true;
}

static void verify(struct hugelite_pool *pool)
{
    struct hugelite_volume *vol = kit_volume(pool, path);

    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    ak_clean(pool);
    kit_audit_empty(pool);
}

static void mid_way(unsigned what, unsigned count, bool behind)
{
    struct hugelite_pool *pool;

    printf("call %u, %u, %s\n", what, count, behind ? "after" : "before");
    call = what;
    nth = count;
    after = behind;
    EXPECT(dies(reader));
    pool = kit_pool(dir, BUDGET);
    ak_mend(pool, "chunks_orphaned", 0, "readers_dead", 1, NULL);
    verify(pool);
    hugelite_pool_close(pool);
}

/* The chunk of a dead filler is filled by somebody else, with a ticket of his. */
static void forgotten(void)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    call = STOP_COPY;
    nth = 1;
    after = false;
    EXPECT(dies(reader));
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, path);
    kit_verify_chunk(vol, 1, 0);
    ak_mend(pool, "tickets_forgotten", 1, "readers_dead", 1, NULL);
    hugelite_volume_close(vol);
    verify(pool);
    hugelite_pool_close(pool);
}

static void held(void)
{
    struct hugelite_pool *pool;
    pid_t pid = kit_fork(holder, NULL);
    struct hl_audit audit;
    uint32_t seat;

    kit_await(ready, 1);
    pool = kit_pool(dir, BUDGET);
    seat = HL_OWNER_MEMBER(pool->owner) ^ 1;
    audit = ak_clean(pool);
    EXPECT_EQ(audit.readers, 1);
    EXPECT_EQ(audit.pins, 1);
    EXPECT_EQ(audit.members, 2);
    kit_kill(pid);
    ak_mend(pool, "readers_dead", 1, NULL);
    EXPECT_EQ(ak_clean(pool).members, 1);
    atomic_store(ready, 0);

    /* A scout, by its word: the process above had one of the first two seats, and we have the other. */
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        if (atomic_load(&pool->slots[i].state) == HL_SLOT_LIVE)
            atomic_store(&pool->slots[i].scout,
                         HL_OWNER(seat, atomic_load(&pool->members[seat].generation)));
    ak_mend(pool, "scouts_dead", 1, NULL);
    verify(pool);
    hugelite_pool_close(pool);
}

static void superseded(void)
{
    struct hugelite_pool *pool;
    pid_t pid = kit_fork(holder, NULL);

    kit_await(ready, 1);
    pool = kit_pool(dir, BUDGET);
    test_file(path, CHUNKS * CHUNK, 1);
    hugelite_volume_close(kit_volume(pool, path));
    ak_clean(pool); /* two versions, and the old one has a reader */
    kit_kill(pid);
    ak_mend(pool, "slots_superseded", 1, "readers_dead", 1, NULL);
    EXPECT_EQ(ak_clean(pool).volumes, 1);
    verify(pool);
    hugelite_pool_close(pool);

    EXPECT(dies(replacer));
    pool = kit_pool(dir, BUDGET);
    ak_mend(pool, "slots_dying", 1, NULL);
    EXPECT_EQ(ak_clean(pool).volumes, 0);
    verify(pool);
    hugelite_pool_close(pool);
}

/* Whatever it has left of the volume, none of it is wrong. */
static void anywhere(void)
{
    unsigned images = 0, readers = 0;

    for (nth = 1; dies(opener); nth++) {
        struct hugelite_pool *pool = kit_pool(dir, BUDGET);
        struct hl_audit audit;

        EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
        EXPECT_EQ(hl_audit_open(&audit, false), 0);
        for (unsigned kind = 0; kind < HL_FINDINGS; kind++)
            EXPECT(audit.found[kind] == 0 || hl_finding_kinds[kind].is_left);
        images += (unsigned)audit.found[HL_FOUND_images_left];
        readers += (unsigned)audit.found[HL_FOUND_readers_dead];
        ak_clean(pool);
        hugelite_pool_evict(pool, other, NULL);
        /* Make it unknown again. */
        test_file(other, CHUNK, nth + 1);
        hugelite_pool_close(pool);
    }
    printf("%u calls of an open: %u images, %u readers left\n", nth - 1, images, readers);
    EXPECT(nth > 5);
    EXPECT(images > 0);
    EXPECT(readers > 0);
}

int main(void)
{
    dir = test_pool_dir();
    path = test_path(test_dir(), "db");
    other = test_path(test_dir(), "other");
    ready = kit_shared(sizeof *ready);
    test_file(path, CHUNKS * CHUNK, 1);
    test_file(other, CHUNK, 1);

    mid_way(STOP_PREAD, 2, false);
    mid_way(STOP_COPY, 1, false);
    mid_way(STOP_COPY, 1, true);
    mid_way(STOP_FENCE, 1, false);
    mid_way(STOP_PUNCH, 1, false);
    mid_way(STOP_PUNCH, 1, true);
    forgotten();
    held();
    superseded();
    anywhere();
    return 0;
}
