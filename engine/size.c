/* SPDX-License-Identifier: MIT
 *
 * size.c - sizes as people write them.
 *
 * Entry point: hugelite_parse_size().
 */
#include "config.h"

#include "error.h"
#include "hugelite.h"

#include <ctype.h>
#include <string.h>

int hugelite_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    const char *p = text;
    uint64_t value = 0;
    unsigned shift = 0;

    if (!isdigit((unsigned char)*p))
        return hl_error(EINVAL, "'%s' is not a size; write one as in 320M or 4G", text);
    for (; isdigit((unsigned char)*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (value > (INT64_MAX - digit) / 10)
            return hl_error(ERANGE, "'%s' is too large a size", text);
        value = value * 10 + digit;
    }
    if (*p) {
        const char *unit = strchr(units, toupper((unsigned char)*p));

        if (!unit || p[1])
            return hl_error(EINVAL, "'%s' is not a size; write one as in 320M or 4G", text);
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (value > (uint64_t)INT64_MAX >> shift)
        return hl_error(ERANGE, "'%s' is too large a size", text);

    *ret_bytes = value << shift;
    return 0;
}
