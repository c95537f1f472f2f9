/* SPDX-License-Identifier: MIT
 *
 * test-s3-places: where a bucket is looked for, without a network.
 *
 * Passes when endpoint, region and the way of addressing come from the environment and the profile
 * in the documented order; when the same endpoint written differently is the same source and
 * another one is not; when settings that make no sense are refused by name, and never quoted where
 * they could hold a password; and when AWS's word about a bucket's region is followed, but not at
 * other endpoints.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget(void)
{
    static const char *const names[] = {
        "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    kit_aws_write("~/.aws/config", "%s", "");
}

static void at(const char *name, const char *url, const char *sigv4)
{
    static struct hl_authority authority;
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open(name, &s3), 0);
    EXPECT_STR(s3->target.url, url);
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), 0);
    EXPECT_STR(authority.sigv4, sigv4);
    EXPECT_STR(authority.user, "AKID:hush");
    hl_s3_close(s3);
}

static void refused(const char *why)
{
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
}

static void check_regions(void)
{
    forget();
    at("s3://bucket/key", "https://bucket.s3.us-east-1.amazonaws.com/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", "[default]\nregion = eu-west-1\n");
    at("s3://bucket/key", "https://bucket.s3.eu-west-1.amazonaws.com/key", "aws:amz:eu-west-1:s3");
    setenv("AWS_DEFAULT_REGION", "eu-west-2", 1);
    at("s3://bucket/key", "https://bucket.s3.eu-west-2.amazonaws.com/key", "aws:amz:eu-west-2:s3");
    setenv("AWS_REGION", "cn-north-1", 1);
    at("s3://bucket/key", "https://bucket.s3.cn-north-1.amazonaws.com.cn/key",
       "aws:amz:cn-north-1:s3");
    setenv("AWS_REGION", "", 1);
    at("s3://bucket/key", "https://bucket.s3.eu-west-2.amazonaws.com/key", "aws:amz:eu-west-2:s3");
    setenv("AWS_REGION", "x/../../hu", 1);
    refused("no name of a region");
    setenv("AWS_REGION", "evil.example/", 1);
    refused("no name of a region");
    setenv("AWS_REGION", "0123456789012345678901234567890123456789012345678901234567890123", 1);
    refused("no name of a region");
}

static void check_endpoints(void)
{
    forget();
    kit_aws_write("~/.aws/config", "[default]\nendpoint_url = http://a:1/\nservices = mine\n"
                                   "[services other]\ns3 =\n  endpoint_url = http://wrong\n");
    at("s3://bucket/key", "http://a:1/bucket/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", "[default]\nendpoint_url = http://a:1/\nservices = mine\n"
                                   "[services mine]\nsts =\n  endpoint_url = http://wrong\n"
                                   "s3 =\n  endpoint_url = http://b:2\n");
    at("s3://bucket/key", "http://b:2/bucket/key", "aws:amz:us-east-1:s3");
    setenv("AWS_ENDPOINT_URL", "https://C.example:443", 1);
    at("s3://bucket/key", "https://c.example/bucket/key", "aws:amz:us-east-1:s3");
    setenv("AWS_ENDPOINT_URL_S3", "HTTP://[::1]:80/Path/to//", 1);
    at("s3://bucket/key", "http://[::1]/Path/to/bucket/key", "aws:amz:us-east-1:s3");

    setenv("AWS_ENDPOINT_URL_S3", "https://user:hush@host", 1);
    refused("AWS_ENDPOINT_URL_S3: is no endpoint");
    setenv("AWS_ENDPOINT_URL_S3", "ftp://host", 1);
    refused("AWS_ENDPOINT_URL_S3: is no endpoint");
    setenv("AWS_ENDPOINT_URL_S3", "https://", 1);
    refused("AWS_ENDPOINT_URL_S3: is no endpoint");
    setenv("AWS_ENDPOINT_URL_S3", "https://:80", 1);
    refused("AWS_ENDPOINT_URL_S3: is no endpoint");
    setenv("AWS_ENDPOINT_URL_S3", "https://host/?x=hush", 1);
    refused("AWS_ENDPOINT_URL_S3: is no endpoint");
    setenv("AWS_ENDPOINT_URL_S3", "host:80", 1);
    refused("https://host:port");
}

static void check_styles(void)
{
    static const char config[] = "[default]\ns3 =\n  addressing_style = %s\n  other = 1\n";

    forget();
    at("s3://my.bucket/key", "https://s3.us-east-1.amazonaws.com/my.bucket/key",
       "aws:amz:us-east-1:s3");
    at("s3://Bucket/key", "https://s3.us-east-1.amazonaws.com/Bucket/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", config, "auto");
    at("s3://bucket/key", "https://bucket.s3.us-east-1.amazonaws.com/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", config, "path");
    at("s3://bucket/key", "https://s3.us-east-1.amazonaws.com/bucket/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", config, "virtual");
    at("s3://my.bucket/key", "https://my.bucket.s3.us-east-1.amazonaws.com/key",
       "aws:amz:us-east-1:s3");
    setenv("AWS_ENDPOINT_URL", "http://store.example:81/s3", 1);
    at("s3://bucket/key", "http://bucket.store.example:81/s3/key", "aws:amz:us-east-1:s3");
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:81", 1);
    at("s3://bucket/key", "http://127.0.0.1:81/bucket/key", "aws:amz:us-east-1:s3");
    kit_aws_write("~/.aws/config", config, "Virtual");
    refused("'Virtual'; there are path, virtual, auto");
}

static bool same(const char *variable, const char *a, const char *b)
{
    uint64_t keys[2][2];

    setenv(variable, a, 1);
    hl_s3_name_key("s3://bucket/key", keys[0]);
    setenv(variable, b, 1);
    hl_s3_name_key("s3://bucket/key", keys[1]);
    return memcmp(keys[0], keys[1], sizeof keys[0]) == 0;
}

static void check_keys(void)
{
    forget();
    EXPECT(same("AWS_REGION", "eu-west-1", "us-east-1"));
    EXPECT(same("AWS_ENDPOINT_URL", "http://a:80", "HTTP://A/"));
    EXPECT(!same("AWS_ENDPOINT_URL", "http://a", "https://a"));
    EXPECT(!same("AWS_ENDPOINT_URL", "http://a", "http://a:81"));
    EXPECT(!same("AWS_ENDPOINT_URL", "http://a/x", "http://a/X"));
    EXPECT(!same("AWS_ENDPOINT_URL", "http://a", ""));
}

static void check_relocation(void)
{
    static struct hl_authority authority;
    struct hl_s3 *s3;
    char *url;

    forget();
    EXPECT_RC(hl_s3_open("s3://bucket/a b?versionId=1", &s3), 0);
    EXPECT(!s3->target.relocate(&s3->target, "us-east-1"));
    EXPECT(!s3->target.relocate(&s3->target, "evil.example/"));
    url = s3->target.relocate(&s3->target, "eu-south-2");
    EXPECT(url);
    EXPECT_STR(url, "https://bucket.s3.eu-south-2.amazonaws.com/a%20b?versionId=1");
    free(url);
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), 0);
    EXPECT_STR(authority.sigv4, "aws:amz:eu-south-2:s3");
    /* Two were on their way when the first was told. */
    url = s3->target.relocate(&s3->target, "eu-south-2");
    EXPECT(url);
    EXPECT_STR(url, "https://bucket.s3.eu-south-2.amazonaws.com/a%20b?versionId=1");
    free(url);
    hl_s3_close(s3);

    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9", 1);
    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), 0);
    EXPECT(!s3->target.relocate(&s3->target, "eu-south-2"));
    hl_s3_close(s3);
}

int main(void)
{
    kit_aws_nothing();
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    check_regions();
    check_endpoints();
    check_styles();
    check_keys();
    check_relocation();
    return 0;
}
