/* SPDX-License-Identifier: MIT
 *
 * test-remote-common.h - what the end-to-end tests of remote databases share: objects of the
 * pattern at an origin, raw and compressed; calls that are expected to end in time; a state
 * directory of their own.
 */
#ifndef HUGELITE_TEST_REMOTE_COMMON_H
#define HUGELITE_TEST_REMOTE_COMMON_H

#include "config.h"

#include "kit-origin.h"
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The two kinds of objects that all tests are run on. */
static const char *const remote_endings[2] = { ".db", ".db.zst" };

/* HUGELITE_HTTP_TIMEOUT, from now on. */
static inline void remote_timeout(unsigned seconds)
{
    char text[16];

    snprintf(text, sizeof text, "%u", seconds);
    setenv("HUGELITE_HTTP_TIMEOUT", text, 1);
}

/* Nothing of this machine's: no proxy, no CA, no state but the test's; timeout_s:
 * TEST_HANG_S unless it is to be waited for. Returns the state directory, or NULL without. */
static inline const char *remote_begin(unsigned timeout_s, bool with_state)
{
    static const char *const names[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
        "no_proxy", "NO_PROXY",
        "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "HUGELITE_FRESH",
        "HUGELITE_HTTP_REQUESTS", "HUGELITE_TIER_SIZE",
    };
    const char *state = with_state ? test_path(test_dir(), "state") : NULL;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    remote_timeout(timeout_s);
    setenv("HUGELITE_STATE", state ? state : "none", 1);
    return state;
}

/* Write the pattern to dir/name, compressed when the name ends so; an hour old.  Returns the
 * bytes of the file. */
static inline uint64_t remote_object(const char *dir, const char *name, uint64_t bytes,
                                     uint64_t seed)
{
    const char *path = test_path(dir, name);
    struct stat st;

    if (strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".zst") == 0)
        kit_zst(path, bytes, seed, 256 * 1024, 0);
    else
        test_file(path, bytes, seed);
    kit_age(path);
    EXPECT_EQ(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

/* What a call answered, and after how long. */
struct remote_answer {
    int rc;
    double seconds;
    char sentence[1024];
};

static inline void remote_note(struct remote_answer *answer, int rc, double began)
{
    answer->rc = rc;
    answer->seconds = test_now() - began;
    snprintf(answer->sentence, sizeof answer->sentence, "%s", rc ? hugelite_error() : "");
}

#endif
