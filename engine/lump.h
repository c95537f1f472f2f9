/* SPDX-License-Identifier: MIT
 *
 * lump.h - the memory that stages are brought into: from some bytes to HL_STAGE_MAX, touched, and
 * used again, since the first touch of megabytes costs as much as fetching them from a fast
 * store.
 */
#ifndef HL_LUMP_H
#define HL_LUMP_H

#include <stdint.h>

struct hl_lump {
    void *bytes;
    uint32_t room;
};

/* 0 or -ENOMEM. */
int hl_lump_get(uint32_t bytes, struct hl_lump *ret_lump);
void hl_lump_put(struct hl_lump *lump);

/* Give idle lumps back to the system; returns how many are still kept.  To be called now and
 * then. */
unsigned hl_lump_trim(void);

#endif
