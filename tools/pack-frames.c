/* SPDX-License-Identifier: MIT
 *
 * The frames, made by all threads at once.  What is read and written at a time is a batch of
 * frames; a thread packs a batch, and when all before it are packed, so that its place in
 * the file is known, some thread writes it, reads it back and decodes every frame of it.
 *
 *           claim         done           all before it          claim          checked
 *     FREE ───────> PACKING ───> PACKED ───────────────> PLACED ───────> STORING ───────> FREE
 *
 * Batch b lives in slot b modulo their number, so the slots bound how far one thread may be
 * ahead of another, and with it the memory.
 *
 * A frame carries its own checksum, which the decoder compares with what it decoded, and the
 * table has the same number: the content is hashed once here and once by the check.
 *
 * Entry point: hl_pack_frames().
 * See also: ../engine/seekable.h (the table), verify.c (the same check of a finished file).
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "cleanup.h"
#include "error.h"
#include "hugelite.h"
#include "pack.h"
#include "seekable.h"

enum {
    BATCH_BYTES = 1 << 20,       /* or one frame, if that is larger */
    SLOTS_PER_THREAD = 3,
    PROGRESS_NS = 100000000,
    CHECKSUM_BYTES = 4,
};

enum slot_state { SLOT_FREE, SLOT_PACKING, SLOT_PACKED, SLOT_PLACED, SLOT_STORING };

struct slot {
    enum slot_state state;
    uint64_t batch;
    uint64_t src_offset;    /* in the written file, once PLACED */
    size_t encoded_bytes;
    unsigned char *encoded; /* owned; room for a whole batch that does not compress */
};

struct job {
    const struct hl_pack_frames *frames;
    uint32_t batch_bytes;
    uint32_t frames_per_batch;
    uint32_t nr_frames;
    size_t encoded_room;
    struct hl_seekable_entry *entries;
    atomic_bool stop;       /* looked at before each frame */

    pthread_mutex_t lock;   /* all below */
    pthread_cond_t changed;
    struct slot *slots;
    unsigned nr_slots;
    unsigned nr_running;    /* threads */
    uint64_t nr_batches;
    uint64_t next_packed;   /* batch that is claimed next */
    uint64_t next_placed;   /* batch that gets its place next */
    uint64_t nr_stored;
    uint64_t placed_bytes;  /* where that place is */
    int rc;                 /* the first failure, with its sentence */
    char why[1024];
};

/* What one thread works with; made before the first frame. */
struct worker {
    struct job *job;
    pthread_t thread;
    bool started;
    ZSTD_CCtx *packer;
    ZSTD_DCtx *checker;
    unsigned char *batch;     /* decoded: to be packed */
    unsigned char *read_back; /* encoded: as the file has it */
    unsigned char *decoded;   /* one frame of it */
};

/* ---- reading and writing -------------------------------------------------- */

static int read_fully(const char *name, int fd, void *buffer, size_t length, uint64_t offset)
{
    char *p = buffer;

    while (length) {
        ssize_t got = pread(fd, p, length, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hl_error(errno, "%s: reading at %" PRIu64 ": %s", name, offset,
                            strerror(errno));
        if (got == 0)
            return hl_error(ESTALE, "%s: was cut while it was packed: there is nothing at byte %"
                            PRIu64, name, offset);
        p += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

static int write_fully(const char *name, int fd, const void *buffer, size_t length,
                       uint64_t offset)
{
    const char *p = buffer;

    while (length) {
        ssize_t put = pwrite(fd, p, length, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return hl_error(put < 0 ? errno : EIO, "%s: writing: %s", name,
                            strerror(put < 0 ? errno : EIO));
        p += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return 0;
}

/* ---- one batch ------------------------------------------------------------ */

static uint32_t get_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t first_frame(const struct job *job, uint64_t batch)
{
    return (uint32_t)(batch * job->frames_per_batch);
}

static uint32_t end_frame(const struct job *job, uint64_t batch)
{
    uint64_t end = (batch + 1) * job->frames_per_batch;

    return end < job->nr_frames ? (uint32_t)end : job->nr_frames;
}

static uint32_t bytes_at(const struct job *job, uint64_t offset, uint32_t most)
{
    uint64_t left = job->frames->in_bytes - offset;

    return left < most ? (uint32_t)left : most;
}

static int pack_frame(struct worker *worker, struct slot *slot, uint32_t frame,
                      const unsigned char *decoded, uint32_t decoded_bytes)
{
    struct job *job = worker->job;
    unsigned char *encoded = slot->encoded + slot->encoded_bytes;
    size_t bytes = ZSTD_compress2(worker->packer, encoded, job->encoded_room - slot->encoded_bytes,
                                  decoded, decoded_bytes);

    if (ZSTD_isError(bytes))
        return hl_error(EIO, "%s: frame %" PRIu32 ": cannot be compressed: %s",
                        job->frames->in_name, frame, ZSTD_getErrorName(bytes));
    slot->encoded_bytes += bytes;
    job->entries[frame] = (struct hl_seekable_entry){
        .encoded_bytes = (uint32_t)bytes,
        .decoded_bytes = decoded_bytes,
        .checksum = get_le32(encoded + bytes - CHECKSUM_BYTES),
    };
    return 0;
}

static int pack_batch(struct worker *worker, struct slot *slot)
{
    struct job *job = worker->job;
    const struct hl_pack_frames *frames = job->frames;
    uint64_t offset = slot->batch * job->batch_bytes;
    uint32_t length = bytes_at(job, offset, job->batch_bytes);
    uint32_t frame = first_frame(job, slot->batch);
    int rc;

    /* The disk works on what comes after while we work on this. */
    posix_fadvise(frames->in_fd, (off_t)(offset + (uint64_t)job->nr_slots * job->batch_bytes),
                  job->batch_bytes, POSIX_FADV_WILLNEED);
    rc = read_fully(frames->in_name, frames->in_fd, worker->batch, length, offset);

    slot->encoded_bytes = 0;
    for (uint32_t at = 0; rc == 0 && at < length; at += frames->frame_bytes, frame++) {
        uint32_t rest = length - at;

        if (atomic_load_explicit(&job->stop, memory_order_relaxed))
            return -ECANCELED;
        rc = pack_frame(worker, slot, frame, worker->batch + at,
                        rest < frames->frame_bytes ? rest : frames->frame_bytes);
    }
    return rc;
}

static int check_frame(struct worker *worker, uint32_t frame, const unsigned char *encoded)
{
    const struct job *job = worker->job;
    const struct hl_seekable_entry *entry = &job->entries[frame];
    size_t bytes = ZSTD_decompressDCtx(worker->checker, worker->decoded,
                                       job->frames->frame_bytes, encoded, entry->encoded_bytes);

    if (ZSTD_isError(bytes))
        return hl_error(EBADMSG, "%s: frame %" PRIu32 " is damaged when it is read back: %s",
                        job->frames->out_name, frame, ZSTD_getErrorName(bytes));
    if (bytes != entry->decoded_bytes ||
        get_le32(encoded + entry->encoded_bytes - CHECKSUM_BYTES) != entry->checksum)
        return hl_error(EBADMSG, "%s: frame %" PRIu32 " is not what was written when it is read "
                        "back", job->frames->out_name, frame);
    return 0;
}

static int store_batch(struct worker *worker, struct slot *slot)
{
    struct job *job = worker->job;
    const struct hl_pack_frames *frames = job->frames;
    const unsigned char *p = worker->read_back;
    uint32_t end = end_frame(job, slot->batch);
    int rc;

    rc = write_fully(frames->out_name, frames->out_fd, slot->encoded, slot->encoded_bytes,
                     slot->src_offset);
    if (rc < 0)
        return rc;
    /* To disk already now, so that the sync at the end finds little to do; that one tells of
     * errors. */
    sync_file_range(frames->out_fd, (off_t)slot->src_offset, (off_t)slot->encoded_bytes,
                    SYNC_FILE_RANGE_WRITE);

    rc = read_fully(frames->out_name, frames->out_fd, worker->read_back, slot->encoded_bytes,
                    slot->src_offset);
    for (uint32_t i = first_frame(job, slot->batch); rc == 0 && i < end; i++) {
        if (atomic_load_explicit(&job->stop, memory_order_relaxed))
            return -ECANCELED;
        rc = check_frame(worker, i, p);
        p += job->entries[i].encoded_bytes;
    }
    return rc;
}

/* ---- who does what: under job->lock --------------------------------------- */

static void fail(struct job *job, int rc)
{
    if (job->rc == 0) {
        job->rc = rc;
        snprintf(job->why, sizeof job->why, "%s", hugelite_error());
    }
    atomic_store_explicit(&job->stop, true, memory_order_relaxed);
    pthread_cond_broadcast(&job->changed);
}

/* Give every batch its place for which it is known now. */
static void place_batches(struct job *job)
{
    for (;;) {
        struct slot *slot = &job->slots[job->next_placed % job->nr_slots];

        if (slot->state != SLOT_PACKED)
            return;
        slot->state = SLOT_PLACED;
        slot->src_offset = job->placed_bytes;
        job->placed_bytes += slot->encoded_bytes;
        job->next_placed++;
    }
}

static struct slot *claim_placed(struct job *job)
{
    for (unsigned i = 0; i < job->nr_slots; i++)
        if (job->slots[i].state == SLOT_PLACED) {
            job->slots[i].state = SLOT_STORING;
            return &job->slots[i];
        }
    return NULL;
}

static struct slot *claim_free(struct job *job)
{
    struct slot *slot = &job->slots[job->next_packed % job->nr_slots];

    if (job->next_packed == job->nr_batches || slot->state != SLOT_FREE)
        return NULL;
    slot->state = SLOT_PACKING;
    slot->batch = job->next_packed++;
    return slot;
}

static struct slot *claim(struct job *job)
{
    struct slot *slot = NULL;

    while (job->rc == 0 && job->nr_stored < job->nr_batches) {
        slot = claim_placed(job); /* first, as it frees a slot */
        if (!slot)
            slot = claim_free(job);
        if (slot)
            return slot;
        pthread_cond_wait(&job->changed, &job->lock);
    }
    return NULL;
}

static void finish(struct job *job, struct slot *slot)
{
    if (slot->state == SLOT_PACKING) {
        slot->state = SLOT_PACKED;
        place_batches(job);
    } else {
        slot->state = SLOT_FREE;
        job->nr_stored++;
    }
    pthread_cond_broadcast(&job->changed);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct job *job = worker->job;
    struct slot *slot;

    pthread_mutex_lock(&job->lock);
    while ((slot = claim(job))) {
        bool packing = slot->state == SLOT_PACKING;
        int rc;

        pthread_mutex_unlock(&job->lock);
        rc = packing ? pack_batch(worker, slot) : store_batch(worker, slot);
        pthread_mutex_lock(&job->lock);
        if (rc < 0)
            fail(job, rc);
        else
            finish(job, slot);
    }
    job->nr_running--;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* ---- all of it ------------------------------------------------------------ */

static void free_worker(struct worker *worker)
{
    ZSTD_freeCCtx(worker->packer);
    ZSTD_freeDCtx(worker->checker);
    free(worker->batch);
    free(worker->read_back);
    free(worker->decoded);
}

static bool make_worker(struct job *job, struct worker *worker)
{
    worker->job = job;
    worker->packer = ZSTD_createCCtx();
    worker->checker = ZSTD_createDCtx();
    worker->batch = malloc(job->batch_bytes);
    worker->read_back = malloc(job->encoded_room);
    worker->decoded = malloc(job->frames->frame_bytes);
    return worker->packer && worker->checker && worker->batch && worker->read_back &&
           worker->decoded &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(worker->packer, ZSTD_c_compressionLevel,
                                                job->frames->level)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(worker->packer, ZSTD_c_checksumFlag, 1));
}

/* Until all threads have ended: what they do is shown, and whether to stop is asked. */
static void watch(struct job *job)
{
    const struct hl_pack_frames *frames = job->frames;

    pthread_mutex_lock(&job->lock);
    while (job->nr_running) {
        uint64_t done = job->nr_stored * job->batch_bytes;
        struct timespec until;

        if (done > frames->in_bytes)
            done = frames->in_bytes;
        pthread_mutex_unlock(&job->lock);
        if (frames->progress && frames->progress(frames->arg, done, frames->in_bytes)) {
            int rc = hl_error(ECANCELED, "%s: interrupted, nothing was written", frames->out_name);

            pthread_mutex_lock(&job->lock);
            fail(job, rc);
        } else {
            pthread_mutex_lock(&job->lock);
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROGRESS_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (job->nr_running &&
               pthread_cond_timedwait(&job->changed, &job->lock, &until) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&job->lock);
}

/* Fewer threads than asked for will do, none will not. */
static int run_workers(struct job *job, struct worker *workers, unsigned nr)
{
    int err = 0;

    for (unsigned i = 0; i < nr && !err; i++) {
        pthread_mutex_lock(&job->lock);
        job->nr_running++;
        pthread_mutex_unlock(&job->lock);
        err = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        workers[i].started = !err;
        if (err) {
            pthread_mutex_lock(&job->lock);
            job->nr_running--;
            pthread_mutex_unlock(&job->lock);
        }
    }
    if (!workers[0].started)
        return hl_error(err, "no thread to compress with: %s", strerror(err));
    watch(job);
    for (unsigned i = 0; i < nr; i++)
        if (workers[i].started)
            pthread_join(workers[i].thread, NULL);
    return job->rc < 0 ? hl_error(-job->rc, "%s", job->why) : 0;
}

static int write_table(const struct job *job, uint64_t *ret_out_bytes)
{
    const struct hl_pack_frames *frames = job->frames;
    uint64_t bytes = hl_seekable_table_bytes(job->nr_frames);
    HL_CLEANUP(hl_freep) unsigned char *table = malloc(bytes);
    HL_CLEANUP(hl_freep) unsigned char *read_back = malloc(bytes);
    int rc;

    if (!table || !read_back)
        return hl_error(ENOMEM, "%s: no memory for the seek table", frames->out_name);
    hl_seekable_write(job->entries, job->nr_frames, table);
    rc = write_fully(frames->out_name, frames->out_fd, table, bytes, job->placed_bytes);
    if (rc == 0)
        rc = read_fully(frames->out_name, frames->out_fd, read_back, bytes, job->placed_bytes);
    if (rc == 0 && memcmp(table, read_back, bytes) != 0)
        rc = hl_error(EBADMSG, "%s: the seek table is damaged when it is read back",
                      frames->out_name);
    if (rc == 0)
        *ret_out_bytes = job->placed_bytes + bytes;
    return rc;
}

static int pack(struct job *job, uint64_t *ret_out_bytes)
{
    const struct hl_pack_frames *frames = job->frames;
    unsigned nr = frames->nr_threads < job->nr_batches ? frames->nr_threads
                                                        : (unsigned)job->nr_batches;
    struct worker *workers = calloc(nr, sizeof *workers);
    int rc = 0;

    job->nr_slots = nr * SLOTS_PER_THREAD;
    job->slots = calloc(job->nr_slots, sizeof *job->slots);
    job->entries = malloc((size_t)job->nr_frames * sizeof *job->entries);
    if (!workers || !job->slots || !job->entries)
        rc = -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < job->nr_slots; i++)
        if (!(job->slots[i].encoded = malloc(job->encoded_room)))
            rc = -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < nr; i++)
        if (!make_worker(job, &workers[i]))
            rc = -ENOMEM;
    if (rc < 0)
        hl_error(ENOMEM, "%s: no memory for %u threads", frames->in_name, nr);
    else
        rc = run_workers(job, workers, nr);
    if (rc == 0)
        rc = write_table(job, ret_out_bytes);

    for (unsigned i = 0; workers && i < nr; i++)
        free_worker(&workers[i]);
    for (unsigned i = 0; job->slots && i < job->nr_slots; i++)
        free(job->slots[i].encoded);
    free(workers);
    free(job->slots);
    free(job->entries);
    return rc;
}

int hl_pack_frames(const struct hl_pack_frames *frames, uint64_t *ret_out_bytes,
                   uint32_t *ret_nr_frames)
{
    struct job job = { .frames = frames, .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t nr_frames = (frames->in_bytes + frames->frame_bytes - 1) / frames->frame_bytes;
    pthread_condattr_t monotonic;
    int rc;

    if (nr_frames > HL_SEEKABLE_MAX_FRAMES)
        return hl_error(EFBIG, "%s: is %" PRIu64 " frames, a seekable file has at most %u; take "
                        "larger frames", frames->in_name, nr_frames, HL_SEEKABLE_MAX_FRAMES);
    job.batch_bytes = frames->frame_bytes > BATCH_BYTES ? frames->frame_bytes : BATCH_BYTES;
    job.frames_per_batch = job.batch_bytes / frames->frame_bytes;
    job.nr_frames = (uint32_t)nr_frames;
    job.nr_batches = (frames->in_bytes + job.batch_bytes - 1) / job.batch_bytes;
    job.encoded_room = job.frames_per_batch * ZSTD_compressBound(frames->frame_bytes);
    atomic_init(&job.stop, false);

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job.changed, &monotonic);
    rc = pack(&job, ret_out_bytes);
    pthread_cond_destroy(&job.changed);
    pthread_condattr_destroy(&monotonic);
    if (rc == 0)
        *ret_nr_frames = job.nr_frames;
    return rc;
}
