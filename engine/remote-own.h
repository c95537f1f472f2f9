/* SPDX-License-Identifier: MIT
 *
 * remote-own.h - struct hl_remote as remote.c and stage.c share it; nobody else looks inside.
 */
#ifndef HL_REMOTE_OWN_H
#define HL_REMOTE_OWN_H

#include "lock.h"
#include "remote.h"
#include "state.h"
#include "stats.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* Bytes of the source in memory. */
struct hl_held {
    uint64_t src_offset;
    uint32_t length;
    char *bytes; /* owned */
};

struct hl_waiter;

/* Stages that are kept after the reads that they were made for: the next read is most often
 * of the same frame. */
enum { HL_RECENT = 4, HL_RECENT_BYTES = 2 << 20 };

struct hl_remote {
    struct hl_source base;
    pid_t pid; /* who opened it: a child of fork() has the bytes and nothing else */

    struct hl_target *_Atomic target; /* the present one; those before live as long as the remote */
    void (*close_target)(struct hl_target *target);
    int (*refresh)(struct hl_target *target);
    enum hl_validator_kind validator_kind;
    char validator[HL_VALIDATOR_BYTES];
    struct hl_state *state;
    struct hl_stats early; /* until the volume is known */

    /* The beginning and the end.  They change while the source is being opened, which one thread
     * does; later they do not. */
    struct hl_held head, tail;
    _Atomic bool doubt_head;  /* it is not what it should be */
    bool opening;
    uint64_t index_at;        /* the lowest byte of the tail that the codec has looked at */
    uint32_t kept_tail;       /* bytes of the tail that the catalog has */
    bool kept_head;
    uint64_t decoded_bytes;   /* 0 = not known yet */

    _Atomic uint64_t validated_ns; /* CLOCK_REALTIME when the origin named this version last */

    /* ---- under the lock */
    struct hl_lock lock;
    pthread_cond_t news;      /* for waiters */
    struct hl_stage *stages;  /* oldest first */
    struct hl_waiter *waiters;
    struct hl_stage *recent[HL_RECENT]; /* of reads, ended one after the other */
    unsigned next_recent;
    bool forbidden;           /* nobody is to wait for the origin any more */
    bool stale;               /* the origin has another version now */
    char why_stale[512];
};

/* Make a transfer of this version, or of the present one when there is no validator yet. */
void hl_remote_address(struct hl_remote *remote, struct hl_transfer *transfer,
                       uint64_t src_offset, uint32_t length, void *buffer);

/* The origin has just answered for this version.  Under no lock of rank STATE or above. */
void hl_remote_validated(struct hl_remote *remote);

/* The origin has another version now: nothing that needs it will succeed any more.  Under the
 * lock. */
void hl_remote_outdate(struct hl_remote *remote, const char *why);

/* Where it counts. */
struct hl_stats *hl_remote_stats(struct hl_remote *remote);

/* ---- stage.c ---- */

/* Copy bytes out of a stage that one has begun; waits for them. */
int hl_stage_copy(struct hl_stage *stage, uint64_t src_offset, uint32_t length, void *buffer);

#endif
