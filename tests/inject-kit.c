/* SPDX-License-Identifier: MIT
 *
 * inject-kit.c - calls that fail, what is told meanwhile, and the count of what is left.
 *
 * Entry points: inject-kit.h.
 */
#include "config.h"

#include "inject-kit.h"

#include "error.h"
#include "kit.h"
#include "stop.h"

#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALL_UP_TO = 4, BLOCKS = 1 << 16 };

#define CHUNKS 3
#define BUDGET 2
#define BYTES ((CHUNKS - 1) * CHUNK + 100000)
#define SEED 31

/* ---- what goes on ---------------------------------------------------------- */

static char now[512];
static volatile sig_atomic_t may_break; /* a touch that may end in a signal */
static sigjmp_buf back;

static void say_now(void)
{
    ssize_t put = 0;

    if (now[0])
        put = write(2, now, strlen(now));
    (void)put;
}

static void on_signal(int signal)
{
    if (may_break && signal != SIGALRM)
        siglongjmp(back, signal);
    say_now();
    psignal(signal, NULL);
    _exit(1);
}

/* For the alarm: a thread that hangs with a claim has its signals blocked. */
static void *watch(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void begin_once(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    static bool begun;
    pthread_t watcher;

    if (begun)
        return;
    begun = true;
    atexit(say_now);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    EXPECT_EQ(pthread_create(&watcher, NULL, watch, NULL), 0);
    hl_patience_ns = 200 * 1000 * 1000;
}

void ik_say(const char *format, ...)
{
    va_list args;

    begin_once();
    va_start(args, format);
    vsnprintf(now, sizeof now - 1, format, args);
    va_end(args);
    if (now[0])
        strcat(now, "\n");
    alarm(TEST_HANG_S);
}

bool ik_is_full(void)
{
    const char *text = getenv("HUGELITE_TEST_SECONDS");

    return text && *text;
}

unsigned ik_next(unsigned nth)
{
    return nth < ALL_UP_TO || ik_is_full() ? nth + 1 : nth + nth / 2;
}

bool ik_takes(unsigned turn, unsigned way, unsigned nr_ways)
{
    return ik_is_full() || turn % nr_ways == way;
}

/* ---- memory and threads ---------------------------------------------------- */

static struct {
    _Atomic unsigned want; /* IK_WANTS = none */
    _Atomic unsigned seen, came;
    unsigned from, to;
} denied = { .want = IK_WANTS };

/* Live blocks, by address, in the order of insertion from hash(address). */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static void *blocks[BLOCKS];
static const void *callers[BLOCKS];
static unsigned nr_blocks;
static char gone; /* marks a place that was used */

static unsigned place_of(const void *block)
{
    return (unsigned)((uintptr_t)block >> 4) * 2654435761u % BLOCKS;
}

static void remember(void *block, const void *caller)
{
    unsigned at = place_of(block);

    if (!block)
        return;
    pthread_mutex_lock(&blocks_lock);
    if (nr_blocks >= BLOCKS / 2)
        abort();
    while (blocks[at] && blocks[at] != &gone)
        at = (at + 1) % BLOCKS;
    blocks[at] = block;
    callers[at] = caller;
    nr_blocks++;
    pthread_mutex_unlock(&blocks_lock);
}

static void forget(const void *block)
{
    if (!block)
        return;
    pthread_mutex_lock(&blocks_lock);
    for (unsigned at = place_of(block); blocks[at]; at = (at + 1) % BLOCKS)
        if (blocks[at] == block) {
            blocks[at] = &gone;
            nr_blocks--;
            break;
        }
    pthread_mutex_unlock(&blocks_lock);
}

unsigned ik_live_blocks(void)
{
    return nr_blocks;
}

static bool is_denied(enum ik_want want)
{
    unsigned nr;

    if (atomic_load(&denied.want) != want)
        return false;
    nr = atomic_fetch_add(&denied.seen, 1) + 1;
    if (nr < denied.from || nr >= denied.to)
        return false;
    atomic_fetch_add(&denied.came, 1);
    return true;
}

void ik_deny(enum ik_want want, unsigned nth, unsigned nr)
{
    atomic_store(&denied.want, IK_WANTS);
    atomic_store(&denied.seen, 0);
    atomic_store(&denied.came, 0);
    denied.from = nth;
    denied.to = nth + nr;
    atomic_store(&denied.want, nr ? want : IK_WANTS);
}

unsigned ik_denied(void)
{
    return atomic_load(&denied.came);
}

const char *ik_want_name(enum ik_want want)
{
    return want == IK_MEMORY ? "allocation" : want == IK_THREAD ? "pthread_create" :
                                                                 "pthread_cond_init";
}

static bool no_memory(void)
{
    if (is_denied(IK_MEMORY))
        errno = ENOMEM;
    else
        return false;
    return true;
}

/* A call that answers a block, or NULL. */
#define WRAP_BLOCK(name, params, args) \
    void *__real_##name params; \
    void *__wrap_##name params; \
    void *__wrap_##name params \
    { \
        void *block = no_memory() ? NULL : __real_##name args; \
        remember(block, __builtin_return_address(0)); \
        return block; \
    }

WRAP_BLOCK(malloc, (size_t bytes), (bytes))
WRAP_BLOCK(calloc, (size_t nr, size_t bytes), (nr, bytes))
WRAP_BLOCK(aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))
WRAP_BLOCK(strdup, (const char *text), (text))
WRAP_BLOCK(strndup, (const char *text, size_t length), (text, length))

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved)
{
    char *block = no_memory() ? NULL : __real_realpath(path, resolved);

    if (block != resolved)
        remember(block, __builtin_return_address(0));
    return block;
}

/* Closed by others than free(). */
#define WRAP_STREAM(name, params, args) \
    void *__real_##name params; \
    void *__wrap_##name params; \
    void *__wrap_##name params \
    { \
        return no_memory() ? NULL : __real_##name args; \
    }

WRAP_STREAM(fopen, (const char *path, const char *mode), (path, mode))
WRAP_STREAM(opendir, (const char *path), (path))
WRAP_STREAM(fdopendir, (int fd), (fd))
WRAP_STREAM(setmntent, (const char *path, const char *mode), (path, mode))
WRAP_STREAM(open_memstream, (char **text, size_t *length), (text, length))

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    forget(block);
    __real_free(block);
}

void *__real_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes)
{
    void *moved;

    if (no_memory())
        return NULL;
    forget(block);
    moved = __real_realloc(block, bytes);
    remember(moved ? moved : bytes ? block : NULL, __builtin_return_address(0));
    return moved;
}

int __real_vasprintf(char **text, const char *format, va_list args);
int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list args;
    int length;

    *text = NULL;
    if (no_memory())
        return -1;
    va_start(args, format);
    length = __real_vasprintf(text, format, args);
    va_end(args);
    if (length >= 0)
        remember(*text, __builtin_return_address(0));
    return length;
}

int __wrap_vasprintf(char **text, const char *format, va_list args);
int __wrap_vasprintf(char **text, const char *format, va_list args)
{
    int length = no_memory() ? -1 : __real_vasprintf(text, format, args);

    if (length >= 0)
        remember(*text, __builtin_return_address(0));
    return length;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return is_denied(IK_THREAD) ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

int __real_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    return is_denied(IK_CONDITION) ? ENOMEM : __real_pthread_cond_init(cond, attr);
}

/* ---- balance --------------------------------------------------------------- */

static struct {
    unsigned fds, maps, threads, blocks;
} noted;

/* What other blocks are there than when it was noted?  Who got them, for addr2line. */
static void list_blocks(void)
{
    unsigned shown = 0;

    for (unsigned at = 0; at < BLOCKS && shown < 40; at++)
        if (blocks[at] && blocks[at] != &gone) {
            fprintf(stderr, "    block %p got at %p (ik_say() is at %p)\n", blocks[at],
                    callers[at], (void *)(uintptr_t)ik_say);
            shown++;
        }
}

void ik_balance(bool note)
{
    unsigned fds = kit_count_fds(), maps = kit_count_maps(), threads = kit_count_threads();

    if (note) {
        noted.fds = fds;
        noted.maps = maps;
        noted.threads = threads;
        noted.blocks = nr_blocks;
        return;
    }
    if (nr_blocks != noted.blocks)
        list_blocks();
    EXPECT_EQ(nr_blocks, noted.blocks);
    EXPECT_EQ(fds, noted.fds);
    EXPECT_EQ(threads, noted.threads);
    /* The C library's heaps and stacks come and go; a volume left mapped every time adds up. */
    if (!TEST_SANITIZED && maps > noted.maps + 8)
        EXPECT_EQ(maps, noted.maps);
}

/* ---- stories --------------------------------------------------------------- */

struct ik_ground ik_ground(const char *name, bool compressed)
{
    struct ik_ground ground = { name, test_pool_dir(), test_path(test_dir(), name), NULL };

    ground.control = test_path(ground.dir, "control");
    if (compressed)
        kit_zst(ground.path, BYTES, SEED, 65536, 0);
    else
        test_file(ground.path, BYTES, SEED);
    kit_age(ground.path); /* else nothing is read early */
    return ground;
}

void ik_hush(void)
{
    hl_error(0, "%s", "");
}

int ik_said(const char *file, int line, const char *call, int rc)
{
    if (rc > 0)
        test_fail(file, line, "%s returned %d", call, rc);
    if (rc < 0 && !hugelite_error()[0])
        test_fail(file, line, "%s failed (%s) without a word", call, strerrorname_np(-rc));
    return rc;
}

static struct hugelite_pool *open_pool(const struct ik_ground *ground, bool existing)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .budget_bytes = BUDGET * CHUNK,
                                       .existing = existing };
    struct hugelite_pool *pool = NULL;

    IK_SAID(hugelite_pool_open(ground->dir, &opts, &pool));
    return pool;
}

static struct hugelite_volume *open_volume(struct hugelite_pool *pool,
                                           const struct ik_ground *ground)
{
    struct hugelite_volume *vol = NULL;

    if (IK_SAID(hugelite_volume_open(pool, ground->path, &vol)) == 0)
        EXPECT_EQ(hugelite_volume_bytes(vol), BYTES);
    return vol;
}

/* Through the mapping, as one who just dereferences: the signal is his error code. */
static void touch(struct hugelite_volume *vol, uint64_t offset)
{
    const volatile char *base;
    uint64_t word;

    if (IK_SAID(hugelite_volume_map(vol, (const void **)&base)) < 0)
        return;
    if (sigsetjmp(back, 1) == 0) {
        may_break = true;
        word = *(const volatile uint64_t *)(base + offset);
        may_break = false;
        EXPECT_EQ(word, test_pattern(SEED, offset));
    }
    may_break = false;
}

static void fetch_all(struct hugelite_volume *vol)
{
    const void *data;

    for (uint64_t i = 0; i < CHUNKS; i++)
        if (IK_SAID(hugelite_volume_fetch(vol, i * CHUNK, 8, &data)) == 0) {
            kit_pattern(data, 90000, SEED, i * CHUNK);
            hugelite_volume_release(vol, data);
        }
}

/* As SQLite does: a pointer if there is one, else the bytes. */
static void look_up(struct hugelite_volume *vol, uint64_t offset)
{
    char buffer[4096];
    const void *data;
    int rc = hugelite_volume_try_fetch(vol, offset, sizeof buffer, &data);

    if (rc == 0) {
        EXPECT_PATTERN(data, sizeof buffer, SEED, offset);
        hugelite_volume_release(vol, data);
    } else if (IK_SAID(hugelite_volume_read(vol, offset, sizeof buffer, buffer)) == 0) {
        EXPECT_PATTERN(buffer, sizeof buffer, SEED, offset);
    }
}

static void read_across(struct hugelite_volume *vol)
{
    char buffer[10000];

    if (IK_SAID(hugelite_volume_read(vol, CHUNK - 5000, sizeof buffer, buffer)) == 0)
        EXPECT_PATTERN(buffer, sizeof buffer, SEED, CHUNK - 5000);
}

static void ask(struct hugelite_pool *pool, struct hugelite_volume *vol)
{
    struct hugelite_pool_stat pool_stat;
    struct hugelite_volume_stat stat[4];
    size_t nr = 0;

    if (vol) {
        IK_SAID(hugelite_volume_check(vol));
        IK_SAID(hugelite_volume_stat(vol, &stat[0]));
    }
    IK_SAID(hugelite_pool_stat(pool, &pool_stat));
    if (IK_SAID(hugelite_pool_volumes(pool, stat, 4, &nr)) == 0)
        EXPECT(nr <= 1);
}

static void tell_volume(struct hugelite_pool *pool, const struct ik_ground *ground)
{
    struct hugelite_volume *vol = open_volume(pool, ground);

    if (!vol)
        return;
    touch(vol, 2 * CHUNK + 4096);
    look_up(vol, CHUNK + 65536 * 3);
    fetch_all(vol);
    IK_SAID(hugelite_pool_evict(pool, ground->path, NULL));
    for (uint64_t i = 0; i < 10; i++) /* here and there: not worth a fill each */
        look_up(vol, i * 7 % 4 * 500000 + i * 40960);
    read_across(vol);
    IK_SAID(hugelite_volume_warm(vol, 0, 0, NULL, NULL));
    touch(vol, 8);
    ask(pool, vol);
    hugelite_volume_close(vol);
}

static void tell_pool(const struct ik_ground *ground, bool existing)
{
    struct hugelite_pool *pool = open_pool(ground, existing);

    if (!pool)
        return;
    tell_volume(pool, ground);
    ask(pool, NULL);
    IK_SAID(hugelite_pool_evict(pool, NULL, NULL));
    hugelite_pool_close(pool);
}

static void remove_pool(const struct ik_ground *ground)
{
    unlink(ground->control);
    rmdir(ground->dir);
}

static void tell_made(const struct ik_ground *ground)
{
    tell_pool(ground, false);
}

static void tell_attached(const struct ik_ground *ground)
{
    tell_pool(ground, true);
}

/* A pool with something in it. */
static void prepare_attached(const struct ik_ground *ground)
{
    struct hugelite_pool *pool = kit_pool(ground->dir, BUDGET);
    struct hugelite_volume *vol = kit_volume(pool, ground->path);

    kit_verify_chunk(vol, SEED, 1);
    kit_verify_chunk(vol, SEED, 2);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

/* The source cannot be read for a while, and somebody dereferences; then it can. */
static void tell_wounded(const struct ik_ground *ground)
{
    struct hugelite_pool *pool = open_pool(ground, true);
    struct hugelite_volume *vol = pool ? open_volume(pool, ground) : NULL;

    if (vol) {
        IK_SAID(hugelite_pool_evict(pool, NULL, NULL));
        stop_fail_reads(EIO, 0, UINT32_MAX);
        touch(vol, 8192);
        touch(vol, CHUNK);
        stop_fail_reads(0, 0, 0);
        fetch_all(vol);
        fetch_all(vol);
        hugelite_volume_close(vol);
    }
    hugelite_pool_close(pool);
}

const struct ik_story ik_made = { "a pool is made", remove_pool, tell_made };
const struct ik_story ik_attached = { "a pool is there", prepare_attached, tell_attached };
const struct ik_story ik_wounded = { "faults fail", prepare_attached, tell_wounded };

/* Nothing fails now: what the failure has left is right, and all goes well. */
static void look_around(const struct ik_ground *ground)
{
    struct hugelite_pool *pool = kit_pool(ground->dir, BUDGET);
    struct hugelite_volume *vol;

    kit_audit(pool);
    vol = kit_volume(pool, ground->path);
    kit_verify(vol, SEED);
    touch(vol, CHUNK + 80);
    hugelite_volume_close(vol);
    kit_audit_empty(pool);
    hugelite_pool_close(pool);
}

bool ik_run(const struct ik_story *story, const struct ik_ground *ground, void (*arm)(void *arg),
            bool (*disarm)(void), void *arg)
{
    bool failed;

    if (story->prepare)
        story->prepare(ground);
    arm(arg);
    story->tell(ground);
    failed = disarm();
    look_around(ground);
    ik_balance(false);
    return failed;
}

void ik_settle(const struct ik_story *story, const struct ik_ground *ground)
{
    for (int i = 0; i < 2; i++) {
        ik_say("%s, %s: nothing fails", ground->name, story->name);
        if (story->prepare)
            story->prepare(ground);
        story->tell(ground);
        look_around(ground);
    }
    ik_balance(true);
}
