/* SPDX-License-Identifier: MIT
 *
 * hugelite rm: forget remote databases: what the catalog knows, what the disk tier has, and what of
 * them is in the pool and not in use.  The databases themselves are not touched.
 *
 * Entry point: cmd_rm().
 * See also: ls.c, evict.c, ../engine/catalog.h.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"
#include "pool.h"
#include "source.h"
#include "state.h"
#include "tools.h"

static const char help[] =
    "usage: hugelite rm SOURCE... [--pool DIR]\n"
    "       hugelite rm --all [--pool DIR]\n"
    "\n"
    "Forget remote databases: what the catalog, the disk tier and the cache have of them.\n"
    "\n"
    "  --all           all that 'hugelite ls' lists\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

struct key {
    uint64_t words[2];
};

/* What may have something of a source; NULL = there is none. */
struct places {
    struct hl_state *state;
    struct hugelite_pool *pool;
};

/* Names out of the catalog, since nothing can be forgotten while it is gone through. */
struct search {
    const char *name;          /* NULL = all */
    struct key *found;
    size_t nr, room;
    bool no_memory;
};

static int collect(void *arg, const uint64_t name_key[2], const struct hl_known *known)
{
    struct search *search = arg;

    if (search->name && strcmp(search->name, known->name) != 0)
        return 0;
    if (search->nr == search->room) {
        size_t room = search->room ? search->room * 2 : 16;
        struct key *found = realloc(search->found, room * sizeof *found);

        if (!found) {
            search->no_memory = true;
            return 1;
        }
        search->found = found;
        search->room = room;
    }
    search->found[search->nr++] = (struct key){ { name_key[0], name_key[1] } };
    return 0;
}

static uint64_t evict(struct hugelite_pool *pool, const uint64_t name_key[2])
{
    uint64_t bytes = 0;

    return pool && hl_pool_evict_key(pool, name_key, &bytes) == 0 ? bytes : 0;
}

/* Remote databases in the pool that the catalog does not know: it may be another, or none. */
static uint64_t evict_remote(struct hugelite_pool *pool)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; pool && i < HL_SLOTS; i++) {
        const struct hl_slot *slot = &pool->slots[i];

        if (atomic_load_explicit(&slot->state, memory_order_acquire) == HL_SLOT_LIVE &&
            hl_tool_is_remote(slot->source))
            bytes += evict(pool, slot->name_key);
    }
    return bytes;
}

/* 0; -ENOENT: nobody knows it; or why the catalog could not be written. */
static int forget(const struct places *places, const uint64_t name_key[2], const char *name)
{
    char tier_text[HL_UNITS_ROOM], pool_text[HL_UNITS_ROOM];
    struct hl_known known = { .name = "" };
    uint64_t tier_bytes = 0, evicted;
    int rc = -ENOENT;

    if (places->state) {
        if (hl_catalog_find(places->state->catalog, name_key, &known) == 0)
            tier_bytes = hl_tool_tier_bytes(places->state, &known);
        rc = hl_catalog_forget(places->state, name_key);
    }
    evicted = evict(places->pool, name_key);
    if (rc == -ENOENT && evicted)
        rc = 0;
    if (rc == 0)
        printf("forgot %s: %s of the disk tier, %s of the cache\n", *known.name ? known.name : name,
               hl_units_bytes(tier_text, tier_bytes), hl_units_bytes(pool_text, evicted));
    return rc;
}

/* By its own name, or by the one that 'hugelite ls' shows. */
static int forget_source(const struct places *places, const char *source)
{
    const char *name = hl_tool_name(source);
    struct search search = { .name = source };
    uint64_t name_key[2];
    int rc;

    if (!hl_tool_is_remote(source))
        return hl_tool_error("rm", "'%s': is a file of this machine, of which nothing is kept but "
                             "in the cache; hugelite evict makes it leave that", source);
    hl_source_name_key(source, name_key);
    rc = forget(places, name_key, name);
    if (rc == -ENOENT && places->state) {
        hl_catalog_each(places->state->catalog, collect, &search);
        for (size_t i = 0; i < search.nr && (rc == 0 || rc == -ENOENT); i++)
            rc = forget(places, search.found[i].words, name);
        free(search.found);
    }
    if (rc == -ENOENT)
        return hl_tool_error("rm", "'%s': not known", name);
    if (rc < 0)
        return hl_tool_error("rm", "'%s': cannot be forgotten: %s", name, strerror(-rc));
    return 0;
}

static int forget_all(const struct places *places)
{
    struct search search = { .name = NULL };
    char text[HL_UNITS_ROOM];
    uint64_t evicted;
    int rc = 0;

    if (places->state)
        rc = hl_catalog_each(places->state->catalog, collect, &search);
    if (search.no_memory)
        rc = -ENOMEM;
    for (size_t i = 0; i < search.nr && rc >= 0; i++)
        rc = forget(places, search.found[i].words, "");
    evicted = evict_remote(places->pool);
    if (evicted)
        printf("and %s of others of the cache\n", hl_units_bytes(text, evicted));
    else if (search.nr == 0 && rc >= 0)
        puts("no remote database is known");
    free(search.found);
    return rc < 0 ? hl_tool_error("rm", "cannot be forgotten: %s", strerror(-rc)) : 0;
}

int cmd_rm(int argc, char **argv)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    struct places places = { NULL, NULL };
    const char *dir;
    char notice[512] = "";
    bool all;
    int code, rc;

    code = hl_tool_which("rm", help, argc, argv, &dir, &all);
    if (code >= 0)
        return code;

    rc = hugelite_pool_open(dir, &opts, &places.pool);
    if (rc < 0) {
        places.pool = NULL;
        if (rc != -ENOENT)       /* without a pool there is nothing to evict */
            return hl_tool_error("rm", "%s", hugelite_error());
    }
    places.state = hl_tool_state();
    if (places.state)
        hl_state_notice(places.state, notice, sizeof notice);
    if (*notice)
        hl_tool_error("rm", "note: %s", notice);
    if (places.state && !places.state->catalog) {
        hl_state_put(places.state);
        places.state = NULL;
    }
    code = all ? forget_all(&places) : 0;
    for (; optind < argc; optind++)
        code |= forget_source(&places, argv[optind]);
    if (places.state)
        hl_state_put(places.state);
    hugelite_pool_close(places.pool);
    return code;
}
