/* SPDX-License-Identifier: MIT
 *
 * test-scout-warm: the chunks that the readers of a volume needed first are known when it is
 * opened the next time, on whatever pool, and are brought in that order without being asked for.
 *
 * Passes when the list in the catalog has the order of the reads; when a process that reads
 * nothing gets just these chunks, and with a smaller pool just the first of them; when its readers
 * ask the origin for nothing more; and when a list has the newest order in front, and no
 * chunk twice.
 */
#include "chunk.h"
#include "kit-origin.h"
#include "kit.h"
#include "scout-kit.h"
#include "volume.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 40, SEED = 11, LISTED = 6, SMALL = 4 };

static const uint32_t wanted[LISTED] = { 9, 2, 30, 3, 20, 14 };
static struct kit_origin *origin;
static const char *url;

static bool is_wanted(uint32_t chunk, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++)
        if (wanted[i] == chunk)
            return true;
    return false;
}

static void leave(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    kit_audit(pool);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void read_first(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    for (unsigned i = 0; i < LISTED; i++)
        kit_verify_chunk(vol, SEED, wanted[i]);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

/* Wait until all that is to come by itself has come; returns how many chunks.  All are among the
 * first of the list. */
static unsigned await_warm(struct hugelite_volume *vol, unsigned first)
{
    double end = test_now() + TEST_HANG_S;
    unsigned nr = 0;

    sk_await_back(vol);
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
        while (hl_chunk_state(atomic_load(&vol->words[chunk])) == HL_CHUNK_FILLING) {
            EXPECT(test_now() < end);
            test_sleep_ms(1);
        }
        if (hl_chunk_state(atomic_load(&vol->words[chunk])) == HL_CHUNK_RESIDENT) {
            EXPECT(is_wanted(chunk, first));
            nr++;
        }
    }
    return nr;
}

/* So many of the listed chunks, at least, come by themselves, and no others. */
static void expect_warm(unsigned budget, unsigned least, unsigned first)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), budget);
    struct hugelite_volume *vol = kit_volume(pool, url);
    unsigned nr = await_warm(vol, first);
    uint64_t before;

    EXPECT(nr >= least);
    before = kit_origin_stat(origin).requests;
    for (unsigned i = 0; i < LISTED; i++)
        if (hl_chunk_state(atomic_load(&vol->words[wanted[i]])) == HL_CHUNK_RESIDENT)
            kit_verify_chunk(vol, SEED, wanted[i]);
    EXPECT_EQ(kit_origin_stat(origin).requests, before);
    EXPECT_EQ(kit_stat(vol).fills, nr);
    leave(pool, vol);
}

static void come_again(void *arg)
{
    (void)arg;
    expect_warm(16, LISTED, LISTED);
}

/* Of few places one may not be seen to be free (hl_replacement_has_room). */
static void come_small(void *arg)
{
    (void)arg;
    expect_warm(SMALL, SMALL - 1, SMALL);
}

static void read_another(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    kit_verify_chunk(vol, SEED, 35);
    kit_await_resident(pool, LISTED + 1);
    leave(pool, vol);
}

static void expect_list(const uint32_t *expected, unsigned nr)
{
    uint32_t *list;

    EXPECT_EQ(sk_list(url, false, &list), nr);
    EXPECT_MEM(list, expected, nr * sizeof *list);
    free(list);
}

int main(void)
{
    const uint32_t newer[LISTED + 1] = { 35, 9, 2, 30, 3, 20, 14 };
    const char *dir = test_dir();
    uint32_t *list;

    test_file(test_path(dir, "file"), CHUNKS * CHUNK, SEED);
    origin = kit_origin(dir);
    url = kit_origin_url(origin, "/file");
    sk_use_state(false);

    EXPECT_CHILD(kit_fork(read_first, NULL), 0);
    expect_list(wanted, LISTED);
    EXPECT_CHILD(kit_fork(come_again, NULL), 0);
    expect_list(wanted, LISTED);
    EXPECT_CHILD(kit_fork(read_another, NULL), 0);
    expect_list(newer, LISTED + 1);
    EXPECT_CHILD(kit_fork(read_first, NULL), 0);
    EXPECT_CHILD(kit_fork(come_small, NULL), 0);
    /* A list is no longer than its pool. */
    EXPECT_EQ(sk_list(url, false, &list), SMALL);
    for (unsigned i = 0; i < SMALL; i++)
        EXPECT(is_wanted(list[i], SMALL));
    free(list);
    kit_origin_stop(origin);
    return 0;
}
