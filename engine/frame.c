/* SPDX-License-Identifier: MIT
 *
 * frame.c - decodes one frame, and trusts neither it nor its entry in the seek table.  The two
 * must agree about its sizes and about its checksum, and its bytes must have that checksum.
 *
 * Entry points: frame.h.  See also: stream.c (frames too large for one go), codec-zstd.c.
 */
#include "config.h"

#define ZSTD_STATIC_LINKING_ONLY /* frame headers */
#include <zstd.h>
#include <zstd_errors.h>

#include "frame.h"

#include "error.h"
#include "source.h"

#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>

int hl_frame_wrong(const struct hl_frame *frame, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hl_error(EBADMSG, "%s: frame %lu (decoded bytes %llu to %llu): %s", frame->source->name,
                    (unsigned long)frame->number, (unsigned long long)frame->offset,
                    (unsigned long long)frame->offset + frame->decoded_bytes - 1, what);
}

int hl_frame_zstd_error(const struct hl_frame *frame, size_t answer)
{
    switch (ZSTD_getErrorCode(answer)) {
    case ZSTD_error_checksum_wrong:
        return hl_frame_wrong(frame, "its bytes do not have its checksum");
    case ZSTD_error_dstSize_tooSmall:
        return hl_frame_wrong(frame, "it is longer than the seek table says");
    case ZSTD_error_srcSize_wrong:
        return hl_frame_wrong(frame, "it does not end where the seek table says");
    default:
        return hl_frame_wrong(frame, "cannot be decoded: %s", ZSTD_getErrorName(answer));
    }
}

int hl_frame_parse(const struct hl_frame *frame, const unsigned char *bytes,
                   struct hl_frame_header *ret_header)
{
    ZSTD_frameHeader header;
    size_t rc;

    rc = ZSTD_getFrameHeader(&header, bytes, frame->encoded_bytes < HL_FRAME_HEADER_BYTES
                                                 ? frame->encoded_bytes : HL_FRAME_HEADER_BYTES);
    if (ZSTD_isError(rc))
        return hl_frame_wrong(frame, "does not begin as a Zstandard frame: %s",
                              ZSTD_getErrorName(rc));
    if (rc > 0)
        return hl_frame_wrong(frame, "ends in its header");
    if (header.frameType != ZSTD_frame)
        return hl_frame_wrong(frame, "is a skippable frame, which decodes to nothing");

    *ret_header = (struct hl_frame_header){
        .window_bytes = header.windowSize,
        .decoded_bytes = header.frameContentSize,
        .dictionary = header.dictID,
        .has_size = header.frameContentSize != ZSTD_CONTENTSIZE_UNKNOWN,
        .has_checksum = header.checksumFlag,
    };
    return 0;
}

int hl_frame_compare_sizes(const struct hl_frame *frame, const struct hl_frame_header *header)
{
    if (header->has_size && header->decoded_bytes != frame->decoded_bytes)
        return hl_frame_wrong(frame, "says that it decodes to %llu bytes, the seek table says %lu",
                              (unsigned long long)header->decoded_bytes,
                              (unsigned long)frame->decoded_bytes);
    return 0;
}

int hl_frame_compare_checksums(const struct hl_frame *frame, const struct hl_frame_header *header,
                               const unsigned char *last_four)
{
    uint32_t own = (uint32_t)last_four[0] | (uint32_t)last_four[1] << 8 |
                   (uint32_t)last_four[2] << 16 | (uint32_t)last_four[3] << 24;

    if (frame->has_checksum && header->has_checksum && own != frame->checksum)
        return hl_frame_wrong(frame, "its checksum is %08lx, in the seek table %08lx",
                              (unsigned long)own, (unsigned long)frame->checksum);
    return 0;
}

int hl_frame_decode(const struct hl_frame *frame, struct ZSTD_DCtx_s *context,
                    const unsigned char *bytes, void *decoded)
{
    struct hl_frame_header header;
    size_t answer;
    int rc;

    rc = hl_frame_parse(frame, bytes, &header);
    if (rc == 0)
        rc = hl_frame_compare_sizes(frame, &header);
    if (rc == 0 && header.dictionary)
        rc = hl_frame_wrong(frame, "needs a dictionary (ID %lu)", (unsigned long)header.dictionary);
    if (rc == 0)
        rc = hl_frame_compare_checksums(frame, &header, bytes + frame->encoded_bytes - 4);
    if (rc < 0)
        return rc;

    /* Else the decoder would take a second frame behind a short first one for its end. */
    answer = ZSTD_findFrameCompressedSize(bytes, frame->encoded_bytes);
    if (ZSTD_isError(answer))
        return hl_frame_zstd_error(frame, answer);
    if (answer != frame->encoded_bytes)
        return hl_frame_wrong(frame, "ends before the seek table says");

    answer = ZSTD_decompressDCtx(context, decoded, frame->decoded_bytes, bytes,
                                 frame->encoded_bytes);
    if (ZSTD_isError(answer))
        return hl_frame_zstd_error(frame, answer);
    if (answer != frame->decoded_bytes)
        return hl_frame_wrong(frame, "decodes to %llu bytes only", (unsigned long long)answer);
    if (frame->has_checksum && !header.has_checksum &&
        (uint32_t)XXH64(decoded, frame->decoded_bytes, 0) != frame->checksum)
        return hl_frame_wrong(frame, "its bytes do not have the checksum of the seek table");
    return 0;
}
