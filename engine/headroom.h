/* SPDX-License-Identifier: MIT
 *
 * headroom.h - how much more memory this process may use before its cgroup is full.
 */
#ifndef HL_HEADROOM_H
#define HL_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that the memory cgroup of this process, and those above it, have left, what the kernel
 * can take back (cached files) counted as left.  UINT64_MAX: nothing limits them, or nothing is
 * known. */
uint64_t hl_headroom_bytes(void);

/* The same, as this directory says (/proc/self). */
uint64_t hl_headroom_of(const char *proc);

/* May so many bytes of small pages become resident?  Some are left then, still.  What other threads have
 * been promised, and not given back, counts.  True is a promise: give it back when they are. */
bool hl_headroom_take(uint64_t bytes);
void hl_headroom_give(uint64_t bytes);

/* In a child of fork(): who had a promise is not there. */
void hl_headroom_fork_child(void);

/* Find out where to look: when a pool is opened, since the other calls may not allocate. */
void hl_headroom_settle(void);

#endif
