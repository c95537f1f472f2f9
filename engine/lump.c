/* SPDX-License-Identifier: MIT
 *
 * lump.c - memory of stages.  Small lumps are malloc's, those of a chunk's size are fill buffers,
 * and of larger ones the last few are kept for as long as there are stages.
 *
 * What is kept lies in words that are exchanged, not under a lock: so fork() needs no word here.
 * A child has its own copy of the idle ones.
 *
 * Entry points: lump.h.  See also: buffer.c, memory.c.
 */
#include "config.h"

#include "lump.h"

#include "buffer.h"
#include "layout.h"
#include "memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    SMALL = 1 << 20,
    STEP = 4 << 20, /* large ones are multiples of this, so that they fit one another */
    KEPT = 4,
};

/* At the beginning of an idle lump. */
struct idle {
    uint32_t room;
};

static _Atomic(struct idle *) kept[KEPT];
static _Atomic bool used; /* since the last trim */

/* acquire, release: what an idle lump says of itself. */
static struct idle *take(unsigned i)
{
    return atomic_exchange_explicit(&kept[i], NULL, memory_order_acquire);
}

static void keep(struct idle *idle)
{
    uint32_t room = idle->room;

    for (unsigned i = 0; i < KEPT; i++) {
        struct idle *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&kept[i], &none, idle, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    hl_memory_put(idle, room);
}

static void *take_fitting(uint32_t room, uint32_t *ret_room)
{
    for (unsigned i = 0; i < KEPT; i++) {
        struct idle *idle = take(i);

        if (!idle)
            continue;
        if (idle->room >= room && idle->room <= 2 * room) {
            *ret_room = idle->room;
            return idle;
        }
        keep(idle);
    }
    return NULL;
}

int hl_lump_get(uint32_t bytes, struct hl_lump *ret_lump)
{
    struct hl_lump lump = { .room = bytes };

    if (bytes < SMALL) {
        lump.bytes = malloc(bytes);
    } else if (bytes <= HL_CHUNK_BYTES) {
        lump.room = HL_CHUNK_BYTES;
        lump.bytes = hl_buffer_get();
    } else {
        /* relaxed: a hint; one lump is given back too early, or a second late. */
        atomic_store_explicit(&used, true, memory_order_relaxed);
        lump.room = (bytes + STEP - 1) / STEP * STEP;
        lump.bytes = take_fitting(lump.room, &lump.room);
        if (!lump.bytes)
            lump.bytes = hl_memory_get(lump.room);
    }
    if (!lump.bytes)
        return -ENOMEM;
    *ret_lump = lump;
    return 0;
}

void hl_lump_put(struct hl_lump *lump)
{
    if (lump->room < SMALL) {
        free(lump->bytes);
    } else if (lump->room <= HL_CHUNK_BYTES) {
        hl_buffer_put(lump->bytes);
    } else {
        struct idle *idle = lump->bytes;

        idle->room = lump->room;
        keep(idle);
    }
    lump->bytes = NULL;
}

unsigned hl_lump_trim(void)
{
    bool idle = !atomic_exchange_explicit(&used, false, memory_order_relaxed);
    unsigned left = 0;

    for (unsigned i = 0; i < KEPT; i++) {
        struct idle *lump = idle ? take(i) : NULL;

        if (lump)
            hl_memory_put(lump, lump->room);
        left += atomic_load_explicit(&kept[i], memory_order_relaxed) != NULL;
    }
    return left;
}
