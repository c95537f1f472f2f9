/* SPDX-License-Identifier: MIT
 *
 * micro-codec.c - what decoding costs: a frame, a page out of a frame, a chunk, a fill of a
 * chunk and an early read of a compressed volume, each beside libzstd alone on the same frames.
 * README.md says what each answers.
 *
 * See also: micro.h, gbench.h, micro-pool.c (the same of a plain file).
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "codec.h"
#include "micro.h"
#include "seekable.h"
#include "source.h"

#define CHUNK HUGELITE_CHUNK_BYTES
#define LEVEL 3
#define SAMPLES 100000u
/* Filled and evicted in turns of this many: more than any cache of the CPU holds. */
#define TURN 32u

/* One packed file for each size of frame. */
static struct packed {
    uint32_t frame_bytes;          /* decoded */
    char path[PATH_MAX];
    uint64_t bytes;
    const unsigned char *map;
    uint32_t nr_frames;
    struct hl_seekable_entry *entries;
    uint64_t *offsets;
    struct hl_source *source;
    struct hl_codec *codec;
    struct hugelite_volume *volume;
} packed[] = { { .frame_bytes = 16u << 10 }, { .frame_bytes = 64u << 10 },
               { .frame_bytes = 256u << 10 } };
#define NR_PACKED (sizeof packed / sizeof *packed)

static struct hugelite_pool *pool;
static unsigned char *buffer;      /* a chunk */
static ZSTD_DCtx *context;
static ZSTD_CCtx *compressor;

/* ---- the files ---------------------------------------------------------- */

/* Words of letters, some more often than others: about a third when packed. */
static void make_text(unsigned char *text, size_t length)
{
    static char words[256][12];
    uint64_t x = 88172645463325252u;

    for (unsigned w = 0; w < 256; w++)
        for (unsigned i = 0, n = 2 + w % 9; i < n; i++)
            words[w][i] = "etaoinshrdlucmfwypvbgkjqxz"[micro_xorshift(&x) % 26];
    for (size_t done = 0; done < length;) {
        uint64_t r = micro_xorshift(&x);
        const char *word = words[((r & 255) * (r >> 8 & 255)) >> 8];
        size_t n = strlen(word);

        n = n < length - done ? n : length - done;
        memcpy(text + done, word, n);
        done += n;
        if (done < length)
            text[done++] = ' ';
    }
}

static bool write_all(int fd, const void *bytes, size_t length)
{
    return write(fd, bytes, length) == (ssize_t)length;
}

static bool pack(struct packed *p, const unsigned char *text, size_t length)
{
    size_t room = ZSTD_compressBound(p->frame_bytes), table;
    unsigned char *frame = malloc(room), *bytes = NULL;
    bool good = false;
    int fd;

    snprintf(p->path, sizeof p->path, "%.4000s/packed-%" PRIu32 ".zst", micro.disk_dir,
             p->frame_bytes);
    fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    p->nr_frames = (uint32_t)(length / p->frame_bytes);
    p->entries = calloc(p->nr_frames, sizeof *p->entries);
    p->offsets = calloc(p->nr_frames, sizeof *p->offsets);
    if (fd < 0 || !frame || !p->entries || !p->offsets)
        goto out;
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, LEVEL);
    for (uint32_t i = 0; i < p->nr_frames; i++) {
        size_t n = ZSTD_compress2(compressor, frame, room, text + (size_t)i * p->frame_bytes,
                                  p->frame_bytes);

        if (ZSTD_isError(n) || n < 4 || !write_all(fd, frame, n))
            goto out;
        p->offsets[i] = p->bytes;
        p->entries[i].encoded_bytes = (uint32_t)n;
        p->entries[i].decoded_bytes = p->frame_bytes;
        memcpy(&p->entries[i].checksum, frame + n - 4, 4); /* little-endian, as this machine */
        p->bytes += n;
    }
    table = (size_t)hl_seekable_table_bytes(p->nr_frames);
    bytes = malloc(table);
    if (!bytes)
        goto out;
    hl_seekable_write(p->entries, p->nr_frames, bytes);
    good = write_all(fd, bytes, table);
    p->bytes += table;
    p->map = mmap(NULL, p->bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    good = good && p->map != MAP_FAILED;
out:
    if (!good)
        fprintf(stderr, "%s: %s\n", p->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(bytes);
    free(frame);
    return good;
}

static bool open_all(void)
{
    size_t length = (size_t)MICRO_CHUNKS * CHUNK;
    unsigned char *text = malloc(length);
    bool good = text != NULL;

    if (good)
        make_text(text, length);
    for (unsigned i = 0; i < NR_PACKED && good; i++)
        good = pack(&packed[i], text, length);
    free(text);
    for (unsigned i = 0; i < NR_PACKED && good; i++) {
        struct packed *p = &packed[i];

        good = hl_source_open(p->path, &p->source) == 0
               && hl_codec_open(p->source, &p->codec) == 0
               && hugelite_volume_open(pool, p->path, &p->volume) == 0
               && hugelite_volume_warm(p->volume, 0, 0, NULL, NULL) == 0  /* the first touch */
               && hugelite_pool_evict(pool, p->path, NULL) == 0;
        if (!good)
            fprintf(stderr, "%s\n", hugelite_error());
    }
    return good;
}

static void close_all(void)
{
    for (unsigned i = 0; i < NR_PACKED; i++) {
        struct packed *p = &packed[i];

        hugelite_volume_close(p->volume);
        if (p->codec)
            p->codec->ops->close(p->codec);
        hl_source_close(p->source);
        free(p->entries);
        free(p->offsets);
    }
}

static struct packed *chosen(const struct gbench *g)
{
    for (unsigned i = 0; i < NR_PACKED; i++)
        if (packed[i].frame_bytes == (uint32_t)gbench_arg(g, 0) << 10)
            return &packed[i];
    abort();
}

/* ---- libzstd alone ------------------------------------------------------ */

/* Decode nr frames from the one that has a byte; the clock's seconds, or -1. */
static double decode(const struct packed *p, uint64_t offset, uint64_t length)
{
    uint32_t first = (uint32_t)(offset / p->frame_bytes);
    uint32_t end = (uint32_t)((offset + length + p->frame_bytes - 1) / p->frame_bytes);
    double start = gbench_now();

    for (uint32_t i = first; i < end; i++)
        if (ZSTD_decompressDCtx(context, buffer + (size_t)(i - first) * p->frame_bytes,
                                p->frame_bytes, p->map + p->offsets[i],
                                p->entries[i].encoded_bytes)
            != p->frame_bytes)
            return -1;
    return gbench_now() - start;
}

static void one_frame(struct gbench *g)
{
    const struct packed *p = chosen(g);
    uint64_t x = 88172645463325252u;
    int64_t bytes = 0;

    while (gbench_loop(g, 1)) {
        double t = decode(p, micro_xorshift(&x) % p->nr_frames * p->frame_bytes, 1);

        if (t < 0) {
            gbench_fail(g, "a frame cannot be decoded");
            return;
        }
        gbench_set_time(g, t);
        bytes += p->frame_bytes;
    }
    gbench_set_bytes(g, bytes);
}

/* ---- something of ours beside it ---------------------------------------- */

struct beside {
    double ours[SAMPLES], alone[SAMPLES];
    unsigned nr;
};

static struct beside beside;

static void note(struct gbench *g, double ours, double alone)
{
    gbench_set_time(g, ours);
    if (beside.nr < SAMPLES) {
        beside.ours[beside.nr] = ours;
        beside.alone[beside.nr++] = alone;
    }
}

/* ratio = libzstd / ours, medians. */
static void tell(struct gbench *g)
{
    if (beside.nr) {
        double ours = micro_median(beside.ours, beside.nr);
        double alone = micro_median(beside.alone, beside.nr);

        gbench_counter(g, "ours_us", ours * 1e6);
        gbench_counter(g, "libzstd_us", alone * 1e6);
        gbench_counter(g, "ratio", alone / ours);
    }
    beside.nr = 0;
}

/* Read through the codec; libzstd decodes as much, elsewhere in the file, so that neither finds its
 * bytes in the CPU's caches. */
static void codec_read(struct gbench *g, uint32_t length)
{
    const struct packed *p = chosen(g);
    uint64_t places = p->codec->bytes / length, x = 88172645463325252u;
    int64_t bytes = 0;

    while (gbench_loop(g, 1)) {
        uint64_t offset = micro_xorshift(&x) % places * length;
        struct hl_codec_work work = { 0 };
        double start = gbench_now(), ours, alone;
        int rc = p->codec->ops->read(p->codec, offset, length, buffer, &work);

        ours = gbench_now() - start;
        alone = decode(p, micro_xorshift(&x) % places * length, length);
        if (rc < 0 || alone < 0) {
            gbench_fail(g, "%s", rc < 0 ? hugelite_error() : "a frame cannot be decoded");
            return;
        }
        note(g, ours, alone);
        bytes += length;
    }
    gbench_set_bytes(g, bytes);
    tell(g);
}

static void codec_read_page(struct gbench *g)
{
    codec_read(g, 4096);
}

static void codec_read_chunk(struct gbench *g)
{
    codec_read(g, CHUNK);
}

/* A fetch of a chunk that is not resident, by all threads that the engine has for it; libzstd
 * decodes another chunk, with one. */
static void fill(struct gbench *g)
{
    const struct packed *p = chosen(g);
    unsigned chunk = TURN;
    int64_t bytes = 0;

    while (gbench_loop(g, 1)) {
        const void *data;
        double start, ours, alone;

        if (chunk == TURN) {
            if (hugelite_pool_evict(pool, p->path, NULL) < 0) {
                gbench_fail(g, "%s", hugelite_error());
                return;
            }
            chunk = 0;
        }
        start = gbench_now();
        /* apart, so that nothing is filled ahead */
        if (hugelite_volume_fetch(p->volume, (uint64_t)(chunk * 7 % TURN) * CHUNK, 4096, &data)
            < 0) {
            gbench_fail(g, "%s", hugelite_error());
            return;
        }
        ours = gbench_now() - start;
        hugelite_volume_release(p->volume, data);
        alone = decode(p, (uint64_t)(TURN + chunk) * CHUNK, CHUNK);
        if (alone < 0) {
            gbench_fail(g, "a frame cannot be decoded");
            return;
        }
        note(g, ours, alone);
        chunk++;
        bytes += CHUNK;
    }
    gbench_set_bytes(g, bytes);
    tell(g);
}

/* A page out of a chunk that is not resident, while the crew fills others: what a cold
 * lookup waits for. */
static void early_read(struct gbench *g)
{
    const struct packed *p = chosen(g);
    uint64_t x = 88172645463325252u;
    unsigned chunk = MICRO_CHUNKS;

    while (gbench_loop(g, 1)) {
        unsigned char page[4096];
        double start, ours, alone;
        uint64_t offset;

        if (chunk == MICRO_CHUNKS) {
            if (hugelite_pool_evict(pool, p->path, NULL) < 0) {
                gbench_fail(g, "%s", hugelite_error());
                return;
            }
            chunk = 0;
        }
        offset = (uint64_t)(chunk * 23 % MICRO_CHUNKS) * CHUNK + micro_xorshift(&x) % 512 * 4096;
        start = gbench_now();
        if (hugelite_volume_read(p->volume, offset, sizeof page, page) < 0) {
            gbench_fail(g, "%s", hugelite_error());
            return;
        }
        ours = gbench_now() - start;
        alone = decode(p, micro_xorshift(&x) % p->nr_frames * p->frame_bytes, 1);
        if (alone < 0) {
            gbench_fail(g, "a frame cannot be decoded");
            return;
        }
        note(g, ours, alone);
        chunk++;
    }
    tell(g);
}

/* ---- all ---------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*fn)(struct gbench *g);
} benchmarks[] = {
    { "BM_libzstd_frame", one_frame },
    { "BM_codec_read/4KiB", codec_read_page },
    { "BM_codec_read/2MiB", codec_read_chunk },
    { "BM_fill_compressed/2MiB", fill },
    { "BM_early_read/4KiB", early_read },
};

static int run(int argc, char **argv)
{
    int rc = 1;

    buffer = malloc(CHUNK);
    context = ZSTD_createDCtx();
    compressor = ZSTD_createCCtx();
    if (!buffer || !context || !compressor || !(pool = micro_pool(MICRO_CHUNKS + 8)))
        return 1;
    memset(buffer, 1, CHUNK);
    if (open_all()) {
        micro_context();
        gbench_context("zstd", "%s, level %d", ZSTD_versionString(), LEVEL);
        gbench_context("source", "files in the page cache, %u chunks, packed to 1/%.2f",
                       MICRO_CHUNKS, (double)MICRO_CHUNKS * CHUNK / (double)packed[1].bytes);
        for (unsigned b = 0; b < sizeof benchmarks / sizeof *benchmarks; b++)
            for (unsigned i = 0; i < NR_PACKED; i++)
                gbench_register(&(struct gbench_case){
                    .name = benchmarks[b].name, .fn = benchmarks[b].fn, .unit = "us",
                    .manual_time = true, .arg_names = { "frame_KiB" },
                    .args = { packed[i].frame_bytes >> 10 } });
        rc = gbench_main(argc, argv);
    }
    close_all();
    hugelite_pool_close(pool);
    ZSTD_freeCCtx(compressor);
    ZSTD_freeDCtx(context);
    free(buffer);
    return rc;
}

int main(int argc, char **argv)
{
    return micro_main(argc, argv, run);
}
