/* SPDX-License-Identifier: MIT
 *
 * test-tier-keeps: what the disk tier keeps, for how long, and what it gives back.
 *
 * Passes when pieces come back as they were posted, in this life and in a later one, whatever ranges
 * they were posted in, once each; when a byte that changed on disk costs its piece and no other; when the
 * files never take more than the size, however much is posted; when what has been read outlives what has
 * not; when a smaller size evicts, and size 0 is no tier; when a forgotten source has no pieces; and when files
 * that the catalog does not know are removed.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1u << 20)

static const char *dir, *tier;
static unsigned released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

static struct hl_state *reopen(struct hl_state *state)
{
    sk_close(state);
    return sk_open();
}

static uint64_t tier_bytes(struct hl_state *state)
{
    uint64_t bytes, size;

    hl_tier_stat(state, &bytes, &size);
    return bytes;
}

static struct hl_state *test_ranges(struct hl_state *state)
{
    static const uint64_t key[2] = { 11, 1 }, other[2] = { 11, 2 };
    static const struct { uint64_t at; uint32_t length; } ranges[] = {
        { 1000, 5000 }, { 0, 1 }, { 300000, 200000 }, { 250000, 400000 }, { 0, 10000 },
        { 5999, 2 }, { 1ull << 40, 70000 }, { 12000, 3 }, { 11000, 2000 },
    };
    uint8_t there[650000] = { 0 }, byte;
    struct hl_extent extents[64];
    uint64_t before;
    unsigned nr;

    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        sk_keep(state, key, ranges[i].at, ranges[i].length);
        if (ranges[i].at < sizeof there)
            memset(there + ranges[i].at, 1, ranges[i].length);
    }
    sk_flush(state);
    for (unsigned life = 0; life < 2; life++) {
        uint64_t end = 0, sum = 0;

        for (uint32_t at = 0; at < sizeof there; at += 777) {
            EXPECT_EQ(sk_kept(state, key, at, 1, NULL), there[at]);
            EXPECT_EQ(sk_kept(state, other, at, 1, NULL), 0);
        }
        nr = hl_tier_find(state, key, 0, sizeof there, extents, 64);
        for (unsigned i = 0; i < nr; i++) {
            EXPECT(extents[i].src_offset >= end);
            end = extents[i].src_offset + extents[i].length;
            sum += extents[i].length;
        }
        EXPECT_EQ(sum, 10000 + 2000 + 400000);
        EXPECT_EQ(hl_tier_find(state, key, 0, sizeof there, extents, 3), 3);
        EXPECT_EQ(sk_kept(state, key, (1ull << 40) - 5, 100000, NULL), 70000);
        state = reopen(state);
    }
    /* There already: the memory is given back, nothing is written. */
    before = tier_bytes(state);
    released = 0;
    sk_bytes(key, 1000, 1, &byte);
    hl_tier_post(state, key, 1000, 1, &byte, release, NULL);
    sk_flush(state);
    EXPECT_EQ(released, 1);
    EXPECT_EQ(tier_bytes(state), before);
    return state;
}

static struct hl_state *test_damage(struct hl_state *state)
{
    static const uint64_t key[2] = { 22, 1 };
    struct hl_extent extents[4];
    uint8_t buffer[HL_TIER_PIECE], byte;
    char name[16];
    int fd;

    sk_keep(state, key, 0, 4 * HL_TIER_PIECE);
    sk_flush(state);
    EXPECT_EQ(hl_tier_find(state, key, 0, 4 * HL_TIER_PIECE, extents, 4), 4);
    snprintf(name, sizeof name, "%08u", extents[2].segment);
    fd = open(test_path(tier, name), O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(pread(fd, &byte, 1, extents[2].at + 1234), 1);
    byte ^= 0x10;
    EXPECT_EQ(pwrite(fd, &byte, 1, extents[2].at + 1234), 1);
    EXPECT_RC(hl_tier_read(state, key, &extents[2], buffer), -ESTALE);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, key, 0, 4 * HL_TIER_PIECE, NULL), 3 * HL_TIER_PIECE);
    /* Fetched again, it is kept again. */
    sk_keep(state, key, 0, 4 * HL_TIER_PIECE);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, key, 0, 4 * HL_TIER_PIECE, NULL), 4 * HL_TIER_PIECE);

    /* Cut short, and gone altogether. */
    EXPECT_EQ(ftruncate(fd, extents[3].at + 10), 0);
    EXPECT_RC(hl_tier_read(state, key, &extents[3], buffer), -ESTALE);
    EXPECT_EQ(unlink(test_path(tier, name)), 0);
    EXPECT_RC(hl_tier_read(state, key, &extents[0], buffer), -ESTALE);
    close(fd);
    return state;
}

/* Twelve times the size goes through; what is read meanwhile stays. */
static struct hl_state *test_bounds(struct hl_state *state)
{
    static const uint64_t key[2] = { 33, 1 };
    uint64_t bytes, size, at = 0;
    unsigned stale;

    sk_keep(state, key, 0, 256 * 1024);
    for (unsigned i = 0; i < 96; i++, at += MIB) {
        sk_keep(state, key, MIB + at, MIB);
        sk_flush(state);
        EXPECT_EQ(sk_kept(state, key, 0, 256 * 1024, NULL), 256 * 1024);
        hl_tier_stat(state, &bytes, &size);
        EXPECT_EQ(size, 8 * MIB);
        EXPECT(bytes <= size);
        EXPECT(sk_disk_bytes(tier) <= size + size / 64);
    }
    /* The latest is there, about as much as there is room for; the first has gone. */
    EXPECT_EQ(sk_kept(state, key, at, MIB, NULL), MIB);
    EXPECT(sk_kept(state, key, 0, at + MIB, &stale) > 5 * MIB);
    EXPECT_EQ(stale, 0);
    EXPECT_EQ(sk_kept(state, key, MIB, 40 * MIB, NULL), 0);
    return state;
}

static struct hl_state *test_sizes(struct hl_state *state)
{
    static const uint64_t key[2] = { 44, 1 };
    uint64_t bytes, size;

    for (unsigned i = 0; i < 8; i++)
        sk_keep(state, key, i * MIB, MIB);
    sk_close(state);
    sk_use(dir, "2M");
    state = sk_open();
    sk_flush(state);
    EXPECT(tier_bytes(state) <= 2 * MIB);
    EXPECT(sk_disk_bytes(tier) <= 2 * MIB);
    sk_keep(state, key, 100 * MIB, 300000);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, key, 100 * MIB, 300000, NULL), 300000);

    sk_close(state);
    sk_use(dir, "0");
    state = sk_open();
    EXPECT(state->tier == NULL);
    hl_tier_stat(state, &bytes, &size);
    EXPECT_EQ(bytes + size, 0);
    released = 0;
    hl_tier_post(state, key, 0, 5, "four", release, NULL);
    EXPECT_EQ(released, 1);
    EXPECT_EQ(sk_kept(state, key, 100 * MIB, 300000, NULL), 0);
    sk_close(state);
    sk_use(dir, "8M");
    state = sk_open();
    EXPECT_EQ(sk_kept(state, key, 100 * MIB, 300000, NULL), 300000);
    return state;
}

static struct hl_state *test_forgets(struct hl_state *state)
{
    struct hl_known known = sk_known(5, 1), next = sk_known(5, 2);
    uint64_t name_key[2], disk_bytes;

    sk_post_known(state, 5, 1);
    sk_keep(state, known.key, 0, 100000);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, known.key, 0, 100000, NULL), 100000);
    sk_post_known(state, 5, 2);
    sk_keep(state, next.key, 0, 50000);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, known.key, 0, 100000, NULL), 0);
    EXPECT_EQ(sk_kept(state, next.key, 0, 100000, NULL), 50000);
    sk_name_key(5, name_key);
    disk_bytes = sk_disk_bytes(tier);
    EXPECT_RC(hl_catalog_forget(state, name_key), 0);
    EXPECT(sk_disk_bytes(tier) <= disk_bytes - 40000);
    EXPECT_EQ(sk_kept(state, next.key, 0, 100000, NULL), 0);
    return state;
}

static struct hl_state *test_orphans(struct hl_state *state)
{
    static const uint64_t key[2] = { 55, 1 };

    sk_keep(state, key, 0, 100000);
    sk_close(state);
    test_file(test_path(tier, "00009999"), 3 * MIB, 1);
    test_file(test_path(tier, "readme"), 10, 1);
    state = sk_open();
    EXPECT(access(test_path(tier, "00009999"), F_OK) < 0);
    EXPECT_EQ(access(test_path(tier, "readme"), F_OK), 0);
    EXPECT_EQ(sk_kept(state, key, 0, 100000, NULL), 100000);
    sk_close(state);
    /* The catalog is lost: then all of them are. */
    EXPECT_EQ(unlink(test_path(dir, "catalog/data.mdb")), 0);
    state = sk_open();
    EXPECT_EQ(sk_kept(state, key, 0, 100000, NULL), 0);
    EXPECT(sk_disk_bytes(tier) <= 4096);
    sk_keep(state, key, 0, 100000);
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, key, 0, 100000, NULL), 100000);
    return state;
}

int main(void)
{
    struct hl_state *state;

    dir = test_path(test_dir(), "state");
    tier = test_path(dir, "tier");
    sk_use(dir, "8M");
    state = sk_open();
    EXPECT(state->tier != NULL);
    state = test_ranges(state);
    state = test_damage(state);
    state = test_bounds(state);
    state = test_sizes(state);
    state = test_forgets(state);
    state = test_orphans(state);
    sk_close(state);
    return 0;
}
