/* SPDX-License-Identifier: MIT
 *
 * test-size-parse: sizes as people write them.
 *
 * Passes when digits with nothing or one of K M G T are taken, at the edges of 63
 * bits too, and anything else is refused with the right code, leaving the result
 * alone and saying what a size looks like.
 */
#include "config.h"

#include "test.h"

#include <errno.h>

static void good(const char *text, uint64_t bytes)
{
    uint64_t got = 1;

    EXPECT_RC(hugelite_parse_size(text, &got), 0);
    EXPECT_EQ(got, bytes);
}

static void bad(const char *text, int rc, const char *why)
{
    uint64_t got = 4711;

    EXPECT_RC(hugelite_parse_size(text, &got), rc);
    EXPECT_EQ(got, 4711);
    EXPECT_CONTAINS(hugelite_error(), why);
}

int main(void)
{
    static const char *const wrong[] = {
        "", " 1", "1 ", "-1", "+1", "M", "1MB", "1MM", "1.5G", "0x10", "1P", "12 K", "K1", "1\n",
    };

    good("0", 0);
    good("1", 1);
    good("007", 7);
    good("320M", 320ull << 20);
    good("4G", 4ull << 30);
    good("4g", 4ull << 30);
    good("3k", 3 << 10);
    good("2T", 2ull << 40);
    good("9223372036854775807", INT64_MAX);
    good("8388607T", 8388607ull << 40);

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad(wrong[i], -EINVAL, "320M");
    bad("9223372036854775808", -ERANGE, "too large");
    bad("8388608T", -ERANGE, "too large");
    bad("18446744073709551617", -ERANGE, "too large");
    bad("99999999999999999999999999G", -ERANGE, "too large");
    return 0;
}
