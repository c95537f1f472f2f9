/* SPDX-License-Identifier: MIT
 *
 * test-remote-errors: whatever is wrong with an origin for good is an error with its own errno
 * and its own sentence, in time; never a hang, never a wrong byte, and it is over when the
 * origin is well again.
 *
 * For each trouble, for a raw and for a compressed object: an open of the object meets it from
 * the beginning, and a fetch of an object that was opened in better days meets it later.
 */
#include "test-remote-common.h"

#define TIMEOUT 2
#define BYTES (3 * CHUNK + 12345 * 8)
#define SEED 77

struct trouble {
    const char *name;
    const char *fault;      /* of origin.py */
    int at_open, at_fetch;
    const char *words;      /* in the sentence */
    bool lasts;             /* it is tried again until the deadline */
};

static const struct trouble troubles[] = {
    { "unauthorized", "status=401", -EACCES, -EACCES, "401", false },
    { "forbidden", "status=403", -EACCES, -EACCES, "403", false },
    { "missing", "status=404", -ENOENT, -ENOENT, "404", false },
    { "gone", "status=410", -ENOENT, -ENOENT, "410", false },
    { "changed", "status=412", -ESTALE, -ESTALE, "changed", false },
    { "unsatisfiable", "status=416", -EIO, -EIO, "416", false },
    { "busy", "status=429", -EIO, -EIO, "429", true },
    { "broken", "status=500", -EIO, -EIO, "500", true },
    { "gateway", "status=502", -EIO, -EIO, "502", true },
    { "unavailable", "status=503 retry_after=1", -EIO, -EIO, "503", true },
    { "overdue", "status=504", -EIO, -EIO, "504", true },
    { "page", "status=200", -EIO, -EIO, "HTML", false },
    { "whole", "ignore_range=yes", -EIO, -EIO, "range", false },
    { "gzip", "gzip=yes", -EIO, -EIO, "gzip", false },
    { "shifted", "content_range=shift", -EIO, -EIO, "Content-Range", false },
    { "unranged", "content_range=none", -EIO, -EIO, "Content-Range", false },
    { "odd-range", "content_range='bytes ?'", -EIO, -EIO, "header", false },
    { "starred", "content_range=star", -EIO, 0, "", false },
    { "no-validator", "etag=none last_modified=none", -EOPNOTSUPP, -ESTALE, "", false },
    { "another-length", "content_range=total", -EIO, -ESTALE, "", false },
    { "long", "extra=100", -EIO, -EIO, "", false },
    { "short", "truncate=10", -EIO, -EIO, "short", true },
    { "reset", "reset=0", -ECONNRESET, -ECONNRESET, "broke", true },
    { "reset-at-once", "reset=-1", -ECONNRESET, -ECONNRESET, "broke", true },
    { "silent", "hang=yes", -ETIMEDOUT, -ETIMEDOUT, "first byte", true },
    { "stalled", "stall=1000", -ETIMEDOUT, -ETIMEDOUT, " 1000 of", true },
    { "slow", "drip=2000", -ETIMEDOUT, -ETIMEDOUT, "rest of the body", true },
    { "no-http", "raw='hello world, this is no HTTP at all'", -EIO, -EIO, "", false },
    { "nothing", "raw=''", -ECONNRESET, -ECONNRESET, "without an answer", true },
    { "round-and-round", "redirect=?again", -EIO, -EIO, "redirect", false },
    { "redirected-away", "redirect=ftp://127.0.0.1/x", -EIO, -EIO, "", false },
};
#define NR (sizeof troubles / sizeof *troubles)

static struct {
    struct remote_answer at_open[NR][2], at_fetch[NR][2];
} *shared;
static struct kit_origin *origin;
static const char *dir;

static const char *name_of(unsigned i, unsigned kind)
{
    char name[64];

    snprintf(name, sizeof name, "/%s%s", troubles[i].name, remote_endings[kind]);
    return kit_origin_url(origin, name);
}

static const char *path_of(unsigned i, unsigned kind)
{
    return strrchr(name_of(i, kind), '/');
}

/* What is tried again and again ends at the deadline, perhaps in the middle of a try. */
static bool is_told(const struct trouble *trouble, const struct remote_answer *answer, int rc)
{
    bool late = answer->rc == -ETIMEDOUT && *trouble->words;

    return (answer->rc == rc || late) && strstr(answer->sentence, trouble->words) &&
           answer->seconds < TEST_HANG_S;
}

/* Before the deadline a busy machine may not come to what is the trouble: then that is put off. */
static bool is_put_off(const struct trouble *trouble, const struct remote_answer *answer, int rc,
                       unsigned *timeout)
{
    if (!trouble->lasts || is_told(trouble, answer, rc) || *timeout * 4 > TEST_HANG_S)
        return false;
    *timeout *= 4;
    return true;
}

/* One trouble and one kind, in a process of its own, since most of them take their time. */
static void meet(void *arg)
{
    unsigned i = (unsigned)((uintptr_t)arg / 2), kind = (uintptr_t)arg % 2;
    struct hugelite_pool *pool = kit_pool(dir, 40);
    struct hugelite_volume *vol = NULL;
    const char *url = name_of(i, kind);
    const struct trouble *trouble = &troubles[i];
    struct remote_answer *at_open = &shared->at_open[i][kind];
    struct remote_answer *at_fetch = &shared->at_fetch[i][kind];
    unsigned timeout = trouble->lasts ? TIMEOUT : TEST_HANG_S;
    const void *data;
    double began;

    kit_origin_order(origin, "fault path=%s %s", path_of(i, kind), trouble->fault);
    do {
        remote_timeout(timeout);
        began = test_now();
        remote_note(at_open, hugelite_volume_open(pool, url, &vol), began);
        EXPECT(!vol || at_open->rc == 0);
        hugelite_volume_close(vol);
    } while (is_put_off(trouble, at_open, trouble->at_open, &timeout));
    kit_origin_order(origin, "clear %s", path_of(i, kind));
    remote_timeout(TEST_HANG_S);

    vol = kit_volume(pool, url);
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    kit_verify_chunk(vol, SEED, 0);
    timeout = trouble->lasts ? TIMEOUT : TEST_HANG_S;
    kit_origin_order(origin, "fault path=%s %s", path_of(i, kind), trouble->fault);
    do {
        remote_timeout(timeout);
        began = test_now();
        remote_note(at_fetch, hugelite_volume_fetch(vol, 2 * CHUNK, 4096, &data), began);
        if (at_fetch->rc == 0)
            EXPECT_PATTERN(data, 4096, SEED, 2 * CHUNK);
    } while (is_put_off(trouble, at_fetch, trouble->at_fetch, &timeout));
    kit_origin_order(origin, "clear %s", path_of(i, kind));
    remote_timeout(TEST_HANG_S);
    hugelite_volume_close(vol);

    vol = kit_volume(pool, url);
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static unsigned bad;

static void look(const char *what, const struct trouble *trouble, unsigned kind,
                 const struct remote_answer *answer, int rc)
{
    bool good = is_told(trouble, answer, rc);

    fprintf(stderr, "%s %s, %s of %s: %s after %.1f s: %s\n", good ? "  " : "!!",
            trouble->name, what, remote_endings[kind],
            answer->rc ? strerrorname_np(-answer->rc) : "success", answer->seconds, answer->sentence);
    bad += !good;
}

/* No two troubles have the same sentence, leaving the name of the object aside. */
static void expect_distinct(void)
{
    for (unsigned i = 0; i < NR; i++)
        for (unsigned j = 0; j < i; j++) {
            const char *one = strstr(shared->at_open[i][0].sentence, ".db"),
                       *other = strstr(shared->at_open[j][0].sentence, ".db");

            if (one && other && strcmp(one, other) == 0) {
                fprintf(stderr, "!! %s and %s: the same sentence\n", troubles[i].name,
                        troubles[j].name);
                bad++;
            }
        }
}

int main(void)
{
    const char *www = test_dir();
    pid_t pids[NR][2];

    remote_begin(TEST_HANG_S, false);
    shared = kit_shared(sizeof *shared);
    dir = test_pool_dir();
    for (unsigned kind = 0; kind < 2; kind++) {
        char first[32], name[64];

        snprintf(first, sizeof first, "x%s", remote_endings[kind]);
        remote_object(www, first, BYTES, SEED);
        for (unsigned i = 0; i < NR; i++) {
            snprintf(name, sizeof name, "%s%s", troubles[i].name, remote_endings[kind]);
            EXPECT_EQ(link(test_path(www, first), test_path(www, name)), 0);
        }
    }
    origin = kit_origin(www);
    for (uintptr_t i = 0; i < NR; i++)
        for (uintptr_t kind = 0; kind < 2; kind++)
            pids[i][kind] = kit_fork(meet, (void *)(2 * i + kind));
    for (unsigned i = 0; i < NR; i++)
        for (unsigned kind = 0; kind < 2; kind++)
            EXPECT_CHILD(pids[i][kind], 0);
    for (unsigned i = 0; i < NR; i++)
        for (unsigned kind = 0; kind < 2; kind++) {
            look("open", &troubles[i], kind, &shared->at_open[i][kind], troubles[i].at_open);
            look("fetch", &troubles[i], kind, &shared->at_fetch[i][kind], troubles[i].at_fetch);
        }
    expect_distinct();
    EXPECT_EQ(bad, 0);
    return 0;
}
