/* SPDX-License-Identifier: MIT
 *
 * test-member-full: the tables of a pool have an end, and say so.
 *
 * Passes when with every seat for processes taken an open says -EUSERS and works
 * again when one seat is free; when one process can open 2,048 handles and is refused
 * the next; when the 129th volume in use is refused with -ENOSPC and one that is
 * closed makes room; and when a file of more chunks than the tables hold is refused
 * with -EFBIG.
 */
#include "config.h"

#include "kit.h"

#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *dir, *path;

static void refused(void *arg)
{
    struct hugelite_pool *pool = NULL;

    (void)arg;
    EXPECT_RC(hugelite_pool_open(dir, NULL, &pool), -EUSERS);
    EXPECT_CONTAINS(hugelite_error(), "1024 processes");
    EXPECT(pool == NULL);
}

static void welcome(void *arg)
{
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;

    (void)arg;
    EXPECT_RC(hugelite_pool_open(dir, NULL, &pool), 0);
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static void lock_seats(int fd, short type, uint32_t first, uint32_t nr)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = HL_LOCK_MEMBER + first, .l_len = nr
    };

    EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

int main(void)
{
    static struct hugelite_volume *vols[HL_READERS];
    struct hugelite_pool *pool;
    struct hugelite_volume *vol = NULL;
    const char *files = test_dir();
    char name[32];
    int fd;

    dir = test_pool_dir();
    path = test_path(files, "db");
    test_file(path, 3 * CHUNK, 1);
    pool = kit_pool(dir, 4);
    hugelite_pool_close(pool);

    /* Seats, taken as processes take them. */
    fd = open(test_path(dir, "control"), O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    lock_seats(fd, F_WRLCK, 0, HL_MEMBERS);
    EXPECT_CHILD(kit_fork(refused, NULL), 0);
    lock_seats(fd, F_UNLCK, HL_MEMBERS - 1, 1);
    EXPECT_CHILD(kit_fork(welcome, NULL), 0);
    EXPECT_CHILD(kit_fork(welcome, NULL), 0);
    close(fd);

    /* Handles. */
    pool = kit_pool(dir, 4);
    for (unsigned i = 0; i < HL_READERS; i++)
        vols[i] = kit_volume(pool, path);
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), -EUSERS);
    EXPECT_CONTAINS(hugelite_error(), "2048 volumes");
    kit_verify(vols[HL_READERS - 1], 1);
    hugelite_volume_close(vols[7]);
    vols[7] = kit_volume(pool, path);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0); /* with all of them to look at */
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    for (unsigned i = 0; i < HL_READERS; i++)
        hugelite_volume_close(vols[i]);

    /* Volumes. */
    for (unsigned i = 0; i < HL_SLOTS; i++) {
        snprintf(name, sizeof name, "%u", i);
        test_file(test_path(files, name), 100, i);
        vols[i] = kit_volume(pool, test_path(files, name));
    }
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), -ENOSPC);
    EXPECT_CONTAINS(hugelite_error(), "full of volumes in use");
    kit_verify(vols[100], 100);
    hugelite_volume_close(vols[50]);
    vols[50] = kit_volume(pool, path);
    kit_verify(vols[50], 1);
    for (unsigned i = 0; i < HL_SLOTS; i++)
        hugelite_volume_close(vols[i]);
    EXPECT(vol == NULL);

    /* Chunks: 160 GiB at least, whatever the budget. */
    EXPECT_EQ(truncate(path, 1ll << 40), 0);
    EXPECT_RC(hugelite_volume_open(pool, path, &vol), -EFBIG);
    EXPECT_CONTAINS(hugelite_error(), "larger budget");
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
