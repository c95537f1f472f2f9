/* SPDX-License-Identifier: MIT
 *
 * pack.h - the parts of `hugelite pack`: what is read (a database that holds still), what is
 * written (a file that appears whole or not at all), and the frames between them.
 *
 * All functions answer 0 or -errno and leave a sentence for hugelite_error().
 */
#ifndef HL_PACK_H
#define HL_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The defaults, as one would give them.  bench/README.md has the measurement behind them. */
#define HL_PACK_LEVEL "3"
#define HL_PACK_FRAME "64K"

/* Whole frames to a chunk, and a table that stays small beside them. */
#define HL_PACK_FRAME_MIN (4u << 10)
#define HL_PACK_FRAME_MAX (2u << 20)

#define HL_PACK_THREADS_MAX 1024

/* CPUs that this process may use. */
unsigned hl_pack_cpus(void);

/* The value of an option, from least to most.  Returns 0, or the exit code 2 (said why). */
int hl_pack_number(const char *command, const char *option, const char *text, int least, int most,
                   int *ret_number);

/* ---- pack-input.c -------------------------------------------------------- */

struct hl_pack_input;

/* Open a file for packing.  any: it may be anything that is regular and not empty; else it is
 * an SQLite database with nothing beside it that belongs to it, and stays locked
 * against writers (SHARED) until it is closed. */
int hl_pack_input_open(const char *name, bool any, struct hl_pack_input **ret_input);
int hl_pack_input_fd(const struct hl_pack_input *input);
const struct stat *hl_pack_input_stat(const struct hl_pack_input *input);

/* Is it still what was opened?  0 or -ESTALE. */
int hl_pack_input_check(struct hl_pack_input *input);
void hl_pack_input_close(struct hl_pack_input *input); /* NULL is fine */

/* ---- pack-output.c ------------------------------------------------------- */

struct hl_pack_output;

/* Begin a file that takes its name when it is whole.  Until then it is a hidden one in the
 * same directory, locked, which goes with hl_pack_output_close(); what a killed process has left
 * there for the same name is removed now.
 *
 * replace: a file of that name may be there, and is replaced; else -EEXIST. */
int hl_pack_output_open(const char *name, bool replace, const struct stat *input,
                        struct hl_pack_output **ret_output);
int hl_pack_output_fd(const struct hl_pack_output *output);

/* All is written: to disk with it, and under its name. */
int hl_pack_output_publish(struct hl_pack_output *output);
void hl_pack_output_close(struct hl_pack_output *output); /* NULL is fine */

/* ---- pack-frames.c ------------------------------------------------------- */

struct hl_pack_frames {
    const char *in_name, *out_name;
    int in_fd, out_fd;
    uint64_t in_bytes;
    uint32_t frame_bytes;
    int level;
    unsigned nr_threads;
    /* Called now and then by the caller's thread; non-zero stops all with -ECANCELED. */
    int (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};

/* Write the frames of in_fd and their table to out_fd, and check what was written. */
int hl_pack_frames(const struct hl_pack_frames *frames, uint64_t *ret_out_bytes,
                   uint32_t *ret_nr_frames);

#endif
