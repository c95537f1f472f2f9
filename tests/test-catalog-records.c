/* SPDX-License-Identifier: MIT
 *
 * test-catalog-records: what is posted is found again, by this life of the process and by a later one.
 *
 * Passes when known sources and blobs come back as they were; when another version takes what is remembered of
 * the old one with it, but not the warm list; when each() goes through all, once, and stops when
 * told to; when a source that is forgotten leaves nothing; and when what is not there is -ENOENT.
 */
#include "config.h"

#include "state-kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 300, LARGE = 300000 };

static unsigned seen[SOURCES], stop_after;

static int each(void *arg, const uint64_t name_key[2], const struct hl_known *known)
{
    unsigned *nr = arg;
    uint64_t expected[2];
    uint64_t n = ~name_key[1];

    EXPECT(n < SOURCES);
    sk_name_key(n, expected);
    EXPECT_MEM(expected, name_key, sizeof expected);
    EXPECT_STR(known->name, sk_known(n, n % 7).name);
    seen[n]++;
    return ++*nr == stop_after ? 55 : 0;
}

static void expect_blob(struct hl_state *state, const uint64_t key[2], enum hl_blob_kind kind,
                        uint32_t number, const void *bytes, uint32_t length)
{
    uint32_t got;
    void *copy;

    EXPECT_RC(hl_catalog_read(state->catalog, key, kind, number, &copy, &got), 0);
    EXPECT_EQ(got, length);
    EXPECT_MEM(copy, bytes, length);
    free(copy);
}

static void expect_none(struct hl_state *state, const uint64_t key[2], enum hl_blob_kind kind,
                        uint32_t number)
{
    uint32_t got;
    void *copy;

    EXPECT_RC(hl_catalog_read(state->catalog, key, kind, number, &copy, &got), -ENOENT);
}

static void look_at_all(struct hl_state *state)
{
    unsigned nr = 0;

    memset(seen, 0, sizeof seen);
    stop_after = 0;
    EXPECT_RC(hl_catalog_each(state->catalog, each, &nr), 0);
    EXPECT_EQ(nr, SOURCES);
    for (unsigned i = 0; i < SOURCES; i++) {
        EXPECT_EQ(seen[i], 1);
        EXPECT_EQ(sk_version(state, i), i % 7);
    }
    stop_after = 5;
    nr = 0;
    EXPECT_EQ(hl_catalog_each(state->catalog, each, &nr), 55);
    EXPECT_EQ(nr, 5);
}

int main(void)
{
    uint8_t *large = malloc(LARGE);
    uint64_t name_key[2];
    struct hl_known old = sk_known(3, 3), new = sk_known(3, 4), same;
    struct hl_state *state;

    EXPECT(large != NULL);
    for (unsigned i = 0; i < LARGE; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    sk_use(test_path(test_dir(), "state"), NULL);
    state = sk_open();
    EXPECT_EQ(sk_version(state, 0), -ENOENT);
    for (unsigned i = 0; i < SOURCES; i++)
        sk_post_known(state, i, i % 7);
    hl_catalog_post(state, old.key, HL_BLOB_HEAD, 0, large, 65536);
    hl_catalog_post(state, old.key, HL_BLOB_TAIL, 0, large, LARGE);
    for (uint32_t i = 0; i < 10; i++)
        hl_catalog_post(state, old.key, HL_BLOB_SUMS, i, large + i, 4096);
    hl_catalog_post(state, old.key, HL_BLOB_ROOTS, 0, large, 0);
    sk_name_key(3, name_key);
    hl_catalog_post(state, name_key, HL_BLOB_WARM, 0, large, 400);
    sk_flush(state);
    look_at_all(state);
    sk_close(state);

    state = sk_open();
    look_at_all(state);
    expect_blob(state, old.key, HL_BLOB_HEAD, 0, large, 65536);
    expect_blob(state, old.key, HL_BLOB_TAIL, 0, large, LARGE);
    for (uint32_t i = 0; i < 10; i++)
        expect_blob(state, old.key, HL_BLOB_SUMS, i, large + i, 4096);
    expect_blob(state, old.key, HL_BLOB_ROOTS, 0, large, 0);
    expect_none(state, old.key, HL_BLOB_SUMS, 10);
    expect_none(state, new.key, HL_BLOB_HEAD, 0);

    /* The same version, its decoded size not known this time. */
    same = old;
    same.bytes = 0;
    hl_catalog_post_known(state, name_key, &same);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 3), 3);
    expect_blob(state, old.key, HL_BLOB_HEAD, 0, large, 65536);

    sk_post_known(state, 3, 4);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 3), 4);
    expect_none(state, old.key, HL_BLOB_HEAD, 0);
    expect_none(state, old.key, HL_BLOB_SUMS, 9);
    expect_blob(state, name_key, HL_BLOB_WARM, 0, large, 400);

    hl_catalog_post(state, new.key, HL_BLOB_TAIL, 0, large, 100);
    EXPECT_RC(hl_catalog_forget(state, name_key), 0);
    EXPECT_EQ(sk_version(state, 3), -ENOENT);
    expect_none(state, new.key, HL_BLOB_TAIL, 0);
    expect_none(state, name_key, HL_BLOB_WARM, 0);
    EXPECT_RC(hl_catalog_forget(state, name_key), -ENOENT);
    EXPECT_CONTAINS(hugelite_error(), "not in the catalog");
    EXPECT_EQ(sk_version(state, 4), 4);
    sk_close(state);
    free(large);
    return 0;
}
