/* SPDX-License-Identifier: MIT
 *
 * answer.h - does a response answer what was asked?  The rules by which a transfer takes bytes, or
 * says why not, in one place; nothing here talks to anybody.
 *
 * Source: RFC 9110, 14 (ranges), 13.1 (preconditions), 15 (status codes).
 */
#ifndef HL_ANSWER_H
#define HL_ANSWER_H

#include "response.h"

/* What is asked for.  Fields as in struct hl_transfer. */
struct hl_question {
    const char *name;
    uint64_t src_offset;
    uint32_t length;
    bool suffix, may_be_short;
    enum hl_validator_kind validator_kind;
    const char *validator;
    uint64_t src_bytes;
};

enum hl_again {
    HL_AGAIN_NEVER,   /* the next answer would be the same */
    HL_AGAIN_FEW,     /* nobody can be reached: it may be a hiccup, more likely it is not */
    HL_AGAIN_OFTEN,
};

struct hl_answer {
    int rc;               /* 0 = the bytes that follow are those; else -errno */
    enum hl_again again;  /* if rc < 0: may it help to ask again? */
    uint64_t src_offset;  /* of the first byte that comes */
    uint32_t length;      /* so many bytes must come */
    char sentence[512];   /* if rc < 0 */
};

/* The headers are complete; they are not those of an interim response or of a redirect that is
 * followed. */
void hl_answer_judge(const struct hl_question *question, const struct hl_response *response,
                     struct hl_answer *ret_answer);

/* Fill in a failure and its sentence, which begins with the name. */
void hl_answer_fail(struct hl_answer *answer, const char *name, int err, enum hl_again again,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
