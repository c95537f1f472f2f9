/* SPDX-License-Identifier: MIT
 *
 * fill.h - the bytes of a chunk that is claimed.
 */
#ifndef HL_FILL_H
#define HL_FILL_H

#include <stdbool.h>
#include <stdint.h>

struct hl_volume;

/* What there is of a chunk that we have claimed (FILLING): a buffer, and in it from..to
 * decoded already. */
struct hl_fill {
    struct hl_volume *volume;
    uint32_t index;
    uint32_t from, to;
    char *buffer; /* of HL_CHUNK_BYTES */
    bool asked;   /* this thread's caller waits for it; else it can as well not be */
    bool staged;  /* a haul has its encoded bytes in memory */
    bool if_room; /* nothing is to leave for it */
};

/* Decode the rest, in parts by the idle threads of the crew as well, and populate.  The chunk has its
 * ticket.  0 or -errno; -EBUSY when the file system is full, -ENOSPC when only this process gets no page
 * of it: its cgroup is full. */
int hl_fill(const struct hl_fill *fill);

/* Read and decode some bytes, in this thread, and count what it took. */
int hl_fill_decode(struct hl_volume *volume, uint64_t offset, uint32_t length, void *buffer);

/* Extend a range of a chunk to whole frames, as far as they lie in it: what is decoded for a reader need
 * not be decoded again.  False when it is not known where frames end. */
bool hl_fill_widen(const struct hl_volume *volume, uint32_t index, uint32_t *from, uint32_t *to);

#endif
