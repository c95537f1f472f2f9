/* SPDX-License-Identifier: MIT
 *
 * buffer.c - fill buffers of this process: two are kept while there are fills, none when it
 * has been idle, because a reader of a warm volume should cost next to no
 * private memory.  Touched before use: an absent source page makes UFFDIO_COPY
 * copy twice and take a second huge page.
 *
 * Entry points: buffer.h.
 */
#include "config.h"

#include "buffer.h"

#include "layout.h"
#include "lock.h"
#include "sys.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

enum { KEPT = 2 };

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

    buffer = hl_sys.mmap(NULL, HL_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return buffer == MAP_FAILED ? NULL : buffer;
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
        hl_sys.munmap(buffer, HL_CHUNK_BYTES);
}

unsigned hl_buffer_trim(void)
{
    void *idle = NULL;
    unsigned left;

    hl_lock(&buffers_lock);
    if (!used && nr_kept)
        idle = kept[--nr_kept];
    used = false;
    left = nr_kept;
    hl_unlock(&buffers_lock);
    if (idle)
        hl_sys.munmap(idle, HL_CHUNK_BYTES);
    return left;
}
