/* SPDX-License-Identifier: MIT
 *
 * kit-aws.c - starts aws.py, and cleans the environment.
 *
 * Entry points and their promises: kit-aws.h.
 */
#include "config.h"

#include "kit-aws.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

static void unset(const char *entry)
{
    char name[256];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(entry, "="), entry);
    unsetenv(name);
}

static bool is_unwanted(const char *entry)
{
    size_t length = strcspn(entry, "=");

    return strncmp(entry, "AWS_", 4) == 0 ||
           (length > 6 && strncasecmp(entry + length - 6, "_proxy", 6) == 0);
}

const char *kit_aws_nothing(void)
{
    const char *home = test_path(test_dir(), "home");

    for (char **entry = environ; *entry;) {
        if (is_unwanted(*entry)) {
            unset(*entry);
            entry = environ;
        } else {
            entry++;
        }
    }
    EXPECT(mkdir(home, 0700) == 0);
    setenv("HOME", home, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    return home;
}

void kit_aws_write(const char *path, const char *format, ...)
{
    char full[4096];
    va_list args;
    FILE *file;

    if (strncmp(path, "~/", 2) == 0)
        snprintf(full, sizeof full, "%s%s", getenv("HOME"), path + 1);
    else
        snprintf(full, sizeof full, "%s", path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        EXPECT(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    file = fopen(full, "w");
    EXPECT(file);
    va_start(args, format);
    EXPECT(vfprintf(file, format, args) >= 0);
    va_end(args);
    EXPECT_EQ(fclose(file), 0);
}

const char *kit_aws_serve(unsigned *ret_port)
{
    const char *dir = test_path(test_dir(), "aws");
    char command[8192];
    FILE *out;

    if (strcmp(TEST_PYTHON, "no") == 0)
        test_skip("needs Python");
    EXPECT(mkdir(dir, 0700) == 0);
    snprintf(command, sizeof command, "exec '%s' '%s/aws.py' '%s'", TEST_PYTHON, TEST_SRCDIR, dir);
    out = popen(command, "re"); /* stays open: closing it would wait */
    EXPECT(out && fscanf(out, "%u", ret_port) == 1);
    return dir;
}

unsigned kit_aws_count(const char *dir, const char *needle)
{
    FILE *log = fopen(test_path(dir, "log"), "re");
    char line[4096];
    unsigned nr = 0;

    while (log && fgets(line, sizeof line, log))
        nr += strstr(line, needle) != NULL;
    if (log)
        fclose(log);
    return nr;
}
