/* SPDX-License-Identifier: MIT
 *
 * test-codec-fork: fork() while other threads decode.
 *
 * Passes when children that are forked while threads of their parent are in the middle of small
 * and large frames, and wait for each other there, read everything right with a codec of their
 * own, without hanging on what those threads held; when a child reads the very frame that a thread
 * of its parent was checking, and does not wait for that thread; and when the parent goes on.
 */
#include "config.h"

#include "codec-kit.h"

#include "decoder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static struct ck_image image;
static struct hl_codec *codec;
static _Atomic bool stop;

static void *read_on(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    while (!stop) {
        ck_read(codec, &image, ck_random(&state, 60000), 5000);
        ck_read(codec, &image, ck_random(&state, image.decoded_length - 5000), 5000);
    }
    return NULL;
}

static struct hl_source_ops gated_ops;
static int (*open_read)(struct hl_source *source, uint64_t src_offset, uint32_t length,
                        void *buffer);
static _Atomic bool gate, arrived;

static int gated_read(struct hl_source *source, uint64_t src_offset, uint32_t length, void *buffer)
{
    while (gate && length > 20000) { /* neither the table nor a frame's header */
        arrived = true;
        test_sleep_ms(1);
    }
    return open_read(source, src_offset, length, buffer);
}

static void *check_frame(void *arg)
{
    ck_read(arg, &image, 100000, 10);
    return NULL;
}

static pid_t fork_as_a_pool_does(void)
{
    pid_t pid;

    hl_decoder_fork_prepare();
    pid = fork();
    hl_decoder_fork_done();
    EXPECT(pid >= 0);
    return pid;
}

/* The child has less time than a reader has patience. */
static void in_the_middle(void)
{
    struct hl_source *source = ck_memory(image.bytes, image.length);
    struct hl_codec *gated = ck_open(source);
    pthread_t thread;
    pid_t pid;

    gated_ops = *source->ops;
    open_read = gated_ops.read;
    gated_ops.read = gated_read;
    source->ops = &gated_ops;
    gate = true;
    EXPECT_EQ(pthread_create(&thread, NULL, check_frame, gated), 0);
    while (!arrived)
        test_sleep_ms(1);
    pid = fork_as_a_pool_does();
    if (pid == 0) {
        gate = false;
        alarm(TEST_HANG_S);
        ck_read(gated, &image, 100000, 10);
        _exit(0);
    }
    EXPECT_CHILD(pid, 0);
    gate = false;
    pthread_join(thread, NULL);
    ck_close(gated);
}

int main(void)
{
    pthread_t threads[4];

    for (unsigned i = 0; i < 10; i++)
        ck_frame(&image, 7000, CK_CHECKSUM, 0);
    ck_frame(&image, (2 << 20) + 50000, CK_CHECKSUM, 0);
    ck_table(&image, true);
    codec = ck_open(ck_memory(image.bytes, image.length));
    for (uintptr_t i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, read_on, (void *)i), 0);

    for (unsigned i = 0; i < 20; i++) {
        pid_t pid;

        test_sleep_ms(5);
        pid = fork_as_a_pool_does();
        if (pid == 0) {
            struct hl_codec *own = ck_open(ck_memory(image.bytes, image.length));

            alarm(TEST_HANG_S);
            ck_read(codec, &image, 20000, 9000);
            ck_read(codec, &image, 100000, 9000);
            ck_read_all(own, &image, 300000);
            ck_close(own);
            _exit(0);
        }
        EXPECT_CHILD(pid, 0);
    }
    stop = true;
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_close(codec);
    in_the_middle();
    ck_free(&image);
    return 0;
}
