/* SPDX-License-Identifier: MIT
 *
 * test-codec-refused: compressed files that cannot be read at an offset, and what is no such file.
 *
 * Passes when gzip, xz, bzip2 and lz4 files, zstd without a seek table, with a dictionary and with
 * too large a window are refused with -EMEDIUMTYPE and the command that mends them, whose first
 * half, run by a shell, really unpacks the file, also when its name has blanks and quotes; and
 * when text that begins almost like them, and files of a few bytes, are taken as they are.
 */
#include "config.h"

#include "codec-kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

static const char *dir;

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");

    EXPECT(file != NULL);
    EXPECT_EQ(fwrite(bytes, 1, length, file), length);
    EXPECT_EQ(fclose(file), 0);
}

static void refused(const char *path, const char *why)
{
    struct hl_source *source;
    struct hl_codec *codec = NULL;

    EXPECT_RC(hl_source_open(path, &source), 0);
    EXPECT_RC(hl_codec_open(source, &codec), -EMEDIUMTYPE);
    EXPECT(codec == NULL);
    EXPECT_CONTAINS(hugelite_error(), source->name);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT_CONTAINS(hugelite_error(), " && hugelite pack ");
    hl_source_close(source);
}

/* With the real program, if it is there. */
static void real(const char *program, const char *suffix, const char *why)
{
    const char *plain = test_path(dir, "plain"), *mend;
    char name[100], command[1500];

    snprintf(command, sizeof command, "command -v %s >/dev/null", program);
    if (system(command) != 0)
        return;
    snprintf(name, sizeof name, "it's a name%s", suffix);
    snprintf(command, sizeof command, "%s -c <%s >\"%s/%s\"", program, plain, dir, name);
    EXPECT_EQ(system(command), 0);
    refused(test_path(dir, name), why);
    EXPECT_CONTAINS(hugelite_error(), "/it'\\''s a name.plain'");

    /* What the message says up to the packing. */
    mend = strstr(hugelite_error(), "make it seekable: ");
    EXPECT(mend != NULL);
    mend += strlen("make it seekable: ");
    snprintf(command, sizeof command, "%.*s 2>/dev/null && cmp \"it's a name.plain\" plain",
             (int)(strstr(mend, " && ") - mend), mend);
    EXPECT_EQ(chdir(dir), 0);
    if (system(command) != 0)
        test_fail(__FILE__, __LINE__, "this did not unpack it: %s", command);
    EXPECT_EQ(unlink("it's a name.plain"), 0);
}

static void taken_as_it_is(const void *bytes, size_t length)
{
    const char *path = test_path(dir, "raw");
    struct hl_source *source;
    struct hl_codec *codec;

    write_file(path, bytes, length);
    EXPECT_RC(hl_source_open(path, &source), 0);
    codec = ck_open(source);
    EXPECT_STR(codec->ops->name, "raw");
    EXPECT_EQ(codec->bytes, length);
    ck_close(codec);
}

static size_t compress(ZSTD_CCtx *context, unsigned char *out, size_t room, size_t length)
{
    unsigned char *zeros = calloc(1, length);
    size_t bytes;

    EXPECT(zeros != NULL);
    bytes = ZSTD_compress2(context, out, room, zeros, length);
    EXPECT(!ZSTD_isError(bytes));
    free(zeros);
    return bytes;
}

/* An image of one frame that needs what we have not. */
static void needs(unsigned kind)
{
    static unsigned char frame[1 << 20];
    ZSTD_CCtx *context = ZSTD_createCCtx();
    const char *path = test_path(dir, "needs.zst");
    uint32_t decoded = kind ? (1u << 27) + 1000 : 5000;
    struct ck_image image = { 0 };
    struct hl_source *source;
    uint32_t bytes;

    EXPECT(context != NULL);
    if (kind)
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 28);
    bytes = (uint32_t)compress(context, frame, sizeof frame, decoded);
    if (!kind) {
        /* The same frame, with a dictionary's ID put into its header. */
        memmove(frame + 6, frame + 5, bytes - 5);
        frame[4] |= 1;
        frame[5] = 77;
        if (!(frame[4] & 0x20)) { /* a window's byte comes first */
            frame[5] = frame[6];
            frame[6] = 77;
        }
        bytes++;
    }
    ck_bytes(&image, frame, bytes, decoded);
    ck_table(&image, false);
    source = ck_file(&image, path);
    hl_source_close(source);
    refused(path, kind ? "needs a window of " : "with a dictionary (ID 77)");
    EXPECT_CONTAINS(hugelite_error(), kind ? "zstd --long=31 -d " : "zstd -D DICTIONARY -d ");
    ZSTD_freeCCtx(context);
    ck_free(&image);
}

int main(void)
{
    static const unsigned char fake_table[17] = { 0x50, 0x2a, 0x4d, 0x18, 9 };
    struct ck_image image = { 0 };
    struct hl_source *source;
    struct hl_codec *codec;
    char *long_name;

    dir = test_dir();
    test_file(test_path(dir, "plain"), 50000, 3);
    real("gzip", ".gz", "is compressed by gzip");
    real("xz", ".xz", "is compressed by xz");
    real("bzip2", ".bz2", "is compressed by bzip2");
    real("lz4", ".lz4", "is compressed by lz4");
    real("zstd", ".zst", "has no seek table");
    real("gzip", "", "is compressed by gzip"); /* no suffix */

    /* Without the programs: what they begin with. */
    write_file(test_path(dir, "a.gz"), "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
    refused(test_path(dir, "a.gz"), "gunzip -c /");
    EXPECT_CONTAINS(hugelite_error(), "/a.gz >/");
    EXPECT_CONTAINS(hugelite_error(), "/a.plain && hugelite pack /");
    EXPECT_CONTAINS(hugelite_error(), "/a.zst");
    write_file(test_path(dir, "a"), "\xfd" "7zXZ\0\0\0", 8);
    refused(test_path(dir, "a"), "xz -dc /");
    write_file(test_path(dir, "a"), "BZh91AY&SY\0", 11);
    refused(test_path(dir, "a"), "bzip2 -dc /");
    write_file(test_path(dir, "a"), "\x04\x22\x4d\x18", 4);
    refused(test_path(dir, "a"), "lz4 -dc /");
    write_file(test_path(dir, "a.zst"), "\x28\xb5\x2f\xfd", 4);
    refused(test_path(dir, "a.zst"), "zstd -d /");
    EXPECT_CONTAINS(hugelite_error(), "/a.seekable.zst");
    write_file(test_path(dir, "a"), fake_table, sizeof fake_table);
    refused(test_path(dir, "a"), "has no seek table");
    long_name = calloc(1, 300);
    EXPECT(long_name != NULL);
    memset(long_name, '\'', 200);
    write_file(test_path(dir, long_name), "\x1f\x8b\x08", 3);
    refused(test_path(dir, long_name), "gunzip -c FILE >DB && hugelite pack DB DB.zst");
    free(long_name);
    needs(0);
    needs(1);

    /* A table without any frame, or with nothing in them. */
    ck_table(&image, true);
    EXPECT_RC(hl_codec_open(source = ck_file(&image, test_path(dir, "t")), &codec), -ENODATA);
    EXPECT_CONTAINS(hugelite_error(), "decodes to nothing");
    hl_source_close(source);
    ck_free(&image);
    ck_frame(&image, 0, CK_CHECKSUM, 0);
    ck_skippable(&image, 20);
    ck_table(&image, true);
    EXPECT_RC(hl_codec_open(source = ck_file(&image, test_path(dir, "t")), &codec), -ENODATA);
    hl_source_close(source);
    ck_free(&image);

    taken_as_it_is("SQLite format 3", 16);
    taken_as_it_is("x", 1);
    taken_as_it_is("BZh9 is text", 12);
    taken_as_it_is("\x1f\x8b", 2);
    taken_as_it_is("\x28\xb5\x2f", 3);
    taken_as_it_is("\x50\x2a\x4d", 3);
    taken_as_it_is("\x04\x22\x4d\x19 1234567890", 12);
    return 0;
}
