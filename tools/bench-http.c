/* SPDX-License-Identifier: MIT
 *
 * bench-http.c - plain libcurl, nothing of hugelite's: what one request costs at the origin of
 * the remote cases, and a whole file fetched into another, which is what one does without
 * hugelite.
 *
 * Entry points: bench_job_request, bench_http_download.
 * See also: bench-remote.c, bench-origin.c.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "curl.h"
#include "tools.h"

#define REQUESTS 21u

static size_t discard(char *data, size_t size, size_t nr, void *arg)
{
    (void)data;
    (void)arg;
    return size * nr;
}

static int begin(const char *url, CURL **ret_curl, struct bench_reply *reply)
{
    if (hl_curl_load() < 0 || !(*ret_curl = hl_curl.easy_init()))
        return bench_fail(reply, EIO, "%s", hugelite_error());
    hl_curl.easy_setopt(*ret_curl, CURLOPT_URL, url);
    hl_curl.easy_setopt(*ret_curl, CURLOPT_NOPROXY, "*");
    hl_curl.easy_setopt(*ret_curl, CURLOPT_FAILONERROR, 1L);
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median of requests for a page, on a connection that stays. */
int bench_job_request(const struct bench_config *config, uint64_t arg, struct bench_reply *reply)
{
    double seconds[REQUESTS];
    CURLcode rc;
    CURL *curl;

    (void)arg;
    if (begin(config->remote_url[0], &curl, reply) < 0)
        return reply->rc;
    hl_curl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    hl_curl.easy_setopt(curl, CURLOPT_RANGE, "0-4095");
    for (unsigned i = 0; i <= REQUESTS; i++) {
        double start = hl_units_now();

        rc = hl_curl.easy_perform(curl);
        if (rc != CURLE_OK)
            return bench_fail(reply, EIO, "%s: %s", config->remote_url[0],
                              hl_curl.easy_strerror(rc));
        if (i > 0)                      /* the first connects */
            seconds[i - 1] = hl_units_now() - start;
    }
    hl_curl.easy_cleanup(curl);
    qsort(seconds, REQUESTS, sizeof *seconds, compare);
    reply->seconds = seconds[REQUESTS / 2];
    return 0;
}

int bench_http_download(const char *url, const char *path, struct bench_reply *reply)
{
    FILE *out = fopen(path, "we");
    CURLcode rc;
    CURL *curl;

    if (!out)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    if (begin(url, &curl, reply) < 0) {
        fclose(out);
        return reply->rc;
    }
    hl_curl.easy_setopt(curl, CURLOPT_WRITEDATA, out);
    hl_curl.easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
    rc = hl_curl.easy_perform(curl);
    hl_curl.easy_cleanup(curl);
    if (fclose(out) != 0 && rc == CURLE_OK)
        return bench_fail(reply, errno, "%s: %s", path, strerror(errno));
    return rc == CURLE_OK ? 0 : bench_fail(reply, EIO, "%s: %s", url, hl_curl.easy_strerror(rc));
}
