/* SPDX-License-Identifier: MIT
 *
 * s3.h - names and places of objects in S3 stores.  The signing itself is libcurl's.
 *
 *   s3://bucket/key[?versionId=ID]
 *
 * Bucket, key and ID are written as they are: a '%' is a '%'.  Only a '?' cannot be part of a key.
 *
 * Region, endpoint and credentials come from where the AWS tools take them: s3-config.h,
 * s3-credentials.h.
 *   endpoint  AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's services section, the profile's
 *             endpoint_url, else AWS
 *   region    AWS_REGION, AWS_DEFAULT_REGION, the profile's region, else us-east-1; AWS says so
 *             when the bucket is in another one, which is used from then on
 *   address   the profile's s3 addressing_style (path, virtual), else endpoint/bucket/key where an
 *             endpoint is set or the bucket's name is no simple host name, else
 *             bucket.endpoint/key
 */
#ifndef HL_S3_H
#define HL_S3_H

#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

/* An s3:// name taken apart and made into a target that signs itself. */
struct hl_s3 {
    struct hl_target target;  /* first */
    char *name;               /* s3://bucket/key[?versionId=...]; for people */
    uint64_t name_key[2];     /* of endpoint, bucket, key and version */
    bool has_version;         /* the name pins a version id */
};

/* May ask the container or instance endpoint, so it may take a moment.  0; -EINVAL: no such
 * name, or a setting that makes no sense; what hl_s3_config_open() and hl_s3_credentials_open()
 * say. */
int hl_s3_open(const char *name, struct hl_s3 **ret_s3);
void hl_s3_close(struct hl_s3 *s3); /* NULL is fine */

/* Renew credentials that are about to expire; called by readers before they start transfers.
 * Cheap when there is nothing to do.  When it does not succeed, the transfers say why. */
void hl_s3_refresh(struct hl_s3 *s3);

/* When requests are not signed: where no keys were found.  "" = they are signed. */
const char *hl_s3_unsigned(const struct hl_s3 *s3);

/* Hash of what makes two names the same object; needs no credentials. */
void hl_s3_name_key(const char *name, uint64_t ret_key[2]);

#endif
