/* SPDX-License-Identifier: MIT
 *
 * s3-credentials.c - the chain in which keys are looked for, and the grants: keys that an issuer
 * has given to this process, shared by all its sources.  A grant is asked for by one thread at a
 * time.
 *
 * Entry points: s3-credentials.h.  See also: s3-config.c, s3-issuer.c.
 */
#include "config.h"

#include "s3-credentials.h"

#include "cleanup.h"
#include "error.h"
#include "hugelite.h"
#include "lock.h"
#include "s3-config.h"
#include "sys.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* Renewed so long before they expire. */
#define EARLY_NS (300 * SECOND_NS)

uint64_t hl_s3_pause_ns = 60 * SECOND_NS;

/* Lives as long as the process, like the memory of having asked in vain. */
struct grant {
    struct grant *next;
    struct hl_s3_issuer issuer;
    struct hl_s3_keys keys;
    bool has_keys;
    bool asking;          /* a thread is about it, without the lock */
    bool asked;           /* rc is that of the last time */
    uint64_t ask_ns;      /* CLOCK_MONOTONIC: not again before */
    pthread_cond_t answered;
    int rc;
    char sentence[512];
};

struct hl_s3_credentials {
    struct hl_s3_keys keys; /* when there is no grant; an empty id = anonymous */
    struct grant *grant;
    char *sought;           /* NULL = there are keys */
};

static struct hl_lock grants_lock = HL_LOCK_INIT(HL_RANK_CREDENTIALS);
static struct grant *grants;

void hl_s3_fork_prepare(void)
{
    hl_lock(&grants_lock);
}

void hl_s3_fork_parent(void)
{
    hl_unlock(&grants_lock);
}

void hl_s3_fork_child(void)
{
    for (struct grant *grant = grants; grant; grant = grant->next) {
        grant->asking = false;
        pthread_cond_init(&grant->answered, NULL);
    }
    hl_unlock(&grants_lock);
}

/* ---- keys that are just there ------------------------------------------------ */

static bool fits(char *to, size_t room, const char *from)
{
    return (size_t)snprintf(to, room, "%s", from) < room;
}

/* Characters that would end a header line, or part the pair in two at another place. */
static bool is_clean(const char *text, const char *unwanted)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr(unwanted, *text))
            return false;
    return true;
}

static bool are_clean(const struct hl_s3_keys *keys)
{
    return is_clean(keys->id, ":") && is_clean(keys->secret, "") && is_clean(keys->token, "");
}

/* 1, 0 when neither key is there, or -EACCES. */
static int take_keys(struct hl_s3_keys *keys, const char *place, const char *names[3],
                     const char *id, const char *secret, const char *token)
{
    if (!id && !secret)
        return 0;
    if (!id || !secret)
        return hl_error(EACCES, "%s: %s is set, but %s is not", place, names[id ? 0 : 1],
                        names[id ? 1 : 0]);
    if (!fits(keys->id, sizeof keys->id, id) || !is_clean(id, ":"))
        return hl_error(EACCES, "%s: %s is no access key", place, names[0]);
    if (!fits(keys->secret, sizeof keys->secret, secret) || !is_clean(secret, ""))
        return hl_error(EACCES, "%s: %s is no secret key", place, names[1]);
    if (token && (!fits(keys->token, sizeof keys->token, token) || !is_clean(token, "")))
        return hl_error(EACCES, "%s: %s is no session token", place, names[2]);
    return 1;
}

static int from_environment(struct hl_s3_keys *keys)
{
    const char *names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" };

    return take_keys(keys, "environment", names, hl_s3_env(names[0]), hl_s3_env(names[1]),
                     hl_s3_env(names[2]));
}

static int from_file(struct hl_s3_keys *keys, const struct hl_s3_config *config,
                     enum hl_s3_file file)
{
    const char *names[] = { "aws_access_key_id", "aws_secret_access_key", "aws_session_token" };
    char place[512];

    snprintf(place, sizeof place, "%s, profile '%s'", hl_s3_config_path(config, file),
             hl_s3_config_profile(config));
    return take_keys(keys, place, names, hl_s3_config_get_from(config, file, names[0]),
                     hl_s3_config_get_from(config, file, names[1]),
                     hl_s3_config_get_from(config, file, names[2]));
}

/* Other tools would ask somebody for keys here, and would not look on. */
static int refuse(const struct hl_s3_config *config, const char *const *keys, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++)
        if (hl_s3_config_get(config, keys[i]))
            return hl_error(EACCES,
                            "AWS profile '%s': %s is not supported; put keys into the "
                            "environment, as `aws configure export-credentials --format env` does",
                            hl_s3_config_profile(config), keys[i]);
    return 0;
}

static int from_files(struct hl_s3_keys *keys, const struct hl_s3_config *config)
{
    static const char *const before[] = {
        "role_arn",       "web_identity_token_file", "sso_session",  "sso_start_url",
        "sso_account_id", "sso_role_name",           "login_session",
    };
    static const char *const between[] = { "credential_process" };
    int rc;

    rc = refuse(config, before, sizeof before / sizeof *before);
    if (rc == 0 && hl_s3_env("AWS_WEB_IDENTITY_TOKEN_FILE") && hl_s3_env("AWS_ROLE_ARN"))
        rc = hl_error(EACCES, "AWS_WEB_IDENTITY_TOKEN_FILE: web identity is not supported; "
                              "put keys into the environment");
    if (rc == 0)
        rc = from_file(keys, config, HL_S3_CREDENTIALS_FILE);
    if (rc == 0)
        rc = refuse(config, between, sizeof between / sizeof *between);
    if (rc == 0)
        rc = from_file(keys, config, HL_S3_CONFIG_FILE);
    return rc;
}

/* ---- grants --------------------------------------------------------------------- */

static struct grant *find_grant(const struct hl_s3_issuer *issuer)
{
    struct grant *grant;

    hl_lock(&grants_lock);
    for (grant = grants; grant; grant = grant->next)
        if (memcmp(&grant->issuer, issuer, sizeof *issuer) == 0)
            break;
    if (!grant && (grant = calloc(1, sizeof *grant))) {
        grant->issuer = *issuer;
        pthread_cond_init(&grant->answered, NULL);
        grant->next = grants;
        grants = grant;
    }
    hl_unlock(&grants_lock);
    return grant;
}

/* The functions below: under grants_lock. */

static bool is_good(const struct grant *grant)
{
    /* What has just been given is taken for good, whatever our clock says. */
    return grant->has_keys && (grant->rc == 0 || hl_today_ns() < grant->keys.expires_ns);
}

static bool is_due(const struct grant *grant)
{
    if (grant->asked && hl_now_ns() < grant->ask_ns)
        return false;
    return !grant->has_keys ||
           (grant->keys.expires_ns && hl_today_ns() + EARLY_NS >= grant->keys.expires_ns);
}

/* Not held while it asks. */
static void ask(struct grant *grant)
{
    struct hl_s3_keys keys = { 0 };
    int rc;

    grant->asking = true;
    hl_quiet_begin(); /* or a cancelled thread would leave it so for ever */
    hl_unlock(&grants_lock);
    rc = hl_s3_issuer_ask(&grant->issuer, &keys);
    if (rc == 0 && !are_clean(&keys))
        rc = hl_error(EACCES, "who was asked for keys has answered with what are no keys");
    hl_lock(&grants_lock);
    hl_quiet_end();

    grant->asking = false;
    grant->asked = true;
    grant->rc = rc;
    grant->ask_ns = hl_now_ns() + (rc == 0 || rc == -ENOENT ? hl_s3_pause_ns : hl_s3_pause_ns / 6);
    if (rc == 0) {
        grant->keys = keys;
        grant->has_keys = true;
    } else {
        snprintf(grant->sentence, sizeof grant->sentence, "%s", hugelite_error());
    }
    explicit_bzero(&keys, sizeof keys);
    pthread_cond_broadcast(&grant->answered);
}

/* 0, or why there are no good keys (any more), with its sentence in hl_error(). */
static int grant_rc(const struct grant *grant)
{
    if (is_good(grant))
        return 0;
    return hl_error(-grant->rc, "%s%s", grant->sentence,
                    grant->has_keys ? "; the keys that it gave before have expired" : "");
}

static int refresh_grant(struct grant *grant)
{
    int rc;

    hl_lock(&grants_lock);
    if (is_due(grant) && !grant->asking)
        ask(grant);
    while (grant->asking && !is_good(grant))
        pthread_cond_wait(&grant->answered, &grants_lock.mutex);
    rc = grant_rc(grant);
    hl_unlock(&grants_lock);
    return rc;
}

/* ---- the chain -------------------------------------------------------------------- */

static int from_issuer(struct hl_s3_credentials *credentials, const struct hl_s3_config *config,
                       enum hl_s3_issuer_kind *ret_kind)
{
    struct hl_s3_issuer issuer;
    int rc;

    rc = hl_s3_issuer_find(hl_s3_config_get(config, "ec2_metadata_service_endpoint"), &issuer);
    if (rc < 0)
        return rc;
    *ret_kind = issuer.kind;
    if (issuer.kind == HL_S3_NO_ISSUER)
        return 0;
    credentials->grant = find_grant(&issuer);
    explicit_bzero(issuer.token, sizeof issuer.token);
    if (!credentials->grant)
        return hl_error(ENOMEM, "no memory for S3 credentials");
    rc = refresh_grant(credentials->grant);
    /* That it does not answer now is for each request to say: what is known needs none. */
    if (rc == 0 || rc == -EHOSTUNREACH)
        return 1;
    credentials->grant = NULL;
    return rc == -ENOENT ? 0 : rc;
}

/* Nobody has keys: remember where they have been looked for. */
static int go_anonymous(struct hl_s3_credentials *credentials, const struct hl_s3_config *config,
                        enum hl_s3_issuer_kind kind)
{
    if (asprintf(&credentials->sought,
                 "no keys in the environment (AWS_ACCESS_KEY_ID), nor for profile '%s' in %s or "
                 "%s, nor from an instance: %s",
                 hl_s3_config_profile(config), hl_s3_config_path(config, HL_S3_CREDENTIALS_FILE),
                 hl_s3_config_path(config, HL_S3_CONFIG_FILE),
                 kind == HL_S3_NO_ISSUER ? "AWS_EC2_METADATA_DISABLED is set"
                                         : hugelite_error()) < 0) {
        credentials->sought = NULL;
        return hl_error(ENOMEM, "no memory for S3 credentials");
    }
    return 0;
}

static void close_credentialsp(struct hl_s3_credentials **credentials)
{
    hl_s3_credentials_close(*credentials);
}

int hl_s3_credentials_open(const struct hl_s3_config *config,
                           struct hl_s3_credentials **ret_credentials)
{
    HL_CLEANUP(close_credentialsp) struct hl_s3_credentials *credentials = NULL;
    enum hl_s3_issuer_kind kind = HL_S3_NO_ISSUER;
    int rc;

    credentials = calloc(1, sizeof *credentials);
    if (!credentials)
        return hl_error(ENOMEM, "no memory for S3 credentials");
    rc = from_environment(&credentials->keys);
    if (rc == 0)
        rc = from_files(&credentials->keys, config);
    if (rc == 0)
        rc = from_issuer(credentials, config, &kind);
    if (rc == 0)
        rc = go_anonymous(credentials, config, kind);
    if (rc < 0)
        return rc;
    *ret_credentials = HL_TAKE(credentials);
    return 0;
}

void hl_s3_credentials_close(struct hl_s3_credentials *credentials)
{
    if (!credentials)
        return;
    explicit_bzero(&credentials->keys, sizeof credentials->keys);
    free(credentials->sought);
    free(credentials);
}

void hl_s3_credentials_refresh(struct hl_s3_credentials *credentials)
{
    if (credentials->grant)
        refresh_grant(credentials->grant);
}

int hl_s3_credentials_copy(struct hl_s3_credentials *credentials, struct hl_s3_keys *ret_keys)
{
    int rc;

    if (!credentials->grant) {
        *ret_keys = credentials->keys;
        return 0;
    }
    hl_lock(&grants_lock);
    rc = grant_rc(credentials->grant);
    if (rc == 0)
        *ret_keys = credentials->grant->keys;
    hl_unlock(&grants_lock);
    return rc;
}

const char *hl_s3_credentials_sought(const struct hl_s3_credentials *credentials)
{
    return credentials->sought ? credentials->sought : "";
}
