/* SPDX-License-Identifier: MIT
 *
 * hugelite ls: the remote databases that this machine knows, out of the catalog, and what of them
 * it keeps.  Nobody is asked, and no state directory is made.
 *
 * Entry point: cmd_ls().
 * See also: rm.c, ../engine/catalog.h, ../engine/tier.h.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "state.h"
#include "tier.h"
#include "tools.h"

static const char help[] =
    "usage: hugelite ls [--json]\n"
    "\n"
    "List the remote databases that this machine knows, and what it keeps of them.\n"
    "\n"
    "  --json          the same for programs, one line of JSON\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

struct entry {
    struct hl_known known;
    uint64_t name_key[2];
    uint64_t tier_bytes;
    uint32_t warm_chunks;      /* on its list; 0 = there is none */
};

struct listing {
    struct entry *entries;
    size_t nr, room;
    bool no_memory;
};

static int collect(void *arg, const uint64_t name_key[2], const struct hl_known *known)
{
    struct listing *listing = arg;

    if (listing->nr == listing->room) {
        size_t room = listing->room ? listing->room * 2 : 16;
        struct entry *entries = realloc(listing->entries, room * sizeof *entries);

        if (!entries) {
            listing->no_memory = true;
            return 1;
        }
        listing->entries = entries;
        listing->room = room;
    }
    listing->entries[listing->nr++] = (struct entry){
        .known = *known,
        .name_key = { name_key[0], name_key[1] },
    };
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->known.name, ((const struct entry *)b)->known.name);
}

/* After the catalog has been gone through: these look into it, too. */
static void complete(struct hl_state *state, struct entry *entry)
{
    uint32_t length = 0;
    void *bytes = NULL;

    entry->tier_bytes = hl_tool_tier_bytes(state, &entry->known);
    if (hl_catalog_read(state->catalog, entry->name_key, HL_BLOB_WARM, 0, &bytes, &length) == 0)
        entry->warm_chunks = length / 4;
    free(bytes);
}

static const char *validator_name(enum hl_validator_kind kind)
{
    switch (kind) {
    case HL_VALIDATOR_ETAG:
        return "etag";
    case HL_VALIDATOR_VERSION:
        return "version";
    case HL_VALIDATOR_LAST_MODIFIED:
        return "last-modified";
    case HL_VALIDATOR_NONE:
        break;
    }
    return "none";
}

/* "2026-11-23T18:00:01Z", or NULL for never. */
static const char *time_text(char text[32], uint64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm utc;

    if (!ns || !gmtime_r(&seconds, &utc) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc))
        return NULL;
    return text;
}

static void print_json(const struct listing *listing, const char *dir, uint64_t tier_bytes,
                       uint64_t tier_size)
{
    struct hl_json json;
    char text[32];

    hl_json_begin(&json, stdout);
    hl_json_open(&json, NULL, '{');
    hl_json_number(&json, "version", 1);
    hl_json_string(&json, "state_dir", dir);
    hl_json_number(&json, "tier_bytes", tier_bytes);
    hl_json_number(&json, "tier_size", tier_size);
    hl_json_open(&json, "sources", '[');
    for (size_t i = 0; i < listing->nr; i++) {
        const struct entry *e = &listing->entries[i];

        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "source", e->known.name);
        hl_json_number(&json, "bytes", e->known.bytes);
        hl_json_number(&json, "encoded_bytes", e->known.src_bytes);
        hl_json_string(&json, "validator", validator_name(e->known.kind));
        hl_json_string(&json, "validated", time_text(text, e->known.validated_ns));
        hl_json_string(&json, "opened", time_text(text, e->known.opened_ns));
        hl_json_number(&json, "tier_bytes", e->tier_bytes);
        hl_json_number(&json, "warm_chunks", e->warm_chunks);
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');
    hl_json_close(&json, '}');
}

static int print_table(const struct listing *listing)
{
    static const char *const titles[] = { "source", "bytes", "encoded_bytes", "validator",
                                          "validated", "tier_bytes", "warm_chunks" };
    const unsigned nr_titles = sizeof titles / sizeof titles[0];
    struct hl_table *table;
    char text[HL_UNITS_ROOM];

    if (listing->nr == 0) {
        puts("no remote database has been read yet");
        return 0;
    }
    table = hl_table_new(nr_titles, "lrrllrr");
    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < nr_titles; i++)
        hl_table_cell(table, titles[i]);
    for (size_t i = 0; i < listing->nr; i++) {
        const struct entry *e = &listing->entries[i];

        hl_table_cell(table, e->known.name);
        hl_table_cell(table, e->known.bytes ? hl_units_cell(text, e->known.bytes) : "-");
        hl_table_cell(table, hl_units_cell(text, e->known.src_bytes));
        hl_table_cell(table, validator_name(e->known.kind));
        hl_table_cell(table, e->known.validated_ns ? time_text(text, e->known.validated_ns) : "-");
        hl_table_cell(table, hl_units_cell(text, e->tier_bytes));
        snprintf(text, sizeof text, "%u", e->warm_chunks);
        hl_table_cell(table, text);
    }
    hl_table_print(table, stdout);
    hl_table_free(table);
    return 0;
}

/* state: NULL = there is none yet, so nothing is known. */
static int list(struct hl_state *state, bool json)
{
    struct listing listing = { .entries = NULL };
    uint64_t tier_bytes = 0, tier_size = 0;
    int rc = 0;

    if (state) {
        rc = hl_catalog_each(state->catalog, collect, &listing);
        if (listing.no_memory)
            rc = -ENOMEM;
        hl_tier_stat(state, &tier_bytes, &tier_size);
    }
    for (size_t i = 0; i < listing.nr; i++)
        complete(state, &listing.entries[i]);
    if (listing.nr)
        qsort(listing.entries, listing.nr, sizeof *listing.entries, compare_names);
    if (rc >= 0 && json)
        print_json(&listing, state ? hl_state_dir(state) : "", tier_bytes, tier_size);
    else if (rc >= 0)
        rc = print_table(&listing);
    free(listing.entries);
    return rc < 0 ? hl_tool_error("ls", "cannot read the catalog: %s", strerror(-rc)) : 0;
}

int cmd_ls(int argc, char **argv)
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    char notice[512] = "";
    struct hl_state *state;
    bool json = false;
    int c, code;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'j': json = true; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("ls", argv, c);
        }
    }
    if (optind < argc)
        return hl_tool_usage("ls", "unexpected argument '%s'", hl_tool_name(argv[optind]));

    state = hl_tool_state();
    if (state)
        hl_state_notice(state, notice, sizeof notice);
    if (state && !state->catalog) {
        code = hl_tool_error("ls", "there is no catalog: %s", notice);
    } else {
        code = list(state, json);
        if (*notice)
            hl_tool_error("ls", "note: %s", notice);
    }
    if (state)
        hl_state_put(state);
    return code;
}
