/* SPDX-License-Identifier: MIT
 *
 * memory.c - memory for decoding: from mmap(2), or from where the program says.  Touched before
 * use: an absent source page makes UFFDIO_COPY copy twice and take a second huge page.
 *
 * fork() needs no word here: what was mapped is private, so the child has its own copy, and it may
 * not choose another allocator than the one that its inherited buffers go back to.
 *
 * Entry points: memory.h, hugelite_set_memory().
 */
#include "config.h"

#include "memory.h"

#include "error.h"
#include "hugelite.h"
#include "sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

/* ---- the default --------------------------------------------------------- */

/* Ask for a transparent huge page: copying out of it is not faster, but 2 MiB are there in 0.25 ms
 * instead of 0.85, and gone in 0.05 instead of 0.2.  Where the kernel has none, small ones do. */
static void *map_huge(size_t bytes)
{
    size_t before, after, room;
    char *memory;

    bytes = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    room = bytes + HUGE_BYTES - PAGE_BYTES;
    memory = hl_sys.mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)memory & (HUGE_BYTES - 1);
    after = room - before - bytes;
    if (before)
        hl_sys.munmap(memory, before);
    memory += before;
    if (after)
        hl_sys.munmap(memory + bytes, after);
    hl_sys.madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static void touch(void *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        ((volatile char *)memory)[at] = 0;
}

static void *map(void *arg, size_t bytes)
{
    void *memory;

    (void)arg;
    if (bytes >= HUGE_BYTES)
        return map_huge(bytes);
    memory = hl_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *arg, void *memory, size_t bytes)
{
    (void)arg;
    hl_sys.munmap(memory, bytes);
}

/* ---- the choice ---------------------------------------------------------- */

static const struct hugelite_memory system_memory = { sizeof system_memory, map, unmap, NULL };
static struct hugelite_memory program_memory;
static pthread_mutex_t set_lock = PTHREAD_MUTEX_INITIALIZER;

/* NULL until the first use or the program's word; never changes afterwards.  The release
 * that sets it publishes program_memory. */
static _Atomic(const struct hugelite_memory *) chosen;

static bool choose(const struct hugelite_memory *memory)
{
    const struct hugelite_memory *none = NULL;

    return atomic_compare_exchange_strong_explicit(&chosen, &none, memory, memory_order_acq_rel,
                                                   memory_order_acquire);
}

void hl_memory_settle(void)
{
    choose(&system_memory);
}

int hugelite_set_memory(const struct hugelite_memory *memory)
{
    bool set;

    if (!memory || memory->size < sizeof *memory)
        return hl_error(EINVAL, "hugelite_memory: its size is not set");
    if (!memory->allocate || !memory->release)
        return hl_error(EINVAL, "hugelite_memory: allocate and release are needed, both");
    pthread_mutex_lock(&set_lock);
    set = !atomic_load_explicit(&chosen, memory_order_acquire);
    if (set) {
        program_memory = *memory;
        set = choose(&program_memory);
    }
    pthread_mutex_unlock(&set_lock);
    if (!set)
        return hl_error(EBUSY, "hugelite_set_memory: it was set before, or a pool has been opened");
    return 0;
}

void *hl_memory_get(size_t bytes)
{
    const struct hugelite_memory *from;
    void *memory;

    hl_memory_settle();
    from = atomic_load_explicit(&chosen, memory_order_acquire);
    memory = from->allocate(from->arg, bytes);
    if (memory)
        touch(memory, bytes);
    return memory;
}

void hl_memory_put(void *memory, size_t bytes)
{
    const struct hugelite_memory *from = atomic_load_explicit(&chosen, memory_order_acquire);

    from->release(from->arg, memory, bytes);
}
