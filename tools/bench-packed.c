/* SPDX-License-Identifier: MIT
 *
 * bench-packed.c - the packed database of `hugelite bench`, what its peers read (a file
 * that zstd unpacks, a squashfs image), and the rates that no cold scan can beat.
 *
 * Entry points: bench_packed_prepare, bench_packed_cleanup, and the jobs bench_job_unpack,
 * bench_job_remount, bench_job_rates.
 * See also: bench-cold.c (who measures with them), bench-system.c (how they are opened).
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "bench.h"
#include "seekable.h"
#include "tools.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define CHUNK HUGELITE_CHUNK_BYTES
#define SAMPLE_BYTES (96u << 20)   /* of decoded frames, for the rates */
#define SAMPLE_FRAMES 400u         /* for the cost of one */
#define COPY_CHUNKS 32u

/* ---- other programs ----------------------------------------------------- */

int bench_run_program(const char *const *argv, struct bench_reply *reply)
{
    char said[240] = "";
    size_t length = 0;
    int pipes[2], status;
    ssize_t n;
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return bench_fail(reply, errno, "%s: %s", argv[0], strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], 2);
        dup2(open("/dev/null", O_RDWR), 1);
        execvp(argv[0], (char *const *)argv);
        dprintf(2, "%s: %s", argv[0], strerror(errno));
        _exit(127);
    }
    close(pipes[1]);
    do {
        n = read(pipes[0], said + length, sizeof said - 1 - length);
        length += n > 0 ? (size_t)n : 0;
    } while (n > 0 && length < sizeof said - 1);
    close(pipes[0]);
    said[strcspn(said, "\n")] = '\0';
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return bench_fail(reply, errno, "%s: %s", argv[0], strerror(errno));
    if (status == 0)
        return 0;
    return bench_fail(reply, EIO, "%s", said[0] ? said : "a program that we need died");
}

bool bench_have_program(const char *name)
{
    const char *list = getenv("PATH");
    char path[PATH_MAX];

    for (list = list ? list : "/usr/bin:/bin"; *list;) {
        size_t length = strcspn(list, ":");

        if ((size_t)snprintf(path, sizeof path, "%.*s/%s", (int)length, list, name) < sizeof path
            && access(path, X_OK) == 0)
            return true;
        list += length + (list[length] == ':');
    }
    return false;
}

/* ---- the packed file ---------------------------------------------------- */

struct frames {
    int fd;
    const unsigned char *map;  /* the packed file, in memory and mapped */
    uint64_t bytes;
    uint32_t nr;
    struct hl_seekable_entry *entries;
    uint64_t *offsets;         /* of each in the packed file */
    uint64_t decoded_bytes;
    uint32_t largest;          /* decoded */
};

static void unmap_frames(struct frames *f)
{
    if (f->map)
        munmap((void *)f->map, f->bytes);
    if (f->fd >= 0)
        close(f->fd);
    free(f->entries);
    free(f->offsets);
}

static int map_frames(const char *path, struct frames *f, struct bench_reply *reply)
{
    struct hl_seekable table;
    const char *wrong = "not in the seekable format";
    uint64_t offset = 0;
    struct stat st;

    *f = (struct frames){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    f->bytes = (uint64_t)st.st_size;
    if (f->bytes < HL_SEEKABLE_HEADER_BYTES + HL_SEEKABLE_FOOTER_BYTES)
        return bench_fail(reply, ESTALE, "%s: %s", path, wrong);
    f->map = mmap(NULL, f->bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, f->fd, 0);
    if (f->map == MAP_FAILED) {
        f->map = NULL;
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    }
    if (hl_seekable_parse_footer(f->map + f->bytes - HL_SEEKABLE_FOOTER_BYTES, f->bytes, &table,
                                 &wrong) < 0
        || hl_seekable_check_header(&table, f->map + table.frames_bytes, &wrong) < 0)
        return bench_fail(reply, ESTALE, "%s: %s", path, wrong);
    f->nr = table.nr_frames;
    f->entries = calloc(f->nr + 1u, sizeof *f->entries);
    f->offsets = calloc(f->nr + 1u, sizeof *f->offsets);
    if (!f->entries || !f->offsets)
        return bench_fail(reply, ENOMEM, "no memory");
    for (uint32_t i = 0; i < f->nr; i++) {
        f->entries[i] = hl_seekable_entry(&table, f->map + table.entries_at
                                                      + (uint64_t)i * table.entry_bytes);
        f->offsets[i] = offset;
        offset += f->entries[i].encoded_bytes;
        f->decoded_bytes += f->entries[i].decoded_bytes;
        if (f->entries[i].decoded_bytes > f->largest)
            f->largest = f->entries[i].decoded_bytes;
    }
    if (offset != table.frames_bytes || f->nr == 0 || f->largest == 0)
        return bench_fail(reply, ESTALE, "%s: not what `hugelite pack` makes", path);
    return 0;
}

/* Is the packed file that is there the packed database? */
static int job_look_at_packed(const struct bench_config *config, uint64_t arg,
                              struct bench_reply *reply)
{
    struct stat db, packed;
    struct frames f;
    int rc;

    (void)arg;
    rc = map_frames(config->packed, &f, reply);
    if (rc == 0 && (stat(config->db, &db) < 0 || fstat(f.fd, &packed) < 0))
        rc = bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    if (rc == 0 && (f.decoded_bytes != config->db_bytes
                    || packed.st_mtim.tv_sec < db.st_mtim.tv_sec))
        rc = bench_fail(reply, ESTALE, "%s: of another database", config->packed);
    if (rc == 0)
        reply->packed = (struct bench_packed){ .bytes = f.bytes, .frames = f.nr,
                                               .decoded_bytes = f.decoded_bytes,
                                               .frame_bytes = f.largest };
    unmap_frames(&f);
    return rc;
}

/* `hugelite pack`, this very program, under a name that is removed whatever happens. */
static int job_pack(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    char out[PATH_MAX + 32];
    const char *const argv[] = { "/proc/self/exe", "pack", "--level", BENCH_PACK_LEVEL, config->db,
                                 out, NULL };

    (void)arg;
    snprintf(out, sizeof out, "%s/packed.zst", config->work_dir);
    if (bench_run_program(argv, reply) < 0)
        return reply->rc;
    if (rename(out, config->packed) < 0)
        return bench_fail(reply, errno, "%s: %s", config->packed, strerror(errno));
    return 0;
}

int bench_job_unpack(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    const char *const argv[] = { "zstd", "-d", "-q", "-f", "-o", config->unpacked, config->packed,
                                 NULL };

    (void)arg;
    return bench_run_program(argv, reply);
}

/* ---- squashfs ----------------------------------------------------------- */

/* As large a block as a frame: squashfs takes powers of 2 from 4 KiB to 1 MiB. */
static uint64_t squashfs_block(const struct bench_config *config)
{
    uint64_t block = 4096;

    while (block < config->packing.frame_bytes && block < 1u << 20)
        block *= 2;
    return block;
}

static int job_make_squashfs(const struct bench_config *config, uint64_t arg,
                             struct bench_reply *reply)
{
    char block[24];
    const char *const argv[] = { "mksquashfs", config->db, config->squashfs_image, "-comp", "zstd",
                                 "-Xcompression-level", BENCH_PACK_LEVEL, "-b", block, "-noappend",
                                 "-no-progress", "-no-xattrs", "-quiet", NULL };

    (void)arg;
    snprintf(block, sizeof block, "%" PRIu64, squashfs_block(config));
    return bench_run_program(argv, reply);
}

static int attach_loop(const char *image, char ret_device[64], int *ret_loop,
                       struct bench_reply *reply)
{
    struct loop_config loop = { .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR };
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    int rc = 0;

    *ret_loop = -1;
    if (control < 0 || fd < 0)
        rc = bench_fail(reply, errno, "%s: %s", fd < 0 ? image : "/dev/loop-control",
                        strerror(errno));
    loop.fd = (uint32_t)fd;
    /* A free one may be taken by another program before we have it. */
    for (int tries = 0; rc == 0 && *ret_loop < 0; tries++) {
        int nr = ioctl(control, LOOP_CTL_GET_FREE);

        snprintf(ret_device, 64, "/dev/loop%d", nr);
        *ret_loop = nr < 0 ? -1 : open(ret_device, O_RDONLY | O_CLOEXEC);
        if (*ret_loop >= 0 && ioctl(*ret_loop, LOOP_CONFIGURE, &loop) == 0)
            break;
        if (nr < 0 || *ret_loop < 0 || errno != EBUSY || tries == 20)
            rc = bench_fail(reply, errno, "a loop device for %s: %s", image, strerror(errno));
        if (*ret_loop >= 0)
            close(*ret_loop);
        *ret_loop = -1;
    }
    if (control >= 0)
        close(control);
    if (fd >= 0)
        close(fd);
    return rc;
}

int bench_job_remount(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    char device[64];
    int loop, rc;

    (void)arg;
    if (umount2(config->squashfs_mount, 0) < 0 && errno != EINVAL)
        return bench_fail(reply, errno, "%s: %s", config->squashfs_mount, strerror(errno));
    rc = attach_loop(config->squashfs_image, device, &loop, reply);
    if (rc < 0)
        return rc;
    /* The mount holds the device from now on, and lets it go at the end by itself. */
    if (mount(device, config->squashfs_mount, "squashfs", MS_RDONLY | MS_NODEV | MS_NOSUID,
              NULL) < 0)
        rc = bench_fail(reply, errno, "mounting %s: %s", config->squashfs_image, strerror(errno));
    close(loop);
    return rc;
}

/* A mount namespace of our own: whatever becomes of us, the mount and its loop device
 * go with our last process. */
static int prepare_squashfs(struct bench_config *config, struct bench_reply *reply)
{
    struct bench_system *system = &config->systems[BENCH_SQUASHFS];
    int rc;

    if (geteuid() != 0) {
        bench_skip(system, "only root can mount it");
        return 0;
    }
    if (!bench_have_program("mksquashfs")) {
        bench_skip(system, "mksquashfs was not found: install squashfs-tools");
        return 0;
    }
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        bench_skip(system, "no mount namespace: %s", strerror(errno));
        return 0;
    }
    snprintf(config->squashfs_image, sizeof config->squashfs_image, "%.4000s/squashfs.image",
             config->work_dir);
    snprintf(config->squashfs_mount, sizeof config->squashfs_mount, "%.4000s/squashfs",
             config->work_dir);
    bench_progress("making a squashfs image");
    rc = mkdir(config->squashfs_mount, 0700) < 0
         ? bench_fail(reply, errno, "%s: %s", config->squashfs_mount, strerror(errno))
         : bench_run_job(config, job_make_squashfs, 0, reply);
    if (rc == 0)
        rc = bench_run_job(config, bench_job_remount, 0, reply);
    if (rc < 0 && rc != -EINTR) {
        bench_skip(system, "%.300s", reply->message);
        rc = 0;
    }
    return rc;
}

/* ---- preparation -------------------------------------------------------- */

static bool wants_packed(const struct bench_config *config)
{
    static const enum bench_system_id list[] = { BENCH_ZST, BENCH_UNPACK, BENCH_SQUASHFS,
                                                 BENCH_REMOTE_ZST };

    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        if (config->systems[list[i]].wanted && !config->systems[list[i]].skipped)
            return true;
    return false;
}

/* Remote cases keep what hugelite remembers in our directory. */
static bool wants_place(const struct bench_config *config)
{
    return wants_packed(config) || config->systems[BENCH_REMOTE].wanted
           || config->systems[BENCH_DOWNLOAD].wanted;
}

static int place(struct bench_config *config)
{
    const char *tmp = getenv("TMPDIR"), *name = strrchr(config->db, '/');
    char dir[PATH_MAX];
    int rc;

    /* Beside a database of ours; the user's own directory is not written to. */
    snprintf(dir, sizeof dir, "%.*s", (int)(name - config->db), config->db);
    if (config->db_option)
        snprintf(dir, sizeof dir, "%s", tmp && *tmp == '/' ? tmp : "/var/tmp");
    rc = bench_dir_make(dir, config->work_dir);
    if (rc < 0)
        return rc;
    snprintf(config->packed, sizeof config->packed, "%.4000s%.90s.zst",
             config->db_option ? config->work_dir : dir, name);
    snprintf(config->unpacked, sizeof config->unpacked, "%.4000s/unpacked.db", config->work_dir);
    return 0;
}

int bench_packed_prepare(struct bench_config *config)
{
    struct bench_reply reply;
    int rc;

    if (!wants_place(config))
        return 0;
    rc = place(config);
    if (rc < 0) {
        hl_tool_error("bench", "no directory beside %s: %s", config->db, strerror(-rc));
        return rc;
    }
    if (!wants_packed(config))
        return 0;
    rc = access(config->packed, F_OK) < 0
         ? -ENOENT : bench_run_job(config, job_look_at_packed, 0, &reply);
    if (rc == -ENOENT || rc == -ESTALE) {
        bench_progress("packing the database");
        rc = bench_run_job(config, job_pack, 0, &reply);
        if (rc == 0)
            rc = bench_run_job(config, job_look_at_packed, 0, &reply);
    }
    if (rc == 0) {
        config->packing = reply.packed;
        if (config->systems[BENCH_UNPACK].wanted && !bench_have_program("zstd"))
            bench_skip(&config->systems[BENCH_UNPACK], "zstd was not found: install zstd");
        if (config->systems[BENCH_SQUASHFS].wanted)
            rc = prepare_squashfs(config, &reply);
    }
    if (rc < 0 && rc != -EINTR)
        hl_tool_error("bench", "%s", reply.message);
    return rc;
}

void bench_packed_cleanup(struct bench_config *config)
{
    if (config->squashfs_mount[0])
        umount2(config->squashfs_mount, MNT_DETACH);
}

/* ---- rates -------------------------------------------------------------- */

/* Frames spread over the file, encoded bytes in memory. */
struct sample {
    const struct frames *frames;
    uint32_t first, step;      /* frame numbers */
    double seconds;            /* how long to decode */
    double rate;               /* decoded bytes per second; 0 = failed */
};

static void *decode_sample(void *arg)
{
    struct sample *sample = arg;
    const struct frames *f = sample->frames;
    size_t room = f->largest > CHUNK ? f->largest : CHUNK, used = 0;
    unsigned char *buffer = malloc(room);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    uint64_t decoded = 0;
    uint32_t i = sample->first;
    double start, t = 0;

    sample->rate = 0;
    if (!buffer || !context)
        goto out;
    memset(buffer, 1, room);
    start = hl_units_now();
    do {
        const struct hl_seekable_entry *e = &f->entries[i];
        size_t n;

        if (used + e->decoded_bytes > room)
            used = 0;
        n = ZSTD_decompressDCtx(context, buffer + used, room - used, f->map + f->offsets[i],
                                e->encoded_bytes);
        if (ZSTD_isError(n) || n != e->decoded_bytes)
            goto out;
        used += n;
        decoded += n;
        i += sample->step;
        if (i >= f->nr)
            i = sample->first;
        t = hl_units_now();
    } while (t < start + sample->seconds);
    sample->rate = (double)decoded / (t - start);
out:
    ZSTD_freeDCtx(context);
    free(buffer);
    return NULL;
}

/* D, alone and with all processors at work. */
static int decode_rates(const struct frames *f, double seconds, struct bench_rates *rates,
                        struct bench_reply *reply)
{
    long nr = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t sample_frames = SAMPLE_BYTES / f->largest + 1;
    uint32_t step = f->nr > sample_frames ? (uint32_t)(f->nr / sample_frames) : 1;
    struct sample alone = { f, 0, step, seconds, 0 }, samples[64];
    pthread_t threads[64];
    long started = 0;

    decode_sample(&alone);
    nr = nr < 1 ? 1 : nr > 64 ? 64 : nr;
    for (long i = 0; i < nr; i++) {
        samples[i] = (struct sample){ f, (uint32_t)i % f->nr, step, seconds, 0 };
        if (pthread_create(&threads[i], NULL, decode_sample, &samples[i]))
            break;
        started++;
    }
    rates->decode = alone.rate;
    for (long i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        rates->decode_all += samples[i].rate / (double)started;
    }
    if (!(alone.rate > 0 && rates->decode_all > 0))
        return bench_fail(reply, EBADMSG, "a frame of the packed database cannot be decoded");
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What one frame costs that nobody has looked at lately. */
static int frame_costs(const struct frames *f, struct bench_rates *rates,
                       struct bench_reply *reply)
{
    double alone[SAMPLE_FRAMES], with_read[SAMPLE_FRAMES];
    unsigned char *decoded = malloc(f->largest), *encoded = malloc(ZSTD_compressBound(f->largest));
    ZSTD_DCtx *context = ZSTD_createDCtx();
    uint64_t seed = 0x2545f4914f6cdd1du;
    bool good = decoded && encoded && context;

    if (good) {
        memset(decoded, 1, f->largest);
        memset(encoded, 1, ZSTD_compressBound(f->largest));
    }
    for (unsigned i = 0; i < 2 * SAMPLE_FRAMES && good; i++) {
        uint32_t frame = (uint32_t)(bench_xorshift(&seed) % f->nr);
        const struct hl_seekable_entry *e = &f->entries[frame];
        const unsigned char *from = f->map + f->offsets[frame];
        double start = hl_units_now();
        size_t n;

        if (i % 2) {
            good = e->encoded_bytes <= ZSTD_compressBound(f->largest)
                   && pread(f->fd, encoded, e->encoded_bytes, (off_t)f->offsets[frame])
                          == (ssize_t)e->encoded_bytes;
            from = encoded;
        }
        n = good ? ZSTD_decompressDCtx(context, decoded, f->largest, from, e->encoded_bytes) : 0;
        good = good && n == e->decoded_bytes;
        (i % 2 ? with_read : alone)[i / 2] = hl_units_now() - start;
    }
    if (good) {
        qsort(alone, SAMPLE_FRAMES, sizeof *alone, compare);
        qsort(with_read, SAMPLE_FRAMES, sizeof *with_read, compare);
        rates->frame_seconds = alone[SAMPLE_FRAMES / 2];
        rates->frame_read_seconds = with_read[SAMPLE_FRAMES / 2];
    }
    ZSTD_freeDCtx(context);
    free(encoded);
    free(decoded);
    return good ? 0 : bench_fail(reply, EBADMSG, "a frame of the packed database cannot be read");
}

/* K, into pages that the pool has just given back, which have been touched before. */
static int copy_rate(const char *dir, struct bench_rates *rates, struct bench_reply *reply)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
    uint64_t length = (uint64_t)COPY_CHUNKS * CHUNK, copied = 0;
    double spent = 0;
    char path[PATH_MAX];
    int fd, uffd, rc = 0;
    void *image, *from;

    if ((size_t)snprintf(path, sizeof path, "%s/copy-rate", dir) >= sizeof path)
        return bench_fail(reply, ENAMETOOLONG, "%s: the name is too long", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    unlink(path);
    image = ftruncate(fd, (off_t)length) < 0
            ? MAP_FAILED
            : mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    from = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                -1, 0);
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    reg.range.start = (uintptr_t)image;
    reg.range.len = length;
    if (image == MAP_FAILED || from == MAP_FAILED || uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0
        || ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
        rc = bench_fail(reply, errno, "measuring UFFDIO_COPY: %s", strerror(errno));
    /* The first turn touches, the others count. */
    for (unsigned turn = 0; turn < 4 && rc == 0; turn++) {
        double start = hl_units_now();

        for (unsigned c = 0; c < COPY_CHUNKS && rc == 0;) {
            struct uffdio_copy copy = { .dst = (uintptr_t)image + (uint64_t)c * CHUNK,
                                        .src = (uintptr_t)from, .len = CHUNK };

            if (ioctl(uffd, UFFDIO_COPY, &copy) == 0)
                c++;
            else if (errno != EAGAIN)
                rc = bench_fail(reply, errno, "UFFDIO_COPY: %s", strerror(errno));
        }
        if (turn > 0) {
            spent += hl_units_now() - start;
            copied += length;
        }
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)length) < 0)
            rc = bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    }
    if (rc == 0)
        rates->copy = (double)copied / spent;
    if (image != MAP_FAILED)
        munmap(image, length);
    if (from != MAP_FAILED)
        munmap(from, CHUNK);
    if (uffd >= 0)
        close(uffd);
    close(fd);
    return rc;
}

static int read_rate(const struct bench_config *config, struct bench_rates *rates,
                     struct bench_reply *reply)
{
    int fd = open(config->db, O_RDONLY | O_CLOEXEC);
    char *buffer = malloc(CHUNK);
    uint64_t step = config->db_bytes / CHUNK / 64 + 1, done = 0;
    double start;
    ssize_t n = 1;

    if (fd < 0 || !buffer)
        return bench_fail(reply, errno, "%s: %s", config->db, strerror(errno));
    memset(buffer, 1, CHUNK);
    start = hl_units_now();
    for (uint64_t offset = 0; offset < config->db_bytes && n > 0; offset += step * CHUNK) {
        n = pread(fd, buffer, CHUNK, (off_t)offset);
        done += n > 0 ? (uint64_t)n : 0;
    }
    if (n > 0)
        rates->read = (double)done / (hl_units_now() - start);
    close(fd);
    free(buffer);
    return n > 0 ? 0 : bench_fail(reply, EIO, "%s: cannot be read", config->db);
}

/* The pool's chunks of the packed database have just been evicted. */
int bench_job_rates(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    struct frames f;
    int rc = read_rate(config, &reply->rates, reply);

    (void)arg;
    if (rc == 0 && config->huge_dir[0])
        rc = copy_rate(config->huge_dir, &reply->rates, reply);
    else if (rc == 0 && config->shm_dir[0])
        rc = copy_rate(config->shm_dir, &reply->rates, reply);
    if (rc < 0 || !config->packing.frames)
        return rc;
    rc = map_frames(config->packed, &f, reply);
    if (rc == 0)
        rc = decode_rates(&f, config->seconds / 2, &reply->rates, reply);
    if (rc == 0)
        rc = frame_costs(&f, &reply->rates, reply);
    unmap_frames(&f);
    return rc;
}
