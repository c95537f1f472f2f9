/* SPDX-License-Identifier: MIT
 *
 * fuzz-frames: whole files through the codec that their first bytes ask for.
 *
 * Passes when opening and reading stay inside their memory, take no more of it than a constant,
 * fail with an errno that is documented and a sentence, and give the same bytes twice, in large
 * pieces and in small ones.
 */
#include "config.h"

#include "fuzz.h"

#include "codec.h"
#include "hugelite.h"
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10, MOST = 4 << 20 };

struct fuzz_source {
    struct hl_source base;
    const uint8_t *data;
};

static int fuzz_read(struct hl_source *base, uint64_t src_offset, uint32_t length, void *buffer)
{
    struct fuzz_source *source = (struct fuzz_source *)base;

    FUZZ_EXPECT(src_offset <= base->src_bytes && length <= base->src_bytes - src_offset);
    memcpy(buffer, source->data + src_offset, length);
    return 0;
}

static const struct hl_source_ops fuzz_ops = { .prefix = "", .read = fuzz_read };

static int read_piece(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer)
{
    struct hl_codec_work work = { 0 };
    int rc = codec->ops->read(codec, offset, length, buffer, &work);

    FUZZ_EXPECT(rc == 0 || rc == -EBADMSG || rc == -ENOMEM);
    FUZZ_EXPECT(rc == 0 || strstr(hugelite_error(), "fuzz"));
    return rc;
}

static void read_everything(struct hl_codec *codec)
{
    static unsigned char large[PIECE], small[PIECE];
    uint64_t end = codec->bytes < MOST ? codec->bytes : MOST;

    for (uint64_t at = 0; at < end; at += PIECE) {
        uint32_t length = end - at < PIECE ? (uint32_t)(end - at) : PIECE;
        uint32_t part = length / 3 + 1;

        if (read_piece(codec, at, length, large) < 0)
            continue;
        for (uint32_t done = 0; done < length; done += part) {
            uint32_t now = length - done < part ? length - done : part;

            FUZZ_EXPECT(read_piece(codec, at + done, now, small) == 0);
            FUZZ_EXPECT(memcmp(small, large + done, now) == 0);
        }
    }
    read_piece(codec, codec->bytes - 1, 1, small);
}

const char fuzz_name[] = "frames";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char name[] = "fuzz";
    struct fuzz_source source = { { .ops = &fuzz_ops, .name = name, .src_bytes = size }, data };
    struct hl_codec *codec = NULL;
    int rc;

    if (size == 0)
        return 0;
    rc = hl_codec_open(&source.base, &codec);
    FUZZ_EXPECT(rc == 0 || rc == -EMEDIUMTYPE || rc == -EBADMSG || rc == -ENODATA);
    if (rc < 0) {
        FUZZ_EXPECT(!codec && strncmp(hugelite_error(), "fuzz: ", 6) == 0);
        return 0;
    }
    FUZZ_EXPECT(codec->bytes > 0);
    read_everything(codec);
    codec->ops->close(codec);
    return 0;
}
