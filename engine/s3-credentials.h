/* SPDX-License-Identifier: MIT
 *
 * s3-credentials.h - the keys that requests are signed with: found as the AWS tools find them,
 * renewed before they expire, and never shown.
 *
 * In this order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), the credentials
 * file, the config file (s3-config.h), the container endpoint, the instance's metadata service.
 * When none has any, requests are not signed: that reads public objects.
 */
#ifndef HL_S3_CREDENTIALS_H
#define HL_S3_CREDENTIALS_H

#include "s3-issuer.h"

struct hl_s3_config;
struct hl_s3_credentials;

/* Keys of the environment and of files are read anew by each open; those of an issuer belong to
 * the process.  An issuer that does not answer is no failure yet.  0; -EACCES: half a pair of
 * keys, an issuer that answers with no keys, or a profile that demands what is not supported
 * (role_arn, SSO, credential_process, web identity, login); what hl_s3_issuer_find() says. */
int hl_s3_credentials_open(const struct hl_s3_config *config,
                           struct hl_s3_credentials **ret_credentials);
void hl_s3_credentials_close(struct hl_s3_credentials *credentials); /* NULL is fine */

/* Ask the issuer anew when that is due: from five minutes before the keys expire.  One thread
 * asks, and the others go on with what is still good.  What comes of it the next copy tells. */
void hl_s3_credentials_refresh(struct hl_s3_credentials *credentials);

/* A copy, to be wiped; an empty id = anonymous.  Does not block.  0, or why there are no good
 * keys: what hl_s3_issuer_ask() has said. */
int hl_s3_credentials_copy(struct hl_s3_credentials *credentials, struct hl_s3_keys *ret_keys);

/* "" when there are keys; else, for people, where none were found. */
const char *hl_s3_credentials_sought(const struct hl_s3_credentials *credentials);

/* After an issuer has answered, whatever it was, nobody asks it again for so long: a minute;
 * after a failure a sixth of that.  A test sets it lower. */
extern uint64_t hl_s3_pause_ns;

/* For pool.c's atfork handlers: a child does not wait for an answer that its parent's thread
 * awaits. */
void hl_s3_fork_prepare(void);
void hl_s3_fork_parent(void);
void hl_s3_fork_child(void);

#endif
