/* SPDX-License-Identifier: MIT
 *
 * hugelite stat: what is in a pool, as a table for people or JSON for programs.  The
 * JSON keys are a promise; they are listed in hugelite-stat(1).
 *
 * Entry point: cmd_stat().
 * See also: evict.c, warm.c, json.c, table.c.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"
#include "tools.h"

static const char help[] =
    "usage: hugelite stat [--json] [--pool DIR]\n"
    "\n"
    "Show what is in the cache: the pool, and each database in it.\n"
    "\n"
    "  --json          the same for programs, one line of JSON\n"
    "  --pool DIR      the pool to look at, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

static void print_json(const struct hugelite_pool_stat *pool,
                       const struct hugelite_volume_stat *volumes, size_t nr)
{
    struct hl_json json;

    hl_json_begin(&json, stdout);
    hl_json_open(&json, NULL, '{');
    hl_json_number(&json, "version", 1);
    hl_json_open(&json, "pool", '{');
    hl_json_string(&json, "dir", pool->dir);
    hl_json_string(&json, "pages", pool->pages);
    hl_json_number(&json, "page_bytes", pool->page_bytes);
    hl_json_number(&json, "budget_bytes", pool->budget_bytes);
    hl_json_number(&json, "resident_bytes", pool->resident_bytes);
    hl_json_number(&json, "readers", pool->readers);
    hl_json_number(&json, "heap_bytes", pool->heap_bytes);
    hl_json_string(&json, "state_dir", pool->state_dir);
    hl_json_number(&json, "tier_bytes", pool->tier_bytes);
    hl_json_number(&json, "tier_size", pool->tier_size);
    hl_json_string(&json, "notice", pool->notice);
    hl_json_close(&json, '}');
    hl_json_open(&json, "volumes", '[');
    for (size_t i = 0; i < nr; i++) {
        const struct hugelite_volume_stat *v = &volumes[i];

        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "source", v->source);
        hl_json_number(&json, "bytes", v->bytes);
        hl_json_number(&json, "resident_bytes", v->resident_bytes);
        hl_json_number(&json, "fills", v->fills);
        hl_json_number(&json, "source_bytes", v->source_bytes);
        hl_json_number(&json, "evictions", v->evictions);
        hl_json_number(&json, "waits", v->waits);
        hl_json_number(&json, "errors", v->errors);
        hl_json_number(&json, "frames_decoded", v->frames_decoded);
        hl_json_number(&json, "early_reads", v->early_reads);
        hl_json_number(&json, "requests", v->requests);
        hl_json_number(&json, "tier_bytes", v->tier_bytes);
        hl_json_number(&json, "unvalidated", v->unvalidated);
        hl_json_number(&json, "share_bytes", v->share_bytes);
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');
    hl_json_close(&json, '}');
}

static void add_number(struct hl_table *table, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, number);
    hl_table_cell(table, text);
}

static int print_table(const struct hugelite_pool_stat *pool,
                       const struct hugelite_volume_stat *volumes, size_t nr)
{
    static const char *const titles[] = { "source", "bytes", "resident_bytes", "fills",
                                          "source_bytes", "evictions", "waits", "errors",
                                          "frames_decoded", "early_reads", "requests",
                                          "tier_bytes" };
    const unsigned nr_titles = sizeof titles / sizeof titles[0];
    char a[HL_UNITS_ROOM], b[HL_UNITS_ROOM], c[HL_UNITS_ROOM];
    struct hl_table *table;

    table = hl_table_new(2, "ll");
    if (!table)
        return -ENOMEM;
    hl_table_cell(table, "pool");
    hl_table_cell(table, pool->dir);
    hl_table_cell(table, "pages");
    snprintf(c, sizeof c, "%.8s, %.12s each%s", pool->pages, hl_units_short(a, pool->page_bytes),
             strcmp(pool->pages, "hugetlb") == 0 ? "" : " (small)");
    hl_table_cell(table, c);
    hl_table_cell(table, "budget_bytes");
    hl_table_cell(table, hl_units_cell(a, pool->budget_bytes));
    hl_table_cell(table, "resident_bytes");
    hl_table_cell(table, hl_units_cell(b, pool->resident_bytes));
    hl_table_cell(table, "readers");
    add_number(table, pool->readers);
    hl_table_cell(table, "heap_bytes");
    hl_table_cell(table, hl_units_cell(c, pool->heap_bytes));
    if (*pool->state_dir) {
        hl_table_cell(table, "state_dir");
        hl_table_cell(table, pool->state_dir);
        hl_table_cell(table, "tier_bytes");
        hl_table_cell(table, hl_units_cell(a, pool->tier_bytes));
        hl_table_cell(table, "tier_size");
        hl_table_cell(table, hl_units_cell(b, pool->tier_size));
    }
    hl_table_print(table, stdout);
    hl_table_free(table);

    if (nr == 0) {
        puts("no database has been read yet");
        return 0;
    }
    table = hl_table_new(nr_titles, "lrrrrrrrrrrr");
    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < nr_titles; i++)
        hl_table_cell(table, titles[i]);
    for (size_t i = 0; i < nr; i++) {
        const struct hugelite_volume_stat *v = &volumes[i];
        char name[sizeof v->source + 32];

        snprintf(name, sizeof name, "%s%s%s", v->source, v->superseded ? " (superseded)" : "",
                 v->unvalidated ? " (unvalidated)" : "");
        hl_table_cell(table, name);
        hl_table_cell(table, hl_units_cell(a, v->bytes));
        hl_table_cell(table, hl_units_cell(b, v->resident_bytes));
        add_number(table, v->fills);
        hl_table_cell(table, hl_units_cell(c, v->source_bytes));
        add_number(table, v->evictions);
        add_number(table, v->waits);
        add_number(table, v->errors);
        add_number(table, v->frames_decoded);
        add_number(table, v->early_reads);
        add_number(table, v->requests);
        hl_table_cell(table, hl_units_cell(a, v->tier_bytes));
    }
    putchar('\n');
    hl_table_print(table, stdout);
    hl_table_free(table);
    return 0;
}

int cmd_stat(int argc, char **argv)
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' },
        { "pool", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct hugelite_volume_stat *volumes = NULL;
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    const char *dir = NULL;
    struct hl_state *state;
    bool json = false;
    size_t nr = 0;
    int c, rc;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'j': json = true; break;
        case 'p': dir = optarg; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("stat", argv, c);
        }
    }
    if (optind < argc)
        return hl_tool_usage("stat", "unexpected argument '%s'", hl_tool_name(argv[optind]));

    if (hl_tool_existing_pool("stat", dir, &pool) != 0)
        return 1;
    state = hl_tool_state();     /* the pool tells of one that this process has open */
    rc = hugelite_pool_stat(pool, &stat);
    if (rc == 0)
        rc = hl_tool_volumes(pool, &volumes, &nr);
    if (rc == 0 && json)
        print_json(&stat, volumes, nr);
    else if (rc == 0)
        rc = print_table(&stat, volumes, nr);
    if (rc < 0)
        hl_tool_error("stat", "%s", rc == -ENOMEM ? strerror(ENOMEM) : hugelite_error());
    else if (*stat.notice)
        hl_tool_error("stat", "note: %s", stat.notice);
    free(volumes);
    if (state)
        hl_state_put(state);
    hugelite_pool_close(pool);
    return rc < 0 ? 1 : 0;
}
