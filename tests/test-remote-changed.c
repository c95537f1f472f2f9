/* SPDX-License-Identifier: MIT
 *
 * test-remote-changed: an object that is replaced is -ESTALE to those who have it open, whose
 * resident chunks stay as they are, and a new volume to those who open it then; never a mixture.
 *
 * Raw and compressed; told by its ETag, and, where the origin sends none or a weak one, by date
 * and length; with a catalog that knows the old version, and without; and in the middle of a
 * transfer.
 */
#include "test-remote-common.h"

#define BYTES (4 * CHUNK)
#define OLD 5
#define NEW 6

static struct kit_origin *origin;
static const char *www, *dir;

/* Put another object in the place of this one, an hour younger. */
static void replace(const char *name, uint64_t bytes, uint64_t seed)
{
    char next[64];

    snprintf(next, sizeof next, "next-%s", name);
    remote_object(www, next, bytes, seed);
    EXPECT_EQ(utimensat(AT_FDCWD, test_path(www, next), NULL, 0), 0);
    EXPECT_EQ(rename(test_path(www, next), test_path(www, name)), 0);
}

static void expect_stale(struct hugelite_volume *vol)
{
    const void *data;
    char bytes[4096];

    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    EXPECT_CONTAINS(hugelite_error(), "changed");
    EXPECT_RC(hugelite_volume_fetch(vol, 2 * CHUNK, 4096, &data), -ESTALE);
    EXPECT_CONTAINS(hugelite_error(), "changed");
    EXPECT_RC(hugelite_volume_read(vol, 3 * CHUNK, sizeof bytes, bytes), -ESTALE);
    kit_verify_chunk(vol, OLD, 0);
}

static void between(const char *fault, const char *ending)
{
    struct hugelite_pool *pool = kit_pool(dir, 64);
    struct hugelite_volume *old, *new;
    static unsigned nr;
    char name[64];

    snprintf(name, sizeof name, "%u%s", nr++, ending);
    fprintf(stderr, "%s, fault: %s\n", name, fault);
    remote_object(www, name, BYTES, OLD);
    if (*fault)
        kit_origin_order(origin, "fault path=/%s %s", name, fault);
    old = kit_volume(pool, kit_origin_url(origin, name));
    EXPECT_EQ(hugelite_volume_bytes(old), BYTES);
    kit_verify_chunk(old, OLD, 0);
    EXPECT_RC(hugelite_volume_check(old), 0);

    replace(name, BYTES, NEW);
    expect_stale(old);
    new = kit_volume(pool, kit_origin_url(origin, name));
    EXPECT_EQ(hugelite_volume_bytes(new), BYTES);
    kit_verify(new, NEW);
    expect_stale(old);
    EXPECT_EQ(kit_stat(old).superseded, 1);
    EXPECT_EQ(kit_stat(new).superseded, 0);
    hugelite_volume_close(old);

    /* Longer, and once more while nobody has it open: a catalog knows the version before. */
    hugelite_volume_close(new);
    replace(name, BYTES + 8 * 4096, OLD);
    new = kit_volume(pool, kit_origin_url(origin, name));
    EXPECT_EQ(hugelite_volume_bytes(new), BYTES + 8 * 4096);
    kit_verify(new, OLD);
    hugelite_volume_close(new);
    hugelite_pool_close(pool);
}

/* Replaced while a request for a chunk is being answered, slowly: that answer is of one version
 * still, or an error; what comes after it is an error. */
static void within(const char *ending)
{
    struct hugelite_pool *pool = kit_pool(dir, 64);
    struct hugelite_volume *vol;
    char name[64];
    unsigned stale = 0;
    pid_t pid;

    snprintf(name, sizeof name, "within%s", ending);
    remote_object(www, name, BYTES, OLD);
    vol = kit_volume(pool, kit_origin_url(origin, name));
    kit_origin_order(origin, "fault path=/%s drip=16000000", name);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        test_sleep_ms(150);
        replace(name, BYTES, NEW);
        _exit(0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        const void *data;
        int rc = hugelite_volume_fetch(vol, i * CHUNK, CHUNK, &data);

        if (rc == 0) {
            kit_pattern(data, CHUNK, OLD, i * CHUNK);
            hugelite_volume_release(vol, data);
        } else {
            EXPECT_EQ(rc, -ESTALE);
            stale++;
        }
    }
    EXPECT_CHILD(pid, 0);
    fprintf(stderr, "within%s: %u of 4 chunks are of a version that is no more\n", ending, stale);
    EXPECT_RC(hugelite_volume_check(vol), -ESTALE);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(int argc, char **argv)
{
    static const char *const faults[] = { "", "etag=none", "etag=weak" };

    /* The state directory is the process's: once with, once without. */
    if (argc < 2) {
        remote_begin(TEST_HANG_S, false);
        pid_t pid = fork();

        if (pid == 0) {
            execl("/proc/self/exe", argv[0], "catalog", (char *)NULL);
            _exit(1);
        }
        EXPECT_CHILD(pid, 0);
    } else {
        remote_begin(TEST_HANG_S, true);
    }
    www = test_dir();
    dir = test_pool_dir();
    origin = kit_origin(www);
    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
            between(faults[i], remote_endings[kind]);
        within(remote_endings[kind]);
    }
    return 0;
}
