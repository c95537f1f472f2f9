/* SPDX-License-Identifier: MIT
 *
 * fuzz-json: the reader of what credential endpoints answer.
 *
 * Passes when the reader stays inside its input and the rooms of the members, and either says what
 * is wrong or gives strings that end where they should.
 */
#include "config.h"

#include "fuzz.h"
#include "json.h"

#include <errno.h>
#include <string.h>

const char fuzz_name[] = "json";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_json_member members[] = {
        { .key = "AccessKeyId", .room = 24 },
        { .key = "Token", .room = 7 },
        { .key = "Code", .room = 1 },
    };
    const char *wrong = NULL;
    int rc;

    for (unsigned i = 0; i < 3; i++) {
        members[i].value = malloc(members[i].room);
        FUZZ_EXPECT(members[i].value);
    }
    rc = hl_json_read((const char *)data, size, members, 3, &wrong);
    FUZZ_EXPECT(rc == 0 || (rc == -EBADMSG && wrong));
    for (unsigned i = 0; i < 3; i++) {
        FUZZ_EXPECT(rc < 0 || !members[i].found ||
                    strnlen(members[i].value, members[i].room) < members[i].room);
        free(members[i].value);
    }
    return 0;
}
