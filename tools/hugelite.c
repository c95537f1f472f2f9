/* SPDX-License-Identifier: MIT
 *
 * The program hugelite: finds the command, runs it, and says things for all of them.
 * Each command is a file of its own with the command's name.
 *
 * Entry points: main(), and hl_tool_*() declared in tools.h.
 * See also: hugelite.pod, tools.h.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "doctor", cmd_doctor, "what this machine offers, and what mends what is missing" },
    { "setup", cmd_setup, "reserve huge pages and mount them (root)" },
    { "sql", cmd_sql, "a query, or a prompt, over a database" },
    { "pack", cmd_pack, "compress a database so that it can be read as it is" },
    { "verify", cmd_verify, "check every frame of a compressed database" },
    { "warm", cmd_warm, "load a database into the cache" },
    { "evict", cmd_evict, "make a database leave the cache" },
    { "resize", cmd_resize, "another budget, for the pool or a database" },
    { "stat", cmd_stat, "what is in the cache" },
    { "ls", cmd_ls, "the remote databases that this machine knows" },
    { "rm", cmd_rm, "forget remote databases" },
    { "bench", cmd_bench, "measure side by side with stock SQLite" },
};

enum { NR_COMMANDS = sizeof commands / sizeof commands[0] };

volatile sig_atomic_t hl_tool_stopped;

static void complain(const char *command, const char *fmt, va_list args)
{
    fflush(stdout);          /* the order on a terminal is the order it happened */
    fprintf(stderr, "hugelite%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

int hl_tool_error(const char *command, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complain(command, fmt, args);
    va_end(args);
    return 1;
}

int hl_tool_usage(const char *command, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complain(command, fmt, args);
    va_end(args);
    fprintf(stderr, "Try 'hugelite%s%s --help'.\n", command ? " " : "", command ? command : "");
    return 2;
}

int hl_tool_bad_option(const char *command, char **argv, int answer)
{
    const char *given = argv[optind - 1];
    char letter[3] = { '-', (char)optopt, '\0' };

    /* A letter may stand in a bundle, where argv says little; a long option is
     * the word itself, and its optopt is 0 or a code that is no letter. */
    if (strncmp(given, "--", 2) != 0 && optopt > ' ' && optopt < 0x7f)
        given = letter;
    if (answer == ':')
        return hl_tool_usage(command, "option '%s' needs a value", given);
    if (strncmp(given, "--", 2) == 0 && strchr(given, '=') && optopt)
        return hl_tool_usage(command, "option '%.*s' takes no value",
                             (int)strcspn(given, "="), given);
    return hl_tool_usage(command, "unknown option '%s'", given);
}

int hl_tool_help(const char *text)
{
    fputs(text, stdout);
    return 0;
}

int hl_tool_version(void)
{
    printf("hugelite %s\n", hugelite_version());
    return 0;
}

static void on_stop(int signo)
{
    (void)signo;
    hl_tool_stopped = 1;
}

void hl_tool_catch_stop(void)
{
    struct sigaction action = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND };

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int hl_tool_existing_pool(const char *command, const char *dir, struct hugelite_pool **ret_pool)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts, .existing = 1 };
    const char *named = dir ? dir : getenv("HUGELITE_POOL");
    int rc = hugelite_pool_open(dir, &opts, ret_pool);

    if (rc == 0)
        return 0;
    if (rc == -ENOENT && named && *named)
        return hl_tool_error(command, "pool '%s': not found; the first reader makes one", named);
    if (rc == -ENOENT)
        return hl_tool_error(command, "no pool yet: the first reader makes one (%s)",
                             hugelite_error());
    return hl_tool_error(command, "%s", hugelite_error());
}

int hl_tool_volumes(struct hugelite_pool *pool, struct hugelite_volume_stat **ret_array,
                    size_t *ret_nr)
{
    size_t room = 64, nr = 0;

    /* Volumes may come while we look, so ask again until all had room. */
    for (;;) {
        struct hugelite_volume_stat *array = calloc(room, sizeof *array);
        int rc;

        if (!array)
            return -ENOMEM;
        rc = hugelite_pool_volumes(pool, array, room, &nr);
        if (rc == 0 && nr <= room) {
            *ret_array = array;
            *ret_nr = nr;
            return 0;
        }
        free(array);
        if (rc < 0)
            return rc;
        room = nr + 16;
    }
}

static void print_usage(FILE *out)
{
    fputs("usage: hugelite COMMAND [OPTION...] [ARGUMENT...]\n"
          "\n"
          "One page cache on huge pages for every process that reads a database.\n"
          "\n", out);
    for (unsigned i = 0; i < NR_COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "  -h, --help      this text; hugelite COMMAND --help for one command\n"
          "  -V, --version   the version\n"
          "\n"
          "Start with 'hugelite doctor'.  Manual: hugelite(1).\n", out);
}

/* What was written but never arrived (a full disk, a closed pipe) is a failure. */
static int finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        hl_tool_error(NULL, "cannot write the output: %s", strerror(errno));
        return code ? code : 1;
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "+:hV", options, NULL)) != -1) {
        switch (c) {
        case 'h':
            print_usage(stdout);
            return finish(0);
        case 'V':
            return finish(hl_tool_version());
        default:
            return hl_tool_bad_option(NULL, argv, c);
        }
    }
    if (optind == argc) {
        print_usage(stderr);
        return 2;
    }
    for (unsigned i = 0; i < NR_COMMANDS; i++) {
        if (strcmp(argv[optind], commands[i].name) == 0) {
            argc -= optind;
            argv += optind;
            optind = 0;          /* getopt starts afresh (glibc) */
            return finish(commands[i].run(argc, argv));
        }
    }
    return hl_tool_usage(NULL, "unknown command '%s'", hl_tool_name(argv[optind]));
}
