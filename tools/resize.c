/* SPDX-License-Identifier: MIT
 *
 * hugelite resize: another budget for a pool, or a share of it for one database, while they are in use.
 *
 * Entry point: cmd_resize().
 * See also: evict.c, stat.c, setup.c (huge pages).
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools.h"

static const char help[] =
    "usage: hugelite resize SIZE [--pool DIR]\n"
    "       hugelite resize SIZE SOURCE [--pool DIR]\n"
    "\n"
    "Give the pool another budget, or one database at most a part of it.\n"
    "\n"
    "  SIZE            as in 320M, 4G; of a database also 0: as much as it can get\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

static int resize_pool(struct hugelite_pool *pool, uint64_t bytes)
{
    char text[HL_UNITS_ROOM];
    struct hugelite_pool_stat stat;
    uint64_t held = 0;

    if (hugelite_pool_resize(pool, bytes, &held) < 0 || hugelite_pool_stat(pool, &stat) < 0)
        return hl_tool_error("resize", "%s", hugelite_error());
    printf("the budget is %s\n", hl_units_bytes(text, stat.budget_bytes));
    if (held)
        printf("%s more leave when readers let go of them\n", hl_units_bytes(text, held));
    return 0;
}

static int resize_share(struct hugelite_pool *pool, const char *source, uint64_t bytes)
{
    char text[HL_UNITS_ROOM];
    int rc = hugelite_pool_set_share(pool, source, bytes);

    if (rc == -ENOENT)
        return hl_tool_error("resize", "'%s': not in the cache", hl_tool_name(source));
    if (rc < 0)
        return hl_tool_error("resize", "%s", hugelite_error());
    if (bytes)
        printf("at most %s of the budget\n", hl_units_bytes(text, bytes));
    else
        printf("as much of the budget as it can get\n");
    return 0;
}

int cmd_resize(int argc, char **argv)
{
    static const struct option options[] = {
        { "pool", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct hugelite_pool *pool;
    const char *dir = NULL;
    uint64_t bytes;
    int c, status;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'p': dir = optarg; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("resize", argv, c);
        }
    }
    if (optind == argc)
        return hl_tool_usage("resize", "to which SIZE?");
    if (optind + 2 < argc)
        return hl_tool_usage("resize", "unexpected argument '%s'", hl_tool_name(argv[optind + 2]));
    if (hugelite_parse_size(argv[optind], &bytes) < 0)
        return hl_tool_usage("resize", "'%s': not a size (as in 320M, 4G)", argv[optind]);

    if (hl_tool_existing_pool("resize", dir, &pool) != 0)
        return 1;
    status = optind + 1 < argc ? resize_share(pool, argv[optind + 1], bytes)
                               : resize_pool(pool, bytes);
    hugelite_pool_close(pool);
    return status;
}
