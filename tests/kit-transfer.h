/* SPDX-License-Identifier: MIT
 *
 * kit-transfer.h - for tests of transfers: targets, and a transfer from its start to its end.
 */
#ifndef HUGELITE_TEST_KIT_TRANSFER_H
#define HUGELITE_TEST_KIT_TRANSFER_H

#include "kit-origin.h"
#include "stats.h"
#include "transfer.h"

/* A directory for what the origin serves; the same each time. */
const char *kit_transfer_dir(void);

/* A target of this URL, which follows no redirects, with nothing known of its pace. */
void kit_target(struct hl_target *target, const char *url);

/* Start and wait. */
int kit_transfer(struct hl_transfer *transfer);

/* A fork(), with the transfers' handlers as pool.c has them. */
pid_t kit_transfer_fork(void);

#endif
