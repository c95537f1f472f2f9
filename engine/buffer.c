/* SPDX-License-Identifier: MIT
 *
 * buffer.c - fill buffers of this process: kept while there are fills, none when it
 * has been idle, because a reader of a warm volume should cost next to no
 * private memory.
 *
 * Entry points: buffer.h.
 */
#include "config.h"

#include "buffer.h"

#include "crew.h"
#include "layout.h"
#include "lock.h"
#include "memory.h"

#include <stdbool.h>
#include <stddef.h>

/* As many as threads may fill at a time: the crew's, and a few askers. */
enum { KEPT = HL_CREW_MAX + 8 };

static struct hl_lock buffers_lock = HL_LOCK_INIT(HL_RANK_BUFFERS);
static void *kept[KEPT];
static unsigned nr_kept;
static bool used; /* since the last trim */

void hl_buffer_fork_prepare(void)
{
    hl_lock(&buffers_lock);
}

void hl_buffer_fork_done(void)
{
    hl_unlock(&buffers_lock);
}

void *hl_buffer_get(void)
{
    void *buffer = NULL;

    hl_lock(&buffers_lock);
    used = true;
    if (nr_kept)
        buffer = kept[--nr_kept];
    hl_unlock(&buffers_lock);
    if (buffer)
        return buffer;

    return hl_memory_get(HL_CHUNK_BYTES);
}

void hl_buffer_put(void *buffer)
{
    hl_lock(&buffers_lock);
    if (nr_kept < KEPT) {
        kept[nr_kept++] = buffer;
        buffer = NULL;
    }
    hl_unlock(&buffers_lock);
    if (buffer)
        hl_memory_put(buffer, HL_CHUNK_BYTES);
}

unsigned hl_buffer_trim(void)
{
    void *idle[KEPT];
    unsigned nr = 0, left;

    hl_lock(&buffers_lock);
    while (!used && nr_kept)
        idle[nr++] = kept[--nr_kept];
    used = false;
    left = nr_kept;
    hl_unlock(&buffers_lock);
    while (nr)
        hl_memory_put(idle[--nr], HL_CHUNK_BYTES);
    return left;
}
