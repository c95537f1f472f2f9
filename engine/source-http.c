/* SPDX-License-Identifier: MIT
 *
 * source-http.c - http:// and https:// names as sources: whether such a name is one, and what of
 * it makes two names the same source.
 *
 *   https://user:password@Host:443/path/x.db?X-Amz-Signature=...&part=1#fragment
 *   name_key  of https://host/path/x.db?part=1: signed anew it is the same source
 *   url       all but the fragment
 *   name      https://Host:443/path/x.db?...      by hl_source_name_show()
 *
 * Entry points: hl_source_http, hl_source_https (ops).  See also: remote.c, transfer.h.
 */
#include "config.h"

#include "cleanup.h"
#include "error.h"
#include "remote.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A stretch of the name. */
struct span {
    const char *at;
    size_t length;
};

struct url {
    bool tls;
    struct span host, port, path, query; /* query without its '?' */
};

struct http_target {
    struct hl_target target; /* first */
    char *name;
};

/* ---- taking a name apart -------------------------------------------------------- */

/* Says what is wrong without the name, which may hold a password anywhere. */
static int refuse(const struct url *url, const char *why)
{
    return hl_error(EINVAL, "%s://...: is no URL that can be opened: %s",
                    url->tls ? "https" : "http", why);
}

static bool is_digits(const struct span *span)
{
    for (size_t i = 0; i < span->length; i++)
        if (!isdigit((unsigned char)span->at[i]))
            return false;
    return true;
}

static int parse_authority(struct span authority, struct url *url)
{
    const char *end = authority.at + authority.length, *colon, *at;

    for (at = end; at > authority.at && at[-1] != '@'; at--)
        ;
    url->host = (struct span){ at, (size_t)(end - at) };
    colon = at < end && *at == '[' ? memchr(at, ']', (size_t)(end - at)) : at;
    if (!colon)
        return refuse(url, "the bracket of its address is not closed");
    colon = memchr(colon, ':', (size_t)(end - colon));
    url->port = (struct span){ end, 0 };
    if (colon) {
        url->host.length = (size_t)(colon - at);
        url->port = (struct span){ colon + 1, (size_t)(end - colon - 1) };
    }
    if (!url->host.length)
        return refuse(url, "it names no host");
    if (!is_digits(&url->port) || url->port.length > 5 ||
        (url->port.length && (atoi(url->port.at) < 1 || atoi(url->port.at) > 65535)))
        return refuse(url, "its port is none");
    return 0;
}

static int parse(const char *name, struct url *ret_url)
{
    const char *at = strstr(name, "://") + 3, *end = at + strcspn(at, "#");
    struct url url = { .tls = strncasecmp(name, "https:", 6) == 0 };
    struct span authority = { at, strcspn(at, "/?#") };
    int rc;

    for (const char *p = name; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return refuse(&url, "it has a space or a control character in it; write %20 for a "
                          "space");
    rc = parse_authority(authority, &url);
    if (rc < 0)
        return rc;
    at += authority.length;
    url.path = (struct span){ at, strcspn(at, "?#") };
    at += url.path.length;
    if (at < end)
        url.query = (struct span){ at + 1, (size_t)(end - at - 1) };
    *ret_url = url;
    return 0;
}

/* ---- what is left out of a query --------------------------------------------------- */

/* The next of the parameters a=b&c=d; false when there is none. */
static bool next_parameter(struct span *query, struct span *ret_parameter)
{
    const char *end;

    if (!query->length)
        return false;
    end = memchr(query->at, '&', query->length);
    *ret_parameter = *query;
    if (end) {
        ret_parameter->length = (size_t)(end - query->at);
        query->length -= ret_parameter->length + 1;
        query->at = end + 1;
    } else {
        query->length = 0;
    }
    return true;
}

static bool is_named(const struct span *parameter, const char *name)
{
    size_t length = strlen(name);
    bool prefix = name[length - 1] == '-';

    return parameter->length >= length && strncasecmp(parameter->at, name, length) == 0 &&
           (prefix || parameter->length == length || parameter->at[length] == '=');
}

static bool has_parameter(struct span query, const char *name)
{
    struct span parameter;

    while (next_parameter(&query, &parameter))
        if (is_named(&parameter, name))
            return true;
    return false;
}

/* The parameters of each way to sign a URL; where the first is missing, the others mean
 * something else. */
static const char *const signatures[][24] = {
    { "X-Amz-Signature", "X-Amz-" },
    { "X-Goog-Signature", "X-Goog-" },
    { "Signature", "AWSAccessKeyId", "GoogleAccessId", "Expires", "Key-Pair-Id", "Policy",
      "x-amz-security-token" },
    { "sig", "se", "sp", "sr", "st", "sv", "ss", "srt", "spr", "sip", "si", "sdd", "skoid",
      "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid" },
};

static bool signs(struct span query, const struct span *parameter)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        for (size_t j = 0; signatures[i][j]; j++)
            if (is_named(parameter, signatures[i][j]))
                return has_parameter(query, signatures[i][0]);
    return false;
}

/* ---- what identifies ------------------------------------------------------------------ */

static void put(FILE *f, struct span span, bool lower)
{
    for (size_t i = 0; i < span.length; i++)
        putc(lower ? tolower((unsigned char)span.at[i]) : span.at[i], f);
}

static void put_place(FILE *f, const struct url *url)
{
    const struct span *port = &url->port;

    fprintf(f, "%s://", url->tls ? "https" : "http");
    put(f, url->host, true);
    if (port->length && atoi(port->at) != (url->tls ? 443 : 80))
        fprintf(f, ":%d", atoi(port->at));
    if (!url->path.length)
        putc('/', f);
    put(f, url->path, false);
}

static char *identity(const struct url *url)
{
    struct span rest = url->query, parameter;
    char *text = NULL, before = '?';
    size_t length;
    FILE *f = open_memstream(&text, &length);

    if (!f)
        return NULL;
    put_place(f, url);
    while (next_parameter(&rest, &parameter)) {
        if (signs(url->query, &parameter))
            continue;
        putc(before, f);
        put(f, parameter, false);
        before = '&';
    }
    return fclose(f) == 0 ? text : NULL;
}

static void http_name_key(const char *name, uint64_t ret_key[2])
{
    HL_CLEANUP(hl_freep) char *text = NULL;
    struct url url;

    if (parse(name, &url) == 0)
        text = identity(&url);
    hl_source_hash(text ? text : name, strlen(text ? text : name), ret_key);
}

/* ---- ops -------------------------------------------------------------------------- */

static void close_target(struct hl_target *target)
{
    struct http_target *http = (struct http_target *)target;

    free(atomic_load_explicit(&target->moved, memory_order_acquire));
    free(target->url);
    free(http->name);
    free(http);
}

static struct hl_target *make_target(const char *name)
{
    struct http_target *http = calloc(1, sizeof *http);
    size_t room = strlen(name) + sizeof "?...";

    if (!http)
        return NULL;
    http->name = malloc(room);
    if (http->name)
        hl_source_name_show(name, http->name, room);
    http->target.name = http->name;
    http->target.url = strndup(name, strcspn(name, "#"));
    http->target.may_redirect = true;
    if (http->name && http->target.url)
        return &http->target;
    close_target(&http->target);
    return NULL;
}

static int open_as(const struct hl_source_ops *ops, const char *name,
                   struct hl_source **ret_source)
{
    struct hl_remote_kind kind = { .ops = ops, .close_target = close_target };
    struct url url;
    int rc = parse(name, &url);

    if (rc < 0)
        return rc;
    kind.target = make_target(name);
    if (!kind.target)
        return hl_error(ENOMEM, "%s://...: no memory to open it", url.tls ? "https" : "http");
    kind.name = kind.target->name;
    http_name_key(name, kind.name_key);
    rc = hl_remote_open(&kind, ret_source);
    if (rc < 0)
        close_target(kind.target);
    return rc;
}

static int http_open(const char *name, struct hl_source **ret_source)
{
    return open_as(&hl_source_http, name, ret_source);
}

static int https_open(const char *name, struct hl_source **ret_source)
{
    return open_as(&hl_source_https, name, ret_source);
}

const struct hl_source_ops hl_source_http = {
    .prefix = "http://",
    .open = http_open,
    .read = hl_remote_read,
    .check = hl_remote_check,
    .close = hl_remote_close,
    .name_key = http_name_key,
};

const struct hl_source_ops hl_source_https = {
    .prefix = "https://",
    .open = https_open,
    .read = hl_remote_read,
    .check = hl_remote_check,
    .close = hl_remote_close,
    .name_key = http_name_key,
};
