/* SPDX-License-Identifier: MIT
 *
 * catalog-check.h - is the file of an LMDB environment one that LMDB can be let loose on?
 *
 * LMDB believes its file: one that is damaged or cut short ends the process.  So whoever is alone with
 * it reads it first, page by page, and looks at all that LMDB goes by.
 */
#ifndef HL_CATALOG_CHECK_H
#define HL_CATALOG_CHECK_H

#include <stdint.h>

/* Nobody may write the file meanwhile.  map_bytes is what LMDB will map.
 *
 * 0: sound, or empty; -EBADMSG: not, and *ret_why says why; else why it cannot be told. */
int hl_catalog_check(int fd, uint64_t map_bytes, const char **ret_why);

#endif
