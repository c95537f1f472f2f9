/* SPDX-License-Identifier: MIT
 *
 * decoder.c - contexts and buffers that decode whole frames: kept as many as were in use at
 * once lately, none when the process has been idle.
 *
 * Entry points: decoder.h.  See also: stream.c (frames too large for this), buffer.c.
 */
#include "config.h"

#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of our own */
#include <zstd.h>

#include "decoder.h"

#include "error.h"
#include "lock.h"
#include "memory.h"
#include "stream.h"

enum { PIECE = 64 << 10 }; /* buffers grow in steps of this */

static struct hl_lock decoders_lock = HL_LOCK_INIT(HL_RANK_DECODERS);
static struct hl_decoder *kept;
static unsigned nr_kept, nr_used, most_used; /* most_used: at once, since the last trim */

void hl_decoder_fork_prepare(void)
{
    hl_stream_fork_prepare();
    hl_lock(&decoders_lock);
}

void hl_decoder_fork_done(void)
{
    hl_unlock(&decoders_lock);
    hl_stream_fork_done();
}

static struct hl_decoder *create_decoder(void)
{
    size_t header = (sizeof(struct hl_decoder) + 63) / 64 * 64;
    size_t bytes = (header + ZSTD_estimateDCtxSize() + 4095) / 4096 * 4096;
    char *memory = hl_memory_get(bytes);
    struct hl_decoder *decoder;

    if (!memory)
        return NULL;
    decoder = (struct hl_decoder *)memory;
    *decoder = (struct hl_decoder){
        .bytes = bytes,
        .context = ZSTD_initStaticDCtx(memory + header, bytes - header),
    };
    HL_ASSERT(decoder->context);
    return decoder;
}

static void free_decoder(struct hl_decoder *decoder)
{
    if (decoder->input)
        hl_memory_put(decoder->input, decoder->input_bytes);
    if (decoder->scratch)
        hl_memory_put(decoder->scratch, decoder->scratch_bytes);
    hl_memory_put(decoder, decoder->bytes);
}

struct hl_decoder *hl_decoder_get(void)
{
    struct hl_decoder *decoder;

    hl_lock(&decoders_lock);
    decoder = kept;
    if (decoder) {
        kept = decoder->next;
        nr_kept--;
    }
    if (++nr_used > most_used)
        most_used = nr_used;
    hl_unlock(&decoders_lock);
    if (decoder)
        return decoder;

    decoder = create_decoder();
    if (!decoder) {
        hl_lock(&decoders_lock);
        nr_used--;
        hl_unlock(&decoders_lock);
    }
    return decoder;
}

void hl_decoder_put(struct hl_decoder *decoder)
{
    hl_lock(&decoders_lock);
    decoder->next = kept;
    kept = decoder;
    nr_kept++;
    nr_used--;
    hl_unlock(&decoders_lock);
}

unsigned hl_decoder_trim(void)
{
    unsigned left = hl_stream_trim();
    struct hl_decoder *idle = NULL;

    hl_lock(&decoders_lock);
    while (kept && nr_kept + nr_used > most_used) {
        struct hl_decoder *decoder = kept;

        kept = decoder->next;
        nr_kept--;
        decoder->next = idle;
        idle = decoder;
    }
    most_used = nr_used;
    left += nr_kept;
    hl_unlock(&decoders_lock);

    while (idle) {
        struct hl_decoder *decoder = idle;

        idle = decoder->next;
        free_decoder(decoder);
    }
    return left;
}

static int reserve(unsigned char **buffer, size_t *buffer_bytes, size_t bytes)
{
    size_t room = (bytes + PIECE - 1) / PIECE * PIECE;

    if (*buffer_bytes >= bytes)
        return 0;
    if (*buffer)
        hl_memory_put(*buffer, *buffer_bytes);
    *buffer_bytes = 0;
    *buffer = hl_memory_get(room);
    if (!*buffer)
        return -ENOMEM;
    *buffer_bytes = room;
    return 0;
}

int hl_decoder_reserve_input(struct hl_decoder *decoder, size_t bytes)
{
    return reserve(&decoder->input, &decoder->input_bytes, bytes);
}

int hl_decoder_reserve_scratch(struct hl_decoder *decoder, size_t bytes)
{
    return reserve(&decoder->scratch, &decoder->scratch_bytes, bytes);
}
