/* SPDX-License-Identifier: MIT
 *
 * attempt.h - one try of a transfer: a request over one curl handle, and what comes back.  Only the
 * transfer thread has them.
 */
#ifndef HL_ATTEMPT_H
#define HL_ATTEMPT_H

#include "answer.h"
#include "curl.h"
#include "transfer.h"

/* Where certificates of authorities are, by the usual environment; NULL = where libcurl looks. */
struct hl_authorities {
    char *file, *path;
    char *store_file; /* AWS_CA_BUNDLE: for targets that authorize */
};

void hl_authorities_read(struct hl_authorities *ret_authorities);
void hl_authorities_free(struct hl_authorities *authorities);

struct hl_attempt {
    /* ---- set by who begins it */
    struct hl_target *target;
    struct hl_question question;
    char *buffer;              /* where the answer's first byte goes */
    bool is_hedge;
    uint64_t patience_ns;      /* until the deadline */
    /* The headers are right.  False: somebody else was faster, drop it. */
    bool (*won)(struct hl_attempt *attempt);
    void (*got)(struct hl_attempt *attempt); /* more bytes */
    void *arg;

    /* ---- what has come of it */
    CURL *easy;
    uint64_t begun_ns, sent_ns, first_ns, last_ns; /* 0 = not yet */
    unsigned sockets;          /* opened for it: 0 = on a connection that was there */
    bool at_moved;             /* asked where target->moved says */
    bool judged;
    bool dropped;
    struct hl_response response;
    struct hl_answer answer;
    uint32_t received;
    uint64_t wire_bytes;       /* of bodies, wanted or not; who counts them takes them off here */
    unsigned requests;         /* sent: redirects, and libcurl's own second try over a connection
                                * that turned out to be dead; likewise */

    /* ---- its own */
    bool follows, has_location;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
    char body[512];            /* the beginning of one that is not wanted */
    uint32_t body_bytes;
};

/* Make ready for curl_multi_add_handle().  0, or -errno with its sentence in attempt->answer. */
int hl_attempt_begin(struct hl_attempt *attempt, const struct hl_authorities *authorities);

/* It is over with this code: attempt->answer says what it was worth. */
void hl_attempt_settle(struct hl_attempt *attempt, CURLcode code);

/* Where redirects have led, malloc'ed; NULL = nowhere, or to where credentials of the URL are
 * needed again. */
char *hl_attempt_moved(const struct hl_attempt *attempt);

/* After curl_multi_remove_handle(); the handle itself stays, ready for another. */
void hl_attempt_end(struct hl_attempt *attempt);

/* The host of a URL; "" when there is none. */
void hl_attempt_host(const char *url, char *ret_host, size_t room);

/* In the child of fork(): the parent's connections are not ours. */
void hl_attempt_forget_sockets(void);

#endif
