/* SPDX-License-Identifier: MIT
 *
 * stream.h - frames that are too large to be decoded in one go, as others may have made them.
 */
#ifndef HL_STREAM_H
#define HL_STREAM_H

#include <stdint.h>

struct hl_codec_work;
struct hl_frame;

/* What must be kept in memory to go on from where a frame has been left.  128 MiB, as in zstd itself. */
#define HL_STREAM_WINDOW_MAX (1u << 27)

/* Of one codec: which of its frames have been decoded to their end once, and were right. */
struct hl_stream_frames {
    _Atomic unsigned char *checked; /* bit per frame */
};

/* Decode length bytes at offset of a frame (not of the image).  Nothing is given out of a frame
 * before all of it has been checked, which costs its first reader one pass over it. */
int hl_stream_read(struct hl_stream_frames *frames, const struct hl_frame *frame, uint32_t offset,
                   uint32_t length, void *buffer, struct hl_codec_work *work);

/* Give up what is kept for a codec that is about to be closed. */
void hl_stream_forget(struct hl_stream_frames *frames);

/* For decoder.c. */
unsigned hl_stream_trim(void);
void hl_stream_fork_prepare(void);
void hl_stream_fork_done(void);

#endif
