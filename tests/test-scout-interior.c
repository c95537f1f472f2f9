/* SPDX-License-Identifier: MIT
 *
 * test-scout-interior: once the scout has been out, no interior page costs a request: from a raw
 * source and from a compressed one, with a disk tier and without, by the walk and by the list
 * that it leaves.
 *
 * Passes when reads of all interior pages, as dbstat lists them, send nothing to the origin, when
 * the list in the catalog has just these pages, roots first, and when the next process asks the
 * origin for nothing that the tier has.
 */
#include "chunk.h"
#include "codec.h"
#include "kit-origin.h"
#include "kit.h"
#include "scout-kit.h"
#include "volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 120000, PAGE = 4096, POOL = 16 };

static struct kit_origin *origin;
static const char *url;
static uint32_t *interior;
static unsigned nr_interior;

static bool is_empty(struct hugelite_volume *vol, uint32_t page)
{
    uint64_t index = (uint64_t)(page - 1) * PAGE / CHUNK;

    return hl_chunk_state(atomic_load(&vol->words[index])) == HL_CHUNK_EMPTY;
}

/* As an early read does, but it brings no chunk. */
static void expect_at_hand(struct hugelite_volume *vol)
{
    struct hl_codec *codec = vol->volume->codec;
    struct hl_codec_work work = { 0 };
    unsigned char page[PAGE];
    unsigned nr = 0;

    for (unsigned i = 0; i < nr_interior; i++) {
        uint64_t before = kit_origin_stat(origin).requests;

        if (!is_empty(vol, interior[i]))
            continue;
        EXPECT_RC(codec->ops->read(codec, (uint64_t)(interior[i] - 1) * PAGE, PAGE, page, &work),
                  0);
        EXPECT(page[0] == 2 || page[0] == 5);
        if (kit_origin_stat(origin).requests != before)
            test_fail(__FILE__, __LINE__, "page %u had to be asked for", interior[i]);
        nr++;
    }
    EXPECT(nr > nr_interior / 2);
}

/* A chunk that has earned its page may still be on its way. */
static void await_silence(void)
{
    double end = test_now() + TEST_HANG_S;
    struct kit_origin_stat before, now = kit_origin_stat(origin);

    do {
        EXPECT(test_now() < end);
        before = now;
        test_sleep_ms(100);
        now = kit_origin_stat(origin);
    } while (now.requests != before.requests || now.in_flight);
}

static void go(struct hugelite_pool **ret_pool, struct hugelite_volume **ret_vol)
{
    *ret_pool = kit_pool(test_pool_dir(), POOL);
    *ret_vol = kit_volume(*ret_pool, url);
    sk_stray(*ret_vol, 1000);
    sk_await_back(*ret_vol);
    await_silence();
}

static void leave(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void run_once(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    go(&pool, &vol);
    expect_at_hand(vol);
    EXPECT_EQ(sk_count_scouts(getpid()), 0);
    leave(pool, vol);
}

/* The tier has all that the first process read, and so do strays that are the same. */
static void run_again(void *arg)
{
    uint64_t before = kit_origin_stat(origin).requests;

    run_once(arg);
    EXPECT(kit_origin_stat(origin).requests <= before + 1);
}

static bool is_interior(uint32_t page)
{
    for (unsigned i = 0; i < nr_interior; i++)
        if (interior[i] == page)
            return true;
    return false;
}

static void expect_list(const char *path)
{
    uint32_t *list;
    unsigned nr = sk_list(url, true, &list);

    EXPECT_EQ(nr, nr_interior);
    for (unsigned i = 0; i < nr; i++) {
        EXPECT(is_interior(list[i]));
        for (unsigned j = 0; j < i; j++)
            EXPECT(list[i] != list[j]);
    }
    /* Three trees, and the schema is one page. */
    for (unsigned i = 0; i < 3; i++)
        EXPECT(sk_is_root(path, list[i]));
    free(list);
}

static void expect_no_list(void *arg)
{
    uint32_t *list;

    (void)arg;
    EXPECT_EQ(sk_list(url, true, &list), 0);
}

static void check(const char *dir, const char *name)
{
    const char *path = test_path(dir, "plain.db");

    printf("%s\n", name);
    url = kit_origin_url(origin, name);
    sk_use_state(true);
    EXPECT_CHILD(kit_fork(expect_no_list, NULL), 0);
    EXPECT_CHILD(kit_fork(run_once, NULL), 0);
    expect_list(path);
    EXPECT_CHILD(kit_fork(run_again, NULL), 0);

    sk_use_state(false);
    EXPECT_CHILD(kit_fork(run_once, NULL), 0);
    expect_list(path);
    EXPECT_CHILD(kit_fork(run_once, NULL), 0); /* by the list */

    setenv("HUGELITE_STATE", "none", 1);
    EXPECT_CHILD(kit_fork(run_once, NULL), 0);
}

int main(void)
{
    const char *dir = test_dir();

    sk_db(test_path(dir, "plain.db"), ROWS);
    sk_pack(test_path(dir, "plain.db"), test_path(dir, "packed.db.zst"));
    nr_interior = sk_interior(test_path(dir, "plain.db"), &interior);
    EXPECT(nr_interior > 15);
    origin = kit_origin(dir);
    check(dir, "/plain.db");
    check(dir, "/packed.db.zst");
    free(interior);
    kit_origin_stop(origin);
    return 0;
}
