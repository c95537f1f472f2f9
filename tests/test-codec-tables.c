/* SPDX-License-Identifier: MIT
 *
 * test-codec-tables: seek tables that lie.
 *
 * Passes when tables with reserved bits, too many frames, frames that overlap the table, each
 * other or nothing, sizes that no frame can decode to, and headers that disagree with footers are
 * refused with -EBADMSG and a sentence that says what is wrong, without any memory in proportion
 * to what they claim; when a table that changes after it was opened is noticed; and when what
 * hl_seekable_write() writes is what was meant.
 */
#include "config.h"

#include "codec-kit.h"

#include "seekable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct ck_image image;

static void put_le32(size_t at, uint32_t value)
{
    EXPECT(at + 4 <= image.length);
    for (unsigned i = 0; i < 4; i++)
        image.bytes[at + i] = (unsigned char)(value >> (8 * i));
}

/* Three frames of 1000 bytes. */
static void start(bool checksums)
{
    ck_free(&image);
    for (unsigned i = 0; i < 3; i++)
        ck_frame(&image, 1000, CK_CHECKSUM, 0);
    ck_table(&image, checksums);
}

static size_t entry_at(unsigned number)
{
    return image.length - 9 - (3 - number) * 12;
}

static void refused(const char *why)
{
    struct hl_source *source = ck_memory(image.bytes, image.length);
    struct hl_codec *codec = NULL;

    EXPECT_RC(hl_codec_open(source, &codec), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "memory.zst: ");
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(codec == NULL);
    hl_source_close(source);
}

static void lies(void)
{
    for (unsigned bit = 2; bit < 7; bit++) {
        start(true);
        image.bytes[image.length - 5] |= (unsigned char)(1u << bit);
        refused("reserved bits");
    }
    start(true);
    image.bytes[image.length - 5] |= 3;
    ck_close(ck_open(ck_memory(image.bytes, image.length)));

    start(true);
    put_le32(image.length - 9, 0x8000001);
    refused("more frames than the format allows");
    put_le32(image.length - 9, 0xffffffff);
    refused("more frames than the format allows");
    put_le32(image.length - 9, 0x8000000);
    refused("more frames than the file has room for");
    put_le32(image.length - 9, 4);
    refused("does not begin where its footer says");
    put_le32(image.length - 9, 0);
    refused("does not begin where its footer says");
    start(true);
    image.bytes[image.length - 5] = 0;
    refused("does not begin where its footer says");
    start(true);
    put_le32(entry_at(0) - 4, 3 * 12 + 8);
    refused("disagree about its size");

    /* Frames that reach into the table, or into the next frame, or leave a gap. */
    start(true);
    put_le32(entry_at(0), (uint32_t)image.length);
    refused("frame 0 reaches into the table");
    put_le32(entry_at(0), 0xffffffff);
    refused("frame 0 reaches into the table");
    start(true);
    put_le32(entry_at(0), image.entries[0].encoded + 1);
    refused("frame 2 reaches into the table");
    start(true);
    put_le32(entry_at(2), image.entries[2].encoded - 1);
    refused("its frames end before it begins");

    /* More than can be in there. */
    start(true);
    put_le32(entry_at(1) + 4, 0xffffffff);
    refused("frame 1 cannot decode to as much as that");
    start(true);
    put_le32(entry_at(1) + 4, 1001);
    refused("frame 1 (decoded bytes 1000 to 2000): says that it decodes to 1000 bytes");
    start(true);
    put_le32(entry_at(0) + 4, 999);
    refused("frame 0 (decoded bytes 0 to 998): says");
    start(true);
    put_le32(entry_at(2) + 4, 0); /* nothing of the sort is said by an empty entry */
    ck_close(ck_open(ck_memory(image.bytes, image.length)));
}

/* Two entries for one frame: the first takes its first half. */
static void overlapping(void)
{
    struct hl_codec *codec;
    struct hl_codec_work work = { 0 };
    unsigned char buffer[4000];
    uint32_t half;

    start(true);
    half = image.entries[1].encoded / 2;
    put_le32(entry_at(0), image.entries[0].encoded + half);
    put_le32(entry_at(1), image.entries[1].encoded - half);
    codec = ck_open(ck_memory(image.bytes, image.length));
    EXPECT_RC(codec->ops->read(codec, 0, 1, buffer, &work), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "frame 0 (decoded bytes 0 to 999)");
    EXPECT_RC(codec->ops->read(codec, 1000, 1000, buffer, &work), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "frame 1 (decoded bytes 1000 to 1999)");
    ck_read(codec, &image, 2000, 1000);
    ck_close(codec);
}

/* The checksums of the table count beside those of the frames. */
static void checksum(void)
{
    struct hl_codec *codec;
    struct hl_codec_work work = { 0 };
    unsigned char buffer[1000];

    start(true);
    put_le32(entry_at(1) + 8, ~image.entries[1].checksum);
    codec = ck_open(ck_memory(image.bytes, image.length));
    EXPECT_RC(codec->ops->read(codec, 1500, 10, buffer, &work), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "in the seek table");
    ck_read(codec, &image, 0, 1000);
    ck_close(codec);
}

/* A source whose table is another one when it is read again. */
static void changing(void)
{
    struct hl_codec *codec;
    struct hl_codec_work work = { 0 };
    unsigned char buffer[1000];

    start(true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    put_le32(entry_at(0), 0xfffffff0);
    EXPECT_RC(codec->ops->read(codec, 0, 10, buffer, &work), -EBADMSG);
    put_le32(entry_at(0), image.entries[0].encoded);
    put_le32(entry_at(0) + 4, 0xfffffff0);
    EXPECT_RC(codec->ops->read(codec, 0, 10, buffer, &work), -EBADMSG);
    put_le32(entry_at(0) + 4, 1000);
    put_le32(entry_at(2), 100000); /* a frame that ends behind the file */
    EXPECT_RC(codec->ops->read(codec, 2000, 10, buffer, &work), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "it has changed since the file was opened");
    put_le32(entry_at(2), image.entries[2].encoded);
    ck_read(codec, &image, 0, 1000);
    ck_close(codec);
}

/* A table of 2^27 entries would be 1.5 GB, and its sparse index 32 MB: claimed by a small file. */
static void bounded(void)
{
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    for (uint32_t nr = 4; nr && nr <= 0x8000000; nr *= 2) {
        start(false);
        put_le32(image.length - 9, nr);
        refused("");
    }
    getrusage(RUSAGE_SELF, &after);
    EXPECT(after.ru_maxrss - before.ru_maxrss < 8 << 10);
}

static void written(void)
{
    struct hl_seekable_entry entries[3];
    unsigned char table[100];
    struct hl_seekable back;
    const char *wrong = NULL;
    size_t bytes = 8 + 3 * 12 + 9;

    start(true);
    for (unsigned i = 0; i < 3; i++)
        entries[i] = (struct hl_seekable_entry){ image.entries[i].encoded,
                                                 image.entries[i].decoded,
                                                 image.entries[i].checksum };
    EXPECT_EQ(hl_seekable_table_bytes(3), bytes);
    hl_seekable_write(entries, 3, table);
    EXPECT_MEM(table, image.bytes + image.length - bytes, bytes);

    EXPECT_RC(hl_seekable_parse_footer(table + bytes - 9, 1000, &back, &wrong), 0);
    EXPECT_EQ(back.nr_frames, 3);
    EXPECT_EQ(back.entry_bytes, 12);
    EXPECT(back.has_checksums);
    EXPECT_EQ(back.frames_bytes, 1000 - bytes);
    EXPECT_EQ(back.entries_at, 1000 - bytes + 8);
    EXPECT_RC(hl_seekable_check_header(&back, table, &wrong), 0);
    EXPECT(wrong == NULL);
    EXPECT_RC(hl_seekable_parse_footer(table + bytes - 9, bytes, &back, &wrong), 0);
    EXPECT_EQ(back.frames_bytes, 0);
    EXPECT_RC(hl_seekable_parse_footer(table + bytes - 9, bytes - 1, &back, &wrong), -EBADMSG);
    EXPECT_RC(hl_seekable_parse_footer(table, 1000, &back, &wrong), -EMEDIUMTYPE);
    for (unsigned i = 0; i < 3; i++) {
        struct hl_seekable_entry entry = hl_seekable_entry(&back, table + 8 + 12 * i);

        EXPECT_MEM(&entry, &entries[i], sizeof entry);
    }
}

int main(void)
{
    lies();
    overlapping();
    checksum();
    changing();
    bounded();
    written();
    ck_free(&image);
    return 0;
}
