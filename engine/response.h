/* SPDX-License-Identifier: MIT
 *
 * response.h - the headers of an HTTP response, line by line, and whether they answer what was
 * asked. Bytes in, facts out: nothing here talks to anybody.  They are not trusted
 * (tests/fuzz-response.c).
 *
 * Source: RFC 9110 (Content-Range 14.4, ETag 8.8.3, Retry-After 10.2.3), RFC 7233.
 */
#ifndef HL_RESPONSE_H
#define HL_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_VALIDATOR_BYTES 256

enum hl_validator_kind {
    HL_VALIDATOR_NONE,
    HL_VALIDATOR_ETAG,          /* a strong entity tag, quotes and all: pinned by If-Match */
    HL_VALIDATOR_VERSION,       /* an object store's version id, part of the URL */
    HL_VALIDATOR_LAST_MODIFIED, /* weak: the date and the length; If-Unmodified-Since */
};

struct hl_response {
    unsigned status;           /* of the last status line; 0 = none yet */
    bool has_range;            /* Content-Range: bytes first-last/total */
    bool has_total;            /* total is known; without has_range from "bytes *" "/total" of a 416
                                * */
    uint64_t first, last, total; /* total: UINT64_MAX when the server said '*' */
    bool has_length;
    uint64_t length;           /* Content-Length */
    char etag[HL_VALIDATOR_BYTES]; /* as sent, with quotes and W/; "" = none, or one that is too
                                    * long or has control characters */
    char last_modified[64];
    char version_id[HL_VALIDATOR_BYTES]; /* x-amz-version-id */
    char region[64];           /* x-amz-bucket-region */
    char encoding[32];         /* Content-Encoding; "" = none, or identity */
    char type[64];             /* Content-Type, without its parameters */
    uint32_t retry_after_s;    /* 0 = none, or a date, which depends on whose clock is right */
    bool malformed;            /* some header that we need could not be read, or came twice and
                                * differed */
};

/* One header line, without or with its CR LF.  A status line begins a new response. */
void hl_response_line(struct hl_response *response, const char *line, size_t length);

/* The validator that pins this version: a strong ETag if there is one, else Last-Modified, else
 * HL_VALIDATOR_NONE and "". */
enum hl_validator_kind hl_response_validator(const struct hl_response *response,
                                             char ret_validator[HL_VALIDATOR_BYTES]);

#endif
