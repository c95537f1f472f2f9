/* SPDX-License-Identifier: MIT
 *
 * micro.h - what the micro-benchmarks share: places to work in that are gone
 * afterwards, and the context that travels with a result.
 */
#ifndef HL_MICRO_H
#define HL_MICRO_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "gbench.h"
#include "hugelite.h"

#define MICRO_CHUNKS 64u           /* of a scratch file */

struct micro {
    char huge_dir[PATH_MAX];       /* on hugetlbfs, or on /dev/shm where there is no room */
    char disk_dir[PATH_MAX];       /* on disk: TMPDIR or /var/tmp */
    char pool_dir[PATH_MAX];       /* does not exist yet */
    bool hugetlb;
};

extern struct micro micro;

/* Make the directories, call run(argc, argv) in a child, remove the directories
 * whatever became of it.  Returns the exit code. */
int micro_main(int argc, char **argv, int (*run)(int argc, char **argv));

/* Open micro.pool_dir with room for that many chunks; NULL: said why on stderr. */
struct hugelite_pool *micro_pool(uint64_t chunks);

/* kernel, CPU, huge pages, pool */
void micro_context(void);

/* Sorts values, returns the middle one. */
double micro_median(double *values, unsigned nr);

static inline uint64_t micro_xorshift(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

#endif
