/* SPDX-License-Identifier: MIT
 *
 * memory.h - where fill buffers and decode contexts come from.
 */
#ifndef HL_MEMORY_H
#define HL_MEMORY_H

#include <stddef.h>

/* Touched memory, aligned to 4096 bytes; NULL when there is none.  Any thread; by default takes
 * no lock of malloc, so the fault thread may call it. */
void *hl_memory_get(size_t bytes);
void hl_memory_put(void *memory, size_t bytes);

/* From now on hugelite_set_memory() comes too late.  Attaching to a pool calls it. */
void hl_memory_settle(void);

#endif
