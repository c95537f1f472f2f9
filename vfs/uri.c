/* SPDX-License-Identifier: MIT
 *
 * uri.c - what a database name asks for: its URI parameters, and whether it
 * names a file or an object elsewhere.
 *
 * A name that is a URL itself comes here as it is: behind "file:" SQLite neither folds "//" nor
 * takes the host for an authority, as there is no "//" right behind the colon.  What belongs to the
 * URL is escaped in a URI (% as %25, ? as %3f, # as %23); the bare string needs no escapes, and has
 * no parameters.
 *
 *   pool=DIR      the pool to use; else $HUGELITE_POOL, else the default pool
 *   immutable=1   the file never changes: no lock, no check, no system call
 *
 * versionId is an error, too: of an S3 name, whose '?' must be written %3f here, or the version
 * that it asks for would silently not be that which is read.
 * Names that begin with "hugelite_" are kept for later and are errors now, so that
 * a misspelt or newer parameter is not silently ignored.  All others are
 * SQLite's or the VFS's below, and pass.
 *
 * Entry points: hl_uri_parse(), hl_uri_is_remote().  See also: file.c.
 */
#include "config.h"

#include "vfs.h"

#include <errno.h>
#include <string.h>

/* scheme "://", as in RFC 3986; a path with such a prefix is written ./s3://x. */
bool hl_uri_is_remote(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

    return n > 1 && (name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z' &&
           strncmp(name + n, "://", 3) == 0;
}

int hl_uri_parse(const char *name, struct hl_uri *ret_uri, const char **ret_bad)
{
    struct hl_uri uri = { .remote = hl_uri_is_remote(name) };
    const char *key;

    for (int i = 0; (key = sqlite3_uri_key(name, i)); i++) {
        const char *value = sqlite3_uri_parameter(name, key);

        if (strcmp(key, "pool") == 0) {
            if (!value || !*value) {
                *ret_bad = key;
                return -EINVAL;
            }
            uri.pool = value;
        } else if (strncmp(key, "hugelite_", 9) == 0 ||
                   (uri.remote && strcmp(key, "versionId") == 0)) {
            *ret_bad = key;
            return -EINVAL;
        }
    }
    uri.immutable = uri.remote || sqlite3_uri_boolean(name, "immutable", 0);
    *ret_uri = uri;
    return 0;
}
