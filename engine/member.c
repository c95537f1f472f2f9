/* SPDX-License-Identifier: MIT
 *
 * member.c - the processes of a pool and their open handles: attaching, being
 * alive, and what each holds and uses.  A process is alive while the kernel holds its byte lock,
 * which works across containers and needs no pid.
 *
 * Entry points: pool.h ("member.c").  Why the pins are safe: engine/README.md, rule 4.
 */
#include "config.h"

#include "chunk.h"
#include "error.h"
#include "memory.h"
#include "pool.h"
#include "sys.h"

#include <linux/membarrier.h>
#include <string.h>

static bool lock_member(struct hugelite_pool *pool, uint32_t member, short type)
{
    struct flock lock = { .l_type = type,
                          .l_whence = SEEK_SET,
                          .l_start = HL_LOCK_MEMBER + member,
                          .l_len = 1 };

    return hl_sys.lock(pool->control_fd, F_OFD_SETLK, &lock) == 0;
}

int hl_member_attach(struct hugelite_pool *pool)
{
    for (uint32_t i = 0; i < HL_MEMBERS; i++) {
        struct hl_member *member = &pool->members[i];
        uint32_t generation;

        /* The seats of a pool that is alone are nobody else's, but the file may be another pool's. */
        if (!pool->alone && !lock_member(pool, i, F_WRLCK)) {
            if (errno == EAGAIN || errno == EACCES || errno == EINTR)
                continue;
            return hl_error(errno, "pool '%s': cannot take a seat: %s", pool->dir, strerror(errno));
        }
        /* Whatever the seat's last owner left claimed names an older
         * generation, and is thereby known to be dead.  0 is skipped: no owner is 0. */
        generation = atomic_load_explicit(&member->generation, memory_order_relaxed) + 1;
        if (generation == 0)
            generation = 1;
        atomic_store_explicit(&member->heap_bytes, 0, memory_order_relaxed);
        atomic_store_explicit(&member->generation, generation, memory_order_release);
        pool->owner = HL_OWNER(i, generation);
        hl_memory_settle();
        return 0;
    }
    return hl_error(EUSERS, "pool '%s': %u processes are attached, no more can be", pool->dir,
                    HL_MEMBERS);
}

void hl_member_detach(struct hugelite_pool *pool)
{
    lock_member(pool, HL_OWNER_MEMBER(pool->owner), F_UNLCK);
}

bool hl_member_alive(struct hugelite_pool *pool, uint64_t owner)
{
    uint32_t member = HL_OWNER_MEMBER(owner);
    struct flock probe = { .l_type = F_WRLCK,
                           .l_whence = SEEK_SET,
                           .l_start = HL_LOCK_MEMBER + member,
                           .l_len = 1 };

    if (owner == pool->owner)
        return true;
    if (member >= HL_MEMBERS || HL_OWNER_GENERATION(owner) == 0)
        return false;
    if (member == HL_OWNER_MEMBER(pool->owner))
        return false; /* our seat, an earlier life of it */
    /* acquire: pairs with the release in attach, so that a seat taken again is seen. */
    if (atomic_load_explicit(&pool->members[member].generation, memory_order_acquire) !=
        HL_OWNER_GENERATION(owner))
        return false;
    /* When the kernel cannot be asked, to wait is the safe answer: waits have deadlines. */
    if (hl_sys.lock(pool->control_fd, F_OFD_GETLK, &probe) < 0)
        return true;
    return probe.l_type != F_UNLCK;
}

int hugelite_pool_set_heap(struct hugelite_pool *pool, uint64_t bytes)
{
    if (pool->dead)
        return hl_error(ECHILD, "pool '%s': was opened before fork(); open it again here",
                        pool->dir);
    /* relaxed: a figure, which orders nothing. */
    atomic_store_explicit(&pool->members[HL_OWNER_MEMBER(pool->owner)].heap_bytes, bytes,
                          memory_order_relaxed);
    return 0;
}

uint64_t hl_member_heap(struct hugelite_pool *pool)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < HL_MEMBERS; i++) {
        struct hl_member *member = &pool->members[i];
        uint64_t bytes = atomic_load_explicit(&member->heap_bytes, memory_order_relaxed);
        uint32_t generation = atomic_load_explicit(&member->generation, memory_order_acquire);

        /* What a dead process said stays there until its seat is taken anew, and counts no more. */
        if (bytes && hl_member_alive(pool, HL_OWNER(i, generation)))
            sum += bytes;
    }
    return sum;
}

static void free_reader(struct hl_reader *reader)
{
    /* The pins go before the owner does: a free entry holds nothing. */
    for (unsigned i = 0; i < HL_PINS; i++)
        atomic_store_explicit(&reader->pins[i], 0, memory_order_relaxed);
    atomic_store_explicit(&reader->volume, 0, memory_order_relaxed);
    atomic_store_explicit(&reader->owner, 0, memory_order_release);
}

int hl_reader_claim(struct hugelite_pool *pool, uint32_t slot, struct hl_reader **ret_reader)
{
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < HL_READERS; i++) {
            struct hl_reader *reader = &pool->readers[i];
            uint64_t owner = atomic_load_explicit(&reader->owner, memory_order_acquire);

            /* Asking for the living costs a system call each: only when all are taken. */
            if (owner && pass == 1 && !hl_member_alive(pool, owner)) {
                free_reader(reader);
                owner = 0;
            }
            if (owner)
                continue;
            if (i >= atomic_load_explicit(&pool->control->readers_top, memory_order_relaxed))
                atomic_store_explicit(&pool->control->readers_top, i + 1, memory_order_seq_cst);
            atomic_store_explicit(&reader->volume, slot + 1, memory_order_relaxed);
            atomic_store_explicit(&reader->owner, pool->owner, memory_order_seq_cst);
            *ret_reader = reader;
            return 0;
        }
    }
    return hl_error(EUSERS, "pool '%s': %u volumes are open, no more can be", pool->dir,
                    HL_READERS);
}

void hl_reader_release(struct hl_reader *reader)
{
    free_reader(reader);
}

static uint32_t readers_in_use(struct hugelite_pool *pool)
{
    uint32_t top = atomic_load_explicit(&pool->control->readers_top, memory_order_seq_cst);

    return top < HL_READERS ? top : HL_READERS;
}

bool hl_reader_of_volume(struct hugelite_pool *pool, uint32_t slot)
{
    for (uint32_t i = 0; i < readers_in_use(pool); i++) {
        struct hl_reader *reader = &pool->readers[i];
        uint64_t owner = atomic_load_explicit(&reader->owner, memory_order_acquire);

        if (owner &&
            atomic_load_explicit(&reader->volume, memory_order_relaxed) == slot + 1 &&
            hl_member_alive(pool, owner))
            return true;
    }
    return false;
}

uint32_t hl_reader_holds(struct hugelite_pool *pool, const uint32_t *chunks, unsigned nr)
{
    uint32_t held = 0, top;

    /* Rule 4: every pin published before its reader saw the word as it was before our claim
     * is visible after this.  Without it nothing may be evicted. */
    if (pool->light_pins && hl_sys.membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) < 0)
        return ~0u;

    top = readers_in_use(pool);
    for (uint32_t i = 0; i < top; i++) {
        struct hl_reader *reader = &pool->readers[i];
        uint64_t owner = atomic_load_explicit(&reader->owner, memory_order_seq_cst);
        uint32_t here = 0;

        if (!owner)
            continue;
        for (unsigned p = 0; p < HL_PINS; p++) {
            uint32_t pin = atomic_load_explicit(&reader->pins[p], memory_order_seq_cst);

            for (unsigned c = 0; pin && c < nr; c++)
                if (pin == chunks[c] + 1)
                    here |= 1u << c;
        }
        /* The dead hold nothing.  But the entry may have been taken anew since we
         * looked at its owner, and then the pins are a living one's. */
        if ((here & ~held) &&
            (hl_member_alive(pool, owner) ||
             atomic_load_explicit(&reader->owner, memory_order_seq_cst) != owner))
            held |= here;
    }
    return held;
}

uint64_t hl_reader_processes(struct hugelite_pool *pool)
{
    uint64_t seen[HL_MEMBERS / 64] = { 0 };
    uint64_t nr = 0;

    for (uint32_t i = 0; i < readers_in_use(pool); i++) {
        uint64_t owner = atomic_load_explicit(&pool->readers[i].owner, memory_order_acquire);
        uint32_t member = HL_OWNER_MEMBER(owner);

        if (!owner || member >= HL_MEMBERS || seen[member / 64] >> member % 64 & 1)
            continue;
        if (hl_member_alive(pool, owner)) {
            seen[member / 64] |= 1ull << member % 64;
            nr++;
        }
    }
    return nr;
}
