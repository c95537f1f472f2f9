/* SPDX-License-Identifier: MIT
 *
 * test-catalog-full: more is remembered than there is room for in the map.
 *
 * Passes when those sources stay that were opened last, whatever came in between works, nothing fails,
 * and the file never outgrows the map; with large blobs, with many sources, and with more pieces than
 * there is room for.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAP = 2 << 20, BLOB = 40000, ROUNDS = 300 };

static const char *dir;

static void expect_fits(struct hl_state *state)
{
    struct stat st;

    EXPECT_EQ(stat(test_path(dir, "catalog/data.mdb"), &st), 0);
    EXPECT(st.st_size <= MAP);
    EXPECT_STR(sk_notice(state), "");
}

static bool has_blob(struct hl_state *state, uint64_t n)
{
    struct hl_known known = sk_known(n, 1);
    uint32_t length;
    void *blob;
    int rc = hl_catalog_read(state->catalog, known.key, HL_BLOB_TAIL, 0, &blob, &length);

    EXPECT(rc == 0 || rc == -ENOENT);
    if (rc == 0) {
        EXPECT_EQ(length, BLOB);
        EXPECT_EQ(((uint8_t *)blob)[BLOB - 1], n & 255);
        free(blob);
    }
    return rc == 0;
}

int main(void)
{
    static uint8_t blob[BLOB];
    static const uint64_t key[2] = { 9, 9 };
    struct hl_state *state;
    unsigned there = 0;

    hl_catalog_map_bytes = MAP;
    dir = test_path(test_dir(), "state");
    sk_use(dir, "64M");
    state = sk_open();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct hl_known known = sk_known(i, 1);

        sk_post_known(state, i, 1);
        memset(blob, (int)i, sizeof blob);
        hl_catalog_post(state, known.key, HL_BLOB_TAIL, 0, blob, sizeof blob);
        sk_flush(state);
        EXPECT(has_blob(state, i));
        expect_fits(state);
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        if (has_blob(state, i)) {
            EXPECT_EQ(sk_version(state, i), 1);
            there++;
        }
    EXPECT(there > 10 && there < ROUNDS / 2);
    EXPECT(!has_blob(state, 0) && sk_version(state, 0) == -ENOENT);

    for (unsigned i = 0; i < 10000; i++) {
        sk_post_known(state, 1000 + i, 1);
        if (i % 1000 == 0)
            sk_flush(state);
    }
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 1000 + 9999), 1);
    expect_fits(state);

    /* No source left to forget. */
    for (unsigned i = 0; i < 20000; i++) {
        sk_keep(state, key, i * 100ull, 40);
        if (i % 1000 == 999)
            sk_flush(state);
    }
    sk_flush(state);
    EXPECT_EQ(sk_kept(state, key, 19999 * 100ull, 40, NULL), 40);
    expect_fits(state);
    sk_close(state);
    state = sk_open();
    EXPECT_EQ(sk_kept(state, key, 19999 * 100ull, 40, NULL), 40);
    sk_close(state);
    return 0;
}
