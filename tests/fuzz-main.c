/* SPDX-License-Identifier: MIT
 *
 * fuzz-main.c - runs a fuzz target without libFuzzer: each seed as it is, cut, and mutated in a
 * few thousand ways that are the same every time; with HUGELITE_TEST_SECONDS, in others for as
 * long.  The input that ends the target with a signal is left in the file fuzz-crash.
 *
 * Passes when the target finds nothing wrong.  With an argument it runs that file once.
 *
 * See also: fuzz.h, test-fuzz.sh.
 */
#include "config.h"

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, CUTS = 100, MUTATIONS = 1000 };

static uint8_t seed[ROOM], *input;
static size_t seed_bytes;
static volatile size_t input_bytes;
static uint64_t state = 1;

static uint32_t random_below(uint32_t limit)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % limit;
}

static void keep_input(int signal_number)
{
    int fd = open("fuzz-crash", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    ssize_t done = fd >= 0 ? write(fd, input, input_bytes) : -1;

    (void)done;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* In memory of its own, so that a sanitizer sees where it ends. */
static void run(const uint8_t *bytes, size_t length)
{
    input = malloc(length ? length : 1);
    if (!input)
        abort();
    memcpy(input, bytes, length);
    input_bytes = length;
    LLVMFuzzerTestOneInput(input, length);
    free(input);
}

static size_t mutate(uint8_t *bytes, size_t length)
{
    static const uint32_t numbers[] = { 0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000,
                                        0xffffffff, 0x8000000, 0x8000001 };
    uint32_t times = 1 + random_below(4);

    while (times-- && length) {
        uint32_t at = random_below((uint32_t)length), number, n;

        switch (random_below(6)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 1:
            bytes[at] = (uint8_t)random_below(256);
            break;
        case 2: /* a number where one might be */
            number = numbers[random_below(sizeof numbers / sizeof *numbers)];
            memcpy(bytes + at, &number, length - at < 4 ? length - at : 4);
            break;
        case 3: /* near the end, where the table is */
            n = length < 60 ? (uint32_t)length : 60;
            bytes[length - 1 - random_below(n)] += (uint8_t)(1 + random_below(2) * 254);
            break;
        case 4: /* take a piece out */
            n = 1 + random_below((uint32_t)(length - at));
            memmove(bytes + at, bytes + at + n, length - at - n);
            length -= n;
            break;
        default: /* say it twice */
            n = 1 + random_below((uint32_t)(length - at));
            if (length + n > ROOM)
                break;
            memmove(bytes + at + n, bytes + at, length - at);
            length += n;
        }
    }
    return length;
}

static void load_seed(const char *path)
{
    FILE *file = fopen(path, "rb");

    seed_bytes = file ? fread(seed, 1, ROOM, file) : 0;
    if (!file || fclose(file) != 0) {
        fprintf(stderr, "fuzz-main: %s: cannot be read\n", path);
        exit(1);
    }
}

static void run_mutations(void)
{
    static uint8_t changed[ROOM];

    run(seed, seed_bytes);
    for (unsigned i = 0; i < CUTS && seed_bytes; i++)
        run(seed, random_below((uint32_t)seed_bytes));
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(changed, seed, seed_bytes);
        run(changed, mutate(changed, seed_bytes));
    }
}

/* Each seed in turn; returns how many there are. */
static unsigned run_seeds(void)
{
    static const char root[] = TEST_SRCDIR "/fuzz-seeds";
    char path[4096];
    struct dirent *entry;
    unsigned nr = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", root, fuzz_name);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s/%s", root, fuzz_name, entry->d_name);
            load_seed(path);
            run_mutations();
            nr++;
        }
    if (dir)
        closedir(dir);
    return nr;
}

int main(int argc, char **argv)
{
    const char *seconds = getenv("HUGELITE_TEST_SECONDS");
    time_t end = time(NULL) + (seconds ? atoi(seconds) : 0);
    unsigned nr;

    signal(SIGABRT, keep_input);
    signal(SIGSEGV, keep_input);
    if (argc > 1) {
        load_seed(argv[1]);
        run(seed, seed_bytes);
        return 0;
    }
    do
        nr = run_seeds();
    while (time(NULL) < end);
    if (!nr)
        fprintf(stderr, "fuzz-main: there are no seeds for %s\n", fuzz_name);
    return nr ? 0 : 1;
}
