/* SPDX-License-Identifier: MIT
 *
 * test-remote-open-versions: what pins a version, and what cannot be opened.
 *
 * Passes when without a strong ETag the modification time and the length pin it, and it says so;
 * when with neither it is refused; when an object of less than a tail and of one byte are served,
 * and an empty one is refused; when an object that changes while it is opened is asked for anew,
 * once, and then refused; when a server that has no suffix ranges is asked for the tail by its
 * place; and when what is missing, forbidden or not there at all is refused with its own code,
 * and leaves nothing open.
 */
#include "stage-common.h"

#include "remote.h"

#define SEED 43

static struct kit_origin *origin;

static void refused(const char *url, int rc, const char *why)
{
    struct hl_source *source = NULL;

    EXPECT_RC(hl_source_open(url, &source), rc);
    EXPECT(!source);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT_CONTAINS(hugelite_error(), "http://127.0.0.1");
}

static void weakly_pinned(const char *url)
{
    struct hl_source *strong = stage_source(url), *weak;
    char word[8];

    EXPECT_STR(hl_remote_caveat(strong), "");
    for (unsigned i = 0; i < 2; i++) {
        kit_origin_order(origin, i ? "fault etag=weak" : "fault etag=none");
        weak = stage_source(url);
        EXPECT_CONTAINS(hl_remote_caveat(weak), "modification time");
        EXPECT(memcmp(weak->key, strong->key, sizeof weak->key));
        EXPECT_MEM(weak->name_key, strong->name_key, sizeof weak->name_key);
        stage_read(weak, SEED, MIB, 512 * KIB);
        kit_origin_order(origin, "clear");
        kit_origin_order(origin, "fault etag=none last_modified=none");
        EXPECT_RC(weak->ops->read(weak, 3 * MIB, 8, word), -ESTALE);
        refused(url, -ENOTSUP, "could not be noticed");
        kit_origin_order(origin, "clear");
        hl_source_close(weak);
    }
    hl_source_close(strong);
}

static void changing(const char *url)
{
    struct hl_source *source;

    /* Of two requests at once, one has another version; then all is well. */
    kit_origin_order(origin, "fault count=1 etag='\"other\"'");
    stage_requests(origin, NULL);
    source = stage_source(url);
    EXPECT_EQ(stage_requests(origin, NULL), 4);
    hl_source_close(source);
    kit_origin_order(origin, "fault probability=0.5 seed=5 etag='\"other\"'");
    for (unsigned i = 0, stale = 0; stale == 0; i++) {
        int rc = hl_source_open(url, &source);

        EXPECT(i < 100);
        if (rc == 0) {
            hl_source_close(source);
            continue;
        }
        EXPECT_RC(rc, -ESTALE);
        EXPECT_CONTAINS(hugelite_error(), "changes while it is being opened");
        stale++;
    }
    kit_origin_order(origin, "clear");
}

static void without_suffixes(const char *url)
{
    struct hl_source *source;

    kit_origin_order(origin, "fault count=1 range='bytes=0-*' ignore_range=yes");
    EXPECT_RC(hl_source_open(url, &source), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "ranges");
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "fault count=1 range='bytes=-*' ignore_range=yes");
    stage_requests(origin, NULL);
    EXPECT_RC(hl_source_open(url, &source), 0);
    EXPECT_EQ(stage_requests(origin, NULL), 3);
    stage_read(source, SEED, source->src_bytes - 256 * KIB, 256 * KIB);
    EXPECT_EQ(stage_requests(origin, NULL), 0);
    hl_source_close(source);
    kit_origin_order(origin, "clear");
}

static void small(const char *dir, uint64_t bytes)
{
    struct hl_source *source;

    remote_object(dir, "small.db", bytes, SEED);
    source = stage_source(kit_origin_url(origin, "/small.db"));
    EXPECT_EQ(source->src_bytes, bytes);
    stage_requests(origin, NULL);
    stage_read(source, SEED, 0, (uint32_t)bytes);
    EXPECT_EQ(stage_requests(origin, NULL), bytes > 320 * KIB);
    hl_source_close(source);
}

int main(void)
{
    static const uint64_t sizes[] = { 1, 4096, 64 * KIB - 8, 64 * KIB, 64 * KIB + 8, 256 * KIB,
                                      320 * KIB, 320 * KIB + 8 };
    const char *dir = test_dir(), *url;
    unsigned fds;

    hl_stall_ns = 0; /* requests are counted */
    remote_begin(TEST_HANG_S, false);
    remote_object(dir, "x.db", 4 * MIB + 8, SEED);
    test_file(test_path(dir, "empty.db"), 0, SEED);
    origin = kit_origin(dir);
    url = kit_origin_url(origin, "/x.db");
    weakly_pinned(url);
    changing(url);
    without_suffixes(url);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        small(dir, sizes[i]);

    fds = kit_count_fds();
    refused(kit_origin_url(origin, "/empty.db"), -ENODATA, "is empty");
    refused(kit_origin_url(origin, "/missing.db"), -ENOENT, "404");
    kit_origin_order(origin, "fault status=403");
    refused(url, -EACCES, "403");
    kit_origin_order(origin, "clear");
    kit_origin_order(origin, "down");
    refused(url, -ECONNREFUSED, "refuses");
    EXPECT(kit_count_fds() <= fds);
    return 0;
}
