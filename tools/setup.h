/* SPDX-License-Identifier: MIT
 *
 * setup.h - what setup.c, persist.c and lines.c share.
 */
#ifndef HL_SETUP_H
#define HL_SETUP_H

#include <limits.h>

#include "tools.h"

/* First column of /proc/mounts and fstab: made by us. */
#define HL_SETUP_DEVICE "hugelite"

/* The pool directory below a mount that hugelite_pool_open() looks for.  A group's is
 * made by root with this mode: what is made in it has the directory's group. */
#define HL_SETUP_POOL "hugelite"
#define HL_SETUP_POOL_MODE 02770u

struct hl_setup {
    char dir[PATH_MAX];        /* resolved */
    uint64_t pages;
    bool mode_given, group_given, persist;
    mode_t mode;               /* of the mount */
    gid_t gid;
    bool made_dir;
};

/* Write what makes the set-up come back at boot, or take it out again; print what
 * was written where.  Both return 0 or the exit code 1 (said why). */
int hl_persist_save(const struct hl_setup *request);
int hl_persist_forget(const char *dir);

/* The whole of a small file, to be freed; "" when there is none, NULL (errno) when it
 * cannot be read. */
char *hl_lines_read(const char *path);

/* Write a file again without the lines that drop() picks, and with `line` (may be NULL)
 * at the end; an empty file of our own is removed.  Returns 0 or -errno. */
int hl_lines_rewrite(const char *path, bool (*drop)(const char *line, const char *dir),
                     const char *dir, const char *line, bool ours);

bool hl_lines_any(const char *path, bool (*match)(const char *line, const char *dir),
                  const char *dir);

#endif
