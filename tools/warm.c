/* SPDX-License-Identifier: MIT
 *
 * hugelite warm: load a whole database into the cache before anybody asks for it, with
 * progress on a terminal.  Ctrl-C stops it; what is loaded stays loaded.
 *
 * Entry point: cmd_warm().
 * See also: evict.c, stat.c, progress.c.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "tools.h"

static const char help[] =
    "usage: hugelite warm SOURCE [--pool DIR]\n"
    "\n"
    "Load a database into the cache, so that its first readers find it there.\n"
    "\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

struct warming {
    struct hl_progress progress;
    uint64_t done;
};

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct warming *warming = arg;

    warming->done = done;
    hl_progress_show(&warming->progress, done, total);
    return hl_tool_stopped;
}

static const char *rate(char text[HL_UNITS_ROOM], uint64_t bytes, double seconds)
{
    return hl_units_short(text, seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0);
}

int cmd_warm(int argc, char **argv)
{
    static const struct option options[] = {
        { "pool", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    char size_text[HL_UNITS_ROOM], rate_text[HL_UNITS_ROOM], budget_text[HL_UNITS_ROOM];
    char read_text[HL_UNITS_ROOM];
    struct hugelite_volume *vol = NULL;
    struct hugelite_pool *pool = NULL;
    struct hugelite_volume_stat stat;
    struct hugelite_pool_stat pool_stat;
    struct warming warming = { .done = 0 };
    const char *dir = NULL, *source;
    uint64_t bytes, fills = 0, before = 0, read = 0;
    double seconds;
    int c, rc;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'p': dir = optarg; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("warm", argv, c);
        }
    }
    if (optind == argc)
        return hl_tool_usage("warm", "which database? name a SOURCE");
    if (optind + 1 < argc)
        return hl_tool_usage("warm", "unexpected argument '%s'", argv[optind + 1]);
    source = argv[optind];

    hl_tool_catch_stop();
    rc = hugelite_pool_open(dir, NULL, &pool);
    if (rc == 0)
        rc = hugelite_volume_open(pool, source, &vol);
    if (rc < 0) {
        hl_tool_error("warm", "%s", hugelite_error());
        hugelite_pool_close(pool);
        return 1;
    }
    bytes = hugelite_volume_bytes(vol);
    if (hugelite_volume_stat(vol, &stat) == 0) {
        before = stat.source_bytes;
        fills = stat.fills;
    }
    hl_progress_begin(&warming.progress, source);
    rc = hugelite_volume_warm(vol, 0, 0, on_progress, &warming);
    seconds = hl_units_now() - warming.progress.began;
    hl_progress_end(&warming.progress);

    if (rc == -ECANCELED) {
        hl_tool_error("warm", "'%s': interrupted: %" PRIu64 " of %" PRIu64
                      " bytes (%u %%) were done", source, warming.done, bytes,
                      bytes ? (unsigned)((double)warming.done * 100 / (double)bytes) : 100);
    } else if (rc < 0) {
        hl_tool_error("warm", "%s", hugelite_error());
    } else {
        rc = hugelite_volume_stat(vol, &stat);
        read = rc == 0 ? stat.source_bytes - before : bytes;
        if (read == 0)
            printf("%s: %s were in the cache already\n", source, hl_units_bytes(size_text, bytes));
        else if (strcmp(hugelite_volume_encoding(vol), "raw") == 0)
            printf("%s: %s, of which %s were read in %.2f s, %s/s\n", source,
                   hl_units_bytes(size_text, bytes), hl_units_bytes(read_text, read), seconds,
                   rate(rate_text, read, seconds));
        else
            printf("%s: %s, filled from %s compressed in %.2f s, %s/s\n", source,
                   hl_units_bytes(size_text, bytes), hl_units_bytes(read_text, read), seconds,
                   rate(rate_text, (stat.fills - fills) * HUGELITE_CHUNK_BYTES, seconds));
        /* Say it when the pool is too small: the reader will wonder otherwise. */
        if (rc == 0 && hugelite_pool_stat(pool, &pool_stat) == 0 && stat.resident_bytes < bytes)
            printf("%s of it are in the cache now: the pool's budget is %s\n",
                   hl_units_bytes(size_text, stat.resident_bytes),
                   hl_units_bytes(budget_text, pool_stat.budget_bytes));
    }
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    return rc < 0 ? 1 : 0;
}
