/* SPDX-License-Identifier: MIT
 *
 * cleanup.h - release helpers: a variable that frees itself, and the taking of
 * what must outlive its variable.
 */
#ifndef HL_CLEANUP_H
#define HL_CLEANUP_H

#include <stdlib.h>

#define HL_CLEANUP(fn) __attribute__((cleanup(fn)))
#define HL_TAKE(p) ({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })

#define HL_LIKELY(x) __builtin_expect(!!(x), 1)
#define HL_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline void hl_freep(void *p)
{
    free(*(void **)p);
}

#endif
