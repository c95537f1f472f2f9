/* SPDX-License-Identifier: MIT
 *
 * test-image-stray-page: a program outside of the protocol touches the images.
 *
 * A mapping without userfaultfd turns a hole into a page of zeros for everybody.
 * Passes when such pages are found and replaced by the right bytes, for fetch and
 * read, with the counters and the budget right afterwards; when a chunk that a
 * stranger punches under a user of the mapping, or under a fetched pointer, is filled
 * again; when a backup program that reads the whole image harms nobody; and when the
 * kernel's EAGAIN in the middle is retried.
 */
#include "config.h"

#include "kit.h"
#include "stop.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNKS 6
#define BYTES (CHUNKS * CHUNK - 500)
#define SEED 8

static const char *dir;

static int open_image(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    char path[4096 + 300] = "";
    int fd;

    EXPECT(d != NULL);
    while ((entry = readdir(d)))
        if (strstr(entry->d_name, ".image"))
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    closedir(d);
    fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    return fd;
}

/* One byte of these chunks, by a mapping of a stranger's. */
static void touch(void *arg)
{
    unsigned chunks = (unsigned)(uintptr_t)arg;
    int fd = open_image();
    volatile char *at = mmap(NULL, 64 * CHUNK, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);

    EXPECT(at != MAP_FAILED);
    for (unsigned i = 0; i < 64; i++)
        if (i < 32 && (chunks >> i & 1))
            (void)at[i * CHUNK + 4096];
}

static void stranger(unsigned chunks)
{
    EXPECT_CHILD(kit_fork(touch, (void *)(uintptr_t)chunks), 0);
}

static void punch(unsigned chunk)
{
    int fd = open_image();

    EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(chunk * CHUNK),
                        (off_t)CHUNK), 0);
    close(fd);
}

int main(void)
{
    const char *path = test_path(test_dir(), "db");
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    const void *base, *data;
    char *buffer = malloc(2 * CHUNK);

    dir = test_pool_dir();
    test_file(path, BYTES, SEED);
    pool = kit_pool(dir, CHUNKS + 2);
    vol = kit_volume(pool, path);

    /* Before anybody filled, and some behind the end of the database. */
    stranger(1 | 2 | 4 | 1 << 20);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    kit_verify_chunk(vol, SEED, 0);
    EXPECT_RC(hugelite_volume_read(vol, CHUNK, 2 * CHUNK, buffer), 0);
    EXPECT_PATTERN(buffer, 2 * CHUNK, SEED, CHUNK);
    EXPECT(kit_stat(vol).fills >= 3); /* and what the crew has filled ahead */
    EXPECT_EQ(kit_stat(vol).errors, 0);

    /* Beside resident ones, whose touch does no harm; and after an eviction. */
    stranger(4 | 8 | 16);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, CHUNKS);
    punch(20);
    kit_audit(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    stranger(63);
    stop_contend_copies(3);
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, 2 * CHUNKS);
    EXPECT_EQ(kit_resident_chunks(pool), CHUNKS);
    kit_audit(pool);

    /* Punched by a stranger while its word says resident. */
    EXPECT_RC(hugelite_volume_map(vol, &base), 0);
    EXPECT_PATTERN(base, BYTES, SEED, 0);
    punch(2);
    EXPECT_PATTERN(base, BYTES, SEED, 0);
    EXPECT_EQ(kit_stat(vol).fills, 2 * CHUNKS + 1);
    punch(5);
    kit_verify(vol, SEED);
    EXPECT_RC(hugelite_volume_fetch(vol, 4 * CHUNK, 8, &data), 0);
    EXPECT_PATTERN(data, 8, SEED, 4 * CHUNK);
    punch(4);
    EXPECT_PATTERN(data, CHUNK, SEED, 4 * CHUNK);
    hugelite_volume_release(vol, data);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    for (unsigned i = 0; i < 50; i++) { /* no ticket is lost on the way */
        punch(i % CHUNKS);
        kit_verify_chunk(vol, SEED, i % CHUNKS);
    }
    kit_audit(pool);

    /* Reading an image as a file: holes are zeros there, and stay holes. */
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    {
        int fd = open_image();

        while (read(fd, buffer, CHUNK) > 0)
            ;
        close(fd);
    }
    kit_verify(vol, SEED);

    free(buffer);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    return 0;
}
