/* SPDX-License-Identifier: MIT
 *
 * curl.h - libcurl, loaded when it is first needed: its libraries cost a process 7 ms of its start,
 * which readers of local files do not pay.
 *
 *     rc = hl_curl_load();
 *     if (rc == 0)
 *         easy = hl_curl.easy_init();
 *
 * Options are passed through the real, variadic function, so numbers must be long (0L, 1L).
 */
#ifndef HL_CURL_H
#define HL_CURL_H

#include <curl/curl.h>

/* X(name): curl_name() is hl_curl.name(). */
#define HL_CURL_FUNCTIONS(X) \
    X(global_init) \
    X(version_info) \
    X(easy_init) \
    X(easy_setopt) \
    X(easy_getinfo) \
    X(easy_perform) \
    X(easy_reset) \
    X(easy_cleanup) \
    X(easy_strerror) \
    X(multi_init) \
    X(multi_setopt) \
    X(multi_add_handle) \
    X(multi_remove_handle) \
    X(multi_perform) \
    X(multi_poll) \
    X(multi_wakeup) \
    X(multi_info_read) \
    X(multi_cleanup) \
    X(slist_append) \
    X(slist_free_all) \
    X(url) \
    X(url_set) \
    X(url_get) \
    X(url_cleanup) \
    X(free)

struct hl_curl {
#define X(name) __typeof__(curl_##name) *name;
    HL_CURL_FUNCTIONS(X)
#undef X
};

extern struct hl_curl hl_curl;

/* Load and initialize libcurl, once in a process; any thread.  0, or -EPROTONOSUPPORT when it is
 * not installed or too old, with what to install in hl_error(). */
int hl_curl_load(void);

/* Of the libcurl that is loaded, as in "7.88.1". */
const char *hl_curl_version(void);

#endif
