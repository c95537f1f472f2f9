/* SPDX-License-Identifier: MIT
 *
 * hugelite verify: decode every frame of a compressed database with all cores and say which are
 * bad.  The frames are read and checked by the codec that serves readers; the seek table is
 * read here once more, for the numbers of the frames.
 *
 * Frames are taken in runs, one read of the codec each; only where that fails are the frames
 * of the run asked for one by one.  The codec checks all of a frame before it gives out a byte,
 * so of a large one that is all that is asked for.
 *
 * A thread claims a run, or of a remote database as many as are worth a request, and has
 * the next ones on their way while it decodes these.
 *
 * Entry point: cmd_verify().
 * See also: pack-frames.c, ../engine/codec.h, ../engine/seekable.h, ../engine/stage.h.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "pack.h"
#include "seekable.h"
#include "source.h"
#include "stage.h"
#include "tools.h"

enum {
    RUN_BYTES = 1 << 20,      /* or one frame, if that is larger */
    LARGE_BYTES = 2 << 20,    /* a frame that is larger is not taken as a whole */
    TABLE_PART = 1 << 20,     /* bytes of the seek table that are read at a time */
    PROGRESS_NS = 100000000,
};

static const char help[] =
    "usage: hugelite verify SOURCE [--threads N]\n"
    "\n"
    "Decode a compressed database and check every frame of it.\n"
    "\n"
    "  --threads N     threads that decode; default: the CPUs there are\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

struct verifying {
    const char *name;          /* as it may be shown */
    struct hl_source *source;
    struct hl_codec *codec;
    struct hl_seekable table;
    struct hl_seekable_entry *entries;
    struct hl_progress progress;
    uint64_t batch_bytes;      /* encoded, that are worth a request; 0 = the source is not remote */

    pthread_mutex_t lock;      /* all below */
    pthread_cond_t changed;
    unsigned nr_running;       /* threads */
    uint32_t next_frame;
    uint64_t next_offset;      /* where it begins, decoded */
    uint64_t next_src_offset;  /* and encoded */
    uint64_t done_bytes;
    uint32_t nr_bad;
    bool stop;                 /* asked to, or nothing more can be read */
    bool failed;               /* the latter, or no memory: said already */
};

/* Some frames, one behind the other. */
struct run {
    uint32_t first, nr;
    uint64_t offset, length;
};

/* One run, or several with the stage that brings them. */
struct batch {
    struct run run;
    uint64_t src_offset, src_length;
    struct hl_stage *stage;    /* NULL = each read fetches its own bytes */
};

/* ---- the seek table ------------------------------------------------------- */

static int bad_table(const struct verifying *v, const char *wrong)
{
    return hl_error(EBADMSG, "%s: the seek table is damaged: %s", v->name, wrong);
}

static int read_source(const struct verifying *v, uint64_t src_offset, uint32_t length,
                       void *buffer)
{
    return v->source->ops->read(v->source, src_offset, length, buffer);
}

static int read_entries(struct verifying *v)
{
    uint32_t per_part = TABLE_PART / v->table.entry_bytes;
    unsigned char *part = malloc(TABLE_PART);
    uint32_t done = 0;
    int rc = 0;

    v->entries = malloc((v->table.nr_frames + (size_t)1) * sizeof *v->entries);
    if (!part || !v->entries)
        rc = hl_error(ENOMEM, "%s: no memory for the seek table", v->name);
    while (rc == 0 && done < v->table.nr_frames) {
        uint32_t left = v->table.nr_frames - done, nr = left < per_part ? left : per_part;

        rc = read_source(v, v->table.entries_at + (uint64_t)done * v->table.entry_bytes,
                         nr * v->table.entry_bytes, part);
        for (uint32_t i = 0; rc == 0 && i < nr; i++)
            v->entries[done + i] = hl_seekable_entry(&v->table, part + (size_t)i *
                                                                    v->table.entry_bytes);
        done += nr;
    }
    free(part);
    return rc;
}

/* The codec has looked at the table before and knows that it holds. */
static int read_table(struct verifying *v)
{
    unsigned char footer[HL_SEEKABLE_FOOTER_BYTES], header[HL_SEEKABLE_HEADER_BYTES];
    uint64_t src_bytes = v->source->src_bytes, decoded = 0;
    const char *wrong = "";
    int rc;

    if (src_bytes < sizeof footer + sizeof header)
        return bad_table(v, "it is cut off");
    rc = read_source(v, src_bytes - sizeof footer, sizeof footer, footer);
    if (rc < 0)
        return rc;
    if (hl_seekable_parse_footer(footer, src_bytes, &v->table, &wrong) < 0)
        return bad_table(v, wrong);
    rc = read_source(v, v->table.frames_bytes, sizeof header, header);
    if (rc < 0)
        return rc;
    if (hl_seekable_check_header(&v->table, header, &wrong) < 0)
        return bad_table(v, wrong);
    rc = read_entries(v);
    if (rc < 0)
        return rc;

    for (uint32_t i = 0; i < v->table.nr_frames; i++)
        decoded += v->entries[i].decoded_bytes;
    return decoded == v->codec->bytes ? 0 : bad_table(v, "it changes");
}

/* ---- the frames ----------------------------------------------------------- */

/* Under the lock: the next frames that fit a buffer together, or are worth a request. */
static bool claim_batch(struct verifying *v, struct batch *batch)
{
    struct run *run = &batch->run;

    *batch = (struct batch){ .run = { .first = v->next_frame, .offset = v->next_offset },
                             .src_offset = v->next_src_offset };
    if (v->stop)
        return false;
    while (v->next_frame < v->table.nr_frames) {
        const struct hl_seekable_entry *entry = &v->entries[v->next_frame];

        if (run->nr && run->length + entry->decoded_bytes > RUN_BYTES &&
            batch->src_length + entry->encoded_bytes > v->batch_bytes)
            break;
        run->length += entry->decoded_bytes;
        batch->src_length += entry->encoded_bytes;
        run->nr++;
        v->next_frame++;
    }
    v->next_offset += run->length;
    v->next_src_offset += batch->src_length;
    return run->nr > 0;
}

/* The next batch, with its bytes on their way; false when there is none. */
static bool begin_batch(struct verifying *v, struct batch *batch)
{
    bool claimed;

    pthread_mutex_lock(&v->lock);
    claimed = claim_batch(v, batch);
    pthread_mutex_unlock(&v->lock);
    if (claimed && v->batch_bytes && batch->src_length && batch->src_length <= HL_STAGE_MAX &&
        hl_stage_begin(v->source, batch->src_offset, (uint32_t)batch->src_length, HL_AHEAD, NULL,
                       NULL, &batch->stage) < 0)
        batch->stage = NULL;
    return claimed;
}

/* The first frames of `rest` that fit a buffer together leave it. */
static struct run cut_run(const struct verifying *v, struct run *rest)
{
    struct run run = { .first = rest->first, .offset = rest->offset };

    while (run.nr < rest->nr) {
        uint32_t bytes = v->entries[run.first + run.nr].decoded_bytes;

        if (run.nr && run.length + bytes > RUN_BYTES)
            break;
        run.length += bytes;
        run.nr++;
    }
    rest->first += run.nr;
    rest->nr -= run.nr;
    rest->offset += run.length;
    rest->length -= run.length;
    return run;
}

static int decode(struct verifying *v, uint64_t offset, uint64_t length, void *buffer)
{
    struct hl_codec_work work = { .frames = 0 };

    /* Without a checksum the codec has nothing to check but what is in front of the byte. */
    if (length > LARGE_BYTES) {
        offset += v->table.has_checksums ? 0 : length - 1;
        length = 1;
    }
    return length ? v->codec->ops->read(v->codec, offset, (uint32_t)length, buffer, &work) : 0;
}

/* Damage, where the codec's sentence names the frame, or a bad sector of a disk, which is of this
 * one too; anything else will be no better at the next. */
static void report(struct verifying *v, uint32_t frame, uint64_t offset, int rc)
{
    bool bad_sector = rc == -EIO && !v->source->remote;

    pthread_mutex_lock(&v->lock);
    hl_progress_end(&v->progress);
    if (rc == -EBADMSG || bad_sector)
        v->nr_bad++;
    if (rc == -EBADMSG) {
        hl_tool_error("verify", "%s", hugelite_error());
    } else if (bad_sector) {
        hl_tool_error("verify", "frame %" PRIu32 " (decoded bytes %" PRIu64 " to %" PRIu64
                      "): %s", frame, offset, offset + v->entries[frame].decoded_bytes - 1,
                      hugelite_error());
    } else if (!v->failed) {
        hl_tool_error("verify", "%s", hugelite_error());
        v->failed = v->stop = true;
    }
    pthread_mutex_unlock(&v->lock);
}

static void verify_run(struct verifying *v, const struct run *run, void *buffer)
{
    uint64_t offset = run->offset;

    if (run->length <= LARGE_BYTES && decode(v, run->offset, run->length, buffer) == 0)
        return;
    for (uint32_t i = run->first; i < run->first + run->nr; i++) {
        int rc = decode(v, offset, v->entries[i].decoded_bytes, buffer);

        if (rc < 0)
            report(v, i, offset, rc);
        offset += v->entries[i].decoded_bytes;
    }
}

/* False when it is to stop. */
static bool note_done(struct verifying *v, uint64_t bytes)
{
    bool stop;

    pthread_mutex_lock(&v->lock);
    v->done_bytes += bytes;
    stop = v->stop;
    pthread_mutex_unlock(&v->lock);
    return !stop;
}

static void verify_batches(struct verifying *v, void *buffer)
{
    struct batch now, next;
    bool any = begin_batch(v, &now), another, go_on = true;

    while (any) {
        another = go_on && begin_batch(v, &next);
        while (go_on && now.run.nr) {
            struct run run = cut_run(v, &now.run);

            verify_run(v, &run, buffer);
            go_on = note_done(v, run.length);
        }
        hl_stage_end(now.stage);
        any = another;
        now = next;
    }
}

static void *work(void *arg)
{
    struct verifying *v = arg;
    void *buffer = malloc(LARGE_BYTES);

    pthread_mutex_lock(&v->lock);
    if (!buffer && !v->failed) {
        hl_tool_error("verify", "%s: no memory to decode it", v->name);
        v->failed = v->stop = true;
    }
    pthread_mutex_unlock(&v->lock);
    verify_batches(v, buffer);
    pthread_mutex_lock(&v->lock);
    v->nr_running--;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
    free(buffer);
    return NULL;
}

static void watch(struct verifying *v)
{
    pthread_mutex_lock(&v->lock);
    while (v->nr_running) {
        struct timespec until;

        hl_progress_show(&v->progress, v->done_bytes, v->codec->bytes);
        if (hl_tool_stopped)
            v->stop = true;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROGRESS_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&v->changed, &v->lock, &until);
    }
    pthread_mutex_unlock(&v->lock);
}

/* Returns 0 or -errno when not one thread could be started. */
static int verify_frames(struct verifying *v, unsigned nr_threads)
{
    pthread_t *threads = calloc(nr_threads, sizeof *threads);
    unsigned started = 0;
    int err = threads ? 0 : ENOMEM;

    while (!err && started < nr_threads) {
        pthread_mutex_lock(&v->lock);
        v->nr_running++;
        pthread_mutex_unlock(&v->lock);
        err = pthread_create(&threads[started], NULL, work, v);
        if (err) {
            pthread_mutex_lock(&v->lock);
            v->nr_running--;
            pthread_mutex_unlock(&v->lock);
        } else {
            started++;
        }
    }
    watch(v);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return started ? 0 : hl_error(err, "no thread to decode with: %s", strerror(err));
}

/* ---- the command ---------------------------------------------------------- */

static int tell(const struct verifying *v)
{
    char text[HL_UNITS_ROOM], rate[HL_UNITS_ROOM];
    double seconds = hl_units_now() - v->progress.began;

    if (v->failed)
        return 1;
    if (v->done_bytes < v->codec->bytes)
        hl_tool_error("verify", "'%s': interrupted: %" PRIu64 " of %" PRIu64
                      " bytes (%u %%) were checked", v->name, v->done_bytes, v->codec->bytes,
                      (unsigned)((double)v->done_bytes * 100 / (double)v->codec->bytes));
    if (v->nr_bad)
        return hl_tool_error("verify", "%s: %" PRIu32 " of %" PRIu32 " frames are bad", v->name,
                             v->nr_bad, v->table.nr_frames);
    if (v->done_bytes < v->codec->bytes)
        return 1;
    printf("%s: %" PRIu32 " frames, %s decoded in %.2f s, %s/s: no damage\n", v->name,
           v->table.nr_frames, hl_units_bytes(text, v->codec->bytes), seconds,
           hl_units_short(rate, seconds > 0 ? (uint64_t)((double)v->codec->bytes / seconds) : 0));
    if (!v->table.has_checksums)
        printf("Its seek table has no checksums: damage shows only in frames that have their "
               "own.\n");
    return 0;
}

static int verify(struct verifying *v, const char *source, unsigned nr_threads)
{
    pthread_condattr_t monotonic;
    int rc = hl_source_open(source, &v->source);

    if (rc == 0)
        rc = hl_codec_open(v->source, &v->codec);
    if (rc < 0)
        return rc;
    if (v->codec->ops == &hl_codec_raw)
        return hl_error(EMEDIUMTYPE, "%s: is not compressed, so it has no checksums to compare; "
                        "an SQLite database is checked with: hugelite sql '%s' "
                        "'PRAGMA integrity_check'", v->name, v->name);
    rc = read_table(v);
    if (rc < 0)
        return rc;
    if (v->source->remote)
        v->batch_bytes = hl_stage_best_bytes(v->source);

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&v->changed, &monotonic);
    hl_progress_begin(&v->progress, v->name);
    rc = verify_frames(v, nr_threads);
    hl_progress_end(&v->progress);
    pthread_cond_destroy(&v->changed);
    pthread_condattr_destroy(&monotonic);
    return rc;
}

int cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {
        { "threads", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct verifying v = { .lock = PTHREAD_MUTEX_INITIALIZER };
    int c, code, threads = (int)hl_pack_cpus();

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 't':
            code = hl_pack_number("verify", "--threads", optarg, 1, HL_PACK_THREADS_MAX, &threads);
            if (code)
                return code;
            break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("verify", argv, c);
        }
    }
    if (optind == argc)
        return hl_tool_usage("verify", "which database? name a SOURCE");
    if (optind + 1 < argc)
        return hl_tool_usage("verify", "unexpected argument '%s'", hl_tool_name(argv[optind + 1]));
    v.name = hl_tool_name(argv[optind]);
    if (!*argv[optind])
        return hl_tool_usage("verify", "SOURCE is empty");

    hl_tool_catch_stop();
    if (verify(&v, argv[optind], (unsigned)threads) < 0)
        code = hl_tool_error("verify", "%s", hugelite_error());
    else
        code = tell(&v);
    hl_tool_notice("verify");
    if (v.codec)
        v.codec->ops->close(v.codec);
    hl_source_close(v.source);
    free(v.entries);
    return code;
}
