/* SPDX-License-Identifier: MIT
 *
 * test-remote-credentials: user, password and the values of a query go to the origin they are
 * meant for, and nowhere else.
 *
 * Passes when none of them is in an error, in the statistics of the pool and the volume, in what
 * the SQL side says and logs, in any file of the state directory or the pool, in the name of a
 * thread; when a redirect to another host carries no Authorization; and when the same object,
 * signed anew, is the same volume.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#include <dirent.h>
#include <ftw.h>

#define BYTES (3 * CHUNK)
#define SEED 2

static const char *const secrets[] = {
    "sesame", "c29tZW9uZTpzZXNhbWU", "SIGNATURE1", "SIGNATURE2", "KEYOFMINE", "TOKENOFMINE",
};

static void expect_none_in(const char *where, const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (memmem(text, length, secrets[i], strlen(secrets[i])))
            test_fail(__FILE__, __LINE__, "%s has '%s' in it", where, secrets[i]);
}

static void expect_none(const char *where, const char *text)
{
    expect_none_in(where, text, strlen(text));
}

static unsigned files_seen;

static int look_into(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t length;
    void *bytes;

    (void)ftw;
    expect_none("a path", path);
    if (type != FTW_F || st->st_size == 0 || !strcmp(path + strlen(path) - 5, "image"))
        return 0;
    bytes = file_load(path, &length);
    expect_none_in(path, bytes, length);
    free(bytes);
    files_seen++;
    return 0;
}

static void look_at_stats(struct hugelite_pool *pool)
{
    struct hugelite_volume_stat stats[16];
    struct hugelite_pool_stat st;
    size_t nr;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    expect_none("the pool's notice", st.notice);
    EXPECT_RC(hugelite_pool_volumes(pool, stats, 16, &nr), 0);
    EXPECT(nr > 0);
    for (size_t i = 0; i < nr && i < 16; i++)
        expect_none("a volume's source", stats[i].source);
}

static void look_at_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;

    EXPECT(dir);
    while ((entry = readdir(dir))) {
        char path[300], text[64] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        f = fopen(path, "re");
        if (f) {
            if (fgets(text, sizeof text, f))
                expect_none("a thread's name", text);
            fclose(f);
        }
    }
    closedir(dir);
}

static const char *with_user(const char *url, const char *rest)
{
    static char text[1024];

    snprintf(text, sizeof text, "http://someone:sesame@%s%s", strstr(url, "://") + 3, rest);
    return text;
}

/* What goes wrong says so without them. */
static void expect_discreet(struct hugelite_pool *pool, struct kit_origin *origin)
{
    static const char *const faults[] = {
        "status=401", "status=403", "status=404", "status=503", "ignore_range=yes", "gzip=yes",
        "reset=-1",
        "content_range=shift", "hang=yes", "redirect=?again=KEYOFMINE", "raw=''",
        "redirect='http://someone:sesame@127.0.0.1:1/?token=TOKENOFMINE'",
        "header='Location: http://x:sesame@y/' status=400",
    };
    const char *url = kit_origin_url(origin, "/x.db");
    struct hugelite_volume *none = NULL;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct hugelite_volume *vol = NULL;
        sqlite3 *db = NULL;

        remote_timeout(1);
        kit_origin_order(origin, "fault %s", faults[i]);
        EXPECT(hugelite_volume_open(pool, with_user(url, "?X-Amz-Signature=SIGNATURE1"), &vol)
               < 0);
        fprintf(stderr, "%s: %s\n", faults[i], hugelite_error());
        expect_none("an error", hugelite_error());
        if (i < 3) {
            vfs_log_clear();
            EXPECT(vfs_try(with_user(url, "%3fX-Amz-Signature=SIGNATURE1"), "hugelite", "", &db)
                   != SQLITE_OK || sql_rc(db, "SELECT 1 FROM sqlite_schema") != SQLITE_OK);
            expect_none("SQLite's error", sqlite3_errmsg(db));
            expect_none("SQLite's log", vfs_log_text);
            sqlite3_close(db);
        }
        kit_origin_order(origin, "clear");
        remote_timeout(TEST_HANG_S);
    }
    EXPECT(hugelite_volume_open(pool, "http://someone:sesame@127.0.0.1:1/x", &none) < 0);
    expect_none("an error", hugelite_error());
    EXPECT(hugelite_volume_open(pool, "http://someone:sesame@[/x?a=SIGNATURE1", &none) < 0);
    fprintf(stderr, "%s\n", hugelite_error());
    expect_none("an error", hugelite_error());
}

static void expect_not_forwarded(struct hugelite_pool *pool, struct kit_origin *origin,
                                 struct kit_origin *other)
{
    struct hugelite_volume *vol;

    kit_origin_order(origin, "forget");
    kit_origin_order(origin, "fault path=/far.db redirect=%s", kit_origin_url(other, "/x.db"));
    vol = kit_volume(pool, with_user(kit_origin_url(origin, "/far.db"), ""));
    kit_verify(vol, SEED);
    hugelite_volume_close(vol);
    EXPECT(kit_origin_count(origin, "authorization=Basic") > 0);
    EXPECT(kit_origin_count(other, "/x.db") > 0);
    EXPECT_EQ(kit_origin_count(other, "authorization=Basic"), 0);
}

static void expect_same_volume(struct hugelite_pool *pool, struct kit_origin *origin)
{
    struct hugelite_volume *vol;
    uint64_t fills;
    const char *url = kit_origin_url(origin, "/x.db");

    vol = kit_volume(pool, with_user(url, "?X-Amz-Credential=KEYOFMINE&X-Amz-Signature=SIGNATURE1"
                                          "&X-Amz-Security-Token=TOKENOFMINE"));
    kit_verify(vol, SEED);
    fills = kit_stat(vol).fills;
    hugelite_volume_close(vol);
    EXPECT(kit_origin_count(origin, "X-Amz-Signature=SIGNATURE1") > 0);
    vol = kit_volume(pool, with_user(url, "?X-Amz-Credential=KEYOFMINE&X-Amz-Signature=SIGNATURE2"
                                          "&X-Amz-Security-Token=TOKENOFMINE"));
    kit_verify(vol, SEED);
    EXPECT_EQ(kit_stat(vol).fills, fills);
    hugelite_volume_close(vol);
    EXPECT(kit_origin_count(origin, "X-Amz-Signature=SIGNATURE2") > 0);
}

int main(void)
{
    const char *www = test_dir(), *state = remote_begin(TEST_HANG_S, true), *dir;
    struct kit_origin *origin, *other;
    struct hugelite_pool *pool;

    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "far.db", BYTES, SEED);
    origin = kit_origin(www);
    other = kit_origin(www);
    vfs_begin();
    dir = getenv("HUGELITE_POOL");
    pool = kit_pool(dir, 16);
    kit_origin_order(origin, "fault authorized=no authorization='Basic c29tZW9uZTpzZXNhbWU='"
                             " status=401");
    expect_same_volume(pool, origin);
    look_at_stats(pool);
    look_at_threads();
    kit_origin_order(origin, "clear");
    expect_not_forwarded(pool, origin, other);
    kit_origin_order(origin, "clear");
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    look_at_stats(pool);
    hugelite_pool_close(pool);

    /* With nothing known, so that each trouble is met. */
    setenv("HUGELITE_STATE", "none", 1);
    pool = kit_pool(dir, 16);
    expect_discreet(pool, origin);
    look_at_stats(pool);
    hugelite_pool_close(pool);
    EXPECT_EQ(nftw(state, look_into, 16, FTW_PHYS), 0);
    EXPECT(files_seen > 0);
    EXPECT_EQ(nftw(dir, look_into, 16, FTW_PHYS), 0);
    return 0;
}
