/* SPDX-License-Identifier: MIT
 *
 * test-codec-threads-read: many threads read one codec.
 *
 * Passes when threads that read small and large frames at random, and others that scan a large
 * frame in steps between them, all get right bytes; when a large frame that eight threads want at
 * once is checked once; and when threads that scan a large frame together decode it not much
 * oftener than one would, since each waits for its predecessor; and when all is right as well
 * where nobody has the patience to wait.
 */
#include "config.h"

#include "codec-kit.h"

#include "sys.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8
#define LARGE (6u << 20)
#define STEP (256u << 10)

static struct ck_image image;
static struct hl_codec *codec;
static _Atomic uint64_t taken, cost;
static pthread_barrier_t together;

static void *read_at_random(void *arg)
{
    uint64_t state = (uintptr_t)arg + 1;

    for (unsigned i = 0; i < (TEST_SANITIZED ? 10 : 40); i++) {
        uint64_t offset = ck_random(&state, image.decoded_length - 5000);

        ck_read(codec, &image, offset, 1 + (uint32_t)ck_random(&state, 5000));
    }
    return NULL;
}

/* As a crew that fills a row of chunks. */
static void *take_steps(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&together);
    for (;;) {
        uint64_t at = atomic_fetch_add(&taken, STEP);

        if (at >= LARGE)
            return NULL;
        cost += ck_read(codec, &image, at, STEP).source_bytes;
    }
}

static void *read_one_byte(void *arg)
{
    pthread_barrier_wait(&together);
    cost += ck_read(codec, &image, LARGE - 1 - (uintptr_t)arg, 1).frames;
    return NULL;
}

static void all(void *(*run)(void *))
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&together, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
}

int main(void)
{
    uint32_t large;

    ck_frame(&image, LARGE, CK_CHECKSUM, 0);
    large = image.entries[0].encoded;
    for (unsigned i = 0; i < 300; i++)
        ck_frame(&image, 10000, i % 2 ? CK_CHECKSUM : 0, 0);
    ck_frame(&image, 3 << 20, CK_NO_SIZE, 18);
    ck_table(&image, true);
    codec = ck_open(ck_file(&image, test_path(test_dir(), "x.zst")));

    taken = cost = 0;
    all(take_steps);
    EXPECT(TEST_SANITIZED || cost <= 4 * (uint64_t)large); /* it is 2, if none is overtaken */
    EXPECT(cost >= large);
    ck_close(codec);

    /* One pass that checks for all of them; each then needs one of its own at most. */
    codec = ck_open(ck_file(&image, test_path(test_dir(), "x.zst")));
    cost = 0;
    all(read_one_byte);
    EXPECT(cost <= 1 + THREADS);
    all(read_at_random);
    ck_close(codec);

    hl_patience_ns = 0;
    codec = ck_open(ck_file(&image, test_path(test_dir(), "x.zst")));
    taken = 0;
    all(take_steps);
    all(read_one_byte);
    ck_close(codec);
    ck_free(&image);
    return 0;
}
