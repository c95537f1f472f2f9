/* SPDX-License-Identifier: MIT
 *
 * kit-origin.h - the servers that tests of remote databases talk to: origin.py, which misbehaves
 * as it is told, a real nginx, and a real S3 store (Ceph's RADOS Gateway).  All listen on
 * 127.0.0.1, on free ports, and die with the test.
 *
 * Start them from the main thread: they die with the thread that started them.  What is not
 * installed skips the test.  A child of fork() may ask and order, but not stop.
 *
 * See also: origin.py (the orders), serve-nginx, start-rgw, s3.py; functions.sh.in has the same.
 */
#ifndef HUGELITE_TEST_KIT_ORIGIN_H
#define HUGELITE_TEST_KIT_ORIGIN_H

#include "test.h"

/* ---- origin.py ------------------------------------------------------------- */

struct kit_origin;

/* Serve the files of a directory. */
struct kit_origin *kit_origin(const char *dir);
/* The same with TLS; certificates: a directory made by kit_certificates(). */
struct kit_origin *kit_origin_tls(const char *dir, const char *certificates);
void kit_origin_stop(struct kit_origin *origin);

/* "http://127.0.0.1:PORT" and the path, which begins with a slash; kept until exit. */
const char *kit_origin_url(const struct kit_origin *origin, const char *path);
unsigned kit_origin_port(const struct kit_origin *origin);

/* An order, as origin.py lists them: "fault path=/x.db count=2 status=503".  A wrong one fails the
 * test. */
void kit_origin_order(struct kit_origin *origin, const char *format, ...) TEST_PRINTF(2, 3);

struct kit_origin_stat {
    uint64_t requests;
    uint64_t bytes;             /* of bodies, sent */
    uint64_t in_flight;
    uint64_t most_in_flight;
    uint64_t connections;
};
struct kit_origin_stat kit_origin_stat(struct kit_origin *origin);

/* A line for each request that has been answered; free() it. */
char *kit_origin_log(struct kit_origin *origin);

/* How many lines of the log have this in them. */
unsigned kit_origin_count(struct kit_origin *origin, const char *needle);

/* ---- nginx and the S3 store -------------------------------------------------- */

/* A directory with a throw-away CA, ca.pem, and a certificate for 127.0.0.1 and localhost,
 * server.pem. */
const char *kit_certificates(void);

/* Serve the files of a directory.  certificates: NULL, or https with HTTP/2.  auth: NULL, or
 * "user:password". ret_log (may be NULL) is the path of the log, as serve-nginx has it.  Returns
 * the URL of the directory, without a slash at its end, kept until exit. */
const char *kit_nginx(const char *dir, const char *certificates, const char *auth,
                      const char **ret_log);

/* Start an S3 store; takes two seconds.  Sets AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY in the environment of the test, and AWS_CA_BUNDLE with tls. */
void kit_rgw(bool tls);

/* Run s3.py, as in kit_s3("put", "bucket", "key", "/path", NULL).  Returns what it prints,
 * without the newline; free() it. */
char *kit_s3(const char *verb, ...) __attribute__((sentinel));

#endif
