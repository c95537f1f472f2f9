/* SPDX-License-Identifier: MIT
 *
 * kit-aws.h - an AWS of the test's own: aws.py, which issues keys and recomputes signatures, and
 * an environment in which nothing of the user's or the machine's is found.
 *
 * See also: aws.py (its files), kit-origin.h (a real S3 store).
 */
#ifndef HUGELITE_TEST_KIT_AWS_H
#define HUGELITE_TEST_KIT_AWS_H

#include "test.h"

/* Unset every AWS_ variable, no proxies, and a HOME that is a new directory, which is returned.
 * No metadata service is asked. */
const char *kit_aws_nothing(void);

/* Write a file, which is made with its directories if need be: "~/" is the new HOME. */
void kit_aws_write(const char *path, const char *format, ...) TEST_PRINTF(2, 3);

/* Start aws.py; it dies with the thread that calls.  Its directory is returned. */
const char *kit_aws_serve(unsigned *ret_port);

/* How many lines of its log have this in them. */
unsigned kit_aws_count(const char *dir, const char *needle);

#endif
