/* SPDX-License-Identifier: MIT
 *
 * test-transfer-answers: every answer that is not the one that was asked for.
 *
 * Passes when each fails with its errno and with a sentence of its own, which names the object and
 * nothing of its URL, at once when it does not help to ask again, and without a byte outside the
 * buffer.
 */
#include "config.h"

#include "kit-transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 300000
#define LENGTH 100000
#define SEED 11

static struct kit_origin *origin;
static struct hl_target target;
static char buffer[LENGTH + 2];

/* A server that does not look at If-Match. */
#define RAW_206(header) \
    "raw='HTTP/1.1 206 Here\\r\\n" header "Content-Range: bytes 1000-100999/300000\\r\\n\\r\\n'"

static const struct wrong {
    const char *fault;
    int rc;
    const char *says;
} wrongs[] = {
    { "ignore_range=yes", -EIO, "does not do ranges: it answers 200" },
    { "status=200", -EIO, "with an HTML page" },
    { "status=200 header='Content-Type: application/json'", -EIO, "does not do ranges" },
    { "content_range=shift", -EIO, "wrong Content-Range: asked for bytes 1000-100999" },
    { "content_range=none", -EIO, "206 without a Content-Range" },
    { "content_range='bytes x-y/z'", -EIO, "make no sense" },
    { "content_range='bytes 1000-100998/300000'", -EIO, "wrong Content-Range" },
    { "header='Content-Range: bytes 7-8/9'", -EIO, "make no sense" },
    { "content_range=total", -ESTALE, "has changed: it has " },
    { "length=99999", -EIO, "wrong Content-Length" },
    { "header='Content-Encoding: br'", -EIO, "encoded (br)" },
    { "gzip=yes", -EIO, "encoded (gzip)" },
    { "header='Content-Type: multipart/byteranges; boundary=x'", -EIO, "several" },
    { "length=chunked overrun=10", -EIO, "too long" },
    { "extra=10", -EIO, "wrong Content-Length" },
    { "etag='\"other\"'", -ESTALE, "412" },
    { RAW_206("ETag: \"other\"\\r\\n"), -ESTALE, "its ETag is \"other\" now" },
    { RAW_206("ETag: W/\"weak\"\\r\\n"), -ESTALE, "its ETag is W/" },
    { RAW_206(""), -ESTALE, "without its ETag" },
    { "status=416", -EIO, "416" },
    { "status=401", -EACCES, "401" },
    { "status=403", -EACCES, "403" },
    { "status=404", -ENOENT, "404" },
    { "status=407", -EACCES, "407" },
    { "status=410", -ENOENT, "410" },
    { "status=412", -ESTALE, "412" },
    { "status=400", -EIO, "400" },
    { "status=418", -EIO, "418" },
    { "status=501", -EIO, "501" },
    { "status=204", -EIO, "answers 204, and not 206" },
    { "status=304", -EIO, "answers 304, and not 206" },
    { "redirect=/elsewhere", -EIO, "sends us elsewhere (302)" },
};

static void get(const struct wrong *wrong, const char *validator)
{
    struct hl_transfer transfer = { .target = &target, .src_offset = 1000, .length = LENGTH,
                                    .buffer = buffer + 1 };

    if (wrong->rc == -ESTALE) { /* asked for as the version that is there */
        transfer.validator_kind = HL_VALIDATOR_ETAG;
        transfer.validator = validator;
        transfer.src_bytes = BYTES;
    }
    memset(buffer, 'x', sizeof buffer);
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "forget");
    kit_origin_order(origin, "fault %s", wrong->fault);
    EXPECT_RC(kit_transfer(&transfer), wrong->rc);
    EXPECT_CONTAINS(hugelite_error(), wrong->says);
    EXPECT_CONTAINS(hugelite_error(), "the object: ");
    EXPECT(!strstr(hugelite_error(), "127.0.0.1") && !strstr(hugelite_error(), "secret"));
    EXPECT_STR(transfer.sentence, hugelite_error());
    EXPECT_EQ(kit_origin_stat(origin).requests, 1);
    EXPECT_EQ(buffer[0], 'x');
    EXPECT_EQ(buffer[LENGTH + 1], 'x');
}

/* Another errno than for an object that nobody knew. */
static void changed(const char *validator)
{
    struct hl_transfer other = { .target = &target, .length = 10, .buffer = buffer,
                                 .validator_kind = HL_VALIDATOR_ETAG, .validator = "\"old\"" };
    struct hl_transfer past = { .target = &target, .src_offset = BYTES, .length = 10,
                                .buffer = buffer };
    struct hl_transfer size = { .target = &target, .length = 10, .buffer = buffer,
                                .validator_kind = HL_VALIDATOR_ETAG, .validator = validator,
                                .src_bytes = BYTES + 1 };

    kit_origin_order(origin, "clear");
    EXPECT_RC(kit_transfer(&other), -ESTALE);
    EXPECT_CONTAINS(other.sentence, "412");
    EXPECT_RC(kit_transfer(&past), -EIO);
    EXPECT_CONTAINS(past.sentence, "416: it has no bytes 300000-300009");
    EXPECT_RC(kit_transfer(&size), -ESTALE);
    EXPECT_CONTAINS(size.sentence, "it has 300000 bytes now, and had 300001");
}

/* Over a connection that was kept it is asked once more, since it may be the rest of another
 * answer. */
static void no_http(void)
{
    struct hl_transfer transfer = { .target = &target, .length = 10, .buffer = buffer };

    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "fault raw='SSH-2.0-OpenSSH\\r\\n'");
    EXPECT_RC(kit_transfer(&transfer), -EIO);
    EXPECT_CONTAINS(transfer.sentence, "what the server sends is no HTTP");
}

int main(void)
{
    struct hl_transfer first = { .target = &target, .length = LENGTH, .buffer = buffer };

    test_file(test_path(kit_transfer_dir(), "db"), BYTES, SEED);
    origin = kit_origin(kit_transfer_dir());
    kit_target(&target, kit_origin_url(origin, "/db?token=secret"));
    EXPECT_RC(kit_transfer(&first), 0);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        get(&wrongs[i], first.response.etag);
    changed(first.response.etag);
    no_http();
    return 0;
}
