/* SPDX-License-Identifier: MIT
 *
 * tools.h - what the commands of the program hugelite share.
 *
 * One command is one file with one entry, cmd_NAME(argc, argv), argv[0] being the
 * command's name; hugelite.c dispatches.  A command answers the exit code: 0 done,
 * 1 failed, 2 wrong usage.  stdout is data, stderr is diagnosis.
 */
#ifndef HL_TOOLS_H
#define HL_TOOLS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "hugelite.h"

/* ---- commands ---------------------------------------------------------- */

int cmd_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_evict(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_setup(int argc, char **argv);
int cmd_sql(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_warm(int argc, char **argv);

/* ---- saying things: hugelite.c ----------------------------------------- */

/* "hugelite COMMAND: message" on stderr; returns 1, the exit code of failure. */
int hl_tool_error(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same and where to find help; returns 2, the exit code of wrong usage. */
int hl_tool_usage(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* What getopt_long() answered that is no option of this command ('?' or ':'): say
 * which and return 2.  The option string starts with ':' and opterr is 0. */
int hl_tool_bad_option(const char *command, char **argv, int answer);

int hl_tool_help(const char *text);      /* on stdout; returns 0 */
int hl_tool_version(void);               /* on stdout; returns 0 */

/* Until the user asks to stop: SIGINT and SIGTERM set hl_tool_stopped, a second one
 * ends the program as usual. */
extern volatile sig_atomic_t hl_tool_stopped;
void hl_tool_catch_stop(void);

/* Attach to a pool that exists already, and say so clearly when there is none.
 * dir: NULL = the default pool.  Returns 0, or the exit code 1 (said why). */
int hl_tool_existing_pool(const char *command, const char *dir, struct hugelite_pool **ret_pool);

/* The volumes of a pool, in an array to be freed.  Returns 0 or -errno. */
int hl_tool_volumes(struct hugelite_pool *pool, struct hugelite_volume_stat **ret_array,
                    size_t *ret_nr);

/* ---- names.c: databases, as they are named ------------------------------- */

/* Is it a URL?  Then it is shown as hl_tool_name() has it, without credentials, and never as it
 * was given. */
bool hl_tool_is_remote(const char *source);
const char *hl_tool_name(const char *source);  /* good until four more have been asked for */

/* The arguments of a command that takes SOURCEs or --all, and --pool: the SOURCEs are those from optind
 * on.  Returns -1, or the exit code when that is all (help, version, wrong usage). */
int hl_tool_which(const char *command, const char *help, int argc, char **argv,
                  const char **ret_dir, bool *ret_all);

/* The SQLite name of a source; to be freed.  pool: NULL = the default.  NULL = no memory. */
char *hl_tool_uri(const char *source, const char *pool, bool immutable);

/* ---- state.c: the state directory ---------------------------------------- */

struct hl_known;
struct hl_state;

/* Which it would be; false: none is wanted.  As ../engine/state.h says. */
bool hl_tool_state_dir(char *dir, size_t room);

/* NULL when there is none: none is made.  Else to be given back with hl_state_put(). */
struct hl_state *hl_tool_state(void);

/* What the disk tier has of a source. */
uint64_t hl_tool_tier_bytes(struct hl_state *state, const struct hl_known *known);

/* While a remote source is open: say what the state directory has to tell, if anything. */
void hl_tool_notice(const char *command);

/* ---- units.c: figures for people --------------------------------------- */

#define HL_UNITS_ROOM 48

/* "1610612736 bytes (1.5 GiB)"; returns buf. */
const char *hl_units_bytes(char buf[HL_UNITS_ROOM], uint64_t bytes);

/* The same without the word, for a column whose title has it. */
const char *hl_units_cell(char buf[HL_UNITS_ROOM], uint64_t bytes);

/* "1.5 GiB" alone. */
const char *hl_units_short(char buf[HL_UNITS_ROOM], uint64_t bytes);

/* "7 s", "3 min 20 s", "2 h 5 min" */
const char *hl_units_seconds(char buf[HL_UNITS_ROOM], double seconds);

/* Seconds of a clock that never steps back. */
double hl_units_now(void);

/* ---- json.c: a writer -------------------------------------------------- */

struct hl_json {
    FILE *out;
    unsigned depth;
    bool begun[16];            /* this level has a member already */
};

/* Every function takes the key first, NULL in an array or at the top.  Objects and
 * arrays are opened with '{' or '[' and closed with '}' or ']'. */
void hl_json_begin(struct hl_json *json, FILE *out);
void hl_json_open(struct hl_json *json, const char *key, char bracket);
void hl_json_close(struct hl_json *json, char bracket);
void hl_json_string(struct hl_json *json, const char *key, const char *text);  /* NULL = null */
void hl_json_text(struct hl_json *json, const char *key, const char *text, size_t length);
void hl_json_number(struct hl_json *json, const char *key, uint64_t number);
void hl_json_integer(struct hl_json *json, const char *key, int64_t number);
void hl_json_real(struct hl_json *json, const char *key, double number);
void hl_json_bool(struct hl_json *json, const char *key, bool value);
void hl_json_null(struct hl_json *json, const char *key);

/* ---- table.c: aligned columns ------------------------------------------ */

struct hl_table;

/* right: one character per column, 'r' for right-aligned, 'l' for left. */
struct hl_table *hl_table_new(unsigned columns, const char *align);
/* Copies the text; NULL is an empty cell.  Control characters become '?', so that a
 * name cannot play with the terminal.  Returns 0 or -ENOMEM. */
int hl_table_cell(struct hl_table *table, const char *text);
void hl_table_print(const struct hl_table *table, FILE *out);
void hl_table_free(struct hl_table *table);

/* ---- progress.c: long work on a terminal -------------------------------- */

struct hl_progress {
    const char *what;          /* shown first */
    double began;
    double shown;              /* when the line was last written */
    bool terminal;             /* stderr is one: else nothing is shown */
    bool on_screen;
};

void hl_progress_begin(struct hl_progress *progress, const char *what);
void hl_progress_show(struct hl_progress *progress, uint64_t done, uint64_t total);
void hl_progress_end(struct hl_progress *progress);        /* wipes the line */

/* ---- hugepages.c: the machine's huge pages of 2 MiB ---------------------- */

#define HL_HUGEPAGES_LOCK "/run/hugelite-hugepages.lock"

struct hl_hugepages {
    uint64_t total, free, reserved, surplus, overcommit;    /* pages */
};

static inline uint64_t hl_hugepages_available(const struct hl_hugepages *pages)
{
    return pages->free > pages->reserved ? pages->free - pages->reserved : 0;
}

/* Returns 0, -ENOENT (this kernel has no huge pages of 2 MiB) or -errno. */
int hl_hugepages_read(struct hl_hugepages *ret_pages);

/* Ask the kernel for that many in all, and read back what it did.  Hold the lock. */
int hl_hugepages_resize(uint64_t total, uint64_t *ret_total);

/* Between processes that change the number of huge pages: one adds to what the other
 * left.  Returns 0, -ETIMEDOUT after a minute, or -errno.  Closing the fd unlocks. */
int hl_hugepages_lock(int *ret_fd);

/* ---- mounts.c: where hugetlbfs is mounted -------------------------------- */

struct hl_mount {
    char *path, *device, *options;
    uint64_t page_bytes;
    uint64_t size_bytes;       /* size=, 0 = no limit of its own */
    uint64_t min_bytes;        /* min_size=, 0 = no pages of its own */
    uint64_t free_bytes;       /* that a file on it could still get */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    bool writable;             /* by this process: create a directory there */
};

/* All of them, the last mount of a path only (it hides the others).  Free the array
 * with hl_mounts_free().  Returns 0 or -errno. */
int hl_mounts_list(struct hl_mount **ret_mounts, size_t *ret_nr);
void hl_mounts_free(struct hl_mount *mounts, size_t nr);

#endif
