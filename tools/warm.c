/* SPDX-License-Identifier: MIT
 *
 * hugelite warm: load a database into the cache before anybody asks for it, or a table or index of
 * it, or what its readers needed first the last time; with progress on a terminal.  Ctrl-C
 * stops it; what is loaded stays loaded.
 *
 * Entry point: cmd_warm().
 * See also: warm-chunks.c, warm-tree.c, warm-list.c, evict.c, stat.c, progress.c.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "warm.h"

static const char help[] =
    "usage: hugelite warm SOURCE [--table NAME | --list] [--rate SIZE] [--bytes SIZE]\n"
    "                     [--pool DIR]\n"
    "\n"
    "Load a database into the cache, so that its first readers find it there.\n"
    "\n"
    "  --table NAME    only what a table or an index is in, in chunks of 2 MiB\n"
    "  --list          only what its readers needed first the last time, in that order\n"
    "  --rate SIZE     read at most so many bytes of the source in a second, as in 20M\n"
    "  --bytes SIZE    load at most so many bytes of the database, as in 1G\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

/* What was asked for. */
struct order {
    const char *source, *pool, *table;
    bool list;
    uint64_t rate, most;       /* 0, UINT64_MAX: no limit */
};

static const char *rate(char text[HL_UNITS_ROOM], uint64_t bytes, double seconds)
{
    return hl_units_short(text, seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0);
}

static int warm_all(struct hl_warming *warming)
{
    uint32_t nr = (uint32_t)((warming->total + HUGELITE_CHUNK_BYTES - 1) / HUGELITE_CHUNK_BYTES);
    uint32_t *indexes = malloc(nr * sizeof *indexes);
    int rc;

    if (!indexes)
        return -ENOMEM;
    for (uint32_t i = 0; i < nr; i++)
        indexes[i] = i;
    rc = hl_warm_chunks(warming, indexes, nr, NULL, NULL);
    free(indexes);
    return rc;
}

static int warm_list(struct hl_warming *warming, const uint32_t *indexes, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++)
        warming->total += hl_warm_chunk_bytes(warming, indexes[i]);
    return hl_warm_chunks(warming, indexes, nr, NULL, NULL);
}

/* ---- telling -------------------------------------------------------------- */

static void tell_work(const struct hl_warming *warming, const struct hugelite_volume_stat *before,
                      const struct hugelite_volume_stat *now, double seconds)
{
    char size[HL_UNITS_ROOM], read_text[HL_UNITS_ROOM], rate_text[HL_UNITS_ROOM];
    char tier_text[HL_UNITS_ROOM];
    uint64_t read = now->source_bytes - before->source_bytes;
    uint64_t tier = now->tier_bytes - before->tier_bytes;
    uint64_t requests = now->requests - before->requests;
    uint64_t filled = (now->fills - before->fills) * HUGELITE_CHUNK_BYTES;
    bool compressed = strcmp(hugelite_volume_encoding(warming->vol), "raw") != 0;

    hl_units_bytes(size, warming->done);
    if (filled == 0) {
        printf("%s were in the cache already\n", size);
        return;
    }
    if (compressed)
        printf("%s, filled from %s compressed", size, hl_units_bytes(read_text, read));
    else
        printf("%s, of which %s were read", size, hl_units_bytes(read_text, read));
    if (requests)
        printf(", by %" PRIu64 " %s", requests, requests == 1 ? "request" : "requests");
    if (tier)
        printf(", and %s of the disk tier", hl_units_bytes(tier_text, tier));
    printf(" in %.2f s, %s/s\n", seconds,
           rate(rate_text, compressed || tier ? filled : read, seconds));
}

static int tell(struct hl_warming *warming, const struct order *order, struct hugelite_pool *pool,
                const struct hugelite_volume_stat *before, int rc)
{
    double seconds = hl_units_now() - warming->progress.began;
    struct hugelite_volume_stat now;
    struct hugelite_pool_stat in_pool;
    char resident[HL_UNITS_ROOM], budget[HL_UNITS_ROOM];

    if (rc == -ECANCELED)
        return hl_tool_error("warm", "'%s': interrupted: %" PRIu64 " of %" PRIu64
                             " bytes (%u %%) were done", warming->name, warming->done,
                             warming->total, warming->total ?
                             (unsigned)((double)warming->done * 100 / (double)warming->total) :
                             100);
    if (rc < 0)
        return hl_tool_error("warm", "%s", rc == -ENOMEM ? strerror(ENOMEM) : hugelite_error());

    rc = hugelite_volume_stat(warming->vol, &now);
    if (rc < 0)
        return hl_tool_error("warm", "%s", hugelite_error());
    printf("%s: ", warming->name);
    if (order->table)
        printf("%s, %" PRIu64 " pages: ", order->table, warming->pages);
    tell_work(warming, before, &now, seconds);
    /* Say it when the pool is too small: the reader will wonder otherwise. */
    if (now.resident_bytes < warming->done && hugelite_pool_stat(pool, &in_pool) == 0)
        printf("%s of it are in the cache now: the pool's budget is %s\n",
               hl_units_bytes(resident, now.resident_bytes),
               hl_units_bytes(budget, in_pool.budget_bytes));
    return 0;
}

/* ---- the command ---------------------------------------------------------- */

static int warm_volume(struct hl_warming *warming, const struct order *order, uint32_t root,
                       struct hugelite_pool *pool)
{
    struct hugelite_volume_stat before = { .source_bytes = 0 };
    uint32_t *indexes = NULL, nr = 0;
    int rc;

    if (order->list && hl_warm_find_list(warming, &indexes, &nr) != 0)
        return 1;
    hugelite_volume_stat(warming->vol, &before);
    warming->source_bytes = before.source_bytes;
    hl_progress_begin(&warming->progress, warming->name);
    if (order->table) {
        rc = hl_warm_tree(warming, root);
    } else if (order->list) {
        rc = warm_list(warming, indexes, nr);
    } else {
        warming->total = warming->bytes;
        if (order->most < warming->bytes)        /* in whole chunks */
            warming->total = ((order->most - 1) | (HUGELITE_CHUNK_BYTES - 1)) + 1;
        if (warming->total > warming->bytes)
            warming->total = warming->bytes;
        rc = warm_all(warming);
    }
    hl_progress_end(&warming->progress);
    free(indexes);
    return tell(warming, order, pool, &before, rc);
}

static int warm(const struct order *order)
{
    struct hl_warming warming = { .name = hl_tool_name(order->source), .rate = order->rate,
                                  .most = order->most };
    struct hugelite_pool *pool = NULL;
    uint32_t root = 0;
    int rc, code = 1;

    if (order->table && hl_warm_find_root(order->source, order->pool, order->table, &root) != 0)
        return 1;
    rc = hugelite_pool_open(order->pool, NULL, &pool);
    if (rc == 0)
        rc = hugelite_volume_open(pool, order->source, &warming.vol);
    if (rc == 0) {
        warming.bytes = hugelite_volume_bytes(warming.vol);
        warming.came = calloc((size_t)(warming.bytes / HUGELITE_CHUNK_BYTES) + 1, 1);
        if (!warming.came)
            hl_tool_error("warm", "%s", strerror(ENOMEM));
        else
            code = warm_volume(&warming, order, root, pool);
        hl_tool_notice("warm");
    } else {
        hl_tool_error("warm", "%s", hugelite_error());
    }
    free(warming.came);
    hugelite_volume_close(warming.vol);
    hugelite_pool_close(pool);
    return code;
}

/* Returns 0, or the exit code 2 (said why). */
static int parse_size(const char *option, const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes;

    if (hugelite_parse_size(text, &bytes) < 0)
        return hl_tool_usage("warm", "%s '%s': not a size as in 20M", option, text);
    if (bytes == 0)
        return hl_tool_usage("warm", "%s '%s': must be more than 0", option, text);
    *ret_bytes = bytes;
    return 0;
}

int cmd_warm(int argc, char **argv)
{
    static const struct option options[] = {
        { "table", required_argument, NULL, 't' },
        { "list", no_argument, NULL, 'l' },
        { "rate", required_argument, NULL, 'r' },
        { "bytes", required_argument, NULL, 'b' },
        { "pool", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct order order = { .most = UINT64_MAX };
    int c, code = 0;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1 && code == 0) {
        switch (c) {
        case 't': order.table = optarg; break;
        case 'l': order.list = true; break;
        case 'r': code = parse_size("--rate", optarg, &order.rate); break;
        case 'b': code = parse_size("--bytes", optarg, &order.most); break;
        case 'p': order.pool = optarg; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("warm", argv, c);
        }
    }
    if (code)
        return code;
    if (order.table && order.list)
        return hl_tool_usage("warm", "--table and --list exclude each other");
    if (optind == argc)
        return hl_tool_usage("warm", "which database? name a SOURCE");
    if (optind + 1 < argc)
        return hl_tool_usage("warm", "unexpected argument '%s'", hl_tool_name(argv[optind + 1]));
    order.source = argv[optind];

    hl_tool_catch_stop();
    return warm(&order);
}
