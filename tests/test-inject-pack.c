/* SPDX-License-Identifier: MIT
 *
 * test-inject-pack: `hugelite pack`, as it is, with the Nth call of each kind failing, and the
 * Nth allocation.
 *
 * Passes when it ends with status 0 and a file that is byte for byte what it is without a
 * failure, or with 1, a sentence and no file (but for one whose name may not be on disk); when a
 * hidden file is left only where it could not be removed, or looked at, and the next run removes
 * that; and when nothing takes longer than 20 seconds.  In CI thinned, as inject-kit.h says; all
 * with HUGELITE_TEST_SECONDS.
 */
#include "config.h"

#include "inject-kit.h"
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in, *out, *dir, *log_path;
static char *expected;
static size_t expected_bytes;
static unsigned nr_runs, nr_failed;

struct failure {
    const char *call;
    unsigned nth;
    int err; /* 0 = short */
};

static void pack(const struct failure *failure, int fd)
{
    char nth[16], err[16], to[16];
    int log = open(log_path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    dup2(log, 1);
    dup2(log, 2);
    if (failure) {
        snprintf(nth, sizeof nth, "%u", failure->nth);
        snprintf(err, sizeof err, "%d", failure->err);
        snprintf(to, sizeof to, "%d", fd);
        setenv("INJECT_CALL", failure->call, 1);
        setenv("INJECT_NTH", nth, 1);
        setenv("INJECT_ERRNO", err, 1);
        setenv("INJECT_FD", to, 1);
        setenv("LD_PRELOAD", TEST_TOP_BUILDDIR "/tests/.libs/inject-preload.so", 1);
    }
    alarm(TEST_HANG_S);
    execl(getenv("HUGELITE"), "hugelite", "pack", in, out, "--threads", "2", "--frame", "16K",
          "--level", "1", (char *)NULL);
    _exit(99);
}

/* Its status; *ret_came: did the call fail? */
static int run(const struct failure *failure, bool *ret_came)
{
    int fds[2], status;
    char byte;
    pid_t pid;

    EXPECT_EQ(pipe(fds), 0);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        pack(failure, fds[1]);
    close(fds[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    *ret_came = read(fds[0], &byte, 1) == 1;
    close(fds[0]);
    if (!WIFEXITED(status))
        test_fail(__FILE__, __LINE__, "ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static char *load(const char *path, size_t *ret_bytes)
{
    FILE *f = fopen(path, "rbe");
    char *bytes;

    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *ret_bytes = (size_t)ftell(f);
    rewind(f);
    bytes = calloc(1, *ret_bytes + 1);
    EXPECT(bytes && fread(bytes, 1, *ret_bytes, f) == *ret_bytes);
    fclose(f);
    return bytes;
}

/* Files in the directory besides IN and OUT. */
static unsigned nr_others(void)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    unsigned nr = 0;

    EXPECT(list != NULL);
    while ((entry = readdir(list)))
        nr += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
              strcmp(entry->d_name, "in.db") && strcmp(entry->d_name, "out.zst");
    closedir(list);
    return nr;
}

static void judge(const struct failure *failure, int status)
{
    size_t bytes = 0, said_bytes = 0;
    char *packed = load(out, &bytes), *said = load(log_path, &said_bytes);

    EXPECT(said != NULL);
    if (status != 0 && status != 1)
        test_fail(__FILE__, __LINE__, "status %d: %s", status, said);
    if (status == 1) {
        EXPECT_CONTAINS(said, "hugelite pack: ");
        if (packed)
            EXPECT_CONTAINS(said, "whether its name is on disk is not sure");
    } else {
        EXPECT(packed != NULL);
    }
    if (packed) {
        EXPECT_EQ(bytes, expected_bytes);
        EXPECT_MEM(packed, expected, bytes);
    }
    if (nr_others() && strcmp(failure->call, "unlinkat") != 0 &&
        strstr(failure->call, "fstat") != failure->call)
        test_fail(__FILE__, __LINE__, "something is left of it: %s", said);
    free(packed);
    free(said);
}

static bool fail_nth(const char *call, unsigned nth, const int *errs, unsigned nr_errs)
{
    bool any = false;

    for (unsigned way = 0; way < nr_errs; way++) {
        struct failure failure = { call, nth, errs[way] };
        bool came;
        int status;

        if (!ik_takes(nth, way, nr_errs))
            continue;
        ik_say("%s number %u fails with %s", call, nth,
               errs[way] ? strerrorname_np(errs[way]) : "a part");
        unlink(out);
        status = run(&failure, &came);
        judge(&failure, status);
        any = any || came;
        nr_runs++;
        nr_failed += came;
    }
    return any;
}

static void sweep(const char *call, const int *errs, unsigned nr_errs)
{
    unsigned nth = 1;

    while (fail_nth(call, nth, errs, nr_errs))
        nth = ik_next(nth);
}

int main(void)
{
    static const int files[] = { EMFILE, EINTR, EIO }, places[] = { ENOSPC, EIO };
    static const int reads[] = { EIO, EINTR, 0 }, writes[] = { ENOSPC, EIO, EINTR, 0 };
    static const int lack[] = { ENOMEM };
    static const struct {
        const char *call;
        const int *errs;
        unsigned nr;
    } calls[] = {
        { "open", files, 3 }, { "openat", files, 3 }, { "fstat", places, 2 },
        { "stat", places, 2 }, { "lstat", places, 2 }, { "fstatat", places, 2 },
        { "flock", places, 2 }, { "pread", reads, 3 }, { "pwrite", writes, 4 },
        { "getrandom", reads, 3 }, { "fchmod", places, 2 }, { "fsync", places, 2 },
        { "renameat2", places, 2 }, { "unlinkat", places, 2 }, { "pthread_create", lack, 1 },
        { "malloc", lack, 1 },
    };
    bool came;

    if (TEST_SANITIZED)
        test_skip("a sanitizer has a malloc() of its own");
    EXPECT(getenv("HUGELITE") != NULL);
    dir = test_dir();
    in = test_path(dir, "in.db");
    out = test_path(dir, "out.zst");
    log_path = test_path(test_dir(), "log");
    test_db(in, 3000);
    EXPECT_EQ(run(NULL, &came), 0);
    expected = load(out, &expected_bytes);
    EXPECT(expected != NULL);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned before = nr_failed;

        sweep(calls[i].call, calls[i].errs, calls[i].nr);
        fprintf(stderr, "%s: %u times\n", calls[i].call, nr_failed - before);
    }
    ik_say("%s", "");
    unlink(out);
    EXPECT_EQ(run(NULL, &came), 0);
    EXPECT_EQ(nr_others(), 0);
    fprintf(stderr, "%u runs, in %u of them a call failed\n", nr_runs, nr_failed);
    EXPECT(nr_failed > 30);
    return 0;
}
