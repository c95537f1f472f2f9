/* SPDX-License-Identifier: MIT
 *
 * test-scout-close: a volume can be closed at any moment of its scout, who waits for nobody: with
 * hauls of a warm list under way, and in the middle of the walk to the interior pages.
 *
 * Passes when closing does not wait for the origin, which would need longer, when no claim and
 * no thread is left, and when a walk that was stopped leaves no list.
 */
#include "kit-origin.h"
#include "kit.h"
#include "scout-kit.h"

#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 60000, CHUNKS = 16, ROUNDS = 6 };

static struct kit_origin *origin;
static const char *file_url, *db_url;

static void expect_close(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    double begin = test_now();

    hugelite_volume_close(vol);
    EXPECT(test_now() - begin < TEST_HANG_S);
    EXPECT_EQ(sk_count_scouts(getpid()), 0);
    kit_audit(pool);
}

static void read_all(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
    struct hugelite_volume *vol = kit_volume(pool, file_url);

    (void)arg;
    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void close_warming(void *arg)
{
    struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);

    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct hugelite_volume *vol = kit_volume(pool, file_url);

        EXPECT(sk_is_out(vol));
        test_sleep_ms(i * i * 5);
        EXPECT(sk_is_out(vol));
        expect_close(pool, vol);
    }
    hugelite_pool_close(pool);
}

static void close_walking(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Another each time: what is looked at again and again earns its place. */
        struct hugelite_pool *pool = kit_pool(test_pool_dir(), CHUNKS);
        struct hugelite_volume *vol = kit_volume(pool, db_url);

        sk_send_out(vol, 500 + 997 * i);
        test_sleep_ms(i * 20);
        expect_close(pool, vol);
        hugelite_pool_close(pool);
    }
}

int main(void)
{
    const char *dir = test_dir();
    uint32_t *list;

    test_file(test_path(dir, "file"), CHUNKS * CHUNK, 1);
    sk_db(test_path(dir, "db"), ROWS);
    origin = kit_origin(dir);
    file_url = kit_origin_url(origin, "/file");
    db_url = kit_origin_url(origin, "/db");
    sk_use_state(false);
    EXPECT_CHILD(kit_fork(read_all, NULL), 0);

    kit_origin_order(origin, "rate=%d", 2 << 20);
    EXPECT_CHILD(kit_fork(close_warming, NULL), 0);
    kit_origin_order(origin, "rate=0");
    kit_origin_order(origin, "latency_ms=60");
    EXPECT_CHILD(kit_fork(close_walking, NULL), 0);
    EXPECT_EQ(sk_list(db_url, true, &list), 0);
    kit_origin_stop(origin);
    return 0;
}
