/* SPDX-License-Identifier: MIT
 *
 * test-admission-threads-touches: counting beside wishing.
 *
 * Passes when, while three threads count reads of the same few chunks, a fourth that alone makes and ends
 * wishes for them finds each as it left it; and when none turns out damaged.
 */
#include "config.h"

#include "test.h"

#include "admission.h"

#include <pthread.h>
#include <stdatomic.h>

#define NR 4
#define SECONDS 1.0

static _Atomic uint64_t words[NR]; /* all EMPTY */
static _Atomic uint32_t contested;
static struct hl_touches touches;
static _Atomic bool stop;

static void *count(void *arg)
{
    for (uint32_t i = (uint32_t)(uintptr_t)arg; !atomic_load(&stop); i++)
        hl_touches_earn(&touches, i % NR, i % 3, 32);
    return NULL;
}

int main(void)
{
    double until = test_now() + SECONDS;
    pthread_t threads[3];

    EXPECT_EQ(hl_touches_init(&touches, words, &contested, NR), 0);
    for (uintptr_t i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, count, (void *)i), 0);
    for (uint32_t i = 0; i % 1000 || test_now() < until; i++) {
        EXPECT(hl_touches_wish(&touches, i % NR));
        EXPECT(!hl_touches_wish(&touches, i % NR));
        EXPECT(hl_touches_unwish(&touches, i % NR));
        EXPECT(!hl_touches_damaged(&touches, i % NR));
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    hl_touches_free(&touches);
    return 0;
}
