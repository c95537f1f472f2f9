/* SPDX-License-Identifier: MIT
 *
 * record.h - the records of the catalog, as they lie in LMDB: keys, sealed values, and numbers in a
 * fixed byte order.
 *
 * A value is a version byte, the XXH64 of key and payload, and the payload.  One that does not fit is as
 * if it were not there.  In keys numbers are big-endian, so that they sort; in payloads
 * little-endian.
 *
 *   H                              format of the catalog
 *   K name_key                     what a source was when it was seen last (catalog.c)
 *   B key kind number              a blob of a version (catalog.c)
 *   P key src_offset               a piece in the disk tier: length, segment, at, checksum (tier.c)
 *   Q segment at                   which piece lies there: key, src_offset (tier.c)
 *   S segment                      bytes used of a segment (tier.c)
 */
#ifndef HL_RECORD_H
#define HL_RECORD_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

enum { HL_RECORD_KEY_MAX = 32, HL_RECORD_SEAL = 1 + 8 };

struct hl_record_key {
    uint8_t bytes[HL_RECORD_KEY_MAX];
    uint32_t length;
};

struct hl_record_key hl_record_header(void);
struct hl_record_key hl_record_known(const uint64_t name_key[2]);
struct hl_record_key hl_record_blob(const uint64_t key[2], uint8_t kind, uint32_t number);
struct hl_record_key hl_record_blobs(const uint64_t key[2]); /* the beginning of all of a version */
struct hl_record_key hl_record_piece(const uint64_t key[2], uint64_t src_offset);
struct hl_record_key hl_record_place(uint32_t segment, uint32_t at);
struct hl_record_key hl_record_segment(uint32_t segment);

/* The numbers in the keys. */
void hl_record_key_numbers(const MDB_val *at, unsigned offset, uint64_t ret_key[2]);
uint64_t hl_record_key_u64(const MDB_val *at, unsigned offset);
uint32_t hl_record_key_u32(const MDB_val *at, unsigned offset);

/* The payload lies in LMDB's map: it is good until the transaction ends or writes.
 * 0, -ENOENT (also when the value is not what was written), or -EIO. */
int hl_record_get(MDB_txn *txn, const struct hl_record_key *key, const uint8_t **ret_payload,
                  uint32_t *ret_length);
/* The payload of a value that a cursor has found.  0 or -ENOENT. */
int hl_record_unseal(const MDB_val *key, const MDB_val *value, const uint8_t **ret_payload,
                     uint32_t *ret_length);
int hl_record_put(MDB_txn *txn, const struct hl_record_key *key, const void *payload,
                  uint32_t length);
/* 0 also when there is none. */
int hl_record_delete(MDB_txn *txn, const struct hl_record_key *key);

/* LMDB's return codes as ours. */
int hl_record_rc(int rc);

/* Does a key begin like this one? */
bool hl_record_begins(const MDB_val *at, const struct hl_record_key *key, uint32_t length);

static inline MDB_val hl_record_val(const struct hl_record_key *key)
{
    return (MDB_val){ key->length, (void *)key->bytes };
}

/* The one table of the environment. */
#define HL_RECORD_DBI ((MDB_dbi)1)

/* ---- numbers in payloads ------------------------------------------------- */

static inline void hl_put_u32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void hl_put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t hl_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t hl_get_u64(const uint8_t *p)
{
    return hl_get_u32(p) | (uint64_t)hl_get_u32(p + 4) << 32;
}

#endif
