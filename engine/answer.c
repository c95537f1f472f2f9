/* SPDX-License-Identifier: MIT
 *
 * answer.c - judges responses.  Exactly the bytes that were asked for, of exactly the version that
 * was asked for, in the encoding in which they lie there; all else is an error with a sentence of
 * its own.
 *
 * Entry points: answer.h.  See also: response.c, attempt.c.
 */
#include "config.h"

#include "answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void hl_answer_fail(struct hl_answer *answer, const char *name, int err, enum hl_again again,
                    const char *format, ...)
{
    va_list args;
    int done;

    answer->rc = -err;
    answer->again = again;
    done = snprintf(answer->sentence, sizeof answer->sentence, "%.200s: ", name);
    va_start(args, format);
    vsnprintf(answer->sentence + done, sizeof answer->sentence - (size_t)done, format, args);
    va_end(args);
}

#define NO(err, ...) hl_answer_fail(ret, question->name, (err), HL_AGAIN_NEVER, __VA_ARGS__)
#define NOT_NOW(err, ...) hl_answer_fail(ret, question->name, (err), HL_AGAIN_OFTEN, __VA_ARGS__)

static void take(struct hl_answer *ret, uint64_t src_offset, uint32_t length)
{
    ret->rc = 0;
    ret->src_offset = src_offset;
    ret->length = length;
}

static bool may_be_empty(const struct hl_question *question)
{
    return (question->suffix || question->may_be_short) && question->src_bytes == 0;
}

static const char *what_is(unsigned status)
{
    switch (status) {
    case 400: return " Bad Request";
    case 408: return " Request Timeout";
    case 429: return " Too Many Requests";
    case 500: return " Internal Server Error";
    case 502: return " Bad Gateway";
    case 503: return " Service Unavailable";
    case 504: return " Gateway Timeout";
    default: return "";
    }
}

/* ---- the version --------------------------------------------------------- */

/* Is it the version that was asked for?  If not, ret says so. */
static bool check_version(const struct hl_question *question, const struct hl_response *response,
                          struct hl_answer *ret)
{
    const char *seen = "", *what = "ETag";

    switch (question->validator_kind) {
    case HL_VALIDATOR_NONE:
        return true;
    case HL_VALIDATOR_ETAG:
        seen = response->etag;
        break;
    case HL_VALIDATOR_VERSION:
        if (!response->version_id[0]) /* the URL names it */
            return true;
        seen = response->version_id;
        what = "version id";
        break;
    case HL_VALIDATOR_LAST_MODIFIED:
        seen = response->last_modified;
        what = "Last-Modified";
        break;
    }
    if (strcmp(seen, question->validator) == 0)
        return true;
    if (seen[0])
        NO(ESTALE, "has changed: its %s is %s now, and was %s", what, seen, question->validator);
    else
        NO(ESTALE, "may have changed: it comes without its %s %s", what, question->validator);
    return false;
}

static bool check_size(const struct hl_question *question, const struct hl_response *response,
                       struct hl_answer *ret)
{
    if (!question->src_bytes || !response->has_total || response->total == question->src_bytes)
        return true;
    NO(ESTALE, "has changed: it has %" PRIu64 " bytes now, and had %" PRIu64, response->total,
       question->src_bytes);
    return false;
}

/* ---- the range ----------------------------------------------------------- */

/* What should come: false when that depends on a size that nobody has said. */
static bool expect_range(const struct hl_question *question, const struct hl_response *response,
                         uint64_t *ret_first, uint64_t *ret_length)
{
    uint64_t total = response->has_total ? response->total : question->src_bytes;
    uint64_t first = question->src_offset, length = question->length;

    if (!total && (question->suffix || question->may_be_short))
        return false;
    if (question->suffix) {
        length = length < total ? length : total;
        first = total - length;
    } else if (question->may_be_short && first < total && length > total - first) {
        length = total - first;
    }
    *ret_first = first;
    *ret_length = length;
    return true;
}

static void judge_partial(const struct hl_question *question, const struct hl_response *response,
                          struct hl_answer *ret)
{
    uint64_t first = 0, length = 0;

    if (response->encoding[0])
        NO(EIO, "the server sends it encoded (%s), which was not asked for", response->encoding);
    else if (strncasecmp(response->type, "multipart/byteranges", 20) == 0)
        NO(EIO, "the server answers one range with several (%s)", response->type);
    else if (!response->has_range)
        NO(EIO, "the server answers 206 without a Content-Range");
    else if (!check_size(question, response, ret) || !check_version(question, response, ret))
        return;
    else if (!expect_range(question, response, &first, &length))
        NO(EIO, "the server does not say how large it is");
    else if (response->first != first || response->last - response->first != length - 1)
        NO(EIO, "wrong Content-Range: asked for bytes %" PRIu64 "-%" PRIu64 ", got %" PRIu64
           "-%" PRIu64, first, first + length - 1, response->first, response->last);
    else if (response->has_length && response->length != length)
        NO(EIO, "wrong Content-Length: %" PRIu64 " bytes for a range of %" PRIu64,
           response->length, length);
    else
        take(ret, first, (uint32_t)length);
}

static void judge_whole(const struct hl_question *question, const struct hl_response *response,
                        struct hl_answer *ret)
{
    bool is_html = strcasecmp(response->type, "text/html") == 0;

    if (response->encoding[0])
        NO(EIO, "the server sends all of it, encoded (%s), and not the range that was asked for",
           response->encoding);
    else if (response->has_length && response->length == 0 && may_be_empty(question))
        take(ret, 0, 0);
    else
        NO(EIO, "the server does not do ranges: it answers 200, and not 206%s",
           is_html ? ", with an HTML page" : "");
}

static void judge_unsatisfied(const struct hl_question *question,
                              const struct hl_response *response, struct hl_answer *ret)
{
    bool no_total = !response->has_total;

    if (!check_size(question, response, ret))
        return;
    /* A suffix range is wrong for nothing but an empty object. */
    if (may_be_empty(question) &&
        (question->suffix ? no_total || response->total == 0
                          : !no_total && response->total <= question->src_offset))
        take(ret, question->suffix ? 0 : question->src_offset, 0);
    else if (question->suffix)
        NO(EIO, "the server answers 416: it has no last %u bytes", question->length);
    else
        NO(EIO, "the server answers 416: it has no bytes %" PRIu64 "-%" PRIu64,
           question->src_offset, question->src_offset + question->length - 1);
}

/* ---- the status ---------------------------------------------------------- */

static void judge_error(const struct hl_question *question, unsigned status,
                        struct hl_answer *ret)
{
    switch (status) {
    case 401:
        NO(EACCES, "the server wants credentials (401 Unauthorized)");
        break;
    case 403:
        NO(EACCES, "access denied (403 Forbidden)");
        break;
    case 404:
        NO(ENOENT, "there is no such object (404 Not Found)");
        break;
    case 407:
        NO(EACCES, "the proxy wants credentials (407)");
        break;
    case 410:
        NO(ENOENT, "the object is gone for good (410 Gone)");
        break;
    case 412:
        NO(ESTALE, "has changed (412 Precondition Failed)");
        break;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        NOT_NOW(EIO, "the server answers %u%s", status, what_is(status));
        break;
    default:
        NO(EIO, "the server answers %u%s", status, what_is(status));
    }
}

void hl_answer_judge(const struct hl_question *question, const struct hl_response *response,
                     struct hl_answer *ret)
{
    unsigned status = response->status;

    if (status >= 400 && status != 416)
        judge_error(question, status, ret);
    else if (response->malformed)
        NO(EIO, "the server's answer (%u) has headers that make no sense", status);
    else if (status == 206)
        judge_partial(question, response, ret);
    else if (status == 200)
        judge_whole(question, response, ret);
    else if (status == 416)
        judge_unsatisfied(question, response, ret);
    else if (status >= 300 && status != 304)
        NO(EIO, "the server sends us elsewhere (%u), and we do not go there", status);
    else
        NO(EIO, "the server answers %u, and not 206", status);
}
