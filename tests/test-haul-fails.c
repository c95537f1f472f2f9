/* SPDX-License-Identifier: MIT
 *
 * test-haul-fails: a haul that cannot begin, or only in part, and fills of a remote volume whose
 * encoded bytes cannot be told, or are not right.
 *
 * There is no memory for a haul, no stage, no extent of a chunk, one that is too large; what came has
 * not the sum that it had.  Passes when each claim and each place in the crew is given back, what could
 * be brought is there, what failed is asked for again and is right; when bytes that do not
 * decode are asked for once more, if it is known which they are; and when who may not wait for
 * others does not.
 */
#include "test-remote-common.h"

#include "fails-kit.h"

#include "codec.h"
#include "cold.h"
#include "crew.h"
#include "error.h"
#include "fill.h"
#include "haul.h"
#include "source.h"
#include "stage.h"
#include "tickets.h"

/* A budget of less than eight: nothing is filled ahead of a reader. */
enum { CHUNKS = 4, BUDGET = 7, SEED = 37 };

static struct kit_origin *origin;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;
static struct hl_volume *volume;

/* ---- what fails ------------------------------------------------------------------ */

static _Thread_local bool no_memory;
static bool no_stage;
static _Atomic unsigned wrong_sums;
static _Atomic uint64_t *changing; /* to this, while it is looked whether the chunk is damaged */
static uint64_t changes_to;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    if (!no_memory)
        return __real_malloc(bytes);
    no_memory = false;
    errno = ENOMEM;
    return NULL;
}

int __real_hl_stage_begin(struct hl_source *source, uint64_t src_offset, uint32_t length,
                          enum hl_urgency urgency, void (*arrived)(void *, uint64_t, int),
                          void *arg, struct hl_stage **ret_stage);
int __wrap_hl_stage_begin(struct hl_source *source, uint64_t src_offset, uint32_t length,
                          enum hl_urgency urgency, void (*arrived)(void *, uint64_t, int),
                          void *arg, struct hl_stage **ret_stage);
int __wrap_hl_stage_begin(struct hl_source *source, uint64_t src_offset, uint32_t length,
                          enum hl_urgency urgency, void (*arrived)(void *, uint64_t, int),
                          void *arg, struct hl_stage **ret_stage)
{
    if (no_stage)
        return hl_error(ENOMEM, "no memory for a stage");
    return __real_hl_stage_begin(source, src_offset, length, urgency, arrived, arg, ret_stage);
}

int __real_hl_sums_check(struct hl_sums *sums, uint32_t index, const void *bytes,
                         uint32_t length);
int __wrap_hl_sums_check(struct hl_sums *sums, uint32_t index, const void *bytes,
                         uint32_t length);
int __wrap_hl_sums_check(struct hl_sums *sums, uint32_t index, const void *bytes,
                         uint32_t length)
{
    if (atomic_load(&wrong_sums)) {
        atomic_fetch_sub(&wrong_sums, 1);
        return hl_error(EBADMSG, "other bytes than before");
    }
    return __real_hl_sums_check(sums, index, bytes, length);
}

bool __real_hl_touches_damaged(const struct hl_touches *touches, uint32_t chunk);
bool __wrap_hl_touches_damaged(const struct hl_touches *touches, uint32_t chunk);
bool __wrap_hl_touches_damaged(const struct hl_touches *touches, uint32_t chunk)
{
    if (changing)
        atomic_store(changing, changes_to);
    changing = NULL;
    return __real_hl_touches_damaged(touches, chunk);
}

/* The raw codec, but for one chunk's extent, or the first reads. */
static struct hl_codec_ops ops;
static const struct hl_codec_ops *real_ops;
static uint32_t odd_chunk;
static int extent_rc;
static uint64_t too_far; /* its end is so much further on */
static _Atomic unsigned nr_reads, bad_reads;

static int odd_extent(struct hl_codec *codec, uint64_t offset, uint32_t length, uint64_t *ret_from,
                      uint64_t *ret_to)
{
    int rc = real_ops->extent(codec, offset, length, ret_from, ret_to);

    if (rc < 0 || offset >> HL_CHUNK_SHIFT != odd_chunk)
        return rc;
    *ret_to += too_far;
    return extent_rc ? hl_error(-extent_rc, "the extent is not known") : 0;
}

static int odd_read(struct hl_codec *codec, uint64_t offset, uint32_t length, void *buffer,
                    struct hl_codec_work *work)
{
    atomic_fetch_add(&nr_reads, 1);
    if (atomic_load(&bad_reads)) {
        atomic_fetch_sub(&bad_reads, 1);
        return hl_error(EBADMSG, "it does not decode");
    }
    return real_ops->read(codec, offset, length, buffer, work);
}

static void be_odd(uint32_t chunk, int rc, uint64_t further)
{
    real_ops = volume->codec->ops;
    ops = *real_ops;
    ops.extent = odd_extent;
    ops.read = odd_read;
    odd_chunk = chunk;
    extent_rc = rc;
    too_far = further;
    atomic_store(&nr_reads, 0);
    volume->codec->ops = &ops;
}

static void be_even(void)
{
    kit_await_idle(pool);
    volume->codec->ops = real_ops;
}

static void begin(void)
{
    kit_await_idle(pool);
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    for (uint32_t i = 0; i < CHUNKS; i++)
        atomic_store(fails_word(vol, i), HL_CHUNK_EMPTY);
}

/* So many of the first chunks are there, nobody has one of the others, and nothing is under way. */
static void expect_first(uint32_t nr)
{
    kit_await_idle(pool);
    for (uint32_t i = 0; i < CHUNKS; i++)
        EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, i))),
                  i < nr ? HL_CHUNK_RESIDENT : HL_CHUNK_EMPTY);
    EXPECT_EQ(volume->hauls.nr, 0);
    EXPECT_EQ(pool->crew.nr_hauled, 0);
    kit_audit(pool);
}

static void end(void)
{
    kit_verify(vol, SEED);
    kit_audit(pool);
}

/* ---- hauls ------------------------------------------------------------------------- */

static void cannot_begin(void)
{
    begin();
    hl_haul_begin(volume, 0, 0, false, false);
    expect_first(0);

    no_memory = true;
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    EXPECT(!no_memory);
    expect_first(0);

    no_stage = true;
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    no_stage = false;
    expect_first(0);

    be_odd(1, -EIO, 0);
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    be_even();
    expect_first(0);

    be_odd(0, 0, HL_STAGE_MAX);
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    be_even();
    expect_first(0);
    end();
}

static void begins_in_part(void)
{
    begin();
    be_odd(2, 0, HL_STAGE_MAX);
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    be_even();
    expect_first(2);
    EXPECT_EQ(kit_stat(vol).errors, 0);
    end();

    /* All of it can. */
    begin();
    hl_haul_begin(volume, 0, CHUNKS, false, false);
    expect_first(CHUNKS);
    end();
}

static void other_bytes_than_before(void)
{
    uint64_t errors = kit_stat(vol).errors;

    begin();
    atomic_store(&wrong_sums, 1);
    hl_haul_begin(volume, 0, 1, false, false);
    expect_first(0);
    EXPECT_EQ(atomic_load(&wrong_sums), 0);
    EXPECT_EQ(kit_stat(vol).errors, errors + 1);
    end();
}

/* ---- fills ------------------------------------------------------------------------- */

static void extent_is_not_known(void)
{
    struct hl_fill part = { .volume = volume, .index = 1, .from = 4096, .to = 8192 };
    const void *data;

    begin();
    be_odd(1, -EIO, 0);
    EXPECT_RC(hugelite_volume_fetch(vol, CHUNK, 8, &data), -EIO);
    EXPECT_CONTAINS(hugelite_error(), "the extent is not known");
    part.buffer = calloc(1, CHUNK);
    EXPECT(part.buffer != NULL);
    EXPECT_RC(hl_fill(&part), -EIO);
    EXPECT_EQ(atomic_load(&nr_reads), 0);
    free(part.buffer);
    be_even();

    /* Too large to be asked for at once: piece by piece, then. */
    be_odd(1, 0, HL_STAGE_MAX);
    kit_verify_chunk(vol, SEED, 1);
    EXPECT(atomic_load(&nr_reads) > 0);
    be_even();
    end();
}

static void does_not_decode(void)
{
    static const struct {
        int rc;
        uint64_t further;
        unsigned reads;
    } cases[] = { { 0, 0, 2 }, { -EIO, 0, 1 }, { 0, HL_STAGE_MAX, 1 } };
    char page[4096];

    begin();
    for (unsigned i = 0; i < 3; i++) {
        int rc;

        be_odd(0, cases[i].rc, cases[i].further);
        atomic_store(&bad_reads, 1);
        rc = hl_fill_decode(volume, 512, sizeof page, page);
        EXPECT_EQ(atomic_load(&nr_reads), cases[i].reads);
        EXPECT_EQ(atomic_load(&bad_reads), 0);
        if (cases[i].reads == 2) {
            EXPECT_RC(rc, 0);
            EXPECT_PATTERN(page, sizeof page, SEED, 512);
        } else {
            EXPECT_RC(rc, -EBADMSG);
        }
        be_even();
    }
    end();
}

/* The origin could not be asked when another opened it; it answers now. */
static void validated(void)
{
    char page[4096];

    begin();
    atomic_store(&volume->slot->unvalidated, 1);
    EXPECT_RC(hl_fill_decode(volume, CHUNK, sizeof page, page), 0);
    EXPECT_PATTERN(page, sizeof page, SEED, CHUNK);
    EXPECT_EQ(atomic_load(&volume->slot->unvalidated), 0);
    end();
}

/* ---- who reads ------------------------------------------------------------------------ */

/* The warmer has been overtaken by what is resident. */
static void goes_ahead_from_where_he_is(void)
{
    begin();
    EXPECT_EQ(hl_cold_go_ahead(volume, 2, 0, CHUNKS - 1, CHUNKS), CHUNKS);
    kit_await_idle(pool);
    for (uint32_t i = 0; i < CHUNKS; i++)
        EXPECT_EQ(hl_chunk_state(atomic_load(fails_word(vol, i))),
                  i < 2 ? HL_CHUNK_EMPTY : HL_CHUNK_RESIDENT);
    end();
}

static void waits_for_nobody(uint64_t alive)
{
    _Atomic uint64_t *word = fails_word(vol, 1);
    uint64_t waits;

    begin();
    vol->strays = 0;
    vol->stuck = alive;
    vol->stuck_until_ns = hl_now_ns() + TEST_PATIENCE_NS;
    atomic_store(word, alive | HL_CHUNK_FILLING);
    EXPECT(hl_cold_is_stuck(vol, 1));
    atomic_store(word, alive | HL_CHUNK_EVICTING);
    EXPECT(hl_cold_is_stuck(vol, 1));
    atomic_store(word, alive | HL_CHUNK_RESIDENT); /* a ticket that looks so */
    EXPECT(!hl_cold_is_stuck(vol, 1));

    /* The one that was waited for in vain takes the chunk just now. */
    atomic_store(word, HL_CHUNK_EMPTY);
    waits = kit_stat(vol).waits;
    changing = word;
    changes_to = alive | HL_CHUNK_FILLING;
    EXPECT(hl_cold_is_early(vol, 1, CHUNK, false));
    EXPECT(!changing);
    vol->stuck = 0;
    /* It is ourselves who fill it. */
    atomic_store(word, pool->owner | HL_CHUNK_FILLING);
    EXPECT(hl_cold_is_early(vol, 1, CHUNK, false));
    EXPECT_EQ(kit_stat(vol).waits, waits);
    atomic_store(word, HL_CHUNK_EMPTY);

    /* A time stamp of tomorrow is nothing that a change made now would get. */
    atomic_store(&volume->settled, false);
    volume->source->settled_ns = hl_today_ns() + 24 * 3600 * 1000000000ull;
    hl_ticket_set_limit(pool, 8 * BUDGET);
    EXPECT(hl_cold_window(volume) > 0);
    hl_ticket_set_limit(pool, BUDGET);
    end();
}

int main(void)
{
    const char *www = test_dir(), *dir = test_pool_dir(), *url;
    uint64_t alive;
    pid_t pid;

    remote_begin(TEST_HANG_S, true);
    remote_object(www, "x.db", CHUNKS * CHUNK, SEED);
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db");
    alive = fails_attach(dir, BUDGET, &pid);
    pool = kit_pool(dir, BUDGET);
    vol = kit_volume(pool, url);
    volume = vol->volume;
    hl_crew_start(&pool->crew);

    cannot_begin();
    begins_in_part();
    extent_is_not_known();
    validated();
    goes_ahead_from_where_he_is();
    waits_for_nobody(alive);
    other_bytes_than_before();
    does_not_decode();

    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
    kit_kill(pid);
    kit_origin_stop(origin);
    return 0;
}
