/* SPDX-License-Identifier: MIT
 *
 * json.h - the values of one flat JSON object: what credential endpoints answer.  Bytes in,
 * strings out; they are not trusted.
 *
 * Source: RFC 8259.  Stricter: no value may be an object or an array, and no key may come twice.
 */
#ifndef HL_JSON_H
#define HL_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A member that is wanted, if its value is a string. */
struct hl_json_member {
    const char *key;
    char *value;  /* room bytes; UTF-8, ends with a NUL.  Untouched when there is no such member,
                   * or when its value is no string */
    size_t room;
    bool found;
};

/* 0, or -EBADMSG with what is wrong in *ret_wrong: not such an object, or a wanted value that
 * has no room or holds a NUL.  Values that came before stay written. */
int hl_json_read(const char *text, size_t length, struct hl_json_member *members, unsigned nr,
                 const char **ret_wrong);

#endif
