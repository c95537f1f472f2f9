/* SPDX-License-Identifier: MIT
 *
 * test-volume-large: offsets beyond 32 bits.
 *
 * Passes when of a sparse file of 159 GiB the bytes around 2, 4 and 8 GiB and at the
 * very end are served by fetch, read and pointer, and a small budget is enough for
 * it.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BYTES ((159ull << 30) - 4099)

static const uint64_t places[] = {
    0, (2ull << 30) - 2048, 2ull << 30, (4ull << 30) - 4096, 4ull << 30,
    (8ull << 30) + 12345 * 8, 100ull << 30, BYTES - 4096,
};
#define PLACES (sizeof places / sizeof *places)

int main(void)
{
    const char *path = test_path(test_dir(), "db");
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    unsigned char block[2048], buffer[4096];
    const void *data, *base;
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    if (ftruncate(fd, (off_t)BYTES) < 0)
        test_skip("no sparse file of 159 GiB here: %s", strerror(errno));
    for (unsigned i = 0; i < PLACES; i++) {
        memset(block, 0x11 * (int)(i + 1), sizeof block);
        EXPECT_EQ(pwrite(fd, block, sizeof block, (off_t)places[i]), sizeof block);
    }
    close(fd);

    pool = kit_pool(test_pool_dir(), 3);
    vol = kit_volume(pool, path);
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    EXPECT_RC(hugelite_volume_map(vol, &base), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        memset(block, 0x11 * (int)(i + 1), sizeof block);
        EXPECT_RC(hugelite_volume_fetch(vol, places[i], sizeof block, &data), 0);
        EXPECT_MEM(data, block, sizeof block);
        hugelite_volume_release(vol, data);
        EXPECT_RC(hugelite_volume_read(vol, places[i], sizeof block, buffer), 0);
        EXPECT_MEM(buffer, block, sizeof block);
    }
    for (unsigned i = PLACES; i-- > 0;) {
        memset(block, 0x11 * (int)(i + 1), sizeof block);
        EXPECT_MEM((const char *)base + places[i], block, sizeof block);
    }
    /* Across the 2 GiB line. */
    EXPECT_RC(hugelite_volume_read(vol, (2ull << 30) - 2048, 4096, buffer), 0);
    EXPECT_EQ(buffer[0], 0x22);
    EXPECT_EQ(buffer[4095], 0x33);
    EXPECT_RC(hugelite_volume_fetch(vol, BYTES, 1, &data), -ERANGE);
    EXPECT(kit_stat(vol).fills < 4 * PLACES);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
