/* SPDX-License-Identifier: MIT
 *
 * test-sums-processes: the checksums of a raw source's chunks, by threads and processes at once.
 *
 * Passes when a chunk that is what it was passes and one that is not is -EBADMSG, in this life and later
 * ones; when processes that learn different chunks of the same groups lose none; when nothing is compared
 * without a catalog but what this process has seen; and when another version has sums of its own.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"
#include "sums.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 1500, LENGTH = 512, PROCESSES = 4, THREADS = 3 };

static const uint64_t key[2] = { 3, 14 }, other[2] = { 3, 15 };
static struct hl_sums sums;

static void chunk(uint32_t index, uint8_t bytes[LENGTH])
{
    for (unsigned i = 0; i < LENGTH; i++)
        bytes[i] = (uint8_t)(index * 7 + i * (index | 1));
}

static int check(uint32_t index, unsigned change)
{
    uint8_t bytes[LENGTH];

    chunk(index, bytes);
    bytes[index % LENGTH] ^= (uint8_t)change;
    return hl_sums_check(&sums, index, bytes, LENGTH);
}

static void *thread(void *arg)
{
    for (uint32_t i = 0; i < CHUNKS; i++)
        if (i % PROCESSES == *(unsigned *)arg)
            EXPECT_RC(check(i, 0), 0);
    return NULL;
}

static void learn(void *arg)
{
    struct hl_state *state = sk_open();
    pthread_t threads[THREADS];

    EXPECT_RC(hl_sums_init(&sums, state, key, CHUNKS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, thread, arg), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    hl_sums_free(&sums);
    sk_close(state);
}

int main(void)
{
    unsigned numbers[PROCESSES];
    pid_t pids[PROCESSES];
    struct hl_state *state;

    sk_use(test_path(test_dir(), "state"), NULL);
    for (unsigned i = 0; i < PROCESSES; i++) {
        numbers[i] = i;
        pids[i] = kit_fork(learn, &numbers[i]);
    }
    for (unsigned i = 0; i < PROCESSES; i++)
        EXPECT_CHILD(pids[i], 0);

    state = sk_open();
    EXPECT_RC(hl_sums_init(&sums, state, key, CHUNKS), 0);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        EXPECT_RC(check(i, 1 + i % 255), -EBADMSG);
        EXPECT_RC(check(i, 0), 0);
    }
    EXPECT_CONTAINS((check(5, 1), hugelite_error()), "chunk 5 is not what it was");
    hl_sums_free(&sums);
    EXPECT_RC(hl_sums_init(&sums, state, other, CHUNKS), 0);
    EXPECT_RC(check(5, 1), 0);
    EXPECT_RC(check(5, 0), -EBADMSG);
    hl_sums_free(&sums);
    sk_close(state);

    sk_use("none", NULL);
    state = hl_state_get();
    EXPECT_RC(hl_sums_init(&sums, state, key, CHUNKS), 0);
    EXPECT_RC(check(5, 1), 0);
    EXPECT_RC(check(5, 1), 0);
    EXPECT_RC(check(5, 0), -EBADMSG);
    hl_sums_free(&sums);
    hl_state_put(state);
    return 0;
}
