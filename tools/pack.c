/* SPDX-License-Identifier: MIT
 *
 * hugelite pack: write a database as a compressed file that can be read at any offset, in the
 * Zstandard seekable format.  The file appears under its name when it is whole and has been
 * decoded once; whatever happens before, there is none.
 *
 * Entry point: cmd_pack().
 * See also: pack-input.c, pack-frames.c, pack-output.c, verify.c, ../engine/seekable.h.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "error.h"
#include "pack.h"
#include "tools.h"

static const char help[] =
    "usage: hugelite pack IN OUT [--level N] [--frame SIZE] [--threads N] [--force] [--any]\n"
    "\n"
    "Compress a database so that it can be read without unpacking it.\n"
    "\n"
    "  --level N       of Zstandard, 1 (fast) to 22 (small); default " HL_PACK_LEVEL "\n"
    "  --frame SIZE    bytes that are compressed together, a power of two from 4K to 2M;\n"
    "                  default " HL_PACK_FRAME "\n"
    "  --threads N     threads that compress; default: the CPUs there are\n"
    "  --force         replace OUT if it is there\n"
    "  --any           IN may be any file, not just a database that nobody writes\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

struct packing {
    const char *in, *out;
    struct hl_pack_frames frames;
    struct hl_progress progress;
    bool replace, any;
};

unsigned hl_pack_cpus(void)
{
    cpu_set_t *set = CPU_ALLOC(8192);
    size_t bytes = CPU_ALLOC_SIZE(8192);
    int nr = 0;

    if (set && sched_getaffinity(0, bytes, set) == 0)
        nr = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    return nr < 1 ? 1 : nr > HL_PACK_THREADS_MAX ? HL_PACK_THREADS_MAX : (unsigned)nr;
}

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
    hl_progress_show(arg, done, total);
    return hl_tool_stopped;
}

static int pack(struct packing *packing, struct hl_pack_input *input,
                struct hl_pack_output *output)
{
    char in_text[HL_UNITS_ROOM], out_text[HL_UNITS_ROOM], rate_text[HL_UNITS_ROOM];
    char frame_text[HL_UNITS_ROOM];
    struct hl_pack_frames *frames = &packing->frames;
    uint64_t out_bytes;
    uint32_t nr_frames;
    double seconds;
    int rc;

    frames->in_name = packing->in;
    frames->out_name = packing->out;
    frames->in_fd = hl_pack_input_fd(input);
    frames->in_bytes = (uint64_t)hl_pack_input_stat(input)->st_size;
    frames->out_fd = hl_pack_output_fd(output);
    frames->progress = on_progress;
    frames->arg = &packing->progress;
    hl_progress_begin(&packing->progress, packing->in);
    rc = hl_pack_frames(frames, &out_bytes, &nr_frames);
    hl_progress_end(&packing->progress);
    if (rc == 0)
        rc = hl_pack_input_check(input);
    if (rc == 0 && hl_tool_stopped)
        rc = hl_error(ECANCELED, "%s: interrupted, nothing was written", packing->out);
    if (rc == 0)
        rc = hl_pack_output_publish(output);
    if (rc < 0)
        return rc;

    seconds = hl_units_now() - packing->progress.began;
    printf("%s: %s, %.2f times smaller than %s, in %" PRIu32 " frames of %s, packed and checked "
           "in %.2f s, %s/s\n", packing->out, hl_units_bytes(out_text, out_bytes),
           (double)frames->in_bytes / (double)out_bytes,
           hl_units_bytes(in_text, frames->in_bytes), nr_frames,
           hl_units_short(frame_text, frames->frame_bytes), seconds,
           hl_units_short(rate_text, seconds > 0 ?
                          (uint64_t)((double)frames->in_bytes / seconds) : 0));
    return 0;
}

int hl_pack_number(const char *command, const char *option, const char *text, int least, int most,
                   int *ret_number)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (!*text || *end || errno || value < least || value > most)
        return hl_tool_usage(command, "%s '%s': not a number from %d to %d", option, text, least,
                             most);
    *ret_number = (int)value;
    return 0;
}

static int pack_level(const char *text, int *ret_level)
{
    return hl_pack_number("pack", "--level", text, 1, ZSTD_maxCLevel(), ret_level);
}

static int frame_size(const char *text, uint32_t *ret_bytes)
{
    uint64_t bytes;

    if (hugelite_parse_size(text, &bytes) < 0)
        return hl_tool_usage("pack", "--frame '%s': not a size as in 64K", text);
    if (bytes < HL_PACK_FRAME_MIN || bytes > HL_PACK_FRAME_MAX || (bytes & (bytes - 1)))
        return hl_tool_usage("pack", "--frame '%s': not a power of two from 4K to 2M", text);
    *ret_bytes = (uint32_t)bytes;
    return 0;
}

/* Returns 0, or 1 and the exit code in *ret_code. */
static int parse(int argc, char **argv, struct packing *packing, int *ret_code)
{
    static const struct option options[] = {
        { "level", required_argument, NULL, 'l' },
        { "frame", required_argument, NULL, 'f' },
        { "threads", required_argument, NULL, 't' },
        { "force", no_argument, NULL, 'F' },
        { "any", no_argument, NULL, 'a' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int c, code, threads = (int)hl_pack_cpus();

    code = pack_level(HL_PACK_LEVEL, &packing->frames.level);
    if (!code)
        code = frame_size(HL_PACK_FRAME, &packing->frames.frame_bytes);
    while (!code && (c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'l': code = pack_level(optarg, &packing->frames.level); break;
        case 'f': code = frame_size(optarg, &packing->frames.frame_bytes); break;
        case 't':
            code = hl_pack_number("pack", "--threads", optarg, 1, HL_PACK_THREADS_MAX, &threads);
            break;
        case 'F': packing->replace = true; break;
        case 'a': packing->any = true; break;
        case 'h': *ret_code = hl_tool_help(help); return 1;
        case 'V': *ret_code = hl_tool_version(); return 1;
        default: code = hl_tool_bad_option("pack", argv, c); break;
        }
    }
    packing->frames.nr_threads = (unsigned)threads;
    if (!code && argc - optind < 2)
        code = hl_tool_usage("pack", "name IN, the database, and OUT, the file to write");
    if (!code && argc - optind > 2)
        code = hl_tool_usage("pack", "unexpected argument '%s'",
                             hl_tool_name(argv[optind + 2]));
    if (!code && strcmp(argv[optind + 1], "-") == 0)
        code = hl_tool_usage("pack", "OUT '-': must be a file; only that can appear at once");
    if (!code && (!*argv[optind] || !*argv[optind + 1]))
        code = hl_tool_usage("pack", "%s is empty", *argv[optind] ? "OUT" : "IN");
    for (c = optind; !code && c < optind + 2; c++)
        if (hl_tool_is_remote(argv[c]))
            code = hl_tool_usage("pack", "%s '%s': must be a file of this machine",
                                 c == optind ? "IN" : "OUT", hl_tool_name(argv[c]));
    if (code) {
        *ret_code = code;
        return 1;
    }
    packing->in = argv[optind];
    packing->out = argv[optind + 1];
    return 0;
}

int cmd_pack(int argc, char **argv)
{
    struct packing packing = { .replace = false };
    struct hl_pack_output *output = NULL;
    struct hl_pack_input *input = NULL;
    int rc, code = 0;

    if (parse(argc, argv, &packing, &code) != 0)
        return code;
    hl_tool_catch_stop();
    signal(SIGXFSZ, SIG_IGN); /* a limit of file size is an error like a full disk */
    rc = hl_pack_input_open(packing.in, packing.any, &input);
    if (rc == 0)
        rc = hl_pack_output_open(packing.out, packing.replace, hl_pack_input_stat(input),
                                 &output);
    if (rc == 0)
        rc = pack(&packing, input, output);
    if (rc < 0)
        hl_tool_error("pack", "%s", hugelite_error());
    hl_pack_output_close(output);
    hl_pack_input_close(input);
    return rc < 0 ? 1 : 0;
}
