/* SPDX-License-Identifier: MIT
 *
 * test-catalog-damage: a catalog that was cut or changed while nobody had it open.
 *
 * Passes when a file that is cut at each page's boundary (and beside it), has bytes changed anywhere, is of
 * another kind, or has a damaged lock file beside it, opens; when what is read of it then is what was
 * written or nothing; when a notice says so if it was begun anew; and when it can be written
 * afterwards, until the next life.  A catalog of another version is begun anew too.
 */
#include "config.h"

#include "kit.h"
#include "state-kit.h"

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCES = 120, FLIPS = 250, PAGE = 4096 };

static const char *dir, *data, *lock;
static uint8_t *sound, *bytes;
static size_t length;
static uint64_t random_state = 20;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % limit;
}

static void write_file(const char *path, const void *from, size_t nr)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, from, nr), (ssize_t)nr);
    close(fd);
}

/* Of all there can be: small and large values, a list of free pages, more than one level. */
static void make_catalog(void)
{
    struct hl_state *state;
    struct stat st;
    int fd;

    state = sk_open();
    for (unsigned v = 0; v < 6; v++) {
        for (unsigned i = 0; i < SOURCES; i++) {
            struct hl_known known = sk_known(i, v);
            uint8_t blob[9000];

            sk_post_known(state, i, v);
            memset(blob, (int)i, sizeof blob);
            if (i % 3 == 0)
                hl_catalog_post(state, known.key, HL_BLOB_TAIL, 0, blob, 300 + i * 70);
            if (i % 10 == 0)
                sk_flush(state);
        }
    }
    sk_close(state);
    fd = open(data, O_RDONLY | O_CLOEXEC);
    EXPECT(fd >= 0 && fstat(fd, &st) == 0);
    length = (size_t)st.st_size;
    sound = malloc(length);
    bytes = malloc(2 * length);
    EXPECT(sound && bytes);
    EXPECT_EQ(read(fd, sound, length), (ssize_t)length);
    close(fd);
    EXPECT(length > 60 * PAGE);
}

/* Open what lies there.  True when it was begun anew. */
static bool open_damaged(void)
{
    struct hl_state *state = hl_state_get();
    bool anew = strstr(sk_notice(state), "begun anew") != NULL;
    unsigned found = 0;

    EXPECT(state->catalog != NULL);
    for (unsigned i = 0; i < SOURCES; i++) {
        int64_t v = sk_version(state, i);

        EXPECT(v == -ENOENT || (v >= 0 && v < 6));
        found += v >= 0;
    }
    EXPECT(!anew || found == 0);
    EXPECT(anew || strlen(sk_notice(state)) == 0);
    sk_post_known(state, 1000, 5);
    sk_flush(state);
    EXPECT_EQ(sk_version(state, 1000), 5);
    EXPECT_STR(strstr(sk_notice(state), "could not") ? sk_notice(state) : "", "");
    hl_state_put(state);
    return anew;
}

static void write_version(uint32_t version)
{
    struct hl_record_key header = hl_record_header();
    uint8_t payload[4];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    hl_put_u32(payload, version);
    EXPECT_EQ(mdb_env_create(&env), 0);
    EXPECT_EQ(mdb_env_open(env, test_path(dir, "catalog"), 0, 0600), 0);
    EXPECT_EQ(mdb_txn_begin(env, NULL, 0, &txn), 0);
    EXPECT_EQ(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    EXPECT_RC(hl_record_put(txn, &header, payload, sizeof payload), 0);
    EXPECT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

int main(void)
{
    static const char text[] = "not LMDB's at all";
    unsigned anew = 0;

    dir = test_path(test_dir(), "state");
    data = test_path(dir, "catalog/data.mdb");
    lock = test_path(dir, "catalog/lock.mdb");
    sk_use(dir, NULL);
    make_catalog();

    /* As it was, with any lock file. */
    write_file(data, sound, length);
    memset(bytes, 0xA5, length);
    write_file(lock, bytes, length);
    EXPECT(!open_damaged());
    write_file(data, sound, length);
    write_file(lock, text, 5);
    EXPECT(!open_damaged());

    for (size_t cut = 0; cut < length; cut += PAGE * (cut > 40 * PAGE ? 5 : 1)) {
        write_file(data, sound, cut);
        /* An empty file is a new one; of pages at the end that are free nothing is missed. */
        anew += open_damaged();
        write_file(data, sound, cut + PAGE / 2 + 1);
        open_damaged();
    }
    EXPECT(anew > 30);

    for (unsigned i = 0, flips = (unsigned)kit_seconds(1) * FLIPS; i < flips; i++) {
        memcpy(bytes, sound, length);
        for (unsigned nr = 1 + random_below(3); nr; nr--) {
            size_t at = random_below((uint32_t)length);

            /* Mostly where the structure is. */
            if (random_below(4))
                at = at / PAGE * PAGE + random_below(64);
            bytes[at] = (uint8_t)random_below(256);
        }
        write_file(data, bytes, length);
        open_damaged();
    }

    write_file(data, text, sizeof text);
    EXPECT(open_damaged());
    write_file(data, sound, length);
    EXPECT(!open_damaged());
    write_version(77);
    EXPECT(open_damaged());
    EXPECT(!open_damaged());
    free(sound);
    free(bytes);
    return 0;
}
