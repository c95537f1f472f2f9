/* SPDX-License-Identifier: MIT
 *
 * The file that is written: hidden and locked until it is whole and on disk, then it gets its
 * name in one step.  A killed process leaves the hidden one, whose lock is gone, and the next
 * packing to the same name removes it.
 *
 * Entry points: pack.h.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "pack.h"

enum {
    TRIES = 100,
    /* ".NAME.pack-" and 16 digits must fit NAME_MAX; of a longer name, its beginning. */
    NAME_KEPT = NAME_MAX - 32,
};

struct hl_pack_output {
    const char *name; /* the caller's, for messages */
    char *path;       /* of what is written in the end, symbolic links resolved */
    char *base;       /* in path: its last part */
    char *hidden;     /* name in dir while there is no better; NULL = none now */
    int dir, fd;
    mode_t mode;
    bool replace;
};

int hl_pack_output_fd(const struct hl_pack_output *output)
{
    return output->fd;
}

void hl_pack_output_close(struct hl_pack_output *output)
{
    if (!output)
        return;
    if (output->hidden)
        unlinkat(output->dir, output->hidden, 0);
    if (output->fd >= 0)
        close(output->fd);
    if (output->dir >= 0)
        close(output->dir);
    free(output->hidden);
    free(output->path);
    free(output);
}

static void close_outputp(struct hl_pack_output **output)
{
    hl_pack_output_close(*output);
}

static int no_memory(const struct hl_pack_output *output)
{
    return hl_error(ENOMEM, "%s: no memory to write it", output->name);
}

static int is_there(const struct hl_pack_output *output)
{
    return hl_error(EEXIST, "%s: is there already; --force replaces it", output->name);
}

/* May something be written under this name?  A link is followed: what it names is replaced, not
 * the link (which may be /dev/stdout). */
static int check_name(struct hl_pack_output *output, const struct stat *input)
{
    struct stat st;

    if (lstat(output->name, &st) < 0) {
        if (errno != ENOENT)
            return hl_error(errno, "%s: %s", output->name, strerror(errno));
        output->path = strdup(output->name);
        return output->path ? 0 : no_memory(output);
    }
    output->path = realpath(output->name, NULL);
    if (!output->path || stat(output->path, &st) < 0)
        return hl_error(errno, "%s: %s", output->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return hl_error(EISDIR, "%s: is a directory", output->name);
    if (!S_ISREG(st.st_mode))
        return hl_error(EINVAL, "%s: is not a regular file", output->name);
    if (st.st_dev == input->st_dev && st.st_ino == input->st_ino)
        return hl_error(EINVAL, "%s: is the file to be packed", output->name);
    return output->replace ? 0 : is_there(output);
}

static int open_directory(struct hl_pack_output *output)
{
    char *slash = strrchr(output->path, '/');
    const char *dir = ".";

    output->base = slash ? slash + 1 : output->path;
    if (!*output->base)
        return hl_error(EISDIR, "%s: names a directory, not a file", output->name);
    if (slash == output->path) {
        dir = "/";
    } else if (slash) {
        *slash = '\0';
        dir = output->path;
    }
    output->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (output->dir < 0)
        return hl_error(errno, "%s: its directory cannot be opened: %s", output->name,
                        strerror(errno));
    return 0;
}

static int hidden_prefix(const struct hl_pack_output *output, char prefix[NAME_MAX + 1])
{
    return snprintf(prefix, NAME_MAX + 1, ".%.*s.pack-", (int)NAME_KEPT, output->base);
}

/* Is this name still that of the open file? */
static bool has_name(int dir, const char *name, int fd)
{
    struct stat named, opened;

    return fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

static bool is_hidden_name(const char *name, const char *prefix, size_t prefix_bytes)
{
    return strncmp(name, prefix, prefix_bytes) == 0 && strlen(name) == prefix_bytes + 16 &&
           strspn(name + prefix_bytes, "0123456789abcdef") == 16;
}

/* What nobody holds is of a process that is dead. */
static void remove_stale(const struct hl_pack_output *output)
{
    char prefix[NAME_MAX + 1];
    size_t prefix_bytes = (size_t)hidden_prefix(output, prefix);
    int listed = openat(output->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = listed < 0 ? NULL : fdopendir(listed);
    struct dirent *entry;

    if (!dir) {
        if (listed >= 0)
            close(listed);
        return;
    }
    while ((entry = readdir(dir))) {
        int fd;

        if (!is_hidden_name(entry->d_name, prefix, prefix_bytes))
            continue;
        fd = openat(output->dir, entry->d_name,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && has_name(output->dir, entry->d_name, fd))
            unlinkat(output->dir, entry->d_name, 0);
        close(fd);
    }
    closedir(dir);
}

/* Between our open() and our flock() somebody may take it for a stale one: then there is no
 * lock to have, or no name any more. */
static bool claim(int dir, const char *name, int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return false;
    return has_name(dir, name, fd);
}

static int create_hidden(struct hl_pack_output *output)
{
    char name[2 * NAME_MAX];
    int used = hidden_prefix(output, name);

    for (int i = 0; i < TRIES; i++) {
        uint64_t number;

        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return hl_error(errno, "%s: no random name: %s", output->name, strerror(errno));
        snprintf(name + used, sizeof name - (size_t)used, "%016" PRIx64, number);
        output->fd = openat(output->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (output->fd < 0 && errno == EEXIST)
            continue;
        if (output->fd < 0)
            return hl_error(errno, "%s: cannot be written: %s", output->name, strerror(errno));
        if (claim(output->dir, name, output->fd)) {
            output->hidden = strdup(name);
            if (output->hidden)
                return 0;
            unlinkat(output->dir, name, 0);
            return no_memory(output);
        }
        close(output->fd);
        output->fd = -1;
    }
    return hl_error(EBUSY, "%s: others remove what is written for it", output->name);
}

int hl_pack_output_open(const char *name, bool replace, const struct stat *input,
                        struct hl_pack_output **ret_output)
{
    HL_CLEANUP(close_outputp) struct hl_pack_output *output = calloc(1, sizeof *output);
    mode_t mask;
    int rc;

    if (!output)
        return hl_error(ENOMEM, "%s: no memory to write it", name);
    mask = umask(0); /* there is one thread so far */
    umask(mask);
    *output = (struct hl_pack_output){ .name = name, .replace = replace, .dir = -1, .fd = -1,
                                       .mode = input->st_mode & 0777 & ~mask };
    rc = check_name(output, input);
    if (rc == 0)
        rc = open_directory(output);
    if (rc < 0)
        return rc;
    remove_stale(output);
    rc = create_hidden(output);
    if (rc < 0)
        return rc;
    *ret_output = HL_TAKE(output);
    return 0;
}

/* Nothing of that name may have come meanwhile, and renameat2() says so itself; where the file
 * system does not know that flag, a second name does. */
static int take_free_name(struct hl_pack_output *output)
{
    if (renameat2(output->dir, output->hidden, output->dir, output->base, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (linkat(output->dir, output->hidden, output->dir, output->base, 0) < 0)
        return -errno;
    unlinkat(output->dir, output->hidden, 0);
    return 0;
}

int hl_pack_output_publish(struct hl_pack_output *output)
{
    int rc;

    if (fchmod(output->fd, output->mode) < 0 || fsync(output->fd) < 0)
        return hl_error(errno, "%s: %s", output->name, strerror(errno));
    if (output->replace)
        rc = renameat(output->dir, output->hidden, output->dir, output->base) < 0 ? -errno : 0;
    else
        rc = take_free_name(output);
    if (rc == -EEXIST)
        return is_there(output);
    if (rc < 0)
        return hl_error(-rc, "%s: cannot get its name: %s", output->name, strerror(-rc));
    free(HL_TAKE(output->hidden));
    if (fsync(output->dir) < 0 && errno != EINVAL) /* not every file system syncs those */
        return hl_error(errno, "%s: is written, but whether its name is on disk is not sure: %s",
                        output->name, strerror(errno));
    return 0;
}
