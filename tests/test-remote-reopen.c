/* SPDX-License-Identifier: MIT
 *
 * test-remote-reopen: what an open and the reads after it cost in requests.
 *
 * An unknown volume: two, at once.  A known one: one that validates it, or none within
 * HUGELITE_FRESH seconds.  In a new pool, and in another process, the catalog and the disk tier
 * of the first one serve: all that was fetched before comes without a request.  Two pools with
 * one state directory do not disturb each other.
 */
#include "test-remote-common.h"

#define BYTES (4 * CHUNK)
#define SEED 14

static struct kit_origin *origin;
static const char *url;

static uint64_t requests_since(void)
{
    uint64_t nr = kit_origin_stat(origin).requests;

    kit_origin_order(origin, "forget");
    return nr;
}

/* Open, read all if so asked, close; in a process of its own, as the next program would. */
static struct job {
    const char *dir;
    bool read;
} job;

static void work(void *arg)
{
    struct hugelite_pool *pool = kit_pool(job.dir, 16);
    struct hugelite_volume *vol = kit_volume(pool, url);

    (void)arg;
    EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    EXPECT_EQ(kit_stat(vol).unvalidated, 0);
    if (job.read)
        kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

static uint64_t requests_of(const char *dir, bool read)
{
    job = (struct job){ .dir = dir, .read = read };
    requests_since();
    EXPECT_CHILD(kit_fork(work, NULL), 0);
    return requests_since();
}

static void run(const char *www, const char *ending)
{
    const char *one = test_pool_dir(), *two = test_pool_dir();
    char name[32];

    fprintf(stderr, "%s\n", ending);
    origin = kit_origin(www);
    snprintf(name, sizeof name, "/x%s", ending);
    url = kit_origin_url(origin, name);
    remote_begin(TEST_HANG_S, true);

    EXPECT_EQ(requests_of(one, false), 2);
    EXPECT_EQ(requests_of(one, false), 1);
    EXPECT(requests_of(one, true) >= 2);
    EXPECT_EQ(requests_of(one, true), 1);       /* all is resident */
    EXPECT_EQ(requests_of(two, true), 1);       /* all is on disk */
    setenv("HUGELITE_FRESH", "100", 1);
    EXPECT_EQ(requests_of(one, true), 0);
    EXPECT_EQ(requests_of(two, false), 0);

    /* Fresh or not, a new version is seen as soon as the origin is asked. */
    setenv("HUGELITE_FRESH", "0", 1);
    kit_origin_order(origin, "replace %s", name);
    EXPECT(requests_of(one, true) >= 3);
    EXPECT_EQ(requests_of(two, true), 1);
    kit_origin_stop(origin);
}

int main(void)
{
    const char *www = test_dir();

    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    for (unsigned kind = 0; kind < 2; kind++)
        run(www, remote_endings[kind]);
    return 0;
}
