/* SPDX-License-Identifier: MIT
 *
 * kit.c - helpers of the engine's tests: opening, processes, mounts, and an audit
 * that walks the control segment and compares it with what the file system holds.
 *
 * Entry points: kit.h.  See also: engine/layout.h, engine/chunk.h.
 */
#include "config.h"

#include "kit.h"

#include "chunk.h"
#include "codec-kit.h"
#include "crew.h"
#include "layout.h"
#include "pool.h"
#include "replacement.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

/* ---- pools and volumes --------------------------------------------------- */

struct hugelite_pool *kit_pool(const char *dir, unsigned chunks)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = chunks * CHUNK };
    struct hugelite_pool *pool = NULL;

    EXPECT_RC(hugelite_pool_open(dir, &opts, &pool), 0);
    return pool;
}

struct hugelite_volume *kit_volume(struct hugelite_pool *pool, const char *path)
{
    struct hugelite_volume *vol = NULL;

    EXPECT_RC(hugelite_volume_open(pool, path, &vol), 0);
    return vol;
}

/* test_pattern(), where the compiler sees it. */
static inline uint64_t pattern(uint64_t seed, uint64_t offset)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + offset + 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) | 1;
}

bool kit_is_pattern(const void *p, uint64_t n, uint64_t seed, uint64_t offset)
{
    const uint64_t *words = p;
    uint64_t wrong = 0, last = pattern(seed, offset + n / 8 * 8);

    for (uint64_t i = 0; i < n / 8; i++)
        wrong |= words[i] ^ pattern(seed, offset + 8 * i);
    return !wrong && memcmp(words + n / 8, &last, n % 8) == 0;
}

void kit_pattern(const void *p, uint64_t n, uint64_t seed, uint64_t offset)
{
    EXPECT_EQ(pattern(seed, offset), test_pattern(seed, offset));
    if (kit_is_pattern(p, n, seed, offset))
        return;
    test_expect_pattern(__FILE__, __LINE__, p, n, seed, offset); /* says where */
    test_fail(__FILE__, __LINE__, "wrong bytes near %llu, which were right a moment later",
              (unsigned long long)offset);
}

void kit_verify_chunk(struct hugelite_volume *vol, uint64_t seed, uint64_t chunk)
{
    uint64_t left = hugelite_volume_bytes(vol) - chunk * CHUNK;
    uint32_t length = left < CHUNK ? (uint32_t)left : (uint32_t)CHUNK;
    const void *data;

    EXPECT_RC(hugelite_volume_fetch(vol, chunk * CHUNK, length, &data), 0);
    kit_pattern(data, length, seed, chunk * CHUNK);
    for (uint32_t i = length; i < CHUNK; i++)
        if (((const unsigned char *)data)[i])
            test_fail(__FILE__, __LINE__, "byte %u behind the end is %u, expected 0", i,
                      ((const unsigned char *)data)[i]);
    hugelite_volume_release(vol, data);
}

void kit_verify(struct hugelite_volume *vol, uint64_t seed)
{
    for (uint64_t chunk = 0; chunk * CHUNK < hugelite_volume_bytes(vol); chunk++)
        kit_verify_chunk(vol, seed, chunk);
}

void kit_verify_read(struct hugelite_volume *vol, uint64_t seed)
{
    enum { PIECE = 3 * 1024 * 1024 + 77 };
    uint64_t bytes = hugelite_volume_bytes(vol);
    char *buffer = malloc(PIECE);

    EXPECT(buffer != NULL);
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        uint64_t length = bytes - at < PIECE ? bytes - at : PIECE;

        EXPECT_RC(hugelite_volume_read(vol, at, length, buffer), 0);
        EXPECT_PATTERN(buffer, length, seed, at);
    }
    free(buffer);
}

struct hugelite_volume_stat kit_stat(struct hugelite_volume *vol)
{
    struct hugelite_volume_stat st;

    EXPECT_RC(hugelite_volume_stat(vol, &st), 0);
    return st;
}

uint64_t kit_resident_chunks(struct hugelite_pool *pool)
{
    struct hugelite_pool_stat st;

    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    return st.resident_bytes / CHUNK;
}

static bool is_crew_idle(struct hl_crew *crew)
{
    bool idle = true;

    hl_lock(&crew->lock);
    for (enum hl_job_kind kind = 0; kind < HL_JOB_KINDS; kind++)
        idle &= crew->queues[kind].nr == 0;
    for (unsigned i = 0; i < crew->nr_threads; i++)
        idle &= crew->busy[i] == NULL;
    hl_unlock(&crew->lock);
    return idle;
}

static bool is_idle(struct hugelite_pool *pool)
{
    if (!is_crew_idle(&pool->crew))
        return false;
    for (uint32_t c = 0; c < pool->nr_words; c++) {
        enum hl_chunk_state state = hl_chunk_state(atomic_load(&pool->words[c]));

        if (state == HL_CHUNK_FILLING || state == HL_CHUNK_EVICTING)
            return false;
    }
    return true;
}

void kit_await_resident(struct hugelite_pool *pool, uint64_t chunks)
{
    double until = test_now() + TEST_HANG_S;

    while (kit_resident_chunks(pool) != chunks || !is_idle(pool)) {
        if (test_now() > until)
            test_fail(__FILE__, __LINE__, "%llu chunks are resident after %d s, expected %llu",
                      (unsigned long long)kit_resident_chunks(pool), TEST_HANG_S,
                      (unsigned long long)chunks);
        test_sleep_ms(1);
    }
}

void kit_await_idle(struct hugelite_pool *pool)
{
    double until = test_now() + TEST_HANG_S;

    while (!is_idle(pool)) {
        if (test_now() > until)
            test_fail(__FILE__, __LINE__, "chunks are on the move, or the crew at work, after %d s",
                      TEST_HANG_S);
        test_sleep_ms(1);
    }
}

/* ---- sources --------------------------------------------------------------- */

void kit_age(const char *path)
{
    struct timespec times[2];

    EXPECT_EQ(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_sec -= 3600;
    times[1] = times[0];
    EXPECT_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Random, as the pattern is, it does not compress: each frame is a little longer encoded. */
static void add_frame(struct ck_image *image, ZSTD_CCtx *context, uint64_t seed, uint64_t offset,
                      uint32_t bytes)
{
    size_t room = ZSTD_compressBound(bytes), n;
    uint64_t *words = malloc(bytes + 8);
    void *frame = malloc(room);

    EXPECT(words && frame && bytes % 8 == 0);
    for (uint32_t i = 0; i < bytes / 8; i++)
        words[i] = pattern(seed, offset + 8 * (uint64_t)i);
    n = ZSTD_compress2(context, frame, room, words, bytes);
    EXPECT(!ZSTD_isError(n));
    ck_bytes(image, frame, (uint32_t)n, bytes);
    free(frame);
    free(words);
}

struct kit_frames kit_zst(const char *path, uint64_t bytes, uint64_t seed, uint32_t even,
                          uint32_t odd)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    struct kit_frames frames = { 0 };
    struct ck_image image = { 0 };
    FILE *f = fopen(path, "wbe");

    EXPECT(context && f);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    for (uint64_t offset = 0; offset < bytes; offset = frames.offset[frames.nr]) {
        uint32_t length = frames.nr % 2 && odd ? odd : even;

        if (length > bytes - offset)
            length = (uint32_t)(bytes - offset);
        EXPECT(frames.nr < 256);
        add_frame(&image, context, seed, offset, length);
        frames.nr++;
        frames.at[frames.nr] = image.length;
        frames.offset[frames.nr] = offset + length;
    }
    frames.src_bytes = image.length;
    frames.table_bytes = 8 * frames.nr;
    ck_table(&image, false);
    EXPECT_EQ(fwrite(image.bytes, 1, image.length, f), image.length);
    EXPECT_EQ(fclose(f), 0);
    ck_free(&image);
    ZSTD_freeCCtx(context);
    kit_age(path);
    return frames;
}

uint32_t kit_frames_in(const struct kit_frames *frames, uint64_t offset, uint64_t length,
                       uint64_t *ret_src_bytes)
{
    uint32_t nr = 0;

    *ret_src_bytes = 0;
    for (uint32_t i = 0; i < frames->nr; i++)
        if (frames->offset[i] < offset + length && frames->offset[i + 1] > offset) {
            *ret_src_bytes += frames->at[i + 1] - frames->at[i];
            nr++;
        }
    return nr;
}

/* ---- processes ----------------------------------------------------------- */

void *kit_shared(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    EXPECT(at != MAP_FAILED);
    return at;
}

pid_t kit_fork(void (*run)(void *arg), void *arg)
{
    pid_t parent = getpid(), pid;

    fflush(NULL);
    /* A sanitizer's own locks are not free in the child when a thread (such as the
     * engine's, as it starts) is in its malloc at this moment. */
    if (TEST_SANITIZED)
        test_sleep_ms(5);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    run(arg);
    fflush(NULL);
    _exit(0);
}

void kit_kill(pid_t pid)
{
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    while (waitpid(pid, NULL, 0) < 0)
        EXPECT_EQ(errno, EINTR);
}

void kit_await(_Atomic unsigned *flag, unsigned value)
{
    double until = test_now() + TEST_HANG_S;

    while (atomic_load(flag) < value) {
        if (test_now() > until)
            test_fail(__FILE__, __LINE__, "a flag is still %u after %d s, expected %u",
                      atomic_load(flag), TEST_HANG_S, value);
        test_sleep_ms(1);
    }
}

void kit_use_cpus(unsigned nr)
{
    cpu_set_t set;

    EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        if (nr)
            nr--;
        else
            CPU_CLR(cpu, &set);
    }
    EXPECT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

void kit_become(unsigned uid, unsigned gid)
{
    EXPECT_EQ(setgroups(0, NULL), 0);
    EXPECT_EQ(setresgid(gid, gid, gid), 0);
    EXPECT_EQ(setresuid(uid, uid, uid), 0);
    /* Changing the user clears it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned nr = 0;

    EXPECT(dir != NULL);
    while (readdir(dir))
        nr++;
    closedir(dir);
    return nr - 2;
}

unsigned kit_count_fds(void)
{
    return count_entries("/proc/self/fd") - 1; /* our own */
}

/* pthread_join() is back a moment before the kernel has forgotten the thread, which is marked
 * as exiting by then: proc(5), "flags" of stat; PF_EXITING of linux/sched.h. */
static bool is_exiting(const char *task)
{
    char path[64], line[512], *rest = NULL;
    unsigned flags = 4;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", task);
    f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f))
        rest = strrchr(line, ')');
    if (rest)
        EXPECT_EQ(sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags), 1);
    if (f)
        fclose(f);
    return flags & 4;
}

unsigned kit_count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(dir != NULL);
    while ((entry = readdir(dir)))
        nr += entry->d_name[0] != '.' && !is_exiting(entry->d_name);
    closedir(dir);
    return nr;
}

unsigned kit_count_maps(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned nr = 0;
    int c;

    EXPECT(f != NULL);
    while ((c = getc(f)) != EOF)
        nr += c == '\n';
    fclose(f);
    return nr;
}

/* ---- the machine --------------------------------------------------------- */

void kit_mount(const char *type, const char *options, const char *dir)
{
    static bool private_already;

    requires_root();
    if (!private_already) {
        if (unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            test_skip("needs a mount namespace of its own: %s", strerror(errno));
        private_already = true;
    }
    if (mount("none", dir, type, 0, options) < 0)
        test_skip("cannot mount %s: %s", type, strerror(errno));
}

void kit_unmount_hugepages_but(const char *ours)
{
    char *others[64];
    unsigned nr = 0;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *entry;

    EXPECT(mounts != NULL);
    while ((entry = getmntent(mounts)))
        if (strcmp(entry->mnt_type, "hugetlbfs") == 0 && strcmp(entry->mnt_dir, ours) && nr < 64)
            others[nr++] = strdup(entry->mnt_dir);
    endmntent(mounts);
    while (nr) {
        EXPECT_EQ(umount2(others[--nr], MNT_DETACH), 0);
        free(others[nr]);
    }
}

void kit_own_hugepages(char **argv, unsigned pages)
{
    static const char mark[] = "HUGELITE_TEST_OWN_PAGES";
    char number[16];

    if (getenv(mark)) {
        requires_hugepages(pages);
        return;
    }
    requires_root();
    requires_hugepages(1); /* a run without huge pages takes none here either */
    setenv(mark, "1", 1);
    unsetenv("HUGELITE_TEST_MOUNT");
    unsetenv("HUGELITE_TEST_POOLS");
    snprintf(number, sizeof number, "%u", pages);
    execlp("bash", "bash", TEST_SRCDIR "/with-hugepages", "-p", number, argv[0], (char *)NULL);
    test_skip("cannot run with-hugepages: %s", strerror(errno));
}

double kit_seconds(double otherwise)
{
    const char *text = getenv("HUGELITE_TEST_SECONDS");

    return text && *text ? atof(text) : otherwise;
}

/* ---- audit --------------------------------------------------------------- */

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* Pages of a volume's image, in chunks rounded up; 0 when there is none. */
static uint64_t image_chunks(struct hugelite_pool *pool, const struct hl_slot *slot)
{
    char name[HL_IMAGE_NAME_BYTES];
    struct stat st;

    hl_slot_image_name(pool, slot, name);
    if (fstatat(pool->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        EXPECT_EQ(errno, ENOENT);
        return 0;
    }
    return ((uint64_t)st.st_blocks * 512 + CHUNK - 1) / CHUNK;
}

static void audit_slot(struct hugelite_pool *pool, struct hl_slot *slot, bool *seen_ticket)
{
    uint64_t resident = 0, claimed = 0, pages;

    EXPECT_EQ(atomic_load(&slot->state), HL_SLOT_LIVE);
    EXPECT(slot->capacity > 0 && slot->first <= pool->nr_words - slot->capacity);
    for (uint32_t i = 0; i < slot->capacity; i++) {
        uint32_t chunk = slot->first + i, ticket;
        uint64_t word = load(&pool->words[chunk]), t;

        switch (hl_chunk_state(word)) {
        case HL_CHUNK_EMPTY:
            break;
        case HL_CHUNK_RESIDENT:
            ticket = hl_chunk_ticket(word);
            resident++;
            EXPECT(i * CHUNK < slot->bytes);
            EXPECT(ticket < pool->nr_tickets);
            t = load(&pool->tickets[ticket]);
            if ((uint32_t)t != chunk + 1 || seen_ticket[ticket])
                test_fail(__FILE__, __LINE__, "chunk %u is resident (word %016llx), but its "
                          "ticket %u is %016llx%s", chunk, (unsigned long long)word, ticket,
                          (unsigned long long)t, seen_ticket[ticket] ? ", and another's" : "");
            seen_ticket[ticket] = true;
            break;
        case HL_CHUNK_FILLING:
        case HL_CHUNK_EVICTING:
            claimed++;
            if (hl_member_alive(pool, word & HL_OWNER_MASK))
                test_fail(__FILE__, __LINE__, "chunk %u is claimed by somebody alive: %016llx",
                          chunk, (unsigned long long)word);
        }
    }
    pages = image_chunks(pool, slot);
    if (pages < resident || pages > resident + claimed)
        test_fail(__FILE__, __LINE__, "%s: %llu chunks are resident, %llu are left by the dead, "
                  "and the image has %llu", slot->source, (unsigned long long)resident,
                  (unsigned long long)claimed, (unsigned long long)pages);
}

static void audit(struct hugelite_pool *pool)
{
    bool *seen_ticket = calloc(pool->nr_tickets, sizeof *seen_ticket);
    bool *owned = calloc(pool->nr_words, sizeof *owned);

    EXPECT(seen_ticket && owned);
    EXPECT_EQ(atomic_load(&pool->crew.nr_reserved), 0);
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        struct hl_slot *slot = &pool->slots[i];

        if (atomic_load(&slot->state) == HL_SLOT_FREE)
            continue;
        audit_slot(pool, slot, seen_ticket);
        for (uint32_t c = slot->first; c < slot->first + slot->capacity; c++) {
            if (owned[c])
                test_fail(__FILE__, __LINE__, "chunk %u belongs to two volumes", c);
            owned[c] = true;
        }
    }
    for (uint32_t c = 0; c < pool->nr_words; c++)
        if (!owned[c] && hl_chunk_state(load(&pool->words[c])) != HL_CHUNK_EMPTY)
            test_fail(__FILE__, __LINE__, "chunk %u belongs to no volume, and its word is %016llx",
                      c, (unsigned long long)load(&pool->words[c]));
    free(seen_ticket);
    free(owned);
}

/* Images of the directory that no volume claims. */
static unsigned stray_images(struct hugelite_pool *pool)
{
    DIR *dir = opendir(pool->dir);
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(dir != NULL);
    while ((entry = readdir(dir))) {
        bool known = !strstr(entry->d_name, ".image");

        for (uint32_t i = 0; i < HL_SLOTS && !known; i++) {
            char name[HL_IMAGE_NAME_BYTES];

            hl_slot_image_name(pool, &pool->slots[i], name);
            known = atomic_load(&pool->slots[i].state) != HL_SLOT_FREE &&
                    strcmp(name, entry->d_name) == 0;
        }
        if (!known) {
            struct stat st;

            nr++;
            EXPECT_EQ(fstatat(pool->dir_fd, entry->d_name, &st, 0), 0);
            if (st.st_blocks)
                test_fail(__FILE__, __LINE__, "image %s belongs to no volume and holds pages",
                          entry->d_name);
        }
    }
    closedir(dir);
    return nr;
}

/* A toucher is awake a moment before its fault has been served to the end. */
static void await_rest(struct hugelite_pool *pool)
{
    double until = test_now() + TEST_HANG_S;

    for (uint32_t c = 0; c < pool->nr_words; c++)
        while (load(&pool->words[c]) != HL_CHUNK_EMPTY &&
               hl_chunk_state(load(&pool->words[c])) != HL_CHUNK_EMPTY &&
               hl_chunk_state(load(&pool->words[c])) != HL_CHUNK_RESIDENT &&
               hl_member_alive(pool, load(&pool->words[c]) & HL_OWNER_MASK) && test_now() < until)
            test_sleep_ms(1);
    while (atomic_load(&pool->crew.nr_reserved) && test_now() < until)
        test_sleep_ms(1);
}

void kit_audit(struct hugelite_pool *pool)
{
    await_rest(pool);
    EXPECT_RC(hl_pool_lock(pool), 0);
    hl_slot_collect(pool);
    audit(pool);
    stray_images(pool);
    hl_pool_unlock(pool);
}

void kit_audit_empty(struct hugelite_pool *pool)
{
    bool moving;
    int rc;

    kit_audit(pool);
    while ((rc = hl_replacement_shrink(pool, UINT32_MAX, &moving)) == 0)
        ;
    EXPECT_RC(rc, -EBUSY); /* nothing is left */
    for (uint32_t t = 0; t < pool->nr_tickets; t++)
        if (load(&pool->tickets[t]))
            test_fail(__FILE__, __LINE__, "ticket %u is %016llx after a sweep that evicted all", t,
                      (unsigned long long)load(&pool->tickets[t]));
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        if (atomic_load(&pool->slots[i].state) != HL_SLOT_FREE)
            EXPECT_EQ(image_chunks(pool, &pool->slots[i]), 0);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    kit_audit(pool);
}
