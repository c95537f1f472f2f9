/* SPDX-License-Identifier: MIT
 *
 * record.c - the records of the catalog: their keys, and values sealed with a checksum.  What LMDB
 * hands out is looked at here before anybody believes it.
 *
 * Entry points: record.h.  See also: catalog.c, tier.c.
 */
#include "config.h"

#include "record.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

enum { FORM = 1 }; /* of a value */

static void add_u32(struct hl_record_key *key, uint32_t v)
{
    for (unsigned i = 4; i--;)
        key->bytes[key->length++] = (uint8_t)(v >> (8 * i));
}

static void add_u64(struct hl_record_key *key, uint64_t v)
{
    add_u32(key, (uint32_t)(v >> 32));
    add_u32(key, (uint32_t)v);
}

static struct hl_record_key begin(char kind)
{
    return (struct hl_record_key){ .bytes = { (uint8_t)kind }, .length = 1 };
}

static struct hl_record_key begin_version(char kind, const uint64_t key[2])
{
    struct hl_record_key record = begin(kind);

    add_u64(&record, key[0]);
    add_u64(&record, key[1]);
    return record;
}

struct hl_record_key hl_record_header(void)
{
    return begin('H');
}

struct hl_record_key hl_record_known(const uint64_t name_key[2])
{
    return begin_version('K', name_key);
}

struct hl_record_key hl_record_blobs(const uint64_t key[2])
{
    return begin_version('B', key);
}

struct hl_record_key hl_record_blob(const uint64_t key[2], uint8_t kind, uint32_t number)
{
    struct hl_record_key record = begin_version('B', key);

    record.bytes[record.length++] = kind;
    add_u32(&record, number);
    return record;
}

struct hl_record_key hl_record_piece(const uint64_t key[2], uint64_t src_offset)
{
    struct hl_record_key record = begin_version('P', key);

    add_u64(&record, src_offset);
    return record;
}

struct hl_record_key hl_record_place(uint32_t segment, uint32_t at)
{
    struct hl_record_key record = begin('Q');

    add_u32(&record, segment);
    add_u32(&record, at);
    return record;
}

struct hl_record_key hl_record_segment(uint32_t segment)
{
    struct hl_record_key record = begin('S');

    add_u32(&record, segment);
    return record;
}

uint32_t hl_record_key_u32(const MDB_val *at, unsigned offset)
{
    const uint8_t *p = at->mv_data;
    uint32_t v = 0;

    for (unsigned i = 0; i < 4 && offset + i < at->mv_size; i++)
        v = v << 8 | p[offset + i];
    return v;
}

uint64_t hl_record_key_u64(const MDB_val *at, unsigned offset)
{
    return (uint64_t)hl_record_key_u32(at, offset) << 32 | hl_record_key_u32(at, offset + 4);
}

void hl_record_key_numbers(const MDB_val *at, unsigned offset, uint64_t ret_key[2])
{
    ret_key[0] = hl_record_key_u64(at, offset);
    ret_key[1] = hl_record_key_u64(at, offset + 8);
}

bool hl_record_begins(const MDB_val *at, const struct hl_record_key *key, uint32_t length)
{
    return at->mv_size >= length && memcmp(at->mv_data, key->bytes, length) == 0;
}

int hl_record_rc(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return -ENOSPC;
    case MDB_READERS_FULL:
        return -EAGAIN;
    default: /* a negative one is LMDB's own */
        return rc > 0 ? -rc : -EIO;
    }
}

static uint64_t seal(const MDB_val *key, const uint8_t *payload, size_t length)
{
    return XXH64(payload, length, XXH64(key->mv_data, key->mv_size, FORM));
}

int hl_record_unseal(const MDB_val *key, const MDB_val *value, const uint8_t **ret_payload,
                     uint32_t *ret_length)
{
    const uint8_t *p = value->mv_data;

    if (value->mv_size < HL_RECORD_SEAL || value->mv_size > UINT32_MAX || p[0] != FORM ||
        hl_get_u64(p + 1) != seal(key, p + HL_RECORD_SEAL, value->mv_size - HL_RECORD_SEAL))
        return -ENOENT;
    *ret_payload = p + HL_RECORD_SEAL;
    *ret_length = (uint32_t)value->mv_size - HL_RECORD_SEAL;
    return 0;
}

int hl_record_get(MDB_txn *txn, const struct hl_record_key *key, const uint8_t **ret_payload,
                  uint32_t *ret_length)
{
    MDB_val at = hl_record_val(key), value;
    int rc = mdb_get(txn, HL_RECORD_DBI, &at, &value);

    if (rc)
        return hl_record_rc(rc);
    return hl_record_unseal(&at, &value, ret_payload, ret_length);
}

int hl_record_put(MDB_txn *txn, const struct hl_record_key *key, const void *payload,
                  uint32_t length)
{
    MDB_val at = hl_record_val(key), value = { HL_RECORD_SEAL + (size_t)length, NULL };
    int rc = mdb_put(txn, HL_RECORD_DBI, &at, &value, MDB_RESERVE);
    uint8_t *p = value.mv_data;

    if (rc)
        return hl_record_rc(rc);
    p[0] = FORM;
    memcpy(p + HL_RECORD_SEAL, payload, length);
    hl_put_u64(p + 1, seal(&at, p + HL_RECORD_SEAL, length));
    return 0;
}

int hl_record_delete(MDB_txn *txn, const struct hl_record_key *key)
{
    MDB_val at = hl_record_val(key);
    int rc = mdb_del(txn, HL_RECORD_DBI, &at, NULL);

    return rc == MDB_NOTFOUND ? 0 : hl_record_rc(rc);
}
