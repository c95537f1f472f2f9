/* SPDX-License-Identifier: MIT
 *
 * Small files of lines that we share with others (fstab) or keep for ourselves: one
 * line goes out, another comes in, and nobody ever sees half of it.
 *
 * Entry points: hl_lines_read(), hl_lines_rewrite(), hl_lines_any().
 * See also: setup.c, persist.c.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* Put text in a file all at once: whoever reads it sees the old or the new one. */
static int replace_file(const char *path, const char *text, mode_t mode)
{
    char temporary[PATH_MAX];
    size_t length = strlen(text);
    struct stat st;
    int fd, rc = 0;

    if (snprintf(temporary, sizeof temporary, "%s.hugelite-new", path) >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    if (stat(path, &st) == 0)
        mode = st.st_mode & 07777;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, mode) < 0 || write(fd, text, length) != (ssize_t)length || fsync(fd) < 0)
        rc = errno ? -errno : -EIO;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temporary);
    return rc;
}

char *hl_lines_read(const char *path)
{
    char *text = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return errno == ENOENT ? strdup("") : NULL;
    if (getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = ferror(file) ? NULL : strdup("");
    }
    fclose(file);
    return text;
}

int hl_lines_rewrite(const char *path, bool (*drop)(const char *line, const char *dir),
                     const char *dir, const char *line, bool ours)
{
    char *text = hl_lines_read(path), *now = NULL, *save = NULL;
    bool changed = line != NULL;
    size_t room = 0;
    FILE *out;
    int rc = 0;

    if (!text)
        return -errno;
    out = open_memstream(&now, &room);
    if (!out) {
        free(text);
        return -ENOMEM;
    }
    /* strsep keeps empty lines as they are. */
    save = text;
    for (char *l; (l = strsep(&save, "\n")) != NULL;) {
        if (save == NULL && *l == '\0')
            break;
        if (drop(l, dir))
            changed = true;
        else
            fprintf(out, "%s\n", l);
    }
    if (line)
        fprintf(out, "%s\n", line);
    if (fclose(out) != 0)
        rc = -ENOMEM;
    else if (changed && ours && *now == '\0')
        rc = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
    else if (changed)
        rc = replace_file(path, now, 0644);
    free(now);
    free(text);
    return rc;
}

bool hl_lines_any(const char *path, bool (*match)(const char *line, const char *dir),
                  const char *dir)
{
    char *text = hl_lines_read(path), *save = text;
    bool found = false;

    for (char *line; text && !found && (line = strsep(&save, "\n")) != NULL;)
        found = match(line, dir);
    free(text);
    return found;
}
