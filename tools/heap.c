/* SPDX-License-Identifier: MIT
 *
 * heap.c - the heap on huge pages.  jemalloc keeps the books; its hooks below put memory
 * under the addresses that it hands out and take it away again.
 *
 * A range of addresses is reserved at the start, for good, and cut into slots of 2 MiB.
 * jemalloc is given addresses from its front (get_addresses), with nothing behind them, and
 * says which bytes it is about to use (commit) and which it has done with (decommit).  A
 * slot gets its huge page with the first byte in use, and gives it back with the last: so a
 * heap takes as many huge pages as it needs, one at a time, and the pools get them back when
 * jemalloc's dirty memory decays.
 *
 *   - A page is got, and touched, somewhere else and then moved into its slot (mremap): so no
 *     failure, be it of the pool or of a cgroup, can come later as a SIGBUS, or leave a hole
 *     among our addresses into which another thread's mmap might fall.
 *   - The pools come first.  They reserve nothing, and a page more for us can be an eviction
 *     for them: we take an eighth of the machine's huge pages at most, and none unless a
 *     quarter of them all stays available.  A slot that gets no huge page gets small ones.
 *   - jemalloc's own books of the arena (it asks for them with *commit set) lie on small
 *     pages, outside.
 *
 * Entry points: heap.h.  See also: jemalloc(3), "arena.<i>.extent_hooks"; sqlite3_mem_methods.
 */
#include <config.h>

#include "heap.h"

#include <errno.h>

#include "tools.h"

#ifdef HL_HAVE_HEAP

#include <jemalloc/jemalloc.h>
#include <limits.h>
#include <linux/mman.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SLOT_SHIFT 21
#define SLOT_BYTES ((size_t)1 << SLOT_SHIFT)

/* How long memory that is free may wait for its next use. */
#define DECAY_MS 1000

enum backing {
    NOTHING,
    HUGE,
    SMALL,
    LOST,  /* somebody else is mapped here: never used again */
};

struct slot {
    uint32_t used;    /* bytes that jemalloc has committed */
    uint32_t backing; /* enum backing */
};

/* Guards what follows.  jemalloc calls the hooks of one arena from several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *base;
static struct slot *slots;
static size_t nr_slots;
static size_t given;    /* bytes from base on that jemalloc has got as addresses */
static size_t nr_huge, nr_small; /* slots */
static struct hugelite_pool *published;

static unsigned arena;
static bool started;

/* ---- pages --------------------------------------------------------------- */

/* How many of n huge pages we may take. */
static size_t allowance(size_t n)
{
    struct hl_hugepages pages;
    uint64_t available, ours, spare;

    if (hl_hugepages_read(&pages) < 0)
        return 0;
    available = hl_hugepages_available(&pages);
    ours = pages.total / 8 > nr_huge ? pages.total / 8 - nr_huge : 0;
    spare = available > pages.total / 4 ? available - pages.total / 4 : 0;
    if (n > ours)
        n = ours;
    return n < spare ? n : spare;
}

static void note(size_t first, size_t n, enum backing backing)
{
    for (size_t i = first; i < first + n; i++) {
        nr_huge += (backing == HUGE) - (slots[i].backing == HUGE);
        nr_small += (backing == SMALL) - (slots[i].backing == SMALL);
        slots[i].backing = backing;
    }
    if (published)
        hugelite_pool_set_heap(published, (uint64_t)nr_huge << SLOT_SHIFT);
}

static bool put_huge(size_t first, size_t n)
{
    size_t bytes = n << SLOT_SHIFT;
    void *pages, *here = base + (first << SLOT_SHIFT);

    if (n == 0)
        return true;
    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    if (madvise(pages, bytes, MADV_POPULATE_WRITE) < 0 ||
        madvise(pages, bytes, MADV_DONTFORK) < 0) {
        munmap(pages, bytes);
        return false;
    }
    if (mremap(pages, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, here) == MAP_FAILED) {
        munmap(pages, bytes);
        note(first, n, LOST); /* perhaps: there is nobody to ask */
        return false;
    }
    note(first, n, HUGE);
    return true;
}

static bool put_small(size_t first, size_t n)
{
    if (n == 0)
        return true;
    if (mprotect(base + (first << SLOT_SHIFT), n << SLOT_SHIFT, PROT_READ | PROT_WRITE) < 0)
        return false;
    note(first, n, SMALL);
    return true;
}

/* Put memory, all of it zero, under slots that have none. */
static bool put_pages(size_t first, size_t n)
{
    size_t huge = allowance(n);

    if (!put_huge(first, huge))
        huge = 0;
    if (slots[first].backing == LOST)
        return false;
    return put_small(first + huge, n - huge);
}

/* Only addresses are left.  This replaces what is mapped here, so there is no moment without. */
static void take_pages(size_t first, size_t n)
{
    void *here = base + (first << SLOT_SHIFT);

    if (mmap(here, n << SLOT_SHIFT, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return; /* it stays as it is */
    note(first, n, NOTHING);
}

/* ---- jemalloc's hooks: true is failure ------------------------------------ */

static bool is_ours(const void *address)
{
    return (const char *)address >= base && (const char *)address < base + (nr_slots << SLOT_SHIFT);
}

/* The bytes of a range that lie in slot i. */
static size_t part(size_t from, size_t to, size_t i, size_t *ret_at)
{
    size_t begin = i << SLOT_SHIFT, end = begin + SLOT_BYTES;

    *ret_at = from > begin ? from : begin;
    return (to < end ? to : end) - *ret_at;
}

/* Small pages outside of our range, for the arena's books, and when the range is used up. */
static void *map_outside(void *wanted, size_t bytes, size_t alignment)
{
    size_t room = bytes + alignment, before;
    char *memory;

    if (wanted)
        return NULL;
    memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)memory & (alignment - 1);
    if (before)
        munmap(memory, before);
    munmap(memory + before + bytes, room - before - bytes);
    return memory + before;
}

static void *get_addresses(extent_hooks_t *hooks, void *wanted, size_t bytes, size_t alignment,
                           bool *zero, bool *commit, unsigned arena_index)
{
    char *memory = NULL;
    size_t at;

    (void)hooks, (void)arena_index;
    *zero = true;
    if (*commit)
        return map_outside(wanted, bytes, alignment);
    pthread_mutex_lock(&lock);
    at = (given + alignment - 1) & ~(alignment - 1);
    if (at <= nr_slots << SLOT_SHIFT && bytes <= (nr_slots << SLOT_SHIFT) - at &&
        (!wanted || wanted == base + at)) {
        memory = base + at;
        given = at + bytes;
    }
    pthread_mutex_unlock(&lock);
    return memory;
}

static bool commit_locked(size_t from, size_t to)
{
    size_t first = from >> SLOT_SHIFT, last = (to - 1) >> SLOT_SHIFT, at;

    for (size_t i = first; i <= last; i++) {
        size_t n = 0;

        while (i + n <= last && slots[i + n].backing == NOTHING)
            n++;
        if (n && !put_pages(i, n))
            return true;
        if (slots[i].backing == LOST)
            return true;
        i += n ? n - 1 : 0;
    }
    for (size_t i = first; i <= last; i++)
        slots[i].used += (uint32_t)part(from, to, i, &at);
    return false;
}

/* Give back the pages of slots in which nothing is used any more, run by run. */
static void trim_locked(size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        size_t n = 0;

        while (i + n <= last && slots[i + n].used == 0 &&
               (slots[i + n].backing == HUGE || slots[i + n].backing == SMALL))
            n++;
        if (n)
            take_pages(i, n);
        i += n ? n - 1 : 0;
    }
}

static bool commit(extent_hooks_t *hooks, void *address, size_t bytes, size_t offset,
                   size_t length, unsigned arena_index)
{
    size_t from = (size_t)((char *)address - base) + offset;
    bool failed;

    (void)hooks, (void)bytes, (void)arena_index;
    if (!is_ours(address))
        return false; /* always there */
    pthread_mutex_lock(&lock);
    failed = commit_locked(from, from + length);
    if (failed)
        trim_locked(from >> SLOT_SHIFT, (from + length - 1) >> SLOT_SHIFT);
    pthread_mutex_unlock(&lock);
    return failed;
}

static bool decommit(extent_hooks_t *hooks, void *address, size_t bytes, size_t offset,
                     size_t length, unsigned arena_index)
{
    size_t from = (size_t)((char *)address - base) + offset, to = from + length, at;

    (void)hooks, (void)bytes, (void)arena_index;
    if (!is_ours(address))
        return true;
    pthread_mutex_lock(&lock);
    for (size_t i = from >> SLOT_SHIFT; i <= (to - 1) >> SLOT_SHIFT; i++)
        slots[i].used -= (uint32_t)part(from, to, i, &at);
    trim_locked(from >> SLOT_SHIFT, (to - 1) >> SLOT_SHIFT);
    /* jemalloc expects zeros when it commits again; the neighbours keep these pages here. */
    for (size_t i = from >> SLOT_SHIFT; i <= (to - 1) >> SLOT_SHIFT; i++)
        if (slots[i].backing != NOTHING) {
            size_t n = part(from, to, i, &at);

            memset(base + at, 0, n);
        }
    pthread_mutex_unlock(&lock);
    return false;
}

/* For what lies outside of our range. */
static bool purge(extent_hooks_t *hooks, void *address, size_t bytes, size_t offset,
                  size_t length, unsigned arena_index)
{
    (void)hooks, (void)bytes, (void)arena_index;
    return madvise((char *)address + offset, length, MADV_DONTNEED) != 0;
}

static bool split(extent_hooks_t *hooks, void *address, size_t bytes, size_t a, size_t b,
                  bool committed, unsigned arena_index)
{
    (void)hooks, (void)address, (void)bytes, (void)a, (void)b, (void)committed, (void)arena_index;
    return false;
}

static bool merge(extent_hooks_t *hooks, void *a, size_t a_bytes, void *b, size_t b_bytes,
                  bool committed, unsigned arena_index)
{
    (void)hooks, (void)a_bytes, (void)b_bytes, (void)committed, (void)arena_index;
    return is_ours(a) != is_ours(b);
}

/* No dalloc: addresses stay jemalloc's.  No lazy purge: what decays goes at once. */
static extent_hooks_t hooks = {
    .alloc = get_addresses,
    .commit = commit,
    .decommit = decommit,
    .purge_forced = purge,
    .split = split,
    .merge = merge,
};

/* ---- SQLite -------------------------------------------------------------- */

/* A cache for each thread, of this arena: its automatic one belongs to malloc()'s arenas.  For
 * what is small, where an allocation takes 25 ns instead of 200; SQLite's pages go without, since
 * the few in a cache, each in another slot, would keep as many huge pages here. */
enum { CACHED_BYTES = 2048 };
static _Thread_local unsigned cache_of_thread; /* + 1; 0 = none yet */
static pthread_key_t cache_key;

static void drop_cache(void *value)
{
    unsigned cache = (unsigned)(uintptr_t)value - 1;

    cache_of_thread = 0;
    mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache);
}

static bool make_cache(void)
{
    size_t size = sizeof(unsigned);
    unsigned cache;

    if (mallctl("tcache.create", &cache, &size, NULL, 0) != 0)
        return false;
    cache_of_thread = cache + 1;
    pthread_setspecific(cache_key, (void *)(uintptr_t)(cache + 1));
    return true;
}

static inline int flags_for(size_t bytes)
{
    int flags = (int)MALLOCX_ARENA(arena);

    if (bytes > CACHED_BYTES || (!cache_of_thread && !make_cache()))
        return flags | MALLOCX_TCACHE_NONE;
    return flags | MALLOCX_TCACHE(cache_of_thread - 1);
}

static void *sql_malloc(int bytes)
{
    return mallocx((size_t)bytes, flags_for((size_t)bytes));
}

static void sql_free(void *memory)
{
    dallocx(memory, flags_for(sallocx(memory, 0)));
}

static void *sql_realloc(void *memory, int bytes)
{
    return rallocx(memory, (size_t)bytes, flags_for((size_t)bytes));
}

static int as_int(size_t bytes)
{
    return bytes > INT_MAX ? INT_MAX & ~7 : (int)bytes;
}

static int sql_size(void *memory)
{
    return memory ? as_int(sallocx(memory, 0)) : 0;
}

static int sql_roundup(int bytes)
{
    return as_int(nallocx((size_t)bytes, 0));
}

static int sql_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sql_shutdown(void *arg)
{
    (void)arg;
}

static const sqlite3_mem_methods sqlite_methods = {
    .xMalloc = sql_malloc,
    .xFree = sql_free,
    .xRealloc = sql_realloc,
    .xSize = sql_size,
    .xRoundup = sql_roundup,
    .xInit = sql_init,
    .xShutdown = sql_shutdown,
};

/* ---- the engine ---------------------------------------------------------- */

/* No cache of a thread: these are few and large, and any thread frees them. */
static int decode_flags(void)
{
    return (int)MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE | MALLOCX_LG_ALIGN(12);
}

static void *decode_allocate(void *arg, size_t bytes)
{
    (void)arg;
    return mallocx(bytes, decode_flags());
}

static void decode_release(void *arg, void *memory, size_t bytes)
{
    (void)arg;
    sdallocx(memory, bytes, decode_flags());
}

/* ---- start --------------------------------------------------------------- */

/* Twice the machine's memory: freed addresses are used again, but not always all of them. */
static int reserve_addresses(void)
{
    size_t pages = (size_t)sysconf(_SC_PHYS_PAGES);
    char *room;

    nr_slots = pages / (SLOT_BYTES / (size_t)sysconf(_SC_PAGESIZE)) * 2;
    slots = calloc(nr_slots, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    /* One slot more, to be cut at a multiple of a slot. */
    room = mmap(NULL, (nr_slots + 1) << SLOT_SHIFT, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        free(slots);
        return -ENOMEM;
    }
    base = room + (-(uintptr_t)room & (SLOT_BYTES - 1));
    return 0;
}

static void forget_addresses(void)
{
    size_t first = slots[0].backing == LOST;

    if (slots[0].backing == HUGE)
        note(0, 1, NOTHING);
    munmap(base + (first << SLOT_SHIFT), (nr_slots - first) << SLOT_SHIFT);
    free(slots);
    nr_slots = 0;
}

/* The first page shows whether there can be any; it stays for the first allocation. */
static int put_first_page(void)
{
    if (allowance(1) == 0)
        return -ENOMEM;
    if (!put_huge(0, 1))
        return slots[0].backing == LOST ? -ENOSYS : -ENOMEM;
    return 0;
}

static int write_option(const char *name, void *value, size_t size)
{
    char key[64];

    snprintf(key, sizeof key, "arena.%u.%s", arena, name);
    return mallctl(key, NULL, NULL, value, size);
}

static int make_arena(void)
{
    extent_hooks_t *const ours = &hooks;
    size_t size = sizeof arena;
    ssize_t decay_ms = DECAY_MS;

    if (mallctl("arenas.create", &arena, &size, (void *)&ours, sizeof ours) != 0)
        return -ENOMEM;
    write_option("dirty_decay_ms", &decay_ms, sizeof decay_ms);
    return 0;
}

static int set_users(unsigned what)
{
    const struct hugelite_memory decode_memory = { .size = sizeof decode_memory,
                                                   .allocate = decode_allocate,
                                                   .release = decode_release };
    sqlite3_mem_methods before;
    int rc = 0;

    if (what & HL_HEAP_SQLITE) {
        if (pthread_key_create(&cache_key, drop_cache) != 0)
            return -ENOMEM;
        if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &before) != SQLITE_OK ||
            sqlite3_config(SQLITE_CONFIG_MALLOC, &sqlite_methods) != SQLITE_OK)
            return -EBUSY;
    }
    if (what & HL_HEAP_DECODE)
        rc = hugelite_set_memory(&decode_memory);
    if (rc < 0 && (what & HL_HEAP_SQLITE))
        sqlite3_config(SQLITE_CONFIG_MALLOC, &before);
    return rc;
}

int hl_heap_start(unsigned what)
{
    int rc;

    if (started)
        return -EBUSY;
    rc = reserve_addresses();
    if (rc < 0)
        return rc;
    rc = put_first_page();
    if (rc == 0)
        rc = make_arena();
    if (rc == 0) {
        rc = set_users(what);
        if (rc < 0)
            write_option("destroy", NULL, 0);
    }
    if (rc < 0)
        forget_addresses();
    started = rc == 0;
    return rc;
}

int hl_heap_publish(const char *dir)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    struct hugelite_pool *pool, *before;
    bool on = true;
    int rc;

    if (!started)
        return 0;
    rc = hugelite_pool_open(dir, &opts, &pool);
    /* So that a program which has become idle gives its pages back too.  Not earlier: with a
     * second thread about, a new member's membarrier() takes 10 ms to register. */
    mallctl("background_thread", NULL, NULL, &on, sizeof on);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&lock);
    before = published;
    published = pool;
    hugelite_pool_set_heap(pool, (uint64_t)nr_huge << SLOT_SHIFT);
    pthread_mutex_unlock(&lock);
    hugelite_pool_close(before);
    return 0;
}

static uint64_t bytes_of(const size_t *nr)
{
    uint64_t bytes;

    pthread_mutex_lock(&lock);
    bytes = (uint64_t)*nr << SLOT_SHIFT;
    pthread_mutex_unlock(&lock);
    return bytes;
}

uint64_t hl_heap_huge_bytes(void)
{
    return bytes_of(&nr_huge);
}

uint64_t hl_heap_small_bytes(void)
{
    return bytes_of(&nr_small);
}

#else /* a sanitizer has a malloc of its own, which jemalloc's would replace */

int hl_heap_start(unsigned what)
{
    (void)what;
    return -ENOSYS;
}

int hl_heap_publish(const char *dir)
{
    (void)dir;
    return 0;
}

uint64_t hl_heap_huge_bytes(void)
{
    return 0;
}

uint64_t hl_heap_small_bytes(void)
{
    return 0;
}

#endif
