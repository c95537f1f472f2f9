/* SPDX-License-Identifier: MIT
 *
 * test-s3-names: what s3:// names mean, without a network.
 *
 * Passes when names become the URLs that a signature needs, with each byte of a key encoded once;
 * when what is no name is refused with a sentence that says so and repeats neither what stood
 * behind the '?' nor a user and password; and when two names have the same key exactly if they
 * mean the same object.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void good(const char *name, const char *path)
{
    char url[8192];
    struct hl_s3 *s3;
    uint64_t key[2];

    EXPECT_RC(hl_s3_open(name, &s3), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:9/%s", path);
    EXPECT_STR(s3->target.url, url);
    EXPECT_STR(s3->name, name);
    EXPECT_STR(s3->target.name, name);
    EXPECT_EQ(s3->has_version, strstr(path, "?versionId=") != NULL);
    EXPECT(!s3->target.may_redirect);
    hl_s3_name_key(name, key);
    EXPECT_MEM(key, s3->name_key, sizeof key);
    hl_s3_close(s3);
}

static void bad(const char *name, const char *why)
{
    struct hl_s3 *s3 = NULL;
    uint64_t key[2];

    EXPECT_RC(hl_s3_open(name, &s3), -EINVAL);
    EXPECT(s3 == NULL);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
    hl_s3_name_key(name, key); /* of nothing, but it must not fail */
}

static bool same(const char *a, const char *b)
{
    uint64_t keys[2][2];

    hl_s3_name_key(a, keys[0]);
    hl_s3_name_key(b, keys[1]);
    return memcmp(keys[0], keys[1], sizeof keys[0]) == 0;
}

static void check_keys(void)
{
    EXPECT(same("s3://bucket/a", "s3://bucket/a"));
    EXPECT(!same("s3://bucket/a", "s3://bucket/b"));
    EXPECT(!same("s3://bucket/a", "s3://bucke/ta"));
    EXPECT(!same("s3://bucket/a b", "s3://bucket/a%20b"));
    EXPECT(!same("s3://bucket/a", "s3://bucket/a?versionId=1"));
    EXPECT(!same("s3://bucket/a?versionId=2", "s3://bucket/a?versionId=1"));
}

int main(void)
{
    char longest[2000] = "s3://bucket/", url[2000] = "bucket/";

    kit_aws_nothing();
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9", 1);

    good("s3://bucket/key", "bucket/key");
    good("s3://bucket/dir/sub/x.db.zst", "bucket/dir/sub/x.db.zst");
    good("s3://my.bucket-1/-._~/A", "my.bucket-1/-._~/A");
    good("s3://bucket/a b", "bucket/a%20b");
    good("s3://bucket/a+b", "bucket/a%2Bb");
    good("s3://bucket/a:b@c,d;e=f&g$h", "bucket/a%3Ab%40c%2Cd%3Be%3Df%26g%24h");
    good("s3://bucket/100%", "bucket/100%25");
    good("s3://bucket/a%20b", "bucket/a%2520b");
    good("s3://bucket/#'()*![]{}|\\^`\"<>",
         "bucket/%23%27%28%29%2A%21%5B%5D%7B%7D%7C%5C%5E%60%22%3C%3E");
    good("s3://bucket/\xc3\xa4/\xe2\x82\xac", "bucket/%C3%A4/%E2%82%AC");
    good("s3://bucket/\x01\x7f\xff", "bucket/%01%7F%FF");
    good("s3://bucket//a//b/../c/./d/", "bucket//a//b/../c/./d/");
    good("s3://bucket/key?versionId=null", "bucket/key?versionId=null");
    good("s3://bucket/key?versionId=a.b-c_d~e+f/g=h",
         "bucket/key?versionId=a.b-c_d~e%2Bf%2Fg%3Dh");
    memset(longest + 12, 'x', 1024);
    longest[12 + 1024] = '\0';
    memset(url + 7, 'x', 1024);
    good(longest, url);

    strcat(longest, "x");
    bad(longest, "1024 bytes");
    bad("s3://", "begins with no name of a bucket");
    bad("s3://bucket", "names no object");
    bad("s3://bucket/", "names no object");
    bad("s3:///key", "s3:///key: begins with no name of a bucket");
    bad("s3://ab/key", "s3://ab/key: begins with no name of a bucket");
    bad("s3://-bucket/key", "no name of a bucket");
    bad("s3://user:hush@bucket/key", "s3://: begins with no name of a bucket");
    bad("s3://user:hush", "s3://: begins with no name of a bucket");
    bad("s3://user:hu/sh@bucket/key", "s3://: begins with no name of a bucket");
    bad("s3://us_er/hush@bucket/key?x=1", "s3://: unknown parameter 'x'");
    bad("s3://buck%65t/key", "no name of a bucket");
    bad("s3://bucket:80/key", "no name of a bucket");
    bad("s3://bucket/key?", "?versionId=ID");
    bad("s3://bucket/key?versionId=", "?versionId=ID");
    bad("s3://bucket/key?versionid=1", "unknown parameter 'versionid'");
    bad("s3://bucket/key?X-Amz-Signature=hush", "unknown parameter 'X-Amz-Signature'");
    bad("s3://bucket/key?versionId=1&region=hush", "unknown parameter 'region'");
    bad("s3://bucket/key?versionId=1&versionId=2", "twice");
    bad("s3:/bucket/hush", "no name in an S3 store");

    check_keys();
    unsetenv("AWS_ENDPOINT_URL");
    check_keys();
    return 0;
}
