/* SPDX-License-Identifier: MIT
 *
 * curl.c - finds libcurl and its functions.  It stays loaded until the process ends, since
 * what it has started (OpenSSL, its resolver's threads) cannot be unloaded.
 *
 * Entry points: hl_curl_load(), hl_curl_version().  See also: transfer.c.
 */
#include "config.h"

#include "curl.h"

#include "error.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LIBRARY "libcurl.so.4"
#define OLDEST 0x075500 /* 7.85: CURLOPT_PROTOCOLS_STR, and a curl_global_init() for any thread */

struct hl_curl hl_curl;

static char why_not[256];

static bool find_functions(void *library, struct hl_curl *ret_curl)
{
    bool all = true;

#define X(name) \
    *(void **)&ret_curl->name = dlsym(library, "curl_" #name); \
    all = all && ret_curl->name;
    HL_CURL_FUNCTIONS(X)
#undef X
    return all;
}

/* OpenSSL would clean up at exit, while our threads, or this very load in a thread, still work
 * with it: ask it not to, before anybody else begins it.  Memory at exit is nothing to clean up. */
static void keep_openssl(void *library)
{
    static const uint64_t no_atexit = 0x00080000; /* OPENSSL_INIT_NO_ATEXIT */
    int (*init)(uint64_t options, const void *settings);

    *(void **)&init = dlsym(library, "OPENSSL_init_crypto");
    if (init)
        init(no_atexit, NULL);
}

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const char *install = "install libcurl 7.85 or newer (Debian: libcurl4, Fedora: libcurl)";

    if (!library) {
        snprintf(why_not, sizeof why_not, LIBRARY " cannot be loaded: %s", install);
        return;
    }
    keep_openssl(library);
    if (!find_functions(library, &hl_curl) ||
        hl_curl.version_info(CURLVERSION_NOW)->version_num < OLDEST)
        snprintf(why_not, sizeof why_not, LIBRARY " is too old: %s", install);
    else if (hl_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(why_not, sizeof why_not, LIBRARY " cannot be initialized");
    if (why_not[0])
        dlclose(library);
}

int hl_curl_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    if (why_not[0])
        return hl_error(EPROTONOSUPPORT, "remote sources need libcurl, but %s", why_not);
    return 0;
}

const char *hl_curl_version(void)
{
    return hl_curl.version_info(CURLVERSION_NOW)->version;
}
