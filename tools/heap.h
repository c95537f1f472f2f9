/* SPDX-License-Identifier: MIT
 *
 * heap.h - a heap on huge pages for this program: a jemalloc arena that holds SQLite's memory
 * (sorters, joins, GROUP BY) and the engine's fill buffers and decode contexts.
 *
 *      hl_heap_start(HL_HEAP_SQLITE | HL_HEAP_DECODE);     before SQLite and the first pool
 *      ... sqlite3_open_v2() ...
 *      hl_heap_publish(pool_dir);                          now `hugelite stat` counts it
 *
 * The rule for fork(): a process starts its heap only when it will not fork afterwards, or when
 * the child does nothing but exec.  The child does not get the heap's huge pages (MADV_DONTFORK),
 * so what it would do with SQLite or the engine ends in SIGSEGV: private huge pages that were
 * copied on write instead would end in a SIGBUS at a time of the kernel's choosing, when none is
 * free.  So `hugelite bench` starts it in its workers, after the fork, and never in the parent.
 */
#ifndef HL_HEAP_H
#define HL_HEAP_H

#include <stdint.h>

enum {
    HL_HEAP_SQLITE = 1, /* all of SQLite's memory: sqlite3_config(SQLITE_CONFIG_MALLOC) */
    HL_HEAP_DECODE = 2, /* fill buffers and decode contexts: hugelite_set_memory() */
};

/* Start the heap, once in a process, for what is named.  Either all of it is done, or
 * nothing has changed and the program goes on with its usual memory:
 *
 *   -ENOMEM    no huge page can be had, or not without taking the pools' last ones
 *   -EBUSY     too late: SQLite is initialized, a pool is open, or it was started before
 *   -ENOSYS    this build has no heap (sanitizers), or this kernel cannot serve it (before 5.16) */
int hl_heap_start(unsigned what);

/* Have its bytes counted in a pool's heap_bytes, now and whenever they change, until the
 * process ends; and have what is free given back while the process is idle, too.  After the first
 * database was opened.  dir as in hugelite_pool_open(); only a pool that is there is used.  Does
 * nothing without a heap.  Returns 0 or -errno; hugelite_error() says why. */
int hl_heap_publish(const char *dir);

/* What it takes at the moment: huge pages; and small pages, where no huge one could be had. */
uint64_t hl_heap_huge_bytes(void);
uint64_t hl_heap_small_bytes(void);

#endif
