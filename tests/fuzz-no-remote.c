/* SPDX-License-Identifier: MIT
 *
 * fuzz-no-remote.c - in place of the remote sources, for fuzz targets that read local bytes: they are
 * compiled without libcurl, LMDB and all that is between.
 */
#include "config.h"

#include "source.h"
#include "stage.h"

#include <errno.h>

const struct hl_source_ops hl_source_http = { .prefix = "http://" };
const struct hl_source_ops hl_source_https = { .prefix = "https://" };
const struct hl_source_ops hl_source_s3 = { .prefix = "s3://" };

int hl_stage_borrow(struct hl_source *source, uint64_t src_offset, uint32_t length,
                    const void **ret_bytes, struct hl_stage **ret_loan)
{
    (void)source, (void)src_offset, (void)length, (void)ret_bytes, (void)ret_loan;
    return -ENOENT;
}

void hl_stage_return(struct hl_stage *loan)
{
    (void)loan;
}
