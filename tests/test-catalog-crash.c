/* SPDX-License-Identifier: MIT
 *
 * test-catalog-crash: kill -9 of processes that write to the catalog and the tier, at any moment, over
 * and over; sometimes all of them at once, sometimes one while another goes on.
 *
 * Passes when each life opens without a notice, when what had been settled before a kill is there or
 * has been replaced by something later, never by anything that nobody wrote; when each piece of the tier is
 * what was fetched, and when the tier keeps to its size.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOURCES = 16, TIER = 4 << 20 };

static struct shared {
    _Atomic uint64_t posted[SOURCES];  /* versions from 1 on, the last one posted */
    _Atomic uint64_t settled[SOURCES]; /* the last one flushed */
    _Atomic unsigned writers;
} *shared;

static const char *dir;

/* A writer has the sources whose number is its own modulo two. */
static void writer(void *arg)
{
    unsigned me = *(unsigned *)arg;
    struct hl_state *state = sk_open();
    uint64_t seen[SOURCES], offset = 0;

    atomic_fetch_add(&shared->writers, 1);
    for (unsigned round = 0;; round++) {
        for (unsigned n = me; n < SOURCES; n += 2) {
            struct hl_known known;

            seen[n] = atomic_load(&shared->posted[n]) + (round % 4 == 0);
            known = sk_known(n, seen[n]);
            atomic_store(&shared->posted[n], seen[n]);
            sk_post_known(state, n, seen[n]);
            hl_catalog_post(state, known.key, HL_BLOB_TAIL, 0, &known, sizeof known);
            sk_keep(state, known.key, offset, 3000 + 20000 * (round % 5));
            offset += 30000;
        }
        if (round % 3 == 0) {
            sk_flush(state);
            for (unsigned n = me; n < SOURCES; n += 2)
                atomic_store(&shared->settled[n], seen[n]);
        }
    }
}

static void look(struct hl_state *state)
{
    for (unsigned n = 0; n < SOURCES; n++) {
        uint64_t least = atomic_load(&shared->settled[n]);
        int64_t v = sk_version(state, n);
        struct hl_known known;
        uint32_t length;
        unsigned stale;
        void *blob;

        EXPECT(v != -ENOENT || least == 0);
        if (v == -ENOENT)
            continue;
        EXPECT((uint64_t)v >= least && (uint64_t)v <= atomic_load(&shared->posted[n]));
        known = sk_known(n, (uint64_t)v);
        /* A version's blob is posted after it, by then it may not have come. */
        if (hl_catalog_read(state->catalog, known.key, HL_BLOB_TAIL, 0, &blob, &length) == 0) {
            EXPECT_EQ(length, sizeof known);
            EXPECT_MEM(blob, &known, sizeof known);
            free(blob);
        }
        sk_kept(state, known.key, 0, 1ull << 30, &stale);
    }
    EXPECT(sk_disk_bytes(test_path(dir, "tier")) <= TIER + TIER / 4);
}

int main(void)
{
    unsigned numbers[2] = { 0, 1 }, kills = 0;
    double end = test_now() + kit_seconds(3);
    pid_t pids[2];

    dir = test_path(test_dir(), "state");
    sk_use(dir, "4M");
    shared = kit_shared(sizeof *shared);
    for (unsigned i = 0; i < 2; i++)
        pids[i] = kit_fork(writer, &numbers[i]);
    while (test_now() < end || kills < 6) {
        struct hl_state *state;

        kit_await(&shared->writers, 1);
        test_sleep_ms((unsigned)(kills * 7 % 60));
        kit_kill(pids[kills % 2]);
        if (kills % 3 == 2)
            kit_kill(pids[(kills + 1) % 2]);
        state = sk_open();
        look(state);
        sk_close(state);
        if (kills % 3 == 2)
            pids[(kills + 1) % 2] = kit_fork(writer, &numbers[(kills + 1) % 2]);
        pids[kills % 2] = kit_fork(writer, &numbers[kills % 2]);
        kills++;
    }
    for (unsigned i = 0; i < 2; i++)
        kit_kill(pids[i]);
    EXPECT(atomic_load(&shared->settled[0]) > 0 && atomic_load(&shared->settled[1]) > 0);
    printf("%u kills\n", kills);
    return 0;
}
