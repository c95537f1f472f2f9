/* SPDX-License-Identifier: MIT
 *
 * state-kit.c - state directories to test with.
 */
#include "config.h"

#include "state-kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_NS (20ull * 1000000000)

/* In a test without a pool nobody else does. */
static void handle_fork(void)
{
    static bool once;

    if (!once)
        pthread_atfork(hl_state_fork_prepare, hl_state_fork_parent, hl_state_fork_child);
    once = true;
}

void sk_use(const char *dir, const char *tier_size)
{
    handle_fork();
    EXPECT_EQ(setenv("HUGELITE_STATE", dir, 1), 0);
    EXPECT_EQ(setenv("HUGELITE_TIER_SIZE", tier_size ? tier_size : "0", 1), 0);
}

const char *sk_notice(const struct hl_state *state)
{
    static _Thread_local char text[1024];

    hl_state_notice(state, text, sizeof text);
    return text;
}

struct hl_state *sk_open(void)
{
    struct hl_state *state = hl_state_get();

    EXPECT_STR(sk_notice(state), "");
    EXPECT(state->catalog != NULL);
    return state;
}

void sk_flush(struct hl_state *state)
{
    EXPECT(hl_state_flush(state, PATIENCE_NS));
}

void sk_close(struct hl_state *state)
{
    sk_flush(state);
    hl_state_put(state);
}

void sk_name_key(uint64_t n, uint64_t ret_key[2])
{
    ret_key[0] = n * 0x9E3779B97F4A7C15ull;
    ret_key[1] = ~n;
}

struct hl_known sk_known(uint64_t n, uint64_t v)
{
    struct hl_known known = {
        .kind = HL_VALIDATOR_ETAG, .src_bytes = n * 1000 + v, .bytes = n * 4096 + v,
        .key = { n * 1000003 + v + 1, n ^ v << 32 }, .validated_ns = n + 2 * v,
        .opened_ns = 1000 * n + v,
    };

    snprintf(known.name, sizeof known.name, "https://host/%llu.db", (unsigned long long)n);
    snprintf(known.validator, sizeof known.validator, "\"%llu-%llu\"", (unsigned long long)n,
             (unsigned long long)v);
    return known;
}

void sk_post_known(struct hl_state *state, uint64_t n, uint64_t v)
{
    struct hl_known known = sk_known(n, v);
    uint64_t name_key[2];

    sk_name_key(n, name_key);
    hl_catalog_post_known(state, name_key, &known);
}

int64_t sk_version(struct hl_state *state, uint64_t n)
{
    struct hl_known known, expected;
    uint64_t name_key[2], v;
    int rc;

    sk_name_key(n, name_key);
    rc = hl_catalog_find(state->catalog, name_key, &known);
    if (rc == -ENOENT)
        return rc;
    EXPECT_RC(rc, 0);
    v = known.src_bytes - n * 1000;
    expected = sk_known(n, v);
    EXPECT_STR(known.name, expected.name);
    EXPECT_STR(known.validator, expected.validator);
    EXPECT_EQ(known.kind, expected.kind);
    EXPECT_EQ(known.bytes, expected.bytes);
    EXPECT_EQ(known.key[0], expected.key[0]);
    EXPECT_EQ(known.key[1], expected.key[1]);
    EXPECT_EQ(known.validated_ns, expected.validated_ns);
    EXPECT_EQ(known.opened_ns, expected.opened_ns);
    return (int64_t)v;
}

void sk_bytes(const uint64_t key[2], uint64_t src_offset, uint32_t length, void *ret_bytes)
{
    for (uint32_t i = 0; i < length;) {
        uint64_t at = src_offset + i, word = test_pattern(key[0], at & ~7ull);
        uint32_t n = 8 - (uint32_t)(at & 7);

        n = n < length - i ? n : length - i;
        memcpy((uint8_t *)ret_bytes + i, (const uint8_t *)&word + (at & 7), n);
        i += n;
    }
}

void sk_keep(struct hl_state *state, const uint64_t key[2], uint64_t src_offset, uint32_t length)
{
    uint8_t *bytes = malloc(length);

    EXPECT(bytes != NULL);
    sk_bytes(key, src_offset, length, bytes);
    hl_tier_post(state, key, src_offset, length, bytes, free, bytes);
}

uint64_t sk_kept(struct hl_state *state, const uint64_t key[2], uint64_t src_offset,
                 uint64_t length, unsigned *ret_stale)
{
    static _Thread_local uint8_t piece[HL_TIER_PIECE], expected[HL_TIER_PIECE];
    uint64_t at = src_offset, end = src_offset + length, sum = 0;
    struct hl_extent extent;

    if (ret_stale)
        *ret_stale = 0;
    while (at < end && hl_tier_find(state, key, at, end - at, &extent, 1)) {
        uint64_t piece_end = extent.src_offset + extent.length;
        int rc = hl_tier_read(state, key, &extent, piece);

        EXPECT(piece_end > at && extent.src_offset < end);
        EXPECT(rc == 0 || rc == -ESTALE);
        EXPECT(rc == 0 || ret_stale != NULL);
        if (rc == 0) {
            uint64_t from = extent.src_offset > at ? extent.src_offset : at;

            sk_bytes(key, extent.src_offset, extent.length, expected);
            EXPECT_MEM(piece, expected, extent.length);
            sum += (piece_end < end ? piece_end : end) - from;
        } else {
            ++*ret_stale;
        }
        at = piece_end;
    }
    return sum;
}

uint64_t sk_disk_bytes(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    uint64_t sum = 0;
    struct stat st;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
            sum += (uint64_t)st.st_blocks * 512;
    if (dir)
        closedir(dir);
    return sum;
}
