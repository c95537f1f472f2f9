/* SPDX-License-Identifier: MIT
 *
 * fuzz-seekable: the seek table's parser.  The input is the end of a file.
 *
 * Passes when the parser stays inside its input, and when a table that it accepts lies inside the
 * file and can be written again as it was.
 */
#include "config.h"

#include "fuzz.h"
#include "seekable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As written by us: with checksums and nothing else in the descriptor. */
static void write_again(const struct hl_seekable *table, const uint8_t *entries, const uint8_t *end)
{
    struct hl_seekable_entry *list = malloc((table->nr_frames + 1) * sizeof *list);
    uint64_t bytes = hl_seekable_table_bytes(table->nr_frames);
    unsigned char *again = malloc(bytes);

    FUZZ_EXPECT(list && again);
    for (uint32_t i = 0; i < table->nr_frames; i++)
        list[i] = hl_seekable_entry(table, entries + (size_t)i * table->entry_bytes);
    hl_seekable_write(list, table->nr_frames, again);
    FUZZ_EXPECT(memcmp(again, end - bytes, bytes - 5) == 0);
    free(list);
    free(again);
}

const char fuzz_name[] = "seekable";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_seekable table;
    const char *wrong = NULL;
    int rc;

    if (size < HL_SEEKABLE_FOOTER_BYTES)
        return 0;
    rc = hl_seekable_parse_footer(data + size - HL_SEEKABLE_FOOTER_BYTES, size, &table, &wrong);
    FUZZ_EXPECT(rc == 0 || rc == -EMEDIUMTYPE || (rc == -EBADMSG && wrong));
    if (rc < 0)
        return 0;
    FUZZ_EXPECT(table.frames_bytes <= size && table.entries_at == table.frames_bytes + 8);
    FUZZ_EXPECT(table.entries_at + (uint64_t)table.nr_frames * table.entry_bytes +
                    HL_SEEKABLE_FOOTER_BYTES == size);
    rc = hl_seekable_check_header(&table, data + table.frames_bytes, &wrong);
    FUZZ_EXPECT(rc == 0 || (rc == -EBADMSG && wrong));
    if (rc == 0 && table.has_checksums)
        write_again(&table, data + table.entries_at, data + size);
    return 0;
}
