/* SPDX-License-Identifier: MIT
 *
 * buffer.h - the private, pre-touched memory that a fill decodes into.
 */
#ifndef HL_BUFFER_H
#define HL_BUFFER_H

/* HL_CHUNK_BYTES of touched memory; NULL when there is none.  Any thread; takes
 * no lock of malloc, so the fault thread may call it. */
void *hl_buffer_get(void);
void hl_buffer_put(void *buffer);

/* Give idle buffers back to the system; returns how many are still kept.  The fault
 * thread calls it now and then. */
unsigned hl_buffer_trim(void);

void hl_buffer_fork_prepare(void);
void hl_buffer_fork_done(void);

#endif
