/* SPDX-License-Identifier: MIT
 *
 * stage-common.h - what the tests of stages and of remote sources share: a source at an origin,
 * and what `arrived` has been told.
 */
#ifndef HUGELITE_TEST_STAGE_COMMON_H
#define HUGELITE_TEST_STAGE_COMMON_H

#include "test-remote-common.h"

#include "remote.h"
#include "source.h"
#include "stage.h"
#include "transfer.h"

#include <pthread.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

static inline struct hl_source *stage_source(const char *url)
{
    struct hl_source *source = NULL;

    EXPECT_RC(hl_source_open(url, &source), 0);
    EXPECT(source->remote);
    /* Up to here it is one thread's. */
    hl_remote_remember(source, source->src_bytes);
    return source;
}

static inline void stage_read(struct hl_source *source, uint64_t seed, uint64_t offset,
                              uint32_t length)
{
    char *bytes = malloc(length);

    EXPECT(bytes != NULL);
    EXPECT_RC(source->ops->read(source, offset, length, bytes), 0);
    EXPECT_PATTERN(bytes, length, seed, offset);
    free(bytes);
}

/* Wait until the origin has answered all that it was asked, or has seen that nobody waits for it: that is a
 * moment after it has sent. */
static inline struct kit_origin_stat stage_await_idle(struct kit_origin *origin)
{
    struct kit_origin_stat stat = kit_origin_stat(origin);
    double end = test_now() + TEST_HANG_S;

    while (stat.in_flight) {
        EXPECT(test_now() < end);
        test_sleep_ms(1);
        stat = kit_origin_stat(origin);
    }
    return stat;
}

/* Requests and bytes that the origin has seen since this was asked last. */
static inline uint64_t stage_requests(struct kit_origin *origin, uint64_t *ret_bytes)
{
    struct kit_origin_stat stat = stage_await_idle(origin);

    kit_origin_order(origin, "forget");
    if (ret_bytes)
        *ret_bytes = stat.bytes;
    return stat.requests;
}

/* What a stage has reported: its own expectations are that it goes up and ends once. */
struct stage_reports {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct hl_source *source;
    uint64_t from, src_end; /* from: of the stage */
    uint64_t seed;          /* 0 = do not look at the bytes */
    unsigned nr;
    bool ended;
    int rc;
};

static inline void stage_arrived(void *arg, uint64_t src_end, int rc)
{
    struct stage_reports *reports = arg;
    struct hl_stage *loan;
    const void *bytes;

    pthread_mutex_lock(&reports->lock);
    EXPECT(!reports->ended);
    EXPECT(src_end > reports->src_end || rc <= 0);
    EXPECT(src_end >= reports->src_end);
    /* All before src_end is there: this does not wait. */
    if (reports->seed && src_end > reports->from) {
        EXPECT_RC(hl_stage_borrow(reports->source, reports->from,
                                  (uint32_t)(src_end - reports->from), &bytes, &loan), 0);
        EXPECT_PATTERN(bytes, (src_end - reports->from) & ~7ull, reports->seed, reports->from);
        hl_stage_return(loan);
    }
    reports->nr++;
    reports->src_end = src_end;
    reports->rc = rc;
    reports->ended = rc <= 0;
    pthread_cond_broadcast(&reports->news);
    pthread_mutex_unlock(&reports->lock);
}

/* Wait for the last report. */
static inline int stage_await(struct stage_reports *reports)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TEST_HANG_S;
    pthread_mutex_lock(&reports->lock);
    while (!reports->ended)
        EXPECT_EQ(pthread_cond_timedwait(&reports->news, &reports->lock, &until), 0);
    pthread_mutex_unlock(&reports->lock);
    return reports->rc;
}

/* Wait until all before src_end has been reported. */
static inline void stage_await_bytes(struct stage_reports *reports, uint64_t src_end)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TEST_HANG_S;
    pthread_mutex_lock(&reports->lock);
    while (reports->src_end < src_end)
        EXPECT_EQ(pthread_cond_timedwait(&reports->news, &reports->lock, &until), 0);
    pthread_mutex_unlock(&reports->lock);
}

static inline bool stage_has_ended(struct stage_reports *reports)
{
    bool ended;

    pthread_mutex_lock(&reports->lock);
    ended = reports->ended;
    pthread_mutex_unlock(&reports->lock);
    return ended;
}

#define STAGE_REPORTS(src, at, s) \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER, .source = (src), \
      .from = (at), .src_end = (at), .seed = (s) }

#endif
