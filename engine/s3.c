/* SPDX-License-Identifier: MIT
 *
 * s3.c - takes an s3:// name apart, finds out where the bucket is, and makes a target of it whose
 * requests are signed.
 *
 * Signature version 4 is over path and query as they are sent, so they are encoded here as the
 * store will encode them to check it: all bytes but letters, digits, "-._~" and the slashes of the
 * key.  The body is not part of the signature (UNSIGNED-PAYLOAD): a GET has none.
 *
 * Entry points: s3.h.  See also: s3-config.c, s3-credentials.c, source-s3.c.
 */
#include "config.h"

#include "s3.h"

#include "cleanup.h"
#include "error.h"
#include "hugelite.h"
#include "s3-config.h"
#include "s3-credentials.h"
#include "source.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX "s3://"
#define VERSION_IS "versionId="

enum { MAX_BUCKET = 255, MAX_KEY = 1024, MAX_VERSION = 1024, MAX_REGION = 63 };

struct name {
    char *bucket, *key, *version; /* version: NULL = none */
};

/* Where the bucket is. */
struct place {
    char *endpoint;          /* scheme://host[:port][/path], no slash at its end; NULL = AWS */
    char region[MAX_REGION + 1];
    bool in_path;            /* endpoint/bucket/key, not bucket.endpoint/key */
};

struct object {
    struct hl_s3 s3; /* first */
    struct name parts;
    struct place place; /* from the first transfer on, its region is the transfer thread's */
    bool relocated;     /* the transfer thread's */
    struct hl_s3_credentials *credentials;
};

/* ---- names -------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return isascii((unsigned char)c) && isalnum((unsigned char)c);
}

/* Loosely: there are old buckets and other stores with other rules. */
static bool is_bucket(const char *bucket)
{
    size_t length = strlen(bucket);

    for (const char *p = bucket; *p; p++)
        if (!is_plain(*p) && (p == bucket || !strchr("-._", *p)))
            return false;
    return length >= 3 && length <= MAX_BUCKET;
}

/* The query of a name: nothing but a version. */
static int split_query(const char *name, char *query, char **ret_version)
{
    char *save = NULL;

    for (char *part = strtok_r(query, "&", &save); part; part = strtok_r(NULL, "&", &save)) {
        if (strncmp(part, VERSION_IS, strlen(VERSION_IS)) != 0) {
            part[strcspn(part, "=")] = '\0';
            return hl_error(EINVAL, "%s: unknown parameter '%s'; there is only versionId", name,
                            part);
        }
        if (*ret_version)
            return hl_error(EINVAL, "%s: versionId is given twice", name);
        *ret_version = part + strlen(VERSION_IS);
    }
    if (!*ret_version || !**ret_version || strlen(*ret_version) > MAX_VERSION)
        return hl_error(EINVAL, "%s: a version is written as ?versionId=ID", name);
    return 0;
}

static void free_name(struct name *parts)
{
    free(parts->bucket);
    *parts = (struct name){ 0 };
}

/* What a wrong name shows of itself: behind a '?' there could be anything, and some tools take
 * keys before an '@'.  NULL: no memory. */
static char *shown_name(const char *name)
{
    size_t length = strcspn(name, "?");
    size_t bucket = strlen(PREFIX) + strcspn(name + strlen(PREFIX), "@:/?");

    if (name[bucket] == '@' || name[bucket] == ':' || memchr(name, '@', length))
        length = strlen(PREFIX);
    return strndup(name, length);
}

/* All parts lie in one piece of memory, which begins with the bucket: `copy`, a name without its
 * prefix. */
static int split_copy(const char *shown, char *copy, struct name *ret_parts)
{
    struct name parts = { .bucket = copy };
    char *query = strchr(copy, '?');
    int rc = 0;

    if (query)
        *query++ = '\0';
    parts.key = strchr(copy, '/');
    if (parts.key)
        *parts.key++ = '\0';
    if (!is_bucket(parts.bucket))
        return hl_error(EINVAL, "%s: begins with no name of a bucket; write s3://bucket/key",
                        shown);
    if (!parts.key || !*parts.key)
        return hl_error(EINVAL, "%s: names no object; write s3://bucket/key", shown);
    if (strlen(parts.key) > MAX_KEY)
        return hl_error(EINVAL, "%s: a key has at most %d bytes", shown, MAX_KEY);
    if (query)
        rc = split_query(shown, query, &parts.version);
    if (rc == 0)
        *ret_parts = parts;
    return rc;
}

static int split_name(const char *name, struct name *ret_parts)
{
    HL_CLEANUP(hl_freep) char *shown = NULL;
    char *copy;
    int rc;

    if (strncasecmp(name, PREFIX, strlen(PREFIX)) != 0)
        return hl_error(EINVAL, "this is no name in an S3 store; write s3://bucket/key");
    shown = shown_name(name);
    copy = strdup(name + strlen(PREFIX));
    if (!shown || !copy)
        rc = hl_error(ENOMEM, "no memory for a name in an S3 store");
    else
        rc = split_copy(shown, copy, ret_parts);
    if (rc < 0)
        free(copy);
    return rc;
}

/* ---- places -------------------------------------------------------------------- */

static bool is_dns_label(const char *bucket)
{
    for (const char *p = bucket; *p; p++)
        if (*p != '-' && !isdigit((unsigned char)*p) && (*p < 'a' || *p > 'z'))
            return false;
    return strlen(bucket) <= 63;
}

static int choose_region(const struct hl_s3_config *config, char region[MAX_REGION + 1])
{
    const char *chosen = hl_s3_env("AWS_REGION");

    if (!chosen)
        chosen = hl_s3_env("AWS_DEFAULT_REGION");
    if (!chosen)
        chosen = hl_s3_config_get(config, "region");
    if (!chosen)
        chosen = "us-east-1";
    for (const char *p = chosen; *p; p++)
        if (!is_plain(*p) && *p != '-' && *p != '_')
            return hl_error(EINVAL, "AWS region '%s': is no name of a region", chosen);
    if (snprintf(region, MAX_REGION + 1, "%s", chosen) > MAX_REGION)
        return hl_error(EINVAL, "AWS region '%s': is no name of a region", chosen);
    return 0;
}

static size_t scheme_length(const char *url)
{
    if (strncasecmp(url, "https://", 8) == 0)
        return 8;
    return strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

/* Scheme and host are written small, and what goes without saying is left out, so that the same
 * endpoint is the same source.  It is never quoted: somebody may have put a password into it. */
static int clean_endpoint(const char *url, const char *where, char **ret_endpoint)
{
    size_t scheme = scheme_length(url), host = strcspn(url + scheme, "/?#");
    const char *port = scheme == 8 ? ":443" : ":80";
    size_t end = scheme + host;
    char *clean;

    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("@?#\"<>\\^`{|}", *p))
            scheme = 0;
    if (!scheme || !host || url[scheme] == ':')
        return hl_error(EINVAL, "%s: is no endpoint; write one as in https://host:port", where);
    clean = strdup(url);
    if (!clean)
        return hl_error(ENOMEM, "no memory for the S3 endpoint");
    for (size_t i = 0; i < end; i++)
        clean[i] = (char)tolower((unsigned char)clean[i]);
    if (host > strlen(port) && strncmp(clean + end - strlen(port), port, strlen(port)) == 0) {
        memmove(clean + end - strlen(port), clean + end, strlen(clean + end) + 1);
        end -= strlen(port);
    }
    for (size_t length = strlen(clean); length > end && clean[length - 1] == '/';)
        clean[--length] = '\0';
    *ret_endpoint = clean;
    return 0;
}

static int choose_endpoint(const struct hl_s3_config *config, char **ret_endpoint)
{
    const struct {
        const char *where, *url;
    } chain[] = {
        { "AWS_ENDPOINT_URL_S3", hl_s3_env("AWS_ENDPOINT_URL_S3") },
        { "AWS_ENDPOINT_URL", hl_s3_env("AWS_ENDPOINT_URL") },
        { "s3 endpoint_url of the AWS profile's services", hl_s3_config_service_endpoint(config) },
        { "endpoint_url of the AWS profile", hl_s3_config_get(config, "endpoint_url") },
    };

    *ret_endpoint = NULL;
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
        if (chain[i].url)
            return clean_endpoint(chain[i].url, chain[i].where, ret_endpoint);
    return 0;
}

/* An address has no names below it. */
static bool is_address(const char *endpoint)
{
    const char *host = endpoint + scheme_length(endpoint);
    struct in_addr address;
    char text[64];
    bool yes;

    snprintf(text, sizeof text, "%.*s", (int)strcspn(host, ":/"), host);
    yes = *host == '[' || inet_pton(AF_INET, text, &address) == 1;
    return yes;
}

static int choose_style(const struct hl_s3_config *config, const char *bucket, struct place *place)
{
    const char *style = hl_s3_config_get(config, "s3.addressing_style");

    place->in_path = place->endpoint || !is_dns_label(bucket);
    if (!style || strcmp(style, "auto") == 0)
        return 0;
    if (strcmp(style, "path") == 0)
        place->in_path = true;
    else if (strcmp(style, "virtual") == 0)
        place->in_path = place->endpoint && is_address(place->endpoint);
    else
        return hl_error(EINVAL,
                        "AWS profile '%s': addressing_style is '%s'; "
                        "there are path, virtual, auto",
                        hl_s3_config_profile(config), style);
    return 0;
}

static int find_place(const struct hl_s3_config *config, const char *bucket, struct place *place)
{
    int rc = choose_region(config, place->region);

    if (rc == 0)
        rc = choose_endpoint(config, &place->endpoint);
    if (rc == 0)
        rc = choose_style(config, bucket, place);
    return rc;
}

/* The region does not matter: a bucket's name is AWS's own once. */
static void hash_object(const struct place *place, const struct name *parts, uint64_t ret_key[2])
{
    HL_CLEANUP(hl_freep) char *text = NULL;

    if (asprintf(&text, "%s\n%s\n%s\n%s", place->endpoint ? place->endpoint : "s3", parts->bucket,
                 parts->key, parts->version ? parts->version : "") < 0) {
        text = NULL;
        hl_source_hash(parts->key, strlen(parts->key), ret_key);
        return;
    }
    hl_source_hash(text, strlen(text), ret_key);
}

/* ---- URLs ----------------------------------------------------------------------- */

/* Into room for three times the text. */
static char *encode(char *to, const char *text, const char *kept)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (is_plain(*text) || strchr(kept, *text)) {
            *to++ = *text;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    *to = '\0';
    return to;
}

/* scheme://host[:port][/path] of AWS itself in a region. */
static void aws_endpoint(const char *region, char *endpoint, size_t room)
{
    snprintf(endpoint, room, "https://s3.%s.amazonaws.com%s", region,
             strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* NULL: no memory. */
static char *make_url(const struct place *place, const struct name *parts)
{
    char aws[MAX_REGION + 64], key[3 * MAX_KEY + 1], version[3 * MAX_VERSION + 1] = "";
    const char *endpoint = place->endpoint, *query = "";
    size_t scheme;
    char *url;
    int made;

    if (!endpoint) {
        aws_endpoint(place->region, aws, sizeof aws);
        endpoint = aws;
    }
    scheme = scheme_length(endpoint);
    encode(key, parts->key, "-._~/");
    if (parts->version) {
        encode(version, parts->version, "-._~");
        query = "?" VERSION_IS;
    }
    if (place->in_path)
        made = asprintf(&url, "%s/%s/%s%s%s", endpoint, parts->bucket, key, query, version);
    else
        made = asprintf(&url, "%.*s%s.%s/%s%s%s", (int)scheme, endpoint, parts->bucket,
                        endpoint + scheme, key, query, version);
    return made < 0 ? NULL : url;
}

/* ---- the target ------------------------------------------------------------------ */

/* In the transfer thread. */
static int authorize(struct hl_target *target, struct hl_authority *ret_authority)
{
    struct object *object = target->arg;
    struct hl_s3_keys keys;
    char why[512];
    int rc;

    *ret_authority = (struct hl_authority){ 0 };
    rc = hl_s3_credentials_copy(object->credentials, &keys);
    if (rc < 0) {
        snprintf(why, sizeof why, "%s", hugelite_error());
        return hl_error(-rc, "%s: %s", target->name, why);
    }
    if (*keys.id) {
        snprintf(ret_authority->sigv4, sizeof ret_authority->sigv4, "aws:amz:%s:s3",
                 object->place.region);
        snprintf(ret_authority->user, sizeof ret_authority->user, "%s:%s", keys.id, keys.secret);
        snprintf(ret_authority->headers[0], sizeof ret_authority->headers[0],
                 "x-amz-content-sha256: UNSIGNED-PAYLOAD");
        if (*keys.token)
            snprintf(ret_authority->headers[1], sizeof ret_authority->headers[1],
                     "x-amz-security-token: %s", keys.token);
    }
    explicit_bzero(&keys, sizeof keys);
    return 0;
}

/* In the transfer thread: AWS says that the bucket is in another region.  What a custom
 * endpoint says of regions is its own affair. */
static char *relocate(struct hl_target *target, const char *region)
{
    struct object *object = target->arg;
    struct place place = object->place;
    char *url;

    if (place.endpoint || strlen(region) > MAX_REGION)
        return NULL;
    /* The answer may be to a request that was sent before another one's answer told us. */
    if (strcmp(region, place.region) == 0)
        return object->relocated ? make_url(&place, &object->parts) : NULL;
    for (const char *p = region; *p; p++)
        if (!is_plain(*p) && *p != '-')
            return NULL;
    snprintf(place.region, sizeof place.region, "%s", region);
    url = make_url(&place, &object->parts);
    if (!url)
        return NULL;
    object->place = place;
    object->relocated = true;
    return url;
}

static int fill_target(struct object *object)
{
    struct hl_s3 *s3 = &object->s3;
    const struct name *parts = &object->parts;

    s3->has_version = parts->version;
    if (asprintf(&s3->name, PREFIX "%s/%s%s%s", parts->bucket, parts->key,
                 parts->version ? "?" VERSION_IS : "", parts->version ? parts->version : "") < 0)
        s3->name = NULL;
    s3->target = (struct hl_target){
        .url = make_url(&object->place, parts),
        .name = s3->name,
        .authorize = authorize,
        .relocate = relocate,
        .arg = object,
    };
    if (!s3->name || !s3->target.url)
        return hl_error(ENOMEM, "%s%s: no memory to open it", PREFIX, parts->bucket);
    hash_object(&object->place, parts, s3->name_key);
    return 0;
}

static void close_objectp(struct object **object)
{
    if (*object)
        hl_s3_close(&(*object)->s3);
}

static void close_configp(struct hl_s3_config **config)
{
    hl_s3_config_close(*config);
}

int hl_s3_open(const char *name, struct hl_s3 **ret_s3)
{
    HL_CLEANUP(close_objectp) struct object *object = calloc(1, sizeof *object);
    HL_CLEANUP(close_configp) struct hl_s3_config *config = NULL;
    int rc;

    if (!object)
        return hl_error(ENOMEM, "no memory for an object of an S3 store");
    rc = split_name(name, &object->parts);
    if (rc == 0)
        rc = hl_s3_config_open(&config);
    if (rc == 0)
        rc = find_place(config, object->parts.bucket, &object->place);
    if (rc == 0)
        rc = fill_target(object);
    if (rc == 0)
        rc = hl_s3_credentials_open(config, &object->credentials);
    if (rc < 0)
        return rc;
    *ret_s3 = &HL_TAKE(object)->s3;
    return 0;
}

void hl_s3_close(struct hl_s3 *s3)
{
    struct object *object = (struct object *)s3;

    if (!s3)
        return;
    hl_s3_credentials_close(object->credentials);
    free_name(&object->parts);
    free(object->place.endpoint);
    free(s3->target.url);
    free(s3->target.moved);
    free(s3->name);
    free(object);
}

void hl_s3_refresh(struct hl_s3 *s3)
{
    hl_s3_credentials_refresh(((struct object *)s3)->credentials);
}

const char *hl_s3_unsigned(const struct hl_s3 *s3)
{
    return hl_s3_credentials_sought(((const struct object *)s3)->credentials);
}

void hl_s3_name_key(const char *name, uint64_t ret_key[2])
{
    HL_CLEANUP(close_configp) struct hl_s3_config *config = NULL;
    struct place place = { 0 };
    struct name parts = { 0 };

    if (split_name(name, &parts) == 0 && hl_s3_config_open(&config) == 0 &&
        find_place(config, parts.bucket, &place) == 0)
        hash_object(&place, &parts, ret_key);
    else
        hl_source_hash(name, strlen(name), ret_key); /* nobody can have it open */
    free_name(&parts);
    free(place.endpoint);
}
