/* SPDX-License-Identifier: MIT
 *
 * hugelite sql: a query, a script or a prompt over one database, read through the
 * cache.  The VFS is linked in, so nothing has to be installed or loaded.
 *
 * One statement at a time is stepped and its rows are printed as they come; Ctrl-C
 * interrupts it.  At the prompt, and for a script on stdin, lines are collected until
 * they are a whole statement.
 *
 * Entry point: cmd_sql().
 * See also: ../vfs/hugelite-vfs.h, hugelite-sql.pod, heap.c, json.c, table.c.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "hugelite-vfs.h"
#include "tools.h"

/* Rows that share one set of column widths; more are printed as they come. */
#define COLUMN_ROWS 1000

/* Another program may hold its lock for a moment. */
#define BUSY_MS 5000

/* Steps of SQLite's machine between two looks at Ctrl-C: well below a millisecond. */
#define PROGRESS_STEPS 10000

static const char help[] =
    "usage: hugelite sql SOURCE [SQL] [--mode MODE] [--immutable] [--pool DIR]\n"
    "                    [--no-huge-heap]\n"
    "\n"
    "Ask a database, read-only, through the cache.  Without SQL it is read from stdin;\n"
    "on a terminal there is a prompt (.help says more).\n"
    "\n"
    "  --mode MODE     list (default), column (default at a prompt), csv or json\n"
    "  --immutable     the file never changes while we read: no locks, no checks\n"
    "  --pool DIR      the pool, instead of HUGELITE_POOL or the default\n"
    "  --no-huge-heap  sort, join and group in usual memory, not on huge pages\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n";

static const char prompt_help[] =
    "Statements end with ';'.  Ctrl-C interrupts a query, and leaves at an empty prompt.\n"
    "  .tables         the tables and views\n"
    "  .schema         how they were made\n"
    "  .help           this text\n"
    "  .quit           leave\n"
    "The cache itself: SELECT * FROM hugelite_stat;\n";

static const struct {
    const char *word, *sql;
} dot_commands[] = {
    { ".tables", "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                 "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name" },
    { ".schema", "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL" },
};

enum mode { MODE_UNSET, MODE_LIST, MODE_COLUMN, MODE_CSV, MODE_JSON };

struct session {
    sqlite3 *db;
    const char *source;        /* as it may be shown */
    enum mode mode;
    bool prompt;               /* a person is there: errors do not end it */
};

/* For the signal handler: the connection whose query runs now, or NULL. */
static sqlite3 *volatile running;

/* The VFS's last word in SQLite's log: the cause behind "disk I/O error". */
static char cause[1024];

/* So begin the VFS's words there. */
#define LOG_START "hugelite: "

static void on_log(void *arg, int code, const char *message)
{
    (void)arg;
    /* SQLite writes there too, about things it goes on to report by itself. */
    if (strncmp(message, LOG_START, strlen(LOG_START)) != 0)
        return;
    message += strlen(LOG_START);
    if (code == SQLITE_NOTICE)       /* such as: not cached, and why; the answer is right */
        hl_tool_error("sql", "%s", message);
    else
        snprintf(cause, sizeof cause, "%s", message);
}

static void on_interrupt(int signo)
{
    sqlite3 *db = running;

    (void)signo;
    hl_tool_stopped = 1;
    if (db)
        sqlite3_interrupt(db);
}

/* sqlite3_interrupt() is forgotten by a statement that starts just then; this is not. */
static int on_progress(void *arg)
{
    (void)arg;
    return hl_tool_stopped;
}

/* ---- errors --------------------------------------------------------------- */

/* SQLite's log cuts sentences; the VFS keeps its last one whole.  NULL, or
 * a text for sqlite3_free(). */
static char *whole_cause(sqlite3 *db)
{
    char *pragma[4] = { NULL, (char *)"hugelite_error", NULL, NULL };

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_PRAGMA, pragma) != SQLITE_OK) {
        sqlite3_free(pragma[0]);
        return NULL;
    }
    return pragma[0];
}

/* What the system says about the file, when nobody else did. */
static const char *system_reason(const char *source)
{
    struct stat st;

    if (hl_tool_is_remote(source))   /* no file; the VFS says why */
        return "";
    if (stat(source, &st) < 0 || access(source, R_OK) < 0)
        return strerror(errno);
    return "";
}

/* Say what went wrong, why as far as anybody knows, and what to do when a writer has
 * left work behind.  Returns 1. */
static int complain(struct session *s)
{
    static const char at_open[] = "automatic extension loading failed: ";
    int code = sqlite3_extended_errcode(s->db);
    const char *message = sqlite3_errmsg(s->db), *why = "", *system = "";
    char *whole = NULL;

    /* So the VFS has its own sentence told when a database cannot be opened. */
    if (strncmp(message, at_open, strlen(at_open)) == 0)
        message += strlen(at_open);

    switch (code & 0xff) {
    case SQLITE_INTERRUPT:
        return hl_tool_error("sql", "interrupted");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        why = cause;             /* the VFS tells all its failures there */
        system = system_reason(s->source);
        if (!*system && !*why && sqlite3_system_errno(s->db))
            system = strerror(sqlite3_system_errno(s->db));
        break;
    case SQLITE_BUSY:
    case SQLITE_READONLY:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_PROTOCOL:
        why = cause;
        break;
    default:
        return hl_tool_error("sql", "%s", message);
    }
    if (*why && why == cause && (whole = whole_cause(s->db)) != NULL && *whole)
        why = whole;
    if (strstr(message, system) || strstr(why, system))
        system = "";             /* said already, or "" */

    if (*why && (code & 0xff) == SQLITE_READONLY) {
        /* What SQLite makes of a journal left behind ("attempt to write") misleads. */
        hl_tool_error("sql", "%s", why);
        sqlite3_free(whole);
        return 1;
    }
    /* The VFS names the file by itself, and at opening its sentence is the message. */
    if (*why && strstr(message, why))
        hl_tool_error("sql", "%s%s%s", message, *system ? ": " : "", system);
    else
        hl_tool_error("sql", "'%s': %s%s%s%s%s", s->source, message, *why ? ": " : "", why,
                      *system ? ": " : "", system);
    sqlite3_free(whole);

    if (code == SQLITE_READONLY_ROLLBACK)
        fprintf(stderr, "A writer died and left '%s-journal'; let a program that may write open "
                "the database once:\n  sqlite3 '%s' .schema\n", s->source, s->source);
    else if (code == SQLITE_READONLY_RECOVERY || code == SQLITE_READONLY_CANTINIT)
        fprintf(stderr, "Its write-ahead log '%s-wal' wants a writer; let a program that may "
                "write take it in:\n  sqlite3 '%s' 'PRAGMA wal_checkpoint(TRUNCATE)'\n",
                s->source, s->source);
    else if (code == SQLITE_READONLY)
        fprintf(stderr, "Databases are read-only here; write with another program.\n");
    return 1;
}

/* ---- rows ----------------------------------------------------------------- */

/* The text of a value, for all modes but JSON.  Blobs are SQL literals. */
static char *value_text(sqlite3_stmt *stmt, int column)
{
    char *text;

    if (sqlite3_column_type(stmt, column) == SQLITE_BLOB) {
        const unsigned char *blob = sqlite3_column_blob(stmt, column);
        int length = sqlite3_column_bytes(stmt, column);
        char *end;

        text = end = malloc((size_t)length * 2 + 4);
        if (!text)
            return NULL;
        end += sprintf(end, "X'");
        for (int i = 0; i < length; i++)
            end += sprintf(end, "%02x", blob[i]);
        strcpy(end, "'");
        return text;
    }
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return strdup("");
    text = (char *)sqlite3_column_text(stmt, column);
    return text ? strdup(text) : NULL;
}

static void print_csv(const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_json_value(struct hl_json *json, sqlite3_stmt *stmt, int column)
{
    const char *name = sqlite3_column_name(stmt, column);
    char *text;

    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        hl_json_integer(json, name, sqlite3_column_int64(stmt, column));
        break;
    case SQLITE_FLOAT:
        hl_json_real(json, name, sqlite3_column_double(stmt, column));
        break;
    case SQLITE_NULL:
        hl_json_null(json, name);
        break;
    case SQLITE_BLOB:
        /* X'00ff' without what surrounds the digits. */
        text = value_text(stmt, column);
        if (text)
            hl_json_text(json, name, text + 2, strlen(text) - 3);
        else
            hl_json_null(json, name);
        free(text);
        break;
    default:
        text = (char *)sqlite3_column_text(stmt, column);
        hl_json_text(json, name, text ? text : "", (size_t)sqlite3_column_bytes(stmt, column));
        break;
    }
}

/* Where the rows of one statement go. */
struct output {
    enum mode mode;
    int columns;
    unsigned rows;             /* in table */
    struct hl_table *table;
    struct hl_json json;
};

static void flush_table(struct output *out)
{
    if (out->table)
        hl_table_print(out->table, stdout);
    hl_table_free(out->table);
    out->table = NULL;
    out->rows = 0;
}

static bool need_table(struct output *out)
{
    if (!out->table)
        out->table = hl_table_new((unsigned)out->columns, "");
    return out->table != NULL;
}

static void print_titles(struct output *out, sqlite3_stmt *stmt)
{
    if (out->mode == MODE_JSON) {
        hl_json_begin(&out->json, stdout);
        hl_json_open(&out->json, NULL, '[');
        return;
    }
    for (int i = 0; i < out->columns && out->mode != MODE_LIST; i++) {
        if (out->mode == MODE_CSV) {
            print_csv(sqlite3_column_name(stmt, i));
            putchar(i == out->columns - 1 ? '\n' : ',');
        } else if (need_table(out)) {
            hl_table_cell(out->table, sqlite3_column_name(stmt, i));
        }
    }
}

/* false = no memory */
static bool print_row(struct output *out, sqlite3_stmt *stmt)
{
    if (out->mode == MODE_JSON)
        hl_json_open(&out->json, NULL, '{');
    for (int i = 0; i < out->columns; i++) {
        char *text;

        if (out->mode == MODE_JSON) {
            print_json_value(&out->json, stmt, i);
            continue;
        }
        text = value_text(stmt, i);
        if (!text)
            return false;
        if (out->mode == MODE_COLUMN) {
            if (!need_table(out) || hl_table_cell(out->table, text) < 0) {
                free(text);
                return false;
            }
        } else if (out->mode == MODE_CSV) {
            print_csv(text);
            putchar(i == out->columns - 1 ? '\n' : ',');
        } else {
            fputs(text, stdout);
            putchar(i == out->columns - 1 ? '\n' : '|');
        }
        free(text);
    }
    if (out->mode == MODE_JSON)
        hl_json_close(&out->json, '}');
    else if (out->mode == MODE_COLUMN && ++out->rows == COLUMN_ROWS)
        flush_table(out);
    return true;
}

static int run_statement(struct session *s, sqlite3_stmt *stmt)
{
    struct output out = { .mode = s->mode, .columns = sqlite3_column_count(stmt) };
    bool begun = false, no_memory = false;
    int rc;

    for (;;) {
        rc = sqlite3_step(stmt);
        if ((rc == SQLITE_ROW || rc == SQLITE_DONE) && out.columns && !begun) {
            print_titles(&out, stmt);
            begun = true;
        }
        if (rc != SQLITE_ROW)
            break;
        if (!print_row(&out, stmt)) {
            no_memory = true;
            break;
        }
        /* Nobody reads any more: do not compute on. */
        if (ferror(stdout))
            break;
    }
    flush_table(&out);
    if (begun && out.mode == MODE_JSON) {
        while (out.json.depth > 1)
            hl_json_close(&out.json, '}');
        hl_json_close(&out.json, ']');
    }
    if (no_memory)
        return hl_tool_error("sql", "%s", strerror(ENOMEM));
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        return complain(s);
    return 0;
}

/* Run all statements of a text; the first error ends it.  Returns an exit code. */
static int run_text(struct session *s, const char *sql)
{
    int code = 0;

    running = s->db;
    while (code == 0 && *sql) {
        sqlite3_stmt *stmt = NULL;

        if (hl_tool_stopped) {
            code = hl_tool_error("sql", "interrupted");
            break;
        }
        *cause = '\0';
        if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, &sql) != SQLITE_OK)
            code = complain(s);
        else if (stmt)           /* NULL: blanks or a comment */
            code = run_statement(s, stmt);
        sqlite3_finalize(stmt);
    }
    running = NULL;
    fflush(stdout);
    return code;
}

/* ---- lines ---------------------------------------------------------------- */

/* A line that begins with '.'.  Returns an exit code, or -1 to leave. */
static int run_dot(struct session *s, char *line)
{
    line[strcspn(line, " \t\r\n")] = '\0';
    if (strcmp(line, ".quit") == 0 || strcmp(line, ".exit") == 0)
        return -1;
    if (strcmp(line, ".help") == 0) {
        fputs(prompt_help, stdout);
        return 0;
    }
    for (unsigned i = 0; i < sizeof dot_commands / sizeof dot_commands[0]; i++)
        if (strcmp(line, dot_commands[i].word) == 0)
            return run_text(s, dot_commands[i].sql);
    return hl_tool_error("sql", "unknown command '%s'; .help lists them", line);
}

/* Wait until the terminal has a line, false when Ctrl-C came first.  SIGINT is let in only
 * while we sleep, so that none is lost between the look and the sleep.  (A terminal
 * hands out one line a read, so none can hide in stdio's buffer.) */
static bool wait_for_line(void)
{
    struct pollfd terminal = { .fd = STDIN_FILENO, .events = POLLIN };
    sigset_t blocked, before;
    bool ready;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    do
        ready = !hl_tool_stopped && ppoll(&terminal, 1, NULL, &before) > 0;
    while (!ready && !hl_tool_stopped && errno == EINTR);     /* SIGWINCH, SIGCONT */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ready;
}

static bool is_blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

static int run_lines(struct session *s)
{
    FILE *prompt_to = isatty(STDOUT_FILENO) ? stdout : stderr;
    char *line = NULL, *text = NULL;
    size_t line_room = 0, length = 0;
    int code = 0;
    ssize_t n;

    while (code == 0) {
        char *grown;

        if (s->prompt) {
            fputs(length ? "     ...> " : "hugelite> ", prompt_to);
            fflush(prompt_to);
        }
        n = s->prompt && !wait_for_line() ? -1 : getline(&line, &line_room, stdin);
        if (n < 0) {
            if (s->prompt)
                fputc('\n', prompt_to);     /* after the prompt, or "^C" */
            break;
        }
        if (length == 0 && line[0] == '.') {
            code = run_dot(s, line);
            goto next;
        }
        if (strlen(line) != (size_t)n) {
            code = hl_tool_error("sql", "the input is not text: it has a zero byte");
            goto next;
        }
        grown = realloc(text, length + (size_t)n + 1);
        if (!grown) {
            code = hl_tool_error("sql", "%s", strerror(ENOMEM));
            break;
        }
        text = grown;
        memcpy(text + length, line, (size_t)n + 1);
        length += (size_t)n;
        if (is_blank(text)) {
            length = 0;
        } else if (sqlite3_complete(text)) {
            length = 0;
            code = run_text(s, text);
        }
next:
        if (s->prompt && code > 0) {
            code = 0;
            hl_tool_stopped = 0;
        }
    }
    /* The last statement of a script may lack its semicolon. */
    if (code == 0 && length && !hl_tool_stopped)
        code = run_text(s, text);
    if (!s->prompt && code == 0 && hl_tool_stopped)
        code = hl_tool_error("sql", "interrupted");
    else if (!s->prompt && code == 0 && ferror(stdin))
        code = hl_tool_error("sql", "cannot read stdin: %s", strerror(errno));
    free(line);
    free(text);
    return s->prompt || code < 0 ? 0 : code;
}

static enum mode parse_mode(const char *text)
{
    static const char *const names[] = { "", "list", "column", "csv", "json" };

    for (unsigned i = MODE_LIST; i <= MODE_JSON; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum mode)i;
    return MODE_UNSET;
}

int cmd_sql(int argc, char **argv)
{
    static const struct option options[] = {
        { "mode", required_argument, NULL, 'm' },
        { "immutable", no_argument, NULL, 'i' },
        { "pool", required_argument, NULL, 'p' },
        { "no-huge-heap", no_argument, NULL, 'H' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct sigaction action = { .sa_handler = on_interrupt };
    struct session s = { .mode = MODE_UNSET };
    const char *pool = NULL, *sql = NULL, *source;
    bool immutable = false, huge_heap = true;
    char *uri;
    int c, rc, code;

    while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        switch (c) {
        case 'm':
            s.mode = parse_mode(optarg);
            if (s.mode == MODE_UNSET)
                return hl_tool_usage("sql", "--mode '%s': not one of list, column, csv, json",
                                     optarg);
            break;
        case 'i': immutable = true; break;
        case 'p': pool = optarg; break;
        case 'H': huge_heap = false; break;
        case 'h': return hl_tool_help(help);
        case 'V': return hl_tool_version();
        default: return hl_tool_bad_option("sql", argv, c);
        }
    }
    if (optind == argc)
        return hl_tool_usage("sql", "which database? name a SOURCE");
    if (optind + 2 < argc)
        return hl_tool_usage("sql", "unexpected argument '%s' (quote the SQL)",
                             hl_tool_name(argv[optind + 2]));
    source = argv[optind];
    s.source = hl_tool_name(source);
    sql = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (!*source)
        return hl_tool_usage("sql", "SOURCE is empty");
    s.prompt = !sql && isatty(STDIN_FILENO);
    if (s.mode == MODE_UNSET)
        s.mode = s.prompt ? MODE_COLUMN : MODE_LIST;

    /* Without huge pages to spare, it goes on with the memory it has. */
    if (huge_heap)
        hl_heap_start(HL_HEAP_SQLITE | HL_HEAP_DECODE);
    sqlite3_config(SQLITE_CONFIG_LOG, on_log, NULL);
    rc = hugelite_vfs_register(0);
    if (rc != SQLITE_OK)
        return hl_tool_error("sql", "cannot register the VFS: %s", sqlite3_errstr(rc));
    uri = hl_tool_uri(source, pool, immutable);
    if (!uri)
        return hl_tool_error("sql", "%s", strerror(ENOMEM));

    /* No SA_RESTART: a read of the prompt ends with it. */
    sigaction(SIGINT, &action, NULL);
    rc = sqlite3_open_v2(uri, &s.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    free(uri);
    if (rc != SQLITE_OK) {
        code = s.db ? complain(&s) : hl_tool_error("sql", "%s", sqlite3_errstr(rc));
        sqlite3_close(s.db);
        return code;
    }
    /* The VFS has attached to the pool just now; if it could not, nobody counts. */
    hl_heap_publish(pool);
    sqlite3_busy_timeout(s.db, BUSY_MS);
    sqlite3_progress_handler(s.db, PROGRESS_STEPS, on_progress, NULL);
    code = sql ? run_text(&s, sql) : run_lines(&s);
    hl_tool_notice("sql");
    sqlite3_close(s.db);
    return code;
}
