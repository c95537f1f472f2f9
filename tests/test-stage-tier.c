/* SPDX-License-Identifier: MIT
 *
 * test-stage-tier: a stage takes from the disk tier what that has, and requests the rest.
 *
 * Passes when of a stretch of which the tier has the middle, both sides are requested and nothing
 * else; when a crumb between two gaps is requested with them; when the tier's part is there
 * although the origin hangs, and though it is only a part of what the tier keeps together; when
 * what the tier has lost is requested; when what a failed request brought is not kept; and when
 * all of it is counted.
 */
#include "stage-common.h"

#include "state.h"
#include "stats.h"
#include "tier.h"

#include <ftw.h>

#define BYTES (24ull * MIB)
#define SEED 47

static struct kit_origin *origin;
static const char *url;
static struct hl_stats stats;

static struct hl_source *open_again(struct hl_source *before)
{
    struct hl_state *state = hl_state_get();
    struct hl_source *source;

    hl_source_close(before);
    EXPECT(hl_state_flush(state, 5000000000ull));
    hl_state_put(state);
    source = stage_source(url);
    stats = (struct hl_stats){ 0 };
    hl_remote_count_in(source, &stats);
    stage_requests(origin, NULL);
    return source;
}

static void expect_costs(struct hl_source *source, uint64_t offset, uint32_t length,
                         uint64_t requests, uint64_t tier_bytes)
{
    uint64_t before = stats.tier_bytes, sent;

    stage_requests(origin, NULL);
    stage_read(source, SEED, offset, length);
    EXPECT_EQ(stage_requests(origin, &sent), requests);
    EXPECT_EQ(stats.tier_bytes - before, tier_bytes);
    EXPECT_EQ(sent, length - tier_bytes);
}

static int spoil(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    FILE *f;

    (void)ftw;
    if (type != FTW_F || st->st_size < (off_t)MIB || strstr(path, "mdb"))
        return 0;
    f = fopen(path, "r+be");
    EXPECT(f != NULL);
    for (off_t at = 0; at < st->st_size; at += 4096) {
        fseek(f, at, SEEK_SET);
        fputs("not what was written", f);
    }
    fclose(f);
    return 0;
}

int main(void)
{
    struct hl_source *source;
    struct hl_stage *stage, *loan;
    const void *bytes;
    const char *state, *dir = test_dir();

    state = remote_begin(TEST_HANG_S, true);
    setenv("HUGELITE_TIER_SIZE", "64M", 1);
    remote_object(dir, "x.db", BYTES, SEED);
    origin = kit_origin(dir);
    url = kit_origin_url(origin, "/x.db");
    source = open_again(NULL);
    expect_costs(source, 2 * MIB, MIB, 1, 0);
    expect_costs(source, 8 * MIB, 8 * KIB, 1, 0);
    expect_costs(source, 12 * MIB, 1000008, 1, 0);

    source = open_again(source);
    expect_costs(source, 2 * MIB, MIB, 0, MIB);
    source = open_again(source); /* what has just been read is in memory */
    expect_costs(source, 2 * MIB + 100008, 300000, 0, 300000);
    source = open_again(source);
    expect_costs(source, 3 * MIB / 2, 2 * MIB, 2, MIB);
    expect_costs(source, 8 * MIB - 32 * KIB, 64 * KIB, 1, 0);

    kit_origin_order(origin, "fault hang=yes");
    EXPECT_RC(hl_stage_begin(source, 12 * MIB, 2 * MIB, HL_AHEAD, NULL, NULL, &stage), 0);
    EXPECT_RC(hl_stage_borrow(source, 12 * MIB, 1000008, &bytes, &loan), 0);
    EXPECT_PATTERN(bytes, 1000008, SEED, 12 * MIB);
    hl_stage_return(loan);
    hl_stage_end(stage);
    kit_origin_order(origin, "clear");

    /* A refusal in the middle of a body that was cut: what came is served, and not kept. */
    kit_origin_order(origin, "fault skip=1 status=403");
    kit_origin_order(origin, "fault count=1 truncate=500000");
    {
        struct stage_reports reports = STAGE_REPORTS(source, 18 * MIB, SEED);

        EXPECT_RC(hl_stage_begin(source, 18 * MIB, MIB, HL_AHEAD, stage_arrived, &reports,
                                 &stage), 0);
        EXPECT_RC(stage_await(&reports), -EACCES);
        hl_stage_end(stage);
    }
    kit_origin_order(origin, "clear");
    source = open_again(source);
    expect_costs(source, 18 * MIB, 256 * KIB, 1, 0);

    source = open_again(source);
    EXPECT_EQ(nftw(state, spoil, 8, FTW_PHYS), 0);
    expect_costs(source, 2 * MIB, 64 * KIB, 1, 0);
    stage_read(source, SEED, 3 * MIB / 2, 2 * MIB);
    hl_source_close(source);
    return 0;
}
