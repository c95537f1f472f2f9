/* SPDX-License-Identifier: MIT
 *
 * haul.h - chunks of a remote volume that are brought together: claimed one by one, asked for in one
 * request, each published by the crew as soon as its bytes are there.
 */
#ifndef HL_HAUL_H
#define HL_HAUL_H

#include "lock.h"

#include <stdbool.h>
#include <stdint.h>

struct hl_haul;
struct hl_volume;

/* Of one volume in this process. */
struct hl_hauls {
    struct hl_lock lock;
    pthread_cond_t done; /* a chunk or a haul less */
    struct hl_haul *first;
    unsigned nr;
    bool stop;
};

void hl_hauls_init(struct hl_hauls *hauls);

/* How many chunks make a request of the best size; at least 1. */
uint32_t hl_haul_chunks(const struct hl_volume *volume);

/* Bring those of the chunks first .. first + nr - 1 that nobody has, in as many requests of
 * the best size as they need.  Returns at once.  if_room: only if nothing has to leave for them; idle: they may
 * come in useful, no reader has come near.  Not for the fault thread. */
void hl_haul_begin(struct hl_volume *volume, uint32_t first, uint32_t nr, bool if_room, bool idle);

/* A reader waits for this chunk. */
void hl_haul_hurry(struct hl_volume *volume, uint32_t index);

/* Wait until fewer than `most` are under way, or the volume is being closed: then false. */
bool hl_haul_wait(struct hl_volume *volume, unsigned most);

/* The volume is being closed, or about to be: hl_haul_wait() returns, nothing new begins. */
void hl_haul_forbid(struct hl_volume *volume);

/* Stop what is under way and give the claims back.  After hl_haul_forbid(). */
void hl_haul_stop(struct hl_volume *volume);

#endif
