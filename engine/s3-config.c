/* SPDX-License-Identifier: MIT
 *
 * s3-config.c - reads the ini files of the AWS tools: sections, `key = value` or `key: value`,
 * comments with '#' or ';', and one level of nesting by indentation.  A file is kept as one text
 * that is cut up in place, so that there is one piece of memory to wipe.
 *
 * Entry points: s3-config.h.  See also: s3-credentials.c, s3.c.
 */
#include "config.h"

#include "s3-config.h"

#include "cleanup.h"
#include "error.h"
#include "sys.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 20 };

/* All strings lie in the file's text. */
struct setting {
    const char *section;
    const char *parent; /* NULL = not nested */
    const char *key;
    const char *value;
};

struct file {
    char *path;
    char *shown; /* path, and why it could not be read */
    char *text;
    size_t length;
    struct setting *settings;
    size_t nr;
};

struct hl_s3_config {
    char *profile;
    struct file files[HL_S3_NR_FILES];
};

const char *hl_s3_env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* ---- the text of a file ---------------------------------------------------- */

static int home_dir(char *dir, size_t room)
{
    const char *home = hl_s3_env("HOME");
    struct passwd entry, *found = NULL;
    char strings[4096];

    if (!home && getpwuid_r(geteuid(), &entry, strings, sizeof strings, &found) == 0 && found)
        home = found->pw_dir;
    return home && (size_t)snprintf(dir, room, "%s", home) < room ? 0 : -ENOENT;
}

/* NULL: no memory. */
static char *find_path(const char *variable, const char *otherwise)
{
    const char *path = hl_s3_env(variable);
    char home[4096], *full;

    if (!path)
        path = otherwise;
    if (strncmp(path, "~/", 2) != 0 || home_dir(home, sizeof home) < 0)
        return strdup(path);
    return asprintf(&full, "%s%s", home, path + 1) < 0 ? NULL : full;
}

static void forget_text(struct file *file)
{
    if (file->text)
        explicit_bzero(file->text, file->length);
    free(file->text);
    file->text = NULL;
    file->length = 0;
}

/* Into memory of its final size, so that no realloc() leaves a copy behind. */
static int read_text(struct file *file, int fd)
{
    file->text = malloc(MAX_FILE + 1);
    if (!file->text)
        return hl_error(ENOMEM, "%s: no memory to read it", file->path);
    for (;;) {
        ssize_t got = hl_sys.read(fd, file->text + file->length, MAX_FILE + 1 - file->length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        file->length += (size_t)got;
        if (file->length > MAX_FILE)
            return hl_error(EFBIG, "%s: is larger than 1 MiB, that is no file of AWS profiles",
                            file->path);
    }
    file->text[file->length] = '\0';
    return 0;
}

/* A file that cannot be read is told of in `shown`, and else as if it were empty. */
static int load(struct file *file)
{
    /* O_NONBLOCK: a FIFO without a writer must not hold us. */
    int fd = hl_sys.openat(AT_FDCWD, file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    int rc = fd < 0 ? -errno : read_text(file, fd);

    if (fd >= 0)
        hl_sys.close(fd);
    if (rc == -ENOMEM || rc == -EFBIG)
        return rc;
    if (rc == 0)
        return 0;
    forget_text(file);
    if (asprintf(&file->shown, "%s (%s)", file->path, strerror(-rc)) >= 0)
        return 0;
    file->shown = NULL;
    return hl_error(ENOMEM, "%s: no memory to open it", file->path);
}

/* ---- lines ------------------------------------------------------------------ */

struct parser {
    struct file *file;
    size_t room;          /* of file->settings */
    unsigned line;
    const char *section;  /* NULL = before the first */
    const char *key;      /* of the last setting that is not nested, NULL = none in this section */
    size_t key_indent;
    bool opens;           /* that setting has no value: what is indented below it is nested */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static char *trim(char *text)
{
    char *end;

    while (is_blank(*text))
        text++;
    end = text + strlen(text);
    while (end > text && is_blank(end[-1]))
        end--;
    *end = '\0';
    return text;
}

/* A '#' or ';' behind a blank ends the line. */
static void cut_comment(char *text)
{
    for (char *p = text; *p; p++)
        if ((*p == '#' || *p == ';') && (p == text || is_blank(p[-1]))) {
            *p = '\0';
            return;
        }
}

/* "profile x" and "profile 'x y'" as "profile x" and "profile x y". */
static void clean_section(char *name)
{
    char *rest = name, *from;
    size_t length;

    while (*rest && !is_blank(*rest))
        rest++;
    if (!*rest)
        return;
    *rest++ = ' ';
    from = trim(rest);
    length = strlen(from);
    if (length >= 2 && (*from == '"' || *from == '\'') && from[length - 1] == *from) {
        from++;
        length -= 2;
    }
    memmove(rest, from, length);
    rest[length] = '\0';
}

static int bad_line(const struct parser *parser, const char *why)
{
    return hl_error(EINVAL, "%s: line %u: %s", parser->file->path, parser->line, why);
}

static int add(struct parser *parser, struct setting setting)
{
    struct file *file = parser->file;

    if (file->nr == parser->room) {
        size_t room = parser->room ? 2 * parser->room : 32;
        struct setting *more = realloc(file->settings, room * sizeof *more);

        if (!more)
            return hl_error(ENOMEM, "%s: no memory to read it", file->path);
        file->settings = more;
        parser->room = room;
    }
    file->settings[file->nr++] = setting;
    return 0;
}

static int begin_section(struct parser *parser, char *line)
{
    char *close = strrchr(line, ']'), *name;

    if (!close)
        return bad_line(parser, "a ']' is missing");
    *close = '\0';
    name = trim(line + 1);
    clean_section(name);
    parser->section = name;
    parser->key = NULL;
    /* So that a profile without settings is one, too. */
    return add(parser, (struct setting){ .section = name, .key = "", .value = "" });
}

static int take_setting(struct parser *parser, char *line, size_t indent)
{
    bool deeper = parser->key && indent > parser->key_indent;
    char *sign = line + strcspn(line, deeper ? "=" : "=:");
    struct setting setting = { .section = parser->section };

    if (deeper && !parser->opens)
        return 0; /* more of a value that is of one line for all that we look at */
    if (!parser->section)
        return bad_line(parser, "a setting comes before the first [section]");
    if (!*sign || sign == line)
        return bad_line(parser, "is no [section] and no 'key = value'");
    *sign = '\0';
    setting.key = trim(line);
    setting.value = trim(sign + 1);
    if (deeper) {
        setting.parent = parser->key;
    } else {
        parser->key = setting.key;
        parser->key_indent = indent;
        parser->opens = !*setting.value;
    }
    return add(parser, setting);
}

static int take_line(struct parser *parser, char *line)
{
    size_t indent = strspn(line, " \t");

    cut_comment(line);
    line = trim(line);
    if (!*line)
        return 0;
    if (*line == '[' && indent == 0)
        return begin_section(parser, line);
    return take_setting(parser, line, indent);
}

static int parse(struct file *file)
{
    struct parser parser = { .file = file };
    char *line = file->text, *end;
    int rc = 0;

    if (!file->length)
        return 0;
    if (strlen(file->text) != file->length)
        return hl_error(EINVAL, "%s: holds a NUL, it is not a text", file->path);
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3;
    for (; line && rc == 0; line = end) {
        parser.line++;
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        rc = take_line(&parser, line);
    }
    return rc;
}

/* ---- settings ---------------------------------------------------------------- */

/* Does this section hold the profile?  In the config file only the default one goes by its bare
 * name. */
static bool is_profile(enum hl_s3_file file, const char *section, const char *profile)
{
    if (file == HL_S3_CONFIG_FILE && strncmp(section, "profile ", 8) == 0)
        return strcmp(section + 8, profile) == 0;
    if (file == HL_S3_CONFIG_FILE && strcmp(section, "default") != 0)
        return false;
    return strcmp(section, profile) == 0;
}

/* Is this setting the one of the name, "key" or "parent.key"?  As in other tools the names of
 * nested ones are what they are, and case does not matter in the others. */
static bool is_named(const struct setting *setting, const char *name)
{
    size_t length = setting->parent ? strlen(setting->parent) : 0;

    if (!setting->parent)
        return strcasecmp(setting->key, name) == 0;
    return strncasecmp(setting->parent, name, length) == 0 && name[length] == '.' &&
           strcmp(setting->key, name + length + 1) == 0;
}

const char *hl_s3_config_get_from(const struct hl_s3_config *config, enum hl_s3_file file,
                                  const char *key)
{
    const struct file *from = &config->files[file];
    const char *value = NULL;

    for (size_t i = 0; i < from->nr; i++)
        if (is_profile(file, from->settings[i].section, config->profile) &&
            is_named(&from->settings[i], key))
            value = from->settings[i].value; /* the last one counts */
    return value && *value ? value : NULL;
}

const char *hl_s3_config_get(const struct hl_s3_config *config, const char *key)
{
    const char *value = hl_s3_config_get_from(config, HL_S3_CREDENTIALS_FILE, key);

    return value ? value : hl_s3_config_get_from(config, HL_S3_CONFIG_FILE, key);
}

const char *hl_s3_config_service_endpoint(const struct hl_s3_config *config)
{
    const struct file *file = &config->files[HL_S3_CONFIG_FILE];
    const char *services = hl_s3_config_get(config, "services"), *value = NULL;

    if (!services)
        return NULL;
    for (size_t i = 0; i < file->nr; i++)
        if (strncmp(file->settings[i].section, "services ", 9) == 0 &&
            strcmp(file->settings[i].section + 9, services) == 0 &&
            is_named(&file->settings[i], "s3.endpoint_url"))
            value = file->settings[i].value;
    return value && *value ? value : NULL;
}

const char *hl_s3_config_profile(const struct hl_s3_config *config)
{
    return config->profile;
}

const char *hl_s3_config_path(const struct hl_s3_config *config, enum hl_s3_file file)
{
    const struct file *from = &config->files[file];

    return from->shown ? from->shown : from->path;
}

/* ---- open, close --------------------------------------------------------------- */

static bool has_profile(const struct hl_s3_config *config)
{
    for (enum hl_s3_file file = 0; file < HL_S3_NR_FILES; file++)
        for (size_t i = 0; i < config->files[file].nr; i++)
            if (is_profile(file, config->files[file].settings[i].section, config->profile))
                return true;
    return false;
}

static int choose_profile(struct hl_s3_config *config)
{
    const char *variable = hl_s3_env("AWS_PROFILE") ? "AWS_PROFILE" : "AWS_DEFAULT_PROFILE";
    const char *profile = hl_s3_env(variable);

    config->profile = strdup(profile ? profile : "default");
    if (!config->profile)
        return hl_error(ENOMEM, "no memory for the AWS profile");
    if (profile && strcmp(profile, "default") != 0 && !has_profile(config))
        return hl_error(EINVAL, "%s names the profile '%s', which is neither in %s nor in %s",
                        variable, profile, hl_s3_config_path(config, HL_S3_CREDENTIALS_FILE),
                        hl_s3_config_path(config, HL_S3_CONFIG_FILE));
    return 0;
}

void hl_s3_config_close(struct hl_s3_config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; i < HL_S3_NR_FILES; i++) {
        struct file *file = &config->files[i];

        forget_text(file);
        free(file->settings);
        free(file->path);
        free(file->shown);
    }
    free(config->profile);
    free(config);
}

static void close_configp(struct hl_s3_config **config)
{
    hl_s3_config_close(*config);
}

int hl_s3_config_open(struct hl_s3_config **ret_config)
{
    HL_CLEANUP(close_configp) struct hl_s3_config *config = calloc(1, sizeof *config);
    int rc = 0;

    if (!config)
        return hl_error(ENOMEM, "no memory for the AWS profiles");
    config->files[HL_S3_CREDENTIALS_FILE].path =
        find_path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    config->files[HL_S3_CONFIG_FILE].path = find_path("AWS_CONFIG_FILE", "~/.aws/config");
    for (unsigned i = 0; i < HL_S3_NR_FILES && rc == 0; i++) {
        struct file *file = &config->files[i];

        if (!file->path)
            return hl_error(ENOMEM, "no memory for the AWS profiles");
        rc = load(file);
        if (rc == 0)
            rc = parse(file);
    }
    if (rc == 0)
        rc = choose_profile(config);
    if (rc == 0)
        *ret_config = HL_TAKE(config);
    return rc;
}
