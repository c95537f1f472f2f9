/* SPDX-License-Identifier: MIT
 *
 * fails-kit.h - for tests that call the engine's parts one by one: what a chunk's word says, and
 * what it would say if others, alive or dead, were at work.
 *
 * See also: engine/chunk.h (the word), kit.h.
 */
#ifndef HUGELITE_TEST_FAILS_KIT_H
#define HUGELITE_TEST_FAILS_KIT_H

#include "kit.h"

#include "chunk.h"
#include "pool.h"
#include "sys.h"
#include "volume.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Of a seat that nobody has had. */
#define FAILS_DEAD HL_OWNER(700, 5)

static inline _Atomic uint64_t *fails_word(const struct hugelite_volume *vol, uint32_t index)
{
    return &vol->volume->pool->words[vol->volume->first + index];
}

/* A member that does nothing. */
struct fails_member {
    const char *dir;
    unsigned chunks;
    _Atomic unsigned attached;
    _Atomic uint64_t owner;
};

static inline void fails_sit(void *arg)
{
    struct fails_member *member = arg;
    struct hugelite_pool *pool = kit_pool(member->dir, member->chunks);

    atomic_store(&member->owner, pool->owner);
    atomic_store(&member->attached, 1);
    for (;;)
        pause();
}

/* Its claims; ret_pid: to be killed. */
static inline uint64_t fails_attach(const char *dir, unsigned chunks, pid_t *ret_pid)
{
    struct fails_member *member = kit_shared(sizeof *member);

    member->dir = dir;
    member->chunks = chunks;
    *ret_pid = kit_fork(fails_sit, member);
    kit_await(&member->attached, 1);
    return atomic_load(&member->owner);
}

/* When next somebody asks whether an owner lives, this word changes to that before he knows. */
static struct {
    int (*real)(int fd, int command, struct flock *lock);
    _Atomic uint64_t *word;
    uint64_t next;
} fails_meanwhile;

static inline int fails_lock(int fd, int command, struct flock *lock)
{
    _Atomic uint64_t *word = fails_meanwhile.word;

    if (command == F_OFD_GETLK && word) {
        fails_meanwhile.word = NULL;
        atomic_store(word, fails_meanwhile.next);
    }
    return fails_meanwhile.real(fd, command, lock);
}

static inline void fails_change_when_asked(_Atomic uint64_t *word, uint64_t next)
{
    if (!fails_meanwhile.real) {
        fails_meanwhile.real = hl_sys.lock;
        hl_sys.lock = fails_lock;
    }
    fails_meanwhile.next = next;
    fails_meanwhile.word = word;
}

/* It has. */
static inline bool fails_changed(void)
{
    return fails_meanwhile.real && !fails_meanwhile.word;
}

#endif
