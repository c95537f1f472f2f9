/* SPDX-License-Identifier: MIT
 *
 * error.h - one sentence for each failure, and an assertion that stays in
 * release builds.  Bytes from outside being wrong is an error; our own
 * state being wrong is an assertion.
 */
#ifndef HL_ERROR_H
#define HL_ERROR_H

#include <errno.h>

/* Record why, for hugelite_error(), and return -err.  err is positive. */
int hl_error(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Never returns: writes to stderr, as the process is about to be aborted. */
void hl_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));

#define HL_ASSERT(x) ((x) ? (void)0 : hl_assert_failed(#x, __FILE__, __LINE__))

#endif
