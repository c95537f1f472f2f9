/* SPDX-License-Identifier: MIT
 *
 * kit-origin.c - starts the servers that tests talk to, and talks to the control port of
 * origin.py. Each is a child that is killed when this thread ends (PR_SET_PDEATHSIG), and takes
 * its own children along.
 *
 * Entry points and their promises: kit-origin.h.
 */
#include "config.h"

#include "kit-origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRIPT(name) TEST_SRCDIR "/" name

/* ---- children ---------------------------------------------------------------- */

static pid_t servers[16]; /* to be stopped at exit, before their directories are removed */
static unsigned nr_servers;
static pid_t starter;

static void stop_servers(void)
{
    unsigned i;

    for (i = 0; starter == getpid() && i < nr_servers; i++)
        kill(servers[i], SIGTERM);
    for (i = 0; starter == getpid() && i < nr_servers; i++)
        waitpid(servers[i], NULL, 0);
}

/* Run a command that dies with us; *ret_out is the end of its stdout, to be closed. */
static pid_t run(const char *const *argv, FILE **ret_out)
{
    pid_t parent = getpid(), pid;
    sigset_t none;
    int ends[2];

    if (pipe(ends) < 0)
        test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(argv[0], (char *const *)argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    *ret_out = fdopen(ends[0], "re");
    if (!*ret_out)
        test_fail(__FILE__, __LINE__, "fdopen: %s", strerror(errno));
    return pid;
}

/* The same for a server. */
static pid_t serve(const char *const *argv, FILE **ret_out)
{
    if (nr_servers == sizeof servers / sizeof *servers)
        test_fail(__FILE__, __LINE__, "too many servers");
    if (nr_servers == 0) {
        starter = getpid();
        atexit(stop_servers);
    }
    return servers[nr_servers++] = run(argv, ret_out);
}

/* All that is left of a stream. */
static char *read_all(FILE *stream)
{
    size_t length = 0, room = 1 << 16;
    char *text = malloc(room);

    while (text) {
        size_t n = fread(text + length, 1, room - length - 1, stream);

        length += n;
        if (n == 0) {
            text[length] = '\0';
            return text;
        }
        if (room - length < 4096)
            text = realloc(text, room *= 2);
    }
    test_fail(__FILE__, __LINE__, "no memory");
}

/* Run a command to its end, which must be a good one; returns its output. */
static char *run_to_end(const char *const *argv)
{
    FILE *out;
    pid_t pid = run(argv, &out);
    char *text = read_all(out);
    int status;

    fclose(out);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        test_fail(__FILE__, __LINE__, "%s %s failed", argv[0], argv[1]);
    return text;
}

/* Skip unless a command is there. */
static void requires_command(const char *name)
{
    const char *path = getenv("PATH");
    char dirs[4096], file[4352];
    char *dir, *rest = dirs;

    snprintf(dirs, sizeof dirs, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    while ((dir = strsep(&rest, ":"))) {
        snprintf(file, sizeof file, "%s/%s", dir, name);
        if (access(file, X_OK) == 0)
            return;
    }
    test_skip("needs the command %s", name);
}

static const char *python(void)
{
    if (strcmp(TEST_PYTHON, "no") == 0)
        test_skip("needs Python");
    return TEST_PYTHON;
}

/* ---- origin.py ----------------------------------------------------------------- */

struct kit_origin {
    pid_t pid;
    const char *scheme;
    unsigned port, control;
};

static struct kit_origin *start_origin(const char *scheme, const char *const *argv)
{
    static struct kit_origin origins[sizeof servers / sizeof *servers];
    struct kit_origin *origin = origins;
    FILE *out;

    while (origin->pid)
        if (++origin == origins + sizeof origins / sizeof *origins)
            test_fail(__FILE__, __LINE__, "too many origins");
    origin->scheme = scheme;
    origin->pid = serve(argv, &out);
    if (fscanf(out, "%u %u", &origin->port, &origin->control) != 2)
        test_fail(__FILE__, __LINE__, "origin.py does not start");
    fclose(out);
    return origin;
}

struct kit_origin *kit_origin(const char *dir)
{
    return start_origin("http", (const char *[]){ python(), SCRIPT("origin.py"), dir, NULL });
}

struct kit_origin *kit_origin_tls(const char *dir, const char *certificates)
{
    return start_origin("https", (const char *[]){
        python(), SCRIPT("origin.py"), "--tls", test_path(certificates, "server.pem"),
        test_path(certificates, "server.key"), dir, NULL });
}

void kit_origin_stop(struct kit_origin *origin)
{
    unsigned i;

    if (!origin)
        return;
    kill(origin->pid, SIGKILL);
    waitpid(origin->pid, NULL, 0);
    for (i = 0; i < nr_servers; i++)
        if (servers[i] == origin->pid)
            servers[i] = servers[--nr_servers];
    origin->pid = 0;
}

unsigned kit_origin_port(const struct kit_origin *origin)
{
    return origin->port;
}

const char *kit_origin_url(const struct kit_origin *origin, const char *path)
{
    char base[64];

    snprintf(base, sizeof base, "%s://127.0.0.1:%u", origin->scheme, origin->port);
    return test_path(base, path[0] == '/' ? path + 1 : path);
}

/* Send an order; returns the answer. */
static char *ask(struct kit_origin *origin, const char *order)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)origin->control),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FILE *stream;
    char *answer;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        test_fail(__FILE__, __LINE__, "control port of the origin: %s", strerror(errno));
    stream = fdopen(fd, "r+");
    if (!stream || fprintf(stream, "%s\n", order) < 0 || fflush(stream) != 0)
        test_fail(__FILE__, __LINE__, "control port of the origin: %s", strerror(errno));
    answer = read_all(stream);
    fclose(stream);
    if (strncmp(answer, "error:", 6) == 0 || !strstr(answer, ".\n"))
        test_fail(__FILE__, __LINE__, "origin.py, %s: %s", order, answer);
    return answer;
}

void kit_origin_order(struct kit_origin *origin, const char *format, ...)
{
    char order[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(order, sizeof order, format, args);
    va_end(args);
    free(ask(origin, order));
}

struct kit_origin_stat kit_origin_stat(struct kit_origin *origin)
{
    struct kit_origin_stat stat = { 0 };
    unsigned long long v[5];
    char *answer = ask(origin, "stat");

    if (sscanf(answer, "requests %llu bytes %llu in_flight %llu most_in_flight %llu"
               " connections %llu", &v[0], &v[1], &v[2], &v[3], &v[4]) != 5)
        test_fail(__FILE__, __LINE__, "origin.py, stat: %s", answer);
    free(answer);
    stat.requests = v[0];
    stat.bytes = v[1];
    stat.in_flight = v[2];
    stat.most_in_flight = v[3];
    stat.connections = v[4];
    return stat;
}

char *kit_origin_log(struct kit_origin *origin)
{
    char *answer = ask(origin, "log");

    answer[strlen(answer) - 2] = '\0';  /* the dot that ends it */
    return answer;
}

unsigned kit_origin_count(struct kit_origin *origin, const char *needle)
{
    char *log = kit_origin_log(origin), *rest = log, *line;
    unsigned nr = 0;

    while ((line = strsep(&rest, "\n")))
        nr += *line && strstr(line, needle);
    free(log);
    return nr;
}

/* ---- nginx and the S3 store ------------------------------------------------------ */

const char *kit_certificates(void)
{
    const char *dir = test_path(test_dir(), "certificates");

    requires_command("openssl");
    free(run_to_end((const char *[]){ "bash", SCRIPT("make-certificates"), dir, NULL }));
    return dir;
}

const char *kit_nginx(const char *dir, const char *certificates, const char *auth,
                      const char **ret_log)
{
    const char *argv[9] = { "bash", SCRIPT("serve-nginx") };
    const char *work = test_path(test_dir(), "nginx");
    unsigned port, n = 2;
    char base[64];
    FILE *out;

    requires_command("nginx");
    if (certificates) {
        argv[n++] = "--tls";
        argv[n++] = certificates;
    }
    if (auth) {
        argv[n++] = "--auth";
        argv[n++] = auth;
    }
    argv[n++] = work;
    argv[n++] = dir;
    serve(argv, &out);
    if (fscanf(out, "%u", &port) != 1)
        test_fail(__FILE__, __LINE__, "nginx does not start");
    fclose(out);
    if (ret_log)
        *ret_log = test_path(work, "access.log");
    snprintf(base, sizeof base, "127.0.0.1:%u", port);
    return test_path(certificates ? "https:/" : "http:/", base);
}

void kit_rgw(bool tls)
{
    const char *work = test_path(test_dir(), "rgw"), *argv[7] = { "bash", SCRIPT("start-rgw") };
    static const char *const commands[] = { "ceph-mon", "ceph-osd", "monmaptool", "radosgw",
                                            "radosgw-admin", "ceph-authtool", "openssl" };
    unsigned n = 2, i, set = 0;
    char *text, *rest, *line;
    FILE *out;

    for (i = 0; i < sizeof commands / sizeof *commands; i++)
        requires_command(commands[i]);
    argv[n++] = "--foreground";
    if (tls)
        argv[n++] = "--tls";
    argv[n++] = work;
    argv[n++] = "0";
    serve(argv, &out);
    rest = text = read_all(out);
    fclose(out);
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, '=');

        if (!value || strncmp(line, "export ", 7) != 0)
            continue;
        *value++ = '\0';
        setenv(line + 7, value, 1);
        set++;
    }
    free(text);
    if (set < 4)
        test_fail(__FILE__, __LINE__, "start-rgw failed");
}

char *kit_s3(const char *verb, ...)
{
    const char *argv[16] = { python(), SCRIPT("s3.py"), verb };
    unsigned n = 3;
    va_list args;
    char *text;

    va_start(args, verb);
    while (n < 15 && (argv[n] = va_arg(args, const char *)))
        n++;
    va_end(args);
    text = run_to_end(argv);
    text[strcspn(text, "\n")] = '\0';
    return text;
}
