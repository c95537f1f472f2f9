/* SPDX-License-Identifier: MIT
 *
 * test-source-http-renewed: the credentials in a URL are not accepted any more, and the same process
 * opens the database again by a URL with others.
 *
 * Passes when what is not resident is -EACCES in between, and when the handle that was there before, too,
 * then reads by the new ones.
 */
#include "config.h"

#include "kit.h"
#include "kit-origin.h"

#include <errno.h>
#include <stdio.h>

#define CHUNKS 6
#define SEED 3

static const char *with_password(const struct kit_origin *origin, const char *password)
{
    static char url[2][200];
    static unsigned turn;
    char *text = url[turn++ % 2];

    snprintf(text, sizeof url[0], "http://joe:%s@127.0.0.1:%u/x.db", password,
             kit_origin_port(origin));
    return text;
}

int main(void)
{
    struct hugelite_volume *vol, *again;
    struct hugelite_pool *pool;
    struct kit_origin *origin;
    const char *dir = test_dir();
    const void *data;

    requires_hugepages(CHUNKS + 8);
    test_file(test_path(dir, "x.db"), CHUNKS * CHUNK, SEED);
    origin = kit_origin(dir);
    pool = kit_pool(test_pool_dir(), CHUNKS + 2);
    vol = kit_volume(pool, with_password(origin, "old"));
    kit_verify_chunk(vol, SEED, 1);

    /* "joe:new" */
    kit_origin_order(origin, "fault authorized=no authorization='Basic am9lOm5ldw==' status=401");
    EXPECT_RC(hugelite_volume_fetch(vol, 3 * CHUNK, 4096, &data), -EACCES);
    again = kit_volume(pool, with_password(origin, "new"));
    kit_verify_chunk(again, SEED, 4);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    hugelite_volume_close(vol);
    hugelite_volume_close(again);
    kit_audit(pool);
    hugelite_pool_close(pool);
    kit_origin_stop(origin);
    return 0;
}
