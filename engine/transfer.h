/* SPDX-License-Identifier: MIT
 *
 * transfer.h - requests to remote stores.  One thread of this process drives them all, over
 * libcurl's multi interface: kept-alive connections, HTTP/2 where it is offered, at most
 * HUGELITE_HTTP_REQUESTS in flight, repeated when that helps, and hedged when the first byte is
 * late.
 *
 * A transfer asks for one range of one version of one object.
 *
 *     struct hl_transfer transfer = { .target = ..., .length = ..., .buffer = ... };
 *     rc = hl_transfer_start(&transfer);
 *     if (rc == 0)
 *         rc = hl_transfer_wait(&transfer);
 *
 * One that was started is the transfer thread's until hl_transfer_wait() or hl_transfer_cancel()
 * has returned; each must see one of them, since `arrived` runs a little before the end of the end.
 *
 * What fails, fails with
 *   -ENOENT        404, 410                       -EACCES      401, 403, 407
 *   -ESTALE        412, or any sign of another version or size
 *   -EHOSTUNREACH  DNS, no route                  -ECONNREFUSED, -ECONNRESET
 *   -ETIMEDOUT     the deadline has passed; the sentence says what was waited for
 *   -EPROTO        TLS
 *   -EIO           an answer that is wrong, or stays 5xx or 429: response.status tells them apart
 *   -ECANCELED     given up, or the process is ending
 */
#ifndef HL_TRANSFER_H
#define HL_TRANSFER_H

#include "pace.h"
#include "response.h"
#include "stage.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hl_stats;

/* What is added to a request so that the store accepts it; filled anew for each attempt. */
struct hl_authority {
    char sigv4[128];    /* CURLOPT_AWS_SIGV4, as in "aws:amz:eu-west-1:s3"; "" = do not sign */
    char user[1024];    /* CURLOPT_USERPWD: "key:secret"; "" = what the URL has */
    char headers[3][4200]; /* whole header lines; "" = none.  A session token may be long */
};

/* An object as it is asked for.  Outlives its transfers.  Zeroed but for what is set. */
struct hl_target {
    char *url;               /* with all that it needs, credentials too: never shown */
    const char *name;        /* for people */
    bool may_redirect;       /* follow redirects, at most 5, from https to https only; credentials
                              * do not go to another host.  Not for requests that are authorized:
                              * their headers are for one place */
    /* NULL, or called in the transfer thread before each attempt; must not block.  0 or -errno,
     * with its sentence in hl_error(). */
    int (*authorize)(struct hl_target *target, struct hl_authority *ret_authority);
    /* NULL, or called in the transfer thread when an answer other than 2xx names the region that
     * the bucket is in (x-amz-bucket-region): the URL to ask from now on, malloc'ed; NULL = the
     * answer stands. */
    char *(*relocate)(struct hl_target *target, const char *region);
    struct hl_target *replaced; /* remote.c's: another way to ask for the same, that was in use before */
    void *arg;               /* for authorize and relocate */
    _Atomic(char *) moved;   /* where redirects or relocate() have led, used from then on; NULL =
                              * nowhere.  Set by transfer.c, freed by who frees the target */
    struct hl_pace pace;     /* transfer.c's; so is the next: the last answer came over HTTP/2 */
    bool multiplexes;
};

enum { HL_TRANSFER_RUNNING = 1, HL_TRANSFER_ENDED };

struct hl_transfer {
    /* ---- set by who starts it */
    struct hl_target *target;
    struct hl_stats *stats;   /* source_bytes and requests are counted here; NULL = nowhere */
    uint64_t src_offset;
    uint32_t length;          /* of the buffer; never 0 */
    bool suffix;              /* the last `length` bytes, or all if there are fewer; src_offset is
                               * not used */
    bool may_be_short;        /* a shorter object than src_offset + length is fine: the rest does
                               * not come */
    enum hl_validator_kind validator_kind; /* If-Match with `validator`; HL_VALIDATOR_NONE = the
                                            * present version */
    const char *validator;    /* outlives the transfer */
    uint64_t src_bytes;       /* the object's size if known, 0 if not: another one is -ESTALE */
    enum hl_urgency urgency;
    uint64_t deadline_ns;     /* CLOCK_MONOTONIC; 0 = HUGELITE_HTTP_TIMEOUT from now, and a second
                               * more for each 64 KiB that have come, so that a slow link has its
                               * time */
    void *buffer;
    /* Called in the transfer thread, under no lock, may be NULL: so many bytes from the beginning
     * have come; rc > 0 = more will, else it is the end: 0 or -errno.  It must not block, and
     * neither wait for nor cancel a transfer; it may start one. */
    void (*arrived)(struct hl_transfer *transfer, uint32_t bytes, int rc);
    void *arg;

    /* ---- set when it has ended */
    int rc;
    char sentence[512];       /* why, when rc < 0; without credentials */
    struct hl_response response; /* status 0 = none; `first` and `last` are of all that came, though
                                  * it came in several pieces */
    uint32_t received;

    /* ---- transfer.c's own */
    void *own;
    unsigned life;            /* of which it is: a fork() begins another */
    _Atomic uint32_t state;   /* a futex: 0 = never started, else HL_TRANSFER_RUNNING or _ENDED */
};

/* 0, or -errno when it cannot even begin (-ENOMEM, -EMFILE, -EPROTONOSUPPORT without libcurl,
 * -ECANCELED when the process is ending). */
int hl_transfer_start(struct hl_transfer *transfer);

/* Wait for the end.  Returns rc, with the sentence in hl_error(); -ECHILD after fork(). */
int hl_transfer_wait(struct hl_transfer *transfer);

/* Give up; after it returns no callback runs and the buffer is the caller's.  Fine after the end. 
 * It waits for a callback that runs: call it under no lock that `arrived` takes.  Fine on zeroed
 * memory, too. */
void hl_transfer_cancel(struct hl_transfer *transfer);

/* It matters more now.  Fine after the end. */
void hl_transfer_hurry(struct hl_transfer *transfer);

/* Bytes per second that this process's transfers have got lately while they were busy; 0 = not
 * known. */
uint64_t hl_transfer_rate(void);

/* Nanoseconds until the first byte, median of lately; 0 = not known. */
uint64_t hl_transfer_latency_ns(void);

/* HUGELITE_HTTP_TIMEOUT in nanoseconds (default 30 s). */
uint64_t hl_transfer_timeout_ns(void);

/* Who has brought no byte of a body for so long is asked again for the rest: 1 s, or longer where first
 * bytes take long.  A test that counts requests sets it to 0: nobody is late, and nothing is hedged. */
extern uint64_t hl_stall_ns;

/* For pool.c's atfork handlers: a child has no transfer thread, and begins anew when it starts one.
 * */
void hl_transfer_fork_prepare(void);
void hl_transfer_fork_parent(void);
void hl_transfer_fork_child(void);

#endif
