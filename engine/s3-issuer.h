/* SPDX-License-Identifier: MIT
 *
 * s3-issuer.h - who hands out keys that expire: the container endpoint (ECS, EKS pod identity) or
 * the metadata service of an EC2 instance (IMDSv2).  Their answers are not trusted.
 */
#ifndef HL_S3_ISSUER_H
#define HL_S3_ISSUER_H

#include <stdint.h>

/* Wiped by whoever had it. */
struct hl_s3_keys {
    char id[256];
    char secret[512];
    char token[4097];    /* "" = none */
    uint64_t expires_ns; /* CLOCK_REALTIME; 0 = never */
};

enum hl_s3_issuer_kind {
    HL_S3_NO_ISSUER,
    HL_S3_CONTAINER,
    HL_S3_INSTANCE,
};

/* Compared as bytes, so it begins as zeros. */
struct hl_s3_issuer {
    enum hl_s3_issuer_kind kind;
    char url[1024];        /* of the container's keys, or of the instance's metadata service */
    char token_file[1024]; /* with what is sent as Authorization, read anew each time; "" = none */
    char token[4097];      /* the same, if there is no file; "" = none */
};

/* Which one the environment gives this process; kind HL_S3_NO_ISSUER when even the instance's
 * has been switched off.  `endpoint` is the profile's ec2_metadata_service_endpoint, or NULL. 0
 * or -EINVAL: a URL that keys must not be asked of, or a header that is none. */
int hl_s3_issuer_find(const char *endpoint, struct hl_s3_issuer *ret_issuer);

/* Ask; may take two seconds (the instance's) or six.  0; -ENOENT: no instance's metadata
 * service answers here, or the instance has no role; -EHOSTUNREACH: it does not answer, or not
 * now; -EACCES: it answers with something else than keys; -EPROTONOSUPPORT: no libcurl. */
int hl_s3_issuer_ask(const struct hl_s3_issuer *issuer, struct hl_s3_keys *ret_keys);

#endif
