/* SPDX-License-Identifier: MIT
 *
 * bench-system.c - the systems that `hugelite bench` sets side by side: where
 * their files live, how each is opened, and what is taken away at the end.
 * Every stock system gets the setting that serves it best, see bench/README.md.
 *
 * Entry points: bench_systems_prepare, bench_system_open, bench_cleanup.
 * See also: bench-worker.c (the processes), bench-db.c (the database).
 */
#include <config.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "hugelite.h"
#include "hugelite-vfs.h"
#include "bench.h"
#include "bench-origin.h"
#include "heap.h"
#include "tools.h"

/* Beyond the database's own chunks, for the pool's control segment and the free
 * pages it likes to keep. */
#define POOL_SPARE_CHUNKS 32
#define SMALL_POOL_MIN_CHUNKS 16u

#define BIT(group) (1u << BENCH_G_##group)
#define ALL_GROUPS \
    (((1u << BENCH_NR_GROUPS) - 1) & ~BENCH_REMOTE_GROUPS & ~BENCH_PRESSURE_GROUPS)
#define PLAIN (BENCH_WARM_GROUPS | BIT(FRESH))
#define MMAP_GROUPS (PLAIN | BIT(COLD_LOOKUP) | BIT(ANALYTIC) | BIT(ZIPF) | BIT(UNIFORM) \
                     | BIT(CORES) | BIT(READERS))

const struct bench_system bench_systems[BENCH_NR_SYSTEMS] = {
    [BENCH_STOCK] = { "stock", "stock", PLAIN | BIT(COLD_LOOKUP) | BIT(UNIFORM) | BIT(READERS),
                      PLAIN | BIT(COLD_LOOKUP) | BIT(UNIFORM) | BIT(READERS) },
    [BENCH_MMAP] = { "mmap", "stock, immutable, mmap", MMAP_GROUPS, MMAP_GROUPS },
    [BENCH_COPY] = { "copy", "stock, mmap of a hugetlbfs copy", PLAIN, PLAIN },
    [BENCH_CACHE] = { "cache", "stock, immutable, all in its cache", BENCH_WARM_GROUPS, 0 },
    [BENCH_PREAD] = { "pread", "stock, immutable, pread",
                      PLAIN | BIT(COLD_LOOKUP) | BIT(ZIPF) | BIT(UNIFORM),
                      BIT(COLD_LOOKUP) | BIT(ZIPF) | BIT(UNIFORM) },
    [BENCH_HUGELITE] = { "hugelite", "hugelite",
                         (ALL_GROUPS & ~BIT(PACK)) | BIT(CORES) | BIT(READERS),
                         (ALL_GROUPS & ~BIT(PACK)) | BIT(CORES) | BIT(READERS) },
    [BENCH_ZST] = { "zst", "hugelite, compressed", ALL_GROUPS & ~BIT(ANALYTIC),
                    BIT(COLD_SCAN) | BIT(COLD_LOOKUP) | BIT(PACK) },
    [BENCH_SMALL] = { "small", "hugelite, a pool of a quarter",
                      BIT(COLD_LOOKUP) | BIT(ZIPF) | BIT(UNIFORM) | BIT(BESIDE),
                      BIT(COLD_LOOKUP) | BIT(ZIPF) | BIT(UNIFORM) | BIT(BESIDE) },
    [BENCH_NOHEAP] = { "noheap", "hugelite, usual heap", BIT(ANALYTIC), BIT(ANALYTIC) },
    [BENCH_UNPACK] = { "unpack", "zstd -d, then stock with mmap", BIT(COLD_SCAN), BIT(COLD_SCAN) },
    [BENCH_SQUASHFS] = { "squashfs", "squashfs, stock with mmap", BIT(COLD_SCAN) | BIT(COLD_LOOKUP),
                         BIT(COLD_SCAN) | BIT(COLD_LOOKUP) },
    [BENCH_REMOTE] = { "remote", "hugelite, http", PLAIN | BENCH_REMOTE_GROUPS,
                       BENCH_REMOTE_GROUPS },
    [BENCH_REMOTE_ZST] = { "remotezst", "hugelite, http, compressed", PLAIN | BENCH_REMOTE_GROUPS,
                           BENCH_REMOTE_GROUPS },
    [BENCH_DOWNLOAD] = { "download", "download, then stock with mmap", BIT(REMOTE_SCAN),
                         BIT(REMOTE_SCAN) },
    [BENCH_RANDOM] = { "random", "stock, mmap, MADV_RANDOM", BIT(ZIPF), BIT(ZIPF) },
};

bool bench_takes_part(const struct bench_config *config, unsigned system, enum bench_group group,
                      unsigned readers)
{
    const struct bench_system *s = &config->systems[system];

    return s->wanted && !s->skipped && s->groups >> group & 1 && readers <= s->max_readers;
}

bool bench_is_hugelite(enum bench_system_id system)
{
    return system == BENCH_HUGELITE || system == BENCH_ZST || system == BENCH_SMALL
           || system == BENCH_NOHEAP || bench_is_remote(system);
}

bool bench_is_remote(enum bench_system_id system)
{
    return system == BENCH_REMOTE || system == BENCH_REMOTE_ZST;
}

void bench_heap_start(const struct bench_config *config, enum bench_system_id system)
{
    /* Without huge pages for it the program goes on with its usual memory. */
    if (bench_is_hugelite(system) && system != BENCH_NOHEAP && !config->no_huge_heap)
        hl_heap_start(HL_HEAP_SQLITE | HL_HEAP_DECODE);
}

uint64_t bench_source_bytes(const struct bench_config *config, enum bench_system_id system)
{
    return system == BENCH_ZST || system == BENCH_REMOTE_ZST ? config->packing.bytes
                                                             : config->db_bytes;
}

const char *bench_source(const struct bench_config *config, enum bench_system_id system)
{
    static char path[PATH_MAX];

    switch (system) {
    case BENCH_COPY:
        return config->copy;
    case BENCH_ZST:
        return config->packed;
    case BENCH_UNPACK:
        return config->unpacked;
    case BENCH_DOWNLOAD:
        return config->downloaded;
    case BENCH_REMOTE:
        return config->remote_url[0];
    case BENCH_REMOTE_ZST:
        return config->remote_url[1];
    case BENCH_SQUASHFS:
        snprintf(path, sizeof path, "%.3800s%.255s", config->squashfs_mount,
                 strrchr(config->db, '/'));
        return path;
    default:
        return config->db;
    }
}

const char *bench_pool(const struct bench_config *config, enum bench_system_id system)
{
    return bench_is_remote(system) ? config->remote_pool
           : system == BENCH_SMALL ? config->small_pool : config->pool;
}

/* ---- directories of our own --------------------------------------------- */

static void remove_tree(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct dirent *e;
    DIR *dir;

    if (fd < 0 || !(dir = fdopendir(fd))) {
        if (fd >= 0)
            close(fd);
        unlinkat(parent, name, 0);
        return;
    }
    while ((e = readdir(dir)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")
            && unlinkat(dirfd(dir), e->d_name, 0) < 0)
            remove_tree(dirfd(dir), e->d_name);
    closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void bench_remove_tree(const char *path)
{
    remove_tree(AT_FDCWD, path);
}

/* What a killed run left behind: ours by name and owner, and nobody holds it. */
static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *e;

    if (!dir)
        return;
    while ((e = readdir(dir))) {
        struct stat st;
        int fd;

        if (strncmp(e->d_name, "hugelite-bench-", 15))
            continue;
        fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_tree(dirfd(dir), e->d_name);
        close(fd);
    }
    closedir(dir);
}

int bench_dir_make(const char *parent, char ret_dir[PATH_MAX])
{
    char path[PATH_MAX];
    int fd;

    sweep(parent);
    if ((size_t)snprintf(path, sizeof path, "%s/hugelite-bench-XXXXXX", parent) >= sizeof path)
        return -ENAMETOOLONG;
    if (!mkdtemp(path))
        return -errno;
    /* The lock lives as long as this descriptor: to the end of the program. */
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = -errno;

        if (fd >= 0)
            close(fd);
        rmdir(path);
        return rc;
    }
    strcpy(ret_dir, path);
    return 0;
}

void bench_cleanup(struct bench_config *config)
{
    char *const dirs[] = { config->huge_dir, config->shm_dir, config->work_dir, config->db_dir,
                           config->group_dir,
                           config->pool_made ? config->pool : NULL };

    bench_children_kill();
    if (config->group_dir[0])
        bench_group_remove(config);
    bench_origin_stop(config->origin);
    config->origin = NULL;
    bench_packed_cleanup(config);
    if (config->db_building[0])
        unlink(config->db_building);
    if (config->trace_building[0])
        unlink(config->trace_building);
    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (dirs[i] && dirs[i][0]) {
            remove_tree(AT_FDCWD, dirs[i]);
            dirs[i][0] = '\0';
        }
}

/* ---- room --------------------------------------------------------------- */

static uint64_t memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kilobytes = 0;
    char line[256];

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kilobytes) != 1)
        ;
    fclose(f);
    return 1024 * (uint64_t)kilobytes;
}

/* The hugetlbfs mount of 2 MiB pages that we may write: the one a path lies on, or
 * without a path the one with most room.  Returns its free pages, 0 when there is none. */
static uint64_t find_huge_mount(const char *below, char ret_dir[PATH_MAX])
{
    struct hl_mount *mounts;
    uint64_t best = 0;
    size_t nr;

    if (hl_mounts_list(&mounts, &nr) < 0)
        return 0;
    for (size_t i = 0; i < nr; i++) {
        uint64_t free = mounts[i].free_bytes / HUGELITE_CHUNK_BYTES;
        size_t length = strlen(mounts[i].path);

        if (mounts[i].page_bytes != HUGELITE_CHUNK_BYTES || !mounts[i].writable
            || length > PATH_MAX - 64)
            continue;
        if (below && (strncmp(below, mounts[i].path, length)
                      || (below[length] != '/' && below[length] != '\0')))
            continue;
        if (free > best) {
            best = free;
            strcpy(ret_dir, mounts[i].path);
        }
    }
    hl_mounts_free(mounts, nr);
    return best;
}

static void parent_of(const char *path, char ret_parent[PATH_MAX])
{
    char *slash;

    snprintf(ret_parent, PATH_MAX, "%s", path);
    for (size_t n = strlen(ret_parent); n > 1 && ret_parent[n - 1] == '/'; n--)
        ret_parent[n - 1] = '\0';
    slash = strrchr(ret_parent, '/');
    if (!slash)
        strcpy(ret_parent, ".");
    else
        slash[slash == ret_parent] = '\0';
}

/* ---- jobs: what is done in a child -------------------------------------- */

/* Read a file once, so that nobody's first case pays for the disk. */
int bench_job_read_file(const struct bench_config *config, uint64_t arg,
                        struct bench_reply *reply)
{
    const char *path = bench_source(config, (enum bench_system_id)arg);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *buffer = malloc(HUGELITE_CHUNK_BYTES);
    uint64_t offset = 0;
    ssize_t n;

    if (fd < 0 || !buffer)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while ((n = pread(fd, buffer, HUGELITE_CHUNK_BYTES, (off_t)offset)) > 0)
        offset += (uint64_t)n;
    if (n < 0)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    return 0;
}

/* Has all of the file stayed in the page cache?  Where memory runs short it does not,
 * and the figures of stock SQLite are those of the disk. */
int bench_job_look_at_page_cache(const struct bench_config *config, uint64_t arg,
                                 struct bench_reply *reply)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t nr = (config->db_bytes + page - 1) / page;
    int fd = open(config->db, O_RDONLY | O_CLOEXEC);
    unsigned char *in_cache = malloc(nr);
    void *map;

    (void)arg;
    if (fd < 0 || !in_cache)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    map = mmap(NULL, config->db_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || mincore(map, config->db_bytes, in_cache) < 0)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    for (size_t i = 0; i < nr; i++)
        reply->resident_bytes += in_cache[i] & 1 ? page : 0;
    return 0;
}

/* Dirty pages cannot be dropped: a database just made is written first. */
int bench_job_drop_page_cache(const struct bench_config *config, uint64_t arg,
                              struct bench_reply *reply)
{
    int fd = open(config->db, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0 || fdatasync(fd) < 0)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (rc)
        return bench_fail(reply, rc, "%s: %s", config->db, strerror(rc));
    close(fd);
    if (bench_job_look_at_page_cache(config, arg, reply) < 0)
        return reply->rc;
    return reply->resident_bytes < config->db_bytes / 100
           ? 0 : bench_fail(reply, EBUSY, "%s: %" PRIu64 " bytes stayed in the page cache",
                            config->db, reply->resident_bytes);
}

/* hugetlbfs has no write(2) and only whole pages: the copy goes in through a
 * mapping, and zeros follow the last page of the database.  (SQLite takes the
 * length from the header.)  Without MAP_NORESERVE, so that a lack of pages is an
 * error here and not a SIGBUS later. */
static int job_make_copy(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    uint64_t length = (config->db_bytes + HUGELITE_CHUNK_BYTES - 1)
                      & ~(uint64_t)(HUGELITE_CHUNK_BYTES - 1);
    int in = open(config->db, O_RDONLY | O_CLOEXEC);
    int out = open(config->copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t offset = 0;
    char *to;

    (void)arg;
    if (in < 0)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    if (out < 0 || ftruncate(out, (off_t)length) < 0)
        return bench_fail(reply, errno, "%s: %s", config->copy, strerror(errno));
    to = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (to == MAP_FAILED)
        return bench_fail(reply, errno, "%s: %s", config->copy, strerror(errno));
    while (offset < config->db_bytes) {
        ssize_t n = pread(in, to + offset, config->db_bytes - offset, (off_t)offset);

        if (n <= 0)
            return bench_fail(reply, n < 0 ? errno : EIO, "%s: %s", config->db,
                              n < 0 ? strerror(errno) : "shorter than it was");
        offset += (uint64_t)n;
    }
    return 0;
}

static int find_volume(struct hugelite_pool *pool, const char *source,
                       struct bench_reply *reply)
{
    struct hugelite_volume_stat *volumes;
    size_t nr;
    int rc = hl_tool_volumes(pool, &volumes, &nr);

    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    for (size_t i = 0; i < nr; i++)
        if (!strcmp(volumes[i].source, source) && !volumes[i].superseded) {
            reply->source_bytes = volumes[i].source_bytes;
            reply->fills = volumes[i].fills;
            reply->resident_bytes = volumes[i].resident_bytes;
            reply->frames_decoded = volumes[i].frames_decoded;
            reply->early_reads = volumes[i].early_reads;
            reply->evictions = volumes[i].evictions;
            free(volumes);
            return 0;
        }
    free(volumes);
    return bench_fail(reply, ENOENT, "%s: not in the pool", source);
}

static uint64_t budget_of(const struct bench_config *config, enum bench_system_id system)
{
    return bench_is_remote(system) ? config->remote_budget
           : system == BENCH_SMALL ? config->small_budget : config->pool_budget;
}

/* Make or attach the pool and make the whole database resident, which is the
 * touch of its memory too: in a virtual machine the first one costs milliseconds.  What a pool
 * has no room for it fills and pushes out again. */
static int job_pool_warm(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    enum bench_system_id system = (enum bench_system_id)arg;
    struct hugelite_pool_opts opts = { .size = sizeof opts,
                                       .budget_bytes = budget_of(config, system) };
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    struct hugelite_volume *vol;
    int rc = hugelite_pool_open(bench_pool(config, system), &opts, &pool);

    if (rc == 0)
        rc = hugelite_volume_open(pool, bench_source(config, system), &vol);
    if (rc == 0)
        rc = hugelite_volume_warm(vol, 0, 0, NULL, NULL);
    if (rc == 0)
        rc = hugelite_pool_stat(pool, &stat);
    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    snprintf(reply->pages, sizeof reply->pages, "%s", stat.pages);
    reply->page_bytes = stat.page_bytes;
    rc = find_volume(pool, bench_source(config, system), reply);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    return rc;
}

static int pool_look(const struct bench_config *config, enum bench_system_id system, bool evict,
                     struct bench_reply *reply)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    struct hugelite_pool *pool;
    int rc = hugelite_pool_open(bench_pool(config, system), &opts, &pool);

    if (rc == 0 && evict)
        rc = hugelite_pool_evict(pool, bench_source(config, system), NULL);
    if (rc < 0)
        return bench_fail(reply, -rc, "%s", hugelite_error());
    rc = find_volume(pool, bench_source(config, system), reply);
    hugelite_pool_close(pool);
    return rc;
}

int bench_job_pool_evict(const struct bench_config *config, uint64_t arg,
                         struct bench_reply *reply)
{
    return pool_look(config, (enum bench_system_id)arg, true, reply);
}

int bench_job_pool_stat(const struct bench_config *config, uint64_t arg,
                        struct bench_reply *reply)
{
    return pool_look(config, (enum bench_system_id)arg, false, reply);
}

/* ---- opening ------------------------------------------------------------ */

/* A path as it may stand in a URI. */
void bench_escape(const char *path, char *out, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (; *path && n + 4 < room; path++)
        if (strchr("%?#&= ", *path)) {
            out[n++] = '%';
            out[n++] = hex[(unsigned char)*path >> 4];
            out[n++] = hex[(unsigned char)*path & 15];
        } else {
            out[n++] = *path;
        }
    out[n] = '\0';
}

static int pragma(sqlite3 *db, const char *name, int64_t value, int64_t *ret_value,
                  struct bench_reply *reply)
{
    char sql[96];
    sqlite3_stmt *stmt;
    int rc;

    snprintf(sql, sizeof sql, "PRAGMA %s=%" PRId64, name, value);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return bench_fail(reply, EIO, "%s: %s", sql, sqlite3_errmsg(db));
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        if (ret_value)
            *ret_value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? 0
                             : bench_fail(reply, EIO, "%s: %s", sql, sqlite3_errmsg(db));
}

int bench_system_open(const struct bench_config *config, enum bench_system_id system,
                      sqlite3 **ret_db, struct bench_reply *reply)
{
    char path[3 * PATH_MAX], pool[3 * PATH_MAX], uri[6 * PATH_MAX + 128];
    int64_t mapped = 0;
    const char *vfs = "unix";
    int rc;

    bench_escape(bench_source(config, system), path, sizeof path);
    switch (system) {
    case BENCH_STOCK:
        snprintf(uri, sizeof uri, "file:%s?mode=ro", path);
        break;
    case BENCH_HUGELITE:
    case BENCH_ZST:
    case BENCH_SMALL:
    case BENCH_NOHEAP:
    case BENCH_REMOTE:
    case BENCH_REMOTE_ZST:
        rc = hugelite_vfs_register(0);
        if (rc != SQLITE_OK)
            return bench_fail(reply, EIO, "registering the VFS: %s", sqlite3_errstr(rc));
        bench_escape(bench_pool(config, system), pool, sizeof pool);
        snprintf(uri, sizeof uri, "file:%s?vfs=hugelite&immutable=1&pool=%s", path, pool);
        vfs = NULL;
        break;
    default:
        snprintf(uri, sizeof uri, "file:%s?mode=ro&immutable=1", path);
    }
    rc = sqlite3_open_v2(uri, ret_db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, vfs);
    if (rc != SQLITE_OK)
        return bench_fail(reply, EIO, "%s: %s", uri, sqlite3_errmsg(*ret_db));

    if (system == BENCH_MMAP || system == BENCH_COPY || system == BENCH_UNPACK
        || system == BENCH_SQUASHFS || system == BENCH_DOWNLOAD || system == BENCH_RANDOM) {
        if (pragma(*ret_db, "mmap_size", INT64_MAX, &mapped, reply) < 0)
            return reply->rc;
        reply->mapped_bytes = (uint64_t)mapped;
    }
    /* Pages of 512 bytes at least: more entries than there can be pages, so all stay. */
    if (system == BENCH_CACHE
        && pragma(*ret_db, "cache_size", (int64_t)(config->db_bytes / 512), NULL, reply) < 0)
        return reply->rc;
    return 0;
}

/* ---- preparation -------------------------------------------------------- */

void bench_skip(struct bench_system *system, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(system->why, sizeof system->why, format, args);
    va_end(args);
    system->skipped = true;
}

/* What to run when pages are missing: sizes as setup takes them. */
static void too_few(char *why, size_t room, const char *what, uint64_t needed, uint64_t free)
{
    snprintf(why, room, "%s needs %" PRIu64 " huge pages, %" PRIu64
             " are free; `hugelite setup --size %" PRIu64 "M` gets them", what, needed, free,
             2 * needed);
}

static bool wanted(const struct bench_config *config, enum bench_system_id system)
{
    return config->systems[system].wanted && !config->systems[system].skipped;
}

/* needed: chunks of the pool. */
static int place_pool(struct bench_config *config, char mount[PATH_MAX], uint64_t *free,
                      uint64_t needed)
{
    struct bench_system *hl = NULL;
    const char *pool = config->pool_option ? config->pool_option : getenv("HUGELITE_POOL");
    uint64_t on_mount;
    char parent[PATH_MAX], real[PATH_MAX];
    struct statfs fs;
    int rc = 0;

    for (unsigned s = 0; s < BENCH_NR_SYSTEMS && !hl; s++)
        if (bench_is_hugelite(s) && wanted(config, s))
            hl = &config->systems[s];
    if (pool && *pool) {
        if (strlen(pool) >= sizeof config->pool)
            return -ENAMETOOLONG;
        strcpy(config->pool, pool);
        config->pool_made = access(pool, F_OK) < 0;
        /* The copy then goes beside it, so that one mount's limits hold for both. */
        parent_of(pool, parent);
        if (realpath(parent, real) && (on_mount = find_huge_mount(real, mount)) > 0) {
            strcpy(mount, real);
            *free = config->huge_free = on_mount;
            *free -= needed < *free ? needed : *free;
        }
        return 0;
    }
    if (*free >= needed) {
        rc = bench_dir_make(mount, config->huge_dir);
        if (rc == 0)
            snprintf(config->pool, sizeof config->pool, "%.4000s/pool", config->huge_dir);
        *free -= needed;
        return rc;
    }
    too_few(hl->why, sizeof hl->why, "the pool", needed, *free);
    if (statfs("/dev/shm", &fs) == 0
        && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize > needed * HUGELITE_CHUNK_BYTES
        && memory_available() > (needed + needed / 8) * HUGELITE_CHUNK_BYTES) {
        /* hl->why stays, as the remark that these are small pages */
        rc = bench_dir_make("/dev/shm", config->shm_dir);
        if (rc == 0)
            snprintf(config->pool, sizeof config->pool, "%.4000s/pool", config->shm_dir);
        return rc;
    }
    for (unsigned s = 0; s < BENCH_NR_SYSTEMS; s++)
        if (bench_is_hugelite(s) && &config->systems[s] != hl && wanted(config, s))
            bench_skip(&config->systems[s], "%s", hl->why);
    hl->skipped = true;
    return 0;
}

int bench_dir_beside_pool(struct bench_config *config, const char **ret_dir)
{
    char parent[PATH_MAX], real[PATH_MAX];
    int rc = 0;

    if (!config->huge_dir[0] && !config->shm_dir[0]) {
        parent_of(config->pool, parent);
        if (!realpath(parent, real))
            return -errno;
        rc = bench_dir_make(real, config->huge_dir);
    }
    *ret_dir = config->huge_dir[0] ? config->huge_dir : config->shm_dir;
    return rc;
}

static int prepare_copy(struct bench_config *config, const char *mount, uint64_t free,
                        uint64_t chunks, struct bench_reply *reply)
{
    struct bench_system *copy = &config->systems[BENCH_COPY];
    int rc;

    if (!mount[0]) {
        bench_skip(copy, "no hugetlbfs mount with free pages that we may write; "
                   "see `hugelite doctor`");
        return 0;
    }
    if (free < chunks) {
        too_few(copy->why, sizeof copy->why, "beside the pool a copy of the file", chunks, free);
        copy->skipped = true;
        return 0;
    }
    rc = config->huge_dir[0] ? 0 : bench_dir_make(mount, config->huge_dir);
    if (rc < 0) {
        bench_skip(copy, "%.200s: %s", mount, strerror(-rc));
        return 0;
    }
    snprintf(config->copy, sizeof config->copy, "%.4000s/copy.db", config->huge_dir);
    bench_progress("copying the database into hugetlbfs");
    rc = bench_run_job(config, job_make_copy, 0, reply);
    if (rc == -EINTR)
        return rc;
    if (rc < 0)
        bench_skip(copy, "%.300s", reply->message);
    return 0;
}

/* Fill the pool by what a system reads. */
static int warm_pool(struct bench_config *config, enum bench_system_id system,
                     struct bench_reply *reply)
{
    struct bench_system *hl = &config->systems[system];
    int rc;

    if (!wanted(config, system))
        return 0;
    bench_progress("warming the pool %s", bench_pool(config, system));
    rc = bench_run_job(config, job_pool_warm, system, reply);
    if (rc == -EINTR)
        return rc;
    if (rc < 0) {
        bench_skip(hl, "%.300s", reply->message);
        return 0;
    }
    snprintf(config->pages, sizeof config->pages, "%s", reply->pages);
    config->page_bytes = reply->page_bytes;
    if (system != BENCH_SMALL && reply->resident_bytes < config->db_bytes)
        snprintf(hl->why, sizeof hl->why, "the pool holds only %" PRIu64 " of %" PRIu64
                 " bytes of the database", reply->resident_bytes, config->db_bytes);
    return 0;
}

/* A pool that is too small, beside the other; used by cold lookups. */
static int prepare_small(struct bench_config *config, uint64_t chunks, struct bench_reply *reply)
{
    struct bench_system *small = &config->systems[BENCH_SMALL];
    const char *dir;
    int rc;

    if (!wanted(config, BENCH_SMALL))
        return 0;
    if (chunks < SMALL_POOL_MIN_CHUNKS * 4) {
        bench_skip(small, "a quarter of this database is no pool; take --size %uM or more",
                   4 * SMALL_POOL_MIN_CHUNKS * (HUGELITE_CHUNK_BYTES >> 20));
        return 0;
    }
    rc = config->pool[0] ? bench_dir_beside_pool(config, &dir) : -ENOENT;
    if (rc < 0) {
        bench_skip(small, "no directory for its pool: %s", strerror(-rc));
        return 0;
    }
    snprintf(config->small_pool, sizeof config->small_pool, "%.4000s/small", dir);
    config->small_budget = chunks / 4 * HUGELITE_CHUNK_BYTES;
    return warm_pool(config, BENCH_SMALL, reply);
}

/* The pool of remote databases, beside the other; full only for those that are measured warm. */
static int prepare_remote(struct bench_config *config, struct bench_reply *reply)
{
    static const enum bench_system_id list[] = { BENCH_REMOTE, BENCH_REMOTE_ZST };
    const char *dir;
    int rc = 0;

    if (!wanted(config, BENCH_REMOTE) && !wanted(config, BENCH_REMOTE_ZST))
        return 0;
    rc = bench_dir_beside_pool(config, &dir);
    if (rc < 0)
        return bench_fail(reply, -rc, "no directory for the pool: %s", strerror(-rc));
    snprintf(config->remote_pool, sizeof config->remote_pool, "%.4000s/remote", dir);
    rc = bench_remote_make_cold(config, false, reply);
    if (rc < 0)
        return rc;
    snprintf(config->pages, sizeof config->pages, "%s", reply->pages);
    config->page_bytes = reply->page_bytes;
    for (unsigned i = 0; i < 2 && rc == 0 && config->groups & PLAIN; i++)
        rc = warm_pool(config, list[i], reply);
    return rc;
}

static void limit_caches(struct bench_config *config)
{
    struct bench_system *cache = &config->systems[BENCH_CACHE];
    /* SQLite's bookkeeping of a page comes to the page's bytes. */
    uint64_t each = config->db_bytes + config->db_bytes / 10;
    /* The file's own pages count as available, but must stay: mmap lives on them. */
    uint64_t available = memory_available();
    uint64_t fit = available < config->db_bytes
                   ? 0 : (available - config->db_bytes) * 3 / 4 / each;

    if (fit == 0)
        bench_skip(cache, "a private cache needs %" PRIu64 " bytes for each reader", each);
    else if (fit < config->max_count) {
        cache->max_readers = (unsigned)fit;
        snprintf(cache->why, sizeof cache->why,
                 "memory is enough for %" PRIu64 " private caches of the database", fit);
    }
}

int bench_systems_prepare(struct bench_config *config)
{
    struct bench_system *systems = config->systems;
    uint64_t chunks = (config->db_bytes + HUGELITE_CHUNK_BYTES - 1) / HUGELITE_CHUNK_BYTES;
    uint64_t pool_chunks, free;
    unsigned remotes;
    char mount[PATH_MAX] = "";
    struct bench_reply reply;
    const char *dir;
    int rc;

    for (unsigned i = 0; i < BENCH_NR_SYSTEMS; i++) {
        systems[i].max_readers = BENCH_MAX_READERS;
        /* None of its cases was chosen: not worth preparing. */
        if (!(systems[i].groups & config->groups))
            systems[i].wanted = false;
    }
    bench_progress("reading %s once", config->db);
    rc = bench_run_job(config, bench_job_read_file, BENCH_HUGELITE, &reply);
    if (rc < 0)
        goto failed;
    rc = bench_packed_prepare(config);
    if (rc < 0)
        return rc;
    if (wanted(config, BENCH_ZST))
        rc = bench_run_job(config, bench_job_read_file, BENCH_ZST, &reply);
    if (rc < 0)
        goto failed;

    rc = bench_remote_prepare(config);
    if (rc < 0)
        return rc;

    pool_chunks = chunks * (wanted(config, BENCH_HUGELITE) + wanted(config, BENCH_ZST));
    config->pool_budget = (pool_chunks + POOL_SPARE_CHUNKS / 2) * HUGELITE_CHUNK_BYTES;
    remotes = wanted(config, BENCH_REMOTE) + wanted(config, BENCH_REMOTE_ZST);
    if (remotes > 1 && !(config->groups & PLAIN))
        remotes = 1;                    /* cold: one after the other */
    config->remote_budget = (chunks * remotes + POOL_SPARE_CHUNKS / 2) * HUGELITE_CHUNK_BYTES;
    pool_chunks += remotes ? chunks * remotes + POOL_SPARE_CHUNKS : 0;
    pool_chunks += wanted(config, BENCH_SMALL) ? chunks / 4 + POOL_SPARE_CHUNKS / 2 : 0;
    free = config->huge_free = find_huge_mount(NULL, mount);
    if (pool_chunks) {
        rc = place_pool(config, mount, &free, pool_chunks + POOL_SPARE_CHUNKS);
        if (rc < 0) {
            bench_fail(&reply, -rc, "no directory for the pool: %s", strerror(-rc));
            goto failed;
        }
    }
    if (wanted(config, BENCH_COPY))
        rc = prepare_copy(config, mount, free, chunks, &reply);
    if (rc == 0)
        rc = warm_pool(config, BENCH_HUGELITE, &reply);
    if (rc == 0)
        rc = warm_pool(config, BENCH_ZST, &reply);
    if (rc == 0)
        rc = prepare_remote(config, &reply);
    if (rc == 0)
        rc = prepare_small(config, chunks, &reply);
    /* Where UFFDIO_COPY is measured. */
    if (rc == 0 && config->pool[0] && config->groups & (BIT(COLD_SCAN) | BIT(COLD_LOOKUP))) {
        rc = bench_dir_beside_pool(config, &dir);
        if (rc < 0)
            bench_fail(&reply, -rc, "no directory beside %s: %s", config->pool, strerror(-rc));
    }
    if (rc < 0)
        goto failed;
    if (wanted(config, BENCH_CACHE))
        limit_caches(config);
    if (config->groups & (BIT(ZIPF) | BIT(READERS)))
        bench_group_prepare(config);
    return 0;

failed:
    if (rc != -EINTR)
        hl_tool_error("bench", "%s", reply.message);
    return rc;
}
