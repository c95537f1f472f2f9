/* SPDX-License-Identifier: MIT
 *
 * json.c - reads one flat JSON object, strictly: who answers with anything else is not the
 * endpoint that we have asked for credentials.
 *
 * Entry point: hl_json_read().  See also: s3-issuer.c, tests/fuzz-json.c.
 */
#include "config.h"

#include "json.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { MAX_KEYS = 64 };

struct reader {
    const char *p, *end;
    const char *wrong; /* NULL = all is well so far */
};

/* Where a string goes; room 0 = nowhere, it is only checked. */
struct sink {
    char *bytes;
    size_t room, used;
};

static bool fail(struct reader *reader, const char *why)
{
    if (!reader->wrong)
        reader->wrong = why;
    return false;
}

static void skip_blanks(struct reader *reader)
{
    while (reader->p < reader->end && strchr(" \t\r\n", *reader->p) && *reader->p)
        reader->p++;
}

/* The next character, if it is this one. */
static bool take(struct reader *reader, char c)
{
    if (reader->p == reader->end || *reader->p != c)
        return false;
    reader->p++;
    return true;
}

static bool put(struct reader *reader, struct sink *sink, char c)
{
    if (!sink->room)
        return true;
    if (!c)
        return fail(reader, "a value holds a NUL");
    if (sink->used + 1 >= sink->room)
        return fail(reader, "a value is too long");
    sink->bytes[sink->used++] = c;
    return true;
}

static bool put_utf8(struct reader *reader, struct sink *sink, uint32_t point)
{
    if (point < 0x80)
        return put(reader, sink, (char)point);
    if (point < 0x800)
        return put(reader, sink, (char)(0xc0 | point >> 6)) &&
               put(reader, sink, (char)(0x80 | (point & 0x3f)));
    if (point < 0x10000)
        return put(reader, sink, (char)(0xe0 | point >> 12)) &&
               put(reader, sink, (char)(0x80 | (point >> 6 & 0x3f))) &&
               put(reader, sink, (char)(0x80 | (point & 0x3f)));
    return put(reader, sink, (char)(0xf0 | point >> 18)) &&
           put(reader, sink, (char)(0x80 | (point >> 12 & 0x3f))) &&
           put(reader, sink, (char)(0x80 | (point >> 6 & 0x3f))) &&
           put(reader, sink, (char)(0x80 | (point & 0x3f)));
}

/* The four digits of \uXXXX. */
static bool read_unit(struct reader *reader, uint32_t *ret_unit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++) {
        const char *digit;

        if (reader->p == reader->end || !*reader->p || !(digit = strchr(digits, *reader->p)))
            return fail(reader, "a \\u has not four hexadecimal digits");
        unit = unit << 4 | (uint32_t)((digit - digits) & 15);
        reader->p++;
    }
    *ret_unit = unit;
    return true;
}

static bool read_point(struct reader *reader, struct sink *sink)
{
    uint32_t high, low;

    if (!read_unit(reader, &high))
        return false;
    if (high < 0xd800 || high > 0xdfff)
        return put_utf8(reader, sink, high);
    if (high > 0xdbff || !take(reader, '\\') || !take(reader, 'u') || !read_unit(reader, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return fail(reader, "half of a surrogate pair");
    return put_utf8(reader, sink, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static bool read_escape(struct reader *reader, struct sink *sink)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (take(reader, 'u'))
        return read_point(reader, sink);
    if (reader->p == reader->end || !*reader->p || !(name = strchr(names, *reader->p)))
        return fail(reader, "an unknown escape");
    reader->p++;
    return put(reader, sink, values[name - names]);
}

static bool read_string(struct reader *reader, struct sink *sink)
{
    if (!take(reader, '"'))
        return fail(reader, "a string was expected");
    while (!take(reader, '"')) {
        if (reader->p == reader->end)
            return fail(reader, "it ends within a string");
        if ((unsigned char)*reader->p < 0x20)
            return fail(reader, "a control character in a string");
        if (take(reader, '\\') ? !read_escape(reader, sink) : !put(reader, sink, *reader->p++))
            return false;
    }
    if (sink->room)
        sink->bytes[sink->used] = '\0';
    return true;
}

/* A number, true, false or null: of no interest here, so its characters are looked at, not its
 * sense. */
static bool skip_scalar(struct reader *reader)
{
    const char *begin = reader->p;

    while (reader->p < reader->end && *reader->p &&
           strchr("abcdefghijklmnopqrstuvwxyzE0123456789+-.", *reader->p))
        reader->p++;
    return reader->p > begin || fail(reader, "a value is no string, number, true, false or null");
}

static bool read_member(struct reader *reader, struct hl_json_member *members, unsigned nr)
{
    struct hl_json_member *member = NULL;
    struct sink nowhere = { 0 }, value = { 0 };
    char key[64];
    struct sink name = { .bytes = key, .room = sizeof key };

    skip_blanks(reader);
    if (!read_string(reader, &name))
        return false;
    skip_blanks(reader);
    if (!take(reader, ':'))
        return fail(reader, "a ':' was expected");
    skip_blanks(reader);

    for (unsigned i = 0; i < nr; i++)
        if (strcmp(members[i].key, key) == 0)
            member = &members[i];
    if (reader->p == reader->end || *reader->p != '"')
        return skip_scalar(reader);
    if (!member)
        return read_string(reader, &nowhere);
    if (member->found)
        return fail(reader, "a key comes twice");
    value = (struct sink){ .bytes = member->value, .room = member->room };
    member->found = read_string(reader, &value);
    return member->found;
}

static bool read_object(struct reader *reader, struct hl_json_member *members, unsigned nr)
{
    skip_blanks(reader);
    if (!take(reader, '{'))
        return fail(reader, "it is not a JSON object");
    skip_blanks(reader);
    if (!take(reader, '}')) {
        for (unsigned keys = 0;; keys++) {
            if (keys == MAX_KEYS)
                return fail(reader, "it has too many members");
            if (!read_member(reader, members, nr))
                return false;
            skip_blanks(reader);
            if (take(reader, '}'))
                break;
            if (!take(reader, ','))
                return fail(reader, "a ',' or '}' was expected");
        }
    }
    skip_blanks(reader);
    return reader->p == reader->end || fail(reader, "something follows the object");
}

int hl_json_read(const char *text, size_t length, struct hl_json_member *members, unsigned nr,
                 const char **ret_wrong)
{
    struct reader reader = { .p = text, .end = text + length };

    for (unsigned i = 0; i < nr; i++)
        members[i].found = false;
    if (read_object(&reader, members, nr))
        return 0;
    *ret_wrong = reader.wrong;
    return -EBADMSG;
}
