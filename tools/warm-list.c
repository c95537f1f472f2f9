/* SPDX-License-Identifier: MIT
 *
 * The recorded list: the chunks that the readers of a remote database needed first the last time,
 * in their order, out of the catalog.
 *
 * Entry point: hl_warm_find_list().
 * See also: warm-chunks.c, ../engine/wanted.h.
 */
#include <config.h>

#include <stdlib.h>

#include "source.h"
#include "state.h"
#include "volume.h"
#include "wanted.h"
#include "warm.h"

int hl_warm_find_list(const struct hl_warming *warming, uint32_t **ret_indexes, uint32_t *ret_nr)
{
    const struct hl_volume *volume = warming->vol->volume;
    uint32_t *indexes = NULL, nr, most = 0;
    struct hl_state *state;
    char notice[512] = "";
    uint64_t bytes = 0;

    if (!volume->source->remote)
        return hl_tool_error("warm", "'%s': is a file of this machine; lists are recorded for "
                             "remote databases only", warming->name);
    state = hl_state_get();
    hl_state_notice(state, notice, sizeof notice);
    nr = hl_wanted_load(state, volume->source->name_key, volume->nr_chunks, volume->nr_chunks,
                        &indexes);
    hl_state_put(state);
    if (nr == 0) {
        free(indexes);
        return hl_tool_error("warm", "'%s': no list has been recorded%s%s", warming->name,
                             *notice ? ": " : " yet; its readers leave one when they close it",
                             notice);
    }
    while (most < nr && bytes < warming->most)
        bytes += hl_warm_chunk_bytes(warming, indexes[most++]);
    *ret_indexes = indexes;
    *ret_nr = most;
    return 0;
}
