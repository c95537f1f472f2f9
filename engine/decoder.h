/* SPDX-License-Identifier: MIT
 *
 * decoder.h - the memory that decoding needs, kept from one read to the next.
 */
#ifndef HL_DECODER_H
#define HL_DECODER_H

#include <stddef.h>

struct ZSTD_DCtx_s;

/* One thread's at a time. */
struct hl_decoder {
    struct hl_decoder *next;
    struct ZSTD_DCtx_s *context;
    unsigned char *input;   /* encoded bytes; NULL = none yet */
    unsigned char *scratch; /* a frame of which only a part is asked for; NULL = none yet */
    size_t input_bytes, scratch_bytes, bytes;
};

/* NULL when there is no memory.  Any thread; takes no lock of malloc, so the fault thread may
 * call it. */
struct hl_decoder *hl_decoder_get(void);
void hl_decoder_put(struct hl_decoder *decoder);

/* Make room; what was in there is lost.  0 or -ENOMEM, without a message. */
int hl_decoder_reserve_input(struct hl_decoder *decoder, size_t bytes);
int hl_decoder_reserve_scratch(struct hl_decoder *decoder, size_t bytes);

/* Give memory back that has not been used since the last call; returns how many pieces are
 * still kept.
 * The fault thread calls it now and then. */
unsigned hl_decoder_trim(void);

/* Around fork(). */
void hl_decoder_fork_prepare(void);
void hl_decoder_fork_done(void);

#endif
