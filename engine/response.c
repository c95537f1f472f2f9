/* SPDX-License-Identifier: MIT
 *
 * response.c - reads header lines.  What does not parse is as if it were not there if nothing
 * depends on it, and else makes the response `malformed`: nobody guesses.
 *
 * Entry points: response.h.  See also: answer.c, which judges what has been read here.
 */
#include "config.h"

#include "response.h"

#include <string.h>
#include <strings.h>

struct text {
    const char *at;
    size_t length;
};

/* ---- values -------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text text)
{
    while (text.length && is_blank(text.at[0])) {
        text.at++;
        text.length--;
    }
    while (text.length && is_blank(text.at[text.length - 1]))
        text.length--;
    return text;
}

static bool is_clean(struct text text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return true;
}

/* Digits from the beginning of text, which moves behind them.  UINT64_MAX is no number: it means
 * that there is none. */
static bool take_number(struct text *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t n = 0;

    for (; n < text->length && text->at[n] >= '0' && text->at[n] <= '9'; n++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text->at[n] - '0', &number))
            return false;
    if (n == 0 || number == UINT64_MAX)
        return false;
    text->at += n;
    text->length -= n;
    *ret_number = number;
    return true;
}

static bool take_char(struct text *text, char c)
{
    if (!text->length || text->at[0] != c)
        return false;
    text->at++;
    text->length--;
    return true;
}

/* A whole value into a field; false when it is too long for it, or not clean. */
static bool keep(char *field, size_t room, struct text value)
{
    if (value.length >= room || !is_clean(value))
        return false;
    memcpy(field, value.at, value.length);
    field[value.length] = '\0';
    return true;
}

/* ---- headers ------------------------------------------------------------- */

/* A field that may come twice only if it says the same. */
static void keep_once(struct hl_response *response, char *field, size_t room, struct text value)
{
    if (field[0])
        response->malformed |= strlen(field) != value.length ||
                               memcmp(field, value.at, value.length) != 0;
    else
        keep(field, room, value);
}

/* "bytes 0-4/10", "bytes 0-4/" and a star, "bytes " star "/10". */
static bool parse_range(struct text value, struct hl_response *ret)
{
    static const char unit[] = "bytes";

    if (value.length < sizeof unit || strncasecmp(value.at, unit, sizeof unit - 1) != 0)
        return false;
    value.at += sizeof unit - 1;
    value.length -= sizeof unit - 1;
    if (!is_blank(value.at[0]))
        return false;
    value = trim(value);
    ret->has_range = !take_char(&value, '*');
    if (ret->has_range && (!take_number(&value, &ret->first) || !take_char(&value, '-') ||
                           !take_number(&value, &ret->last)))
        return false;
    if (!take_char(&value, '/'))
        return false;
    ret->has_total = !take_char(&value, '*');
    ret->total = UINT64_MAX;
    if (ret->has_total && !take_number(&value, &ret->total))
        return false;
    return value.length == 0 && (ret->has_range || ret->has_total) &&
           (!ret->has_range || (ret->first <= ret->last && ret->last < ret->total));
}

static void read_range(struct hl_response *response, struct text value)
{
    struct hl_response read = { 0 };
    bool before = response->has_range || response->has_total;

    if (!parse_range(value, &read) ||
        (before && (read.has_range != response->has_range || read.first != response->first ||
                    read.last != response->last || read.total != response->total))) {
        response->malformed = true;
        return;
    }
    response->has_range = read.has_range;
    response->has_total = read.has_total;
    response->first = read.first;
    response->last = read.last;
    response->total = read.total;
}

static void read_length(struct hl_response *response, struct text value)
{
    uint64_t length;

    if (!take_number(&value, &length) || value.length ||
        (response->has_length && response->length != length)) {
        response->malformed = true;
        return;
    }
    response->has_length = true;
    response->length = length;
}

static void read_encoding(struct hl_response *response, struct text value)
{
    static const char identity[] = "identity";

    if (value.length == 0 ||
        (value.length == sizeof identity - 1 &&
         strncasecmp(value.at, identity, value.length) == 0))
        return;
    if (!keep(response->encoding, sizeof response->encoding, value))
        strcpy(response->encoding, "unknown");
}

static void read_type(struct hl_response *response, struct text value)
{
    const char *end = memchr(value.at, ';', value.length);

    if (end)
        value.length = (size_t)(end - value.at);
    keep(response->type, sizeof response->type, trim(value));
}

static void read_retry_after(struct hl_response *response, struct text value)
{
    uint64_t seconds;

    if (take_number(&value, &seconds) && value.length == 0)
        response->retry_after_s = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

static bool is_named(struct text name, const char *wanted)
{
    return name.length == strlen(wanted) && strncasecmp(name.at, wanted, name.length) == 0;
}

static void read_header(struct hl_response *response, struct text name, struct text value)
{
    if (is_named(name, "Content-Range"))
        read_range(response, value);
    else if (is_named(name, "Content-Length"))
        read_length(response, value);
    else if (is_named(name, "Content-Encoding"))
        read_encoding(response, value);
    else if (is_named(name, "Content-Type"))
        read_type(response, value);
    else if (is_named(name, "Retry-After"))
        read_retry_after(response, value);
    else if (is_named(name, "ETag"))
        keep_once(response, response->etag, sizeof response->etag, value);
    else if (is_named(name, "Last-Modified"))
        keep_once(response, response->last_modified, sizeof response->last_modified, value);
    else if (is_named(name, "x-amz-version-id"))
        keep_once(response, response->version_id, sizeof response->version_id, value);
    else if (is_named(name, "x-amz-bucket-region"))
        keep(response->region, sizeof response->region, value);
}

/* "HTTP/1.1 206 Partial Content", "HTTP/2 206". */
static void read_status(struct hl_response *response, struct text line)
{
    const char *blank = memchr(line.at, ' ', line.length);
    uint64_t status = 0;

    memset(response, 0, sizeof *response);
    if (blank) {
        line.length -= (size_t)(blank - line.at);
        line.at = blank;
        line = trim(line);
    }
    if (!blank || !take_number(&line, &status) || status < 100 || status > 999 ||
        (line.length && !is_blank(line.at[0])))
        response->malformed = true;
    else
        response->status = (unsigned)status;
}

void hl_response_line(struct hl_response *response, const char *line, size_t length)
{
    struct text text = { line, length }, name;
    const char *colon;

    if (text.length && text.at[text.length - 1] == '\n')
        text.length--;
    while (text.length && text.at[text.length - 1] == '\r')
        text.length--;
    if (text.length == 0)
        return;
    if (text.length >= 5 && strncasecmp(text.at, "HTTP/", 5) == 0) {
        read_status(response, text);
        return;
    }
    colon = memchr(text.at, ':', text.length);
    if (is_blank(text.at[0])) { /* goes on from the line before, which we have read as if whole */
        response->malformed = true;
    } else if (colon) {
        name = (struct text){ text.at, (size_t)(colon - text.at) };
        text.length -= name.length + 1;
        text.at = colon + 1;
        read_header(response, name, trim(text));
    }
}

/* ---- the validator ------------------------------------------------------- */

/* A pair of quotes with something between that is not a quote: RFC 9110, 8.8.3. */
static bool is_strong(const char *etag)
{
    size_t length = strlen(etag);

    return length >= 3 && etag[0] == '"' && etag[length - 1] == '"' &&
           memchr(etag + 1, '"', length - 2) == NULL;
}

enum hl_validator_kind hl_response_validator(const struct hl_response *response,
                                             char ret_validator[HL_VALIDATOR_BYTES])
{
    if (is_strong(response->etag)) {
        strcpy(ret_validator, response->etag);
        return HL_VALIDATOR_ETAG;
    }
    strcpy(ret_validator, response->last_modified);
    return response->last_modified[0] ? HL_VALIDATOR_LAST_MODIFIED : HL_VALIDATOR_NONE;
}
