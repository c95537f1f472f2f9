/* SPDX-License-Identifier: MIT
 *
 * fault.h - the thread that serves page faults of one process on one pool.
 */
#ifndef HL_FAULT_H
#define HL_FAULT_H

struct hugelite_pool;

/* Open the userfaultfd and start the thread, or, where the kernel refuses that, let the pool go on
 * without its cache; stop it and close.  All images must
 * be unmapped before the stop: closing a userfaultfd under a waiting reader
 * gives it a page of zeros, and everybody else too. */
int hl_fault_start(struct hugelite_pool *pool);
void hl_fault_stop(struct hugelite_pool *pool);

#endif
