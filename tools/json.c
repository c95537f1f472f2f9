/* SPDX-License-Identifier: MIT
 *
 * A small JSON writer: one line, members in the order they are given.  File names are
 * bytes, JSON is UTF-8, so what is not well-formed UTF-8 becomes U+FFFD.
 *
 * Entry points: hl_json_begin(), hl_json_open(), hl_json_close(), one per kind of value.
 * See also: stat.c, doctor.c, sql.c (users).
 */
#include <config.h>

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools.h"

/* Bytes of the well-formed UTF-8 character at s, at most room; 0 = not one.  No overlong
 * forms, no surrogates, nothing past U+10FFFF (RFC 3629). */
static size_t utf8_length(const unsigned char *s, size_t room)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (n > room)
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

static void write_text(FILE *out, const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n;

    fputc('"', out);
    for (size_t i = 0; i < length; i += n) {
        n = utf8_length(s + i, length - i);
        if (n == 0) {
            fputs("\\ufffd", out);
            n = 1;
        } else if (s[i] == '"' || s[i] == '\\') {
            fputc('\\', out);
            fputc(s[i], out);
        } else if (s[i] == '\n') {
            fputs("\\n", out);
        } else if (s[i] == '\t') {
            fputs("\\t", out);
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            fprintf(out, "\\u%04x", s[i]);
        } else {
            fwrite(s + i, 1, n, out);
        }
    }
    fputc('"', out);
}

static void begin_member(struct hl_json *json, const char *key)
{
    if (json->begun[json->depth])
        fputc(',', json->out);
    json->begun[json->depth] = true;
    if (key) {
        write_text(json->out, key, strlen(key));
        fputc(':', json->out);
    }
}

void hl_json_begin(struct hl_json *json, FILE *out)
{
    memset(json, 0, sizeof *json);
    json->out = out;
}

void hl_json_open(struct hl_json *json, const char *key, char bracket)
{
    begin_member(json, key);
    fputc(bracket, json->out);
    json->depth++;
    assert(json->depth < sizeof json->begun / sizeof json->begun[0]);
    json->begun[json->depth] = false;
}

void hl_json_close(struct hl_json *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    fputc(bracket, json->out);
    if (json->depth == 0)
        fputc('\n', json->out);
}

void hl_json_text(struct hl_json *json, const char *key, const char *text, size_t length)
{
    begin_member(json, key);
    write_text(json->out, text, length);
}

void hl_json_string(struct hl_json *json, const char *key, const char *text)
{
    if (text)
        hl_json_text(json, key, text, strlen(text));
    else
        hl_json_null(json, key);
}

void hl_json_number(struct hl_json *json, const char *key, uint64_t number)
{
    begin_member(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void hl_json_integer(struct hl_json *json, const char *key, int64_t number)
{
    begin_member(json, key);
    fprintf(json->out, "%" PRId64, number);
}

void hl_json_real(struct hl_json *json, const char *key, double number)
{
    begin_member(json, key);
    /* JSON knows no infinity; 1e999 is what becomes one in every reader. */
    if (isinf(number)) {
        fputs(number > 0 ? "1e999" : "-1e999", json->out);
    } else if (isnan(number)) {
        fputs("null", json->out);
    } else {
        char text[40];

        /* The shortest that reads back as the same number. */
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, number);
            if (strtod(text, NULL) == number)
                break;
        }
        /* A real number stays one for readers that tell 1.0 from 1. */
        fprintf(json->out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
    }
}

void hl_json_bool(struct hl_json *json, const char *key, bool value)
{
    begin_member(json, key);
    fputs(value ? "true" : "false", json->out);
}

void hl_json_null(struct hl_json *json, const char *key)
{
    begin_member(json, key);
    fputs("null", json->out);
}
