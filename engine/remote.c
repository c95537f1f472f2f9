/* SPDX-License-Identifier: MIT
 *
 * remote.c - a version of a remote object as a source: which version there is, by the catalog or
 * by asking for the object's beginning and end at once, and reads out of whatever has the bytes.
 *
 * The codec opens a source by looking at its beginning and its end.  Until hl_remote_remember()
 * its reads are taken for that: a frame index that is longer than the tail comes by one request
 * more, and what of the tail has been looked at is what the catalog gets.
 *
 * Entry points: remote.h; for stage.c: remote-own.h.  See also: source-http.c, source-s3.c,
 * catalog.h.
 */
#include "config.h"

#include "remote.h"

#include "catalog.h"
#include "cleanup.h"
#include "error.h"
#include "hugelite.h"
#include "remote-own.h"
#include "sys.h"
#include "tier.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INDEX_BYTES = 4 << 20, /* the longest frame index that is kept in memory, and in the catalog */
    MARGIN = 128 << 10,    /* before an index: the last frame, at which the codec looks */
};

/* ---- transfers ----------------------------------------------------------------- */

struct hl_stats *hl_remote_stats(struct hl_remote *remote)
{
    /* acquire: pairs with the release in hl_remote_count_in(). */
    struct hl_stats *stats = atomic_load_explicit(&remote->base.stats, memory_order_acquire);

    return stats ? stats : &remote->early;
}

void hl_remote_address(struct hl_remote *remote, struct hl_transfer *transfer,
                       uint64_t src_offset, uint32_t length, void *buffer)
{
    *transfer = (struct hl_transfer){
        .target = remote->target,
        .stats = hl_remote_stats(remote),
        .src_offset = src_offset,
        .length = length,
        .validator_kind = remote->validator_kind,
        .validator = remote->validator_kind ? remote->validator : NULL,
        .src_bytes = remote->base.src_bytes,
        .urgency = HL_URGENT,
        .buffer = buffer,
    };
}

static int refresh(struct hl_remote *remote)
{
    return remote->refresh ? remote->refresh(remote->target) : 0;
}

static int run(struct hl_transfer *transfer)
{
    int rc = hl_transfer_start(transfer);

    return rc < 0 ? rc : hl_transfer_wait(transfer);
}

/* Is the origin there at all?  What it answers is another matter. */
static bool is_unreachable(int rc, const struct hl_response *response)
{
    switch (rc) {
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ENETDOWN:
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ETIMEDOUT:
        return true;
    default:
        return response->status >= 500 || response->status == 429;
    }
}

/* ---- the catalog ------------------------------------------------------------------ */

static void post_known(struct hl_remote *remote)
{
    const struct hl_source *source = &remote->base;
    struct hl_known known = {
        .kind = remote->validator_kind,
        .src_bytes = source->src_bytes,
        .bytes = remote->decoded_bytes,
        .key = { source->key[0], source->key[1] },
        .validated_ns = atomic_load_explicit(&remote->validated_ns, memory_order_relaxed),
        .opened_ns = hl_today_ns(),
    };

    if (!remote->state->catalog || !known.bytes)
        return;
    snprintf(known.name, sizeof known.name, "%s", source->name);
    snprintf(known.validator, sizeof known.validator, "%s", remote->validator);
    hl_catalog_post_known(remote->state, source->name_key, &known);
}

void hl_remote_validated(struct hl_remote *remote)
{
    /* relaxed: a time, and a word about it. */
    atomic_store_explicit(&remote->validated_ns, hl_today_ns(), memory_order_relaxed);
    if (!remote->base.unvalidated)
        return;
    remote->base.unvalidated = false;
    post_known(remote);
}

void hl_remote_outdate(struct hl_remote *remote, const char *why)
{
    if (remote->stale)
        return;
    remote->stale = true;
    snprintf(remote->why_stale, sizeof remote->why_stale, "%s", why);
}

/* Bytes of the source that the catalog has; false when it has them not, or they cannot be of it. */
static bool recall(struct hl_remote *remote, enum hl_blob_kind kind, struct hl_held *held)
{
    uint64_t src_bytes = remote->base.src_bytes;
    uint32_t length;
    void *bytes;

    if (hl_catalog_read(remote->state->catalog, remote->base.key, kind, 0, &bytes, &length) < 0)
        return false;
    if (length == 0 || length > src_bytes || length > INDEX_BYTES) {
        free(bytes);
        return false;
    }
    *held = (struct hl_held){ .src_offset = kind == HL_BLOB_TAIL ? src_bytes - length : 0,
                              .length = length, .bytes = bytes };
    return true;
}

/* For how long it need not be asked again, in nanoseconds.  What is no number counts as 0. */
static uint64_t fresh_ns(void)
{
    const char *text = getenv("HUGELITE_FRESH");
    unsigned long long seconds;
    char *end;

    if (!text || *text < '0' || *text > '9')
        return 0;
    seconds = strtoull(text, &end, 10);
    if (*end)
        return 0;
    return seconds > UINT64_MAX / 1000000000 ? UINT64_MAX : seconds * 1000000000;
}

/* ---- open ------------------------------------------------------------------------ */

static void make_key(struct hl_remote *remote)
{
    struct {
        uint64_t name_key[2], src_bytes, kind;
        char validator[HL_VALIDATOR_BYTES];
    } version;

    memset(&version, 0, sizeof version);
    memcpy(version.name_key, remote->base.name_key, sizeof version.name_key);
    version.src_bytes = remote->base.src_bytes;
    version.kind = remote->validator_kind;
    snprintf(version.validator, sizeof version.validator, "%s", remote->validator);
    hl_source_hash(&version, sizeof version, remote->base.key);
}

static int no_memory(const struct hl_remote *remote)
{
    return hl_error(ENOMEM, "%s: no memory to open it", remote->base.name);
}

static void drop_held(struct hl_held *held)
{
    free(held->bytes);
    *held = (struct hl_held){ 0 };
}

/* The beginning and the end of whatever version is there now. */
struct ends {
    struct hl_transfer head, tail;
    int head_rc, tail_rc;
};

static int ask_for_ends(struct hl_remote *remote, struct ends *ends)
{
    struct hl_held *head = &remote->head, *tail = &remote->tail;
    char why[sizeof ends->head.sentence];

    drop_held(head);
    drop_held(tail);
    head->bytes = malloc(HL_REMOTE_HEAD);
    tail->bytes = malloc(HL_REMOTE_TAIL);
    if (!head->bytes || !tail->bytes)
        return no_memory(remote);
    remote->validator_kind = HL_VALIDATOR_NONE;
    remote->base.src_bytes = 0;
    hl_remote_address(remote, &ends->head, 0, HL_REMOTE_HEAD, head->bytes);
    hl_remote_address(remote, &ends->tail, 0, HL_REMOTE_TAIL, tail->bytes);
    ends->head.may_be_short = true;
    ends->tail.suffix = true;

    ends->tail_rc = hl_transfer_start(&ends->tail);
    ends->head_rc = run(&ends->head);
    if (ends->head_rc < 0) {
        /* It may not even have begun: then the sentence is not the transfer's. */
        snprintf(why, sizeof why, "%s", hugelite_error());
        if (ends->tail_rc == 0)
            hl_transfer_cancel(&ends->tail);
        return hl_error(-ends->head_rc, "%s", why);
    }
    if (ends->tail_rc == 0)
        ends->tail_rc = hl_transfer_wait(&ends->tail);
    return 0;
}

/* How long the object is by its response. */
static int learn_size(const struct hl_remote *remote, const struct hl_transfer *transfer,
                      uint64_t *ret_src_bytes)
{
    const struct hl_response *response = &transfer->response;
    uint64_t bytes = response->has_total ? response->total : response->length;

    if (!response->has_total && !response->has_length)
        return hl_error(EIO, "%s: the server does not say how long it is", remote->base.name);
    if (bytes == 0)
        return hl_error(ENODATA, "%s: is empty", remote->base.name);
    if (bytes > INT64_MAX)
        return hl_error(EFBIG, "%s: the server says that it has %llu bytes", remote->base.name,
                        (unsigned long long)bytes);
    *ret_src_bytes = bytes;
    return 0;
}

static int learn_version(struct hl_remote *remote, const struct hl_transfer *head)
{
    int rc = learn_size(remote, head, &remote->base.src_bytes);

    if (rc < 0)
        return rc;
    remote->validator_kind = hl_response_validator(&head->response, remote->validator);
    if (remote->validator_kind == HL_VALIDATOR_NONE)
        return hl_error(ENOTSUP, "%s: the server tells neither an entity tag nor when it was "
                        "modified, so that a change could not be noticed", remote->base.name);
    return 0;
}

/* The tail's version must be the head's.  0 or -ESTALE. */
static int compare_version(const struct hl_remote *remote, const struct hl_transfer *tail)
{
    char validator[HL_VALIDATOR_BYTES];
    uint64_t src_bytes = 0;
    int rc = learn_size(remote, tail, &src_bytes);

    if (rc < 0)
        return rc;
    if (src_bytes != remote->base.src_bytes ||
        hl_response_validator(&tail->response, validator) != remote->validator_kind ||
        strcmp(validator, remote->validator))
        return hl_error(ESTALE, "%s: changes while it is being opened", remote->base.name);
    return 0;
}

static uint32_t smaller(uint64_t bytes, uint32_t most)
{
    return bytes < most ? (uint32_t)bytes : most;
}

/* A range of the pinned version, as a part of the source that is kept. */
static int fetch_held(struct hl_remote *remote, uint64_t src_offset, uint32_t length,
                      struct hl_held *held, struct hl_response *ret_response)
{
    struct hl_transfer transfer;
    char *bytes = malloc(length);
    int rc;

    if (!bytes)
        return no_memory(remote);
    hl_remote_address(remote, &transfer, src_offset, length, bytes);
    rc = run(&transfer);
    *ret_response = transfer.response;
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    free(held->bytes);
    *held = (struct hl_held){ .src_offset = src_offset, .length = length, .bytes = bytes };
    hl_remote_validated(remote);
    return 0;
}

/* Not every server knows suffix ranges. */
static int fetch_tail(struct hl_remote *remote)
{
    uint32_t length = smaller(remote->base.src_bytes, HL_REMOTE_TAIL);
    struct hl_response response;

    return fetch_held(remote, remote->base.src_bytes - length, length, &remote->tail, &response);
}

static int open_present(struct hl_remote *remote)
{
    struct ends ends;
    int rc = ask_for_ends(remote, &ends);

    if (rc == 0)
        rc = learn_version(remote, &ends.head);
    if (rc == 0 && ends.tail_rc == 0)
        rc = compare_version(remote, &ends.tail);
    else if (rc == 0)
        rc = fetch_tail(remote);
    if (rc < 0)
        return rc;

    remote->head.length = smaller(remote->base.src_bytes, HL_REMOTE_HEAD);
    remote->tail.length = smaller(remote->base.src_bytes, HL_REMOTE_TAIL);
    remote->tail.src_offset = remote->base.src_bytes - remote->tail.length;
    make_key(remote);
    hl_remote_validated(remote);
    return 0;
}

static int open_unknown(struct hl_remote *remote)
{
    int rc = open_present(remote);

    /* Once more, since it may have been replaced just then. */
    return rc == -ESTALE ? open_present(remote) : rc;
}

/* Does the catalog know it, and have all that the codec needs to open it? */
static bool remember_known(struct hl_remote *remote, struct hl_known *ret_known)
{
    struct hl_catalog *catalog = remote->state->catalog;

    if (!catalog || hl_catalog_find(catalog, remote->base.name_key, ret_known) < 0 ||
        ret_known->kind == HL_VALIDATOR_NONE || ret_known->src_bytes == 0)
        return false;
    remote->validator_kind = ret_known->kind;
    snprintf(remote->validator, sizeof remote->validator, "%s", ret_known->validator);
    remote->base.src_bytes = ret_known->src_bytes;
    remote->decoded_bytes = ret_known->bytes;
    atomic_store_explicit(&remote->validated_ns, ret_known->validated_ns, memory_order_relaxed);
    make_key(remote);
    remote->kept_head = recall(remote, HL_BLOB_HEAD, &remote->head);
    if (recall(remote, HL_BLOB_TAIL, &remote->tail))
        remote->kept_tail = remote->tail.length;
    return true;
}

/* A plain database is opened without a look at its end. */
static bool has_index(const struct hl_remote *remote)
{
    return remote->tail.length || remote->decoded_bytes == remote->base.src_bytes;
}

/* Ask whether the known version is the present one, for a byte if its beginning is known, and for
 * what is missing. */
static int ask_whether_present(struct hl_remote *remote, struct hl_response *ret_response)
{
    uint64_t src_bytes = remote->base.src_bytes;
    struct hl_held byte = { 0 };
    int rc;

    if (remote->kept_head)
        rc = fetch_held(remote, 0, 1, &byte, ret_response);
    else
        rc = fetch_held(remote, 0, smaller(src_bytes, HL_REMOTE_HEAD), &remote->head, ret_response);
    free(byte.bytes);
    if (rc == 0 && !has_index(remote))
        rc = fetch_tail(remote);
    return rc;
}

/* 0; 1 = open it as an unknown one; or why it cannot be opened. */
static int open_known(struct hl_remote *remote)
{
    uint64_t today_ns = hl_today_ns(), age_ns;
    struct hl_response response = { 0 };
    struct hl_known known;
    bool enough;
    int rc;

    if (!remember_known(remote, &known))
        return 1;
    enough = remote->kept_head && has_index(remote);
    age_ns = today_ns - known.validated_ns;
    if (enough && known.validated_ns <= today_ns && age_ns < fresh_ns())
        return 0;

    rc = ask_whether_present(remote, &response);
    if (rc == -ESTALE)
        return 1;
    if (rc < 0 && enough && is_unreachable(rc, &response)) {
        remote->base.unvalidated = true;
        return 0;
    }
    return rc;
}

static void free_remote(struct hl_remote *remote)
{
    if (remote->state)
        hl_state_put(remote->state);
    drop_held(&remote->head);
    drop_held(&remote->tail);
    pthread_cond_destroy(&remote->news);
    pthread_mutex_destroy(&remote->lock.mutex);
    free(remote->base.name);
    free(remote);
}

static void free_remotep(struct hl_remote **remote)
{
    if (*remote)
        free_remote(*remote);
}

static struct hl_remote *make_remote(const struct hl_remote_kind *kind)
{
    struct hl_remote *remote = calloc(1, sizeof *remote);
    pthread_condattr_t attr;

    if (!remote)
        return NULL;
    remote->base.ops = kind->ops;
    remote->base.remote = true;
    memcpy(remote->base.name_key, kind->name_key, sizeof kind->name_key);
    remote->pid = getpid();
    remote->target = kind->target;
    remote->close_target = kind->close_target;
    remote->refresh = kind->refresh;
    remote->lock = (struct hl_lock)HL_LOCK_INIT(HL_RANK_STAGES);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&remote->news, &attr);
    pthread_condattr_destroy(&attr);
    remote->base.name = strdup(kind->name);
    if (!remote->base.name) {
        free_remote(remote);
        return NULL;
    }
    remote->state = hl_state_get();
    return remote;
}

int hl_remote_open(const struct hl_remote_kind *kind, struct hl_source **ret_source)
{
    HL_CLEANUP(free_remotep) struct hl_remote *remote = make_remote(kind);
    int rc;

    if (!remote)
        return hl_error(ENOMEM, "%s: no memory to open it", kind->name);
    rc = refresh(remote);
    if (rc == 0)
        rc = open_known(remote);
    if (rc > 0) {
        remote->kept_head = false;
        remote->kept_tail = 0;
        remote->decoded_bytes = 0;
        rc = open_unknown(remote);
    }
    if (rc < 0)
        return rc;
    if (!remote->tail.length)
        remote->tail.src_offset = remote->base.src_bytes;
    remote->opening = true;
    remote->index_at = remote->base.src_bytes;
    *ret_source = &HL_TAKE(remote)->base;
    return 0;
}

void hl_remote_close(struct hl_source *source)
{
    struct hl_remote *remote = (struct hl_remote *)source;
    struct hl_target *target;

    /* Its locks and its target may be in the hands of threads that are not here. */
    if (getpid() != remote->pid)
        return;
    for (unsigned i = 0; i < HL_RECENT; i++)
        hl_stage_end(remote->recent[i]);
    HL_ASSERT(!remote->stages);
    while ((target = remote->target)) {
        remote->target = target->replaced;
        remote->close_target(target);
    }
    free_remote(remote);
}

void hl_remote_renew(struct hl_source *source, struct hl_source *again)
{
    struct hl_remote *remote = (struct hl_remote *)source, *other = (struct hl_remote *)again;
    struct hl_target *target = other->target;

    hl_lock(&remote->lock);
    if (strcmp(target->url, remote->target->url)) {
        target->replaced = remote->target;
        remote->target = target;
        other->target = NULL;
    }
    hl_unlock(&remote->lock);
}

/* ---- read ------------------------------------------------------------------------- */

static bool holds(const struct hl_held *held, uint64_t src_offset, uint32_t length)
{
    return src_offset >= held->src_offset &&
           src_offset + length <= held->src_offset + held->length;
}

static bool copy_held(const struct hl_held *held, uint64_t src_offset, uint32_t length,
                      void *buffer)
{
    if (!holds(held, src_offset, length))
        return false;
    memcpy(buffer, held->bytes + (src_offset - held->src_offset), length);
    return true;
}

/* Keep a stage for a while; returns the one that has been kept longest, or NULL. */
static struct hl_stage *replace_recent(struct hl_remote *remote, struct hl_stage *stage)
{
    struct hl_stage **place, *oldest;

    hl_lock(&remote->lock);
    place = &remote->recent[remote->next_recent++ % HL_RECENT];
    oldest = *place;
    *place = stage;
    hl_unlock(&remote->lock);
    return oldest;
}

/* By a stage: somebody's, or our own.  At most HL_STAGE_MAX bytes. */
static int read_staged(struct hl_remote *remote, uint64_t src_offset, uint32_t length,
                       void *buffer)
{
    struct hl_stage *stage;
    const void *bytes;
    int rc = hl_stage_borrow(&remote->base, src_offset, length, &bytes, &stage);

    if (rc == 0) {
        memcpy(buffer, bytes, length);
        hl_stage_return(stage);
    }
    if (rc != -ENOENT)
        return rc;
    rc = hl_stage_begin(&remote->base, src_offset, length, HL_URGENT, NULL, NULL, &stage);
    if (rc < 0)
        return rc;
    rc = hl_stage_copy(stage, src_offset, length, buffer);
    if (rc == 0 && length <= HL_RECENT_BYTES)
        stage = replace_recent(remote, stage);
    hl_stage_end(stage);
    return rc;
}

/* Make the tail begin at src_offset, or a little before. */
static int lengthen_tail(struct hl_remote *remote, uint64_t src_offset)
{
    struct hl_held *tail = &remote->tail;
    uint32_t more;
    char *bytes;
    int rc;

    src_offset -= src_offset < MARGIN ? src_offset : MARGIN;
    more = (uint32_t)(tail->src_offset - src_offset);
    bytes = malloc(more + tail->length);
    if (!bytes)
        return no_memory(remote);
    rc = read_staged(remote, src_offset, more, bytes);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    memcpy(bytes + more, tail->bytes, tail->length);
    free(tail->bytes);
    *tail = (struct hl_held){ .src_offset = src_offset, .length = more + tail->length,
                              .bytes = bytes };
    return 0;
}

/* The codec opens, and looks at something near the end that is not in memory: it will look at what
 * follows, too, since that is its frame index. */
static int read_opening(struct hl_remote *remote, uint64_t src_offset, uint32_t length,
                        void *buffer)
{
    const struct hl_held *tail = &remote->tail;

    if (tail->length && src_offset < tail->src_offset &&
        remote->base.src_bytes - src_offset <= INDEX_BYTES) {
        int rc = lengthen_tail(remote, src_offset);

        if (rc < 0)
            return rc;
        if (copy_held(tail, src_offset, length, buffer))
            return 0;
    }
    return read_staged(remote, src_offset, length, buffer);
}

static void note_index(struct hl_remote *remote, uint64_t src_offset)
{
    if (src_offset >= remote->tail.src_offset && src_offset < remote->index_at)
        remote->index_at = src_offset;
}

int hl_remote_read(struct hl_source *source, uint64_t src_offset, uint32_t length, void *buffer)
{
    struct hl_remote *remote = (struct hl_remote *)source;
    char *bytes = buffer;
    int rc = 0;

    if (src_offset > source->src_bytes || length > source->src_bytes - src_offset)
        return hl_error(EIO, "%s: a read of %lu bytes at %llu, and it ends at %llu", source->name,
                        (unsigned long)length, (unsigned long long)src_offset,
                        (unsigned long long)source->src_bytes);
    while (rc == 0 && length) {
        uint32_t piece = smaller(length, HL_STAGE_MAX);

        if ((atomic_load_explicit(&remote->doubt_head, memory_order_relaxed) ||
             !copy_held(&remote->head, src_offset, piece, bytes)) &&
            !copy_held(&remote->tail, src_offset, piece, bytes))
            rc = remote->opening ? read_opening(remote, src_offset, piece, bytes)
                                 : read_staged(remote, src_offset, piece, bytes);
        if (remote->opening)
            note_index(remote, src_offset);
        src_offset += piece;
        length -= piece;
        bytes += piece;
    }
    return rc;
}

const char *hl_remote_caveat(const struct hl_source *source)
{
    const struct hl_remote *remote = (const struct hl_remote *)source;

    if (remote->validator_kind == HL_VALIDATOR_LAST_MODIFIED)
        return "the server gives it no strong ETag: a change is noticed by its modification time "
               "and length only";
    return "";
}

int hl_remote_check(struct hl_source *source)
{
    struct hl_remote *remote = (struct hl_remote *)source;
    struct hl_held byte = { 0 };
    struct hl_response response;
    int rc;

    if (getpid() != remote->pid)
        return hl_error(ECHILD, "%s: was opened before fork(); open it again here", source->name);
    rc = refresh(remote);
    if (rc == 0)
        rc = fetch_held(remote, 0, 1, &byte, &response);
    free(byte.bytes);
    if (rc == -ESTALE) {
        hl_lock(&remote->lock);
        hl_remote_outdate(remote, hugelite_error());
        hl_unlock(&remote->lock);
    }
    return rc;
}

/* ---- what comes after the open ------------------------------------------------------- */

void hl_remote_count_in(struct hl_source *source, struct hl_stats *stats)
{
    struct hl_remote *remote = (struct hl_remote *)source;

#define X(name, unit, help) \
    hl_count(&stats->name, atomic_load_explicit(&remote->early.name, memory_order_relaxed));
#include "stats.def"
#undef X
    atomic_store_explicit(&source->stats, stats, memory_order_release);
}

static void release_copy(void *copy)
{
    free(copy);
}

/* Where the part of the tail ends that is not index. */
static uint64_t end_of_data(const struct hl_remote *remote)
{
    uint64_t tail_at = remote->tail.src_offset;

    return remote->index_at < tail_at ? tail_at : remote->index_at;
}

/* What of the tail is not index is the tier's. */
static void post_rest_of_tail(struct hl_remote *remote)
{
    const struct hl_held *tail = &remote->tail;
    uint32_t length = (uint32_t)(end_of_data(remote) - tail->src_offset);
    void *copy;

    if (!remote->state->tier || remote->kept_tail || !length)
        return;
    copy = malloc(length);
    if (!copy)
        return;
    memcpy(copy, tail->bytes, length);
    hl_tier_post(remote->state, remote->base.key, tail->src_offset, length, copy, release_copy,
                 copy);
}

static void post_blobs(struct hl_remote *remote)
{
    const struct hl_held *head = &remote->head, *tail = &remote->tail;
    uint32_t index = (uint32_t)(remote->base.src_bytes - remote->index_at);

    if (!remote->kept_head && head->length)
        hl_catalog_post(remote->state, remote->base.key, HL_BLOB_HEAD, 0, head->bytes,
                        head->length);
    if (index > remote->kept_tail && index <= tail->length)
        hl_catalog_post(remote->state, remote->base.key, HL_BLOB_TAIL, 0,
                        tail->bytes + tail->length - index, index);
}

/* The codec has it now. */
static void forget_index(struct hl_remote *remote)
{
    struct hl_held *tail = &remote->tail;
    uint32_t length = (uint32_t)(end_of_data(remote) - tail->src_offset);
    char *bytes;

    if (length == tail->length)
        return;
    bytes = length ? realloc(tail->bytes, length) : NULL;
    if (!bytes)
        free(tail->bytes);
    *tail = (struct hl_held){ .src_offset = tail->src_offset, .length = bytes ? length : 0,
                              .bytes = bytes };
}

void hl_remote_remember(struct hl_source *source, uint64_t bytes)
{
    struct hl_remote *remote = (struct hl_remote *)source;

    remote->opening = false;
    remote->decoded_bytes = bytes;
    post_rest_of_tail(remote);
    post_known(remote);
    if (remote->state->catalog)
        post_blobs(remote);
    forget_index(remote);
}
