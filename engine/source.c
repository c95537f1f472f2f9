/* SPDX-License-Identifier: MIT
 *
 * source.c - chooses the kind of a source by its name.
 *
 * Entry points: hl_source_open(), hl_source_close(), hl_source_name_key().
 * See also: source-file.c, source-http.c, source-s3.c.
 */
#include "config.h"

#include "source.h"

#include "error.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

/* The file is last: its prefix is that of all names. */
static const struct hl_source_ops *const kinds[] = { &hl_source_http, &hl_source_https,
                                                     &hl_source_s3, &hl_source_file };

static const struct hl_source_ops *find_kind(const char *name)
{
    const struct hl_source_ops *const *kind = kinds;

    while (strncasecmp(name, (*kind)->prefix, strlen((*kind)->prefix)))
        kind++;
    return *kind;
}

/* scheme "://", as in RFC 3986; a path with such a prefix is written ./s3://x. */
static bool has_scheme(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

    return n > 1 && (name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z' &&
           strncmp(name + n, "://", 3) == 0;
}

int hl_source_open(const char *name, struct hl_source **ret_source)
{
    const struct hl_source_ops *kind = find_kind(name);

    if (kind == &hl_source_file && has_scheme(name))
        return hl_error(EPROTONOSUPPORT, "%.*s: there are files, http://, https:// and s3:// only",
                        (int)strcspn(name, ":"), name);
    return kind->open(name, ret_source);
}

void hl_source_name_key(const char *name, uint64_t ret_key[2])
{
    find_kind(name)->name_key(name, ret_key);
}

/* What is no port may be the beginning of a password with a slash in it. */
static bool has_odd_port(const char *host)
{
    const char *end = host + strcspn(host, "/?#"), *colon = host;

    if (*host == '[')
        colon = memchr(host, ']', (size_t)(end - host));
    colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
    return colon && colon + 1 + strspn(colon + 1, "0123456789") < end;
}

void hl_source_name_show(const char *name, char *buffer, size_t room)
{
    size_t scheme = has_scheme(name) ? strcspn(name, ":") + 3 : 0;
    size_t authority = scheme + strcspn(name + scheme, "/?#");
    const char *host = name + scheme;

    if (!scheme) {
        snprintf(buffer, room, "%s", name);
        return;
    }
    for (size_t i = scheme; i < authority; i++)
        if (name[i] == '@')
            host = name + i + 1;
    if (has_odd_port(host)) {
        snprintf(buffer, room, "%.*s...", (int)scheme, name);
        return;
    }
    snprintf(buffer, room, "%.*s%.*s%s", (int)scheme, name, (int)strcspn(host, "?#"), host,
             host[strcspn(host, "?#")] == '?' ? "?..." : "");
}

void hl_source_close(struct hl_source *source)
{
    if (source)
        source->ops->close(source);
}

void hl_source_hash(const void *bytes, size_t length, uint64_t ret_key[2])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, length);

    ret_key[0] = hash.low64;
    ret_key[1] = hash.high64;
}
