/* SPDX-License-Identifier: MIT
 *
 * test-transfer-threads-storm: many threads start, wait for, hurry and cancel transfers of an
 * origin that resets, truncates and dawdles, where ThreadSanitizer can see them.
 *
 * Passes when what succeeds has the right bytes, nothing fails for another reason than the
 * origin's, and none is left.
 */
#include "config.h"

#include "kit-transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (1 << 20)
#define LENGTH 50000
#define THREADS 8
#define EACH 4
#define ROUNDS 25
#define SEED 19

static struct kit_origin *origin;
static struct hl_target targets[2];
static struct hl_stats stats;
static _Atomic unsigned done, callbacks;

struct one {
    struct hl_transfer transfer;
    char buffer[LENGTH];
    _Atomic bool may_call;
};

static void arrived(struct hl_transfer *transfer, uint32_t bytes, int rc)
{
    struct one *one = transfer->arg;

    (void)rc;
    EXPECT(atomic_load(&one->may_call));
    EXPECT(bytes <= LENGTH);
    atomic_fetch_add(&callbacks, 1);
}

static void begin(struct one *one, uint32_t number)
{
    one->transfer = (struct hl_transfer){
        .target = &targets[number % 2],
        .stats = &stats,
        .src_offset = number / 8 % ((BYTES - LENGTH) / 8) * 8,
        .length = LENGTH,
        .urgency = number / 2 % 3,
        .buffer = one->buffer,
        .arrived = arrived,
        .arg = one,
    };
    atomic_store(&one->may_call, true);
    EXPECT_RC(hl_transfer_start(&one->transfer), 0);
}

static void end(struct one *one, uint32_t number)
{
    if (number % 5 == 0)
        hl_transfer_hurry(&one->transfer);
    if (number % 3 == 0) {
        hl_transfer_cancel(&one->transfer);
    } else {
        EXPECT_RC(hl_transfer_wait(&one->transfer), 0);
        EXPECT_PATTERN(one->buffer, LENGTH, SEED, one->transfer.src_offset);
        atomic_fetch_add(&done, 1);
    }
    atomic_store(&one->may_call, false);
}

static void *work(void *arg)
{
    uint64_t state = (uintptr_t)arg + 1;
    struct one *ones = calloc(EACH, sizeof *ones);

    EXPECT(ones);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t numbers[EACH];

        for (unsigned i = 0; i < EACH; i++) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            numbers[i] = (uint32_t)(state >> 33);
            begin(&ones[i], numbers[i]);
        }
        for (unsigned i = 0; i < EACH; i++)
            end(&ones[i], numbers[i]);
    }
    free(ones);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    test_file(test_path(kit_transfer_dir(), "db"), BYTES, SEED);
    origin = kit_origin(kit_transfer_dir());
    for (unsigned i = 0; i < 2; i++)
        kit_target(&targets[i], kit_origin_url(origin, "/db"));
    kit_origin_order(origin, "fault probability=0.05 truncate=20000");
    kit_origin_order(origin, "fault probability=0.05 reset=-1");
    kit_origin_order(origin, "fault probability=0.05 status=503");
    kit_origin_order(origin, "fault probability=0.1 delay_ms=20");
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(atomic_load(&done) > THREADS * EACH * ROUNDS / 2);
    EXPECT(atomic_load(&callbacks) >= atomic_load(&done));
    EXPECT(atomic_load(&stats.requests) > atomic_load(&done));
    return 0;
}
