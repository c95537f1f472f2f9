/* SPDX-License-Identifier: MIT
 *
 * source-s3.c - an object in an S3 store as a source: a remote one (remote.h) with a target that
 * signs itself (s3.h).  Its versions are told apart by ETag, as those of any web server are; a
 * name with a version id asks for that one version, whatever has been written since.
 *
 * Entry point: hl_source_s3 (ops).  See also: source-http.c.
 */
#include "config.h"

#include "error.h"
#include "hugelite.h"
#include "remote.h"
#include "s3.h"

#include <stdio.h>

/* The target is the first thing in a struct hl_s3. */
static void close_target(struct hl_target *target)
{
    hl_s3_close((struct hl_s3 *)target);
}

static int refresh(struct hl_target *target)
{
    hl_s3_refresh((struct hl_s3 *)target);
    return 0;
}

/* Who has no keys should learn that they were missed, and where they were looked for. */
static int explain(const struct hl_s3 *s3, int rc)
{
    char why[1024];

    if (rc != -EACCES || !*hl_s3_unsigned(s3))
        return rc;
    snprintf(why, sizeof why, "%s", hugelite_error());
    return hl_error(EACCES, "%s; asked without a signature: %s", why, hl_s3_unsigned(s3));
}

static int s3_open(const char *name, struct hl_source **ret_source)
{
    struct hl_remote_kind kind = {
        .ops = &hl_source_s3,
        .close_target = close_target,
        .refresh = refresh,
    };
    struct hl_s3 *s3;
    int rc = hl_s3_open(name, &s3);

    if (rc < 0)
        return rc;
    kind.name = s3->name;
    kind.name_key[0] = s3->name_key[0];
    kind.name_key[1] = s3->name_key[1];
    kind.target = &s3->target;
    rc = hl_remote_open(&kind, ret_source);
    if (rc < 0) {
        rc = explain(s3, rc);
        hl_s3_close(s3);
    }
    return rc;
}

const struct hl_source_ops hl_source_s3 = {
    .prefix = "s3://",
    .open = s3_open,
    .read = hl_remote_read,
    .check = hl_remote_check,
    .close = hl_remote_close,
    .name_key = hl_s3_name_key,
};
