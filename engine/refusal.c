/* SPDX-License-Identifier: MIT
 *
 * refusal.c - what to do with a compressed file that cannot be read at an offset: a command that
 * can be pasted into a shell, which overwrites nothing that is likely to be there.
 *
 * Entry point: hl_refuse().  See also: codec.c, codec-zstd.c.
 */
#include "config.h"

#include "refusal.h"

#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 400 }; /* of a quoted name: three of them fit into a message */

static bool needs_quotes(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_@%+=:,./-";

    return name[strspn(name, plain)] != '\0';
}

/* length bytes of name and the suffix, as a shell reads them.  False when there is no room. */
static bool quote(const char *name, size_t length, const char *suffix, char *quoted)
{
    char whole[ROOM], *p = quoted;

    if (length + strlen(suffix) >= sizeof whole)
        return false;
    snprintf(whole, sizeof whole, "%.*s%s", (int)length, name, suffix);
    if (!needs_quotes(whole)) {
        strcpy(quoted, whole);
        return true;
    }

    *p++ = '\'';
    for (const char *c = whole; *c; c++) {
        if (p - quoted > ROOM - 8)
            return false;
        if (*c == '\'')
            p = stpcpy(p, "'\\''");
        else
            *p++ = *c;
    }
    strcpy(p, "'");
    return true;
}

/* What a remote source is called when it has been fetched. */
static const char *last_part(const char *name)
{
    size_t length = strcspn(name, "?");

    while (length && name[length - 1] != '/')
        length--;
    return name + length;
}

int hl_refuse(const struct hl_source *source, const struct hl_refusal *refusal)
{
    const char *name = source->remote ? last_part(source->name) : source->name;
    size_t length = source->remote ? strcspn(name, "?") : strlen(name);
    size_t suffix = strlen(refusal->suffix), base = length;
    char from[ROOM], plain[ROOM], packed[ROOM];

    if (length > suffix && strncmp(name + length - suffix, refusal->suffix, suffix) == 0)
        base -= suffix;
    if (!quote(name, length, "", from) || !quote(name, base, ".plain", plain) ||
        !quote(name, base, refusal->packed, packed)) {
        strcpy(from, "FILE");
        strcpy(plain, "DB");
        strcpy(packed, "DB.zst");
    }
    return hl_error(EMEDIUMTYPE, "%s: %s; %smake it seekable: %s %s %s%s && hugelite pack %s %s",
                    source->name, refusal->why, source->remote ? "fetch it and " : "",
                    refusal->unpack, from, refusal->redirect, plain, plain, packed);
}
