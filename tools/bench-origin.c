/* SPDX-License-Identifier: MIT
 *
 * bench-origin.c - a web server for `hugelite bench`, in one thread of a process of its own:
 * ranges of a few files, each response after the link's latency, all of them through a link of a
 * given rate.
 *
 * Entry points: bench_origin_start, bench_origin_set_link, bench_origin_traffic,
 * bench_origin_rounds.
 * See also: bench-remote.c (who reads from it).
 *
 * A connection goes round: READING a request, DELAYED until its response is due, SENDING it.
 */
#include <config.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench-origin.h"

#define LOG_ENTRIES (1u << 18)
#define REQUEST_ROOM 8192u     /* of a request's head */
#define TURN_MAX (512u << 10)  /* bytes that one connection sends before the next one's turn */
#define TURN_LIMITED (16u << 10) /* the same on a link with a limit */
#define CATCH_UP_NS 50000000u  /* so much of the rate may be made up for when we ran late */
#define SECOND_NS 1000000000u
#define NEVER UINT64_MAX

/* A request; times are CLOCK_MONOTONIC, 0 = not yet. */
struct log_entry {
    uint64_t arrived_ns;
    _Atomic uint64_t done_ns;  /* answered, or given up by the client */
};

struct bench_origin {
    pid_t pid;
    uint16_t port;
    unsigned nr_files;
    const char *paths[BENCH_ORIGIN_FILES]; /* of the process that started it, and its children */
    /* the link, set by the bench */
    _Atomic uint64_t latency_ns, rate, slow_of_million, link_version;
    /* what has been done; only the server writes it */
    _Atomic uint64_t requests, bytes, under_way, last_done_ns;
    struct log_entry log[LOG_ENTRIES];
};

struct file {
    int fd;
    uint64_t bytes;
    char etag[64];             /* with its quotes */
    char name[256];            /* as in the URL, with its slash */
};

enum phase { READING, DELAYED, SENDING };

struct conn {
    struct conn *next, *prev;  /* of the list of its phase; READING: none */
    enum phase phase;
    int fd;
    uint32_t events;           /* what epoll has been asked for */
    bool blocked;              /* SENDING: its socket is full */
    bool keep;                 /* the connection stays after the response */
    uint64_t due_ns;
    uint64_t entry;            /* number of the request in the log */
    unsigned head_length, head_sent, in_length;
    const struct file *file;   /* whose bytes follow the head */
    uint64_t offset, left;
    char head[512];
    char in[REQUEST_ROOM + 1];
};

struct list {
    struct conn *first, *last;
};

struct server {
    struct bench_origin *shared;
    struct file files[BENCH_ORIGIN_FILES];
    unsigned nr_files;
    int listener, epoll;
    struct list delayed, sending;
    uint64_t link_version, random, in_group, slow_one;
    double tokens;             /* bytes that may be sent now, on a link with a limit */
    uint64_t tokens_ns;        /* when they were counted */
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* ---- lists and connections ---------------------------------------------- */

static void list_append(struct list *list, struct conn *c)
{
    c->next = NULL;
    c->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
}

static void list_remove(struct list *list, struct conn *c)
{
    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
}

static struct list *list_of(struct server *s, const struct conn *c)
{
    return c->phase == DELAYED ? &s->delayed : c->phase == SENDING ? &s->sending : NULL;
}

static void enter(struct server *s, struct conn *c, enum phase phase)
{
    if (list_of(s, c))
        list_remove(list_of(s, c), c);
    c->phase = phase;
    if (list_of(s, c))
        list_append(list_of(s, c), c);
}

/* Input is wanted when there is room for it, output when the socket is full. */
static void listen_for(struct server *s, struct conn *c)
{
    uint32_t want = (c->in_length < REQUEST_ROOM ? EPOLLIN : 0)
                    | (c->phase == SENDING && c->blocked ? EPOLLOUT : 0);
    struct epoll_event ev = { .events = want, .data.ptr = c };

    if (want != c->events)
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev);
    c->events = want;
}

/* When: before the last bytes went out, since the client may have them before we are back. */
static void log_done(struct server *s, struct conn *c, uint64_t when)
{
    struct bench_origin *o = s->shared;

    if (c->phase == READING)
        return;
    if (c->entry < LOG_ENTRIES)
        atomic_store_explicit(&o->log[c->entry].done_ns, when, memory_order_release);
    atomic_store_explicit(&o->last_done_ns, when, memory_order_relaxed);
    atomic_fetch_sub_explicit(&o->under_way, 1, memory_order_release);
}

static void drop(struct server *s, struct conn *c)
{
    log_done(s, c, now_ns());
    if (list_of(s, c))
        list_remove(list_of(s, c), c);
    close(c->fd);
    free(c);
}

static void accept_all(struct server *s)
{
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
            free(c);
            close(fd);
            continue;
        }
        c->fd = fd;
        c->events = EPOLLIN;
    }
}

/* ---- requests ----------------------------------------------------------- */

/* The value of a header of a request, to the end of its line; its length in *ret_length. */
static const char *header(const char *request, const char *name, size_t *ret_length)
{
    size_t length = strlen(name);

    for (const char *line = strstr(request, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *value = line + 2 + length;

        if (strncasecmp(line + 2, name, length) || *value != ':')
            continue;
        value += 1 + strspn(value + 1, " \t");
        *ret_length = strcspn(value, "\r");
        while (*ret_length && isspace((unsigned char)value[*ret_length - 1]))
            (*ret_length)--;
        return value;
    }
    return NULL;
}

/* Is a tag in the list of If-Match? */
static bool matches(const char *list, size_t length, const char *tag)
{
    size_t n = strlen(tag);

    if (length == 1 && *list == '*')
        return true;
    for (size_t i = 0; i + n <= length; i++)
        if (!memcmp(list + i, tag, n) && (i == 0 || list[i - 1] == ' ' || list[i - 1] == ','))
            return true;
    return false;
}

/* One range of a file: 206 with it, 416, or 200 when it is none that we know. */
static unsigned parse_range(const char *value, uint64_t bytes, uint64_t *ret_first,
                            uint64_t *ret_last)
{
    char *end;

    *ret_first = 0;
    *ret_last = bytes - 1;
    if (!value || strncasecmp(value, "bytes=", 6))
        return 200;
    value += 6;
    if (*value == '-') {
        uint64_t n = strtoull(value + 1, &end, 10);

        if (end == value + 1 || *end != '\r')
            return 200;
        *ret_first = n < bytes ? bytes - n : 0;
        return n ? 206 : 416;
    }
    *ret_first = strtoull(value, &end, 10);
    if (end == value || *end++ != '-')
        return 200;
    if (isdigit((unsigned char)*end)) {
        uint64_t last = strtoull(end, &end, 10);

        if (last < *ret_first)
            return 200;
        *ret_last = last < bytes ? last : bytes - 1;
    }
    if (*end != '\r')
        return 200;
    return *ret_first < bytes ? 206 : 416;
}

static void write_head(struct conn *c, unsigned status, const struct file *f, uint64_t first,
                       uint64_t last, bool is_head)
{
    static const struct { unsigned status; const char *text; } list[] = {
        { 200, "OK" }, { 206, "Partial Content" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 412, "Precondition Failed" },
        { 416, "Range Not Satisfiable" },
    };
    bool whole = status == 200 || status == 206;
    size_t room = sizeof c->head;
    const char *text = "";
    int n;

    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].status == status)
            text = list[i].text;
    c->file = f;
    c->offset = first;
    c->left = whole && !is_head ? last - first + 1 : 0;
    n = snprintf(c->head, room, "HTTP/1.1 %u %s\r\nContent-Length: %" PRIu64 "\r\n", status, text,
                 whole ? last - first + 1 : 0);
    if (f)
        n += snprintf(c->head + n, room - (size_t)n, "ETag: %s\r\nAccept-Ranges: bytes\r\n"
                      "Content-Type: application/octet-stream\r\n", f->etag);
    if (status == 206)
        n += snprintf(c->head + n, room - (size_t)n, "Content-Range: bytes %" PRIu64 "-%" PRIu64
                      "/%" PRIu64 "\r\n", first, last, f->bytes);
    if (status == 416)
        n += snprintf(c->head + n, room - (size_t)n, "Content-Range: bytes */%" PRIu64 "\r\n",
                      f->bytes);
    n += snprintf(c->head + n, room - (size_t)n, "%s\r\n", c->keep ? "" : "Connection: close\r\n");
    c->head_length = (unsigned)n;
    c->head_sent = 0;
}

static const struct file *find_file(const struct server *s, const char *target, size_t length)
{
    for (unsigned i = 0; i < s->nr_files; i++)
        if (strlen(s->files[i].name) == length && !memcmp(s->files[i].name, target, length))
            return &s->files[i];
    return NULL;
}

/* request: a whole head, ended by a NUL behind its empty line. */
static void answer(struct server *s, struct conn *c, const char *request)
{
    bool is_head = !strncmp(request, "HEAD ", 5), is_get = !strncmp(request, "GET ", 4);
    const char *target = request + strcspn(request, " \r"), *value;
    const struct file *f = NULL;
    uint64_t first = 0, last = 0;
    unsigned status = 405;
    size_t length;

    value = header(request, "Connection", &length);
    c->keep = !(value && length == 5 && !strncasecmp(value, "close", 5));
    if (is_get || is_head) {
        target += *target == ' ';
        f = find_file(s, target, strcspn(target, " ?\r"));
        status = f ? 200 : 404;
    }
    if (f) {
        value = header(request, "Range", &length);
        status = parse_range(value, f->bytes, &first, &last);
        value = header(request, "If-Match", &length);
        if (value && !matches(value, length, f->etag))
            status = 412;
    }
    write_head(c, status, f, first, last, is_head);
}

/* One of each twenty, say: which of them is left to chance, how many there are is not. */
static bool is_slow(struct server *s)
{
    uint64_t share = atomic_load_explicit(&s->shared->slow_of_million, memory_order_relaxed);
    uint64_t version = atomic_load_explicit(&s->shared->link_version, memory_order_acquire);
    uint64_t group = share ? 1000000 / share : 0;

    if (s->link_version != version) {
        s->random = 0x2545f4914f6cdd1du;
        s->in_group = 0;
    }
    s->link_version = version;
    if (!group)
        return false;
    if (s->in_group == 0)
        s->slow_one = bench_xorshift(&s->random) % group;
    s->in_group = (s->in_group + 1) % group;
    return s->in_group == s->slow_one;
}

/* Begin with the request that has come, if it is whole. */
static void begin(struct server *s, struct conn *c)
{
    struct bench_origin *o = s->shared;
    uint64_t latency = atomic_load_explicit(&o->latency_ns, memory_order_relaxed);
    unsigned length;
    char *end, after;

    c->in[c->in_length] = '\0';
    end = strstr(c->in, "\r\n\r\n");
    if (!end || c->phase != READING)
        return;
    c->entry = atomic_load_explicit(&o->requests, memory_order_relaxed);
    if (c->entry < LOG_ENTRIES) {
        o->log[c->entry].arrived_ns = now_ns();
        atomic_store_explicit(&o->log[c->entry].done_ns, 0, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&o->under_way, 1, memory_order_relaxed);
    atomic_store_explicit(&o->requests, c->entry + 1, memory_order_release);

    end += 4;
    after = *end;
    *end = '\0';
    answer(s, c, c->in);
    *end = after;
    length = (unsigned)(end - c->in);
    memmove(c->in, end, c->in_length - length);
    c->in_length -= length;
    c->due_ns = now_ns() + latency * (is_slow(s) ? 10 : 1);
    enter(s, c, DELAYED);
}

/* ---- sending ------------------------------------------------------------ */

/* Up to so many bytes of a response; how many went out, or -1 when the client has gone. */
static int64_t send_some(struct server *s, struct conn *c, uint64_t room)
{
    uint64_t sent = 0;
    ssize_t n = 1;

    while (c->head_sent < c->head_length && n > 0) {
        n = send(c->fd, c->head + c->head_sent, c->head_length - c->head_sent,
                 MSG_NOSIGNAL | (c->left ? MSG_MORE : 0));
        c->head_sent += n > 0 ? (unsigned)n : 0;
    }
    while (c->head_sent == c->head_length && c->left && sent < room && n > 0) {
        off_t at = (off_t)c->offset;
        uint64_t most = c->left < room - sent ? c->left : room - sent;

        n = sendfile(c->fd, c->file->fd, &at, most);
        if (n == 0)
            return -1;                  /* the file has become shorter */
        if (n > 0) {
            sent += (uint64_t)n;
            c->offset += (uint64_t)n;
            c->left -= (uint64_t)n;
        }
    }
    atomic_fetch_add_explicit(&s->shared->bytes, sent, memory_order_relaxed);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    c->blocked = n < 0 && errno == EAGAIN;
    return (int64_t)sent;
}

static void finish(struct server *s, struct conn *c, uint64_t when)
{
    log_done(s, c, when);
    if (!c->keep) {
        c->phase = READING;             /* logged already */
        list_remove(&s->sending, c);
        close(c->fd);
        free(c);
        return;
    }
    enter(s, c, READING);
    begin(s, c);
    listen_for(s, c);
}

/* Bytes that may be sent now.  What was not used while nobody had anything to send is lost; what
 * was not used because we came late is not. */
static void count_tokens(struct server *s, uint64_t now, uint64_t rate, bool idle)
{
    double most = idle ? TURN_LIMITED : (double)rate * CATCH_UP_NS / SECOND_NS + TURN_LIMITED;

    s->tokens += (double)(now - s->tokens_ns) * (double)rate / SECOND_NS;
    s->tokens_ns = now;
    if (s->tokens > most)
        s->tokens = most;
}

static bool can_send(const struct server *s)
{
    for (const struct conn *c = s->sending.first; c; c = c->next)
        if (!c->blocked)
            return true;
    return false;
}

/* A turn for each that can send.  Returns when to come again. */
static uint64_t send_turns(struct server *s, bool was_idle)
{
    uint64_t rate = atomic_load_explicit(&s->shared->rate, memory_order_relaxed);
    uint64_t now = now_ns(), begun, turn = rate ? TURN_LIMITED : TURN_MAX;
    struct conn *c, *next, *last = s->sending.last;
    bool ended = !last;

    if (rate)
        count_tokens(s, now, rate, was_idle);
    for (c = s->sending.first; !ended; c = next) {
        uint64_t room = c->left < turn ? c->left : turn;
        int64_t sent;

        next = c->next;
        ended = c == last;
        if (c->blocked)
            continue;
        if (rate && s->tokens < (double)room)
            return now + (uint64_t)(((double)room - s->tokens) * SECOND_NS / (double)rate) + 1;
        begun = now_ns();
        sent = send_some(s, c, turn);
        s->tokens -= sent > 0 ? (double)sent : 0;
        if (sent < 0) {
            drop(s, c);
        } else if (c->head_sent == c->head_length && !c->left) {
            finish(s, c, begun);
        } else {
            list_remove(&s->sending, c);  /* the others come first now */
            list_append(&s->sending, c);
            listen_for(s, c);
        }
    }
    return can_send(s) ? now : NEVER;
}

/* Responses that are due.  Returns when the next one is. */
static uint64_t release_due(struct server *s)
{
    uint64_t now = now_ns(), next_ns = NEVER;
    struct conn *next;

    for (struct conn *c = s->delayed.first; c; c = next) {
        next = c->next;
        if (c->due_ns <= now) {
            c->blocked = false;
            enter(s, c, SENDING);
        } else if (c->due_ns < next_ns) {
            next_ns = c->due_ns;
        }
    }
    return next_ns;
}

/* ---- the loop ----------------------------------------------------------- */

static void receive(struct server *s, struct conn *c, uint32_t events)
{
    ssize_t n = recv(c->fd, c->in + c->in_length, REQUEST_ROOM - c->in_length, 0);

    if ((n == 0 && c->in_length < REQUEST_ROOM) || (n < 0 && errno != EAGAIN && errno != EINTR)
        || events & (EPOLLERR | EPOLLHUP)) {
        drop(s, c);
        return;
    }
    c->in_length += n > 0 ? (unsigned)n : 0;
    begin(s, c);
    if (c->phase == READING && c->in_length == REQUEST_ROOM) {
        drop(s, c);                     /* a head that long is not one of ours */
        return;
    }
    listen_for(s, c);
}

static void serve(struct server *s)
{
    struct epoll_event events[64];

    s->tokens_ns = now_ns();
    for (;;) {
        bool was_idle = !can_send(s);
        uint64_t due = release_due(s), again = send_turns(s, was_idle), now = now_ns();
        uint64_t next = due < again ? due : again, wait = next > now ? next - now : 0;
        struct timespec ts = { .tv_sec = (time_t)(wait / SECOND_NS),
                               .tv_nsec = (long)(wait % SECOND_NS) };
        int nr = epoll_pwait2(s->epoll, events, 64, next == NEVER ? NULL : &ts, NULL);

        for (int i = 0; i < nr; i++) {
            struct conn *c = events[i].data.ptr;

            if (!c) {
                accept_all(s);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                c->blocked = false;
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                receive(s, c, events[i].events);
            else
                listen_for(s, c);
        }
    }
}

/* ---- starting ----------------------------------------------------------- */

static int open_file(struct file *f, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct stat st;

    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return -errno;
    f->bytes = (uint64_t)st.st_size;
    snprintf(f->name, sizeof f->name, "/%.250s", slash ? slash + 1 : path);
    snprintf(f->etag, sizeof f->etag, "\"%jx-%jx-%jx%08lx\"", (uintmax_t)st.st_ino,
             (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return 0;
}

static int listen_on_loopback(struct server *s, uint16_t *ret_port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof to;
    struct epoll_event ev = { .events = EPOLLIN };

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->listener < 0 || s->epoll < 0
        || bind(s->listener, (struct sockaddr *)&to, sizeof to) < 0
        || listen(s->listener, 512) < 0
        || getsockname(s->listener, (struct sockaddr *)&to, &length) < 0
        || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &ev) < 0)
        return -errno;
    *ret_port = ntohs(to.sin_port);
    return 0;
}

static void origin_main(struct bench_origin *o, int ready)
{
    static struct server server;
    int rc = 0;

    signal(SIGPIPE, SIG_IGN);           /* sendfile has no flag for it */
    server.shared = o;
    for (unsigned i = 0; i < o->nr_files && rc == 0; i++)
        rc = open_file(&server.files[i], o->paths[i]);
    server.nr_files = o->nr_files;
    if (rc == 0)
        rc = listen_on_loopback(&server, &o->port);
    if (write(ready, &rc, sizeof rc) != (ssize_t)sizeof rc || rc < 0)
        _exit(1);
    close(ready);
    serve(&server);
}

int bench_origin_start(const char *const *paths, unsigned nr, struct bench_origin **ret_origin)
{
    struct bench_origin *o = mmap(NULL, sizeof *o, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid();
    int pipes[2], rc = 0;

    if (o == MAP_FAILED)
        return -errno;
    o->nr_files = nr < BENCH_ORIGIN_FILES ? nr : BENCH_ORIGIN_FILES;
    memcpy(o->paths, paths, o->nr_files * sizeof *paths);
    if (pipe2(pipes, O_CLOEXEC) < 0)
        rc = -errno;
    else if ((o->pid = fork()) == 0) {
        bench_child_begin(parent);
        close(pipes[0]);
        origin_main(o, pipes[1]);
    } else {
        int said = -EIO;

        rc = o->pid < 0 ? -errno : 0;
        close(pipes[1]);
        if (rc == 0 && read(pipes[0], &said, sizeof said) != (ssize_t)sizeof said)
            said = -EIO;
        rc = rc < 0 ? rc : said;
        close(pipes[0]);
    }
    if (rc < 0) {
        bench_origin_stop(o);
        return rc;
    }
    *ret_origin = o;
    return 0;
}

void bench_origin_stop(struct bench_origin *origin)
{
    if (!origin)
        return;
    if (origin->pid > 0) {
        kill(origin->pid, SIGKILL);
        while (waitpid(origin->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    munmap(origin, sizeof *origin);
}

/* ---- for the bench and its children ------------------------------------- */

void bench_origin_url(const struct bench_origin *origin, unsigned file, char *out, size_t room)
{
    const char *path = origin->paths[file], *slash = strrchr(path, '/');

    snprintf(out, room, "http://127.0.0.1:%u/%.250s", origin->port, slash ? slash + 1 : path);
}

void bench_origin_set_link(struct bench_origin *origin, const struct bench_link *link)
{
    atomic_store_explicit(&origin->latency_ns, link->latency_ns, memory_order_relaxed);
    atomic_store_explicit(&origin->rate, link->rate, memory_order_relaxed);
    atomic_store_explicit(&origin->slow_of_million, (uint64_t)(link->slow_share * 1e6),
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&origin->link_version, 1, memory_order_release);
}

struct bench_traffic bench_origin_traffic(const struct bench_origin *origin)
{
    return (struct bench_traffic){
        .requests = atomic_load_explicit(&origin->requests, memory_order_acquire),
        .bytes = atomic_load_explicit(&origin->bytes, memory_order_relaxed),
    };
}

unsigned bench_origin_rounds(const struct bench_origin *origin, uint64_t skip, uint64_t until_ns)
{
    uint64_t end = atomic_load_explicit(&origin->requests, memory_order_acquire), last = 0;
    unsigned rounds = 0;

    if (end > LOG_ENTRIES)
        end = LOG_ENTRIES;
    /* Of those that were sent after the last one had been answered, always the one answered
     * first. */
    for (uint64_t best = 0; best != NEVER; last = best, rounds += best != NEVER) {
        best = NEVER;
        for (uint64_t i = skip; i < end; i++) {
            uint64_t done = atomic_load_explicit(&origin->log[i].done_ns, memory_order_acquire);

            if (done && done <= until_ns && done < best && origin->log[i].arrived_ns >= last)
                best = done;
        }
    }
    return rounds;
}

void bench_origin_settle(const struct bench_origin *origin, uint64_t quiet_ns,
                         uint64_t patience_ns)
{
    uint64_t begun = now_ns(), now;

    do {
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
        now = now_ns();
        if (!atomic_load_explicit(&origin->under_way, memory_order_acquire)
            && now - atomic_load_explicit(&origin->last_done_ns, memory_order_relaxed) >= quiet_ns
            && now - begun >= quiet_ns)
            return;
    } while (now - begun < patience_ns);
}
