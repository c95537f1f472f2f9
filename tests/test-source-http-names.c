/* SPDX-License-Identifier: MIT
 *
 * test-source-http-names: which URLs are the same source, and which are none.
 *
 * Passes when the key of a URL does not depend on user and password, the case of scheme and host,
 * the default port, the fragment and the parameters of signatures, but on all else; and when
 * names that are no URL are refused with a sentence that repeats nothing of them.
 */
#include "config.h"

#include "test.h"

#include "source.h"

#include <errno.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
    uint64_t one[2], other[2];

    hl_source_name_key(a, one);
    hl_source_name_key(b, other);
    return one[0] == other[0] && one[1] == other[1];
}

static void expect_same(const char *a, const char *b)
{
    if (!same(a, b))
        test_fail(__FILE__, __LINE__, "%s and %s have different keys", a, b);
}

static void expect_other(const char *a, const char *b)
{
    if (same(a, b))
        test_fail(__FILE__, __LINE__, "%s and %s have the same key", a, b);
}

static void expect_refused(const char *name, const char *why)
{
    struct hl_source *source = NULL;

    EXPECT_RC(hl_source_open(name, &source), -EINVAL);
    EXPECT(!source);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(!strstr(hugelite_error(), "secret"));
}

static void compare(void)
{
    const char *plain = "https://host.example/dir/x.db";

    expect_same(plain, "https://HOST.Example/dir/x.db");
    expect_same(plain, "https://host.example:443/dir/x.db");
    expect_same(plain, "https://user:secret@host.example/dir/x.db");
    expect_same(plain, "https://user:p@ss@host.example:443/dir/x.db");
    expect_same(plain, "https://host.example/dir/x.db#part");
    expect_same(plain, "https://host.example/dir/x.db?");
    expect_same("http://host.example", "http://host.example:80/");
    expect_same("http://[::1]/x", "http://[::1]:80/x");

    expect_other(plain, "http://host.example/dir/x.db");
    expect_other(plain, "https://host.example:8443/dir/x.db");
    expect_other(plain, "https://host.example/dir/X.db");
    expect_other(plain, "https://host.example/dir/%78.db");
    expect_other(plain, "https://host.example/dir/x.db/");
    expect_other(plain, "https://other.example/dir/x.db");
    expect_other(plain, "https://host.example/dir/x.db?versionId=2");
    expect_other("https://h/x?versionId=1", "https://h/x?versionId=2");
    expect_other("http://[::1]:81/x", "http://[::1]:82/x");
}

static void compare_signed(void)
{
    const char *plain = "https://host.example/x.db";

    expect_same(plain, "https://host.example/x.db?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                       "&X-Amz-Credential=secret&X-Amz-Date=20261123T000000Z&X-Amz-Expires=60"
                       "&X-Amz-SignedHeaders=host&X-Amz-Signature=secret");
    expect_same(plain, "https://host.example/x.db?X-Goog-Expires=1&X-Goog-Signature=secret");
    expect_same(plain, "https://host.example/x.db?AWSAccessKeyId=secret&Signature=secret"
                       "&Expires=1790000000");
    expect_same(plain, "https://host.example/x.db?Expires=1&Signature=2&Key-Pair-Id=3");
    expect_same(plain, "https://host.example/x.db?sv=2022-11-02&se=2026-12-01&sr=b&sp=r"
                       "&sig=secret");
    expect_same("https://h/x?a=1&versionId=3&b",
                "https://h/x?a=1&X-Amz-Signature=1&versionId=3&X-Amz-Date=2&b");
    expect_other("https://h/x?versionId=3&X-Amz-Signature=1",
                 "https://h/x?versionId=4&X-Amz-Signature=1");

    /* Without a signature the same words mean something else. */
    expect_other("https://h/x?se=1", "https://h/x?se=2");
    expect_other("https://h/x?Expires=1", "https://h/x?Expires=2");
    expect_other("https://h/x?signal=1&sig=1", "https://h/x?signal=2&sig=1");
}

static void refuse(void)
{
    expect_refused("http://", "names no host");
    expect_refused("https:///x.db", "names no host");
    expect_refused("https://user:secret@/x.db", "names no host");
    expect_refused("http://user:secret@host/a b.db", "space");
    expect_refused("http://user:secret@host/a\nb.db", "control character");
    expect_refused("http://user:secret@host\x7f/", "control character");
    expect_refused("http://user:secret@host:http/x", "port");
    expect_refused("http://user:secret@host:0/x", "port");
    expect_refused("http://user:secret@host:65536/x", "port");
    expect_refused("http://user:secret@host:99999999999/x", "port");
    expect_refused("http://user:secret@[::1/x", "bracket");
}

int main(void)
{
    compare();
    compare_signed();
    refuse();
    return 0;
}
