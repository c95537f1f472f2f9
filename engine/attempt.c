/* SPDX-License-Identifier: MIT
 *
 * attempt.c - makes a request of a question, and an answer of what libcurl reports.  A wrong
 * answer is noticed at the end of its headers, before a byte of its body is taken.
 *
 * Entry points: attempt.h.  See also: transfer.c (when and how often), answer.c (what is right).
 */
#include "config.h"

#include "attempt.h"

#include "error.h"
#include "hugelite.h"
#include "sys.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 512 << 10,
    UNWANTED_MAX = 16 << 10, /* a body of an error is read up to here, since that keeps the
                              * connection */
    CONNECT_MS = 10000,
    REDIRECTS = 5,
    SOCKETS = 1024,
};

/* ---- authorities --------------------------------------------------------- */

static char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? strdup(value) : NULL;
}

void hl_authorities_read(struct hl_authorities *ret)
{
    ret->file = environment("CURL_CA_BUNDLE");
    ret->path = NULL;
    if (!ret->file) { /* as the curl program does */
        ret->file = environment("SSL_CERT_FILE");
        ret->path = environment("SSL_CERT_DIR");
    }
    ret->store_file = environment("AWS_CA_BUNDLE");
}

void hl_authorities_free(struct hl_authorities *authorities)
{
    free(authorities->file);
    free(authorities->path);
    free(authorities->store_file);
    *authorities = (struct hl_authorities){ 0 };
}

/* ---- sockets: known, so that a child of fork() can let go of them ---------- */

static struct {
    _Atomic int plus_one[SOCKETS]; /* 0 = a free place */
} sockets;

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct hl_attempt *attempt = arg;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    attempt->sockets++;
    for (unsigned i = 0; i < SOCKETS; i++)
        if (!atomic_load_explicit(&sockets.plus_one[i], memory_order_relaxed)) {
            atomic_store_explicit(&sockets.plus_one[i], fd + 1, memory_order_relaxed);
            break;
        }
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    (void)arg;
    for (unsigned i = 0; i < SOCKETS; i++)
        if (atomic_load_explicit(&sockets.plus_one[i], memory_order_relaxed) == fd + 1) {
            atomic_store_explicit(&sockets.plus_one[i], 0, memory_order_relaxed);
            break;
        }
    return close(fd);
}

void hl_attempt_forget_sockets(void)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        int fd = atomic_exchange_explicit(&sockets.plus_one[i], 0, memory_order_relaxed) - 1;

        if (fd >= 0)
            close(fd);
    }
}

/* ---- URLs ---------------------------------------------------------------- */

static char *url_part(const char *url, CURLUPart part)
{
    CURLU *parsed = hl_curl.url();
    char *text = NULL, *copy = NULL;

    if (parsed && hl_curl.url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        hl_curl.url_get(parsed, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ==
            CURLUE_OK) {
        copy = strdup(text);
        hl_curl.free(text);
    }
    hl_curl.url_cleanup(parsed);
    return copy;
}

void hl_attempt_host(const char *url, char *ret_host, size_t room)
{
    char *host = url_part(url, CURLUPART_HOST);

    snprintf(ret_host, room, "%s", host ? host : "");
    free(host);
}

char *hl_attempt_moved(const struct hl_attempt *attempt)
{
    const char *effective = NULL;
    char *user, *moved = NULL;
    long redirects = 0;

    hl_curl.easy_getinfo(attempt->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (!redirects)
        return NULL;
    hl_curl.easy_getinfo(attempt->easy, CURLINFO_EFFECTIVE_URL, &effective);
    user = url_part(attempt->target->url, CURLUPART_USER);
    if (effective && !user)
        moved = strdup(effective);
    free(user);
    return moved;
}

/* ---- what comes ---------------------------------------------------------- */

static bool is_wanted(const struct hl_attempt *attempt)
{
    return attempt->answer.rc == 0 && attempt->answer.length > 0;
}

/* The end of the headers.  False: break it off. */
static bool judge(struct hl_attempt *attempt)
{
    const struct hl_response *response = &attempt->response;

    if (response->status < 200 && response->status >= 100)
        return true;
    if (attempt->follows && attempt->has_location && response->status / 100 == 3)
        return true;
    attempt->judged = true;
    attempt->first_ns = attempt->last_ns = hl_now_ns();
    hl_answer_judge(&attempt->question, response, &attempt->answer);
    if (attempt->answer.rc == 0 && !attempt->won(attempt))
        attempt->dropped = true;
    return !attempt->dropped &&
           (is_wanted(attempt) || (response->has_length && response->length <= UNWANTED_MAX));
}

static size_t on_header(char *line, size_t size, size_t nr, void *arg)
{
    static const char location[] = "Location:";
    struct hl_attempt *attempt = arg;
    size_t length = size * nr;

    if (attempt->dropped)
        return 0;
    if (attempt->judged) /* a trailer */
        return length;
    if (length >= 5 && strncasecmp(line, "HTTP/", 5) == 0)
        attempt->has_location = false;
    if (length >= sizeof location && strncasecmp(line, location, sizeof location - 1) == 0)
        attempt->has_location = true;
    hl_response_line(&attempt->response, line, length);
    if (line[0] == '\n' || (length == 2 && line[0] == '\r'))
        return judge(attempt) ? length : 0;
    return length;
}

static size_t on_unwanted(struct hl_attempt *attempt, const char *bytes, size_t length)
{
    size_t room = sizeof attempt->body - 1 - attempt->body_bytes;
    size_t kept = length < room ? length : room;

    memcpy(attempt->body + attempt->body_bytes, bytes, kept);
    attempt->body_bytes += (uint32_t)kept;
    attempt->last_ns = hl_now_ns();
    return attempt->wire_bytes <= UNWANTED_MAX ? length : 0;
}

static size_t on_body(char *bytes, size_t size, size_t nr, void *arg)
{
    struct hl_attempt *attempt = arg;
    struct hl_answer *answer = &attempt->answer;
    size_t length = size * nr;

    if (attempt->dropped || !attempt->judged)
        return 0;
    attempt->wire_bytes += length;
    if (!is_wanted(attempt))
        return on_unwanted(attempt, bytes, length);
    if (length > answer->length - attempt->received) {
        hl_answer_fail(answer, attempt->question.name, EIO, HL_AGAIN_NEVER,
                       "the body is too long: the headers say %u bytes, and more come",
                       answer->length);
        return 0;
    }
    memcpy(attempt->buffer + attempt->received, bytes, length);
    attempt->received += (uint32_t)length;
    attempt->last_ns = hl_now_ns();
    attempt->got(attempt);
    return length;
}

/* Connected, and about to send. */
static int on_ready(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct hl_attempt *attempt = arg;

    (void)to, (void)from, (void)to_port, (void)from_port;
    attempt->sent_ns = hl_now_ns();
    attempt->requests++;
    return CURL_PREREQFUNC_OK;
}

/* ---- the request --------------------------------------------------------- */

/* The first thing that fails makes it false for good. */
static void add_header(struct hl_attempt *attempt, bool *ok, const char *line)
{
    struct curl_slist *headers = hl_curl.slist_append(attempt->headers, line);

    if (headers)
        attempt->headers = headers;
    *ok = *ok && headers;
}

static void add_precondition(struct hl_attempt *attempt, bool *ok)
{
    const struct hl_question *question = &attempt->question;
    char line[HL_VALIDATOR_BYTES + 32];

    if (question->validator_kind == HL_VALIDATOR_ETAG)
        snprintf(line, sizeof line, "If-Match: %s", question->validator);
    else if (question->validator_kind == HL_VALIDATOR_LAST_MODIFIED)
        snprintf(line, sizeof line, "If-Unmodified-Since: %s", question->validator);
    else
        return;
    /* From a catalog it may be anything: no second header in it. */
    for (const char *p = line; *p; p++)
        *ok = *ok && (unsigned char)*p >= ' ';
    add_header(attempt, ok, line);
}

#define SET(option, value) (*ok = *ok && hl_curl.easy_setopt(easy, (option), (value)) == CURLE_OK)
#define TRY(option, value) ((void)hl_curl.easy_setopt(easy, (option), (value)))

static void set_authority(struct hl_attempt *attempt, const struct hl_authority *authority,
                          bool *ok)
{
    CURL *easy = attempt->easy;

    if (authority->sigv4[0])
        SET(CURLOPT_AWS_SIGV4, authority->sigv4);
    if (authority->user[0])
        SET(CURLOPT_USERPWD, authority->user);
    for (unsigned i = 0; i < sizeof authority->headers / sizeof *authority->headers; i++)
        if (authority->headers[i][0])
            add_header(attempt, ok, authority->headers[i]);
}

static void set_callbacks(struct hl_attempt *attempt, bool *ok)
{
    CURL *easy = attempt->easy;

    SET(CURLOPT_PRIVATE, (char *)attempt);
    SET(CURLOPT_ERRORBUFFER, attempt->why);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, attempt);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, attempt);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, attempt);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, attempt);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
}

static void set_transport(struct hl_attempt *attempt, const struct hl_authorities *authorities,
                          bool *ok)
{
    CURL *easy = attempt->easy;
    uint64_t ms = attempt->patience_ns / 1000000;
    bool for_store = attempt->target->authorize && authorities->store_file;
    const char *ca_file = for_store ? authorities->store_file : authorities->file;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, ms < CONNECT_MS ? (long)ms + 1 : (long)CONNECT_MS);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    TRY(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS); /* refused where it is not built in */
#if LIBCURL_VERSION_NUM >= 0x075700
    TRY(CURLOPT_QUICK_EXIT, 1L); /* or giving up waits for the resolver */
#endif
    if (ca_file)
        SET(CURLOPT_CAINFO, ca_file);
    if (authorities->path && !for_store)
        SET(CURLOPT_CAPATH, authorities->path);
}

/* A handle that has been used may still have its buffer, and then refuses to be told of its size.
 * */
static void set_buffer(struct hl_attempt *attempt, bool *ok)
{
    const long bytes = BUFFER_BYTES;
    CURL *fresh;

    if (hl_curl.easy_setopt(attempt->easy, CURLOPT_BUFFERSIZE, bytes) == CURLE_OK)
        return;
    fresh = hl_curl.easy_init();
    *ok = fresh && hl_curl.easy_setopt(fresh, CURLOPT_BUFFERSIZE, bytes) == CURLE_OK;
    if (fresh) {
        hl_curl.easy_cleanup(attempt->easy);
        attempt->easy = fresh;
    }
}

static void set_question(struct hl_attempt *attempt, bool *ok)
{
    const struct hl_question *question = &attempt->question;
    CURL *easy = attempt->easy;
    char range[64];

    if (question->suffix)
        snprintf(range, sizeof range, "-%u", question->length);
    else
        snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, question->src_offset,
                 question->src_offset + question->length - 1);
    SET(CURLOPT_RANGE, range);
    SET(CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
    add_header(attempt, ok, "Accept-Encoding: identity");
    add_precondition(attempt, ok);
}

static void set_url(struct hl_attempt *attempt, bool *ok)
{
    const char *moved = atomic_load_explicit(&attempt->target->moved, memory_order_relaxed);
    const char *url = moved ? moved : attempt->target->url;
    CURL *easy = attempt->easy;
    bool secure = strncasecmp(attempt->target->url, "https:", 6) == 0;

    attempt->at_moved = moved != NULL;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, secure && attempt->follows ? "https" : "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    SET(CURLOPT_FOLLOWLOCATION, attempt->follows ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, (long)REDIRECTS);
    if (attempt->target->authorize) /* what is signed is the path as it is written */
        SET(CURLOPT_PATH_AS_IS, 1L);
}

int hl_attempt_begin(struct hl_attempt *attempt, const struct hl_authorities *authorities)
{
    struct hl_target *target = attempt->target;
    struct hl_authority authority;
    bool all = true, *ok = &all;
    int rc = 0;

    memset(&authority, 0, sizeof authority);
    if (target->authorize)
        rc = target->authorize(target, &authority);
    if (rc < 0) {
        attempt->answer.rc = rc;
        attempt->answer.again = HL_AGAIN_NEVER;
        snprintf(attempt->answer.sentence, sizeof attempt->answer.sentence, "%s",
                 hugelite_error());
    } else {
        attempt->follows = target->may_redirect && !target->authorize;
        set_buffer(attempt, ok);
        set_callbacks(attempt, ok);
        set_transport(attempt, authorities, ok);
        set_url(attempt, ok);
        set_question(attempt, ok);
        set_authority(attempt, &authority, ok);
        *ok = *ok && hl_curl.easy_setopt(attempt->easy, CURLOPT_HTTPHEADER, attempt->headers) ==
                         CURLE_OK;
        if (!all)
            hl_answer_fail(&attempt->answer, attempt->question.name, EINVAL, HL_AGAIN_NEVER,
                           "libcurl does not take this request");
        rc = attempt->answer.rc;
    }
    explicit_bzero(&authority, sizeof authority);
    attempt->begun_ns = hl_now_ns();
    return rc;
}

void hl_attempt_end(struct hl_attempt *attempt)
{
    hl_curl.easy_reset(attempt->easy);
    for (struct curl_slist *header = attempt->headers; header; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    hl_curl.slist_free_all(attempt->headers);
    attempt->headers = NULL;
}

/* ---- what went wrong ----------------------------------------------------- */

#define FAIL(err, again, ...) \
    hl_answer_fail(&attempt->answer, attempt->question.name, (err), (again), __VA_ARGS__)

/* libcurl's own words, unless they hold something of the URL that is not for everybody. */
static const char *details(struct hl_attempt *attempt, CURLcode code)
{
    char *user = url_part(attempt->target->url, CURLUPART_USER);
    char *password = url_part(attempt->target->url, CURLUPART_PASSWORD);
    char *query = url_part(attempt->target->url, CURLUPART_QUERY);
    const char *parts[] = { user, password, query, "://" };
    bool clean = attempt->why[0] != '\0';

    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] && *parts[i] && strstr(attempt->why, parts[i]))
            clean = false;
    free(user);
    free(password);
    free(query);
    for (char *p = attempt->why; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return clean ? attempt->why : hl_curl.easy_strerror(code);
}

static void fail_connect(struct hl_attempt *attempt, const char *host)
{
    long os_errno = 0;

    hl_curl.easy_getinfo(attempt->easy, CURLINFO_OS_ERRNO, &os_errno);
    if (os_errno == ENETUNREACH || os_errno == EHOSTUNREACH)
        FAIL(EHOSTUNREACH, HL_AGAIN_FEW, "there is no way to '%s': %s", host,
             strerrordesc_np((int)os_errno));
    else if (os_errno == ETIMEDOUT)
        FAIL(ETIMEDOUT, HL_AGAIN_OFTEN, "'%s' does not answer to connections", host);
    else if (os_errno == EMFILE || os_errno == ENFILE)
        FAIL((int)os_errno, HL_AGAIN_FEW, "no connection to '%s': %s", host,
             strerrordesc_np((int)os_errno));
    else
        FAIL(ECONNREFUSED, HL_AGAIN_FEW, "'%s' refuses connections", host);
}

static void fail_tls(struct hl_attempt *attempt, CURLcode code, const char *host)
{
    const char *why = details(attempt, code);
    bool other_name = strstr(why, "subject name") || strstr(why, "target host");

    if (code == CURLE_PEER_FAILED_VERIFICATION && other_name)
        FAIL(EPROTO, HL_AGAIN_NEVER, "TLS: the certificate is not for '%s' (%s)", host, why);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        FAIL(EPROTO, HL_AGAIN_NEVER, "TLS: the certificate of '%s' is not to be trusted (%s)",
             host, why);
    else if (code == CURLE_SSL_CONNECT_ERROR)
        FAIL(EPROTO, HL_AGAIN_FEW, "TLS: no agreement with '%s' (%s)", host, why);
    else
        FAIL(EPROTO, HL_AGAIN_NEVER, "TLS: %s", why);
}

/* Within CONNECT_MS. */
static void fail_slow_connect(struct hl_attempt *attempt, const char *host)
{
    curl_off_t connected_us = 0;

    hl_curl.easy_getinfo(attempt->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (connected_us)
        FAIL(ETIMEDOUT, HL_AGAIN_OFTEN, "'%s' does not finish the TLS handshake", host);
    else
        FAIL(ETIMEDOUT, HL_AGAIN_OFTEN, "'%s' does not answer to connections", host);
}

/* No answer came. */
static void fail_silent(struct hl_attempt *attempt, CURLcode code)
{
    long redirects = 0, proxy_says = 0;
    char host[256];

    hl_attempt_host(attempt->target->url, host, sizeof host);
    hl_curl.easy_getinfo(attempt->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    hl_curl.easy_getinfo(attempt->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_says);
    if (proxy_says >= 300) {
        FAIL(proxy_says == 407 ? EACCES : ECONNREFUSED, HL_AGAIN_NEVER,
             "the proxy gives no connection to '%s': it answers %ld", host, proxy_says);
        return;
    }
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        FAIL(EHOSTUNREACH, HL_AGAIN_FEW, "the host name '%s' cannot be found (DNS)", host);
        break;
    case CURLE_COULDNT_RESOLVE_PROXY:
        FAIL(EHOSTUNREACH, HL_AGAIN_FEW, "the proxy's host name cannot be found (DNS)");
        break;
    case CURLE_COULDNT_CONNECT:
        fail_connect(attempt, host);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        fail_slow_connect(attempt, host);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_INVALIDCERTSTATUS:
        fail_tls(attempt, code, host);
        break;
    case CURLE_TOO_MANY_REDIRECTS:
        FAIL(EIO, HL_AGAIN_NEVER, "more than %d redirects: they seem to go in a circle", REDIRECTS);
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        if (redirects)
            FAIL(EIO, HL_AGAIN_NEVER, "it redirects to where we do not go: from %s",
                 strncasecmp(attempt->target->url, "https:", 6) == 0 ? "https to another protocol"
                                                                     : "http to another protocol");
        else if (code == CURLE_URL_MALFORMAT)
            FAIL(EINVAL, HL_AGAIN_NEVER, "this is no URL");
        else /* on a connection that was kept it may be the rest of the answer before */
            FAIL(EIO, attempt->sockets ? HL_AGAIN_NEVER : HL_AGAIN_OFTEN,
                 "what the server sends is no HTTP");
        break;
    case CURLE_GOT_NOTHING:
        FAIL(ECONNRESET, HL_AGAIN_OFTEN, "'%s' closes the connection without an answer", host);
        break;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        FAIL(ECONNRESET, HL_AGAIN_OFTEN, "the connection to '%s' broke before an answer", host);
        break;
    case CURLE_PROXY:
        FAIL(ECONNREFUSED, HL_AGAIN_FEW, "the proxy gives no connection to '%s'", host);
        break;
    case CURLE_OUT_OF_MEMORY:
        FAIL(ENOMEM, HL_AGAIN_NEVER, "no memory for a request");
        break;
    default:
        FAIL(EIO, HL_AGAIN_NEVER, "the request failed: %s", hl_curl.easy_strerror(code));
    }
}

/* S3 says in its XML what is the matter; a word of letters is safe to show. */
static void add_code(struct hl_attempt *attempt)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t done = strlen(attempt->answer.sentence), length;
    const char *code;

    attempt->body[attempt->body_bytes] = '\0';
    code = strstr(attempt->body, "<Code>");
    if (!code)
        return;
    code += strlen("<Code>");
    length = strspn(code, letters);
    if (length && length < 64 && code[length] == '<')
        snprintf(attempt->answer.sentence + done, sizeof attempt->answer.sentence - done,
                 ": %.*s", (int)length, code);
}

void hl_attempt_settle(struct hl_attempt *attempt, CURLcode code)
{
    struct hl_answer *answer = &attempt->answer;
    bool broke = code == CURLE_RECV_ERROR || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM ||
                 code == CURLE_SEND_ERROR;

    if (!attempt->judged && code == CURLE_OK)
        FAIL(EIO, HL_AGAIN_NEVER, "the server's answer has no end of its headers");
    else if (!attempt->judged)
        fail_silent(attempt, code);
    else if (answer->rc < 0)
        add_code(attempt);
    else if (!is_wanted(attempt) || attempt->received == answer->length)
        return;
    else if (broke)
        FAIL(ECONNRESET, HL_AGAIN_OFTEN, "the connection broke after %u of %u bytes",
             attempt->received, answer->length);
    else
        FAIL(EIO, HL_AGAIN_OFTEN, "the body is short: %u of %u bytes came", attempt->received,
             answer->length);
}
