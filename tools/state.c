/* SPDX-License-Identifier: MIT
 *
 * The state directory as commands use it: looked at without making it, and what it has to say.
 *
 * Entry points: hl_tool_state(), hl_tool_state_dir(), hl_tool_tier_bytes(), hl_tool_notice().
 * See also: ls.c, rm.c, stat.c, doctor.c, ../engine/state.h.
 */
#include <config.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"
#include "state.h"
#include "tier.h"
#include "tools.h"

bool hl_tool_state_dir(char *dir, size_t room)
{
    const char *named = getenv("HUGELITE_STATE"), *base = getenv("XDG_STATE_HOME");
    int length = -1;

    if (named && *named)
        length = strcmp(named, "none") == 0 ? -1 : snprintf(dir, room, "%s", named);
    else if (geteuid() == 0)
        length = snprintf(dir, room, "/var/lib/hugelite");
    else if (base && *base == '/')
        length = snprintf(dir, room, "%s/hugelite", base);
    else if ((base = getenv("HOME")) && *base == '/')
        length = snprintf(dir, room, "%s/.local/state/hugelite", base);
    return length >= 0 && (size_t)length < room;
}

struct hl_state *hl_tool_state(void)
{
    char dir[PATH_MAX];

    if (!hl_tool_state_dir(dir, sizeof dir) || access(dir, F_OK) < 0)
        return NULL;
    return hl_state_get();
}

uint64_t hl_tool_tier_bytes(struct hl_state *state, const struct hl_known *known)
{
    struct hl_extent extents[64];
    uint64_t at = 0, bytes = 0;
    unsigned nr;

    while (at < known->src_bytes &&
           (nr = hl_tier_find(state, known->key, at, known->src_bytes - at, extents, 64)) > 0) {
        for (unsigned i = 0; i < nr; i++)
            bytes += extents[i].length;
        at = extents[nr - 1].src_offset + extents[nr - 1].length;
    }
    return bytes;
}

void hl_tool_notice(const char *command)
{
    struct hl_state *state = hl_state_peek();
    char notice[512] = "";

    if (!state)
        return;
    hl_state_notice(state, notice, sizeof notice);
    hl_state_put(state);
    if (*notice)
        hl_tool_error(command, "note: %s", notice);
}
