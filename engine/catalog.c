/* SPDX-License-Identifier: MIT
 *
 * catalog.c - what is remembered of remote volumes: records in an LMDB environment, how it is opened
 * so that LMDB never meets a file that it could not bear, and the transactions.
 *
 * Who opens.  The file `lock` of the state directory has two bytes, locked by open file description.
 * Whoever gets the first one for himself is alone with the directory: he looks through LMDB's file before LMDB
 * maps it, begins anew what is damaged or of another version, then shares the byte.  The second byte is
 * shared by those who have it open; who finds nobody there begins again, since the one who was alone has died.
 *
 * Who writes.  The clerk, one transaction for a batch.  Data are on the disk when it ends, the meta
 * page may not be (MDB_NOMETASYNC): a crash of the machine may undo the last transactions, not damage it.
 *
 * Entry points: catalog.h.  See also: record.h, catalog-check.h, state.c (the clerk).
 */
#include "config.h"

#include "catalog.h"

#include "catalog-check.h"
#include "error.h"
#include "hugelite.h"
#include "lock.h"
#include "record.h"
#include "state.h"
#include "sys.h"
#include "tier.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FORMAT = 1,
    READERS = 1024,
    /* Of LMDB: 64 bytes for a reader, and its header; more does no harm. */
    LOCK_FILE_BYTES = 64 * READERS + 4096,
    SPARES = 8,
    FDS = 4,
    CHECK_READERS_EVERY = 64, /* transactions */
    LOCK_ALONE = 0, LOCK_OPEN = 1, /* bytes of `lock` */
    NAP_NS = 2 * 1000 * 1000,
};

#define DATA_NAME "catalog/data.mdb"
#define LOCK_NAME "catalog/lock.mdb"

uint64_t hl_catalog_map_bytes = 1ull << 30;

struct hl_catalog {
    MDB_env *env;
    int lock_fd;
    bool first;
    _Atomic bool broken; /* LMDB's word is not to be trusted any more; or a child of fork() */
    MDB_txn *writing;    /* the clerk's */
    uint32_t nr_written;
    _Atomic int trouble; /* what became of the last transaction */
    _Atomic(MDB_txn *) spare[SPARES]; /* of readers, which keep their seats in LMDB's table */
    int fds[FDS];        /* LMDB's own */
};

/* ---- LMDB's assertions --------------------------------------------------- */

static _Thread_local jmp_buf *escape;

/* It would abort the process when this returned. */
static void flee(MDB_env *env, const char *what)
{
    (void)env;
    (void)what;
    if (escape)
        longjmp(*escape, 1);
}

/* ---- transactions -------------------------------------------------------- */

static int begin_read(struct hl_catalog *catalog, MDB_txn **ret_txn)
{
    MDB_txn *txn;
    int rc;

    for (unsigned i = 0; i < SPARES; i++) {
        if (!atomic_load_explicit(&catalog->spare[i], memory_order_relaxed))
            continue;
        /* acquire: pairs with the release of who has put it there. */
        txn = atomic_exchange_explicit(&catalog->spare[i], NULL, memory_order_acquire);
        if (!txn)
            continue;
        if (mdb_txn_renew(txn) == 0) {
            *ret_txn = txn;
            return 0;
        }
        mdb_txn_abort(txn);
    }
    rc = mdb_txn_begin(catalog->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_READERS_FULL) {
        mdb_reader_check(catalog->env, NULL);
        rc = mdb_txn_begin(catalog->env, NULL, MDB_RDONLY, &txn);
    }
    if (rc)
        return hl_record_rc(rc);
    *ret_txn = txn;
    return 0;
}

static void end_read(struct hl_catalog *catalog, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    for (unsigned i = 0; i < SPARES; i++) {
        MDB_txn *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&catalog->spare[i], &none, txn,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    mdb_txn_abort(txn);
}

static int look_once(struct hl_catalog *catalog, int (*look)(MDB_txn *txn, void *arg), void *arg)
{
    MDB_txn *txn;
    int rc = begin_read(catalog, &txn);

    if (rc < 0)
        return rc;
    rc = look(txn, arg);
    end_read(catalog, txn);
    return rc;
}

int hl_catalog_look(struct hl_catalog *catalog, int (*look)(MDB_txn *txn, void *arg), void *arg)
{
    jmp_buf here, *outer = escape;
    int rc;

    if (atomic_load_explicit(&catalog->broken, memory_order_relaxed))
        return -EIO;
    /* A transaction that is never ended would keep all pages from being used again. */
    hl_quiet_begin();
    if (_setjmp(here) == 0) {
        escape = &here;
        rc = look_once(catalog, look, arg);
    } else {
        atomic_store_explicit(&catalog->broken, true, memory_order_relaxed);
        rc = -EIO;
    }
    escape = outer;
    hl_quiet_end();
    return rc;
}

void hl_catalog_guard(struct hl_catalog *catalog, void (*run)(void *arg), void *arg)
{
    jmp_buf here, *outer = escape;

    if (_setjmp(here) == 0) {
        escape = &here;
        run(arg);
    } else {
        atomic_store_explicit(&catalog->broken, true, memory_order_relaxed);
    }
    escape = outer;
}

static void make_room(MDB_txn *txn);

MDB_txn *hl_catalog_write(struct hl_catalog *catalog)
{
    MDB_txn *txn;
    int rc;

    if (!catalog || atomic_load_explicit(&catalog->broken, memory_order_relaxed))
        return NULL;
    if (!catalog->writing) {
        rc = mdb_txn_begin(catalog->env, NULL, 0, &txn);
        if (rc) {
            atomic_store_explicit(&catalog->trouble, hl_record_rc(rc), memory_order_relaxed);
            return NULL;
        }
        catalog->writing = txn;
        make_room(txn);
    }
    return catalog->writing;
}

static void settle(void *arg)
{
    struct hl_catalog *catalog = arg;
    MDB_txn *txn = catalog->writing;
    int rc;

    catalog->writing = NULL;
    rc = mdb_txn_commit(txn);
    atomic_store_explicit(&catalog->trouble, hl_record_rc(rc), memory_order_relaxed);
    if (++catalog->nr_written % CHECK_READERS_EVERY == 0)
        mdb_reader_check(catalog->env, NULL);
}

bool hl_catalog_settle(struct hl_catalog *catalog)
{
    if (catalog->writing && !atomic_load_explicit(&catalog->broken, memory_order_relaxed))
        hl_catalog_guard(catalog, settle, catalog);
    return !atomic_load_explicit(&catalog->broken, memory_order_relaxed);
}

int hl_catalog_trouble(const struct hl_catalog *catalog)
{
    if (atomic_load_explicit(&catalog->broken, memory_order_relaxed))
        return -EBADMSG;
    return atomic_load_explicit(&catalog->trouble, memory_order_relaxed);
}

/* ---- known sources ------------------------------------------------------- */

enum { KNOWN_KEY = 17, KNOWN_FIXED = 4 + 6 * 8 + 2 + 2 };

static uint32_t encode_known(const struct hl_known *known, uint8_t *p)
{
    const uint64_t numbers[6] = { known->src_bytes, known->bytes, known->key[0], known->key[1],
                                  known->validated_ns, known->opened_ns };
    uint32_t name = (uint32_t)strnlen(known->name, sizeof known->name - 1);
    uint32_t validator = (uint32_t)strnlen(known->validator, sizeof known->validator - 1);

    hl_put_u32(p, known->kind);
    for (unsigned i = 0; i < 6; i++)
        hl_put_u64(p + 4 + 8 * i, numbers[i]);
    p[52] = (uint8_t)name;
    p[53] = (uint8_t)(name >> 8);
    p[54] = (uint8_t)validator;
    p[55] = (uint8_t)(validator >> 8);
    memcpy(p + KNOWN_FIXED, known->name, name);
    memcpy(p + KNOWN_FIXED + name, known->validator, validator);
    return KNOWN_FIXED + name + validator;
}

static bool decode_known(const uint8_t *p, uint32_t length, struct hl_known *ret_known)
{
    uint32_t name, validator;

    if (length < KNOWN_FIXED)
        return false;
    name = p[52] | (uint32_t)p[53] << 8;
    validator = p[54] | (uint32_t)p[55] << 8;
    if (name >= sizeof ret_known->name || validator >= sizeof ret_known->validator ||
        length != KNOWN_FIXED + name + validator || hl_get_u32(p) > HL_VALIDATOR_LAST_MODIFIED)
        return false;
    *ret_known = (struct hl_known){
        .kind = (enum hl_validator_kind)hl_get_u32(p),
        .src_bytes = hl_get_u64(p + 4),
        .bytes = hl_get_u64(p + 12),
        .key = { hl_get_u64(p + 20), hl_get_u64(p + 28) },
        .validated_ns = hl_get_u64(p + 36),
        .opened_ns = hl_get_u64(p + 44),
    };
    memcpy(ret_known->name, p + KNOWN_FIXED, name);
    memcpy(ret_known->validator, p + KNOWN_FIXED + name, validator);
    return true;
}

static int get_known(MDB_txn *txn, const uint64_t name_key[2], struct hl_known *ret_known)
{
    struct hl_record_key record = hl_record_known(name_key);
    const uint8_t *payload;
    uint32_t length;
    int rc = hl_record_get(txn, &record, &payload, &length);

    if (rc < 0)
        return rc;
    return decode_known(payload, length, ret_known) ? 0 : -ENOENT;
}

struct find {
    const uint64_t *name_key;
    struct hl_known *ret_known;
};

static int look_find(MDB_txn *txn, void *arg)
{
    const struct find *find = arg;

    return get_known(txn, find->name_key, find->ret_known);
}

int hl_catalog_find(struct hl_catalog *catalog, const uint64_t name_key[2],
                    struct hl_known *ret_known)
{
    struct find find = { name_key, ret_known };

    return catalog ? hl_catalog_look(catalog, look_find, &find) : -ENOENT;
}

/* The next one from a key on. */
struct next {
    struct hl_record_key from;
    uint64_t name_key[2];
    struct hl_known known;
};

/* -ENOENT: there is none. */
static int look_next(MDB_txn *txn, void *arg)
{
    struct next *next = arg;
    MDB_val at = hl_record_val(&next->from), value;
    const uint8_t *payload;
    MDB_cursor *cursor;
    uint32_t length;
    int rc;

    rc = mdb_cursor_open(txn, HL_RECORD_DBI, &cursor);
    if (rc)
        return hl_record_rc(rc);
    rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    while (rc == 0 && hl_record_begins(&at, &next->from, 1) &&
           (at.mv_size != KNOWN_KEY || hl_record_unseal(&at, &value, &payload, &length) < 0 ||
            !decode_known(payload, length, &next->known)))
        rc = mdb_cursor_get(cursor, &at, &value, MDB_NEXT);
    if (rc == 0 && !hl_record_begins(&at, &next->from, 1))
        rc = MDB_NOTFOUND;
    if (rc == 0) {
        hl_record_key_numbers(&at, 1, next->name_key);
        memcpy(next->from.bytes, at.mv_data, KNOWN_KEY);
        next->from.bytes[KNOWN_KEY] = 0; /* the least that comes behind */
        next->from.length = KNOWN_KEY + 1;
    }
    mdb_cursor_close(cursor);
    return hl_record_rc(rc);
}

/* One transaction for each, so that a slow each() holds up nobody. */
int hl_catalog_each(struct hl_catalog *catalog,
                    int (*each)(void *arg, const uint64_t name_key[2], const struct hl_known *known),
                    void *arg)
{
    struct next next = { .from = hl_record_known((const uint64_t[2]){ 0, 0 }) };
    int rc = catalog ? 0 : -ENOENT;

    while (rc == 0 && (rc = hl_catalog_look(catalog, look_next, &next)) == 0) {
        rc = each(arg, next.name_key, &next.known);
        if (rc)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int put_known(MDB_txn *txn, const uint64_t name_key[2], const struct hl_known *known)
{
    struct hl_record_key record = hl_record_known(name_key);
    uint8_t payload[KNOWN_FIXED + sizeof known->name + sizeof known->validator];

    return hl_record_put(txn, &record, payload, encode_known(known, payload));
}

/* All records whose keys begin so. */
static int drop(MDB_txn *txn, const struct hl_record_key *beginning)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, HL_RECORD_DBI, &cursor);

    while (rc == 0) {
        MDB_val at = hl_record_val(beginning), value;

        rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
        if (rc == 0 && !hl_record_begins(&at, beginning, beginning->length))
            rc = MDB_NOTFOUND;
        if (rc == 0)
            rc = mdb_cursor_del(cursor, 0);
        else
            mdb_cursor_close(cursor);
    }
    return rc == MDB_NOTFOUND ? 0 : hl_record_rc(rc);
}

static int drop_version(MDB_txn *txn, struct hl_tier *tier, const uint64_t key[2])
{
    struct hl_record_key blobs = hl_record_blobs(key);
    int rc = drop(txn, &blobs);

    return rc < 0 ? rc : hl_tier_drop(tier, txn, key);
}

static int forget(MDB_txn *txn, struct hl_tier *tier, const uint64_t name_key[2])
{
    struct hl_record_key record = hl_record_known(name_key), blobs = hl_record_blobs(name_key);
    struct hl_known known;
    int rc;

    rc = get_known(txn, name_key, &known);
    if (rc < 0)
        return rc;
    rc = drop_version(txn, tier, known.key);
    if (rc == 0)
        rc = drop(txn, &blobs);
    return rc < 0 ? rc : hl_record_delete(txn, &record);
}

/* ---- room ---------------------------------------------------------------- */

/* Of the map, in sixteenths: at most, and after those that were opened longest ago have gone.  LMDB
 * copies the pages that it changes, uses them again two transactions later, and a batch may change every
 * page: less than a third. */
enum { FULL = 4, ROOMY = 3 };

static bool is_over(MDB_txn *txn, unsigned sixteenths)
{
    MDB_stat stat;

    return mdb_stat(txn, HL_RECORD_DBI, &stat) == 0 &&
           (uint64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
                   stat.ms_psize > hl_catalog_map_bytes / 16 * sixteenths;
}

struct age {
    uint64_t opened_ns;
    uint64_t name_key[2];
};

static int compare_ages(const void *a, const void *b)
{
    const struct age *x = a, *y = b;

    return x->opened_ns < y->opened_ns ? -1 : x->opened_ns > y->opened_ns;
}

/* All of them, those opened longest ago first. */
static struct age *list_ages(MDB_txn *txn, size_t *ret_nr)
{
    struct next next = { .from = hl_record_known((const uint64_t[2]){ 0, 0 }) };
    struct age *ages = NULL;
    size_t nr = 0, room = 0;

    while (look_next(txn, &next) == 0) {
        if (nr == room) {
            struct age *more = realloc(ages, (room = 2 * room + 64) * sizeof *ages);

            if (!more)
                break;
            ages = more;
        }
        ages[nr].opened_ns = next.known.opened_ns;
        memcpy(ages[nr++].name_key, next.name_key, sizeof next.name_key);
    }
    if (nr)
        qsort(ages, nr, sizeof *ages, compare_ages);
    *ret_nr = nr;
    return ages;
}

/* Before the map is full, since then nothing can be taken out either. */
static void make_room(MDB_txn *txn)
{
    struct age *ages;
    size_t nr, i = 0;

    if (!is_over(txn, FULL))
        return;
    ages = list_ages(txn, &nr);
    while (is_over(txn, ROOMY))
        if (i < nr ? forget(txn, NULL, ages[i++].name_key) < 0 : !hl_tier_evict(txn))
            break;
    free(ages);
}

/* ---- errands ------------------------------------------------------------- */

struct known_errand {
    struct hl_errand base;
    struct hl_state *state;
    uint64_t name_key[2];
    struct hl_known known;
};

static void run_known(struct hl_errand *base)
{
    struct known_errand *errand = (struct known_errand *)base;
    MDB_txn *txn = hl_catalog_write(errand->state->catalog);
    struct hl_known before;
    int rc = 0;

    if (txn && get_known(txn, errand->name_key, &before) == 0) {
        if (memcmp(before.key, errand->known.key, sizeof before.key))
            rc = drop_version(txn, errand->state->tier, before.key);
        else if (!errand->known.bytes)
            errand->known.bytes = before.bytes;
    }
    if (txn && rc == 0)
        put_known(txn, errand->name_key, &errand->known);
    free(errand);
}

void hl_catalog_post_known(struct hl_state *state, const uint64_t name_key[2],
                           const struct hl_known *known)
{
    struct known_errand *errand = state->catalog ? calloc(1, sizeof *errand) : NULL;

    if (!errand)
        return;
    errand->base.run = run_known;
    errand->state = state;
    memcpy(errand->name_key, name_key, sizeof errand->name_key);
    errand->known = *known;
    if (!hl_state_post_bytes(state, &errand->base, sizeof *errand))
        free(errand);
}

/* Shared by who waits and the clerk. */
struct forget_errand {
    struct hl_errand base;
    struct hl_state *state;
    uint64_t name_key[2];
    int rc;
    _Atomic unsigned refs;
};

static void put_forget(struct forget_errand *errand)
{
    /* acq_rel: what the other has written is seen before it is freed. */
    if (atomic_fetch_sub_explicit(&errand->refs, 1, memory_order_acq_rel) == 1)
        free(errand);
}

static void run_forget(struct hl_errand *base)
{
    struct forget_errand *errand = (struct forget_errand *)base;
    MDB_txn *txn = hl_catalog_write(errand->state->catalog);

    errand->rc = txn ? forget(txn, errand->state->tier, errand->name_key) : -EIO;
    put_forget(errand);
}

int hl_catalog_forget(struct hl_state *state, const uint64_t name_key[2])
{
    struct forget_errand *errand;
    int rc = -ETIMEDOUT;

    if (!state->catalog)
        return hl_error(ENOENT, "there is no catalog to forget it in");
    errand = calloc(1, sizeof *errand);
    if (!errand)
        return hl_error(ENOMEM, "no memory to forget a source");
    errand->base.run = run_forget;
    errand->state = state;
    memcpy(errand->name_key, name_key, sizeof errand->name_key);
    atomic_store_explicit(&errand->refs, 2, memory_order_relaxed);
    if (!hl_state_post_must(state, &errand->base)) {
        free(errand);
        return hl_error(EAGAIN, "state '%s': there is no thread to write to it", hl_state_dir(state));
    }
    if (hl_state_flush(state, hl_patience_ns))
        rc = errand->rc;
    put_forget(errand);
    if (rc == 0)
        rc = hl_catalog_trouble(state->catalog);
    if (rc == -ENOENT)
        return hl_error(ENOENT, "it is not in the catalog");
    return rc < 0 ? hl_error(-rc, "state '%s': cannot forget it: %s", hl_state_dir(state),
                             strerror(-rc))
                  : 0;
}

/* ---- blobs --------------------------------------------------------------- */

struct read {
    struct hl_record_key record;
    void *bytes;
    uint32_t length;
};

static int look_blob(MDB_txn *txn, void *arg)
{
    struct read *read = arg;
    const uint8_t *payload;
    int rc = hl_record_get(txn, &read->record, &payload, &read->length);

    if (rc < 0)
        return rc;
    read->bytes = malloc(read->length ? read->length : 1);
    if (!read->bytes)
        return -ENOMEM;
    memcpy(read->bytes, payload, read->length);
    return 0;
}

int hl_catalog_read(struct hl_catalog *catalog, const uint64_t key[2], enum hl_blob_kind kind,
                    uint32_t number, void **ret_bytes, uint32_t *ret_length)
{
    struct read read = { .record = hl_record_blob(key, (uint8_t)kind, number) };
    int rc = catalog ? hl_catalog_look(catalog, look_blob, &read) : -ENOENT;

    if (rc < 0)
        return rc;
    *ret_bytes = read.bytes;
    *ret_length = read.length;
    return 0;
}

int hl_catalog_put(MDB_txn *txn, const uint64_t key[2], enum hl_blob_kind kind, uint32_t number,
                   const void *bytes, uint32_t length)
{
    struct hl_record_key record = hl_record_blob(key, (uint8_t)kind, number);

    return hl_record_put(txn, &record, bytes, length);
}

struct blob_errand {
    struct hl_errand base;
    struct hl_catalog *catalog;
    struct hl_record_key record;
    uint32_t length;
    uint8_t bytes[];
};

static void run_blob(struct hl_errand *base)
{
    struct blob_errand *errand = (struct blob_errand *)base;
    MDB_txn *txn = hl_catalog_write(errand->catalog);
    const uint8_t *before;
    uint32_t length;

    if (txn && (hl_record_get(txn, &errand->record, &before, &length) < 0 ||
                length != errand->length || memcmp(before, errand->bytes, length)))
        hl_record_put(txn, &errand->record, errand->bytes, errand->length);
    free(errand);
}

void hl_catalog_post(struct hl_state *state, const uint64_t key[2], enum hl_blob_kind kind,
                     uint32_t number, const void *bytes, uint32_t length)
{
    struct blob_errand *errand = state->catalog ? malloc(sizeof *errand + length) : NULL;

    if (!errand)
        return;
    errand->base.run = run_blob;
    errand->catalog = state->catalog;
    errand->record = hl_record_blob(key, (uint8_t)kind, number);
    errand->length = length;
    memcpy(errand->bytes, bytes, length);
    if (!hl_state_post_bytes(state, &errand->base, (uint32_t)sizeof *errand + length))
        free(errand);
}

/* ---- open and close ------------------------------------------------------ */

static bool lock_byte(int fd, off_t byte, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return hl_sys.lock(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_open_elsewhere(int fd)
{
    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_OPEN,
                           .l_len = 1 };

    return hl_sys.lock(fd, F_OFD_GETLK, &probe) == 0 && probe.l_type != F_UNLCK;
}

/* Be alone, or one of those who have it open. */
static int join(struct hl_catalog *catalog)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    uint64_t deadline_ns = hl_now_ns() + hl_patience_ns;

    do {
        if (lock_byte(catalog->lock_fd, LOCK_ALONE, F_WRLCK)) {
            catalog->first = true;
            return 0;
        }
        if (errno != EAGAIN && errno != EACCES)
            return hl_error(errno, "the lock cannot be had: %s", strerror(errno));
        if (lock_byte(catalog->lock_fd, LOCK_ALONE, F_RDLCK)) {
            if (is_open_elsewhere(catalog->lock_fd) &&
                lock_byte(catalog->lock_fd, LOCK_OPEN, F_RDLCK))
                return 0;
            lock_byte(catalog->lock_fd, LOCK_ALONE, F_UNLCK);
        }
        nanosleep(&nap, NULL);
    } while (hl_now_ns() < deadline_ns);
    return hl_error(ETIMEDOUT, "another process has kept it to itself for %llu s",
                    (unsigned long long)(hl_patience_ns / 1000000000u));
}

static void discard(int dir_fd)
{
    hl_sys.unlinkat(dir_fd, DATA_NAME, 0);
    hl_sys.unlinkat(dir_fd, LOCK_NAME, 0);
}

/* A file with its mode by hand, so that the umask of whoever came first does not lock out the rest of the
 * group.  Not of one that LMDB has open: the close would drop its locks. */
static int make_file(int dir_fd, const char *name, int flags, mode_t mode, off_t room)
{
    int fd = hl_sys.openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, mode);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (flags & O_EXCL)
        rc = hl_sys.fchmod(fd, mode) < 0 ? -errno : 0;
    /* Where there is no such call, as on ZFS, the library writes. */
    if (rc == 0 && room && hl_sys.fallocate(fd, 0, 0, room) < 0)
        rc = errno == EOPNOTSUPP ? -posix_fallocate(fd, 0, room) : -errno;
    hl_sys.close(fd);
    return rc;
}

/* LMDB maps its lock file writable: on a full disk a hole in it would be the end of the process.  And
 * what an earlier life has left there is of no use to who is alone. */
static int prepare_files(int dir_fd, mode_t mode)
{
    int rc;

    if (hl_sys.unlinkat(dir_fd, LOCK_NAME, 0) < 0 && errno != ENOENT)
        return hl_error(errno, "cannot remove " LOCK_NAME ": %s", strerror(errno));
    rc = make_file(dir_fd, LOCK_NAME, O_EXCL, mode, LOCK_FILE_BYTES);
    if (rc == 0) {
        rc = make_file(dir_fd, DATA_NAME, O_EXCL, mode, 0);
        if (rc == -EEXIST)
            rc = 0;
    }
    return rc < 0 ? hl_error(-rc, "cannot make it: %s", strerror(-rc)) : 0;
}

static int check_file(int dir_fd, char *note, uint32_t room)
{
    const char *why = "";
    int fd, rc;

    fd = hl_sys.openat(dir_fd, DATA_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return errno == ENOENT ? 0 : hl_error(errno, "cannot open " DATA_NAME ": %s",
                                              strerror(errno));
    rc = hl_catalog_check(fd, hl_catalog_map_bytes, &why);
    hl_sys.close(fd);
    if (rc == -EBADMSG) {
        snprintf(note, room, "the catalog was damaged (%s) and has been begun anew", why);
        discard(dir_fd);
        rc = 0;
    }
    return rc < 0 ? hl_error(-rc, "cannot read " DATA_NAME ": %s", strerror(-rc)) : 0;
}

/* Descriptors that LMDB has opened, for the child of a fork(); and so that none outlives an exec. */
static void find_fds(struct hl_catalog *catalog, int dir_fd)
{
    const char *names[2] = { DATA_NAME, LOCK_NAME };
    unsigned nr = 0;

    for (unsigned i = 0; i < 2; i++) {
        DIR *dir = opendir("/proc/self/fd");
        struct stat ours, st;
        struct dirent *entry;

        if (dir && fstatat(dir_fd, names[i], &ours, AT_SYMLINK_NOFOLLOW) == 0)
            while (nr < FDS && (entry = readdir(dir))) {
                int fd = atoi(entry->d_name);

                if (entry->d_name[0] == '.' || hl_sys.fstat(fd, &st) < 0 ||
                    st.st_dev != ours.st_dev || st.st_ino != ours.st_ino)
                    continue;
                fcntl(fd, F_SETFD, FD_CLOEXEC);
                catalog->fds[nr++] = fd;
            }
        if (dir)
            closedir(dir);
    }
}

static void close_env(struct hl_catalog *catalog)
{
    for (unsigned i = 0; i < SPARES; i++) {
        MDB_txn *txn = atomic_exchange_explicit(&catalog->spare[i], NULL, memory_order_acquire);

        if (txn)
            mdb_txn_abort(txn);
    }
    if (catalog->env)
        mdb_env_close(catalog->env);
    catalog->env = NULL;
}

static int open_env(struct hl_catalog *catalog, const char *dir, mode_t mode)
{
    char path[4200];
    int rc;

    snprintf(path, sizeof path, "%s/catalog", dir);
    rc = mdb_env_create(&catalog->env);
    if (rc)
        return hl_error(ENOMEM, "no memory for LMDB");
    mdb_env_set_assert(catalog->env, flee);
    rc = mdb_env_set_mapsize(catalog->env, hl_catalog_map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(catalog->env, READERS);
    /* NOTLS: a seat in the table of readers belongs to a transaction, not to a thread of the host. */
    if (rc == 0)
        rc = mdb_env_open(catalog->env, path, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMETASYNC, mode);
    if (rc == 0)
        return 0;
    close_env(catalog);
    hl_error(EIO, "LMDB: %s", mdb_strerror(rc));
    return hl_record_rc(rc);
}

static int look_header(MDB_txn *txn, void *arg)
{
    struct hl_record_key record = hl_record_header();
    const uint8_t *payload;
    MDB_stat stat;
    uint32_t length;
    int rc;

    (void)arg;
    rc = hl_record_get(txn, &record, &payload, &length);
    if (rc == 0)
        return length == 4 && hl_get_u32(payload) == FORMAT ? 0 : -EMEDIUMTYPE;
    if (rc != -ENOENT || mdb_stat(txn, HL_RECORD_DBI, &stat) || stat.ms_entries)
        return -EMEDIUMTYPE;
    return -ENOENT; /* it is new */
}

static void write_header(void *arg)
{
    struct hl_catalog *catalog = arg;
    struct hl_record_key record = hl_record_header();
    MDB_txn *txn = hl_catalog_write(catalog);
    uint8_t payload[4];

    hl_put_u32(payload, FORMAT);
    if (txn && hl_record_put(txn, &record, payload, sizeof payload) == 0)
        settle(catalog);
}

/* The table's handle, which is the same for each transaction from then on. */
static void open_table(void *arg)
{
    struct hl_catalog *catalog = arg;
    MDB_dbi dbi = 0;
    MDB_txn *txn;

    if (mdb_txn_begin(catalog->env, NULL, MDB_RDONLY, &txn) == 0) {
        if (mdb_dbi_open(txn, NULL, 0, &dbi) || dbi != HL_RECORD_DBI || mdb_txn_commit(txn))
            atomic_store_explicit(&catalog->broken, true, memory_order_relaxed);
    } else {
        atomic_store_explicit(&catalog->broken, true, memory_order_relaxed);
    }
}

static int begin_env(struct hl_catalog *catalog, const char *dir, mode_t mode)
{
    int rc = open_env(catalog, dir, mode);

    if (rc < 0)
        return rc;
    hl_catalog_guard(catalog, open_table, catalog);
    rc = hl_catalog_look(catalog, look_header, NULL);
    if (rc == -ENOENT && catalog->first) {
        hl_catalog_guard(catalog, write_header, catalog);
        rc = hl_catalog_look(catalog, look_header, NULL);
    }
    if (rc == -EMEDIUMTYPE)
        hl_error(EMEDIUMTYPE, "the catalog is of another version of Hugelite");
    else if (rc < 0)
        hl_error(-rc, "the catalog cannot be used: %s",
                 rc == -ENOENT ? "it has no header" : strerror(-rc));
    if (rc < 0)
        close_env(catalog);
    return rc;
}

static int open_alone(struct hl_catalog *catalog, const char *dir, int dir_fd, mode_t mode,
                      char *note, uint32_t note_room)
{
    int rc;

    rc = check_file(dir_fd, note, note_room);
    if (rc == 0)
        rc = prepare_files(dir_fd, mode);
    if (rc == 0)
        rc = begin_env(catalog, dir, mode);
    /* What LMDB cannot read, or is of another version, is begun anew: nobody else has it open. */
    if (rc == -EMEDIUMTYPE || rc == -EIO) {
        snprintf(note, note_room, "%s; it has been begun anew", hugelite_error());
        discard(dir_fd);
        atomic_store_explicit(&catalog->broken, false, memory_order_relaxed);
        rc = prepare_files(dir_fd, mode);
        if (rc == 0)
            rc = begin_env(catalog, dir, mode);
    }
    if (rc == 0 && !lock_byte(catalog->lock_fd, LOCK_OPEN, F_RDLCK))
        rc = hl_error(errno, "the lock cannot be had: %s", strerror(errno));
    return rc;
}

static int open_quietly(struct hl_catalog *catalog, const char *dir, int dir_fd, mode_t mode,
                        char *note, uint32_t note_room)
{
    int rc;

    if (hl_sys.mkdirat(dir_fd, "catalog", 0700) == 0) {
        if (mode & S_IWGRP && fchmodat(dir_fd, "catalog", 02770, 0) < 0)
            return hl_error(errno, "cannot make a directory in it: %s", strerror(errno));
    } else if (errno != EEXIST) {
        return hl_error(errno, "cannot make a directory in it: %s", strerror(errno));
    }
    make_file(dir_fd, "lock", O_EXCL, mode, 0);
    catalog->lock_fd = hl_sys.openat(dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (catalog->lock_fd < 0)
        return hl_error(errno, "cannot open its lock: %s", strerror(errno));
    rc = join(catalog);
    if (rc < 0)
        return rc;
    rc = catalog->first ? open_alone(catalog, dir, dir_fd, mode, note, note_room)
                        : begin_env(catalog, dir, mode);
    if (rc < 0)
        return rc;
    find_fds(catalog, dir_fd);
    mdb_reader_check(catalog->env, NULL);
    return 0;
}

int hl_catalog_open(const char *dir, int dir_fd, mode_t file_mode, struct hl_catalog **ret_catalog,
                    char *note, uint32_t note_room)
{
    struct hl_catalog *catalog = calloc(1, sizeof *catalog);
    int rc;

    note[0] = '\0';
    if (!catalog)
        return hl_error(ENOMEM, "no memory for the catalog");
    catalog->lock_fd = -1;
    for (unsigned i = 0; i < FDS; i++)
        catalog->fds[i] = -1;
    hl_quiet_begin();
    *ret_catalog = catalog; /* at once, for a child that is forked meanwhile */
    rc = open_quietly(catalog, dir, dir_fd, file_mode, note, note_room);
    if (rc < 0) {
        *ret_catalog = NULL;
        hl_catalog_close(catalog);
    }
    hl_quiet_end();
    return rc;
}

bool hl_catalog_was_first(const struct hl_catalog *catalog)
{
    return catalog->first;
}

void hl_catalog_share(struct hl_catalog *catalog)
{
    lock_byte(catalog->lock_fd, LOCK_ALONE, F_RDLCK);
}

void hl_catalog_close(struct hl_catalog *catalog)
{
    if (!catalog)
        return;
    /* Damaged while it was open: its own way out would trust it once more. */
    if (!atomic_load_explicit(&catalog->broken, memory_order_relaxed))
        close_env(catalog);
    if (catalog->lock_fd >= 0)
        hl_sys.close(catalog->lock_fd);
    free(catalog);
}

/* LMDB's own close would clear the parent's seats in the table of readers.  The locks are not
 * this process's: closing the descriptors drops none of the parent's. */
void hl_catalog_abandon(struct hl_catalog *catalog)
{
    atomic_store_explicit(&catalog->broken, true, memory_order_relaxed);
    for (unsigned i = 0; i < FDS; i++)
        if (catalog->fds[i] >= 0)
            hl_sys.close(catalog->fds[i]);
    hl_sys.close(catalog->lock_fd);
    catalog->lock_fd = -1;
}
