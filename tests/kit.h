/* SPDX-License-Identifier: MIT
 *
 * kit.h - what the engine's tests share beyond test.h: pools and volumes that are
 * expected to open, processes, things of the machine, and the audit of a pool's
 * tables.
 *
 * See also: stop.h (die exactly here), test.h.
 */
#ifndef HUGELITE_TEST_KIT_H
#define HUGELITE_TEST_KIT_H

#include "test.h"

#include <stdatomic.h>

#define CHUNK ((uint64_t)HUGELITE_CHUNK_BYTES)

/* ---- pools and volumes --------------------------------------------------- */

struct hugelite_pool *kit_pool(const char *dir, unsigned chunks);
struct hugelite_volume *kit_volume(struct hugelite_pool *pool, const char *path);

/* As EXPECT_PATTERN, at a speed near memory's; p and offset are multiples of 8. */
void kit_pattern(const void *p, uint64_t n, uint64_t seed, uint64_t offset);
bool kit_is_pattern(const void *p, uint64_t n, uint64_t seed, uint64_t offset);

/* Fetch a chunk of a file of the pattern, look at each of its bytes (zeros
 * behind the end), release it. */
void kit_verify_chunk(struct hugelite_volume *vol, uint64_t seed, uint64_t chunk);

/* The same with every chunk, through fetch. */
void kit_verify(struct hugelite_volume *vol, uint64_t seed);

/* Every byte through hugelite_volume_read(), in pieces that cross chunks. */
void kit_verify_read(struct hugelite_volume *vol, uint64_t seed);

struct hugelite_volume_stat kit_stat(struct hugelite_volume *vol);
uint64_t kit_resident_chunks(struct hugelite_pool *pool);

/* Wait until this many chunks are resident, none is on the move and our crew has nothing to do;
 * fail after TEST_HANG_S. */
void kit_await_resident(struct hugelite_pool *pool, uint64_t chunks);

/* Wait until our crew has nothing to do and no chunk is on the move; fail after TEST_HANG_S. */
void kit_await_idle(struct hugelite_pool *pool);

/* ---- sources --------------------------------------------------------------- */

/* Make a file an hour old: one that has just been written is not filled ahead, nor read early. */
void kit_age(const char *path);

/* A compressed file, as it lies on disk. */
struct kit_frames {
    uint32_t nr;
    uint32_t table_bytes; /* its entries; nr is 256 at most */
    uint64_t src_bytes;   /* all frames */
    uint64_t at[257];     /* offset in the file; [nr] = the end of the last one */
    uint64_t offset[257]; /* of the decoded image */
};

/* Write the pattern of test_file() in the Zstandard seekable format, an hour old.  Frames have
 * `even` bytes and, if it is not 0, `odd` bytes in turn. */
struct kit_frames kit_zst(const char *path, uint64_t bytes, uint64_t seed, uint32_t even,
                          uint32_t odd);

/* Frames that these decoded bytes touch, and what they take in the file. */
uint32_t kit_frames_in(const struct kit_frames *frames, uint64_t offset, uint64_t length,
                       uint64_t *ret_src_bytes);

/* ---- processes ----------------------------------------------------------- */

/* Zeroed memory that forked children share. */
void *kit_shared(size_t bytes);

/* Run in a child, which then ends with status 0.  It dies with its parent. */
pid_t kit_fork(void (*run)(void *arg), void *arg);

/* kill -9 and wait. */
void kit_kill(pid_t pid);

/* Wait until a flag in shared memory is at least this; fail after TEST_HANG_S. */
void kit_await(_Atomic unsigned *flag, unsigned value);

/* Run on this many CPUs at most, and so have a crew of as many threads. */
void kit_use_cpus(unsigned nr);

/* Become this user and group, for good; no capabilities are left. */
void kit_become(unsigned uid, unsigned gid);

/* Open descriptors, mappings, threads of this process. */
unsigned kit_count_fds(void);
unsigned kit_count_maps(void);
unsigned kit_count_threads(void);

/* ---- the machine --------------------------------------------------------- */

/* Mount a file system of our own, seen by this process and its children only;
 * skips the test where that is refused. */
void kit_mount(const char *type, const char *options, const char *dir);

/* After that: no hugetlbfs is left here but this one. */
void kit_unmount_hugepages_but(const char *ours);

/* Run the test anew with a hugetlbfs mount to itself, of this many pages that nobody
 * else can take (tests/with-hugepages); skips where that cannot be.  Call it first in main(). */
void kit_own_hugepages(char **argv, unsigned pages);

/* Seconds of the long tests: HUGELITE_TEST_SECONDS, else this. */
double kit_seconds(double otherwise);

/* ---- audit --------------------------------------------------------------- */

/* Look through the tables of a pool while nobody else works in it:
 *   - the words of a volume that are resident have a ticket that names them,
 *     no two the same; and no word outside of a volume is resident
 *   - an image has as many pages as its volume has resident chunks (and those of dead claims)
 *   - no live process is in the middle of anything, and our crew has no job that it has promised */
void kit_audit(struct hugelite_pool *pool);

/* Evict all that can go and look again: every ticket free, every image a
 * hole.  Nobody may hold a chunk. */
void kit_audit_empty(struct hugelite_pool *pool);

#endif
