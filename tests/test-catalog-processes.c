/* SPDX-License-Identifier: MIT
 *
 * test-catalog-processes: many processes, one state directory.
 *
 * Passes when processes that open, write, read and close at the same time see each other's sources and pieces, and
 * nothing that nobody wrote; when the tier keeps to its size; when one that opens while a catalog of another
 * version is in use does without and says so; when one that is stopped while it
 * is alone with the directory holds up others no longer than their patience; and when one that is killed then holds
 * them up not at all.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include "record.h"
#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES = 5, LIVES = 12, EACH = 20 };

static const char *dir;
static struct {
    _Atomic unsigned started, held;
    _Atomic uint64_t written[PROCESSES];
} *shared;

static void storm(void *arg)
{
    unsigned me = *(unsigned *)arg;

    atomic_fetch_add(&shared->started, 1);
    kit_await(&shared->started, PROCESSES);
    for (unsigned life = 0; life < LIVES; life++) {
        struct hl_state *state = sk_open();

        for (unsigned i = 0; i < EACH; i++) {
            uint64_t n = me * EACH + i, other = (n + EACH) % (PROCESSES * EACH);
            struct hl_known known = sk_known(n, life), theirs = sk_known(other, life);
            unsigned stale;

            sk_post_known(state, n, life);
            sk_keep(state, known.key, 100 * i, 50000);
            EXPECT(sk_version(state, other) < LIVES);
            sk_kept(state, theirs.key, 0, 60000, &stale);
            sk_kept(state, known.key, 0, 60000, &stale);
        }
        sk_close(state);
        atomic_store(&shared->written[me], life);
    }
}

struct version_errand {
    struct hl_errand base;
    struct hl_catalog *catalog;
    uint32_t version;
};

static void run_version(struct hl_errand *base)
{
    struct version_errand *errand = (struct version_errand *)base;
    struct hl_record_key header = hl_record_header();
    uint8_t payload[4];

    hl_put_u32(payload, errand->version);
    EXPECT_RC(hl_record_put(hl_catalog_write(errand->catalog), &header, payload, 4), 0);
    free(errand);
}

static void write_version(struct hl_state *state, uint32_t version)
{
    struct version_errand *errand = calloc(1, sizeof *errand);

    EXPECT(errand != NULL);
    errand->base.run = run_version;
    errand->catalog = state->catalog;
    errand->version = version;
    EXPECT(hl_state_post(state, &errand->base));
    sk_flush(state);
}

static void expect_other_version(void *arg)
{
    struct hl_state *state = hl_state_get();

    (void)arg;
    EXPECT(state->catalog == NULL);
    EXPECT_CONTAINS(sk_notice(state), "another version");
    hl_state_put(state);
}

/* The first thing that is read when one is alone: the meta page. */
static ssize_t hold(int fd, void *buffer, size_t length, off_t offset)
{
    (void)fd, (void)buffer, (void)length, (void)offset;
    atomic_store(&shared->held, 1);
    pause();
    return -1;
}

static void hang_alone(void *arg)
{
    (void)arg;
    hl_sys.pread = hold;
    hl_state_get();
}

int main(void)
{
    unsigned numbers[PROCESSES];
    struct hl_state *state;
    pid_t pids[PROCESSES];
    double before;

    dir = test_path(test_dir(), "state");
    sk_use(dir, "4M");
    shared = kit_shared(sizeof *shared);
    for (unsigned i = 0; i < PROCESSES; i++) {
        numbers[i] = i;
        pids[i] = kit_fork(storm, &numbers[i]);
    }
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);
    state = sk_open();
    for (unsigned n = 0; n < PROCESSES * EACH; n++)
        EXPECT_EQ(sk_version(state, n), LIVES - 1);
    EXPECT(sk_disk_bytes(test_path(dir, "tier")) <= 5u << 20);

    write_version(state, 1234);
    EXPECT_CHILD(kit_fork(expect_other_version, NULL), 0);
    sk_close(state);
    state = hl_state_get();
    EXPECT_CONTAINS(sk_notice(state), "begun anew");
    sk_post_known(state, 1, 1);
    sk_close(state);

    pids[0] = kit_fork(hang_alone, NULL);
    kit_await(&shared->held, 1);
    hl_patience_ns = 300000000;
    state = hl_state_get();
    EXPECT(state->catalog == NULL);
    EXPECT_CONTAINS(sk_notice(state), "kept it to itself");
    hl_state_put(state);
    hl_patience_ns = TEST_PATIENCE_NS;
    kit_kill(pids[0]);
    before = test_now();
    state = sk_open();
    EXPECT(test_now() - before < TEST_HANG_S); /* of twice as many */
    EXPECT_EQ(sk_version(state, 1), 1);
    sk_close(state);
    return 0;
}
