/* SPDX-License-Identifier: MIT
 *
 * hugelite evict: make one database, or all of them, leave the cache.  What a reader
 * holds at that moment stays; it is filled again when it is asked for again.
 *
 * Entry point: cmd_evict().
 * See also: warm.c, stat.c.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools.h"

static const char help[] =
    "usage: hugelite evict SOURCE [--pool DIR]\n"
    "       hugelite evict --all [--pool DIR]\n"
    "\n"
    "Make a database leave the cache, and give its huge pages back to the pool.\n"
    "\n"
    "  --all           every database of the pool\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

int cmd_evict(int argc, char **argv)
{
    char text[HL_UNITS_ROOM], left[HL_UNITS_ROOM];
    const char *dir, *source;
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    uint64_t bytes = 0;
    bool all;
    int code, rc;

    code = hl_tool_which("evict", help, argc, argv, &dir, &all);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return hl_tool_usage("evict", "unexpected argument '%s'", hl_tool_name(argv[optind + 1]));
    source = all ? NULL : argv[optind];

    if (hl_tool_existing_pool("evict", dir, &pool) != 0)
        return 1;
    rc = hugelite_pool_evict(pool, source, &bytes);
    if (rc == -ENOENT)
        hl_tool_error("evict", "'%s': not in the cache", hl_tool_name(source));
    else if (rc < 0)
        hl_tool_error("evict", "%s", hugelite_error());
    else
        printf("evicted %s\n", hl_units_bytes(text, bytes));
    /* Not an error, but whoever wanted the memory back wants to know. */
    if (rc == 0 && all && hugelite_pool_stat(pool, &stat) == 0 && stat.resident_bytes)
        printf("%s stay: readers hold or use them now\n",
               hl_units_bytes(left, stat.resident_bytes));
    hugelite_pool_close(pool);
    return rc < 0 ? 1 : 0;
}
