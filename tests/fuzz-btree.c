/* SPDX-License-Identifier: MIT
 *
 * fuzz-btree: the parser of B-tree pages and schema records.  The input is a database.
 *
 * Passes when the parser stays inside each page, names only pages that exist, and says the same
 * of a page when there is room for less.
 */
#include "config.h"

#include "btree.h"
#include "fuzz.h"

#include <errno.h>
#include <string.h>

enum { PAGES = 64, ROOM = 65536 };

const char fuzz_name[] = "btree";

typedef unsigned parser(const struct hl_btree_format *format, const unsigned char *page,
                        uint32_t number, uint32_t *ret_numbers, unsigned room);

static unsigned expect_numbers(parser *parse, const struct hl_btree_format *format,
                               const unsigned char *page, uint32_t number)
{
    static uint32_t all[ROOM], some[ROOM];
    unsigned nr = parse(format, page, number, all, ROOM);

    FUZZ_EXPECT(nr < ROOM);
    for (unsigned i = 0; i < nr; i++)
        FUZZ_EXPECT(all[i] > 1 && all[i] <= format->nr_pages);
    some[nr / 2] = 0;
    FUZZ_EXPECT(parse(format, page, number, some, nr / 2) == nr / 2);
    FUZZ_EXPECT(memcmp(all, some, nr / 2 * sizeof *all) == 0 && some[nr / 2] == 0);
    return nr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_btree_format format;
    int rc;

    if (size < 100)
        return 0;
    rc = hl_btree_format(data, size, &format);
    FUZZ_EXPECT(rc == 0 || rc == -EBADMSG);
    if (rc < 0)
        return 0;
    FUZZ_EXPECT((uint64_t)format.nr_pages * format.page_bytes <= size && format.nr_pages);
    FUZZ_EXPECT(format.usable_bytes <= format.page_bytes);
    for (uint32_t number = 1; number <= format.nr_pages && number <= PAGES; number++) {
        unsigned char *page = malloc(format.page_bytes); /* of its own, so that its end is seen */
        enum hl_btree_kind kind;
        unsigned children, roots;

        FUZZ_EXPECT(page);
        memcpy(page, data + (size_t)(number - 1) * format.page_bytes, format.page_bytes);
        kind = hl_btree_kind(&format, page, number);
        children = expect_numbers(hl_btree_children, &format, page, number);
        roots = expect_numbers(hl_btree_roots, &format, page, number);
        FUZZ_EXPECT(!children || kind == HL_BTREE_INTERIOR);
        FUZZ_EXPECT(!roots || kind == HL_BTREE_LEAF);
        free(page);
    }
    return 0;
}
