/* SPDX-License-Identifier: MIT
 *
 * bench-zipf.c - ranks by Zipf's law with theta 0.99: a few are asked for often, the many seldom.
 * After Gray et al., "Quickly generating billion-record synthetic databases".
 *
 * Entry points: bench_zipf_of, bench_zipf_rank.
 * See also: bench-trace.c, bench-load.c (who asks).
 */
#include <config.h>
#include <math.h>

#include "bench.h"

#define THETA 0.99

struct bench_zipf bench_zipf_of(uint64_t nr)
{
    struct bench_zipf z = { .nr = nr, .alpha = 1 / (1 - THETA) };

    for (uint64_t i = 1; i <= nr; i++)
        z.zeta += pow((double)i, -THETA);
    z.eta = (1 - pow(2.0 / (double)nr, 1 - THETA)) / (1 - (1 + pow(2, -THETA)) / z.zeta);
    return z;
}

uint64_t bench_zipf_rank(const struct bench_zipf *z, uint64_t *state)
{
    double u = (double)(bench_xorshift(state) >> 11) * 0x1p-53;
    uint64_t rank;

    if (u * z->zeta < 1)
        return 0;
    if (u * z->zeta < 1 + pow(2, -THETA))
        return 1 % z->nr;
    rank = (uint64_t)((double)z->nr * pow(z->eta * u - z->eta + 1, z->alpha));
    return rank < z->nr ? rank : z->nr - 1;
}
