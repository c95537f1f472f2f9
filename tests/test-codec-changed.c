/* SPDX-License-Identifier: MIT
 *
 * test-codec-changed: a seekable file that is changed under its readers.
 *
 * Passes when reads of small and of large frames give -ESTALE after a change in place, also where
 * a stream was left in the middle of a frame, and never a mixture; and when a file that was
 * replaced by another is read to its end as it was.
 */
#include "config.h"

#include "codec-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct ck_image image, other;
static const char *path;

static void stale(struct hl_codec *codec, uint64_t offset)
{
    struct hl_codec_work work = { 0 };
    char buffer[1000];

    EXPECT_RC(codec->ops->read(codec, offset, sizeof buffer, buffer, &work), -ESTALE);
    EXPECT_CONTAINS(hugelite_error(), path);
}

static void make(struct ck_image *made, uint32_t seed)
{
    made->seed = seed;
    ck_frame(made, 50000, CK_CHECKSUM, 0);
    ck_frame(made, 50000, CK_CHECKSUM, 0);
    ck_frame(made, 3 << 20, CK_CHECKSUM, 0);
    ck_table(made, true);
}

int main(void)
{
    const char *dir = test_dir();
    struct hl_codec *codec;
    int fd;

    make(&image, 1);
    make(&other, 2);
    path = test_path(dir, "x.zst");
    codec = ck_open(ck_file(&image, path));
    ck_read(codec, &image, 0, 1000);
    ck_read(codec, &image, 200000, 1000);
    ck_read(codec, &image, 201000, 1000);

    fd = open(path, O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, other.bytes, other.length, 0), other.length);
    EXPECT_EQ(ftruncate(fd, (off_t)other.length), 0);
    close(fd);
    stale(codec, 0);
    stale(codec, 50000);
    stale(codec, 99500);
    stale(codec, 202000);
    stale(codec, 3000000);
    ck_close(codec);

    codec = ck_open(ck_file(&image, path));
    hl_source_close(ck_file(&other, test_path(dir, "new")));
    ck_read(codec, &image, 200000, 1000);
    EXPECT_EQ(rename(test_path(dir, "new"), path), 0);
    ck_read_all(codec, &image, 70000);
    ck_close(codec);
    ck_free(&image);
    ck_free(&other);
    return 0;
}
