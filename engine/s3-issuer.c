/* SPDX-License-Identifier: MIT
 *
 * s3-issuer.c - asks the container endpoint or the instance's metadata service for keys.  Small
 * requests, made in the thread that needs the answer: no proxies, no redirects, a short patience.
 *
 * Source: AWS SDKs and Tools reference guide, "Container credential provider" and "IMDS credential
 * provider"; IMDSv2 only, since a token cannot be had through a gullible proxy.
 *
 * Entry points: s3-issuer.h.  See also: s3-credentials.c, json.c, curl.h.
 */
#include "config.h"

#include "s3-issuer.h"

#include "cleanup.h"
#include "curl.h"
#include "error.h"
#include "json.h"
#include "s3-config.h"
#include "sys.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"

/* As the AWS tools do: a laptop that has no metadata service shall not hang. */
enum { INSTANCE_MS = 1000, INSTANCE_ATTEMPTS = 2, CONTAINER_MS = 2000, CONTAINER_ATTEMPTS = 3 };

enum { ANSWER_BYTES = 16 << 10 };

struct request {
    const char *what; /* for people */
    const char *method;
    const char *url;
    const char *header; /* NULL = none */
    long timeout_ms;
    unsigned attempts;
    /* ---- the answer */
    long status;
    size_t length;
    char text[ANSWER_BYTES + 1]; /* ends with a NUL */
};

/* ---- requests ------------------------------------------------------------------ */

static size_t take_body(char *bytes, size_t size, size_t nr, void *arg)
{
    struct request *request = arg;
    size_t length = size * nr;

    if (length > ANSWER_BYTES - request->length)
        return 0;
    memcpy(request->text + request->length, bytes, length);
    request->length += length;
    return length;
}

/* TLS may raise it, and it waits for us while the thread is quiet. */
static void swallow_sigpipe(void)
{
    const struct timespec now = { 0 };
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigtimedwait(&pipe, NULL, &now);
}

static CURLcode perform(struct request *request, CURL *easy, struct curl_slist *headers)
{
    const char *ca = hl_s3_env("AWS_CA_BUNDLE");
    CURLcode code;

    hl_curl.easy_setopt(easy, CURLOPT_URL, request->url);
    hl_curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    hl_curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    hl_curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    hl_curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    hl_curl.easy_setopt(easy, CURLOPT_PROXY, "");
    hl_curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    hl_curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    hl_curl.easy_setopt(easy, CURLOPT_WRITEDATA, request);
    if (ca)
        hl_curl.easy_setopt(easy, CURLOPT_CAINFO, ca);

    request->length = 0;
    request->status = 0;
    code = hl_curl.easy_perform(easy);
    request->text[request->length] = '\0';
    hl_curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &request->status);
    swallow_sigpipe();
    return code;
}

static bool is_busy(const struct request *request)
{
    return request->status >= 500 || request->status == 429;
}

static bool is_worth_repeating(const struct request *request, CURLcode code)
{
    if (code == CURLE_OK)
        return is_busy(request);
    /* Nobody is there: on most machines that is for good. */
    if (request->timeout_ms == INSTANCE_MS)
        return code != CURLE_COULDNT_CONNECT && code != CURLE_OPERATION_TIMEDOUT;
    return code != CURLE_WRITE_ERROR;
}

/* 0 with status and text; -EHOSTUNREACH: no answer, or none now; -EACCES. */
static int ask(struct request *request)
{
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *easy = hl_curl.easy_init();

    if (request->header)
        headers = hl_curl.slist_append(NULL, request->header);
    if (easy && (headers || !request->header))
        for (unsigned i = 0; i < request->attempts; i++) {
            code = perform(request, easy, headers);
            if (!is_worth_repeating(request, code))
                break;
        }
    hl_curl.slist_free_all(headers);
    if (easy)
        hl_curl.easy_cleanup(easy);
    if (code == CURLE_WRITE_ERROR)
        return hl_error(EACCES, "%s: its answer is too long", request->what);
    if (code != CURLE_OK)
        return hl_error(EHOSTUNREACH, "%s: %s", request->what, hl_curl.easy_strerror(code));
    if (is_busy(request))
        return hl_error(EHOSTUNREACH, "%s: answers with status %ld", request->what,
                        request->status);
    return 0;
}

/* ---- what they answer ------------------------------------------------------------- */

/* 2026-11-23T18:00:00Z, perhaps with a fraction. */
static bool read_time(const char *text, uint64_t *ret_ns)
{
    struct tm tm = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t seconds;

    if (!rest)
        return false;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    seconds = timegm(&tm);
    if ((strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0) || seconds <= 0)
        return false;
    *ret_ns = (uint64_t)seconds * 1000000000;
    return true;
}

static int read_keys(const struct request *request, struct hl_s3_keys *ret_keys)
{
    char expires[64] = "", code[64] = "";
    const char *wrong = NULL;
    struct hl_json_member members[] = {
        { .key = "AccessKeyId", .value = ret_keys->id, .room = sizeof ret_keys->id },
        { .key = "SecretAccessKey", .value = ret_keys->secret, .room = sizeof ret_keys->secret },
        { .key = "Token", .value = ret_keys->token, .room = sizeof ret_keys->token },
        { .key = "Expiration", .value = expires, .room = sizeof expires },
        { .key = "Code", .value = code, .room = sizeof code },
    };

    *ret_keys = (struct hl_s3_keys){ 0 };
    if (request->status != 200)
        return hl_error(EACCES, "%s: answers with status %ld", request->what, request->status);
    if (hl_json_read(request->text, request->length, members, sizeof members / sizeof *members,
                     &wrong) < 0)
        return hl_error(EACCES, "%s: its answer cannot be read: %s", request->what, wrong);
    if (*code && strcmp(code, "Success") != 0)
        return hl_error(EACCES, "%s: its answer's Code is not Success", request->what);
    if (!*ret_keys->id || !*ret_keys->secret)
        return hl_error(EACCES, "%s: there are no keys in its answer", request->what);
    if (*expires && !read_time(expires, &ret_keys->expires_ns))
        return hl_error(EACCES, "%s: its answer's Expiration is no time", request->what);
    return 0;
}

/* ---- the container's ----------------------------------------------------------------- */

static int read_token_file(const char *path, char *token, size_t room)
{
    int fd = hl_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    ssize_t got = fd < 0 ? -1 : hl_sys.read(fd, token, room);
    int err = errno;

    if (fd >= 0)
        hl_sys.close(fd);
    if (got < 0)
        return hl_error(EACCES, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE %s: %s", path,
                        strerror(err));
    if ((size_t)got == room)
        return hl_error(EACCES, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE %s: is too long", path);
    while (got && (token[got - 1] == '\n' || token[got - 1] == '\r'))
        got--;
    token[got] = '\0';
    return 0;
}

static int ask_container(const struct hl_s3_issuer *issuer, struct request *request,
                         struct hl_s3_keys *ret_keys)
{
    char token[sizeof issuer->token], header[sizeof token + 32] = "";
    int rc = 0;

    memcpy(token, issuer->token, sizeof token);
    if (*issuer->token_file)
        rc = read_token_file(issuer->token_file, token, sizeof token);
    if (rc == 0 && strpbrk(token, "\r\n"))
        rc = hl_error(EACCES, "AWS_CONTAINER_AUTHORIZATION_TOKEN: holds the end of a line");
    if (rc == 0) {
        request->what = "the AWS container credentials endpoint";
        request->method = "GET";
        request->url = issuer->url;
        request->timeout_ms = CONTAINER_MS;
        request->attempts = CONTAINER_ATTEMPTS;
        snprintf(header, sizeof header, "Authorization: %s", token);
        request->header = *token ? header : NULL;
        rc = ask(request);
    }
    if (rc == 0)
        rc = read_keys(request, ret_keys);
    explicit_bzero(token, sizeof token);
    explicit_bzero(header, sizeof header);
    return rc;
}

/* ---- the instance's ------------------------------------------------------------------ */

/* A line of the answer that may be part of a URL or a header. */
static bool take_word(const struct request *request, const char *also, char *word, size_t room)
{
    size_t length = strcspn(request->text, "\r\n");

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)request->text[i]) && !strchr(also, request->text[i]))
            return false;
    if (!length || length >= room)
        return false;
    memcpy(word, request->text, length);
    word[length] = '\0';
    return true;
}

static int get(struct request *request, const char *base, const char *path, const char *name)
{
    char url[2048];

    snprintf(url, sizeof url, "%s%s%s", base, path, name);
    request->url = url;
    return ask(request);
}

static int ask_instance(const struct hl_s3_issuer *issuer, struct request *request,
                        struct hl_s3_keys *ret_keys)
{
    char token[512], header[600], role[129];
    int rc;

    request->what = "the instance's metadata service";
    request->timeout_ms = INSTANCE_MS;
    request->attempts = INSTANCE_ATTEMPTS;
    request->method = "PUT";
    request->header = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
    rc = get(request, issuer->url, "/latest/api/token", "");
    if (rc < 0)
        return request->status ? rc : -ENOENT;
    /* Something else that listens there is no reason not to read public objects. */
    if (request->status != 200 || !take_word(request, "-._~+/=", token, sizeof token))
        return hl_error(ENOENT, "%s: gives no token (status %ld)", request->what, request->status);

    snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %s", token);
    request->method = "GET";
    request->header = header;
    rc = get(request, issuer->url, ROLES, "");
    if (rc == 0 && request->status == 404)
        rc = hl_error(ENOENT, "%s: the instance has no role", request->what);
    else if (rc == 0 &&
             (request->status != 200 || !take_word(request, "+=,.@_-", role, sizeof role)))
        rc = hl_error(EACCES, "%s: names no role (status %ld)", request->what, request->status);
    if (rc == 0)
        rc = get(request, issuer->url, ROLES, role);
    if (rc == 0)
        rc = read_keys(request, ret_keys);
    explicit_bzero(token, sizeof token);
    explicit_bzero(header, sizeof header);
    return rc;
}

int hl_s3_issuer_ask(const struct hl_s3_issuer *issuer, struct hl_s3_keys *ret_keys)
{
    struct request *request;
    int rc = hl_curl_load();

    if (rc < 0)
        return rc;
    request = calloc(1, sizeof *request);
    if (!request)
        return hl_error(ENOMEM, "no memory for S3 credentials");
    rc = issuer->kind == HL_S3_CONTAINER ? ask_container(issuer, request, ret_keys)
                                         : ask_instance(issuer, request, ret_keys);
    explicit_bzero(request, sizeof *request);
    free(request);
    return rc;
}

/* ---- who it is --------------------------------------------------------------------------- */

/* Over plain HTTP, a token goes and keys come: only on this machine and to the two well-known
 * hosts. */
static bool is_near(const char *host)
{
    static const char *const known[] = { "localhost", "169.254.170.2", "169.254.170.23",
                                         "[fd00:ec2::23]", "[::1]" };
    struct in_addr address;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(host, known[i]) == 0)
            return true;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* By the parser that the request will go by. */
static bool may_ask(const char *url)
{
    CURLU *parts = hl_curl.url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool yes = false;

    if (parts && hl_curl.url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        hl_curl.url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        hl_curl.url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        hl_curl.url_get(parts, CURLUPART_USER, &user, 0) != CURLUE_OK)
        yes = strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_near(host));
    hl_curl.free(user);
    hl_curl.free(host);
    hl_curl.free(scheme);
    hl_curl.url_cleanup(parts);
    return yes;
}

static int set(char *to, size_t room, const char *variable, const char *before, const char *value)
{
    if ((size_t)snprintf(to, room, "%s%s", before, value ? value : "") >= room)
        return hl_error(EINVAL, "%s: is too long", variable);
    return 0;
}

static int find_container(const char *relative, const char *full, struct hl_s3_issuer *issuer)
{
    const char *file = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    const char *token = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    int rc;

    issuer->kind = HL_S3_CONTAINER;
    if (relative && *relative != '/')
        return hl_error(EINVAL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: must begin with a '/'");
    if (relative)
        rc = set(issuer->url, sizeof issuer->url, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                 CONTAINER_HOST, relative);
    else
        rc = set(issuer->url, sizeof issuer->url, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "", full);
    if (rc == 0)
        rc = hl_curl_load();
    if (rc == 0 && !may_ask(issuer->url))
        rc = hl_error(EINVAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI: must be an https URL, or an "
                              "http one of this machine or of the container's host");
    if (rc == 0)
        rc = set(issuer->token_file, sizeof issuer->token_file, file, "", hl_s3_env(file));
    if (rc == 0 && !*issuer->token_file)
        rc = set(issuer->token, sizeof issuer->token, token, "", hl_s3_env(token));
    return rc;
}

static int find_instance(const char *endpoint, struct hl_s3_issuer *issuer)
{
    const char *variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    const char *disabled = hl_s3_env("AWS_EC2_METADATA_DISABLED");
    size_t length;

    if (disabled && strcasecmp(disabled, "true") == 0)
        return 0;
    issuer->kind = HL_S3_INSTANCE;
    if (hl_s3_env(variable))
        endpoint = hl_s3_env(variable);
    if (!endpoint)
        endpoint = INSTANCE_HOST;
    if ((strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0) ||
        strpbrk(endpoint, "@?# \r\n"))
        return hl_error(EINVAL, "%s: is no endpoint; write one as in " INSTANCE_HOST, variable);
    length = strlen(endpoint);
    while (length && endpoint[length - 1] == '/')
        length--;
    if (length >= sizeof issuer->url)
        return hl_error(EINVAL, "%s: is too long", variable);
    memcpy(issuer->url, endpoint, length);
    return 0;
}

int hl_s3_issuer_find(const char *endpoint, struct hl_s3_issuer *ret_issuer)
{
    const char *relative = hl_s3_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = hl_s3_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");

    memset(ret_issuer, 0, sizeof *ret_issuer);
    if (relative || full)
        return find_container(relative, full, ret_issuer);
    return find_instance(endpoint, ret_issuer);
}
