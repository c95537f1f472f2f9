/* SPDX-License-Identifier: MIT
 *
 * test-audit-load: an audit of a pool at work finds nothing, and disturbs nobody.
 *
 * Passes when four processes open, read, evict, replace and close volumes in a pool that is smaller than
 * these, and a hundred audits meanwhile, every second of which repairs what it finds, find nothing at all; and
 * when every byte that is read is right.
 */
#include "config.h"

#include "audit-kit.h"

#include <errno.h>
#include <stdio.h>

#define PROCESSES 4
#define BUDGET 5
#define CHUNKS 4
#define AUDITS 100

static const char *dir;
static const char *paths[PROCESSES + 2]; /* each has one of his own; the others are everybody's */
static _Atomic unsigned *stop, *rounds;

static void work(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    struct hugelite_pool *pool = kit_pool(dir, BUDGET);
    uint64_t state = me;

    for (unsigned round = 0; !atomic_load(stop); round++) {
        unsigned file = round % 3 ? PROCESSES + round % 2 : me;
        struct hugelite_volume *vol = kit_volume(pool, paths[file]);

        for (unsigned i = 0; i < 12; i++) {
            const void *data;
            uint64_t at;
            int rc;

            state = test_pattern(state, round);
            at = (state >> 8) % (CHUNKS * CHUNK / 4096) * 4096;
            rc = hugelite_volume_fetch(vol, at, 4096, &data);
            if (rc == -EBUSY)
                continue;
            EXPECT_RC(rc, 0);
            EXPECT_PATTERN(data, 4096, file, at);
            hugelite_volume_release(vol, data);
        }
        if (round % 5 == 0)
            EXPECT_RC(hugelite_pool_evict(pool, paths[file], NULL), 0);
        if (round % 6 == 0 && file == me) /* a new version: the old one goes */
            test_file(paths[me], CHUNKS * CHUNK, me);
        hugelite_volume_close(vol);
        atomic_fetch_add(rounds, 1);
    }
    hugelite_pool_close(pool);
}

static void tell(void *arg, enum hl_finding kind, bool repaired, const char *text)
{
    (void)arg;
    test_fail(__FILE__, __LINE__, "%s%s: %s", hl_finding_kinds[kind].name,
              repaired ? " (repaired)" : "", text);
}

int main(void)
{
    pid_t pids[PROCESSES];
    struct hugelite_pool *pool;
    struct hl_audit audit;
    uint64_t moving = 0;

    dir = test_pool_dir();
    stop = kit_shared(sizeof *stop);
    rounds = kit_shared(sizeof *rounds);
    for (unsigned i = 0; i < PROCESSES + 2; i++) {
        char name[16];

        snprintf(name, sizeof name, "db%u", i);
        paths[i] = test_path(test_dir(), name);
        test_file(paths[i], CHUNKS * CHUNK, i);
    }
    hugelite_pool_close(kit_pool(dir, BUDGET));
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = kit_fork(work, (void *)(uintptr_t)i);
    kit_await(rounds, 2 * PROCESSES);
    pool = kit_pool(dir, BUDGET);
    for (unsigned i = 0; i < AUDITS; i++) {
        EXPECT_RC(hl_audit(pool, i % 2, tell, NULL, &audit), 0);
        EXPECT_EQ(audit.free + audit.resident + audit.moving + audit.orphaned, BUDGET);
        EXPECT_EQ(audit.orphaned, 0);
        EXPECT(audit.members > 1);
        moving += audit.moving;
    }
    printf("%u rounds of work beside %u audits, %llu tickets on the move\n", atomic_load(rounds),
           AUDITS, (unsigned long long)moving);
    EXPECT(moving > 0);
    atomic_store(stop, 1);
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);
    ak_clean(pool);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
