/* SPDX-License-Identifier: MIT
 *
 * fuzz-catalog: the file of the catalog.  The input is one, as LMDB finds it.
 *
 * Passes when the check says yes or no, and when LMDB can read, write and empty what it says yes to: it
 * would abort, or read where nothing is.
 */
#include "config.h"

#include "fuzz.h"

#include "catalog-check.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAP = 4 << 20 };

const char fuzz_name[] = "catalog";

static char dir[] = "/dev/shm/fuzz-catalog.XXXXXX", data[64];

static void clean(void)
{
    unlink(data);
    rmdir(dir);
}

static void begin(void)
{
    FUZZ_EXPECT(mkdtemp(dir) != NULL);
    snprintf(data, sizeof data, "%s/data.mdb", dir);
    atexit(clean);
}

static void read_all(MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t sum = 0;
    int rc;

    FUZZ_EXPECT(mdb_cursor_open(txn, HL_RECORD_DBI, &cursor) == 0);
    for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        const uint8_t *payload;
        uint32_t length;

        for (size_t i = 0; i < key.mv_size; i++)
            sum += ((uint8_t *)key.mv_data)[i];
        if (hl_record_unseal(&key, &value, &payload, &length) == 0)
            sum += length;
        else
            for (size_t i = 0; i < value.mv_size; i++)
                sum += ((uint8_t *)value.mv_data)[i];
    }
    FUZZ_EXPECT(rc == MDB_NOTFOUND && sum != 1);
    mdb_cursor_close(cursor);
}

/* New records, small and large, then all that there are. */
static void write_all(MDB_txn *txn, unsigned round)
{
    static uint8_t large[24000];
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc;

    for (uint32_t i = 0; i < 40; i++) {
        struct hl_record_key place = hl_record_place(i, round);

        FUZZ_EXPECT(hl_record_put(txn, &place, large, i % 8 ? 30 : 9000 + round * 5000) == 0);
    }
    if (round < 2)
        return;
    FUZZ_EXPECT(mdb_cursor_open(txn, HL_RECORD_DBI, &cursor) == 0);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) == 0)
        FUZZ_EXPECT(mdb_cursor_del(cursor, 0) == 0);
    FUZZ_EXPECT(rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
}

static void use(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    FUZZ_EXPECT(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, MAP) == 0);
    FUZZ_EXPECT(mdb_env_open(env, dir, MDB_NOLOCK | MDB_NOSYNC | MDB_NOTLS, 0600) == 0);
    FUZZ_EXPECT(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    FUZZ_EXPECT(mdb_dbi_open(txn, NULL, 0, &dbi) == 0 && dbi == HL_RECORD_DBI);
    read_all(txn);
    mdb_txn_abort(txn);
    for (unsigned round = 0; round < 4; round++) {
        FUZZ_EXPECT(mdb_txn_begin(env, NULL, 0, &txn) == 0);
        FUZZ_EXPECT(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
        write_all(txn, round);
        FUZZ_EXPECT(mdb_txn_commit(txn) == 0);
    }
    mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *why = NULL;
    int fd, rc;

    if (!*data)
        begin();
    fd = open(data, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    FUZZ_EXPECT(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    rc = hl_catalog_check(fd, MAP, &why);
    close(fd);
    FUZZ_EXPECT(rc == 0 || (rc == -EBADMSG && why));
    if (rc == 0) {
        use();
        fd = open(data, O_RDONLY | O_CLOEXEC);
        FUZZ_EXPECT(hl_catalog_check(fd, MAP, &why) == 0);
        close(fd);
    }
    return 0;
}
