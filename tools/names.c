/* SPDX-License-Identifier: MIT
 *
 * Names of databases as commands get them: as SQLite wants them, and as they may be shown.  The
 * name of a remote one may hold credentials, so it is never repeated as it was given.
 *
 * Entry points: hl_tool_is_remote(), hl_tool_name(), hl_tool_uri(), hl_tool_which().
 * See also: ../vfs/uri.c (reads them), ../engine/source.h.
 */
#include <config.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"
#include "tools.h"
/* The VFS is linked in, not loaded. */
#define SQLITE_CORE 1
#include "vfs.h"

bool hl_tool_is_remote(const char *source)
{
    return hl_uri_is_remote(source);
}

const char *hl_tool_name(const char *source)
{
    static char shown[4][1024];
    static unsigned turn;
    char *text = shown[turn++ % 4];

    if (!hl_tool_is_remote(source))
        return source;
    hl_source_name_show(source, text, sizeof shown[0]);
    return text;
}

static void append(char **out, const char *text, bool encode)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~:,+@/";

    for (; *text; text++) {
        if (!encode || strchr(plain, *text))
            *(*out)++ = *text;
        else
            *out += sprintf(*out, "%%%02X", (unsigned char)*text);
    }
    **out = '\0';
}

char *hl_tool_uri(const char *source, const char *pool, bool immutable)
{
    char *uri = malloc(strlen(source) * 3 + (pool ? strlen(pool) * 3 : 0) + 64), *end = uri;

    if (!uri)
        return NULL;
    append(&end, "file:", false);
    /* An authority that is empty, lest one is seen in a path that begins with "//". */
    if (source[0] == '/')
        append(&end, "//", false);
    else if (source[0] == ':')       /* ":memory:" is no file to SQLite, "./:memory:" is */
        append(&end, "./", false);
    append(&end, source, true);
    append(&end, "?vfs=hugelite", false);
    if (immutable)
        append(&end, "&immutable=1", false);
    if (pool) {
        append(&end, "&pool=", false);
        append(&end, pool, true);
    }
    return uri;
}

int hl_tool_which(const char *command, const char *help, int argc, char **argv,
                  const char **ret_dir, bool *ret_all)
{
    static const struct option options[] = {
        { "all", no_argument, NULL, 'a' },
        { "pool", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    *ret_dir = NULL;
    *ret_all = false;
    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'a': *ret_all = true; break;
        case 'p': *ret_dir = optarg; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option(command, argv, c);
        }
    }
    if (!*ret_all && optind == argc)
        return hl_tool_usage(command, "which database? name a SOURCE, or say --all");
    if (*ret_all && optind < argc)
        return hl_tool_usage(command, "--all and '%s' exclude each other",
                             hl_tool_name(argv[optind]));
    return -1;
}
