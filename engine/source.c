/* SPDX-License-Identifier: MIT
 *
 * source.c - chooses the kind of a source by its name.
 *
 * Entry points: hl_source_open(), hl_source_close(), hl_source_name_key().
 * See also: source-file.c.
 */
#include "config.h"

#include "source.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct hl_source_ops *const kinds[] = { &hl_source_file };

int hl_source_open(const char *name, struct hl_source **ret_source)
{
    static const char *const remote[] = { "http://", "https://", "s3://" };

    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if (strncmp(name, remote[i], strlen(remote[i])) == 0)
            return hl_error(EPROTONOSUPPORT, "%s: this version reads local files only", name);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(name, kinds[i]->prefix, strlen(kinds[i]->prefix)) == 0)
            return kinds[i]->open(name, ret_source);
    return hl_error(EPROTONOSUPPORT, "%s: no such kind of source", name);
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

void hl_source_name_key(const char *name, uint64_t ret_key[2])
{
    char *real = realpath(name, NULL);
    const char *canonical = real ? real : name;

    hl_source_hash(canonical, strlen(canonical), ret_key);
    free(real);
}
