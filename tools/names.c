/* SPDX-License-Identifier: MIT
 *
 * Names of databases as commands get them: as SQLite wants them, and as they may be shown.  The
 * name of a remote one may hold credentials, so it is never repeated as it was given.
 *
 * Entry points: hl_tool_is_remote(), hl_tool_name(), hl_tool_uri().
 * See also: ../vfs/uri.c (reads them), ../engine/source.h.
 */
#include <config.h>

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
